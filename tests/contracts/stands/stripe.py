"""Stripe's connector in front of its stand-in, and a person with a card."""

from __future__ import annotations

from typing import Any

from sandbox.payments.errors import Refusal
from tests.contracts.test_providers import StripeStand
from xuka.kernel.money import Money
from xuka.payments.contract import Payment

# What the suite calls it -> what this stand-in does.
FAULTS = {"refund_refused": "refund_fails"}
ENDPOINTS = {"refund": "refund_create", "charge": "intent_create", "forget": "method_detach"}


class Stand(StripeStand):
    method = "card"
    monies = (Money(1999, "EUR"), Money(2980, "JPY"))
    posts = True
    wire = (
        "timeout_before",
        "timeout_after",
        "drop_before",
        "drop_after",
        "error_before",
        "error_after",
        "garbage_after",
        "rate_limited",
    )
    captures = False
    keeps = ("card", "paypal")

    def __init__(self, method: str = "card") -> None:
        super().__init__()
        self.method = method
        if method == "paypal":
            self.monies = self.monies[:1]  # at Stripe it takes no yen
        self.provider = self.another(methods=(method,), keeps=(method,))

    def fault(self, kind: str, **more: Any) -> None:
        if kind.startswith("error"):
            more["status"] = 503  # a 500 of Stripe's own is kept with the key: that has tests of its own
        if "endpoint" in more:
            more["endpoint"] = ENDPOINTS[more["endpoint"]]
        super().fault(FAULTS.get(kind, kind), **more)

    def pay(self, payment: Payment) -> None:
        try:
            super().pay(payment)
        except Refusal as no:
            raise LookupError(str(no)) from no

    def cancel(self, payment: Payment) -> None:
        """The person closes the page: at Stripe that changes nothing."""

    def pay_late(self, payment: Payment) -> None:
        raise LookupError("what is closed at Stripe stays unpaid")

    def settle_refund(self, key: str, *, ok: bool) -> None:
        refunds = self.world.state.things["refund"].values()
        id = next(one["id"] for one in refunds if one["metadata"].get("key") == key)
        if ok:
            self.world.settle_refund(id)
        else:
            self.world.fail_refund(id)

    def captured(self, key: str) -> dict[str, int]:
        return {name.upper(): minor for name, minor in super().captured(key).items()}

    def refunded(self, key: str) -> dict[str, int]:
        return {name.upper(): minor for name, minor in super().refunded(key).items()}

    def bills(self) -> int:
        return self.payments()

    def statement(self) -> bytes | None:
        return None
