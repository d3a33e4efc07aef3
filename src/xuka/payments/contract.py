"""What a payment provider's connector must offer. Pure: no Django, no clock, no network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from xuka.kernel.money import Money
from xuka.kernel.outcome import Outcome


class Reason(StrEnum):
    """Why a provider refuses. Whether it may be asked again is told by ``Refused.retry_after``, not by the word."""

    DECLINED = "declined"
    NEEDS_CUSTOMER = "needs_customer"  # it would be taken if the owner of the saved method confirmed
    METHOD_GONE = "method_gone"
    CANCELLED = "cancelled"
    RATE_LIMITED = "rate_limited"
    NOT_AUTHORISED = "not_authorised"
    BAD_REQUEST = "bad_request"
    UNKNOWN_PAYMENT = "unknown_payment"
    ALREADY_REFUNDED = "already_refunded"
    REFUND_TOO_LATE = "refund_too_late"
    BY_FILE = "by_file"


class PaymentState(StrEnum):
    """How far a payment is at the provider."""

    OPEN = "open"  # the person can still pay, at ``url``
    APPROVED = "approved"  # agreed to, by the person or by their mandate; the money moves only when it is captured
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
        name: our word for it ("card", "alipay"); Apple Pay and Google Pay arrive as cards.
        markets: ISO 3166 codes of the markets it is offered in.
        limits: per currency the least and the most that can be paid at once, minor units, both inclusive. A currency
            that is not named is not offered.
        per_day: per currency the most that one person can pay within 24 hours, minor units; not named: no such limit.
        can_be_saved: it can be kept for later payments, with the person there or not.
        pays_within: how long a person has who takes a slip to a shop; None: as long as what is paid for waits.
    """

    name: str
    markets: frozenset[str]
    limits: Mapping[str, tuple[int, int]]
    can_be_saved: bool = False
    per_day: Mapping[str, int] = field(default_factory=dict)
    pays_within: timedelta | None = None


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
        save_method: the person consented to have what they pay with kept for their next payment.
        saved_method: the provider's own id of what was kept, to pay with it; "" for a hosted page.
        device: "phone", where another app can be opened, or "desk", where a QR code is read with the phone.
        client_ip: the person's address, for providers that ask for it; "" when nobody is there.
        off_session: with what was kept, while nobody is there: a bank may want its customer to confirm.
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
    save_method: bool = False
    saved_method: str = ""
    device: str = "desk"
    client_ip: str = ""
    off_session: bool = False


@dataclass(frozen=True, slots=True)
class SavedMethod:
    """What may be shown of a way to pay that is kept at the provider: never a card's number, nor a whole address.

    Args:
        reference: the provider's own id of it.
        known_by: what its owner knows it by: a card's last four digits, or a masked address ("x***@example.com"); "".
        brand: of a card: the scheme as the provider names it ("visa").
        expires: (year, month), the last month in which it is good; None where it does not expire.
    """

    reference: str
    known_by: str
    brand: str = ""
    expires: tuple[int, int] | None = None


