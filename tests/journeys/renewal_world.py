"""A shop at work inside the test: its jobs and its sweeper run when the test says so, on the test's own clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from django.db import connection
from django.db.models import Min
from django.utils import translation

from sandbox.carrier.app import application
from sandbox.carrier.world import World
from sandbox.transport import InProcess
from tests.journeys import web_world
from xuka.activation import cancelling
from xuka.activation import operations as activation
from xuka.activation.models import Attempt
from xuka.activation.rules import key_of, words_of
from xuka.interfaces import clock
from xuka.interfaces.jobs import tasks
from xuka.interfaces.web.paper import pdf, words
from xuka.journal import queries as journal
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger
from xuka.ledger import queries as ledger_queries
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.models import Line
from xuka.messaging import queries as messaging
from xuka.payments import queries as payments
from xuka.payments.models import Payment, Refund
from xuka.receipts.models import Receipt
from xuka.renewals import operations as renewals
from xuka.renewals import queries as renewals_queries
from xuka.renewals import withdrawal
from xuka.renewals.models import Order, Quote

BEGIN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TOP_UPS, ORDERS = "/v2/orders/topups", "/v2/orders"


class Killed(BaseException):
    """The process died here."""


class Trade:
    """The shop of ``web_world`` with a carrier that can fail, its jobs, and a clock that only the test moves.

    Attributes:
        asked: the key of every top-up and new eSIM that was put on the wire, oldest first.
        looked: how often the carrier's list of orders was read.
        on_wire: called with "before" and "after" while one of them is on the wire.
    """

    def __init__(self) -> None:
        self.now = BEGIN
        self.world = World(now=lambda: self.now, limited=False)
        self.asked: list[str] = []
        self.looked = 0
        self.on_wire: Callable[[str], None] = lambda when: None

    def open(self) -> None:
        """The catalogue, three people with cards and money, as in ``web_world``."""
        self.shop = web_world.open_shop(now=self.now, seed_card=self.world.seed_card)

    # -- what customers and staff do ----------------------------------------------------------------------------

    def card(self, person: str) -> Line:
        return self.shop.cards[person]

    def customer(self, person: str) -> UUID:
        return self.shop.people[person].id

    def quote(self, person: str = "xiaoyu", plan: str = "", *, count: int = 1) -> Quote:
        """A quote for this person's card, of the plan it was sold with unless another is named."""
        line = self.card(person)
        version = self.shop.plan(plan or line.plan_version.plan_id)
        return renewals.quote(
            line_id=line.id,
            plan_version_id=version.id,
            customer=self.customer(person),
            count=count,
            now=self.now,
        )

    def place(self, quote: Quote, *, id: UUID | None = None, customer: UUID | None = None) -> Order:
        """The order of this quote, by its own customer unless another is named."""
        return renewals.place(
            order_id=id or uuid4(), quote_id=quote.id, customer=customer or quote.customer_id, now=self.now
        )

    def buy(self, person: str = "xiaoyu", plan: str = "", *, count: int = 1) -> Order:
        """Quote and place; nobody has worked on it yet."""
        return self.place(self.quote(person, plan, count=count))

    def decide(self, order: Order, exit: str, *, reference: str = "", ordinal: int | None = None) -> None:
        renewals.decide(
            order_id=order.id,
            exit=exit,
            staff=self.shop.staff.id,
            why="looked there",
            reference=reference,
            ordinal=ordinal,
            now=self.now,
        )

    def pay_into(self, order: Order, minor: int) -> None:
        """Money comes into the order's hold from elsewhere, as by a payment."""
        clearing = ledger.house("clearing", order.currency)
        ledger.post(ledger.Leg(uuid4(), "paid", clearing, order.hold_id, order.currency, minor), now=self.now)

    def credit(self, person: str, money: Money) -> None:
        """Staff put money into this person's wallet."""
        ledger.credit_wallet(
            customer=self.customer(person),
            money=money,
            staff=self.shop.staff.id,
            why="a gift",
            id=uuid4(),
            now=self.now,
        )

    # -- the outside world --------------------------------------------------------------------------------------

    def fail(self, *kinds: str, endpoint: str = "submit_topup", times: int | None = 1, **more: Any) -> None:
        """The carrier's next top-ups fail like this; what it was told before still holds."""
        waiting = [{"kind": kind, "endpoint": endpoint, "times": times, **more} for kind in kinds]
        there = list(self.world.faults.told()["waiting"])
        self.world.faults.set([*there, *waiting])

    def heal(self) -> None:
        self.world.faults.set([])

    def go_silent(self) -> None:
        """The carrier neither answers what it is asked nor tells what it did."""
        self.fail("timeout_before", times=None)
        self.fail("timeout_before", endpoint="order_list", times=None)

    # -- the shop's own work ------------------------------------------------------------------------------------

    def work(self) -> None:
        """Every job that waits and everything that is due now, until nothing is left; letters stay in the outbox."""
        for _ in range(30):
            jobs = self._jobs()
            for id, name, subject in jobs:
                with connection.cursor() as cursor:
                    cursor.execute("delete from procrastinate_jobs where id = %s", [id])
                if name != "send_message":
                    tasks.app.tasks[name](subject)
            due = self._work_off_what_is_due()
            if not lines.start_due_periods(now=self.now) and not jobs and not due:
                return
        pytest.fail("the shop never comes to rest")

    def _work_off_what_is_due(self) -> bool:
        """What the sweeper would find; returns whether there was anything that does not wait for another's answer."""
        found = False
        for due, job in (
            (payments.undigested_events(), tasks.digest_event),
            (payments.due_payments(self.now), tasks.advance_payment),
            (payments.due_refunds(self.now), tasks.advance_refund),
            (renewals_queries.due_orders(self.now), tasks.advance_order),
            (withdrawal.due(self.now), tasks.advance_withdrawal),
            (cancelling.due(self.now), tasks.advance_cancellation),
        ):
            for id in due:
                job(str(id))
                found = found or job is not tasks.digest_event or id not in payments.undigested_events()
        return found

    def wait(self, **length: float) -> None:
        """Time passes, and the shop works at every moment at which something is due, and at the end."""
        until = self.now + timedelta(**length)
        self.work()
        while (due := self._next_due()) and due <= until:
            self.now = max(self.now, due)
            self.work()
        self.now = until
        self.work()

    def sleep(self, **length: float) -> None:
        """Time passes and nobody works."""
        self.now += timedelta(**length)

    def advance(self, order: Order) -> bool:
        return renewals.advance(order_id=order.id, now=self.now)

    def _next_due(self) -> datetime | None:
        moments = [model.objects.aggregate(at=Min("next_step_at"))["at"] for model in (Order, Payment, Refund)]
        return min((moment for moment in moments if moment), default=None)

    def _jobs(self) -> list[tuple[int, str, str]]:
        with connection.cursor() as cursor:
            cursor.execute("select id, task_name, args->>'subject' from procrastinate_jobs order by id")
            return cursor.fetchall()

    # -- what came of it ------------------------------------------------------------------------------------------

    def order(self, order: Order) -> Order:
        return Order.objects.get(id=order.id)

    def attempt(self, order: Order, ordinal: int = 0) -> Attempt:
        return Attempt.objects.get(cause=order.id, ordinal=ordinal)

    def key(self, order: Order, ordinal: int = 0) -> str:
        """The key of one of the order's periods as the carrier stores it."""
        return words_of(key_of(cause=order.id, ordinal=ordinal))

    def truth(self, order: Order, ordinal: int = 0) -> list[Any]:
        """What the carrier really did for this period of the order."""
        return self.world.truth(self.key(order, ordinal))

    def wallet(self, person: str = "xiaoyu") -> int:
        currency = self.card(person).market.currency
        return ledger_queries.wallet_balance(customer=self.customer(person), currency=currency).minor

    def hold(self, order: Order) -> int:
        return ledger_queries.balance(order.hold_id)

    def periods(self, order: Order) -> list[Any]:
        return lines_queries.periods_of(order.id)

    def transfers(self, order: Order) -> list[tuple[str, int, str]]:
        """(leg, amount, unit) of everything that moved for this order, by leg."""
        return sorted((one.leg, one.amount, one.unit) for one in ledger_queries.transfers_of(order.id))

    def facts(self, order: Order) -> list[str]:
        return [fact.what for fact in journal.facts_about(order.id)]

    def when(self, order: Order, what: str) -> timedelta:
        """How long after the beginning this fact was recorded; it must be there once."""
        (fact,) = [fact for fact in journal.facts_about(order.id) if fact.what == what]
        return fact.at - BEGIN

    def letters(self, order: Order) -> list[tuple[str, str]]:
        """(kind, address) of every letter about this order, by kind."""
        return sorted((one.kind, one.to) for one in messaging.messages_about(order.id))


