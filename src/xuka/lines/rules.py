"""The identity of a card and the order of its periods. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal, NamedTuple
from uuid import UUID

from stdnum import luhn

from xuka.catalogue import rules as catalogue
from xuka.kernel.span import Span


class InvalidIccid(ValueError):
    """The text is not an ICCID."""


def iccid_of(text: str) -> str:
    """The ICCID in a text as people type it, digits only.

    An ICCID is 19 or 20 digits, begins with 89 and ends with a Luhn check digit (ITU-T E.118).

    Raises:
        InvalidIccid: it is not one.
    """
    digits = re.sub(r"[\s\-]", "", text)
    if not re.fullmatch(r"89[0-9]{17,18}", digits, flags=re.ASCII) or not luhn.is_valid(digits):
        raise InvalidIccid("Not an ICCID.")
    return digits


def claim_code_hash(*, iccid: str, code: str) -> str:
    """The stored form of a claim code. Codes are long and random, bound here to their card: no salt is needed."""
    spoken = re.sub(r"[\s\-]", "", code).upper()
    return hashlib.sha256(f"{iccid}:{spoken}".encode()).hexdigest()


def is_claim_code(*, iccid: str, code: str, stored_hash: str) -> bool:
    """Whether the code opens this card; takes as long for a wrong code as for the right one."""
    return hmac.compare_digest(claim_code_hash(iccid=iccid, code=code), stored_hash)


class CannotStart(Exception):
    """What waits cannot be started now; ``code`` says why.

    Codes: "nothing_waits", "not_its_turn" (a period with dates comes before it), "not_by_hand", "not_when_used_up", and
    "not_used_up" (there will be data again before what runs is over).
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


WAITS = catalogue.Renewal(mode="queue")


class Booked(NamedTuple):
    """A period as far as its order in time matters; ``span`` None means that it waits.

    Attributes:
        anchor: the date-time on the clock in the policy's zone from which its run is counted; None is its own start.
        renewal: the terms that it was bought under.
        buckets: when its data, voice and texts can be used, where that is not its span.
    """

    id: UUID
    span: Span | None
    funded_at: datetime
    policy: catalogue.Period
    anchor: datetime | None = None
    renewal: catalogue.Renewal = WAITS
    buckets: Mapping[catalogue.Kind, Span] = MappingProxyType({})

    def bucket(self, kind: catalogue.Kind) -> Span | None:
        """When what it contains of this can be used; None while it waits."""
        return self.buckets.get(kind, self.span)


Track = tuple[Booked, ...]
Fates = Mapping[catalogue.Kind, catalogue.Fate]


class Placed(NamedTuple):
    """A booked period with the span and anchor it has, or that it will have as things stand (``projected``)."""

    id: UUID
    span: Span
    projected: bool
    policy: catalogue.Period
    anchor: datetime


def lay_out(periods: Iterable[Booked], now: datetime) -> tuple[Placed, ...]:
    """All periods of one track in order of time; queued ones are laid end to end after the last known end.

    Queue order is ``(funded_at, id)``. A queued period with nothing before it starts now; one that waits for its first
    use starts as late as it may.
    """
    known: list[Booked] = []
    queued: list[Booked] = []
    for period in periods:
        (queued if period.span is None else known).append(period)
    placed = [
        Placed(p.id, p.span, False, p.policy, p.anchor or catalogue.anchor_of(p.policy, p.span.starts_at))
        for p in known
        if p.span
    ]
    placed.sort(key=lambda p: p.span.starts_at)
    end = _last_end(known)
    for period in sorted(queued, key=_turn):
        placed.append(place(period.id, period.policy, _start_of(period, end, now), placed))
        end = placed[-1].span.ends_at
    return tuple(placed)


def end_of(track: Track, now: datetime) -> datetime | None:
    """The end of all on one track, as ``lay_out`` has it; None where nothing is."""
    if all(period.span for period in track):
        return _last_end(track)
    return lay_out(track, now)[-1].span.ends_at


def _last_end(track: Iterable[Booked]) -> datetime | None:
    """The end of all of it that has dates; None where nothing has."""
    return max((period.span.ends_at for period in track if period.span), default=None)


