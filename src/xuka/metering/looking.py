"""Looking at the lines that may have passed a mark: what was crossed is a fact, once, and so is a new speed class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from xuka.journal import operations as journal
from xuka.journal.operations import News
from xuka.lines import queries as lines
from xuka.metering import pools, queries, rules
from xuka.metering.counting import one_at_a_time
from xuka.metering.models import Crossing, Meter
from xuka.metering.rules import Bucket, Cell, Usage

# A window's first cell can begin this long before the record that is looked at.
LONGEST_WINDOW = pools.REMEMBERED


@dataclass(frozen=True, slots=True)
class _Seen:
    """A meter with what was found on looking."""

    meter: Meter
    usage: Usage
    crossed: frozenset[rules.Crossing]
    shared_room: int | None = None


@transaction.atomic
def look(meter_ids: Sequence[int], *, now: datetime) -> int:
    """Look at these meters, whether due or not; returns how many facts that made. Again: changes nothing.

    Those that share data with one of them are looked at with it.

    Facts, about the line: "usage.crossed" for each mark of each window, once, however late its records came;
    "speed.changed" when the most speed the line has now is another than at the last look; and "usage.began" when a line
    was used of which a period waits for that.
    """
    one_at_a_time()
    meters = list(Meter.objects.select_related("source").filter(id__in=list(meter_ids)))
    groups = pools.groups_around(meters, now)
    pooled = {id for group in groups for id in group.line_ids}
    meters = [meter for meter in meters if meter.line_id not in pooled]
    buckets = queries.buckets_of((meter.line_id for meter in meters), now)
    cells = queries.cells_of([meter.id for meter in meters], _begin(buckets, now))
    seen = [_see(meter, buckets[meter.line_id], cells.get(meter.id, []), now) for meter in meters]
    for group in groups:
        seen += _see_together(group, buckets, now)
    meters = [one.meter for one in seen]
    news = _new_crossings(seen, now) + [_speed(one) for one in seen if one.meter.kbps != _kbps(one)]
    waiting = lines.waiting_for_use([meter.line_id for meter in meters], now)
    news += [News("usage.began", m.line_id, "clock") for m in meters if m.look_from and m.line_id in waiting]
    for one in seen:
        _set(one, buckets[one.meter.line_id], now)
        if one.meter.line_id in waiting:
            one.meter.room_bytes, one.meter.cell_mark_bytes = 0, None  # whatever it uses next is news
    _store(seen)
    journal.record_many(news, now=now)
    return len(news)


# One statement for all: Django's own takes a branch a row.
_STORE = """
update metering_meter m set since_look_bytes = 0, look_from = null, room_bytes = s.room_bytes,
    cell_mark_bytes = s.cell_mark_bytes, floor_at = s.floor_at, look_at = s.look_at, kbps = s.kbps
from unnest(%(ids)s::bigint[], %(rooms)s::bigint[], %(marks)s::bigint[], %(floors)s::timestamptz[],
    %(looks)s::timestamptz[], %(kbps)s::integer[]) as s (id, room_bytes, cell_mark_bytes, floor_at, look_at, kbps)
