"""What a payment provider's connector must offer. Pure: no Django, no clock, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from xuka.kernel.money import Money
from xuka.kernel.outcome import Outcome


class Reason(StrEnum):
    """Why a provider refuses. Whether it may be asked again is told by ``Refused.retry_after``, not by the word."""

    DECLINED = "declined"
    CARD_GONE = "card_gone"
    CANCELLED = "cancelled"
    RATE_LIMITED = "rate_limited"
    NOT_AUTHORISED = "not_authorised"
    BAD_REQUEST = "bad_request"
    UNKNOWN_PAYMENT = "unknown_payment"
    ALREADY_REFUNDED = "already_refunded"


class PaymentState(StrEnum):
    """How far a payment is at the provider."""

    OPEN = "open"  # the person can still pay, at ``url``
    PROCESSING = "processing"  # the person has paid; the provider does not know yet whether the money comes
    PAID = "paid"  # captured: the money is the seller's
    CLOSED = "closed"  # nothing was paid and nothing can be paid any more


class RefundState(StrEnum):
    PENDING = "pending"  # taken; on its way
    DONE = "done"  # gone; a bank may still send it back
    FAILED = "failed"  # did not arrive: the money is the seller's again


@dataclass(frozen=True, slots=True)
class Method:
    """A way to pay that this provider offers.

    Args:
        name: our word for it ("card"); Apple Pay and Google Pay arrive as cards.
        markets: ISO 3166 codes of the markets it is offered in.
        limits: per currency the least and the most that can be paid, minor units, both inclusive. A currency that is
            not named is not offered.
    """

    name: str
    markets: frozenset[str]
    limits: Mapping[str, tuple[int, int]]
    can_be_saved: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """A payment to start. Frozen when it is first asked: the same key always comes with the same content.

    Args:
        key: our id of the payment, the idempotency key, and how it is found again.
        asked_at: when it was first asked, aware UTC; where to look for it when only the key is known.
        pay_by: until when the person should be able to pay, aware UTC; the provider may round it up.
        description: one line for the person, in their language; no personal data.
        return_url: where the person comes back to, paid or not.
        language: BCP 47 tag of the hosted page.
        payer: the provider's own id of the customer, "" when none is needed.
        save_card: the person consented to have the card kept for their next payment.
        saved_card: the provider's own id of a kept card to pay with, "" for a hosted page.
    """

    key: str
    method: str
    money: Money
    asked_at: datetime
    pay_by: datetime
    description: str
    return_url: str
    language: str
    payer: str = ""
    save_card: bool = False
    saved_card: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """What may be shown of a card that is kept at the provider: never its number.

    Args:
        reference: the provider's own id of it.
        brand: the scheme as the provider names it ("visa").
        expires: (year, month), the last month in which it is good.
    """

    reference: str
    brand: str
    last_four: str
    expires: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as the provider has it.

    Args:
        reference: the provider's own id under which it is looked at (a hosted session or a payment intent).
        key: our key, as the provider gives it back.
        url: where the person pays or confirms; "" when there is nothing to do for them.
        charge: the provider's own id of the money taken, by which it is refunded; "" until it is paid.
        paid: what was captured, None until it is paid. It may differ from what was asked.
        declined: why the last try on the page did not go through, for staff; "" when none failed.
        saved_card: the card that was kept with the person's consent.
    """

    reference: str
    key: str
    state: PaymentState
    url: str = ""
    charge: str = ""
    paid: Money | None = None
    declined: str = ""
    saved_card: Card | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund as the provider has it; ``key`` is ours, as given back."""

    reference: str
    key: str
    state: RefundState
    money: Money
    why: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """What a webhook says happened: a hint where to look, never the truth itself.

    Args:
        id: the provider's own id of the event; the same event delivered again has the same.
        kind: the provider's own word for it.
        key: our key of the payment it is about; "" when the event names none.
        reference: the provider's own id of the object it is about.
        charge: the provider's id of the money it is about, "" when the event names none.
        matters: False for kinds that never change a payment or a refund, and that nobody needs to hear of.
        created_at: aware UTC.
        is_dispute: the customer's bank contests the payment: for staff, it changes nothing by itself.
    """

    id: str
    kind: str
    key: str
    reference: str
    charge: str
    matters: bool
    created_at: datetime
    is_dispute: bool = False


class Forged(Exception):
    """The webhook was not signed by the provider, was signed too long ago, or is of the other mode (test or live)."""


class Provider(Protocol):
    """One provider. Calls block for at most ``call_deadline`` in total and never raise for what the world did.

    Attributes:
        call_deadline: the total time one call can take, connecting and reading included.
        keys_live: how long the provider remembers an idempotency key. Asking again with the same key and content
            within it answers the first outcome; after it, look first.
        absent_after: a payment or refund that ``find``/``find_refund`` does not show this long after the call ended
            was surely not taken.
        is_live: whether money really moves. Payments of one mode are never looked at with the keys of the other.
    """

    name: str
    call_deadline: timedelta
    keys_live: timedelta
    absent_after: timedelta
    is_live: bool

    def methods(self) -> tuple[Method, ...]:
        """What it offers. No call is made."""
        ...

    def start(self, ask: Ask) -> Outcome[Payment]:
        """Start a payment. Idempotent by ``ask.key`` while ``keys_live`` lasts.

        ``Refused(DECLINED)`` only for a saved card that was declined: nothing was taken and nothing can be any more.
        """
        ...

    def look(self, *, reference: str) -> Outcome[Payment]:
        """The payment as it is now. Changes nothing."""
        ...

    def find(self, *, key: str, asked_at: datetime, is_hosted: bool) -> Outcome[Payment | None]:
        """The payment of exactly this key when its reference was never heard; None when it is not there.

        It is looked for from ``asked_at`` on for as long as ``keys_live``: the same key may have been asked again. A
        look that fails is ``Unknown``, or refused until later; never None, and never refused for good.
        """
        ...

    def close(self, *, reference: str) -> Outcome[Payment]:
        """See to it that nothing more can be paid, and tell how it ended: it may have been paid meanwhile.

        Closing what is closed or paid changes nothing.
        """
        ...

    def refund(self, *, key: str, charge: str, money: Money) -> Outcome[Refund]:
        """Give money back to where it came from. Idempotent by ``key`` while ``keys_live`` lasts."""
        ...

    def look_refund(self, *, reference: str) -> Outcome[Refund]:
        """The refund as it is now. Changes nothing."""
        ...

    def find_refund(self, *, key: str, charge: str) -> Outcome[Refund | None]:
        """The refund of exactly this key when its reference was never heard; None when it is not there.

        A look that fails is ``Unknown``, or refused until later; never None, and never refused for good.
        """
        ...

    def make_payer(self, *, key: str) -> Outcome[str]:
        """The provider's own id for a customer who keeps a card. Idempotent by ``key`` while ``keys_live`` lasts; a
        second one later is harmless. No personal data is sent."""
        ...

    def forget_card(self, *, card: str) -> Outcome[None]:
        """Forget a kept card. Forgetting it again is ``Done``."""
        ...

    def read_webhook(self, *, body: bytes, signature: str, now: datetime) -> Event:
        """Verify the signature over the raw body and translate.

        Args:
            signature: the value of the provider's signature header.
            now: aware UTC; compared with the time in the signature.

        Raises:
            Forged: not to be believed; nothing was read from the body before that was known.
        """
        ...

    @property
    def signature_header(self) -> str:
        """The name of the HTTP header that carries the signature."""
        ...
