"""Usage records in, counters out: each record once, whatever order and however often they come.

All who change counters take one lock, for as long as their transaction is open: counting is sequential, and it is the
database that counts. A batch is one transaction: done again after a failure, it counts what was not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count as count_from
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from xuka.catalogue import queries as catalogue
from xuka.lines import queries as lines
from xuka.metering import pool_rules, pools, queries, rules
from xuka.metering.models import Meter, Rejected, Sample, Source, Superseded
from xuka.metering.records import KEPT_AT_LEAST, Record, sorted_out

# The more records meet in a batch, the less often is a cell or a meter written; but a batch holds the lock for seconds.
BATCH = 300_000
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_LOCK = 7_201_913  # any number that no other advisory lock has

_STAGE = """
create temporary table if not exists usage_stage (
    record_id text, iccid text, started_at timestamptz, ended_at timestamptz, up_bytes bigint,
    down_bytes bigint, network text, is_abroad boolean, is_hotspot boolean, voice_seconds integer, sms integer
);
truncate usage_stage;
set local work_mem = '128MB';
"""
_ROWS_AT_ONCE = 5_000
# A cell begins at the line's midnight, or at the last cut before the record where that is later.
_CELL = """greatest(date_trunc('day', s.started_at, m.zone), m.cuts[width_bucket(s.started_at, m.cuts)])"""
# What these samples add to each cell, and what a look needs to know of them.
_CELLS = f"""
    select meter_id, cell, (cell at time zone min(zone))::date as day, sum(bytes)::bigint as bytes,
        coalesce(sum(bytes) filter (where is_abroad), 0)::bigint as abroad_bytes,
        coalesce(sum(bytes) filter (where is_hotspot), 0)::bigint as hotspot_bytes,
        sum(voice_seconds)::bigint as voice_seconds, sum(sms)::bigint as sms,
        min(started_at) as first_start, max(started_at) as last_start, max(ended_at) as last_end
    from (
        select s.*, s.up_bytes + s.down_bytes as bytes, m.zone collate "C" as zone, {_CELL} as cell
        from {{samples}} s join metering_meter m on m.id = s.meter_id
    ) s group by meter_id, cell
"""  # noqa: S608 - our own constants
_ADD = """
    insert into metering_counter
        (meter_id, starts_at, day, bytes, abroad_bytes, hotspot_bytes, voice_seconds, sms)
    select meter_id, cell, day, bytes, abroad_bytes, hotspot_bytes, voice_seconds, sms from {cells} cells
    on conflict (meter_id, starts_at) do update set
        bytes = metering_counter.bytes + excluded.bytes,
        abroad_bytes = metering_counter.abroad_bytes + excluded.abroad_bytes,
        hotspot_bytes = metering_counter.hotspot_bytes + excluded.hotspot_bytes,
        voice_seconds = metering_counter.voice_seconds + excluded.voice_seconds,
        sms = metering_counter.sms + excluded.sms
"""
_MERGE = f"""
with fresh as (
    insert into metering_sample
        (day, source_id, record_id, meter_id, started_at, ended_at, up_bytes, down_bytes, network, is_abroad,
         is_hotspot, voice_seconds, sms)
    select (s.started_at at time zone 'UTC')::date, %(source)s, s.record_id, m.id, s.started_at, s.ended_at, s.up_bytes,
        s.down_bytes, s.network,
        coalesce(s.is_abroad, s.network <> '' and left(s.network, 3) <> all (m.home_mccs)),
        coalesce(s.is_hotspot, false), s.voice_seconds, s.sms
    from usage_stage s join metering_meter m on m.iccid = s.iccid
    on conflict (day, source_id, record_id) do nothing
    returning meter_id, started_at, ended_at, up_bytes, down_bytes, is_abroad, is_hotspot, voice_seconds, sms
), cells as materialized ({_CELLS.format(samples="fresh")}
), counted as ({_ADD.format(cells="")}
    returning metering_counter.meter_id, metering_counter.bytes
), told as (
    update metering_meter m set
        source_id = %(source)s,
        since_look_bytes = m.since_look_bytes + t.bytes,
        last_started_at = greatest(m.last_started_at, t.last_start),
        last_ended_at = greatest(m.last_ended_at, t.last_end),
        look_from = least(m.look_from, t.first_start),
        look_at = case
            when m.floor_at is null or t.talks
                or case when m.cell_mark_bytes is not null and t.abroad_bytes = 0 then n.most >= m.cell_mark_bytes
                    else t.first_start < m.floor_at or m.since_look_bytes + t.bytes >= m.room_bytes end
                then least(m.look_at, %(now)s)
            else m.look_at end
    from (
        select meter_id, sum(bytes) as bytes, sum(abroad_bytes) as abroad_bytes, min(first_start) as first_start,
            max(last_start) as last_start, max(last_end) as last_end, bool_or(voice_seconds > 0 or sms > 0) as talks
        from cells group by meter_id
    ) t join (select meter_id, max(bytes) as most from counted group by meter_id) n using (meter_id)
    where m.id = t.meter_id
)
select count(*) from fresh
"""  # noqa: S608 - our own constants


class Reject(NamedTuple):
    """A record that was not counted: its place in the batch, from 1, and the word for why (see ``why_rejected``)."""

    place: int
    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of a batch: how many records were counted, known already, corrected; and those refused."""

    counted: int = 0
    repeated: int = 0
    corrected: int = 0
    rejected: tuple[Reject, ...] = ()


