"""PayPal and a person in Brussels, Tokyo or Taipei."""

from __future__ import annotations

from typing import Any

from sandbox.transport import InProcess
from sandbox.wallets.paypal import CLIENT, SECRET, WEBHOOK, PayPalTill, paypal
from sandbox.wallets.till import WIRE
from tests.contracts.stands import BEGIN, Clock
from tests.contracts.stands.on_till import OnTill
from xuka.connectors.payments.paypal.connector import PayPal
from xuka.kernel.money import Money


class Stand(OnTill):
    method = "paypal"
    monies = (Money(1999, "EUR"), Money(2980, "JPY"), Money(59900, "TWD"))
    posts = True
    wire = tuple(kind for kind in WIRE if kind != "bad_signature_after")
    captures = True
    keeps = ("paypal",)

    def __init__(self, method: str = "paypal") -> None:
        self.clock = Clock()
        self.till: PayPalTill = PayPalTill(now=self.clock.now)
        self.transport = InProcess(paypal(self.till))
        self.provider = self.another()
        # The token is there before anything goes wrong: else every fault would only happen to it.
        self.provider.find(key="nobody's", asked_at=BEGIN, is_hosted=True)

    def another(self, **settings: Any) -> PayPal:
        given: dict[str, Any] = {
            "base_url": "http://wallet.test",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "webhook_id": WEBHOOK,
            "markets": ("BE", "JP", "TW"),
            "keeps": True,
            "transport": self.transport,
            "now": self.clock.now,
            "monotonic": self.clock.monotonic,
        }
        return PayPal(**given | settings)
