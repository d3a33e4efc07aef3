"""Usage records counted, beside plain COPY: ``python -m benchmarks.usage [--records N] [--lines N]``.

Every record goes the whole way: checked, known or not, into its day, its cells and its line's meter, marks and speed
classes looked at; fsync is on. One in twenty comes twice, and they come up to two hours out of order. Two readers count
at the same time, as two sources do: while the database merges the batch of one, the other checks and copies its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from benchmarks import house, table

if TYPE_CHECKING:
    from xuka.metering.records import Record

BATCH = 300_000
READERS = 2
SOURCE = "benchmark"
TWICE = 0.05
DISORDER = timedelta(hours=2)
SPREAD, SESSION = timedelta(days=3), timedelta(seconds=30)
TARGET = 0.08
# Most use little; one line in fifty uses so much that it passes its day's cap.
BYTES, HEAVY_BYTES, HEAVY = 20_000_000, 1_500_000_000, 50
MEMORY_TARGET = 300_000_000
# What a line looks like on the wire to plain COPY: the same columns, no index, no check.
PLAIN = """create table benchmark_plain (record_id text, iccid text, started_at timestamptz, ended_at timestamptz,
    up_bytes bigint, down_bytes bigint, network text, is_abroad boolean, is_hotspot boolean, voice_seconds integer,
    sms integer)"""


def measure(*, records: int, lines: int) -> list[table.Row]:
    """Count so many records of so many lines; rows for the table."""
    from django.db import connection
    from django.db.models import Sum

    from benchmarks.shop import Shop
    from xuka.metering import counting
    from xuka.metering.models import Counter, Crossing, Sample

    shop = Shop()
    end = datetime.now(UTC).replace(microsecond=0)
    iccids = _lines(shop, lines, end)
    counting.source(SOURCE)
    with connection.cursor() as cursor:
        cursor.execute(PLAIN)
    plain = _plain_rate(iccids, end)
    rates: list[float] = []
    with _readers(iccids, records, end) as readers:
        for _ in range(records // (BATCH * READERS)):
            for reader in readers:
                assert reader.recv() == "ready"
            began = time.perf_counter()
            for reader in readers:
                reader.send("go")
            told = [reader.recv() for reader in readers]
            assert told == ["counted"] * READERS, told
            rates.append(BATCH * READERS / (time.perf_counter() - began))
        ends: list[tuple[int, int, int]] = [reader.recv() for reader in readers]
    fresh, facts, memory = (sum(one[0] for one in ends), sum(one[1] for one in ends), max(one[2] for one in ends))
    rate = len(rates) / sum(1 / rate for rate in rates)
    plain = (plain + _plain_rate(iccids, end)) / 2
    assert Sample.objects.count() == fresh, "each once"
    assert Counter.objects.aggregate(all=Sum("bytes"))["all"] == _sum_of_samples(), "all of it"
    ratio, all_of_them = rate / plain, len(rates) * BATCH * READERS
    return [
        table.Row(
            f"usage records counted ({fresh:,} of {all_of_them:,} were new, {lines:,} lines)",
            f"{rate:,.0f} /s",
            f"COPY {plain:,.0f} /s",
            f"{ratio:.1%}",
            f">= {TARGET:.0%}",
            ratio >= TARGET,
        ),
        table.Row(f"  slowest and fastest {READERS} batches of {BATCH:,}", f"{min(rates):,.0f}–{max(rates):,.0f} /s"),
        table.Row("  marks passed, speeds changed", f"{Crossing.objects.count():,} marks, {facts:,} facts"),
        table.Row(
            "  memory of a counting process, at its highest",
            f"{memory / 1e6:,.0f} MB",
            target=f"< {MEMORY_TARGET / 1e6:.0f} MB",
            is_met=memory < MEMORY_TARGET,
        ),
    ]


@contextmanager
def _readers(iccids: list[str], records: int, end: datetime) -> Iterator[list[Connection]]:
    """Processes that each count their share of the records, a batch whenever they are told to go on."""
    spawned = multiprocessing.get_context("spawn")
    share = records // (BATCH * READERS) * BATCH
    pipes = [spawned.Pipe() for _ in range(READERS)]
    processes = [
        spawned.Process(target=_read, args=(theirs, number, iccids, share, end), daemon=True)
        for number, (_, theirs) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    yield [ours for ours, _ in pipes]
    for process in processes:
        process.join()


def _read(parent: Connection, number: int, iccids: list[str], records: int, end: datetime) -> None:
    """One reader. Its records are made before the clock starts; the first reader also looks at what passed a mark."""
    import django

    django.setup()
    from xuka.metering import counting, looking, queries

    source = counting.source(SOURCE)
    fresh = facts = 0
    for batch in _batches(iccids, records, end, number):
        parent.send("ready")
        parent.recv()
        counted = counting.count(source=source, records=batch, now=end)
        assert not counted.rejected, counted.rejected[0]
        fresh += counted.counted
        del batch  # or two of them would be in memory while the next is made
        while number == 0 and (due := queries.due_meters(end, limit=2_000)):
            facts += looking.look(due, now=end)
        parent.send("counted")
    parent.send((fresh, facts, house.peak_bytes()))


def _sum_of_samples() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select sum(up_bytes + down_bytes)::bigint from metering_sample")
        row = cursor.fetchone()
    assert row is not None
    return row[0]


def _lines(shop: Any, number: int, now: datetime) -> list[str]:
    """So many cards, each with a week of 3 GB a day that began four days ago, and their meters.

    The first is made as the shop makes it, the others are its copies: what is measured begins afterwards.
    """
    from django.db import connection
    from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
    from stdnum import luhn

    from xuka.kernel import ids
    from xuka.lines.models import Line, Period
    from xuka.metering import counting

    began = now - timedelta(days=4)
    stems = (f"893202{n:012d}" for n in range(number))
    first, *others = iccids = [stem + luhn.calc_check_digit(stem) for stem in stems]
    line = Line.objects.create(
        id=ids.new(), iccid=first, carrier="airalo", market_id="BE", zone="Europe/Brussels", claim_code_hash="",
        plan_version=shop.plan, created_at=began,
    )  # fmt: skip
    Period.objects.create(
        id=ids.new(), line=line, order_id=ids.new(), plan_version=shop.plan, funded_at=began, zone="Europe/Brussels",
        span=DateTimeTZRange(began, now + timedelta(days=3)),
    )  # fmt: skip
    counting.meet({first}, now)
    with connection.cursor() as cursor:
        cursor.execute(
            "create temp table copies as select unnest(%s::text[]) as iccid, gen_random_uuid() as id", [others]
        )
        for table_name, key in _COPIED:
            cursor.execute(_copy_of(cursor, table_name, key))
        cursor.execute("analyze")
    return iccids


# The tables of a card and what of a row is a copy's own; what is None the database makes.
_COPIED: tuple[tuple[str, dict[str, str | None]], ...] = (("lines_line", {"id": "c.id", "iccid": "c.iccid"}),
           ("lines_period", {"id": "gen_random_uuid()", "order_id": "gen_random_uuid()", "line_id": "c.id"}),
           ("metering_meter", {"id": None, "iccid": "c.iccid", "line_id": "c.id"}))  # fmt: skip


def _copy_of(cursor: Any, table_name: str, own: dict[str, str | None]) -> str:
    """The statement that copies the one row of this table for each copy, but for what is each one's own."""
    cursor.execute(
        "select column_name from information_schema.columns where table_name = %s and is_generated = 'NEVER'",
        [table_name],
    )
    columns = [name for (name,) in cursor.fetchall() if own.get(name, "") is not None]
    values = ", ".join(own.get(name) or f"o.{name}" for name in columns)
    return f"insert into {table_name} ({', '.join(columns)}) select {values} from {table_name} o, copies c"


