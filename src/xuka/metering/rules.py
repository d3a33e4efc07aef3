"""From what was used to what is left, and how fast a card is now. Pure.

Use is kept in cells: stretches of time that no boundary of a window lies in. What a window has used is the sum of its
cells, whatever order the records came in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from xuka.catalogue.rules import Data, Peak, Quota, Stay, Tier, Window, boundaries, day_start, instant_of, window_at
from xuka.kernel.span import Span

# Per cent of what a window allows at full speed; each is told once a window.
MARKS = (50, 80, 95, 100)

Talk = Literal["voice", "sms"]
Name = Literal["data", "shared", "hotspot", "abroad", "review", Talk]
Why = Literal["full", "cap", "peak", "stay", "no_period"]
# A stay abroad is looked for as far back as this, also in periods before.
LONGEST_STAY = timedelta(days=92)


@dataclass(frozen=True, slots=True)
class Cell:
    """What a card used in one cell, abroad and over the hotspot included in ``bytes``; ``day`` is the line's own."""

    starts_at: datetime
    day: date
    bytes: int = 0
    abroad_bytes: int = 0
    hotspot_bytes: int = 0
    voice_seconds: int = 0
    sms: int = 0


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a period entitles a card to; several may be open at once, each on a track of its own.

    ``marks``: the per cent of its data at which somebody wants to hear of it. ``carried``: from when on it is data
    that was carried over, and how much of it can be used then (R-20). ``apart``: when calls or texts can be used, where
    that is not the span (R-19).
    """

    id: UUID
    span: Span
    funded_at: datetime
    quota: Quota
    marks: tuple[int, ...] = MARKS
    carried: tuple[datetime, int] | None = None
    apart: tuple[tuple[Talk, Span], ...] = ()

    def when(self, kind: Talk) -> Span:
        """When calls or texts can be used."""
        return next((span for name, span in self.apart if name == kind), self.span)

    @property
    def spans(self) -> tuple[Span, ...]:
        """When its data can be used, and what can be used at other times."""
        return (self.span, *(span for _, span in self.apart))


@dataclass(frozen=True, slots=True)
class Burnt:
    """What one limit of a bucket has used in one of its windows.

    Attributes:
        name, number: which limit: "data" 0 is the plan's own, 1 and on those that hold besides; "shared" are those of
            another card's data that this one may use too.
        allowed: at full speed, in bytes (voice in seconds, SMS in messages); None is unlimited.
        tiers: the steps of speed; () for what simply ends.
    """

    bucket: UUID
    name: Name
    number: int
    window: Span
    used: int
    allowed: int | None
    tiers: tuple[Tier, ...] = ()
    marks: tuple[int, ...] = MARKS

    @property
    def left(self) -> int | None:
        """What is left at full speed, never below zero; None is unlimited."""
        return None if self.allowed is None else max(0, self.allowed - self.used)

    @property
    def step(self) -> int:
        """How many steps of speed it has gone down; 0 is full speed."""
        return sum(self.used >= tier.after_bytes for tier in self.tiers)


@dataclass(frozen=True, slots=True)
class Speed:
    """The most speed a card has now.

    Attributes:
        kbps: None is as fast as the network is; 0 is nothing.
        why: the cap is used up, it is a peak hour, it has been abroad for too many days, or no period runs.
        until: when that next changes by itself, aware UTC; None when it does not.
    """

    kbps: int | None
    why: Why
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Pooled:
    """What is left of the data that several cards share.

    Attributes:
        line_id: whose it is.
        limits: each of its limits, in its window: what all the cards together have used.
        drawn_bytes: what this card has used of it in its period.
        ends_at: when that ends, aware UTC.
    """

    line_id: UUID
    limits: tuple[Burnt, ...]
    drawn_bytes: int
    ends_at: datetime

    @property
    def strictest(self) -> Burnt:
        """The limit that has least left."""
        return min(self.limits, key=lambda limit: limit.left or 0)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a card has used and has left now.

    Attributes:
        as_of: until when its use is known, aware UTC; None when nobody ever told, and then the figures mean nothing.
        limits: each limit of the bucket that serves now, in its window; the plan's own data first.
        left_bytes, of_bytes: at full speed, of the limit that has least left; None where there is no cap.
        window: of that limit.
        speed: see there.
        cap_kbps: the speed class: what the caps leave, whatever the hour; None is full speed.
        cap_until: when that changes by itself, aware UTC.
        used_bytes: in the whole running period.
        stay_ends_at: when its days in a row abroad are used up, or were; None while it is in its market (R-39).
        pool: what is left of the data that it shares, or that is shared with it; the rest is of its own data, but the
            speed is what both leave. None where nothing is shared.
    """

    as_of: datetime | None
    limits: tuple[Burnt, ...]
    left_bytes: int | None
    of_bytes: int | None
    window: Span | None
    speed: Speed
    cap_kbps: int | None
    cap_until: datetime | None
    used_bytes: int
    stay_ends_at: datetime | None = None
    pool: Pooled | None = None

    def limit(self, name: Name) -> Burnt | None:
        """The first limit of this name; None where the plan has none."""
        return next((limit for limit in self.limits if limit.name == name), None)


