"""A whole shop in one process: seeded, killed, doubled, interleaved, its clock pushed – and the world outside in a box.

Everything that can differ between two runs comes from one ``Random(seed)``: the same seed does the same, exactly.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import httpx
import pytest
from django.core.management import call_command
from django.db import connection

from sandbox.carrier.app import application
from sandbox.carrier.world import World
from sandbox.transport import InProcess
from tests.simulation.owners import Owners
from tests.simulation.till import Till
from xuka.accounts import operations as accounts
from xuka.activation import operations as activation
from xuka.activation.models import Attempt
from xuka.activation.rules import LEASE_MARGIN, key_of, words_of
from xuka.catalogue import operations as catalogue
from xuka.catalogue import queries as catalogue_queries
from xuka.interfaces import clock
from xuka.interfaces.jobs import tasks
from xuka.journal import queries as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger
from xuka.ledger import queries as ledger_queries
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.payments import providers
from xuka.payments import queries as payments
from xuka.renewals import operations as renewals
from xuka.renewals import queries as renewals_queries
from xuka.renewals.models import Order
from xuka.renewals.rules import OPEN_STATES, State

BEGIN = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
DATA = Path(__file__).resolve().parents[2] / "data"
CURRENCY = {"JP": "JPY", "BE": "EUR", "TW": "TWD"}
MARKETS = tuple(CURRENCY)
TOP_UPS = "/v2/orders/topups"
LISTED = "/v2/orders"

# Half of all calls about an order go wrong, in every way the stand-in knows.
FAULTS = [
    ("submit_topup", "duplicate", 0.03),
    ("submit_topup", "timeout_before", 0.09),
    ("submit_topup", "timeout_after", 0.12),
    ("submit_topup", "error_before", 0.06),
    ("submit_topup", "error_after", 0.07),
    ("submit_topup", "drop_after", 0.07),
    ("submit_topup", "garbage_after", 0.05),
    ("submit_topup", "unexpected_after", 0.05),
    ("submit_topup", "maintenance", 0.05),
    ("submit_topup", "out_of_stock", 0.05),
    ("submit_topup", "rate_limited", 0.04),
    ("submit_topup", "recycled", 0.03),
    ("submit_topup", "topup_disabled", 0.03),
    ("submit_topup", "insufficient_credit", 0.03),
    ("order_list", "timeout_before", 0.15),
    ("order_list", "error_before", 0.15),
    ("order_list", "garbage_before", 0.15),
    ("order_list", "rate_limited", 0.1),
    ("topups", "timeout_before", 0.2),
    ("balance", "error_before", 0.2),
]
DARK = [("order_list", "timeout_before", 1.0), ("submit_topup", "timeout_after", 0.7)]
# A new eSIM is bought in the same weather as a card is renewed.
for _weather in (FAULTS, DARK):
    _weather += [("submit_order", *rest) for endpoint, *rest in list(_weather) if endpoint == "submit_topup"]


WORKED_OFF = {
    "advance_order", "advance_waiting_orders", "advance_payment", "advance_refund", "digest_event", "forget_method",
    "advance_auto", "advance_auto_after_order", "advance_auto_with_money", "pause_auto_of_method",
}  # fmt: skip

# Asked after every event, so in one query and in SQL of its own. Shares that went back are held no more.
PAID_TOO_LITTLE = """
select (select count(*) from renewals_order), array(
    select o.id from renewals_order o left join ledger_account a on a.id = o.hold_id and a.limited
    cross join lateral (select case o.currency when 'TWD' then 100 else 1 end as step) s
    cross join lateral (select o.total_minor / (o.count * s.step) * s.step as each) e
    where o.state = any(%s) and coalesce(a.balance, 0) < o.total_minor
        - cardinality(o.given_back) * e.each
        - case when 0 = any(o.given_back) then o.total_minor - o.count * e.each else 0 end
    order by o.placed_at, o.id)