def _plain_rate(iccids: list[str], end: datetime) -> float:
    """How many of the same records a second plain COPY takes, before and after what is measured: no index, no check."""
    from django.db import connection

    from xuka.metering import counting

    took, number = 0.0, 4 * BATCH
    for batch in _batches(iccids, number, end):
        text = "".join(map(counting.row_of, batch))
        begin = time.perf_counter()
        with connection.cursor() as cursor, cursor.copy("copy benchmark_plain from stdin") as copy:
            copy.write(text)
        took += time.perf_counter() - begin
        with connection.cursor() as cursor:
            cursor.execute("truncate benchmark_plain")
    return number / took


def _batches(iccids: list[str], records: int, end: datetime, reader: int = 0) -> Iterator[list[Record]]:
    """So many records of a reader in batches: one in twenty is one of the last thousand once more."""
    from xuka.metering.records import Record

    draw = random.Random(reader)
    lately: deque[Record] = deque(maxlen=1_000)
    for begin in range(0, records, BATCH):
        batch: list[Record] = []
        for n in range(begin, min(begin + BATCH, records)):
            chance = draw.random()
            if chance < TWICE and lately:
                batch.append(lately[int(chance / TWICE * len(lately))])
                continue
            line = int(draw.random() * len(iccids))
            at = end - SPREAD * (1 - n / records) - DISORDER * draw.random()
            volume = BYTES if line % HEAVY else HEAVY_BYTES
            record = Record(
                f"cdr{reader}{n:011d}", iccids[line], at, at + SESSION, volume // 10, volume - volume // 10, "206-01",
                None, chance > 0.9,
            )  # fmt: skip
            batch.append(record)
            lately.append(record)
        yield batch
        del batch


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.usage", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--lines", type=int, default=100_000)
    asked = parser.parse_args()
    began = time.monotonic()
    with house.built():
        print(table.printed(measure(records=asked.records, lines=asked.lines)))
    print(f"\n{time.monotonic() - began:.0f} s in all.")


if __name__ == "__main__":
    main()