def cuts(buckets: Iterable[Bucket]) -> list[datetime]:
    """Every instant at which a new cell must begin: starts, ends and windows of all buckets, in order, each once."""
    found: set[datetime] = set()
    for bucket in buckets:
        found |= {at for span in bucket.spans for at in (span.starts_at, span.ends_at)}
        for limit in bucket.quota.data.limits:
            found.update(boundaries(limit, bucket.span))
    return sorted(found)


def burn(buckets: Sequence[Bucket], cells: Iterable[Cell]) -> dict[UUID, dict[datetime, int]]:
    """How many bytes of each cell each bucket has borne: by bucket, by the cell's start.

    In every cell the open buckets are used up in order of priority, then of the earliest end, then of age. What is
    more than all of them allow at full speed falls on the first of them that still goes on, slower.
    """
    borne: dict[UUID, dict[datetime, int]] = {bucket.id: {} for bucket in buckets}
    for cell in sorted(cells, key=lambda cell: cell.starts_at):
        bear(open_at(buckets, cell.starts_at), borne, cell)
    return borne


def bear(in_turn: Sequence[Bucket], borne: dict[UUID, dict[datetime, int]], cell: Cell) -> list[tuple[UUID, int]]:
    """Add what was used in this cell to what these buckets have borne, in their turn; which has taken how much."""
    if len(in_turn) == 1:  # as nearly all cards: it takes all
        return _take(in_turn[0], borne, cell.starts_at, cell.bytes)
    rest, found = cell.bytes, list[tuple[UUID, int]]()
    for bucket in in_turn:
        taken = min(rest, _room(bucket, borne[bucket.id], cell.starts_at, rest))
        found += _take(bucket, borne, cell.starts_at, taken)
        rest -= taken
    if in_turn and rest:
        last = next((b for b in in_turn if not _is_blocked(b, borne[b.id], cell.starts_at)), in_turn[0])
        found += _take(last, borne, cell.starts_at, rest)
    return found


def _take(
    bucket: Bucket, borne: dict[UUID, dict[datetime, int]], moment: datetime, taken: int
) -> list[tuple[UUID, int]]:
    if not taken:
        return []
    of = borne[bucket.id]
    of[moment] = of.get(moment, 0) + taken
    return [(bucket.id, taken)]


def open_at(buckets: Iterable[Bucket], moment: datetime) -> list[Bucket]:
    """The buckets that are open at this moment, in the order in which they are used up."""
    found = [bucket for bucket in buckets if moment in bucket.span]
    return sorted(found, key=lambda b: (b.quota.data.priority, b.span.ends_at, b.funded_at, b.id))


def _room(bucket: Bucket, borne: dict[datetime, int], moment: datetime, rest: int) -> int:
    """How much more the bucket can bear at full speed in the cell of this moment."""
    rooms = [tier_room(limit, _used(limit, bucket, borne, moment)) for limit in bucket.quota.data.limits]
    carried = _carried_room(bucket, borne, moment)
    return min(rooms if carried is None else [*rooms, carried], default=rest)


def _carried_room(bucket: Bucket, borne: dict[datetime, int], moment: datetime) -> int | None:
    """What is left of what was carried over; None in the bucket's own time, and where all of it goes over."""
    if bucket.carried is None or moment < bucket.carried[0]:
        return None
    since, most = bucket.carried
    return max(0, most - sum(volume for at, volume in borne.items() if at >= since))


def tier_room(limit: Window, used: int) -> int:
    """What is left of a limit at full speed, in bytes."""
    return max(0, limit.tiers[0].after_bytes - used)


