"""``python -m benchmarks.reminders``: planned and queued a second, and what a sweep costs among a million others.

Every card has a customer of its own, so each reminder is a letter of its own: nothing is saved by merging.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from uuid import UUID

from benchmarks import house, table
from benchmarks.table import Row

PROCESSES = 2
AT_ONCE = 2_000
TARGET = 10_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reminders", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to try it")
    quick = parser.parse_args().quick
    with house.built():
        from django.core.management import call_command

        call_command("setup")
        part = 10 if quick else 1
        rows = [*rates(20_000 // part), *sweeps((100_000 // part, 1_000_000 // part), due=AT_ONCE // part)]
    print(table.printed(rows))


# -- a shop of many cards, made by the database ----------------------------------------------------------------------

_CARDS = """
with made as (
  insert into accounts_user (id, email, name, language, time_zone, phone_verified, is_staff, is_active, is_superuser,
    password)
  select gen_random_uuid(), 'c' || n || '@bench.example', '', (array['zh-hans', 'ja', 'en', 'fr', 'nl'])[n %% 5 + 1],
    '', false, false, true, false, '' from generate_series(%(first)s, %(last)s) n returning id, email
), line as (
  insert into lines_line (id, iccid, market_id, carrier, zone, claim_code_hash, owner_id, plan_version_id, created_at,
    claimed_at)
  select gen_random_uuid(), '8932' || lpad(substr(split_part(email, '@', 1), 2), 15, '0'), 'BE', 'airalo',
    'Europe/Brussels', '', id, %(plan)s, %(began)s, %(began)s from made returning id
)
insert into lines_period (id, line_id, track, order_id, ordinal, plan_version_id, span, funded_at, anchored_at, zone)
select gen_random_uuid(), id, 'main', gen_random_uuid(), 0, %(plan)s,
  tstzrange(%(began)s, %(ends)s - random() * interval '50 min', '[)'), %(began)s,
  '', 'Europe/Brussels' from line returning line_id
"""
# What is planned for cards that are not looked at: nobody reads their lines, so there are none.
_OTHERS = """
insert into reminders_reminder (id, line_id, customer_id, kind, cause, due_at, not_after, state, told_at, letter, says)
select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'ends_3d', 'end:' || n, %(now)s + n * interval '1 s'
  + interval '1 day', null, 'planned', null, null, '{}' from generate_series(1, %(number)s) n
"""


def _cards(number: int, first: int, ends_at: datetime) -> list[UUID]:
    """So many cards with a customer each and a week that ends in the fifty minutes before; their ids."""
    from django.db import connection

    from benchmarks.shop import DATA, PLAN
    from xuka.catalogue import operations as catalogue
    from xuka.catalogue import queries as catalogue_queries

    began = ends_at - timedelta(days=7)
    catalogue.load(DATA, who="seller", now=began)
    plan = catalogue_queries.plan_by_slug(PLAN)
    assert plan is not None, "the demo's plan is sold"
    with connection.cursor() as cursor:
        told = {"first": first, "last": first + number - 1, "plan": plan.id, "began": began, "ends": ends_at}
        cursor.execute(_CARDS, told)
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute("analyze")
    return ids


# -- planned and queued ------------------------------------------------------------------------------------------------


def _start() -> None:
    import django

    django.setup()
    gc.collect()
    gc.freeze()  # as the worker does
    gc.set_threshold(50_000, 20, 20)


def _plan(line_ids: Sequence[UUID], now: datetime) -> int:
    from xuka.reminders import operations as reminders

    return sum(reminders.plan(line_ids=line_ids[at : at + AT_ONCE], now=now) for at in range(0, len(line_ids), AT_ONCE))


def _telling(now: datetime) -> tuple[int, float]:
    """How many were told, and the seconds of this process's processor that took."""
    began = time.process_time()
    return _tell(now), time.process_time() - began


def _postgres_seconds() -> float:
    """The processor time that the server's processes have used: those of its connections and its own."""
    from django.db import connection

    from benchmarks import web

    with connection.cursor() as cursor:
        cursor.execute("show data_directory")
        row = cursor.fetchone()
    assert row is not None, "a server has one"
    postmaster = Path(row[0], "postmaster.pid").read_text().split()[0]
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return web.cpu_seconds([int(pid) for pid in children])


def _tell(now: datetime) -> int:
    from xuka.interfaces.jobs import reminder_words
    from xuka.reminders import operations as reminders

    told = 0
    while taken := reminders.tell_due(now=now, compose=reminder_words.compose, limit=AT_ONCE):
        told += taken
    return told


