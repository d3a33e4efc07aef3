"""What a carrier connector must offer. Pure: no Django, no clock, no network."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Offer:
    """A package the carrier would put on this card now, and what it costs the seller."""

    package: str
    cost: Money


@dataclass(frozen=True, slots=True)
class Activation:
    """A package the carrier has put on a card.

    Args:
        reference: the carrier's own id of it.
        key: the key we sent with the request, as the carrier gives it back.
        activated_at: when the carrier took it, aware UTC.
        ends_at: the carrier's own end, aware UTC; None where it does not tell.
    """

    reference: str
    key: str
    iccid: str
    package: str
    activated_at: datetime
    ends_at: datetime | None = None


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
    """

    name: str
    call_deadline: timedelta
    absent_after: timedelta
    usage_every: timedelta

    def offers(self, *, iccid: str) -> Outcome[tuple[Offer, ...]]:
        """What can be put on this card now; ``Done(())`` when the card cannot be renewed. Changes nothing."""
        ...

    def renew(self, *, key: str, iccid: str, package: str) -> Outcome[Activation]:
        """Put the package on the card. NOT idempotent at every carrier: after ``Unknown`` call ``find`` first."""
        ...

    def find(self, *, key: str, iccid: str, package: str) -> Outcome[tuple[Activation, ...]]:
        """Everything the carrier took under exactly this key, card and package, oldest first. Changes nothing."""
        ...

    def usage(self, *, iccid: str) -> Outcome[Usage]:
        """What is left on the card, as far as the carrier tells. Changes nothing."""
        ...

    def balance(self) -> Outcome[Money]:
        """The seller's money at the carrier. Changes nothing."""
        ...