def source(name: str) -> Source:
    """The source of this name, made when it is first heard of."""
    return Source.objects.get_or_create(name=name)[0]


def count(
    *,
    source: Source,
    records: Iterable[Record],
    now: datetime,
    batch: str = "",
    known_until: datetime | None = None,
    keep_rejected: bool = True,
) -> Counted:
    """Count a batch of at most ``BATCH`` records, in one transaction. Again: changes nothing.

    A record is known by its source and id; the first to come with an id is counted, and only a higher revision changes
    it. A record that cannot be counted is kept with the reason and stops no other.

    Args:
        batch: what it came in, for staff.
        known_until: every record before this has come, as the source says; the pages then say "as of" this time.
        keep_rejected: store what is refused; False where the caller keeps it.
    """
    good, bad = sorted_out(records, now)
    assert len(good) + len(bad) <= BATCH, "a batch is counted in one transaction"
    rejected = [Reject(*one) for one in bad]
    as_sent = [record for record in good if not record.revision]
    with transaction.atomic():
        _stage(as_sent)
        one_at_a_time()
        _have_days(good)
        unknown = _not_met()
        unknown -= meet(unknown, now)
        rejected += _of_cards(good, {reject.place for reject in rejected}, unknown) if unknown else ()
        fresh = _run(_MERGE, {"source": source.id, "now": now})[0][0] if as_sent else 0
        corrected = _correct(source, [r for r in good if r.revision and r.iccid not in unknown], now)
        repeated = len(good) + len(bad) - len(rejected) - fresh - corrected
        rejected.sort(key=lambda reject: reject.place)
        if keep_rejected:
            _keep(source, batch, rejected, now)
        counted = Counted(fresh, repeated, corrected, tuple(rejected))
        _tell(source, counted, known_until, now)
    return counted


def _of_cards(good: Sequence[Record], taken: set[int], unknown: set[str]) -> Iterator[Reject]:
    """The good records of these cards as rejects: their places are those that no other reject has taken."""
    places = (place for place in count_from(1) if place not in taken)
    for place, record in zip(places, good, strict=False):
        if record.iccid in unknown:
            yield Reject(place, record, "unknown_line")


def one_at_a_time() -> None:
    """Wait until nobody else changes counters, and keep others from it until the transaction ends."""
    _run("select pg_advisory_xact_lock(%(lock)s)", {"lock": _LOCK})


def _stage(records: Sequence[Record]) -> None:
    """Copy the records beside the tables, for whom nobody need wait; what sorts them later may do so in memory."""
    with connection.cursor() as cursor:
        cursor.execute(_STAGE)
        with cursor.copy("copy usage_stage from stdin") as copy:
            for begin in range(0, len(records), _ROWS_AT_ONCE):
                copy.write("".join(map(row_of, records[begin : begin + _ROWS_AT_ONCE])))


def _not_met() -> set[str]:
    """The cards among the staged records that have no meter."""
    rows = _run(
        "select distinct iccid from usage_stage s"
        " where not exists (select from metering_meter m where m.iccid = s.iccid)",
        {},
    )
    return {iccid for (iccid,) in rows}


def row_of(record: Record) -> str:
    """A record in PostgreSQL's text format, a line of its own."""
    id, iccid, started_at, ended_at, up, down, network, abroad, hotspot, voice, sms, _ = record
    if "\\" in id:
        id = id.replace("\\", "\\\\")
    return (
        f"{id}\t{iccid}\t{started_at}\t{ended_at}\t{up}\t{down}\t{network}\t"
        f"{_flag(abroad)}\t{_flag(hotspot)}\t{voice}\t{sms}\n"
    )


