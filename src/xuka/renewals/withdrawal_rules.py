"""The right to withdraw from a contract, and what of its price goes back. Pure.

Directive 2011/83/EU (CRD) art. 9, 10, 14 (3) and 16 (a); Regulation (EEC, Euratom) 1182/71 art. 3 for the days. A
market that is not named here gives no such right: in Japan 特定商取引法 knows no cooling-off for mail order; what
Taiwan gives (消費者保護法 19: seven days, with exceptions that the government names) is decided by a person, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo

from dateutil.easter import easter

from xuka.catalogue.rules import day_start
from xuka.kernel.money import Money, step, tax_inside
from xuka.kernel.span import Span

DAYS = {"BE": 14}
# The words of the wish that service begins at once have a version: it changes with every change of what they mean.
WISH_VERSION = "2026-1"


class Why(StrEnum):
    """Why a period is given back."""

    WITHDRAWN = "withdrawn"  # by law, within the days
    UNUSED = "unused"  # it has not begun, and its customer does not want it
    GOODWILL = "goodwill"  # staff, with a reason


class GivenState(StrEnum):
    ASKED = "asked"  # the carrier is asked to take it back; nothing has moved
    DONE = "done"
    REFUSED = "refused"  # the carrier does not take it back: the period stays, no money moved

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(state.value, state.name) for state in cls]


class Standing(StrEnum):
    """What became of a withdrawal."""

    CONFIRMED = "confirmed"  # stated and confirmed; looked at soon
    ACCEPTED = "accepted"  # the contract is undone, the money is on its way
    NOT_FOUND = "not_found"  # no contract of this number and this person
    TOO_LATE = "too_late"
    NO_RIGHT = "no_right"  # the market's law gives none
    ALREADY = "already"  # it was withdrawn from before, or has come to nothing
    PERFORMED = "performed"  # all of it was provided, as was wished

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(state.value, state.name) for state in cls]


@dataclass(frozen=True, slots=True)
class Wish:
    """The customer's express wish that service begins within the days of withdrawal, in the words that were shown."""

    words: str
    language: str
    version: str = WISH_VERSION


def ends_at(*, market: str, zone: str, concluded_at: datetime) -> datetime | None:
    """The moment from which it is too late to withdraw, aware; None where the market gives no such right.

    The day of the contract is not counted; the last day counts to its end, on the clock of the market. A last day that
    is a Saturday, a Sunday or a public holiday is followed by the next working day (Reg. 1182/71 art. 3 (1), (4)).
    """
    if market not in DAYS:
        return None
    last = concluded_at.astimezone(ZoneInfo(zone)).date() + timedelta(days=DAYS[market])
    while last.weekday() >= 5 or last in belgian_holidays(last.year):
        last += timedelta(days=1)
    return day_start(last + timedelta(days=1), zone)


def belgian_holidays(year: int) -> frozenset[date]:
    """The ten public holidays of Belgium (Act of 4 January 1974, Royal Decree of 18 April 1974 art. 1)."""
    sunday = easter(year)
    fixed = {date(year, month, day) for month, day in ((1, 1), (5, 1), (7, 21), (8, 15), (11, 1), (11, 11), (12, 25))}
    return frozenset(fixed | {sunday + timedelta(days=days) for days in (1, 39, 50)})


def needs_wish(*, market: str, zone: str, starts_at: datetime, now: datetime) -> bool:
    """Whether service that begins at ``starts_at`` may be charged for only with the customer's express wish."""
    end = ends_at(market=market, zone=zone, concluded_at=now)
    return end is not None and starts_at < end


def part_had(
    span: Span | None, at: datetime, *, used_bytes: int | None = None, of_bytes: int | None = None
) -> Fraction:
    """Which part of a period was provided until ``at``: of its volume where one is counted, else of its time.

    Args:
        span: of the period; None while it waits.
        used_bytes, of_bytes: of a volume that counts over the whole period, where use is known.
    """
    if span is None or at <= span.starts_at:
        return Fraction(0)
    if at >= span.ends_at:
        return Fraction(1)
    if used_bytes is not None and of_bytes:
        return min(Fraction(used_bytes, of_bytes), Fraction(1))
    microsecond = timedelta(microseconds=1)
    return Fraction((at - span.starts_at) // microsecond, span.length // microsecond)


def goes_back(price: Money, had: Fraction, *, wished: bool) -> int:
    """What of a period's price goes back, minor units; what is kept is rounded down to a whole ``money.step``.

    Without the express wish nothing is kept (CRD art. 14 (4) (a)); with it, the part that was provided (art. 14 (3)).
    """
    unit = step(price.currency)
    return price.minor - int(price.minor * had / unit) * unit if wished else price.minor


def tax_back(money: Money, *, before_minor: int, tax_basis_points: int) -> int:
    """The tax in what goes back, the step from what went back before: all together it is the tax that was booked."""
    before = tax_inside(Money(before_minor, money.currency), tax_basis_points)
    return (tax_inside(Money(before_minor + money.minor, money.currency), tax_basis_points) - before).minor