def _is_blocked(bucket: Bucket, borne: dict[datetime, int], moment: datetime) -> bool:
    return _carried_room(bucket, borne, moment) == 0 or any(
        limit.tiers[-1].kbps == 0 and _used(limit, bucket, borne, moment) >= limit.tiers[-1].after_bytes
        for limit in bucket.quota.data.limits
    )


def _used(limit: Window, bucket: Bucket, borne: dict[datetime, int], moment: datetime) -> int:
    window = window_at(limit, bucket.span, moment)
    return sum(volume for at, volume in borne.items() if at in window)


def burnt(bucket: Bucket, borne: dict[datetime, int], cells: Sequence[Cell], moment: datetime) -> tuple[Burnt, ...]:
    """Every limit on this bucket's data, in the window that contains the moment (a moment of its span)."""
    data = bucket.quota.data
    found = list(data_limits(bucket, borne, moment))
    within = [cell for cell in cells if cell.starts_at in bucket.span]
    whole = bucket.span
    if data.hotspot.cap_bytes is not None:
        used = sum(cell.hotspot_bytes for cell in within)
        found.append(Burnt(bucket.id, "hotspot", 0, whole, used, data.hotspot.cap_bytes))
    if data.abroad.cap_bytes is not None:
        used = sum(cell.abroad_bytes for cell in within)
        found.append(Burnt(bucket.id, "abroad", 0, whole, used, data.abroad.cap_bytes))
    if data.review_bytes is not None:
        found.append(Burnt(bucket.id, "review", 0, whole, sum(borne.values()), data.review_bytes, marks=(100,)))
    return tuple(found)


def data_limits(bucket: Bucket, borne: dict[datetime, int], moment: datetime) -> tuple[Burnt, ...]:
    """The limits on the data itself, in the windows that contain the moment."""
    carried_room = _carried_room(bucket, borne, moment)
    return tuple(
        Burnt(bucket.id, "data", number, window, used, min(allowed, used + carried), limit.tiers, bucket.marks)
        for number, limit in enumerate(bucket.quota.data.limits)
        for window in [window_at(limit, bucket.span, moment)]
        for used, allowed in [(_sum(borne, window), limit.tiers[0].after_bytes)]
        for carried in [allowed if carried_room is None else carried_room]
    )


TALKS: tuple[Talk, ...] = ("voice", "sms")


def _allowed_of(quota: Quota, kind: Talk) -> tuple[bool, int | None]:
    """Whether it is in the plan, and how many seconds or messages; None is unlimited."""
    if kind == "voice":
        minutes = quota.voice.minutes if quota.voice else None
        return quota.voice is not None, None if minutes is None else minutes * 60
    return quota.sms is not None, quota.sms.messages if quota.sms else None


def talked(buckets: Iterable[Bucket], cells: Iterable[Cell], kind: Talk) -> list[Burnt]:
    """What each bucket has borne of the calls or texts, in the order in which they are used up (R-19).

    They have times of their own: in every cell those that are open are used up in order of their end, then of age. What
    is more than all of them allow falls on the first.
    """
    of = [bucket for bucket in buckets if _allowed_of(bucket.quota, kind)[0]]
    in_turn = sorted(of, key=lambda bucket: (bucket.when(kind).ends_at, bucket.funded_at, bucket.id))
    used = dict.fromkeys((bucket.id for bucket in in_turn), 0)
    for cell in sorted(cells, key=lambda cell: cell.starts_at) if in_turn else ():
        rest = cell.voice_seconds if kind == "voice" else cell.sms
        open_then = [bucket for bucket in in_turn if cell.starts_at in bucket.when(kind)]
        for bucket in open_then:
            allowed = _allowed_of(bucket.quota, kind)[1]
            taken = rest if allowed is None else min(rest, max(0, allowed - used[bucket.id]))
            used[bucket.id] += taken
            rest -= taken
        if open_then and rest:
            used[open_then[0].id] += rest
    return [
        Burnt(bucket.id, kind, 0, bucket.when(kind), used[bucket.id], _allowed_of(bucket.quota, kind)[1])
        for bucket in in_turn
    ]


