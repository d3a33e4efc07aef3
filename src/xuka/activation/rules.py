"""What an answer of a carrier makes of an attempt. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from xuka.activation.contract import Activation, Reason
from xuka.kernel import ids
from xuka.kernel.money import Money

OFFERS_FRESH = timedelta(seconds=60)
BALANCE_FRESH = timedelta(minutes=10)
BALANCE_TRUSTED = timedelta(hours=1)
# After the last real answer: time for the call, for the clock of another machine, and for the commit.
LEASE_MARGIN = timedelta(seconds=10)
SHORT_LOOKS = 6
SHORT_LOOK = timedelta(seconds=20)
LONG_LOOK = timedelta(hours=6)
# After the first failed try of a speed, the second, and so on; later ones a day apart, for as long as it is wanted.
THROTTLE_BACK_OFF = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))
THROTTLE_DAILY = timedelta(days=1)
# How often a speed that was set is compared with the carrier, and how soon again when the carrier did not tell.
THROTTLE_LOOK_EVERY = timedelta(days=1)
THROTTLE_LOOK_AGAIN = timedelta(hours=1)


def key_of(*, cause: UUID, ordinal: int) -> UUID:
    """The one id of an attempt, and the carrier's key: the same for every call about this period of this order."""
    return ids.derived(cause, f"activation:{ordinal}")


def words_of(key: UUID) -> str:
    """The key as the carrier stores it: fixed length and ASCII, so that a LIKE filter and a signature cannot slip."""
    return f"xuka-{key.hex}"


def look_again_after(looks: int) -> timedelta:
    """How long to wait after this many looks in a row that told nothing: 20 s six times, then doubling up to 6 h."""
    if looks < SHORT_LOOKS:
        return SHORT_LOOK
    return min(SHORT_LOOK * 2 ** min(looks - SHORT_LOOKS + 1, 20), LONG_LOOK)


def throttle_again_after(tries: int, *, at_least: timedelta = timedelta()) -> timedelta:
    """How long to wait after this many tries (from 1) of a speed failed: 1, 5, 30 min, 2 h, then daily, without end.

    Args:
        at_least: what the carrier asked for.
    """
    assert tries >= 1, "nothing was tried"
    pause = THROTTLE_BACK_OFF[tries - 1] if tries <= len(THROTTLE_BACK_OFF) else THROTTLE_DAILY
    return max(pause, at_least)


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a package can be sold for a card right now; ``why_not`` is a word for the customer's sentence."""

    why_not: str = ""

    @property
    def is_offered(self) -> bool:
        return not self.why_not


def standing(
    *,
    offered_cost: Money | None,
    offers_reason: str,
    balance: Money | None,
    balance_as_of: datetime | None,
    now: datetime,
    count: int = 1,
) -> Standing:
    """Whether payment may be offered: the carrier offers the package on this card and the seller's credit covers it,
    ``count`` times.

    Args:
        offered_cost: the carrier's price in the last fresh reading; None when the package is not in it.
        offers_reason: why the reading is empty: a Reason, "unknown" when the carrier did not answer, or "".
        balance: the last reading of the seller's credit, None when it was never read.
    """
    if offers_reason == "unknown":
        return Standing("carrier_silent")
    if offered_cost is None:
        return Standing("card_recycled" if offers_reason == Reason.CARD_RECYCLED else "not_renewable")
    if balance is None or balance_as_of is None or now - balance_as_of > BALANCE_TRUSTED:
        return Standing("carrier_silent")
    if balance.currency == offered_cost.currency and balance.minor < offered_cost.minor * count:
        return Standing("seller_out_of_credit")
    return Standing()


def standing_of_new(*, cost: Money, balance: Money | None, balance_as_of: datetime | None, now: datetime) -> Standing:
    """Whether payment of a new eSIM may be offered: no card is there to ask about, so by the seller's credit alone."""
    return standing(offered_cost=cost, offers_reason="", balance=balance, balance_as_of=balance_as_of, now=now)


def exact(found: tuple[Activation, ...], *, key: str, iccid: str | None, package: str) -> tuple[Activation, ...]:
    """Only what is exactly ours, oldest first: the carrier's filter may be a LIKE. Of the same second, as listed.

    Args:
        iccid: None for new eSIMs, which have a card of their own each.
    """
    ours = [a for a in found if (a.key, a.package) == (key, package) and iccid in (None, a.iccid)]
    return tuple(sorted(ours, key=lambda a: a.activated_at))