def _turn(period: Booked) -> tuple[datetime, UUID]:
    return period.funded_at, period.id


def _start_of(period: Booked, end: datetime | None, now: datetime) -> datetime:
    """When a period that waits starts by itself, behind what ends at ``end``."""
    if period.policy.start_by_days is None:
        return end or now
    latest = period.funded_at + timedelta(days=period.policy.start_by_days)
    return max(end, latest) if end else latest


def place(id: UUID, policy: catalogue.Period, start: datetime, before: Iterable[Booked | Placed]) -> Placed:
    """A further period that starts at ``start``, behind those ``before``: its span, and its run's anchor."""
    span, anchor = catalogue.period_in_run(policy, start, run_anchor(before, policy, start))
    return Placed(id, span, True, policy, anchor)


def run_anchor(before: Iterable[Booked | Placed], policy: catalogue.Period, start: datetime) -> datetime | None:
    """The anchor of the run that a period starting at ``start`` goes on with; None where it begins one.

    A run is of periods that follow each other without a gap and count months in one zone, with the same month end.
    """
    if policy.unit != "month":
        return None
    for one in before:
        if one.span and one.span.ends_at == start and _same_clock(one.policy, policy):
            return one.anchor or catalogue.anchor_of(one.policy, one.span.starts_at)
    return None


def _same_clock(one: catalogue.Period, other: catalogue.Period) -> bool:
    if one is other:
        return True
    clocks = ((period.unit, period.zone, period.month_end, period.ends) for period in (one, other))
    return len(set(clocks)) == 1


# -- the life of a card ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lived:
    """What a card has lived through, as far as its end follows from it; times aware UTC.

    Attributes:
        began_at: since when somebody has it.
        ends_at: the end of all that is booked on its main track; None when nothing ever was.
        spent: when something was paid for it, and how much, in minor units.
        used_at: when it was last used; None when nobody told.
    """

    began_at: datetime
    ends_at: datetime | None = None
    spent: Sequence[tuple[datetime, int]] = ()
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """How a card stands, and what becomes of it if nobody does anything.

    Attributes:
        state: ``live`` while a period runs or is booked ahead, ``over`` after it, or one of the policy's stages.
        ahead: the stages to come, and when.
        renewable_until: until when it can be renewed; None where the policy does not tell.
    """

    state: Literal["live", "over", "incoming_only", "suspended", "gone"]
    ahead: tuple[tuple[datetime, catalogue.State], ...]
    renewable_until: datetime | None

    def warnings(self, warn_days: Iterable[int]) -> list[tuple[datetime, datetime, catalogue.State]]:
        """When its owner is warned, of what comes when, in order of time."""
        found: list[tuple[datetime, datetime, catalogue.State]] = [
            (at - timedelta(days=days), at, state) for at, state in self.ahead for days in warn_days
        ]
        return sorted(found)


def life_of(ending: catalogue.Ending, lived: Lived, now: datetime) -> Life:
    """How a card with this policy stands now: R-40 its bundle and its number, R-41 by use, R-42 by what is spent."""
    end = lived.ends_at
    counted = _counted_from(ending, lived)
    # No step comes while something runs: what is due by then comes with the end.
    steps: list[tuple[datetime, catalogue.State]] = [
        (max(filter(None, [counted + timedelta(days=stage.after_days), end])), stage.becomes) for stage in ending.stages
    ]
    passed: list[catalogue.State] = [state for at, state in steps if at <= now]
    until = None if end is None or ending.renewable_days is None else end + timedelta(days=ending.renewable_days)
    gone = next((at for at, state in steps if state == "gone"), None)
    return Life(
        state=passed[-1] if passed else "live" if end and now < end else "over",
        ahead=tuple((at, state) for at, state in steps if at > now),
        renewable_until=min((at for at in (until, gone) if at), default=None),
    )


def _counted_from(ending: catalogue.Ending, lived: Lived) -> datetime:
    """The moment from which the stages count."""
    since = lived.ends_at if ending.counts_from == "end" and lived.ends_at else lived.began_at
    if ending.counts_from == "use" and lived.used_at:
        since = max(since, lived.used_at)
    if ending.counts_from == "end" and ending.least_minor is None:
        return since
    sum_minor = 0
    for at, minor in sorted(lived.spent):
        if ending.counts_from == "end" and at <= since:
            continue
        sum_minor += minor
        if sum_minor >= (ending.least_minor or 1):
            since, sum_minor = max(since, at), 0
    return since