def _flag(told: bool | None) -> str:
    return "\\N" if told is None else "t" if told else "f"


def meet(iccids: set[str], now: datetime) -> set[str]:
    """Make a meter for each of these cards that is a line of ours; returns their ICCIDs.

    Nothing is counted on a new meter: until the first mark of any window can be passed, nobody need look at it, unless
    a period waits for the first use.
    """
    found = lines.lines_by_iccid(iccids) if iccids else []
    buckets = queries.buckets_of(line.id for line in found)
    waiting = lines.waiting_for_use((line.id for line in found), now)
    homes = {market: _home(market) for market in {line.market_id for line in found}}
    Meter.objects.bulk_create(
        [
            Meter(
                line=line, iccid=line.iccid, zone=line.zone, home_mccs=homes[line.market_id], floor_at=_NEVER,
                cuts=rules.cuts(buckets[line.id]),
                room_bytes=0 if line.id in waiting else rules.first_room(buckets[line.id]),
                cell_mark_bytes=None if line.id in waiting else rules.cell_mark(buckets[line.id], line.zone),
            )
            for line in found
        ],
        ignore_conflicts=True,
    )  # fmt: skip
    return {line.iccid for line in found}


def _home(market: str) -> list[str]:
    codes = (code for network in catalogue.networks_of(market) for code in network.mcc_mnc)
    return sorted({code[:3] for code in codes})


def _correct(source: Source, records: Sequence[Record], now: datetime) -> int:
    """Put corrections in the place of what they correct; one that is not newer changes nothing."""
    return sum(_correct_one(source, record, now) for record in sorted(records, key=lambda r: r.revision))


def _correct_one(source: Source, record: Record, now: datetime) -> bool:
    day = record.started_at.astimezone(UTC).date()
    meter = Meter.objects.get(iccid=record.iccid) if _is_met(record.iccid, now) else None
    if meter is None:
        return False
    there = Sample.objects.filter(day=day, source_id=source.id, record_id=record.record_id)
    old = there.first()
    if old and (old.revision >= record.revision or old.meter_id != meter.id):
        return False
    values = _values(record, meter)
    if old:
        said = {name: str(getattr(old, name)) for name in values}
        Superseded.objects.create(
            source_id=source.id, record_id=record.record_id, revision=old.revision, said=said, at=now
        )
        there.update(**values)
    else:
        Sample.objects.create(day=day, source_id=source.id, record_id=record.record_id, **values)
    _recount(meter, since=min(record.started_at, old.started_at) if old else record.started_at)
    earliest = min(filter(None, [meter.look_from, record.started_at, old and old.started_at]))
    latest = max(filter(None, [meter.last_ended_at, record.ended_at]))
    Meter.objects.filter(id=meter.id).update(
        look_from=earliest, look_at=now, last_ended_at=latest, source_id=source.id,
        last_started_at=max(filter(None, [meter.last_started_at, record.started_at])),
    )  # fmt: skip
    return True


def _is_met(iccid: str, now: datetime) -> bool:
    return Meter.objects.filter(iccid=iccid).exists() or bool(meet({iccid}, now))


def _values(record: Record, meter: Meter) -> dict[str, Any]:
    abroad = bool(record.network) and record.network[:3] not in meter.home_mccs
    return {
        "revision": record.revision,
        "meter_id": meter.id,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "up_bytes": record.up_bytes,
        "down_bytes": record.down_bytes,
        "network": record.network,
        "is_abroad": abroad if record.is_abroad is None else record.is_abroad,
        "is_hotspot": bool(record.is_hotspot),
        "voice_seconds": record.voice_seconds,
        "sms": record.sms,
    }


def _keep(source: Source, batch: str, rejected: Iterable[Reject], now: datetime) -> None:
    Rejected.objects.bulk_create(
        [
            Rejected(
                source=source, batch=batch[:200], place=reject.place, reason=reject.reason,
                content=_words(reject.record), at=now,
            )
            for reject in rejected
        ],
        batch_size=2_000,
    )  # fmt: skip


def _words(record: Record) -> str:
    """The record as text that PostgreSQL can keep, cut to what a person would read."""
    return str(record._asdict()).replace("\x00", "�")[:4_000]