def _talk_limits(buckets: Sequence[Bucket], cells: Sequence[Cell], now: datetime) -> tuple[Burnt, ...]:
    """Of calls and of texts, the bucket that serves now."""
    found: list[Burnt] = []
    for kind in TALKS:
        open_now = [limit for limit in talked(buckets, cells, kind) if now in limit.window]
        found += ([limit for limit in open_now if limit.left != 0] or open_now)[:1]
    return tuple(found)


def _sum(borne: dict[datetime, int], window: Span) -> int:
    return sum(volume for at, volume in borne.items() if at in window)


def usage(buckets: Sequence[Bucket], cells: Sequence[Cell], *, as_of: datetime | None, now: datetime) -> Usage:
    """What is left, and how fast it is now.

    Args:
        buckets: all that the card has, past and future.
        cells: what it used since the earliest start among the buckets that are open now, at least.
        as_of: until when its use is known; None when nobody ever told.
    """
    begin = since(buckets, now)
    cells = [cell for cell in cells if begin <= cell.starts_at]
    borne = burn([b for b in buckets if b.span.ends_at > begin], cells)
    return usage_as_borne(buckets, cells, borne, open_at(buckets, now), as_of=as_of, now=now)


def usage_as_borne(
    buckets: Sequence[Bucket], cells: Sequence[Cell], borne: dict[UUID, dict[datetime, int]], in_turn: Sequence[Bucket],
    *, pool: Pooled | None = None, as_of: datetime | None, now: datetime,
) -> Usage:  # fmt: skip
    """The same, once it is known what each bucket has borne.

    Args:
        in_turn: what the card can use now, in order: its own data, and what others share with it.
    """
    own, talk = open_at(buckets, now), _talk_limits(buckets, cells, now)
    if not own:
        return Usage(as_of, talk, None, None, None, Speed(0, "no_period", _next_start(buckets, now)), None, None, 0)
    mine, serving = _serving(own, borne, now), _serving(in_turn, borne, now)
    limits = burnt(mine, borne[mine.id], cells, now)
    data = [limit for limit in limits if limit.name == "data"]
    holds = data if serving is mine else data_limits(serving, borne[serving.id], now)
    cap_kbps, cap_until = _slowest(holds) or (None, None)
    strictest = min(data, key=lambda limit: limit.left or 0, default=None)
    speed = speed_now(serving.quota.data, holds, now)
    stay = serving.quota.data.abroad.stay
    stay_ends_at = stay_ends(stay, cells) if stay else None
    if stay and stay_ends_at and stay_ends_at <= now and (cap_kbps is None or stay.kbps < cap_kbps):
        cap_kbps, cap_until = stay.kbps, None
        speed = speed if speed.kbps is not None and speed.kbps <= stay.kbps else Speed(stay.kbps, "stay", None)
    return Usage(
        as_of=as_of,
        limits=(*limits, *talk),
        left_bytes=strictest.left if strictest else None,
        of_bytes=strictest.allowed if strictest else None,
        window=strictest.window if strictest else None,
        speed=speed,
        cap_kbps=cap_kbps,
        cap_until=cap_until,
        used_bytes=sum(cell.bytes for cell in cells if cell.starts_at in mine.span),
        stay_ends_at=stay_ends_at,
        pool=pool,
    )


def _serving(in_turn: Sequence[Bucket], borne: dict[UUID, dict[datetime, int]], now: datetime) -> Bucket:
    """The first of these that has data at full speed; else the first that still goes on."""
    full = next((b for b in in_turn if not is_spent(b, borne[b.id], now)), None)
    return full or next((b for b in in_turn if not _is_blocked(b, borne[b.id], now)), in_turn[0])


def stay_ends(stay: Stay, cells: Iterable[Cell]) -> datetime | None:
    """When the days in a row abroad are used up; None where the card was last used in its market, or never abroad."""
    began: datetime | None = None
    for cell in sorted(cells, key=lambda cell: cell.starts_at):
        if cell.bytes > cell.abroad_bytes:
            began = None
        elif cell.abroad_bytes:
            began = began or cell.starts_at
    if began is None:
        return None
    return day_start(began.astimezone(ZoneInfo(stay.zone)).date() + timedelta(days=stay.days), stay.zone)


def since(buckets: Iterable[Bucket], now: datetime) -> datetime:
    """From when on use matters for what is open now: the earliest start of it; now where nothing is open."""
    buckets = [bucket for bucket in buckets if any(now in span for span in bucket.spans)]
    begin = min((span.starts_at for bucket in buckets for span in bucket.spans if now in span), default=now)
    return begin - LONGEST_STAY if any(bucket.quota.data.abroad.stay for bucket in buckets) else begin


