"""Phones use data, and what is counted is what they used: in whatever order, however often and late it comes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from sandbox.phones.mischief import Mischief, batches, due
from sandbox.phones.use import Cap, Phone, Used, used
from tests.journeys import web_world
from tests.journeys.web_world import Shop
from xuka.journal.models import Fact
from xuka.metering import counting, looking, queries
from xuka.metering.models import Counter, Crossing
from xuka.metering.records import Record

pytestmark = pytest.mark.django_db

GB = 10**9
# Midday in Brussels on a Monday; Xiaoyu's week began on Wednesday at 13:00 with a cap of 3 GB each day, then 1000 kbps.
NOW = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)
MONTH = timedelta(days=30)


@pytest.fixture
def shop() -> Shop:
    return web_world.open_shop(now=NOW, seed_card=lambda **card: None)


def phone_of(shop: Shop, who: str = "xiaoyu", *, since: datetime, cap: Cap | None = None) -> Phone:
    return Phone(shop.cards[who].iccid, ((since, "heavy"),), cap=cap)


def count(records: Sequence[Used], *, now: datetime, source: str = "demo") -> int:
    """Count a batch; how many of it were new."""
    told = [Record(*record) for record in records]
    counted = counting.count(source=counting.source(source), records=told, now=now)
    assert counted.rejected == ()
    return counted.counted


def cells() -> list[tuple[object, ...]]:
    return queries.cells_in_full()


def test_a_month_counts_the_same_in_whatever_order_and_batches_it_comes(shop: Shop) -> None:
    phone = phone_of(shop, since=NOW - MONTH)
    month = used(phone, NOW - MONTH, NOW)
    assert len(month) > 5_000
    count(month, now=NOW)
    in_order = cells()
    assert sum(Counter.objects.values_list("bytes", flat=True)) == sum(r.up_bytes + r.down_bytes for r in month)
    _forget()
    how = Mischief(repeat=0.3, shuffle=True, split=700)
    assert sum(count(batch, now=NOW) for batch in batches(month, how)) == len(month)
    assert cells() == in_order
    assert count(month, now=NOW) == 0, "the whole file again, under another name"
    assert cells() == in_order


def test_late_and_corrected_records_give_the_same_month_in_the_end(shop: Shop) -> None:
    begin, week = NOW - timedelta(days=7), timedelta(days=7)
    truth = used(phone_of(shop, since=begin), begin, NOW)
    count(truth, now=NOW)
    in_order = cells()
    _forget()
    how = Mischief(late=0.2, latest_days=7, corrections=0.02, shuffle=True, repeat=0.1, split=400)
    ids = {record.record_id for record in truth}
    coming = [r for r in due(phone_of(shop, since=begin), begin, NOW + 2 * week, how) if r.record_id in ids]
    for batch in batches(coming, how):
        count(batch, now=NOW + 2 * week)
    assert cells() == in_order
    assert counting.recount() == 0


def test_a_heavy_day_fills_a_card_slows_it_down_and_midnight_resets_it(shop: Shop) -> None:
    line, begin = shop.cards["xiaoyu"], datetime(2026, 3, 1, 23, 0, tzinfo=UTC)  # midnight in Brussels
    phone = phone_of(shop, since=begin, cap=Cap(3 * GB, 1000))
    left: list[int] = []
    speeds: list[int | None] = []
    for hour in range(26):
        later = begin + timedelta(hours=hour + 1)
        count(used(phone, later - timedelta(hours=1), later), now=later)
        looking.look(queries.due_meters(later), now=later)
        usage = queries.usage_of(line, now=later)
        left.append(usage.left_bytes or 0)
        speeds.append(usage.speed.kbps)
    assert left[:23] == sorted(left[:23], reverse=True)
    full_at = left.index(0) + 1
    assert 16 <= full_at <= 21, "it is the evening that is slow"
    assert speeds == [None] * (full_at - 1) + [1000] * (24 - full_at) + [None] * 3
    assert left[23] == 3 * GB
    assert left[25] > 2.7 * GB
    assert {"50", "80", "95", "100", "reset"} <= set(Crossing.objects.values_list("what", flat=True))
    changed = [fact.after["kbps"] for fact in Fact.objects.filter(what="speed.changed").order_by("id")]
    assert changed == [1000, None]


def _forget() -> None:
    """As if nobody had told anything."""
    with connection.cursor() as cursor:
        cursor.execute("truncate metering_counter, metering_sample, metering_superseded, metering_crossing cascade")
