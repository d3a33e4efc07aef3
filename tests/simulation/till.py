"""The card side of the simulated shop: customers on the provider's pages, webhooks that come as they like."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx

from sandbox.payments.app import application
from sandbox.payments.world import World
from sandbox.transport import InProcess
from xuka.kernel import ids
from xuka.ledger import queries as ledger
from xuka.ledger.rules import house_id
from xuka.payments import contract, events, queries, refunds, rules
from xuka.payments import operations as payments
from xuka.payments.models import Payment, Refund
from xuka.renewals import operations as renewals

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

KEY, SECRET = "sk_test_simulated", "whsec_simulated"

# Half of all calls go wrong, in every way the stand-in knows.
FAULTS = [
    *((f"{of}_create", kind, chance) for of in ("session", "refund", "intent") for kind, chance in (
        ("timeout_before", 0.1), ("timeout_after", 0.12), ("error_before", 0.05), ("error_after", 0.06),
        ("drop_after", 0.06), ("garbage_after", 0.05), ("rate_limited", 0.04),
    )),
    *((endpoint, kind, 0.12) for kind in ("timeout_before", "error_before", "garbage_after")
      for endpoint in ("session_get", "session_expire", "session_list", "refund_get", "refund_list")),
    ("refund_create", "refund_pending", 0.1),
    ("refund_create", "refund_fails", 0.05),
    ("pay", "wrong_amount", 0.02),
    ("pay", "wrong_currency", 0.02),
    ("intent_create", "decline_saved", 0.2),
    ("intent_create", "saved_needs_3ds", 0.2),
]  # fmt: skip
DARK = [("*", "timeout_before", 0.9)]
HOOKS = [("*", "duplicated", 0.1), ("*", "reordered", 0.2), ("*", "lost", 0.2), ("*", "forged", 0.05)]


class Till:
    """What the simulated customers do with cards, and what must hold of their money."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.world = World(now=lambda: shop.now, seed=shop.seed, keys=(KEY,), webhook_secret=SECRET)
        self.wire = Wire(self)
        self.settings = {
            "stripe": {
                "connector": "xuka.connectors.payments.stripe.connector.Stripe",
                "base_url": "http://provider.test",
                "key": KEY,
                "webhook_secret": SECRET,
                "transport": self.wire,
            }
        }

    def fail(self) -> None:
        """The provider as it is on a bad day."""
        self._set([*FAULTS, *HOOKS])

    def go_dark(self) -> None:
        self._set([*DARK, *FAULTS, *HOOKS])

    def heal(self) -> None:
        self.world.faults.set([])

    def _set(self, wanted: list[tuple[str, str, float]]) -> None:
        self.world.faults.set([{"endpoint": e, "kind": kind, "probability": p, "times": None} for e, kind, p in wanted])

    # -- what customers do -------------------------------------------------------------------------------------

    def press_pay(self, order: Any) -> None:
        """A customer presses the button, perhaps twice, perhaps in another tab, perhaps with another card."""
        random = self.shop.random
        cards = queries.saved_cards(order.customer_id)
        id = ids.new()
        for _ in range(random.choice([1, 1, 1, 2])):
            try:
                payment = renewals.pay(
                    order_id=order.id,
                    payment_id=random.choice([id, id, ids.new()]),
                    customer=order.customer_id,
                    method="card",
                    description="a week",
                    return_url="http://shop.test/back",
                    language="en",
                    save_card=random.random() < 0.2,
                    saved_card=random.choice([None, *(card.id for card in cards)]),
                    now=self.shop.now,
                )
                self.shop.note(f"payment {payment.state}")
            except (renewals.CannotPay, payments.DifferentPayment) as error:
                self.shop.note(f"cannot pay: {error}")

    def somebody_presses_pay(self) -> None:
        waiting = [order for order in self.shop.open_orders() if order.pays_with == "card"]
        if waiting:
            self.press_pay(self.shop.random.choice(waiting))

    def somebody_is_on_the_page(self) -> None:
        """A customer does something on any page that is still open, also on one that was left long ago."""
        open_pages = [one["id"] for one in self.world.sessions() if one["status"] == "open"]
        if not open_pages:
            return
        page = self.shop.random.choice(open_pages)
        act = self.shop.random.choice(["pay", "pay", "pay", "decline", "3ds", "3ds refused", "delay"])
        self.shop.note(f"on the page: {act}")
        self._act(act, page)

    def _act(self, act: str, page: str) -> None:
        match act:
            case "pay":
                self.world.pay(page)
            case "decline":
                self.world.decline(page)
            case "delay":
                self.world.delay(page)
            case _:
                self.world.pay_with_3ds(page, approve=act == "3ds")

    def the_bank_decides(self) -> None:
        """Delayed money arrives or does not; a pending refund arrives, or one that had arrived comes back."""
        random = self.shop.random
        for session in self.world.sessions():
            if session["status"] == "complete" and session["payment_status"] == "unpaid" and random.random() < 0.5:
                self.world.settle_delayed(session["id"], ok=random.random() < 0.7)
        for refund in Refund.objects.exclude(reference="").order_by("asked_at", "id"):
            if refund.state == "pending" and random.random() < 0.5:
                self.world.settle_refund(refund.reference)
            elif refund.state == "done" and self._is_recent(refund) and random.random() < 0.05:
                self.world.fail_refund(refund.reference)

    def _is_recent(self, refund: Refund) -> bool:
        """No bank sends money back after four weeks."""
        return refund.done_at is not None and self.shop.now - refund.done_at < timedelta(days=28)

    def webhooks_arrive(self) -> None:
        """Some of what the provider told, in an order of its own, some of it twice."""
        told = self.world.take_outbox()
        self.shop.random.shuffle(told)
        for delivery in told:
            for _ in range(self.shop.random.choice([1, 1, 2])):
                self._receive(delivery.body, delivery.signature)

    def _receive(self, body: bytes, signature: str) -> None:
        try:
            events.receive(provider="stripe", body=body, headers={"stripe-signature": signature}, now=self.shop.now)
        except contract.Forged:
            self.shop.note("forged")
        except events.UnknownPayment:
            self.shop.wrong("a webhook of ours was not known", body[:80])

    def somebody_decides(self) -> None:
        """A person ends what waits for one."""
        staff, random = self.shop.staff, self.shop.random
        for refund in Refund.objects.filter(state="failed").order_by("asked_at", "id"):
            exit = random.choice(refunds.EXITS)
            try:
                refunds.decide(
                    refund_id=refund.id,
                    round=refund.round,
                    exit=exit,
                    staff=staff,
                    why="asked them",
                    reference="7",
                    now=self.shop.now,
                )
            except payments.CannotDecide as error:
                self.shop.note(error.code)
        for payment in Payment.objects.filter(state="mismatched").order_by("asked_at", "id"):
            refunds.give_mismatch_back(payment_id=payment.id, staff=staff, why="not asked", now=self.shop.now)

    # -- what must hold ----------------------------------------------------------------------------------------

    def unfinished(self) -> bool:
        return bool(
            Payment.objects.filter(next_step_at__isnull=False).exists()
            or Refund.objects.filter(next_step_at__isnull=False).exists()
            or Refund.objects.filter(state="failed").exists()
            or queries.undigested_events()
        )

    def check(self) -> None:
        """Every minor unit that the provider holds is where the books say, for each payment and in all."""
        sums: Counter[str] = Counter()
        for payment in Payment.objects.all():
            truth = self.world.truth(rules.words_of(payment.id))
            if len(truth.captures) > 1:
                self.shop.wrong("one payment was captured twice", payment.id)
            booked = (
                Counter({payment.paid_currency.lower(): payment.paid_minor or 0}) if payment.paid_minor else Counter()
            )
            if Counter(truth.captured) != booked:
                self.shop.wrong("captured is not what is booked", f"{payment.id} {truth.captured} {booked}")
            gone = Refund.objects.filter(payment=payment, state="done")
            back = sum(one.amount_minor for one in gone)
            if sum(truth.refunded.values()) != back:
                self.shop.wrong("given back is not what is booked", f"{payment.id} {truth.refunded} {back}")
            if back > (payment.paid_minor or 0):
                self.shop.wrong("more was given back than was taken", payment.id)
            for unit, minor in truth.captured.items():
                sums[unit] += minor
            for unit, minor in truth.refunded.items():
                sums[unit] -= minor
        self._check_totals(sums)
        for fault in queries.check_books():
            self.shop.wrong("the books of payments are wrong", fault)

    def _check_totals(self, sums: Counter[str]) -> None:
        for unit, minor in sums.items():
            strange = [one for cause in self.shop.from_elsewhere for one in ledger.transfers_of(cause)]
            elsewhere = sum(one.amount for one in strange if one.unit == unit.upper())
            owed = -ledger.balance(house_id("clearing", unit.upper())) - elsewhere
            if owed != minor:
                self.shop.wrong("the provider owes another sum than the books say", f"{unit} {owed} {minor}")
            for kind in ("refunds_in_flight", "suspense"):
                if ledger.balance(house_id(kind, unit.upper())):
                    self.shop.wrong(f"something is left in {kind}", unit)


class Wire(InProcess):
    """The wire to the provider, where other workers meet the same orders and processes die."""

    def __init__(self, till: Till) -> None:
        super().__init__(application(till.world), on_wire=till.shop.meanwhile)
        self.till = till

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.till.shop.begin_call()
        return super().handle_request(request)
