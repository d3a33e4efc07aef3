"""A carrier in this process that does everything at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from xuka.activation.contract import Activation, Offer, Usage
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done

# What the demo's plans are delivered by.
PACKAGES = (
    "belsim-7days-unlimited-topup",
    "belsim-30days-unlimited-topup",
    "nihonsim-7days-unlimited-topup",
    "nihonsim-30days-unlimited-topup",
)


class Instant:
    """Answers ``Done`` at once and keeps nothing."""

    name = "instant"
    call_deadline = timedelta(seconds=20)
    absent_after = timedelta(minutes=5)
    usage_every = timedelta(hours=1)
    can_throttle = can_text = can_start_next = can_cancel = False

    def offers(self, *, iccid: str) -> Done[tuple[Offer, ...]]:
        """Everything the demo sells, for a dollar."""
        return Done(tuple(Offer(package, Money(100, "USD")) for package in PACKAGES))

    def renew(self, *, key: str, iccid: str, package: str) -> Done[Activation]:
        """Taken this moment."""
        return Done(Activation(uuid4().hex, key, iccid, package, activated_at=datetime.now(UTC)))

    def find(self, *, key: str, iccid: str, package: str) -> Done[tuple[Activation, ...]]:
        """Nothing is kept, so nothing is found."""
        return Done(())

    def usage(self, *, iccid: str) -> Done[Usage]:
        """Unlimited, as of now."""
        return Done(Usage(datetime.now(UTC), True, None, None, None, "ACTIVE"))

    def balance(self) -> Done[Money]:
        """A million dollars."""
        return Done(Money(100_000_000, "USD"))
