"""Reading what carriers have said."""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

from xuka.activation import rules
from xuka.activation.models import Attempt, BalanceReading, OfferReading
from xuka.activation.rules import Standing, standing
from xuka.kernel.money import Money


def standing_of(*, line_id: UUID, carrier_name: str, package: str, now: datetime, count: int = 1) -> Standing:
    """Whether this package can be sold for this card so many times, by the last readings of offers and of the
    seller's credit.
    """
    return standings_of(line_id=line_id, carrier_name=carrier_name, packages=[package], now=now, count=count)[package]


def standings_of(
    *, line_id: UUID, carrier_name: str, packages: list[str], now: datetime, count: int = 1
) -> dict[str, Standing]:
    """The same for several packages."""
    offers, balance = readings(line_id=line_id, carrier_name=carrier_name)
    return standings_from(offers, balance, packages, now, count)


def readings(*, line_id: UUID, carrier_name: str) -> tuple[OfferReading | None, BalanceReading | None]:
    """What the carrier last said of this card and of the seller's credit; one query where it has said both."""
    offers = next(iter(OfferReading.objects.raw(_READINGS, [carrier_name, line_id])), None)
    if offers is None:
        return None, BalanceReading.objects.filter(carrier=carrier_name).first()
    told = json.loads(getattr(offers, "credit", None) or "null")
    return offers, BalanceReading(**told | {"as_of": datetime.fromisoformat(told["as_of"])}) if told else None


# Asked at every quote, so in SQL of its own.
_READINGS = """
select o.*, (select to_jsonb(b) from activation_balancereading b where b.carrier = %s) as credit
from activation_offerreading o where o.line_id = %s
"""


def standings_from(
    offers: OfferReading | None, balance: BalanceReading | None, packages: list[str], now: datetime, count: int = 1
) -> dict[str, Standing]:
    """The same of readings that are at hand."""
    offered = {name: Money(*cost) for name, cost in offers.packages.items()} if offers else {}
    return {
        package: standing(
            offered_cost=offered.get(package),
            offers_reason=offers.reason if offers else "unknown",
            balance=Money(balance.amount_minor, balance.currency) if balance else None,
            balance_as_of=balance.as_of if balance else None,
            now=now,
            count=count,
        )
        for package in packages
    }


def standing_of_new(*, carrier_name: str, cost: Money, now: datetime) -> Standing:
    """Whether a new eSIM of this cost can be sold, by the last reading of the seller's credit."""
    balance = BalanceReading.objects.filter(carrier=carrier_name).first()
    return rules.standing_of_new(
        cost=cost,
        balance=Money(balance.amount_minor, balance.currency) if balance else None,
        balance_as_of=balance.as_of if balance else None,
        now=now,
    )


def attempts_of(cause: UUID) -> list[Attempt]:
    """Everything that was asked of carriers for this cause."""
    return list(Attempt.objects.filter(cause=cause).order_by("ordinal"))


def cost_of(*, line_id: UUID, package: str) -> Money | None:
    """What the carrier last said this package costs the seller on this card."""
    offers = OfferReading.objects.filter(line_id=line_id).first()
    cost = offers.packages.get(package) if offers else None
    return Money(*cost) if cost else None
