"""What the stands have in common whose far side is a ``sandbox.wallets.till.Till``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.transport import InProcess
from sandbox.wallets.till import Fault, Till
from tests.contracts.stands import Clock
from xuka.payments.contract import Payment


class OnTill:
    """The person and the faults of a till; a subclass has the clock, the till, the transport and the provider."""

    clock: Clock
    till: Till
    transport: InProcess

    def bill_of(self, payment: Payment) -> str:
        """The id that the till knows the payment under."""
        return payment.reference

    def fault(self, kind: str, **more: Any) -> None:
        self.till.waiting.append(Fault(kind, **more))

    def heal(self) -> None:
        self.till.waiting.clear()

    def pay(self, payment: Payment) -> None:
        self.till.pay(self.bill_of(payment))

    def decline(self, payment: Payment) -> None:
        self.till.decline(self.bill_of(payment))

    def cancel(self, payment: Payment) -> None:
        self.till.cancel(self.bill_of(payment))

    def pay_late(self, payment: Payment) -> None:
        self.till.pay_late(self.bill_of(payment))

    def settle_refund(self, key: str, *, ok: bool) -> None:
        self.till.settle_refund(key, ok=ok)

    def captured(self, key: str) -> dict[str, int]:
        return self.till.captured(key)

    def refunded(self, key: str) -> dict[str, int]:
        return self.till.refunded(key)

    def bills(self) -> int:
        return len(self.till.bills)

    def on_wire(self, hook: Callable[[], None] | None) -> None:
        self.transport.on_wire = hook

    def webhooks(self) -> list[tuple[bytes, dict[str, str]]]:
        taken = self.till.take_outbox()
        return [(body, {name.lower(): value for name, value in headers.items()}) for body, headers in taken]

    def statement(self) -> bytes | None:
        return None