where m.id = s.id
"""


def _store(seen: Sequence[_Seen]) -> None:
    meters = [one.meter for one in seen]
    with connection.cursor() as cursor:
        cursor.execute(
            _STORE,
            {
                "ids": [meter.id for meter in meters],
                "rooms": [meter.room_bytes for meter in meters],
                "marks": [meter.cell_mark_bytes for meter in meters],
                "floors": [meter.floor_at for meter in meters],
                "looks": [meter.look_at for meter in meters],
                "kbps": [meter.kbps for meter in meters],
            },
        )


def _begin(buckets: Mapping[UUID, Sequence[Bucket]], now: datetime) -> datetime:
    if any(bucket.quota.data.abroad.stay for of_line in buckets.values() for bucket in of_line):
        return now - LONGEST_WINDOW
    starts = [span.starts_at for of_line in buckets.values() for bucket in of_line for span in bucket.spans]
    return max(min(starts, default=now), now - LONGEST_WINDOW)


def _see(meter: Meter, buckets: list[Bucket], cells: list[Cell], now: datetime) -> _Seen:
    usage = rules.usage(buckets, cells, as_of=queries.as_of(meter), now=now)
    since = min(filter(None, [meter.look_from, meter.floor_at, now]))
    started = [bucket for bucket in buckets if any(span.starts_at <= now for span in bucket.spans)]
    return _Seen(meter, usage, rules.crossings(started, cells, since=since, now=now) if cells else frozenset())


def _see_together(group: pools.Group, buckets: dict[UUID, list[Bucket]], now: datetime) -> list[_Seen]:
    """The meters of a group, locked until the transaction ends by the lock of all counting; its buckets are added."""
    meters = queries.meters_of(group.line_ids)
    whole = queries.together(group, meters, now)
    told, room = queries.latest(meters.values()), whole.room(now)
    buckets |= {id: list(of_line) for id, of_line in whole.buckets.items()}
    return [
        _Seen(meter, whole.usage(id, as_of=told, now=now), whole.crossings(id, since=since, now=now), room)
        for id, meter in meters.items()
        for since in [min(filter(None, [meter.look_from, meter.floor_at, now]))]
    ]


def _new_crossings(seen: Sequence[_Seen], now: datetime) -> list[News]:
    """Store what was crossed and is not stored; the facts about it."""
    there: dict[int, set[rules.Crossing]] = defaultdict(set)
    rows = Crossing.objects.filter(meter_id__in=[one.meter.id for one in seen if one.crossed])
    for row in rows:
        window = rules.Span(row.window_starts_at, row.window_ends_at)
        there[row.meter_id].add(rules.Crossing(row.period, row.name, row.number, window, row.what))  # type: ignore[arg-type]
    fresh = [
        (one.meter, crossing)
        for one in seen
        for crossing in sorted(one.crossed - there[one.meter.id], key=lambda c: (c.window.starts_at, c.number, c.what))
    ]
    Crossing.objects.bulk_create(
        [
            Crossing(
                meter=meter, period=c.bucket, name=c.name, number=c.number, window_starts_at=c.window.starts_at,
                window_ends_at=c.window.ends_at, what=c.what, noticed_at=now,
            )
            for meter, c in fresh
        ],
        batch_size=2_000,
    )  # fmt: skip
    return [News("usage.crossed", meter.line_id, "clock", after=_told(crossing)) for meter, crossing in fresh]


def _told(crossing: rules.Crossing) -> dict[str, object]:
    return {
        "what": crossing.what,
        "of": crossing.name,
        "period": str(crossing.bucket),
        "window_starts_at": crossing.window.starts_at.isoformat(),
        "window_ends_at": crossing.window.ends_at.isoformat(),
    }


def _kbps(one: _Seen) -> int | None:
    """The speed class that the caps leave now; while no period runs it stays what it was."""
    return one.meter.kbps if one.usage.speed.why == "no_period" else one.usage.cap_kbps


def _speed(one: _Seen) -> News:
    until = one.usage.cap_until.isoformat() if one.usage.cap_until else None
    return News(
        "speed.changed",
        one.meter.line_id,
        "clock",
        before={"kbps": one.meter.kbps},
        after={"kbps": one.usage.cap_kbps, "until": until},
    )


def _set(one: _Seen, buckets: Sequence[Bucket], now: datetime) -> None:
    """When to look again: at so many bytes more, or when the speed changes by itself."""
    meter, usage = one.meter, one.usage
    meter.kbps = _kbps(one)
    open_now = rules.open_at(buckets, now)
    rooms = (rules.room(usage, fresh=rules.fresh(open_now)), one.shared_room)
    meter.room_bytes = min((room for room in rooms if room is not None), default=None)
    is_shared = meter.is_pooled or usage.pool is not None or one.shared_room is not None
    mark = None if is_shared else rules.cell_mark(buckets, meter.zone)
    meter.cell_mark_bytes = mark if mark is not None and rules.is_unmarked(usage, mark) else None
    limits = (*usage.limits, *(usage.pool.limits if usage.pool else ()))
    meter.floor_at = min((limit.window.starts_at for limit in limits), default=now)
    ends = [limit.window.ends_at for limit in limits if limit.step]
    if any(bucket.quota.data.abroad.stay for bucket in open_now):
        meter.room_bytes = 0  # wherever it is used next is news
        ends += filter(None, [usage.stay_ends_at])
    meter.look_at = min((at for at in ends if at > now), default=None)
