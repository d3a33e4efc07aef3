"""The paying side of the simulated shop: customers on the providers' pages, webhooks that come as they like."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.simulation.desks import Desk, desks
from xuka.kernel import ids
from xuka.ledger import queries as ledger
from xuka.ledger.rules import house_id
from xuka.payments import contract, events, queries, refunds, rules
from xuka.payments import operations as payments
from xuka.payments.models import Payment, Refund
from xuka.renewals import operations as renewals

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

# What may be kept, and pays the next time without a page.
KEPT = ("card", "paypal")


class Till:
    """What the simulated customers do with cards and wallets, and what must hold of their money."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.desks: dict[str, Desk] = desks(shop)
        self.settings = {name: desk.settings for name, desk in self.desks.items()}

    def fail(self) -> None:
        """Every provider as it is on a bad day."""
        for desk in self.desks.values():
            desk.fail(dark=False)

    def go_dark(self) -> None:
        """One of them hardly answers."""
        self.shop.random.choice(list(self.desks.values())).fail(dark=True)

    def heal(self) -> None:
        for desk in self.desks.values():
            desk.heal()

    def method(self, market: str) -> str:
        """One of the ways to pay there, so that each provider has its share."""
        return self.shop.random.choice([one for desk in self.desks.values() for one in desk.methods.get(market, ())])

    def pay_and_keep(self, order: Any, method: str) -> None:
        """A customer pays without ado, and has what they pay with kept."""
        payment = renewals.pay(
            order_id=order.id, payment_id=ids.new(), customer=order.customer_id, method=method, description="a week",
            return_url="http://shop.test/back", language="en", save_method=True, now=self.shop.now,
        )  # fmt: skip
        desk = self.desks[payment.provider]
        page = next((page for page, key in desk.open_pages().items() if key == rules.words_of(payment.id)), None)
        if page is not None:  # time may have run out while it was asked for
            desk.pay(page)
            payments.look_now(cause=order.id, now=self.shop.now)

    # -- what customers do -------------------------------------------------------------------------------------

    def press_pay(self, order: Any, method: str) -> None:
        """A customer presses the button, perhaps twice, perhaps in another tab, perhaps with another card or method."""
        random = self.shop.random
        saved = queries.saved_methods(order.customer_id)
        id = ids.new()
        for _ in range(random.choice([1, 1, 1, 2])):
            chosen = random.choice([method, method, method, self.method(order.market_id)])
            mine = [one.id for one in saved if one.method == chosen]
            try:
                payment = renewals.pay(
                    order_id=order.id,
                    payment_id=random.choice([id, id, ids.new()]),
                    customer=order.customer_id,
                    method=chosen,
                    description="a week",
                    return_url="http://shop.test/back",
                    language="en",
                    save_method=chosen in KEPT and random.random() < 0.4,
                    saved_method=random.choice([None, *mine]) if chosen in KEPT else None,
                    device=random.choice(["desk", "phone"]),
                    now=self.shop.now,
                )
                self.shop.note(f"{chosen} {payment.state}")
                if random.random() < 0.6:
                    self._go_on(payment)
            except (renewals.CannotPay, payments.DifferentPayment) as error:
                self.shop.note(f"cannot pay: {error}")

    def somebody_presses_pay(self) -> None:
        waiting = [order for order in self.shop.open_orders() if order.pays_with != "wallet"]
        if waiting:
            order = self.shop.random.choice(waiting)
            self.press_pay(order, order.pays_with)

    def somebody_is_on_the_page(self) -> None:
        """A customer does something on any page that is still open, also on one that was left long ago."""
        keys = [key for desk in self.desks.values() for key in desk.open_pages().values()]
        payment = Payment.objects.filter(id=rules.key_in(self.shop.random.choice(keys))).first() if keys else None
        if payment:
            self._go_on(payment)

    def _go_on(self, payment: Payment) -> None:
        """The customer does something on its page; then they mostly come back to the shop."""
        desk = self.desks[payment.provider]
        page = next((page for page, key in desk.open_pages().items() if key == rules.words_of(payment.id)), None)
        if page is None:
            return
        desk.act(page)
        if self.shop.random.random() < 0.8:
            payments.look_now(cause=payment.cause, now=self.shop.now)

    def the_bank_decides(self) -> None:
        """Delayed money arrives or does not; a pending refund arrives, or one that had arrived comes back."""
        for desk in self.desks.values():
            desk.bank_decides()
        for refund in Refund.objects.filter(state="done").select_related("payment").order_by("asked_at", "id"):
            if self._is_recent(refund) and self.shop.random.random() < 0.05:
                self.desks[refund.payment.provider].send_back(refund.reference)

    def _is_recent(self, refund: Refund) -> bool:
        """No bank sends money back after four weeks."""
        return refund.done_at is not None and self.shop.now - refund.done_at < timedelta(days=28)

    def webhooks_arrive(self) -> None:
        """Some of what the providers told, in an order of its own, some of it twice."""
        told = [(name, *notice) for name, desk in self.desks.items() for notice in desk.take_outbox()]
        self.shop.random.shuffle(told)
        for notice in told:
            for _ in range(self.shop.random.choice([1, 1, 2])):
                self._receive(*notice)

    def _receive(self, provider: str, body: bytes, headers: dict[str, str]) -> None:
        try:
            events.receive(provider=provider, body=body, headers=headers, now=self.shop.now)
        except (contract.Forged, contract.CannotVerify) as error:
            self.shop.note(type(error).__name__)
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
        """Every minor unit that the providers hold is where the books say, for each payment and in all."""
        sums: Counter[str] = Counter()
        for payment in Payment.objects.all():
            desk, key = self.desks[payment.provider], rules.words_of(payment.id)
            captured, refunded = desk.captured(key), desk.refunded(key)
            if desk.captures(key) > 1:
                self.shop.wrong("one payment was captured twice", payment.id)
            booked = Counter({payment.paid_currency: payment.paid_minor}) if payment.paid_minor else Counter()
            if captured != booked:
                self.shop.wrong("captured is not what is booked", f"{payment.id} {captured} {booked}")
            gone = Refund.objects.filter(payment=payment, state="done")
            back = sum(one.amount_minor for one in gone)
            if refunded.total() != back:
                self.shop.wrong("given back is not what is booked", f"{payment.id} {refunded} {back}")
            if back > (payment.paid_minor or 0):
                self.shop.wrong("more was given back than was taken", payment.id)
            sums.update(captured)
            sums.subtract(refunded)
        self._check_totals(sums)
        for fault in queries.check_books():
            self.shop.wrong("the books of payments are wrong", fault)

    def _check_totals(self, sums: Counter[str]) -> None:
        for unit, minor in sums.items():
            strange = [one for cause in self.shop.from_elsewhere for one in ledger.transfers_of(cause)]
            elsewhere = sum(one.amount for one in strange if one.unit == unit)
            owed = -ledger.balance(house_id("clearing", unit)) - elsewhere
            if owed != minor:
                self.shop.wrong("the provider owes another sum than the books say", f"{unit} {owed} {minor}")
            for kind in ("refunds_in_flight", "suspense"):
                if ledger.balance(house_id(kind, unit)):
                    self.shop.wrong(f"something is left in {kind}", unit)
