"""How fast one file of usage records is read, and how much memory the reading takes: flat, however long the file.

    DATABASE_URL=… .venv/bin/python -m benchmarks.usage_file [--rows 1000000] [--only-parse]
    .venv/bin/python -m benchmarks.usage_file --gb 0.5

The first reads as many short lines beside what bounds it: the same lines split and nothing more. Its database must be
one to throw away. The second has a house of its own: one gzip of so many GB unpacked lies in a source's folder, with
lines as networks write them (dozens of columns, 500 bytes, most of which we do not read), and nineteen of twenty
records repeat one of the same file. Read by a process of its own; its memory after a twentieth and at the end.
"""

from __future__ import annotations

import argparse
import gzip
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import house, table

HEADER = "id;card;from;to;up;down;plmn\n"
COLUMNS = {"record_id": "id", "iccid": "card", "started_at": "from", "ended_at": "to", "up": "up", "down": "down",
           "network": "plmn"}  # fmt: skip


def write(path: Path, rows: int, cards: list[str], now: datetime) -> None:
    """A file of that many records, spread over a day of local time."""
    begin = now.replace(tzinfo=None) - timedelta(days=1)
    with path.open("w") as file:
        file.write(HEADER)
        for number in range(rows):
            at = begin + timedelta(seconds=number % 80_000)
            ends = at + timedelta(seconds=60)
            card = cards[number % len(cards)]
            file.write(
                f"cdr-{number};{card};{at:%Y-%m-%dT%H:%M:%S};{ends:%Y-%m-%dT%H:%M:%S};1000;{number % 9999};20601\n"
            )