# -- what changes a track -------------------------------------------------------------------------------------------
# Each takes a track as it is and returns it as it then is; what is stored, quoted and simulated follows the same ones.


@dataclass(frozen=True, slots=True)
class Booking:
    """What booking a further period does: the track it is on, as it then is, and the period itself.

    ``is_beside``: it is on a track of its own, and the main one stays as it was.
    """

    track: Track
    period: Booked
    is_beside: bool = False


def book(track: Track, new: Booked, at: datetime) -> Booking:
    """Book a further period, that was bought at ``at``, as its ``renewal`` says (R-12 to R-17).

    Where nothing is booked beyond ``at`` it starts at once, whatever the mode, unless it waits for its first use.
    """
    track = pass_time(track, at)
    start, waiting = max(at, _last_end(track) or at), any(period.span is None for period in track)
    if start == at and not waiting:
        return _booked_on(track, _begun(new, _grace(new, track, at), track, at), at)
    match new.renewal.mode:
        case "replace":
            track = _cut(track, at)
            return _booked_on(track, _begun(new, at, (), at), at)
        case "longest" if not waiting and catalogue.period_of(new.policy, at).ends_at > start:
            span = Span(start, catalogue.period_of(new.policy, at).ends_at)
            whole = {kind: Span(at, span.ends_at) for kind in catalogue.KINDS}
            return _booked_on(track, new._replace(span=span, anchor=_clock(new, at), buckets=whole), at)
        case "longest" | "independent":
            return Booking((alone := _begun(new, at, (), at),), alone, is_beside=True)
        case "add" if not waiting:
            return _booked_on(track, _begun(new, start, track, at), at)
        case _:
            return Booking((*track, new), new)


def _clock(period: Booked, at: datetime) -> datetime:
    return catalogue.anchor_of(period.policy, at)


def _grace(new: Booked, before: Track, at: datetime) -> datetime:
    """When a period starts that is bought when nothing runs: in days of grace at the end that is over (R-30)."""
    end = _last_end(before)
    if end and end < at <= end + timedelta(days=new.renewal.grace_days):
        begun = place(new.id, new.policy, end, before)
        return end if begun.span.ends_at > at else at
    return at


def _begun(new: Booked, start: datetime, before: Track, at: datetime) -> Booked:
    """The period from ``start`` on; one that waits for its first use still waits."""
    if new.policy.starts == "first_use":
        return new
    there = place(new.id, new.policy, start, before)
    return new._replace(span=_capped(there.span, new.renewal, at), anchor=there.anchor)


def _capped(span: Span, renewal: catalogue.Renewal, at: datetime) -> Span:
    """The span as far as it may reach, where the rest of it is lost (R-13)."""
    limit = at + timedelta(days=renewal.max_ahead_days)
    if renewal.beyond == "refuse" or span.ends_at <= limit or limit <= span.starts_at:
        return span
    return Span(span.starts_at, limit)


def _cut(track: Track, at: datetime) -> Track:
    """What runs ends now; what was booked further ahead waits from now on."""
    found: list[Booked] = []
    for period in track:
        if period.span is None or period.span.ends_at <= at:
            found.append(period)
        elif period.span.starts_at < at:
            found.append(period._replace(span=Span(period.span.starts_at, at), buckets=_whole(period)))
        else:
            found.append(period._replace(span=None, anchor=None, buckets={}))
    return tuple(found)


def _whole(period: Booked) -> dict[catalogue.Kind, Span]:
    """Its buckets, none of them told by the span any more."""
    return {kind: span for kind in catalogue.KINDS if (span := period.bucket(kind))}


