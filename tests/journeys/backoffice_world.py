"""A carrier that says what a test tells it to, a shop on it, and an order that nobody can know of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.journeys import web_world
from xuka.activation import operations as activation
from xuka.activation.contract import Activation, Offer, Usage
from xuka.catalogue.models import PlanVersion
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.lines.models import Line
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order


@dataclass
class Mute:
    """Offers everything, and never says what became of a renewal until ``answers`` is set."""

    name: str = "airalo"
    call_deadline: timedelta = timedelta(seconds=30)
    absent_after: timedelta = timedelta(minutes=2)
    usage_every: timedelta = timedelta(minutes=15)
    can_start_next: bool = False
    can_cancel: bool = False
    answers: Callable[[str, str, str], Outcome[Activation]] | None = None
    asked: list[str] = field(default_factory=list)

    def offers(self, *, iccid: str) -> Outcome[tuple[Offer, ...]]:
        packages = PlanVersion.objects.values_list("package", flat=True).distinct()
        return Done(tuple(Offer(package, Money(7_00, "USD")) for package in packages))

    def renew(self, *, key: str, iccid: str, package: str) -> Outcome[Activation]:
        self.asked.append(key)
        return self.answers(key, iccid, package) if self.answers else Unknown("no answer")

    def find(self, *, key: str, iccid: str, package: str) -> Outcome[tuple[Activation, ...]]:
        return Unknown("no answer")

    def usage(self, *, iccid: str) -> Outcome[Usage]:
        return Refused("card_unknown", None, "")

    def balance(self) -> Outcome[Money]:
        return Done(Money(500_00, "USD"))


MUTE = Mute()


def carrier(**_: Any) -> Mute:
    """What ``settings.CARRIERS`` names in these tests."""
    return MUTE


def forget() -> None:
    """Every test begins with a carrier that was never asked."""
    MUTE.answers = None
    MUTE.asked.clear()
    activation.carrier.cache_clear()


def open_shop(now: datetime) -> web_world.Shop:
    """The small shop of the pages' tests, on the mute carrier."""
    return web_world.open_shop(now=now, seed_card=lambda **_: None)


def place(line: Line, *, now: datetime) -> UUID:
    """The owner buys the plan the card was sold with."""
    assert line.owner_id
    quote = renewals.quote(line_id=line.id, plan_version_id=line.plan_version_id, customer=line.owner_id, now=now)
    order = renewals.place(order_id=uuid4(), quote_id=quote.id, customer=line.owner_id, now=now)
    return order.id


def order_that_needs_a_person(line: Line, *, now: datetime) -> Order:
    """An order that was placed half an hour ago and of which the carrier never said what became of it."""
    moment = now - timedelta(minutes=30)
    id = place(line, now=moment)
    while moment <= now:
        while renewals.advance(order_id=id, now=moment):
            pass
        moment += timedelta(minutes=5)
    order = Order.objects.get(id=id)
    assert order.state == "needs_a_person"
    return order
