"""What a carrier connector must offer. Pure: no Django, no clock, no network."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from xuka.kernel.money import Money
from xuka.kernel.outcome import Outcome


class Reason(StrEnum):
    """Why a carrier refuses. Whether it may be asked again is told by ``Refused.retry_after``, not by the word."""

    SELLER_OUT_OF_CREDIT = "seller_out_of_credit"
    MAINTENANCE = "maintenance"
    OUT_OF_STOCK = "out_of_stock"
    RATE_LIMITED = "rate_limited"
    TOP_UP_DISABLED = "top_up_disabled"
    CARD_RECYCLED = "card_recycled"
    CARD_UNKNOWN = "card_unknown"
    PACKAGE_UNKNOWN = "package_unknown"
    NOT_AUTHORISED = "not_authorised"
    BAD_REQUEST = "bad_request"
    NOT_SUPPORTED = "not_supported"
    BEGUN = "begun"


@dataclass(frozen=True, slots=True)
class Offer:
    """A package the carrier would put on this card now, and what it costs the seller."""

    package: str
    cost: Money


@dataclass(frozen=True, slots=True)
class Esim:
    """What a phone needs to install an eSIM. A secret: whoever has it can install it, and that works only once.

    Args:
        smdp_address: the server that hands the profile out, e.g. "rsp.example.com".
        matching_id: the activation code there.
        confirmation_code: what the phone asks for besides; "" when it asks for nothing.
        msisdn, apn, apple_url: "" where the carrier does not tell.
    """

    smdp_address: str
    matching_id: str = field(repr=False)
    confirmation_code: str = field(default="", repr=False)
    msisdn: str = field(default="", repr=False)
    apn: str = ""
    apple_url: str = field(default="", repr=False)

    @property
    def lpa(self) -> str:
        """The text of the QR code, as in GSMA SGP.22: "LPA:1$address$code", with "$$1" when a code is asked for."""
        return f"LPA:1${self.smdp_address}${self.matching_id}" + ("$$1" if self.confirmation_code else "")


@dataclass(frozen=True, slots=True)
class Activation:
    """A package the carrier has put on a card, or sold as a new eSIM.

    Args:
        reference: the carrier's own id of it.
        key: the key we sent with the request, as the carrier gives it back.
        activated_at: when the carrier took it, aware UTC.
        ends_at: the carrier's own end, aware UTC; None where it does not tell.
        esim: the profile of an eSIM that was sold with it; None when it was put on a card that was there.
    """

    reference: str
    key: str
    iccid: str
    package: str
    activated_at: datetime
    ends_at: datetime | None = None
    esim: Esim | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What the carrier tells of a card.

    Args:
        as_of: when the carrier's figure was true, aware UTC.
        unlimited: the volumes mean nothing and are None.
        remaining_bytes, total_bytes: None where the carrier does not tell.
        expires_at: the carrier's end of the running package, aware UTC, None where it does not tell.
        status: the carrier's word for the state of the card, for staff.
    """

    as_of: datetime
    unlimited: bool
    remaining_bytes: int | None
    total_bytes: int | None
    expires_at: datetime | None
    status: str


class Carrier(Protocol):
    """One carrier. Calls block for at most ``call_deadline`` in total and never raise for what the world did.

    Attributes:
        call_deadline: the total time one call can take, connecting and reading included.
        absent_after: a key that ``find`` does not show this long after the call ended was surely not taken.
        usage_every: how often the carrier allows a card's usage to be read.
        can_throttle: it sets a card's speed when told to; else ``throttle`` and ``speed`` are "not_supported".
        can_text: it sends an SMS to a card by its ICCID; else ``text`` is "not_supported".
        can_start_next: which period runs is for us to say, so that one that waits can begin before the end of what
            runs; else the carrier begins it by itself, and no call makes it begin sooner.
        can_cancel: it takes back what it has put on a card; else ``cancel`` is "not_supported".
    """

    name: str
    call_deadline: timedelta
    absent_after: timedelta
    usage_every: timedelta
    can_throttle: bool
    can_text: bool
    can_start_next: bool
    can_cancel: bool

    def offers(self, *, iccid: str) -> Outcome[tuple[Offer, ...]]:
        """What can be put on this card now; ``Done(())`` when the card cannot be renewed. Changes nothing."""
        ...

    def renew(self, *, key: str, iccid: str, package: str) -> Outcome[Activation]:
        """Put the package on the card. NOT idempotent at every carrier: after ``Unknown`` call ``find`` first."""
        ...

    def find(self, *, key: str, iccid: str, package: str) -> Outcome[tuple[Activation, ...]]:
        """Everything the carrier took under exactly this key, card and package, oldest first. Changes nothing."""
        ...

    def issue(self, *, key: str, package: str) -> Outcome[Activation]:
        """Sell one new eSIM with this package, its ``esim`` told. Not idempotent: after ``Unknown`` ``find_issued``."""
        ...

    def find_issued(self, *, key: str, package: str) -> Outcome[tuple[Activation, ...]]:
        """Every new eSIM sold under exactly this key and package, oldest first, ``esim`` told. Changes nothing."""
        ...

    def usage(self, *, iccid: str) -> Outcome[Usage]:
        """What is left on the card, as far as the carrier tells. Changes nothing."""
        ...

    def balance(self) -> Outcome[Money]:
        """The seller's money at the carrier. Changes nothing."""
        ...

    def throttle(self, *, iccid: str, kbps: int | None) -> Outcome[int | None]:
        """Set the most speed of a card. Idempotent: it states a wish, and asking again is safe, after any outcome.

        Args:
            kbps: kilobits (1000 bits) a second, both ways; 0 lets nothing through; None: as fast as the network allows.

        Returns:
            ``Done`` of the speed that the carrier has set now.
        """
        ...

    def speed(self, *, iccid: str) -> Outcome[int | None]:
        """The most speed that the carrier has set for this card now, as in ``throttle``. Changes nothing."""
        ...

    def text(self, *, key: str, iccid: str, words: str) -> Outcome[str]:
        """Send an SMS to the card itself; ``Done`` of the carrier's own id of it.

        Idempotent by key where the carrier says so: the same key again then sends nothing more. Elsewhere it may
        arrive twice.
        """
        ...

    def cancel(self, *, reference: str, iccid: str) -> Outcome[None]:
        """Take a package back: one that waits never begins, one that runs gives no more service.

        Idempotent: it states a wish, and asking again is safe after any outcome; what was taken back before is
        ``Done``. ``find`` does not show it any more. ``Refused(BEGUN)``: it runs, or was used, and is not taken back.
        """
        ...
