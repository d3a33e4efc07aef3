"""Reading what is known of usage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, Min

from xuka.catalogue import queries as catalogue
from xuka.catalogue.rules import Policy
from xuka.lines import queries as lines
from xuka.lines.queries import Entry, Line
from xuka.lines.rules import Lived
from xuka.metering import pools, rules
from xuka.metering.models import Counter, Meter, Reading, Rejected, Sample, Source
from xuka.metering.pool_rules import Together
from xuka.metering.pools import REMEMBERED, Group
from xuka.metering.rules import Bucket, Cell, Usage

_CELL = ("starts_at", "day", "bytes", "abroad_bytes", "hotspot_bytes", "voice_seconds", "sms")
# The names of sources that are carriers' answers begin with this.
ASKED = "carrier-"


def latest_reading(line_id: UUID) -> Reading | None:
    """What the carrier last told of this card; None when it never did."""
    return Reading.objects.filter(line_id=line_id, as_of__isnull=False).first()


def asked_since(moment: datetime) -> set[UUID]:
    """The cards whose carrier was asked after this moment, with or without an answer."""
    return set(Reading.objects.filter(asked_at__gt=moment).values_list("line_id", flat=True))


def usage_of(line: Line, *, now: datetime, entries: Iterable[Entry] | None = None) -> Usage:
    """What a card has used and has left now, and how fast it is; counted when it is asked for.

    Args:
        entries: its periods on every track, where the caller has them (``lines.entries_of``).
    """
    known = lines.entries_of([line], now) if entries is None else {line.id: list(entries)}
    return usages_of([line], now=now, entries=known)[line.id]


def usages_of(of_lines: Iterable[Line], *, now: datetime, entries: Mapping[UUID, Sequence[Entry]]) -> dict[UUID, Usage]:
    """The same of several cards, by their ids, in three queries, and as many again where some share data."""
    buckets = {line.id: _buckets(entries[line.id]) for line in of_lines}
    meters = meters_of(buckets)
    since = rules.since((bucket for of_line in buckets.values() for bucket in of_line), now)
    cells = cells_of([meter.id for meter in meters.values()], since) if meters else {}
    readings = Reading.objects.filter(line_id__in=buckets, remaining_bytes__isnull=False).in_bulk()
    alone = {
        id: _usage(of_line, meter, cells.get(meter.id, []) if meter else [], readings.get(id), now)
        for id, of_line in buckets.items()
        for meter in [meters.get(id)]
    }
    return alone | shared_usages(meters, now)


def shared_usages(of: Mapping[UUID, Meter], now: datetime) -> dict[UUID, Usage]:
    """The same of those of these meters' cards that share data with others, by the card; no query where none does."""
    found: dict[UUID, Usage] = {}
    for group in pools.groups_around(of.values(), now):
        meters = meters_of(group.line_ids)
        whole = together(group, meters, now)
        told = latest(meters.values())
        found |= {id: whole.usage(id, as_of=told, now=now) for id in of if id in group.line_ids}
    return found


def meters_of(line_ids: Iterable[UUID]) -> dict[UUID, Meter]:
    """The meters of these lines, by the line; those of which nobody ever told are left out."""
    rows = Meter.objects.select_related("source").filter(line_id__in=list(line_ids))
    return {meter.line_id: meter for meter in rows}


def latest(meters: Iterable[Meter]) -> datetime | None:
    """Until when anything is known of these; None where nothing is."""
    return max(filter(None, map(as_of, meters)), default=None)


def together(group: Group, meters: Mapping[UUID, Meter], now: datetime) -> Together:
    """What the cards of this group have used of what they have, counted over all of it."""
    buckets = buckets_of(sorted(group.line_ids), now)
    starts = [span.starts_at for of_line in buckets.values() for bucket in of_line for span in bucket.spans]
    since = max(min(starts, default=now), now - REMEMBERED)
    cells = cells_of([meter.id for meter in meters.values()], since)
    of_line = {id: cells.get(meter.id, []) for id, meter in meters.items()}
    return Together.burn(buckets, of_line, group.draws)