class Wire(InProcess):
    """The wire between the shop and the carrier, which tells the shop's ``Trade`` what passes."""

    def __init__(self, trade: Trade) -> None:
        super().__init__(application(trade.world))
        self.trade = trade

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST" or request.url.path not in {TOP_UPS, ORDERS}:
            self.trade.looked += request.url.path == ORDERS
            return super().handle_request(request)
        self.trade.asked.append(json.loads(request.read())["description"])
        self.trade.on_wire("before")
        response = super().handle_request(request)
        self.trade.on_wire("after")
        return response


def undrawn(receipt: Receipt, language: str) -> tuple[str, str, bytes]:
    """As ``pdf.attachment``, with nothing on it."""
    with translation.override(language):
        return words.file_name(receipt), "application/pdf", b"%PDF-1.7"


@contextmanager
def at_work(settings: Any, patch: pytest.MonkeyPatch) -> Iterator[Trade]:
    """A shop at work on the test's database; its papers are not drawn, which takes long. At the end its books must be
    right."""
    trade = Trade()
    patch.setattr(pdf, "attachment", undrawn)
    settings.CARRIERS = {
        "airalo": {
            "connector": "xuka.connectors.carriers.airalo.connector.Airalo",
            "base_url": "http://carrier.test",
            "client_id": "sandbox",
            "client_secret": "sandbox-secret",
            "transport": Wire(trade),
            "monotonic": lambda: (trade.now - BEGIN).total_seconds(),
        }
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # nobody signs in: be quick
    patch.setattr(clock, "now", lambda: trade.now)
    activation.carrier.cache_clear()
    try:
        trade.open()
        yield trade
    finally:
        activation.carrier.cache_clear()
    assert ledger_queries.check_books() == []