def _tell(source: Source, counted: Counted, known_until: datetime | None, now: datetime) -> None:
    changes: dict[str, Any] = {
        "counted": F("counted") + counted.counted,
        "repeated": F("repeated") + counted.repeated,
        "corrected": F("corrected") + counted.corrected,
        "rejected": F("rejected") + len(counted.rejected),
        "heard_at": now,
    }
    here = Source.objects.filter(id=source.id)
    here.update(**changes)
    if known_until is not None:
        here.exclude(known_until__gte=known_until).update(known_until=known_until)


# -- cells -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def lay_out(*, line_ids: Iterable[UUID], now: datetime) -> int:
    """Cut these lines' time anew, after their periods changed, or what they share; what was counted across a new cut is
    counted again. Those who share with them are cut too.

    Each is looked at once more. Calling it again changes nothing more. Returns how many meters there are.
    """
    one_at_a_time()
    meters = list(Meter.objects.filter(line_id__in=list(line_ids)))
    groups = pools.groups_around(meters, now)
    if groups:
        wanted = {meter.line_id for meter in meters}.union(*(group.line_ids for group in groups))
        meters = list(Meter.objects.filter(line_id__in=wanted))
    buckets, draws = queries.buckets_of(meter.line_id for meter in meters), pools.draws_of(groups)
    for meter in meters:
        before, cuts = set(meter.cuts), rules.cuts(buckets[meter.line_id])
        drawn = draws.get(meter.line_id)
        meter.cuts = sorted({*cuts, *pool_rules.cuts(drawn, buckets)}) if drawn else cuts
        moved = before ^ set(meter.cuts)
        crossed = [cut for cut in moved if meter.last_started_at and cut <= meter.last_started_at]
        meter.look_at = min(filter(None, [meter.look_at, now]))
        meter.save(update_fields=["cuts", "look_at"])
        if crossed:
            _recount(meter, since=min(crossed))
            meter.look_from = min(filter(None, [meter.look_from, *crossed]))
            meter.save(update_fields=["look_from"])
    return len(meters)


# From the first day in the line's zone of which every record is kept, on: no day is longer than 25 hours.
_WHOLE = "date_trunc('day', %(kept)s::timestamptz + interval '25 hours', m.zone)"
_KEPT = f"""(select o.* from metering_sample o join metering_meter m on m.id = o.meter_id
    where o.started_at >= {_WHOLE})"""  # noqa: S608 - our own constants
_ANEW = f"""
drop table if exists usage_anew;
create temporary table usage_anew on commit drop as {_CELLS.format(samples=_KEPT)}
"""
_WRONGLY_THERE = f"""
delete from metering_counter c using metering_meter m
where m.id = c.meter_id and c.starts_at >= {_WHOLE}
  and not exists (select from usage_anew a where a.meter_id = c.meter_id and a.cell = c.starts_at)
"""  # noqa: S608 - our own constants
_PUT_RIGHT = """
insert into metering_counter (meter_id, starts_at, day, bytes, abroad_bytes, hotspot_bytes, voice_seconds, sms)
select meter_id, cell, day, bytes, abroad_bytes, hotspot_bytes, voice_seconds, sms from usage_anew
on conflict (meter_id, starts_at) do update set
    day = excluded.day, bytes = excluded.bytes, abroad_bytes = excluded.abroad_bytes,
    hotspot_bytes = excluded.hotspot_bytes, voice_seconds = excluded.voice_seconds, sms = excluded.sms
where (metering_counter.day, metering_counter.bytes, metering_counter.abroad_bytes, metering_counter.hotspot_bytes,
    metering_counter.voice_seconds, metering_counter.sms)
  is distinct from (excluded.day, excluded.bytes, excluded.abroad_bytes, excluded.hotspot_bytes,
    excluded.voice_seconds, excluded.sms)
"""


@transaction.atomic
def pool(line_ids: Iterable[UUID], now: datetime) -> None:
    """From now on what these lines use is counted through what they share; each has a meter, whoever uses the data."""
    one_at_a_time()
    ids = list(line_ids)
    meet(lines.iccids_of(ids), now)
    Meter.objects.filter(line_id__in=ids).update(is_pooled=True, room_bytes=0, cell_mark_bytes=None, look_at=now)


@transaction.atomic
def recount() -> int:
    """Count every kept record again, from nothing; returns how many cells differed from what stood there: 0.

    It is counted beside the counters, and only those that differ are written: nobody sees an empty one meanwhile.
    Those of days whose records were dropped are left alone (``left_alone``).
    """
    one_at_a_time()
    where = {"kept": _kept_from()}
    with connection.cursor() as cursor:
        cursor.execute(_ANEW, where)
        cursor.execute(_WRONGLY_THERE, where)
        differing = cursor.rowcount
        cursor.execute(_PUT_RIGHT)
        return differing + cursor.rowcount