def _usage(
    buckets: list[Bucket], meter: Meter | None, cells: Sequence[Cell], reading: Reading | None, now: datetime
) -> Usage:
    told = as_of(meter) if meter else None
    if reading is None:
        return rules.usage(buckets, cells, as_of=told, now=now)
    usage = rules.usage(buckets, cells, as_of=max(filter(None, [told, reading.as_of])), now=now)
    if meter and meter.source and not meter.source.name.startswith(ASKED):
        return usage
    # What the carrier says is left is what it will give, whatever our own sum says.
    return replace(usage, left_bytes=reading.remaining_bytes, of_bytes=reading.total_bytes)


def as_of(meter: Meter) -> datetime | None:
    """Until when records tell of this meter's line; None when there never was one."""
    told = [meter.last_ended_at, meter.source.known_until if meter.source else None]
    return max(filter(None, told)) if meter.last_ended_at else None


@dataclass(frozen=True, slots=True)
class Day:
    """What a card used on one day of its own zone; ``is_known`` False where nothing of that day was ever told."""

    day: date
    bytes: int
    abroad_bytes: int
    hotspot_bytes: int
    is_known: bool


def counted(line: Line, *, now: datetime, entries: Iterable[Entry], days: int = 30) -> list[Cell]:
    """What was counted of a card, in order of time: of so many days, and since its first period if that is longer."""
    first = now - timedelta(days=days + 1)
    since = min((entry.span.starts_at for entry in entries if not entry.projected), default=first)
    rows = Counter.objects.filter(meter__line_id=line.id, starts_at__gte=min(since, first)).order_by("starts_at")
    return [Cell(*told) for told in rows.values_list(*_CELL)]


def days_of(line: Line, cells: Iterable[Cell], *, now: datetime, days: int = 30) -> list[Day]:
    """The last days up to and with today, the oldest first; [] where nobody ever told of this card.

    A day without use between two that are known was a day without use; one before the first record is not known.

    Args:
        cells: what was counted in these days, at least (``counted``).
    """
    today = now.astimezone(ZoneInfo(line.zone)).date()
    every = [today - timedelta(days=n) for n in reversed(range(days))]
    used: dict[date, list[Cell]] = defaultdict(list)
    for cell in cells:
        if every[0] <= cell.day <= today:
            used[cell.day].append(cell)
    earliest = min(used, default=None)
    return [_day(day, used.get(day, []), is_known=day >= earliest) for day in every] if earliest else []


def _day(day: date, cells: Sequence[Cell], *, is_known: bool) -> Day:
    return Day(
        day,
        sum(cell.bytes for cell in cells),
        sum(cell.abroad_bytes for cell in cells),
        sum(cell.hotspot_bytes for cell in cells),
        is_known=is_known,
    )


def used_by_period(cells: Iterable[Cell], entries: Iterable[Entry]) -> dict[UUID, int]:
    """How many bytes were used in each of these periods, by the period's id; a period without records is left out."""
    spans = {entry.period.id: entry.span for entry in entries if not entry.projected}
    used: dict[UUID, int] = defaultdict(int)
    for cell in cells:
        for id, span in spans.items():
            if cell.starts_at in span:
                used[id] += cell.bytes
    return dict(used)


def buckets_of(line_ids: Iterable[UUID], now: datetime | None = None) -> dict[UUID, list[Bucket]]:
    """What each of these lines is entitled to, past and future, on every track.

    Args:
        now: for where queued periods would lie as things stand; None leaves them out.
    """
    of_line = lines.entitlements_of(line_ids, now)
    return {line_id: _buckets(entries) for line_id, entries in of_line.items()}