"""


class Killed(BaseException):
    """The process died here."""


class Found(BaseException):
    """What was looked for went wrong: there is no need to go on."""


class Shop:
    """One seller, its customers, its workers and its carrier, driven by chance."""

    def __init__(
        self, seed: int, patch: pytest.MonkeyPatch, *, new_esims: float = 0.0, stop_at: str | None = None
    ) -> None:
        self.new_esims, self.stop_at = new_esims, stop_at
        call_command("flush", verbosity=0, interactive=False, reset_sequences=False)
        with connection.cursor() as cursor:  # a table that Django does not manage
            cursor.execute("truncate procrastinate_jobs cascade")
        self.seed, self.random = seed, Random(seed)
        self.now = BEGIN
        self.trace: list[str] = []
        self.faults_seen: list[str] = []
        self.world = World(now=lambda: self.now, seed=seed, balance=100_000_00, limited=False)
        self.transport = Watched(self)
        self.till, self.owners = Till(self), Owners(self)
        self.from_elsewhere: list[UUID] = []
        self._calls = 0
        self.patch = patch
        self._patch_edges()
        self._statements_to_live: int | None = None
        self.kill_at: str | None = None
        self.is_dead = self.is_open = False
        logging.getLogger("xuka").setLevel(logging.CRITICAL)
        self._open_shop()

    # -- what the shop stands on -----------------------------------------------------------------------------

    def _patch_edges(self) -> None:
        from django.conf import settings

        carriers = {
            "airalo": {
                "connector": "xuka.connectors.carriers.airalo.connector.Airalo",
                "base_url": "http://carrier.test",
                "client_id": "sandbox",
                "client_secret": "sandbox-secret",
                "transport": self.transport,
                "monotonic": lambda: (self.now - BEGIN).total_seconds(),
            }
        }
        self.patch.setattr(settings, "CARRIERS", carriers)
        self.patch.setattr(settings, "PROVIDERS", self.till.settings)
        activation.carrier.cache_clear()
        providers.provider.cache_clear()
        self.patch.setattr(ids, "new", lambda: UUID(int=self.random.getrandbits(128), version=4))
        self.patch.setattr(clock, "now", lambda: self.now)
        self._post = ledger.post
        self.patch.setattr(ledger, "post", self._posted_twice)

    def _posted_twice(self, *legs: Any, now: datetime) -> int:
        """Now and then a posting is repeated, as by a caller who did not hear that it was done."""
        posted = self._post(*legs, now=now)
        if self.random.random() < 0.2:
            self._post(*legs, now=now)
        if self.is_open and self.random.random() < 0.05:
            self.die()
        return posted

    def _open_shop(self) -> None:
        catalogue.load(DATA, who="seller", now=self.now)
        self.staff = accounts.register_user(email="staff@shop.example", language="en", now=self.now, id=UUID(int=1)).id
        self.lines: list[tuple[UUID, UUID, str]] = []
        self._cards = 0
        for number in range(8):
            market = MARKETS[number % len(MARKETS)]
            customer = accounts.register_user(
                email=f"c{number}@shop.example", language="en", now=self.now, id=UUID(int=100 + number)
            ).id
            self.lines.append(self._new_card(customer, market))
            self._credit(customer, market, 100_000)
        for line_id, customer, market in self.lines:
            self._paid_before(line_id, customer, market)
        self.world.faults.set([_fault(*one) for one in FAULTS])
        self.till.fail()

    def _new_card(self, customer: UUID, market: str) -> tuple[UUID, UUID, str]:
        number, self._cards = self._cards, self._cards + 1
        plans = catalogue_queries.plans_on_sale(market)
        plan, iccid = plans[number // len(MARKETS) % len(plans)], _iccid(number)
        line = lines.add_to_stock(
            iccid=iccid, carrier="airalo", claim_code="CODE", plan_version=plan, who="seller", now=self.now
        )
        lines.claim(customer=customer, iccid=iccid, code="CODE", now=self.now)
        self.world.seed_card(iccid=iccid, package=plan.package, expires_at=self.now + timedelta(days=1))
        return line.id, customer, market

    def _paid_before(self, line_id: UUID, customer: UUID, market: str) -> None:
        """On a good day they renewed this card, and had what they paid with kept."""
        method = self.random.choice(["card", "paypal"])
        quotes = (
            renewals.quote(line_id=line_id, plan_version_id=version.id, customer=customer, now=self.now)
            for version in catalogue_queries.plans_on_sale(market)
            if not version.first_package
        )
        quote = next((one for one in quotes if one.payment_offered), None)
        if quote is None:  # what this card runs with cannot be renewed
            return
        order = renewals.place(order_id=ids.new(), quote_id=quote.id, customer=customer, now=self.now, pays_with=method)
        self.till.pay_and_keep(order, method)

    def _credit(self, customer: UUID, market: str, minor: int) -> None:
        ledger.credit_wallet(
            customer=customer,
            money=Money(minor, CURRENCY[market]),
            staff=self.staff,
            why="a gift",
            id=ids.new(),
            now=self.now,
        )

    # -- what happens in it ------------------------------------------------------------------------------------

    def run(self, renewals_wanted: int) -> None:
        """Chance, until so many renewals were bought; then time passes until nothing is due any more."""
        self.is_open = True
        while self._check_as_it_goes() < renewals_wanted:
            self.do(self._one_event())
        self.settle()

    def settle(self) -> None:
        """Whatever is left ends by itself, or a person decides: the world fails on for a while, then it heals.

        The last days pass quickly: an order whose money went back is watched for 30 days.
        """
        self.owners.everybody_switches_off()
        for turn in range(120):
            if turn == 20:
                self.world.faults.set([])
                self.till.heal()
            self.now += self.random.choice([timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=2)])
            if turn > 60:
                self.now += timedelta(days=1)
            self.do(self.till.the_bank_decides)
            self.do(self.till.webhooks_arrive)
            self.do(self.sweep)
            self.do(self.work_off_jobs)
            self._check_as_it_goes()
            if turn > 25:
                self.do(self.somebody_decides)
                self.do(self.till.somebody_decides)
                if not self.unfinished():
                    return

    def _one_event(self) -> Callable[[], None]:
        events = {
            self.buy: 30,
            self.work_off_jobs: 40,
            self.sweep: 20,
            self.time_passes: 25,
            self.somebody_cancels: 3,
            self.money_comes_from_elsewhere: 6,
            self.a_wallet_runs_dry: 5,
            self.a_wallet_is_filled: 4,
            self.somebody_decides: 3,
            self.the_carrier_goes_dark: 2,
            self.the_carrier_is_itself_again: 2,
            self.till.somebody_presses_pay: 8,
            self.till.somebody_is_on_the_page: 20,
            self.till.the_bank_decides: 5,
            self.till.webhooks_arrive: 15,
            self.till.somebody_decides: 2,
            self.till.go_dark: 1,
            self.owners.somebody_agrees: 15,
            self.owners.an_end_comes_near: 8,
            self.owners.somebody_switches_off: 1,
            self.owners.somebody_forgets: 1,
            self.till.fail: 1,
        }
        return self.random.choices(list(events), weights=list(events.values()))[0]

    def do(self, event: Callable[[], None]) -> None:
        """Do one thing; a tenth of the time the process is killed in the midst of it."""
        self.note(event.__name__)
        if self.random.random() < 0.1:
            if self.random.random() < 0.7:
                self._statements_to_live = self.random.randrange(1, 60)
            else:
                self.kill_at = self.random.choice(["before", "after"])
        try:
            with connection.execute_wrapper(self._maybe_die), self._dying_commits():
                event()
        except BaseException:
            if not self.is_dead:
                raise
            self.note("killed")
            self.transport.told.clear()
            _forget_connection()
        else:
            self.transport.remember()
        finally:
            self._statements_to_live = self.kill_at = None
            self.is_dead = False

    def die(self) -> None:
        """The end of the process: its connection drops, and nothing after this line is done."""
        self.is_dead = True
        if connection.connection is not None:
            connection.connection.close()
        raise Killed

    def _maybe_die(self, execute: Callable, sql: str, params: Any, many: bool, context: dict) -> Any:
        if self._dies():
            self.die()
        result = execute(sql, params, many, context)
        if self._dies():
            self.die()
        return result

    def _dies(self) -> bool:
        if self._statements_to_live is None or self.is_dead:
            return False
        self._statements_to_live -= 1
        return self._statements_to_live <= 0

    @contextmanager
    def _dying_commits(self) -> Iterator[None]:
        """A process can die right before its commit, and right after it without hearing of it."""
        commit = connection.commit

        def dying() -> None:
            if self._dies():
                self.die()
            commit()
            if self._dies():
                self.die()

        connection.commit = dying  # type: ignore[method-assign]
        try:
            yield
        finally:
            connection.commit = commit  # type: ignore[method-assign]

    def begin_call(self) -> None:
        """A call is about to be put on a wire."""
        self._calls = 0

    def meanwhile(self) -> None:
        """While a call is on the wire: another worker meets the same orders, time passes, or the process dies."""
        self._calls += 1
        if self.kill_at == ("before" if self._calls == 1 else "after"):
            self.die()
        if self.random.random() < 0.2:
            kept, self._statements_to_live = self._statements_to_live, None
            under_way = self.open_orders()
            for order in self.random.sample(under_way, k=min(2, len(under_way))):
                renewals.advance(order_id=order.id, now=self.now)
            for line_id in renewals_queries.due_auto_renewals(self.now, limit=2):
                tasks.advance_auto(str(line_id))
            for payment_id in payments.due_payments(self.now, limit=2):
                tasks.advance_payment(str(payment_id))
            for refund_id in payments.due_refunds(self.now, limit=2):
                tasks.advance_refund(str(refund_id))
            self._statements_to_live = kept
        if self.random.random() < 0.1:
            self.now += timedelta(seconds=self.random.randrange(1, 20))

    def buy(self) -> None:
        place = self.random.randrange(len(self.lines))
        line_id, customer, market = self.lines[place]
        versions = catalogue_queries.plans_on_sale(market)
        if not self.new_esims:  # the plans that are only renewed: a week and a month, so that fifty renewals fit in
            versions = [one for one in versions if not one.first_package]
        version = self.random.choice(versions)
        try:
            if version.first_package and self.new_esims and self.random.random() < self.new_esims:
                quote = renewals.quote_new(plan_version_id=version.id, customer=customer, now=self.now)
            else:
                count = self.random.choice([1, 1, 1, 1, 1, 1, 2, 3])  # a quarter is of several periods
                quote = renewals.quote(
                    line_id=line_id, plan_version_id=version.id, customer=customer, now=self.now, count=count
                )
        except renewals.CannotRenew as error:
            self.note(error.code)
            if error.code == "too_late":  # that card is gone: its owner buys another
                self.lines[place] = self._new_card(customer, market)
            else:
                self.now += timedelta(days=30)
            return
        if not quote.payment_offered:
            self.note(quote.why_not)
            return
        order_id, pays_with = ids.new(), self.random.choice(["wallet", self.till.method(market)])
        for _ in range(self.random.choice([1, 1, 2, 3])):
            self._place(self.random.choice([order_id, order_id, ids.new()]), quote.id, customer, pays_with)

    def _place(self, order_id: UUID, quote_id: UUID, customer: UUID, pays_with: str) -> None:
        try:
            order = renewals.place(
                order_id=order_id, quote_id=quote_id, customer=customer, now=self.now, pays_with=pays_with
            )
            self.note(f"placed {order.id} {order.state}")
            if pays_with != "wallet":
                self.till.press_pay(order, pays_with)
        except renewals.CannotPay as error:
            self.note(error.code)
        except (renewals.QuoteChanged, renewals.QuoteExpired, renewals.PaymentNotOffered) as error:
            self.note(type(error).__name__)

    def work_off_jobs(self) -> None:
        for job_id, name, subject in _jobs(limit=6):
            is_lost = self.random.random() < 0.15
            if not is_lost and name in WORKED_OFF and not self._is_done(name, subject):
                continue  # it comes back
            with connection.cursor() as cursor:
                cursor.execute("delete from procrastinate_jobs where id = %s", [job_id])

    def _is_done(self, job: str, subject: str) -> bool:
        try:
            tasks.app.tasks[job](subject)
        except RuntimeError as unheard:
            self.note(str(unheard))
            return False
        return True

    def sweep(self) -> None:
        for due, job in (
            (payments.undigested_events(), tasks.digest_event),
            (payments.due_payments(self.now), tasks.advance_payment),
            (payments.due_refunds(self.now), tasks.advance_refund),
        ):
            for id in due:
                job(str(id))
        for order_id in renewals_queries.due_orders(self.now):
            tasks.advance_order(str(order_id))
            if self.random.random() < 0.2:
                tasks.advance_order(str(order_id))
        for line_id in renewals_queries.due_auto_renewals(self.now):
            tasks.advance_auto(str(line_id))
        lines.start_due_periods(now=self.now)

    def time_passes(self) -> None:
        self.now += self.random.choice(
            [timedelta(seconds=1), timedelta(seconds=25), timedelta(minutes=1), timedelta(minutes=3)] * 4
            + [timedelta(minutes=40), timedelta(days=3)]
        )

    def somebody_cancels(self) -> None:
        under_way = self.open_orders()
        if not under_way:
            return
        order = self.random.choice(under_way)
        try:
            renewals.cancel(order_id=order.id, customer=order.customer_id, now=self.now)
        except renewals.CannotDecide:
            self.note("too late to cancel")

    def money_comes_from_elsewhere(self) -> None:
        """As a payment would: into the hold, too little, too much, or too late; nobody is told."""
        orders = self.orders()
        if not orders:
            return
        waiting = [order for order in orders if order.state == State.AWAITING_FUNDS]
        order = self.random.choice(waiting or orders)
        cause = ids.new()
        money = ledger.Leg(
            cause, "paid", ledger.house("clearing", order.currency), order.hold_id, order.currency,
            self.random.choice([1, order.total_minor - 1, order.total_minor]),
        )  # fmt: skip
        self.from_elsewhere.append(cause)  # before: a kill at the commit leaves it posted
        self._post(money, now=self.now)

    def a_wallet_runs_dry(self) -> None:
        _, customer, market = self.random.choice(self.lines)
        self.spend_wallet(customer, CURRENCY[market])

    def spend_wallet(self, customer: UUID, currency: str) -> None:
        """All but a hundred minor units of it is gone."""
        held = ledger_queries.wallet_balance(customer=customer, currency=currency)
        if held.minor > 100:
            out = ledger.Leg(
                ids.new(), "taken back", ledger.wallet(customer=customer, currency=currency),
                ledger.house("staff_credit", currency), currency, held.minor - 100,
            )  # fmt: skip
            self._post(out, now=self.now)

    def a_wallet_is_filled(self) -> None:
        _, customer, market = self.random.choice(self.lines)
        self._credit(customer, market, 50_000)

    def somebody_decides(self) -> None:
        """A person looks at the carrier's own page and does the right thing, or plays safe and refunds."""
        for order in Order.objects.filter(state=State.NEEDS_A_PERSON).order_by("placed_at", "id"):
            for ordinal in order.open_ordinals:
                self._decide(order, ordinal)

    def _decide(self, order: Any, ordinal: int) -> None:
        there = self.truth(order.id, ordinal)
        exit = self.random.choice(["adopt", "refund"] if there else ["retry", "refund", "close"])
        try:
            renewals.decide(
                order_id=order.id, exit=exit, staff=self.staff, why="looked at the carrier's page",
                reference=str(there[0].id) if there else "", ordinal=ordinal, now=self.now,
            )  # fmt: skip
            self.note(f"decided {exit}")
            self.transport.unsure.discard(_key(order.id, ordinal))  # a person has looked
        except renewals.CannotDecide as error:
            self.note(error.code)

    def the_carrier_goes_dark(self) -> None:
        self.world.faults.set([_fault(*one) for one in DARK])

    def the_carrier_is_itself_again(self) -> None:
        self.world.faults.set([_fault(*one) for one in FAULTS])

    # -- looking at it -----------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        self.trace.append(f"{self.now.isoformat()} {text}")

    def open_orders(self) -> list[Any]:
        return list(Order.objects.filter(state__in=OPEN_STATES).order_by("placed_at", "id"))

    def orders(self) -> list[Any]:
        return list(Order.objects.order_by("placed_at", "id"))

    def unfinished(self) -> bool:
        unfinished = Order.objects.filter(next_step_at__isnull=False).exists() or self.till.unfinished()
        unfinished = unfinished or self.owners.unfinished()
        return unfinished or bool(renewals_queries.due_orders(self.now))

    def truth(self, order_id: UUID, ordinal: int) -> list[Any]:
        """What the carrier really did for this period of the order."""
        return self.world.truth(_key(order_id, ordinal))

    def fingerprint(self) -> str:
        """The same for the same seed."""
        ends = [(str(order.id), order.state, order.reason, order.delivered) for order in self.orders()]
        return hashlib.sha256(json.dumps([self.trace, ends]).encode()).hexdigest()

    def _check_as_it_goes(self) -> int:
        """How many orders there are; each that is being fulfilled holds its whole price."""
        with connection.cursor() as cursor:
            cursor.execute(PAID_TOO_LITTLE, [[State.FUNDED, State.ACTIVATING]])
            orders, paid_too_little = cursor.fetchone()
        for order_id in paid_too_little:
            self.wrong("paid too little", order_id)
        return orders

    def wrong(self, what: str, order_id: object) -> None:
        self.faults_seen.append(f"{what}: {order_id}")
        if what == self.stop_at:
            raise Found(what)

    def violations(self) -> set[str]:
        """What must never be, each as a sentence without its order."""
        for order in self.orders():
            self._check_order(order)
        for fault in ledger_queries.check_books():
            self.wrong("the books are wrong", fault)
        self.till.check()
        self.owners.check()
        return {fault.split(":")[0] for fault in self.faults_seen}

    def _check_order(self, order: Any) -> None:
        facts = Counter(fact.what for fact in journal.facts_about(order.id))
        lost = self._references_lost(order.id)
        taken = [[one for one in self.truth(order.id, n) if str(one.id) not in lost] for n in range(order.count)]
        periods = [period.ordinal for period in lines_queries.periods_of(order.id)]
        earned = sum(t.amount for t in ledger_queries.transfers_of(order.id) if t.leg in {"revenue", "tax"})
        is_active = order.state == State.ACTIVE
        is_there = [is_active and ordinal in order.delivered for ordinal in range(order.count)]
        shares = [order.share_minor(ordinal) for ordinal in order.delivered]
        wrongs = {
            "it never ended": order.next_step_at is not None,
            "it is still open": order.state in OPEN_STATES,
            "money is still held": ledger_queries.balance(order.hold_id) != 0,
            "activated twice": any(len(one) > 1 for one in taken),
            "active, but not at the carrier": any(
                there and not one for there, one in zip(is_there, taken, strict=True)
            ),
            "paid back, but active at the carrier": any(
                one and not there and not self._never_told(order.id, ordinal)
                for ordinal, (there, one) in enumerate(zip(is_there, taken, strict=True))
            ),
            "the periods do not fit": periods != [ordinal for ordinal, there in enumerate(is_there) if there],
            "neither delivered nor given back": is_active
            and len(order.delivered) + len(order.given_back) != order.count,
            "the card does not fit": not self._has_its_card(order, is_active=is_active),
            "earned what was not sold": earned != (sum(shares) if is_active else 0),
            "the shares do not add up": is_active and sum(shares) + order.given_back_minor != order.total_minor,
            "another share went back than was told": not self._shares_went_back(order),
            "refunded twice": self._refunded_twice(order),
            "a person was asked though the carrier had told": bool(facts["order.needs_a_person"])
            and self.transport.revealed_before(order),
        }
        for what, is_so in wrongs.items():
            if is_so:
                self.wrong(what, order.id)

    def _refunded_twice(self, order: Any) -> bool:
        """Once the whole hold goes back, no more goes back than comes in after that."""
        moved = ledger_queries.statement(order.hold_id)
        went = [one.at for one in moved if one.leg.startswith("refund") and one.debit_id == order.hold_id]
        came = [one.at for one in moved if one.credit_id == order.hold_id]
        return bool(went) and len(went) > 1 + sum(at >= min(went) for at in came)

    def _has_its_card(self, order: Any, *, is_active: bool) -> bool:
        """A renewal keeps its card; a new eSIM has one of its own, which the carrier sold for it, once it is active."""
        if not order.is_first or not is_active:
            return (order.line_id is not None) != order.is_first
        sold = {iccid for one in self.truth(order.id, 0) for iccid in one.iccids}
        return order.line.iccid in sold and order.line.owner_id == order.customer_id

    def _references_lost(self, order_id: UUID) -> set[str]:
        """What the carrier did for this order that is booked as the seller's loss."""
        losses = {"activation.carrier_loss", "activation.duplicate"}
        return {fact.after["reference"] for fact in journal.facts_about(order_id) if fact.what in losses}

    def _shares_went_back(self, order: Any) -> bool:
        """Whether exactly the share of each period that is given back left the hold: to the wallet, or as a refund."""
        back = Counter({t.leg: t.amount for t in ledger_queries.transfers_of(order.id) if t.leg.startswith("share:")})
        for refund in payments.refunds_about(order.id):
            if refund.leg.startswith("share:"):
                back[refund.leg] += refund.amount_minor
        return back == Counter({f"share:{ordinal}": order.share_minor(ordinal) for ordinal in order.given_back})

    def _never_told(self, order_id: UUID, ordinal: int) -> bool:
        """Whether the watch of thirty days ended and the carrier had not told of it to anybody who lived."""
        was_abandoned = Attempt.objects.filter(cause=order_id, ordinal=ordinal, state="abandoned").exists()
        return was_abandoned and _key(order_id, ordinal) not in self.transport.revealed