def _booked_on(track: Track, new: Booked, at: datetime) -> Booking:
    fates: Fates = {kind: fate for kind in catalogue.KINDS if (fate := new.renewal.fate(kind)) != "keep"}
    if new.span is None or not fates:
        return Booking((*track, new), new)
    if at < new.span.starts_at and (own := _own(track, new, at, fates)):
        new = new._replace(buckets={**new.buckets, **own})
    last = (
        max((p.funded_at for p in track if _turn(p) < _turn(new)), default=None) if "carry" in fates.values() else None
    )
    settled = [_settled(period, new, fates, at, last) for period in track]
    return Booking((*settled, new), new)


def _own(track: Track, new: Booked, at: datetime, fates: Fates) -> dict[catalogue.Kind, Span]:
    """Where another period runs, what replaces or joins what is left of it can be used at once (R-12, R-19)."""
    assert new.span is not None, "it has begun or has dates"
    whole = Span(at, new.span.ends_at)
    at_once: list[catalogue.Kind] = [kind for kind, fate in fates.items() if fate in {"replace", "add"}]
    return {kind: whole for kind in at_once if any(_is_open(period, kind, at) for period in track)}


def _is_open(period: Booked, kind: catalogue.Kind, moment: datetime) -> bool:
    """Whether its bucket is open, or ends just then."""
    span = period.bucket(kind)
    return span is not None and span.starts_at < moment <= span.ends_at


def _settled(old: Booked, new: Booked, fates: Fates, at: datetime, last: datetime | None) -> Booked:
    """A period with what a further one makes of what is left of it (R-19, R-20)."""
    if old.span is None or (old.span.ends_at < at and not old.buckets):
        return old
    buckets = dict(old.buckets)
    for kind, fate in fates.items():
        if span := _left(old, new, kind, fate, at, last):
            buckets[kind] = span
    if buckets == old.buckets:
        return old
    return old._replace(buckets={kind: span for kind, span in buckets.items() if span != old.span})


def _left(
    old: Booked, new: Booked, kind: catalogue.Kind, fate: catalogue.Fate, at: datetime, last: datetime | None
) -> Span | None:
    """When what is left of this can be used from now on; None: as before."""
    was = old.bucket(kind)
    if was is None or old.span is None or new.span is None:
        return None
    match fate:
        case "replace" if _is_open(old, kind, at):
            return Span(was.starts_at, at)
        case "add" if _is_open(old, kind, at):
            return Span(was.starts_at, max(was.ends_at, new.span.ends_at))
        case "carry" if old.span.ends_at == new.span.starts_at and _is_open(old, kind, new.span.starts_at):
            if last is None or new.funded_at - last >= timedelta(hours=new.renewal.carry_after_hours):
                return Span(was.starts_at, max(was.ends_at, new.span.ends_at))
    return None


def pass_time(track: Track, now: datetime) -> Track:
    """What waits and whose turn has come runs, from exactly the end of the one before; what lapsed is gone (R-17).

    However long nobody looked, and however often it is asked, the same comes of it.
    """
    while due := _next_due(track, now):
        period, there = due
        rest = tuple(p for p in track if p is not period)
        if period.policy.unused == "lapses":
            track = rest
        else:
            track = _booked_on(rest, period._replace(span=there.span, anchor=there.anchor), there.span.starts_at).track
    return track


def _next_due(track: Track, now: datetime) -> tuple[Booked, Placed] | None:
    """The period that waits and whose turn has come, and where it lies; None where nothing is due."""
    waiting = [period for period in track if period.span is None]
    if not waiting:
        return None
    end = _last_end(track)
    if end and end > now:
        return None
    first = min(waiting, key=_turn)
    start = _start_of(first, end, now)
    return (first, place(first.id, first.policy, start, track)) if start <= now else None


def use(track: Track, at: datetime) -> Track:
    """The card was used: where nothing runs, the oldest period that waits for its first use starts (R-11)."""
    track = pass_time(track, at)
    first = min((p for p in track if p.span is None), key=_turn, default=None)
    if first is None or first.policy.starts != "first_use" or any(p.span and p.span.ends_at > at for p in track):
        return track
    return _start(track, first, at)


def next_up(track: Track) -> UUID | None:
    """The oldest period that waits, whose turn is next; None when nothing waits."""
    first = min((p for p in track if p.span is None), key=_turn, default=None)
    return first.id if first else None