def _buckets(entries: Iterable[Entry]) -> list[Bucket]:
    """What these periods contain; their data, where a renewal says so, for longer than they run, or from earlier on."""
    return [
        Bucket(
            entry.period.id,
            data,
            entry.period.funded_at,
            policy.quota,
            _marks(policy),
            _carried(entry, policy),
            tuple((kind, span) for kind in rules.TALKS if (span := lines.bucket_of(entry, kind)) != data),
        )
        for entry in entries
        for policy, data in [(catalogue.policy(entry.period.plan_version), lines.bucket_of(entry, "data"))]
    ]


def _carried(entry: Entry, policy: Policy) -> tuple[datetime, int] | None:
    """From the end of its own time on, no more of its data can be used than its plan lets go over (R-20)."""
    most = policy.renewal.carry_most_bytes
    return (entry.span.ends_at, most) if most is not None else None


def _marks(policy: Policy) -> tuple[int, ...]:
    """When somebody is told, and when the card may renew itself."""
    return tuple(sorted({*rules.MARKS, *(100 - left for left in policy.auto.percent_left)}))


def cells_of(meter_ids: Iterable[int], since: datetime) -> Mapping[int, list[Cell]]:
    """What each of these meters counted in the cells that begin at ``since`` or later, in order of time."""
    found: dict[int, list[Cell]] = defaultdict(list)
    rows = Counter.objects.filter(meter_id__in=list(meter_ids), starts_at__gte=since).order_by("meter_id", "starts_at")
    for meter_id, *told in rows.values_list("meter_id", *_CELL):
        found[meter_id].append(Cell(*told))
    return found


def cells_in_full() -> list[tuple[object, ...]]:
    """Every cell of every meter, for comparing."""
    return list(Counter.objects.order_by("meter_id", "starts_at").values_list("meter_id", *_CELL))


def due_meters(now: datetime, *, limit: int = 1_000) -> list[int]:
    """Meters that should be looked at now, those due longest first."""
    due = Meter.objects.filter(look_at__lte=now).order_by("look_at", "id")
    return list(due.values_list("id", flat=True)[:limit])


def first_use(line_id: UUID, since: datetime) -> datetime | None:
    """The start of this line's first record that began at ``since`` or later; None when there is none."""
    records = Sample.objects.filter(
        meter_id__in=Meter.objects.filter(line_id=line_id).values("id"), started_at__gte=since,
        day__gte=since.astimezone(UTC).date(),
    )  # fmt: skip
    return records.aggregate(first=Min("started_at"))["first"]


def meter_of(line_id: UUID) -> Meter | None:
    """The meter of this line; None when nobody ever told of it."""
    return Meter.objects.select_related("source").filter(line_id=line_id).first()


def is_counted(line_id: UUID) -> bool:
    """Whether usage records tell of this line, and not only its carrier's answers of what is left."""
    meter = meter_of(line_id)
    return meter is not None and meter.source is not None and not meter.source.name.startswith(ASKED)


def last_use(line_ids: Iterable[UUID]) -> dict[UUID, datetime]:
    """When each of these lines was last used; those of which nobody ever told are left out."""
    rows = Meter.objects.filter(line_id__in=list(line_ids), last_ended_at__isnull=False)
    return dict(rows.values_list("line_id", "last_ended_at"))


def lives(line_ids: Iterable[UUID], now: datetime) -> dict[UUID, Lived]:
    """What each of these lines has lived through, its last use included (``lines.rules.life_of``)."""
    found = lines.lived(line_ids, now)
    used = last_use(found)
    return {id: replace(lived, used_at=used.get(id)) for id, lived in found.items()}


def sources() -> list[Source]:
    """Every source that was ever heard of, by name."""
    return list(Source.objects.order_by("name"))


def rejected_by_reason() -> dict[str, dict[str, int]]:
    """How many records were refused one by one, by source and reason; those of files are told by their deliveries."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    rows = Rejected.objects.values_list("source__name", "reason").annotate(Count("id")).order_by("source__name")
    for name, reason, number in rows:
        found[name][reason] = number
    return dict(found)
