"""The next step of a payment and of a refund; who may be asked for a fee. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from xuka.kernel.money import Money

# After the last real answer: time for the call, for the clock of another machine, and for the commit.
LEASE_MARGIN = timedelta(seconds=10)
FIRST_LOOK = timedelta(seconds=30)
LONGEST_LOOK = timedelta(hours=6)
# A refund that nobody heard of after so many looks is told to a person; looking goes on.
LOOKS_BEFORE_ALARM = 8
# A bank may send a refund back weeks after it seemed to have arrived, and the webhook that tells it may be lost.
LOOKS_WHEN_DONE = (timedelta(days=1), timedelta(days=7), timedelta(days=30))
# A provider that was silent so often in a row is not offered for a while.
SILENCES_ALLOWED = 2
DOWN_FOR = timedelta(minutes=1)
DOWN_AT_MOST = timedelta(minutes=10)
EVENT_AT_MOST_BYTES = 64 * 1024


class PaymentState(StrEnum):
    STARTING = "starting"  # written before the call; whether the provider took it is not known yet
    OPEN = "open"  # the customer can pay
    PROCESSING = "processing"  # the customer paid; the provider does not know yet whether the money comes
    PAID = "paid"  # captured as asked, and booked
    CLOSED = "closed"  # nothing was paid and nothing can be
    MISMATCHED = "mismatched"  # something else was captured than was asked: a person

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(state.value, state.name) for state in cls]


LIVE_STATES = (PaymentState.STARTING, PaymentState.OPEN, PaymentState.PROCESSING)


class RefundState(StrEnum):
    STARTING = "starting"  # written before the call; whether the provider took it is not known yet
    PENDING = "pending"  # the provider took it
    DONE = "done"  # gone; a bank may still send it back
    FAILED = "failed"  # it did not arrive: a person
    SETTLED = "settled"  # a person gave the money back another way

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(state.value, state.name) for state in cls]


IN_FLIGHT = (RefundState.STARTING, RefundState.PENDING)


class Step(StrEnum):
    """What ``advance`` does next."""

    ASK = "ask"
    FIND = "find"  # by our key: the answer to the ask was never heard
    LOOK = "look"  # by the provider's id
    CLOSE = "close"  # nothing more shall be paid on it
    WAIT = "wait"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Next:
    """The step to take, and for WAIT until when."""

    step: Step
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """Everything the next step of a payment depends on; times aware UTC."""

    state: PaymentState
    has_reference: bool
    closing: bool
    pay_by: datetime
    lease_until: datetime | None
    next_step_at: datetime | None


def next_payment_step(now: datetime, facts: PaymentFacts) -> Next:
    """What to do about a payment now. Asked again with the same facts, it answers the same.

    A payment is asked only by the person who pays; here it is found, looked at and closed.
    """
    if facts.state in {PaymentState.PAID, PaymentState.MISMATCHED} or facts.next_step_at is None:
        return Next(Step.FINISH)
    if facts.lease_until is not None and now < facts.lease_until:
        return Next(Step.WAIT, facts.lease_until)
    if now < facts.next_step_at:
        return Next(Step.WAIT, facts.next_step_at)
    if not facts.has_reference:
        return Next(Step.FIND)
    is_over = facts.closing or now >= facts.pay_by
    return Next(Step.CLOSE if is_over and facts.state != PaymentState.PROCESSING else Step.LOOK)


@dataclass(frozen=True, slots=True)
class RefundFacts:
    """Everything the next step of a refund depends on; times aware UTC.

    Args:
        surely_absent: it was looked for, late enough, and is not there: it may be asked again under its key.
    """

    state: RefundState
    has_reference: bool
    asks: int
    surely_absent: bool
    lease_until: datetime | None
    next_step_at: datetime | None


def next_refund_step(now: datetime, facts: RefundFacts) -> Next:
    """What to do about a refund now. Look before asking again."""
    if facts.lease_until is not None and now < facts.lease_until:
        return Next(Step.WAIT, facts.lease_until)
    if facts.next_step_at is None:
        return Next(Step.FINISH)
    if now < facts.next_step_at:
        return Next(Step.WAIT, facts.next_step_at)
    if facts.has_reference:
        return Next(Step.LOOK)
    if facts.state != RefundState.STARTING:
        return Next(Step.FINISH)
    return Next(Step.ASK if facts.asks == 0 or facts.surely_absent else Step.FIND)


def look_again_after(looks: int) -> timedelta:
    """How long to wait after this many looks that told nothing new: 30 s, doubling up to 6 h."""
    return min(FIRST_LOOK * 2 ** min(looks, 20), LONGEST_LOOK)


def look_at_what_is_done(done_at: datetime, now: datetime) -> datetime | None:
    """When to look next at a refund that is done: after a day, a week, a month; None when that is all over."""
    return next((done_at + after for after in LOOKS_WHEN_DONE if done_at + after > now), None)


def down_for(silences: int) -> timedelta | None:
    """How long a provider is not offered after so many silences in a row; None: it still is."""
    if silences < SILENCES_ALLOWED:
        return None
    return min(DOWN_FOR * 2 ** min(silences - SILENCES_ALLOWED, 10), DOWN_AT_MOST)


def words_of(key: UUID) -> str:
    """The key as the provider stores it."""
    return f"xuka-{key.hex}"


def key_in(words: str) -> UUID | None:
    """Our key in a provider's words; None when it is none of ours."""
    try:
        return UUID(hex=words.removeprefix("xuka-")) if words.startswith("xuka-") else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Refundable:
    """A payment some of which can go back: how much is left of it, minor units."""

    payment_id: UUID
    left_minor: int


def shares(amount_minor: int, payments: list[Refundable]) -> list[tuple[UUID, int]]:
    """How an amount goes back to the payments it came from, in their order. What is left over came another way."""
    parts: list[tuple[UUID, int]] = []
    for payment in payments:
        part = min(amount_minor, payment.left_minor)
        if part > 0:
            parts.append((payment.payment_id, part))
            amount_minor -= part
    return parts


def fee(money: Money, basis_points: int) -> Money:
    """The fee on an amount, rounded half up to the minor unit."""
    return Money((money.minor * basis_points + 5_000) // 10_000, money.currency)


# Where the law forbids a fee on a consumer's card or transfer: the European Economic Area, after PSD2 (Directive (EU)
# 2015/2366) art. 62 (4).
_EEA = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"
NO_FEES_IN = frozenset(_EEA.split())