def is_spent(bucket: Bucket, borne: dict[datetime, int], now: datetime) -> bool:
    """Whether nothing of this bucket is left at full speed now."""
    return _carried_room(bucket, borne, now) == 0 or any(
        _used(limit, bucket, borne, now) >= limit.tiers[0].after_bytes for limit in bucket.quota.data.limits
    )


def _next_start(buckets: Iterable[Bucket], now: datetime) -> datetime | None:
    return min((b.span.starts_at for b in buckets if b.span.starts_at > now), default=None)


def speed_now(data: Data, limits: Iterable[Burnt], now: datetime) -> Speed:
    """The speed that the policy leaves, after what its limits have used: the slowest of all that hold now.

    ``why`` is "cap" where a cap is what slows most, "peak" where the hour is; both at once is the cap.
    """
    by_cap = _slowest(limits)
    peak = peak_at(data.peak, now) if data.peak else None
    if by_cap and (peak is None or data.peak is None or by_cap[0] <= data.peak.kbps):
        return Speed(by_cap[0], "cap", by_cap[1])
    if peak and data.peak:
        return Speed(data.peak.kbps, "peak", peak.ends_at)
    return Speed(None, "full", _next_peak(data.peak, now) if data.peak else None)


def _slowest(limits: Iterable[Burnt]) -> tuple[int, datetime] | None:
    """The slowest step that a limit has gone down to, and when its window ends; None at full speed."""
    slowed = [(limit.tiers[limit.step - 1].kbps, limit.window.ends_at) for limit in limits if limit.step]
    return min(slowed, default=None)


def peak_at(peak: Peak, now: datetime) -> Span | None:
    """The peak hours that run now; None outside of them."""
    return next((span for span in _peaks(peak, now) if now in span), None)


def _next_peak(peak: Peak, now: datetime) -> datetime | None:
    return min((span.starts_at for span in _peaks(peak, now) if span.starts_at > now), default=None)


def _peaks(peak: Peak, now: datetime) -> list[Span]:
    today = now.astimezone(ZoneInfo(peak.zone)).date()
    found: list[Span] = []
    for offset in (-1, 0, 1):
        first = today + timedelta(days=offset)
        last = first + timedelta(days=peak.to_time <= peak.from_time)
        starts_at, ends_at = _at(first, peak.from_time, peak.zone), _at(last, peak.to_time, peak.zone)
        if starts_at < ends_at:  # a jump of the clocks can leave nothing of them
            found.append(Span(starts_at, ends_at))
    return found