class Watched(InProcess):
    """The wire, with a witness: what was asked under which key, what was on the wire at once, what was told."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(application(shop.world), on_wire=shop.meanwhile)
        self.shop = shop
        self.on_the_wire: Counter[str] = Counter()
        self.unsure: set[str] = set()
        self.told: list[tuple[str, datetime]] = []
        self.revealed: dict[str, datetime] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        key = _key_in(request)
        is_ask = _is_ask(request)
        if is_ask:
            self._witness_ask(key)
        self.on_the_wire[key] += is_ask
        self.shop.begin_call()
        try:
            response = super().handle_request(request)
            if is_ask and not _is_sure(response):
                self.unsure.add(key)
        except BaseException:
            if is_ask:
                self.unsure.add(key)
            raise
        finally:
            self.on_the_wire[key] -= is_ask
        if request.url.path == LISTED and not is_ask:
            self._witness_look(key, response)
        return response

    def _witness_ask(self, key: str) -> None:
        if self.on_the_wire[key]:
            self.shop.wrong("two calls on the wire at once", key)
        if key in self.unsure:
            self.shop.wrong("asked again without looking", key)
        if not Attempt.objects.filter(id=UUID(key.removeprefix("xuka-")), state="intended").exists():
            self.shop.wrong("asked with nothing written down", key)

    def _witness_look(self, key: str, response: httpx.Response) -> None:
        try:
            rows = response.json()["data"] if response.status_code == 200 else None
        except (ValueError, KeyError):
            rows = None
        if rows is None or self._came_too_late(key):
            return
        self.unsure.discard(key)
        if rows:
            self.told.append((key, self.shop.now))

    def _came_too_late(self, key: str) -> bool:
        """Whether whoever asked has stopped listening: an answer after the deadline of the whole call tells nothing."""
        lease = Attempt.objects.filter(id=UUID(key.removeprefix("xuka-"))).values_list("lease_until", flat=True).first()
        return lease is not None and self.shop.now > lease - LEASE_MARGIN

    def remember(self) -> None:
        """What the carrier told to a process that lived to write it down."""
        for key, at in self.told:
            self.revealed.setdefault(key, at)
        self.told.clear()

    def revealed_before(self, order: Any) -> bool:
        """Whether the carrier had told of all of this order's activations before a person was asked."""
        told = [self.revealed.get(_key(order.id, ordinal)) for ordinal in range(order.count)]
        asked = min(f.at for f in journal.facts_about(order.id) if f.what == "order.needs_a_person")
        return all(at is not None and at < asked for at in told)