def rates(number: int) -> list[Row]:
    """Reminders planned, and put into words and into the outbox, by two processes at once."""
    from django.db import connection

    from xuka.interfaces import clock
    from xuka.messaging.models import Message

    noon = clock.now().replace(hour=11, minute=0, second=0, microsecond=0)
    ids = _cards(number, 1, noon + timedelta(days=3))
    before = noon - timedelta(hours=1)  # "in 3 days" is due at noon, and everything is still ahead
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_start) as pool:
        # Workers run for days: nobody's first import, first words in a language or first plan of a table is measured.
        warm = _cards(PROCESSES * AT_ONCE, 2_000_000, noon + timedelta(days=3))
        list(pool.map(_plan, [warm[at::PROCESSES] for at in range(PROCESSES)], [before] * PROCESSES))
        told_before = sum(pool.map(_tell, [noon] * PROCESSES))
        with connection.cursor() as cursor:
            cursor.execute("analyze")
        began = time.monotonic()
        planned = sum(pool.map(_plan, [ids[at::PROCESSES] for at in range(PROCESSES)], [before] * PROCESSES))
        planning = time.monotonic() - began
        began, postgres_began = time.monotonic(), _postgres_seconds()
        tellings = list(pool.map(_telling, [noon] * PROCESSES))
        telling, postgres = time.monotonic() - began, _postgres_seconds() - postgres_began
        told, python = (sum(column) for column in zip(*tellings, strict=True))
    queued = Message.objects.count() - told_before
    assert queued == told == number, f"{queued} letters for {told} of {number}"
    plan_rate, tell_rate = planned / planning, told / telling
    return [
        Row("reminders planned, two processes", f"{plan_rate:,.0f} /s", f"{len(ids) / planning:,.0f} cards/s", "",
            f">= {TARGET:,} /s", plan_rate >= TARGET),
        Row("reminders told: looked at, written, queued", f"{tell_rate:,.0f} /s", f"{queued:,} letters, each its own",
            "", f">= {TARGET:,} /s", tell_rate >= TARGET),
        Row("  processor time of one, Python + PostgreSQL",
            f"{python / told * 1e6:.0f} + {postgres / told * 1e6:.0f} µs",
            f"two cores and nothing else {2 * told / (python + postgres):,.0f} /s"),
    ]  # fmt: skip


# -- one sweep among many ----------------------------------------------------------------------------------------------


def sweeps(masses: Sequence[int], *, due: int) -> list[Row]:
    """What a sweep takes with the same number due, and with none, while so many others are planned."""
    from django.db import connection

    from xuka.interfaces import clock

    now = clock.now().replace(hour=11, minute=0, second=0, microsecond=0) + timedelta(days=30)
    found: dict[int, tuple[float, float]] = {}
    there, first = 0, 1_000_000
    with connection.cursor() as cursor:
        cursor.execute("truncate reminders_reminder, messaging_message cascade")
    for mass in masses:
        with connection.cursor() as cursor:
            cursor.execute(_OTHERS, {"number": mass - there, "now": now + timedelta(days=60)})
            cursor.execute("vacuum analyze reminders_reminder")
        there = mass
        full: list[float] = []
        for _ in range(3):
            ids = _cards(due, first, now + timedelta(days=3))
            first += due
            _plan(ids, now - timedelta(hours=1))
            full.append(_seconds(now, due))
        found[mass] = median(full), median(_seconds(now, 0) for _ in range(50))
    small, large = (found[mass] for mass in masses)
    ratio = large[0] / small[0]
    return [
        Row(f"a sweep that tells {due:,}, {masses[1]:,} others planned", f"{large[0] * 1000:,.0f} ms",
            f"{masses[0]:,} others {small[0] * 1000:,.0f} ms", f"{ratio:.2f} x", "<= 1.5 x", ratio <= 1.5),
        Row("a sweep with nothing due, the same", f"{large[1] * 1000:.1f} ms",
            f"{masses[0]:,} others {small[1] * 1000:.1f} ms", f"{large[1] / small[1]:.2f} x"),
    ]  # fmt: skip


def _seconds(now: datetime, due: int) -> float:
    from xuka.interfaces.jobs import reminder_words
    from xuka.reminders import operations as reminders

    began = time.monotonic()
    taken = reminders.tell_due(now=now, compose=reminder_words.compose, limit=AT_ONCE)
    assert taken == due, f"{taken} of {due} were due"
    return time.monotonic() - began


if __name__ == "__main__":
    assert "DJANGO_SETTINGS_MODULE" not in os.environ, "a house of its own"
    main()