def megabytes() -> float:
    """The most memory this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000


def parse(path: Path, rows: int) -> Iterator[str]:
    """Splitting alone, then reading every line into a record, in seconds of one core."""
    from xuka.metering import deliveries
    from xuka.metering.mapping import Csv

    begin = time.process_time()
    with path.open() as file:
        found = sum(len(line.split(";")) == 7 for line in file)
    split = rows / (time.process_time() - begin)
    assert found == rows + 1
    mapped = Csv.model_validate({"columns": COLUMNS, "zone": "Europe/Brussels", "delimiter": ";"})
    begin = time.process_time()
    with path.open("rb") as raw:
        good = sum(not isinstance(told.said, str) for told in deliveries._told(raw, path.name, mapped))
    took = time.process_time() - begin
    assert good == rows
    yield f"parsed      {rows / took:>10,.0f} rows/s   (split alone: {split:,.0f})   peak {megabytes():.0f} MB"


def count(path: Path, rows: int, now: datetime) -> Iterator[str]:
    """The whole way, twice: once fresh, once as after a reading that was broken off."""
    from xuka.metering import counting, deliveries
    from xuka.metering.mapping import Csv
    from xuka.metering.models import Delivery

    mapped = Csv.model_validate({"columns": COLUMNS, "zone": "Europe/Brussels", "delimiter": ";"})
    source = counting.source("benchmark")
    for what in ("counted", "once more"):
        begin = time.perf_counter()
        (delivery,) = deliveries.read_folder(source=source, folder=path.parent, csv_mapping=mapped, now=now)
        took = time.perf_counter() - begin
        assert delivery.counted == rows, delivery.reasons
        yield f"{what:<11} {rows / took:>10,.0f} rows/s   {took:.1f} s   peak {megabytes():.0f} MB"
        Delivery.objects.filter(id=delivery.id).update(state=Delivery.State.READING)
        (path.parent / "done" / path.name).rename(path)


# -- a large one -------------------------------------------------------------------------------------------------------

WIDE_BYTES = 500
FRESH = 20  # one in so many
CARDS = 1_000
MEMORY_TARGET, GROWTH_TARGET = 300_000_000, 1.1


def large(gb: float) -> list[table.Row]:
    """A file of so many GB, dropped into a folder and read; rows for the table."""
    from django.core.management import call_command

    from benchmarks import usage
    from benchmarks.shop import Shop

    call_command("setup")
    now = datetime.now(UTC).replace(microsecond=0)
    cards = usage._lines(Shop(), CARDS, now)
    lines = int(gb * 1e9 / WIDE_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "usage.csv.gz"
        write_wide(path, lines, cards, now)
        packed = path.stat().st_size
        changed = now.timestamp() - 3_600
        os.utime(path, (changed, changed))
        ours, theirs = multiprocessing.Pipe()
        reader = multiprocessing.get_context("spawn").Process(target=_read_large, args=(theirs, path, now), daemon=True)
        reader.start()
        told: tuple[list[tuple[float, int]], float, tuple[int, int, int]] = ours.recv()
        reader.join()
    marks, took, counted = told
    assert counted == (-(-lines // FRESH), lines - -(-lines // FRESH), 0), counted
    early, last = next(peak for share, peak in marks if share >= 0.05), marks[-1][1]
    return [
        table.Row(
            f"a file of {gb:g} GB ({lines:,} lines, packed {packed / 1e6:,.0f} MB), {counted[0]:,} of them new",
            f"{lines / took:,.0f} lines/s", f"{gb * 1e3 / took:,.0f} MB/s unpacked",
        ),
        table.Row(
            "  memory of the reading process, at its highest", f"{last / 1e6:,.0f} MB",
            target=f"< {MEMORY_TARGET / 1e6:.0f} MB", is_met=last < MEMORY_TARGET,
        ),
        table.Row(
            "  the same once a twentieth was read", f"{early / 1e6:,.0f} MB", ratio=f"{last / early:.2f} x",
            target=f"<= {GROWTH_TARGET} x", is_met=last <= GROWTH_TARGET * early,
        ),
    ]  # fmt: skip


def write_wide(path: Path, lines: int, cards: list[str], now: datetime) -> None:
    """A gzip of so many lines of ``WIDE_BYTES``: each new record, and then nineteen that came before."""
    begin = now.replace(tzinfo=None) - timedelta(days=1)
    columns = ";".join(f"column{n}" for n in range(40))
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write(f"{HEADER.rstrip()};{columns}\n")
        for number in range(lines):
            known = number // FRESH
            which = known if number % FRESH == 0 else (number * 7_919) % (known + 1)
            at = begin + timedelta(seconds=which % 80_000)
            ends = at + timedelta(seconds=60)
            said = f"cdr-{which};{cards[which % len(cards)]};{at.isoformat()};{ends.isoformat()};1000;7;20601;"
            file.write(said + f"{which:010d};".ljust(WIDE_BYTES - len(said) - 1, "0") + "\n")


def _read_large(parent: Connection, path: Path, now: datetime) -> None:
    """Read the folder as the job does, and note the peak after each batch."""
    import django

    django.setup()
    from xuka.metering import counting, deliveries
    from xuka.metering.mapping import Csv

    marks: list[tuple[float, int]] = []
    count_batch = deliveries._count_batch

    def noted(delivery: Any, *rest: Any) -> None:
        count_batch(delivery, *rest)
        marks.append((delivery.read_bytes / delivery.size_bytes, house.peak_bytes()))

    deliveries._count_batch = noted
    mapped = Csv.model_validate({"columns": COLUMNS, "zone": "UTC", "delimiter": ";"})
    began = time.perf_counter()
    (delivery,) = deliveries.read_folder(
        source=counting.source("benchmark"), folder=path.parent, csv_mapping=mapped, now=now
    )
    took = time.perf_counter() - began
    assert delivery.state == "done", delivery.error
    parent.send((marks, took, (delivery.counted, delivery.repeated, delivery.rejected)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only-parse", action="store_true")
    parser.add_argument("--gb", type=float, default=0.0, help="one large file instead, in a house of its own")
    options = parser.parse_args()
    if options.gb:
        with house.built():
            print(table.printed(large(options.gb)))
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xuka.project.settings")
    import django

    django.setup()
    now = datetime.now(UTC) - timedelta(hours=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "usage.csv"
        write(path, options.rows, _cards(options.only_parse, now), now)
        changed = now.timestamp() - 3_600
        os.utime(path, (changed, changed))
        print(f"{options.rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB, {megabytes():.0f} MB before")
        for line in parse(path, options.rows):
            print(line)
        if not options.only_parse:
            for line in count(path, options.rows, datetime.now(UTC)):
                print(line)


def _cards(only_parse: bool, now: datetime) -> list[str]:
    """The cards of a small shop; invented ones where none is asked for."""
    from tests.journeys import web_world

    if only_parse:
        return [web_world.iccid(number) for number in range(1_000)]
    shop = web_world.open_shop(now=now, seed_card=lambda **card: None)
    return [line.iccid for line in shop.cards.values()]


if __name__ == "__main__":
    main()
