"""The shop of ``renewal_world`` that also takes cards; the provider's webhooks come when the test says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from sandbox.payments.app import application
from sandbox.payments.hooks import signed
from sandbox.payments.world import World
from sandbox.transport import InProcess
from tests.journeys import renewal_world
from tests.journeys.renewal_world import Trade
from xuka.ledger import queries as ledger
from xuka.payments import providers, queries, rules
from xuka.payments.models import Event, Payment, Refund
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order

KEY, SECRET = "sk_test_a_key_for_tests", "whsec_a_secret_for_tests"
DEADLINE = timedelta(seconds=15)


class Till:
    """What customers do at the provider, and what the provider tells.

    Attributes:
        trade: the shop behind it.
        world: the provider.
        calls: method and path of every call that was put on the wire.
    """

    def __init__(self, trade: Trade) -> None:
        self.trade = trade
        self.world = World(now=lambda: trade.now, seed=1, keys=(KEY,), webhook_secret=SECRET)
        self.wire = InProcess(application(self.world))
        self.calls = self.wire.requests
        self.browser = Client()

    # -- the customer -------------------------------------------------------------------------------------------

    def buy(self, person: str = "xiaoyu", plan: str = "", *, pays_with: str = "card") -> Order:
        """An order that is to be paid at the provider; nobody was asked for money yet."""
        quote = self.trade.quote(person, plan)
        return renewals.place(
            order_id=uuid4(), quote_id=quote.id, customer=quote.customer_id, now=self.trade.now, pays_with=pays_with
        )

    def pay(self, order: Order, *, id: UUID | None = None, **how: Any) -> Payment:
        """Press the button: a payment is begun, or the live one goes on."""
        return renewals.pay(
            order_id=order.id, payment_id=id or uuid4(), customer=order.customer_id, method=order.pays_with,
            description="a week", return_url="http://shop.test/back", language="en", now=self.trade.now, **how,
        )  # fmt: skip

    def checkout(self, person: str = "xiaoyu") -> tuple[Order, Payment]:
        """Buy and press the button: the provider's page is open."""
        order = self.buy(person)
        payment = self.pay(order)
        assert payment.state == "open", payment.detail
        return order, payment

    def fail(self, kind: str, endpoint: str, *, times: int | None = 1, **more: Any) -> None:
        """The provider's next calls fail like this; what it was told before still holds."""
        there = list(self.world.faults.told()["waiting"])
        self.world.faults.set([*there, {"kind": kind, "endpoint": endpoint, "times": times, **more}])

    def heal(self) -> None:
        self.world.faults.set([])

    # -- webhooks -----------------------------------------------------------------------------------------------

    def post(self, body: bytes, signature: str) -> int:
        """Deliver a webhook to the shop's door; returns the status."""
        answer = self.browser.post(
            "/webhooks/stripe/", data=body, content_type="application/json", headers={"Stripe-Signature": signature}
        )
        return answer.status_code

    def take(self) -> list[tuple[bytes, str]]:
        """The webhooks that the provider has to tell, oldest first; they are not delivered by this."""
        return [(one.body, one.signature) for one in self.world.take_outbox()]

    def sign(self, body: bytes) -> str:
        """The signature of a webhook that the provider sends now."""
        return signed(body, secret=SECRET, at=int(self.trade.now.timestamp()))

    def deliver(self) -> None:
        """Everything that the provider has to tell is told, signed now, and digested."""
        for body, _ in self.take():
            assert self.post(body, self.sign(body)) == 200
        self.trade.work()

    # -- what came of it ----------------------------------------------------------------------------------------

    def payment(self, payment: Payment) -> Payment:
        return Payment.objects.get(id=payment.id)

    def refunds(self, order: Order) -> list[Refund]:
        return queries.refunds_about(order.id)

    def kept(self, payment: Payment, *, currency: str = "EUR") -> int:
        """What the provider really took under this payment's key, less what it gave back, minor units."""
        truth = self.world.truth(rules.words_of(payment.id))
        return truth.captured.get(currency.lower(), 0) - truth.refunded.get(currency.lower(), 0)

    def session(self, payment: Payment) -> dict[str, Any]:
        """The hosted page as the provider has it."""
        return self.world.one("checkout.session", payment.reference)

    def balance(self, kind: str, unit: str = "EUR") -> int:
        """What the seller's own account of this kind holds."""
        from xuka.ledger.rules import house_id

        return ledger.balance(house_id(kind, unit))

    def events(self) -> list[str]:
        return list(Event.objects.order_by("received_at", "event_id").values_list("state", flat=True))


@contextmanager
def with_a_till(settings: Any, patch: pytest.MonkeyPatch) -> Iterator[Till]:
    """A shop at work that takes cards. At the end its books must be right, and agree with the provider's."""
    with renewal_world.at_work(settings, patch) as trade:
        till = Till(trade)
        settings.PROVIDERS = {
            "stripe": {
                "connector": "xuka.connectors.payments.stripe.connector.Stripe",
                "base_url": "http://provider.test",
                "key": KEY,
                "webhook_secret": SECRET,
                "call_deadline": DEADLINE,
                "transport": till.wire,
            }
        }
        providers.provider.cache_clear()
        try:
            yield till
        finally:
            providers.provider.cache_clear()
        assert queries.check_books() == []
