"""What would be active when: a story of buying and using a card, told in times, by the rules that quotes follow.

Nothing here writes. The API and the preview of staff both ask it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from xuka.catalogue.rules import Policy, instant_of
from xuka.kernel.span import Span
from xuka.lines.rules import Booked, Placed, Track, lay_out
from xuka.renewals.rules import Left
from xuka.renewals.simulator import Action, Happened, RenewsTooOften, simulate

AT_MOST = 50
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?", re.ASCII)

# What somebody or the carrier does; and what the card does, that is only told.
Does = Literal["buy", "use", "use_up", "start_next", "switch_on", "switch_off", "look"]
Did = Literal[Does, "renews_itself"]


class TooLong(Exception):
    """The card would renew itself more often than ``AT_MOST`` times; nothing is told."""


class NotAMoment(ValueError):
    """The text tells no moment; the sentence says why and what to write."""


def moment_of(text: str, zone: str) -> datetime:
    """The moment (aware UTC) that "2026-01-31T10:00" tells on the clock in ``zone``; "…Z" and "…+09:00" are in no zone.

    A time that happens twice is the first.

    Raises:
        NotAMoment: it is not written so, the clock in the zone never shows it, or it lies before 2000 or after 2099.
    """
    try:
        told = datetime.fromisoformat(text) if _WRITTEN.fullmatch(text) else None
    except ValueError:
        told = None
    if told is None:
        raise NotAMoment("write a moment as 2026-01-31T10:00, or with its offset as 2026-01-31T10:00+09:00")
    if not EARLIEST.year <= told.year < LATEST.year:
        raise NotAMoment("a moment lies in the years 2000 to 2099")
    if told.tzinfo is not None:
        return told.astimezone(UTC)
    moment = instant_of(told, zone)
    if moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != told:
        raise NotAMoment(f"the clock in {zone} never shows this time: it jumps over it")
    return moment


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to the card; ``percent_left`` of the data at full speed that runs, None is not known."""

    at: datetime
    does: Does
    percent_left: int | None = None


@dataclass(frozen=True, slots=True)
class Active:
    """A period as it is in the end: when it is active, and when its data can be used.

    Attributes:
        bought: which of what happened bought it, from 0.
        waits: it has no dates yet; these are as things stand.
        would_have_ended_at: where another one ended it early.
    """

    bought: int
    span: Span
    data: Span
    waits: bool
    would_have_ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What happened, in order of time, with what came of it, and every period, in order of time.

    Attributes:
        happened: every event, and between them whenever the card renewed itself, or wanted to.
        renews_itself: whether it would go on doing so.
    """

    happened: tuple[tuple[Did, Happened], ...]
    periods: tuple[Active, ...]
    renews_itself: bool


def story(policy: Policy, events: Sequence[Event], zone: str, until: datetime | None = None) -> Story:
    """What becomes of a new card if this happens to it, and until then nothing more.

    Args:
        events: in order of time, at most ``AT_MOST``.
        until: aware UTC; None is the last event.

    Raises:
        TooLong: it would renew itself too often.
    """
    last = max([event.at for event in events] + ([until] if until else []))
    try:
        done = simulate(policy, [_action(policy, event) for event in events], zone, last, AT_MOST)
    except RenewsTooOften as error:
        raise TooLong from error
    periods = [active for track in done.tracks for active in _active(track, last, done.happened)]
    asked = iter(events)
    did: list[Did] = ["renews_itself" if one.by_itself else next(asked).does for one in done.happened]
    ordered = tuple(sorted(periods, key=lambda p: (p.span.starts_at, p.span.ends_at)))
    return Story(tuple(zip(did, done.happened, strict=True)), ordered, done.renews_itself)


def _action(policy: Policy, event: Event) -> Action:
    limits = policy.quota.data.limits
    if event.percent_left is None or not limits:
        return Action(event.at, event.does)
    whole = limits[0].tiers[0].after_bytes
    return Action(event.at, event.does, left=Left(whole * event.percent_left // 100, whole))


def _active(track: Track, now: datetime, happened: Sequence[Happened]) -> Iterator[Active]:
    booked = {period.id: period for period in track}
    buyers = [number for number, one in enumerate(happened) if one.stacked]
    for placed in lay_out(track, now):
        period = booked[placed.id]
        yield Active(
            bought=buyers[placed.id.int],  # periods are numbered as they are bought
            span=placed.span,
            data=period.bucket("data") or placed.span,
            waits=placed.projected,
            would_have_ended_at=_before(placed, period, happened),
        )


def _before(placed: Placed, period: Booked, happened: Iterable[Happened]) -> datetime | None:
    """The end that the period had when it was last told, where it ends sooner now."""
    if period.span is None:
        return None
    told = [_told_end(one, placed.id) for one in happened]
    ends = [end for end in told if end is not None]
    return ends[-1] if ends and ends[-1] > placed.span.ends_at else None


def _told_end(one: Happened, id: UUID) -> datetime | None:
    booking = one.stacked.booking if one.stacked else None
    if booking is None or booking.period.id != id:
        return None
    return booking.period.span.ends_at if booking.period.span else None