def left_alone() -> int:
    """How many cells can no longer be counted anew, because their day's records were dropped."""
    statement = f"""select count(*) from metering_counter c join metering_meter m on m.id = c.meter_id
        where c.starts_at < {_WHOLE}"""  # noqa: S608 - our own constants
    return _run(statement, {"kept": _kept_from()})[0][0]


def _recount(meter: Meter, *, since: datetime) -> None:
    """Count this meter's records again from the line's midnight before ``since``: cells never lie across midnight.

    What lies before the first day with all its records stays as it was counted.
    """
    statement = f"""select greatest(date_trunc('day', %(at)s::timestamptz, m.zone), {_WHOLE})
        from metering_meter m where m.id = %(meter)s"""  # noqa: S608 - our own constants
    (begin,) = _run(statement, {"at": since, "meter": meter.id, "kept": _kept_from()})[0]
    where = {"meter": meter.id, "begin": begin}
    _run("delete from metering_counter where meter_id = %(meter)s and starts_at >= %(begin)s", where)
    samples = """(select * from metering_sample where meter_id = %(meter)s and started_at >= %(begin)s
        and day >= (%(begin)s at time zone 'UTC')::date)"""
    _run(_ADD.format(cells=f"({_CELLS.format(samples=samples)})"), where)


# -- days ------------------------------------------------------------------------------------------------------------


def _have_days(records: Iterable[Record]) -> None:
    """Make the parts of the table that the days of these records go to."""
    days = {at.date() if at.tzinfo is UTC else at.astimezone(UTC).date() for at in {r.started_at for r in records}}
    names = {day: f"metering_sample_{day:%Y%m%d}" for day in days}
    there = {
        name
        for (name,) in _run(
            "select relname from pg_class where relname = any (%(names)s) and relkind = 'r'",
            {"names": list(names.values())},
        )
    }
    for day, name in sorted(names.items()):
        if name not in there:
            after = day + timedelta(days=1)
            _run(f"create table {name} partition of metering_sample for values from ('{day}') to ('{after}')", {})


# The part that stands for every day before: nothing can be put into it, so what was dropped is never counted twice.
_GONE = "metering_sample_gone"
_NEVER_DROPPED = "-infinity"


@transaction.atomic
def drop_old(*, now: datetime, keep: timedelta) -> date | None:
    """Drop the records of days that ended more than ``keep`` ago; counters stay. Again: changes nothing.

    What was refused or corrected before that goes too. Less than ``records.KEPT_AT_LEAST`` is kept as long as that.

    Returns:
        The first day (UTC) whose records are kept, or None where nothing was there to drop.
    """
    first = (now - max(keep, KEPT_AT_LEAST)).astimezone(UTC).date()
    before = datetime(first.year, first.month, first.day, tzinfo=UTC)
    one_at_a_time()
    Rejected.objects.filter(at__lt=before).delete()
    Superseded.objects.filter(at__lt=before).delete()
    old = [name for name, day in _days() if day < first]
    if not old:
        return None
    # Whoever reads waits behind this while it waits itself: not for long, it is tried again the next day.
    _run("set local lock_timeout = '5s'", {})
    for name in [_GONE, *old] if _kept_from() != _NEVER_DROPPED else old:
        _run(f"alter table metering_sample detach partition {name}", {})
        _run(f"drop table {name}", {})
    _run(
        f"create table {_GONE} partition of metering_sample (constraint sample_day_is_gone check (false))"
        f" for values from (minvalue) to ('{first}')",
        {},
    )
    return first


def _days() -> list[tuple[str, date]]:
    """The parts of the table that hold records, and the day of each."""
    rows = _run(
        "select relname, to_date(right(relname, 8), 'YYYYMMDD') from pg_class"
        " where relname ~ '^metering_sample_[0-9]{8}$' and relkind = 'r' order by relname",
        {},
    )
    return [(name, day) for name, day in rows]


def _kept_from() -> str:
    """The moment from which every record that was counted is kept, as PostgreSQL reads one."""
    rows = _run(
        "select substring(pg_get_expr(relpartbound, oid) from 'TO [(]''(.*)''[)]') || ' 00:00+00' from pg_class"
        " where relname = %(name)s and relispartition",
        {"name": _GONE},
    )
    return rows[0][0] if rows else _NEVER_DROPPED


def _run(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []
