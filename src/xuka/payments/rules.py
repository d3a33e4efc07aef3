"""The next step of a payment and of a refund; who may be asked for a fee; what a voucher's code is. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from xuka.kernel.money import Money, rounded

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
    APPROVED = "approved"  # the customer agreed; the money is to be captured
    PROCESSING = "processing"  # the customer paid, or it is being captured; whether the money comes is not known yet
    PAID = "paid"  # captured as asked, and booked
    CLOSED = "closed"  # nothing was paid and nothing can be
    MISMATCHED = "mismatched"  # something else was captured than was asked: a person

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(state.value, state.name) for state in cls]


LIVE_STATES = (PaymentState.STARTING, PaymentState.OPEN, PaymentState.APPROVED, PaymentState.PROCESSING)


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
    CAPTURE = "capture"  # the customer agreed: take the money
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
    """Everything the next step of a payment depends on; times aware UTC.

    Args:
        absent_at: from when on a call that was not answered has surely done nothing.
    """

    state: PaymentState
    has_reference: bool
    closing: bool
    pay_by: datetime
    lease_until: datetime | None
    next_step_at: datetime | None
    absent_at: datetime | None = None


def next_payment_step(now: datetime, facts: PaymentFacts) -> Next:
    """What to do about a payment now. Asked again with the same facts, it answers the same.

    A payment is asked only by the person who pays; here it is found, looked at, captured and closed. What is over is
    never captured; nor is it closed while a capture that was not answered may still be done over there.
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
    if is_over and facts.state == PaymentState.APPROVED and facts.absent_at is not None and now < facts.absent_at:
        return Next(Step.WAIT, facts.absent_at)
    if is_over and facts.state != PaymentState.PROCESSING:
        return Next(Step.CLOSE)
    return Next(Step.CAPTURE if facts.state == PaymentState.APPROVED else Step.LOOK)


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
    """The fee on an amount, rounded half up to the minor unit (TWD: to the dollar)."""
    return Money(rounded(Decimal(money.minor * basis_points) / 10_000, money.currency), money.currency)


# Where the law forbids a fee on a consumer's card or transfer: the European Economic Area, after PSD2 (Directive (EU)
# 2015/2366) art. 62 (4).
_EEA = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"
NO_FEES_IN = frozenset(_EEA.split())


# -- voucher codes -------------------------------------------------------------------------------------------------

# Crockford's base 32: no I, L, O, which are read as 1 and 0, and no U.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_SIGNS = 16
VOUCHERS_AT_MOST = 10_000
_LOOK_ALIKE = str.maketrans("OIL", "011")
# What people and their keyboards put between the groups, after full-width signs were made plain.
_BETWEEN = re.compile(r"[\s\-_.·・ー\u2010-\u2015\u2212\u200b-\u200f\u2060\ufeff]+")


class MistypedCode(Exception):
    """Not a code: a sign is missing, too many or not of the alphabet, or the check sign does not fit."""


def new_code(sign: Callable[[str], str]) -> str:
    """A new voucher code: fifteen signs that ``sign`` drew from the alphabet (75 bits), and their check sign."""
    signs = "".join(sign(ALPHABET) for _ in range(CODE_SIGNS - 1))
    return signs + ALPHABET[_check(signs)]


def grouped(code: str) -> str:
    """As it is printed: ``7K3F-9QXD-20VW-M4RB``."""
    return "-".join(code[at : at + 4] for at in range(0, CODE_SIGNS, 4))


def code_of(typed: str) -> str:
    """The sixteen signs of a code, typed with or without spaces, in lower case, or with full-width signs.

    Raises:
        MistypedCode: a wrong sign, or two exchanged, never make another well-formed code.
    """
    plain = unicodedata.normalize("NFKC", typed).upper()
    code = _BETWEEN.sub("", plain).translate(_LOOK_ALIKE)
    if len(code) != CODE_SIGNS or not set(code) <= set(ALPHABET):
        raise MistypedCode("Not sixteen letters and digits.")
    if _check(code[:-1]) != ALPHABET.index(code[-1]):
        raise MistypedCode("The check sign does not fit.")
    return code


def _check(signs: str) -> int:
    """The place in the alphabet of their check sign.

    Each sign weighs another power of a generator of GF(32), so that one wrong sign or any two exchanged are seen.
    """
    total = 0
    for sign in signs:
        total = (total ^ ALPHABET.index(sign)) << 1
        total ^= 0b100101 if total & 0b100000 else 0
    return total


def code_hash(code: str, key: bytes) -> str:
    """The stored form of a code: without the key it neither opens a code nor confirms a guess."""
    return hmac.new(key, code.encode(), hashlib.sha256).hexdigest()


def can_be_kept(id: str, kind: str, *others: str) -> bool:
    """Whether an event's words fit where they are kept: not too long, and nothing that is no character."""
    fit = len(kind) <= 80 and all(len(one) <= 120 for one in (id, *others))
    return fit and not any(one == "\0" or "\ud800" <= one <= "\udfff" for one in "".join((id, kind, *others)))


def as_text(body: bytes) -> str:
    """A body as the database takes it: what is no UTF-8, and the character that is none, are written as escapes."""
    return body.decode(errors="backslashreplace").replace("\0", "\\x00")