def start_next(track: Track, at: datetime, because: Literal["by_hand", "used_up"]) -> Track:
    """The oldest period that waits starts now, and what runs ends; what is left of its time is gone (R-17).

    Raises:
        CannotStart: nothing waits, or what waits may not be started so.
    """
    track = pass_time(track, at)
    first = min((p for p in track if p.span is None), key=_turn, default=None)
    if first is None:
        raise CannotStart("nothing_waits")
    if any(p.span and p.span.starts_at >= at for p in track):
        raise CannotStart("not_its_turn")
    if because == "by_hand" and not first.renewal.next_by_hand:
        raise CannotStart("not_by_hand")
    if because == "used_up" and not first.renewal.next_when_used_up:
        raise CannotStart("not_when_used_up")
    return _start(_ended(track, at), first, at)


def _ended(track: Track, at: datetime) -> Track:
    """What runs ends now, with all that it contains."""
    return tuple(
        period._replace(span=Span(period.span.starts_at, at)) if period.span and at in period.span else period
        for period in track
    )


def _start(track: Track, first: Booked, at: datetime) -> Track:
    there = place(first.id, first.policy, at, track)
    rest = tuple(p for p in track if p.id != first.id)
    return _booked_on(rest, first._replace(span=there.span, anchor=there.anchor), at).track


def take_out(track: Track, id: UUID, at: datetime) -> Track:
    """Give a period back: what runs ends now, what has not begun is gone, and what lies behind it moves up (R-47).

    What it had made of other periods' data is undone. A period that is over, or is not there, changes nothing.
    """
    track = pass_time(track, at)
    gone = next((period for period in track if period.id == id), None)
    if gone is None or (gone.span is not None and gone.span.ends_at <= at):
        return track
    stays = [_undone(period, gone) for period in track if period.id != id]
    if gone.span is None:
        return _going_on(tuple(stays), at)
    behind = [p for p in stays if p.span and p.span.starts_at >= gone.span.ends_at]
    ahead = [p for p in stays if p not in behind]
    if gone.span.starts_at < at:
        ahead.append(_shortened(gone, at))
    return _going_on((*ahead, *_moved_up(behind, ahead, max(gone.span.starts_at, at), at)), at)


def _going_on(track: Track, at: datetime) -> Track:
    """Where nothing runs any more the next that waits starts now, never at an end that is long over."""
    first = min((period for period in track if period.span is None), key=_turn, default=None)
    if first is None or first.policy.starts == "first_use" or any(p.span and p.span.ends_at > at for p in track):
        return track
    return _start(track, first, at)


def _undone(old: Booked, gone: Booked) -> Booked:
    """A period without what the one that is given back had made of its data, voice and texts."""
    if old.span is None or gone.span is None:
        return old
    buckets = dict(old.buckets)
    for kind, span in old.buckets.items():
        own, fate = gone.bucket(kind), gone.renewal.fate(kind)
        is_longer = fate in {"add", "carry"} and span.ends_at == gone.span.ends_at > old.span.ends_at
        is_cut = fate == "replace" and own is not None and span.ends_at == own.starts_at < old.span.ends_at
        if is_longer or is_cut:
            del buckets[kind]
    return old._replace(buckets=buckets)


def _shortened(period: Booked, at: datetime) -> Booked:
    """What runs, ended now with all that it contains."""
    assert period.span is not None, "it runs"
    left = {kind: span for kind, span in period.buckets.items() if span.starts_at < at}
    buckets = {kind: Span(span.starts_at, min(span.ends_at, at)) for kind, span in left.items()}
    return period._replace(span=Span(period.span.starts_at, at), buckets=buckets)


def _moved_up(behind: Iterable[Booked], ahead: Iterable[Booked], start: datetime, at: datetime) -> list[Booked]:
    """What had dates behind the period that is gone, laid end to end from where that began."""
    before: list[Booked | Placed] = [*ahead]
    moved: list[Booked] = []
    for period in sorted(behind, key=lambda one: one.span.starts_at if one.span else at):
        there = place(period.id, period.policy, start, before)
        before.append(there)
        moved.append(period._replace(span=there.span, anchor=there.anchor, buckets={}))
        start = there.span.ends_at
    return moved