def masked(address: str) -> str:
    """An e-mail address as its owner still knows it: "xiaoyu@example.com" is "x***@example.com"; "" for none."""
    name, at, host = address.rpartition("@")
    return f"{name[:1]}***@{host}"[:80] if at and name and host else ""


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as the provider has it.

    Args:
        reference: the provider's own id under which it is looked at (a hosted session or a payment intent).
        key: our key, as the provider gives it back.
        url: where the person pays or confirms; "" when there is nothing to do for them there.
        qr: what to show them as a QR code, for the app on their phone to read; "" when there is none.
        charge: the provider's own id of the money taken, by which it is refunded; "" until it is paid.
        paid: what was captured, None until it is paid. It may differ from what was asked.
        declined: why the last try on the page did not go through, for staff; "" when none failed.
        needs_customer: what failed was a try while nobody was there, which the payer can overcome.
        method_gone: what was to be paid with is not kept there any more.
        saved_method: what was kept with the person's consent.
    """

    reference: str
    key: str
    state: PaymentState
    url: str = ""
    qr: str = ""
    charge: str = ""
    paid: Money | None = None
    declined: str = ""
    saved_method: SavedMethod | None = None
    needs_customer: bool = False
    method_gone: bool = False


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


class SettledKind(StrEnum):
    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"  # taken back by the customer's bank
    FEE = "fee"  # the provider's own
    PAYOUT = "payout"  # to the seller's bank
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Settled:
    """One row of a provider's settlement report: money that moved in the seller's account there.

    Args:
        id: the provider's own id of the row; the same row told again has the same.
        money: what moved, before the fee: positive to the seller, negative from them.
        fee: what the provider kept of it, 0 or more, in the currency in which it is settled.
        key: our key of the payment or of the refund, "" when the row names none.
        charge: the provider's id of the money, as in ``Payment.charge``, "" when the row names none.
        reference: the provider's id of the refund, as in ``Refund.reference``, "" for other kinds.
        at: aware UTC.
    """

    id: str
    kind: SettledKind
    money: Money
    fee: Money
    at: datetime
    key: str = ""
    charge: str = ""
    reference: str = ""


class UnreadableStatement(Exception):
    """The file is not a settlement report of this provider; the sentence says what was seen. Nothing was taken."""


class Misconfigured(ValueError):
    """A connector cannot be built from these settings; the sentence says why, without any key."""


class Forged(Exception):
    """The webhook was not signed by the provider, was signed too long ago, or is of the other mode (test or live)."""


class CannotVerify(Exception):
    """Whether the webhook is genuine could not be found out now: it is to be delivered again."""


class Provider(Protocol):
    """One provider. Calls block for at most ``call_deadline`` in total and never raise for what the world did.

    Attributes:
        call_deadline: the total time one call can take, connecting and reading included.
        keys_live: how long the provider remembers an idempotency key. Asking again with the same key and content
            within it answers the first outcome; after it, look first.
        absent_after: a payment or refund that ``find``/``find_refund`` does not show this long after the call ended
            was surely not taken.
        is_live: whether money really moves. Payments of one mode are never looked at with the keys of the other.
        webhook_answer: the body that the provider wants to read when a webhook was taken; mostly "".
    """

    name: str
    call_deadline: timedelta
    keys_live: timedelta
    absent_after: timedelta
    is_live: bool
    webhook_answer: str

    def methods(self) -> tuple[Method, ...]:
        """What it offers. No call is made."""
        ...

    def start(self, ask: Ask) -> Outcome[Payment]:
        """Start a payment. Idempotent by ``ask.key`` while ``keys_live`` lasts.

        With ``ask.saved_method`` the money is taken at once, or the payment is ``APPROVED`` and taken by ``capture``.
        ``Refused(DECLINED)`` only for a saved method that was declined: nothing was taken and nothing can be any more.
        ``Refused(NEEDS_CUSTOMER)`` likewise, off-session: its owner is wanted, who can pay the same anew.
        """
        ...

    def look(self, *, reference: str) -> Outcome[Payment]:
        """The payment as it is now. Changes nothing: what the person approved stays approved until it is captured."""
        ...

    def capture(self, *, key: str, reference: str, money: Money) -> Outcome[Payment]:
        """Take the money of a payment that the person approved. Doing it again takes nothing more.

        Only asked of what ``start`` or ``look`` called ``APPROVED``; a provider that never says so is never asked. A
        capture that was declined is ``Done``: the payment is open again, or closed, with ``declined``. What was kept
        is then always closed, with ``needs_customer`` or ``method_gone`` where that is why.
        """
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

    def find_refund(
        self, *, key: str, charge: str, money: Money | None = None, others: Collection[str] = ()
    ) -> Outcome[Refund | None]:
        """The refund of exactly this key when its reference was never heard; None when it is not there.

        A look that fails is ``Unknown``, or refused until later; never None, and never refused for good.

        Args:
            money, others: what was asked to go back, and the ids of those refunds of this charge that are known to be
                other ones. A provider that keeps no key of ours finds it by them: any that is left over and of that
                much is as good as the one that was asked for.
        """
        ...

    def make_payer(self, *, key: str) -> Outcome[str]:
        """The provider's own id for a customer who keeps something. Idempotent by ``key`` while ``keys_live`` lasts; a
        second one later is harmless. No personal data is sent."""
        ...

    def forget_method(self, *, reference: str) -> Outcome[None]:
        """Forget what was kept. Forgetting it again is ``Done``."""
        ...

    def read_webhook(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
        """Verify the signature over the raw body and translate.

        Args:
            headers: of the request, their names in lower case.
            now: aware UTC; compared with the time in the signature, where there is one.

        Raises:
            Forged: not to be believed; nothing was read from the body before that was known. A provider that posts
                none never signs one.
            CannotVerify: the provider, who has to be asked, did not answer.
        """
        ...

    def settlements(self, *, day: date) -> Outcome[Sequence[Settled]]:
        """Everything that moved in the seller's account on that day of the provider's report (UTC where it has none
        of its own). Changes nothing. ``Refused(BY_FILE)`` when it hands out files only."""
        ...

    def read_statement(self, *, content: bytes) -> Sequence[Settled]:
        """The rows of a settlement file, as it is downloaded at the provider. No call is made.

        Raises:
            UnreadableStatement: not such a file.
        """
        ...