def _key(order_id: UUID, ordinal: int) -> str:
    """The key of one period of an order as the carrier stores it."""
    return words_of(key_of(cause=order_id, ordinal=ordinal))


def _forget_connection() -> None:
    """The next process begins with a connection of its own."""
    connection.in_atomic_block = False
    connection.needs_rollback = False
    connection.savepoint_ids = []
    connection.atomic_blocks = []
    connection.run_on_commit = []
    connection.close()


def _is_sure(response: httpx.Response) -> bool:
    """Whether the answer to an ask tells for certain what happened."""
    try:
        body = response.json()
    except ValueError:
        return False
    return response.status_code < 500 and body.get("code") != 53


def _is_ask(request: httpx.Request) -> bool:
    """A card is renewed or a new eSIM is bought: what must never happen twice."""
    return request.method == "POST" and request.url.path in {TOP_UPS, LISTED}


def _key_in(request: httpx.Request) -> str:
    if _is_ask(request):
        return json.loads(request.read())["description"]
    return request.url.params.get("filter[description]", "")


def _fault(endpoint: str, kind: str, probability: float) -> dict[str, Any]:
    return {"endpoint": endpoint, "kind": kind, "probability": probability, "times": None}


def _jobs(limit: int) -> list[tuple[int, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("select id, task_name, args->>'subject' from procrastinate_jobs order by id limit %s", [limit])
        return cursor.fetchall()


def _iccid(number: int) -> str:
    from stdnum import luhn

    digits = f"893200000000000{number:03d}"
    return digits + luhn.calc_check_digit(digits)