def _at(day: date, at: time, zone: str) -> datetime:
    return instant_of(datetime.combine(day, at), zone)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A mark that a limit has passed in one window, or a window that began anew after the cap was used up.

    ``what``: "50", "80", "95" or "100" per cent; "tier:2" and on, a further step of speed; "reset".
    """

    bucket: UUID
    name: Name
    number: int
    window: Span
    what: str


def crossings(
    buckets: Sequence[Bucket], cells: Sequence[Cell], *, since: datetime, now: datetime
) -> frozenset[Crossing]:
    """All that was crossed in the windows that reach beyond ``since`` and began by ``now``: of every bucket and limit.

    It depends on what was used alone, not on when it became known: asking again gives the same and perhaps more.
    """
    return crossings_as_borne(buckets, cells, burn(buckets, cells), since=since, now=now)


def crossings_as_borne(
    buckets: Sequence[Bucket], cells: Sequence[Cell], borne: dict[UUID, dict[datetime, int]], *, since: datetime,
    now: datetime,
) -> frozenset[Crossing]:  # fmt: skip
    """The same, once it is known what each bucket has borne."""
    found: set[Crossing] = set()
    for bucket in buckets:
        for moment in moments(bucket, since, now):
            for limit in burnt(bucket, borne[bucket.id], cells, moment):
                found |= crossed(limit, bucket.span, now)
    for kind in TALKS:
        for limit in talked(buckets, cells, kind):
            if limit.window.ends_at > since and limit.window.starts_at <= now:
                found |= crossed(limit, limit.window, now)
    return frozenset(found)


def moments(bucket: Bucket, since: datetime, now: datetime) -> list[datetime]:
    """A moment in each window of the bucket that reaches beyond ``since`` and began by ``now``."""
    if bucket.span.ends_at <= since or bucket.span.starts_at > now:
        return []
    first = max(since, bucket.span.starts_at)
    found = {first}
    until = min(now + timedelta(seconds=1), bucket.span.ends_at)
    for limit in bucket.quota.data.limits:
        moment = window_at(limit, bucket.span, first).ends_at
        while moment < until:
            found.add(moment)
            moment = window_at(limit, bucket.span, moment).ends_at
    return sorted(moment for moment in found if moment <= now)


def crossed(limit: Burnt, whole: Span, now: datetime) -> set[Crossing]:
    """What this limit has passed by now in its window; ``whole`` is when its bucket is open."""
    if not limit.allowed:
        return set()
    passed = [str(mark) for mark in limit.marks if limit.used * 100 >= limit.allowed * mark]
    passed += [f"tier:{step}" for step in range(2, limit.step + 1)]
    if limit.step and limit.window.ends_at <= now and limit.window.ends_at < whole.ends_at:
        passed.append("reset")
    return {Crossing(limit.bucket, limit.name, limit.number, limit.window, what) for what in passed}


def first_room(buckets: Iterable[Bucket]) -> int | None:
    """How many bytes can be used in all before any window of these buckets can have passed its first mark."""
    return min(
        (allowed * MARKS[0] // 100 for bucket in buckets for allowed in _allowed(bucket.quota.data)), default=None
    )


def cell_mark(buckets: Sequence[Bucket], zone: str) -> int | None:
    """How many bytes a cell has before a mark of its data can be passed; None where a window may be several cells.

    So it is where all data is counted by the days of the line's own zone and nothing that was bought overlaps: then no
    boundary lies within a window. What is used abroad may have a cap besides, which is not looked at here.
    """
    spans = sorted((bucket.span for bucket in buckets), key=lambda span: span.starts_at)
    overlap = any(one.ends_at > after.starts_at for one, after in pairwise(spans))
    if overlap or not all(_is_by_own_days(bucket, zone) for bucket in buckets):
        return None
    allowed = (limit.tiers[0].after_bytes for bucket in buckets for limit in bucket.quota.data.limits)
    return min((most * MARKS[0] // 100 for most in allowed), default=None)


def _is_by_own_days(bucket: Bucket, zone: str) -> bool:
    data = bucket.quota.data
    by_days = all((one.window, one.resets_at, one.zone) == ("local_day", time(0), zone) for one in data.limits)
    caps = (data.hotspot.cap_bytes, data.review_bytes, data.abroad.stay, bucket.carried, *bucket.apart)
    return by_days and len(data.limits) > 0 and not any(caps)


def is_unmarked(usage: Usage, mark: int) -> bool:
    """Whether none of the data windows that are open has come to this many bytes."""
    return all(limit.used < mark for limit in usage.limits if limit.name == "data")


def _allowed(data: Data) -> list[int]:
    caps = [data.hotspot.cap_bytes, data.abroad.cap_bytes, data.review_bytes]
    return [*(limit.tiers[0].after_bytes for limit in data.limits), *(cap for cap in caps if cap)]


def room(usage: Usage, *, fresh: Iterable[int] = ()) -> int | None:
    """How many more bytes can be used until a further mark is passed; None when there is none left.

    Args:
        fresh: what each limit allows whose window will begin anew without anybody looking.
    """
    return min([*(allowed * MARKS[0] // 100 for allowed in fresh), *ahead(usage.limits)], default=None)


def ahead(limits: Iterable[Burnt]) -> list[int]:
    """How many more bytes lead to each mark that these limits have not passed."""
    found: list[int] = []
    for limit in limits:
        if limit.name in {"voice", "sms"} or not limit.allowed:
            continue
        marks = [-(-limit.allowed * mark // 100) for mark in limit.marks] + [tier.after_bytes for tier in limit.tiers]
        found += [mark - limit.used for mark in marks if mark > limit.used]
    return found


def fresh(buckets: Iterable[Bucket]) -> list[int]:
    """What each limit of these buckets allows whose window begins anew before they end, in bytes."""
    return [
        limit.tiers[0].after_bytes
        for bucket in buckets
        for limit in bucket.quota.data.limits
        if limit.window != "period"
    ]
