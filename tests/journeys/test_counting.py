"""Usage records come in; what is counted is what was used, whatever happened on the way."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import ProgrammingError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.journeys import web_world
from tests.journeys.web_world import Shop
from xuka.accounts import families
from xuka.catalogue.models import PlanVersion
from xuka.interfaces import clock
from xuka.interfaces.jobs import tasks
from xuka.journal.models import Fact
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.models import Line
from xuka.metering import counting, looking, queries, sharing
from xuka.metering import operations as metering
from xuka.metering.models import Counter, Crossing, Meter, Rejected, Sample, Source, Superseded
from xuka.metering.records import Record

pytestmark = pytest.mark.django_db

GB = 10**9
# Midday in Brussels on a Monday; Xiaoyu's week began on Wednesday at 13:00 with a cap of 3 GB each day, then 1000 kbps.
NOW = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)


@pytest.fixture
def shop() -> Shop:
    return web_world.open_shop(now=NOW, seed_card=lambda **card: None)


@pytest.fixture
def source() -> Source:
    return counting.source("network-one")


def used(shop: Shop, volume: int, *, at: datetime, id: str = "", who: str = "xiaoyu", **more: object) -> Record:
    """A minute in which this card used so many bytes, one in ten upwards."""
    up = volume // 10
    told: dict[str, object] = {"up_bytes": up, "down_bytes": volume - up, "network": "206-01"} | more
    return Record(id or uuid4().hex, shop.cards[who].iccid, at, at + timedelta(minutes=1), **told)  # type: ignore[arg-type]


def look(now: datetime = NOW) -> int:
    return looking.look(queries.due_meters(now), now=now)


def days_of(line: Line, days: int) -> list[queries.Day]:
    entries = lines_queries.entries_of([line], NOW)[line.id]
    return queries.days_of(line, queries.counted(line, now=NOW, entries=entries, days=days), now=NOW, days=days)


def marks() -> list[str]:
    return list(Crossing.objects.order_by("id").values_list("what", flat=True))


def test_what_is_left_is_the_cap_less_what_was_used_today(shop: Shop, source: Source) -> None:
    yesterday, today = NOW - timedelta(days=1), NOW - timedelta(hours=2)
    records = [used(shop, 2 * GB, at=yesterday), used(shop, 1 * GB, at=today), used(shop, GB // 2, at=today)]
    counted = counting.count(source=source, records=records, now=NOW)
    assert (counted.counted, counted.repeated, counted.rejected) == (3, 0, ())
    usage = queries.usage_of(shop.cards["xiaoyu"], now=NOW)
    assert (usage.left_bytes, usage.of_bytes) == (3 * GB // 2, 3 * GB)
    assert usage.speed.kbps is None
    assert usage.used_bytes == 7 * GB // 2
    assert usage.as_of == today + timedelta(minutes=1)
    days = days_of(shop.cards["xiaoyu"], 3)
    assert [(day.bytes, day.is_known) for day in days] == [(0, False), (2 * GB, True), (3 * GB // 2, True)]


def test_a_record_that_comes_again_is_counted_once(shop: Shop, source: Source) -> None:
    record = used(shop, GB, at=NOW - timedelta(hours=1), id="cdr-1")
    first = counting.count(source=source, records=[record, record], now=NOW)
    again = counting.count(source=source, records=[record], now=NOW)
    assert (first.counted, first.repeated, again.counted, again.repeated) == (1, 1, 0, 1)
    assert Counter.objects.get().bytes == GB
    other = counting.source("network-two")
    assert counting.count(source=other, records=[record], now=NOW).counted == 1
    assert Counter.objects.get().bytes == 2 * GB


def test_each_mark_of_each_window_is_one_fact(shop: Shop, source: Source) -> None:
    at = NOW - timedelta(hours=1)
    counting.count(source=source, records=[used(shop, 17 * GB // 10, at=at)], now=NOW)
    assert look() == 1
    assert marks() == ["50"]
    counting.count(source=source, records=[used(shop, 14 * GB // 10, at=at)], now=NOW)
    assert look() == 4  # 80, 95, 100 and the speed
    assert marks() == ["50", "80", "95", "100"] or sorted(marks()) == ["100", "50", "80", "95"]
    assert look() == 0
    (speed,) = Fact.objects.filter(what="speed.changed")
    assert (speed.before, speed.after["kbps"]) == ({"kbps": None}, 1000)
    usage = queries.usage_of(shop.cards["xiaoyu"], now=NOW)
    assert (usage.left_bytes, usage.speed.kbps, usage.speed.why) == (0, 1000, "cap")
    # Midnight in Brussels.
    assert usage.speed.until == datetime(2026, 3, 2, 23, 0, tzinfo=UTC)
    assert queries.due_meters(usage.speed.until - timedelta(seconds=1)) == []
    assert look(usage.speed.until) == 2
    assert "reset" in marks()
    assert Fact.objects.filter(what="speed.changed").count() == 2
    assert queries.usage_of(shop.cards["xiaoyu"], now=usage.speed.until).left_bytes == 3 * GB


def test_what_is_used_day_after_day_makes_nobody_look_until_a_day_passes_its_mark(shop: Shop, source: Source) -> None:
    """Xiaoyu's week has 3 GB a day: half of that is the first mark."""
    counting.meet({shop.cards["xiaoyu"].iccid}, NOW)
    meter = Meter.objects.get(line=shop.cards["xiaoyu"])
    assert meter.cell_mark_bytes == GB * 3 // 2
    for days in (4, 3, 2, 1):
        counting.count(source=source, records=[used(shop, GB * 14 // 10, at=NOW - timedelta(days=days))], now=NOW)
        assert queries.due_meters(NOW) == []
    late = used(shop, GB // 10, at=NOW - timedelta(days=3, minutes=-5))
    counting.count(source=source, records=[late], now=NOW)
    assert queries.due_meters(NOW) == [meter.id], "three days ago 1.5 GB"
    assert look() == 1
    assert [(c.what, c.window_starts_at.day) for c in Crossing.objects.all()] == [
        ("50", 26)
    ]  # in UTC the evening before
    counting.count(source=source, records=[used(shop, GB, at=NOW)], now=NOW)
    assert queries.due_meters(NOW) == [], "today 1 GB"
    counting.count(source=source, records=[used(shop, GB * 15 // 10, at=NOW)], now=NOW)
    assert look() == 2
    meter.refresh_from_db()
    assert meter.cell_mark_bytes is None, "50 and 80 are passed: what comes next is counted from here"
    counting.count(source=source, records=[used(shop, GB // 2, at=NOW)], now=NOW)
    assert look() == 3  # 95, 100 and the speed
    assert {c.what for c in Crossing.objects.filter(window_starts_at__day=1)} == {"50", "80", "95", "100"}


def test_a_late_record_counts_in_the_day_it_belongs_to(shop: Shop, source: Source) -> None:
    counting.count(source=source, records=[used(shop, GB, at=NOW - timedelta(minutes=5))], now=NOW)
    look()
    counting.count(source=source, records=[used(shop, 29 * GB // 10, at=NOW - timedelta(days=2))], now=NOW)
    assert look() == 3
    assert queries.usage_of(shop.cards["xiaoyu"], now=NOW).left_bytes == 2 * GB
    assert set(Crossing.objects.values_list("window_ends_at", flat=True)) == {datetime(2026, 2, 28, 23, 0, tzinfo=UTC)}


def test_a_correction_takes_the_place_of_what_it_corrects(shop: Shop, source: Source) -> None:
    at = NOW - timedelta(hours=1)
    right = used(shop, GB, at=at, id="cdr-1", revision=1)
    counting.count(source=source, records=[used(shop, 3 * GB, at=at, id="cdr-1")], now=NOW)
    look()
    assert counting.count(source=source, records=[right], now=NOW).corrected == 1
    assert queries.usage_of(shop.cards["xiaoyu"], now=NOW).left_bytes == 2 * GB
    assert look() == 1  # the speed is back
    # The first sending comes again, and the correction too.
    again = counting.count(source=source, records=[used(shop, 3 * GB, at=at, id="cdr-1"), right], now=NOW)
    assert (again.counted, again.corrected, again.repeated) == (0, 0, 2)
    assert queries.usage_of(shop.cards["xiaoyu"], now=NOW).left_bytes == 2 * GB
    assert counting.recount() == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iccid": "8932042000009999993"}, "unknown_line"),
        ({"iccid": "not a card"}, "not_an_iccid"),
        ({"down_bytes": -1}, "negative"),
        ({"down_bytes": 10**15}, "absurd"),
        ({"ended_at": NOW + timedelta(hours=1)}, "in_the_future"),
        ({"started_at": NOW - timedelta(days=46), "ended_at": NOW - timedelta(days=46)}, "too_old"),
        ({"ended_at": NOW - timedelta(days=3)}, "ends_before_start"),
        ({"started_at": datetime(2026, 3, 1), "ended_at": datetime(2026, 3, 1)}, "no_zone"),  # noqa: DTZ001
        ({"network": "BASE"}, "not_a_network"),
        ({"record_id": ""}, "no_record_id"),
    ],
)
def test_a_bad_record_is_kept_with_the_reason_and_stops_no_other(
    shop: Shop, source: Source, change: dict[str, object], reason: str
) -> None:
    good = used(shop, GB, at=NOW - timedelta(hours=1))
    bad = used(shop, GB, at=NOW - timedelta(hours=2))._replace(**change)
    counted = counting.count(source=source, records=[bad, good], now=NOW, batch="a.csv")
    assert (counted.counted, [reject.reason for reject in counted.rejected]) == (1, [reason])
    kept = Rejected.objects.get()
    assert (kept.place, kept.reason, kept.batch) == (1, reason, "a.csv")
    assert Counter.objects.get().bytes == GB
    source.refresh_from_db()
    assert (source.counted, source.rejected) == (1, 1)


def test_a_new_period_begins_a_new_cell_and_what_came_before_is_counted_on_its_side(shop: Shop, source: Source) -> None:
    """Emma's card has ended; she uses it before and after her next period starts, and both are known early."""
    emma, begins = shop.cards["emma"], NOW - timedelta(minutes=30)
    records = [used(shop, GB, at=begins - timedelta(minutes=5), who="emma"), used(shop, 2 * GB, at=begins, who="emma")]
    counting.count(source=source, records=records, now=NOW)
    assert Counter.objects.get().bytes == 3 * GB
    lines.open_period(
        line_id=emma.id, order_id=uuid4(), ordinal=0, plan_version=emma.plan_version, activated_at=begins,
        funded_at=begins, carrier_ends_at=None, who="seller", now=NOW,
    )  # fmt: skip
    assert counting.lay_out(line_ids=[emma.id], now=NOW) == 1
    assert list(Counter.objects.order_by("starts_at").values_list("bytes", flat=True)) == [GB, 2 * GB]
    assert queries.usage_of(emma, now=NOW).left_bytes == 58 * GB
    assert counting.recount() == 0
    assert Meter.objects.count() == 1


def told(shop: Shop, remaining: int | None, *, at: datetime, total: int | None = 50 * GB, who: str = "sato") -> None:
    line = shop.cards[who]
    running = lines_queries.timeline(line, at).running
    metering.record_reading(
        line_id=line.id, iccid=line.iccid, carrier="airalo", period=running.span if running else None,
        unlimited=total is None, remaining_bytes=remaining, total_bytes=total, expires_at=NOW + timedelta(days=9),
        status="ACTIVE", as_of=at, now=at,
    )  # fmt: skip


def test_a_carrier_that_tells_what_is_left_is_counted_by_the_difference(shop: Shop) -> None:
    sato = shop.cards["sato"]
    told(shop, 48 * GB, at=NOW - timedelta(hours=3))
    told(shop, 47 * GB, at=NOW - timedelta(hours=1))
    told(shop, 47 * GB, at=NOW - timedelta(hours=1))
    told(shop, 46 * GB, at=NOW - timedelta(hours=2))  # an old answer that comes late
    usage = queries.usage_of(sato, now=NOW)
    assert (usage.used_bytes, usage.left_bytes, usage.of_bytes) == (3 * GB, 47 * GB, 50 * GB)
    assert usage.as_of == NOW - timedelta(hours=1)
    # What was used before anybody asked belongs to the day on which the period began.
    assert [day.bytes for day in days_of(sato, 13)] == [2 * GB, *[0] * 11, GB]
    told(shop, 50 * GB, at=NOW - timedelta(minutes=5), total=51 * GB)  # another package begins
    assert queries.usage_of(sato, now=NOW).used_bytes == 4 * GB


def test_a_carriers_zero_for_an_unlimited_card_is_nothing_left_to_show(shop: Shop) -> None:
    told(shop, 0, at=NOW - timedelta(hours=1), total=None, who="xiaoyu")
    usage = queries.usage_of(shop.cards["xiaoyu"], now=NOW)
    assert usage.as_of is None
    assert Counter.objects.count() == 0
    assert days_of(shop.cards["xiaoyu"], 30) == []


def test_a_carriers_answers_are_not_counted_where_records_come(shop: Shop, source: Source) -> None:
    counting.count(source=source, records=[used(shop, GB, at=NOW - timedelta(hours=1), who="sato")], now=NOW)
    told(shop, 48 * GB, at=NOW)
    assert Counter.objects.get().bytes == GB
    assert queries.usage_of(shop.cards["sato"], now=NOW).left_bytes == 49 * GB


# -- any order, any batches ------------------------------------------------------------------------------------------


def outcome(now: datetime) -> tuple[object, ...]:
    """Everything that counting leaves behind, but for when it was noticed."""
    crossed = Crossing.objects.order_by("meter__iccid", "window_starts_at", "name", "number", "what")
    return (
        list(Counter.objects.order_by("meter__iccid", "starts_at").values_list("meter__iccid", "starts_at", "bytes",
             "abroad_bytes", "hotspot_bytes", "voice_seconds", "sms", "day")),
        list(crossed.values_list("meter__iccid", "window_starts_at", "window_ends_at", "name", "number", "what")),
        list(Meter.objects.order_by("iccid").values_list("iccid", "kbps", "last_started_at", "last_ended_at")),
    )  # fmt: skip


def forget() -> None:
    for model in (Crossing, Counter, Meter, Superseded):
        model.objects.all().delete()
    Sample.objects.all().delete()


@st.composite
def some_use(draw: st.DrawFn) -> list[tuple[str, int, int, bool, bool, int]]:
    """Card, minutes before now, tenths of a gigabyte, abroad, hotspot, seconds of calls; each record once."""
    one = st.tuples(
        st.sampled_from(["xiaoyu", "sato", "emma"]), st.integers(1, 8 * 24 * 60), st.integers(0, 60),
        st.booleans(), st.booleans(), st.integers(0, 60),
    )  # fmt: skip
    return draw(st.lists(one, min_size=1, max_size=30))


def share(shop: Shop, *, since: datetime) -> None:
    """Emma has 20 GB for a month and shares them with Xiaoyu."""
    data = shop.plan("be-month-60gb").policy["quota"]["data"]  # type: ignore[index]
    told = {"tiers": [{"after_bytes": 20 * GB, "kbps": 512}], "hotspot": {"allowed": True}, "pool": {"cards": 2}}
    open_period(shop, "emma", another(shop, "be-month-60gb", quota={"data": data | told}), NOW - timedelta(days=9))
    counting.count(source=counting.source("network-one"), records=[used(shop, 1, at=since, who="emma")], now=NOW)
    emma, xiaoyu, pool = shop.people["emma"].id, shop.people["xiaoyu"].id, uuid4()
    families.found(id=uuid4(), customer=emma, now=since)
    _, secret = families.invite(id=uuid4(), organiser=emma, email=shop.people["xiaoyu"].email, now=since)
    families.accept(
        secret=secret, customer=xiaoyu, email=shop.people["xiaoyu"].email, organiser=emma, words="yes", language="en",
        now=since,
    )  # fmt: skip
    sharing.open_pool(id=pool, line_id=shop.cards["emma"].id, customer=emma, now=since)
    line_id = shop.cards["xiaoyu"].id
    sharing.draw(id=uuid4(), pool_id=pool, line_id=line_id, customer=xiaoyu, words="yes", language="en", now=since)


@pytest.mark.parametrize("is_shared", [False, True], ids=["each its own", "shared"])
def test_any_order_repetition_and_batching_gives_the_same_counters_crossings_and_speeds(
    shop: Shop, source: Source, is_shared: bool
) -> None:
    later = NOW + timedelta(hours=14)
    if is_shared:
        share(shop, since=NOW - timedelta(days=3))
    pooled = [shop.cards["emma"].id, shop.cards["xiaoyu"].id] if is_shared else []

    def begin_anew() -> None:
        forget()
        counting.pool(pooled, NOW)
        counting.lay_out(line_ids=pooled, now=NOW)

    @settings(max_examples=20, suppress_health_check=list(HealthCheck))
    @given(use=some_use(), draw=st.data())
    def holds(use: list[tuple[str, int, int, bool, bool, int]], draw: st.DataObject) -> None:
        begin_anew()
        records = [
            used(
                shop, tenths * GB // 10, at=NOW - timedelta(minutes=ago), id=f"cdr-{n}", who=who, is_abroad=abroad,
                is_hotspot=hotspot, voice_seconds=seconds,
            )
            for n, (who, ago, tenths, abroad, hotspot, seconds) in enumerate(use)
        ]  # fmt: skip
        every = draw.draw(st.sampled_from([0, 0, 2, 5]))
        wrong = records[::every] if every else []
        corrected = [r._replace(down_bytes=r.down_bytes // 2, up_bytes=0, revision=1) for r in wrong]
        counting.count(source=source, records=records + corrected, now=NOW)
        looking.look(queries.due_meters(later), now=later)
        wanted = outcome(later)
        begin_anew()
        again = draw.draw(st.permutations(records + records[::3] + corrected + corrected[:1]))
        while again:
            size = draw.draw(st.integers(1, len(again)))
            counting.count(source=source, records=again[:size], now=NOW)
            if not corrected and draw.draw(st.booleans()):
                looking.look(queries.due_meters(NOW), now=NOW)
            again = again[size:]
        assert counting.recount() == 0
        looking.look(queries.due_meters(later), now=later)
        assert outcome(later) == wanted

    holds()


# -- what use begins and ends ------------------------------------------------------------------------------------------


def another(shop: Shop, slug: str, **change: object) -> PlanVersion:
    """Another version of this plan; ``change`` is of its policy, by part."""
    sold = shop.plan(slug)
    document = {part: {**told, **change.get(part, {})} for part, told in sold.policy.items()}  # type: ignore[dict-item]
    copy = {f.attname: getattr(sold, f.attname) for f in PlanVersion._meta.concrete_fields}
    made = PlanVersion(**{**copy, "id": uuid4(), "number": sold.number + 1, "policy": document})
    made.save(force_insert=True)
    return made


def open_period(shop: Shop, who: str, version: PlanVersion, at: datetime) -> None:
    lines.open_period(
        line_id=shop.cards[who].id, order_id=uuid4(), ordinal=0, plan_version=version, activated_at=at, funded_at=at,
        carrier_ends_at=None, who="seller", now=at,
    )  # fmt: skip


def test_a_period_that_waits_for_its_first_use_starts_with_the_first_record(
    shop: Shop, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    emma = shop.cards["emma"]
    waits = another(shop, "be-month-60gb", period={"starts": "first_use", "start_by_days": 90, "unused": "starts"})
    open_period(shop, "emma", waits, NOW - timedelta(hours=5))
    assert lines_queries.timeline(emma, NOW).running is None or lines_queries.timeline(emma, NOW).running.projected
    first = NOW - timedelta(hours=2)
    counting.count(source=source, records=[used(shop, GB, at=first, who="emma")], now=NOW)
    look()
    assert Fact.objects.filter(what="usage.began", subject=emma.id).count() == 1
    tasks.begin_use(str(emma.id))
    tasks.cut_meter(str(emma.id))
    running = lines_queries.timeline(emma, NOW).running
    assert running is not None
    assert (running.span.starts_at, running.projected) == (first, False)
    usage = queries.usage_of(emma, now=NOW)
    assert (usage.used_bytes, usage.left_bytes) == (GB, 59 * GB)


def test_a_period_that_is_used_up_gives_way_to_the_next_where_that_ones_plan_says_so(
    shop: Shop, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    sato = shop.cards["sato"]  # 50 GB in the month that runs
    queued = another(shop, "jp-month-50gb", renewal={"mode": "queue", "next_when_used_up": True})
    open_period(shop, "sato", queued, NOW - timedelta(days=1))
    before = lines_queries.timeline(sato, NOW).running
    counting.count(source=source, records=[used(shop, 49 * GB, at=NOW - timedelta(hours=2), who="sato")], now=NOW)
    look()
    tasks.start_next_if_used_up(str(sato.id))
    assert lines_queries.timeline(sato, NOW).running == before
    counting.count(source=source, records=[used(shop, GB, at=NOW - timedelta(hours=1), who="sato")], now=NOW)
    look()
    tasks.start_next_if_used_up(str(sato.id))
    tasks.start_next_if_used_up(str(sato.id))
    running = lines_queries.timeline(sato, NOW).running
    assert running is not None
    assert (running.period.plan_version_id, running.span.starts_at) == (queued.id, NOW)
    assert len(lines_queries.timeline(sato, NOW).entries) == 2


# -- what is kept, and what is not any more ----------------------------------------------------------------------------


def all_cells() -> list[tuple[object, ...]]:
    return queries.cells_in_full()


def test_old_records_are_dropped_and_what_was_counted_stays(shop: Shop, source: Source) -> None:
    line = shop.cards["xiaoyu"]
    # Late on March 1 in UTC is March 2 in Brussels already.
    days = [NOW - timedelta(days=2), NOW - timedelta(days=1), datetime(2026, 3, 1, 23, 30, tzinfo=UTC), NOW]
    for number, at in enumerate(days, start=1):
        counting.count(source=source, records=[used(shop, number * GB, at=at, id=f"cdr-{number}")], now=NOW)
    records = [used(shop, -1, at=NOW), used(shop, GB, at=days[0], id="cdr-1", revision=1)]
    counting.count(source=source, records=records, now=NOW)
    before = all_cells()
    assert [cell[3] // GB for cell in before] == [1, 2, 7]
    # The days of February 28 and March 1 in UTC are dropped once 50 days have gone by since.
    later = datetime(2026, 4, 21, 3, 27, tzinfo=UTC)
    keep = timedelta(days=50)
    assert counting.drop_old(now=later - timedelta(days=2), keep=keep) is None
    assert counting.drop_old(now=later, keep=keep) == date(2026, 3, 2)
    assert counting.drop_old(now=later, keep=keep) is None
    assert list(Sample.objects.values_list("record_id", flat=True)) == ["cdr-4"]
    assert all_cells() == before
    # March 2 in Brussels began an hour before the first record that is kept: it is not counted anew from half of them.
    assert (counting.recount(), counting.left_alone(), all_cells()) == (0, 3, before)
    # A period that changes cuts the time anew; what has no records stays as it was counted.
    Meter.objects.update(cuts=[])
    counting.lay_out(line_ids=[line.id], now=later)
    assert all_cells() == before
    # No record of a day that is gone can be counted, should anybody try.
    with pytest.raises(ProgrammingError, match="metering_sample_gone"), transaction.atomic():
        counting.count(source=source, records=[used(shop, GB, at=days[0], id="cdr-1")], now=NOW)
    # The next days are dropped in their turn, and records go on coming.
    counting.count(source=source, records=[used(shop, 5 * GB, at=later, id="cdr-5")], now=later)
    assert counting.drop_old(now=later + timedelta(days=30), keep=timedelta()) == date(2026, 4, 4)
    assert list(Sample.objects.values_list("record_id", flat=True)) == ["cdr-5"]
    # What was refused and what was corrected tell of use as well.
    assert (Rejected.objects.count(), Superseded.objects.count()) == (0, 0)
    assert (counting.recount(), counting.left_alone()) == (0, 3)


def test_a_recount_puts_right_what_is_wrong_and_only_that(shop: Shop, source: Source) -> None:
    records = [used(shop, GB, at=NOW - timedelta(days=days)) for days in range(3)]
    counting.count(source=source, records=records, now=NOW)
    right = all_cells()
    first, second, third = Counter.objects.order_by("starts_at")
    here = Counter.objects.filter(meter_id=first.meter_id)
    here.filter(starts_at=first.starts_at).delete()
    here.filter(starts_at=second.starts_at).update(sms=1)
    Counter.objects.create(meter_id=first.meter_id, starts_at=NOW, day=NOW.date(), bytes=1, abroad_bytes=0,
                           hotspot_bytes=0, voice_seconds=0, sms=0)  # fmt: skip

    def place() -> str:
        with connection.cursor() as cursor:
            cursor.execute("select ctid::text from metering_counter where starts_at = %s", [third.starts_at])
            return cursor.fetchone()[0]  # type: ignore[index]

    untouched = place()
    assert counting.recount() == 3
    assert (all_cells(), place(), counting.recount(), counting.left_alone()) == (right, untouched, 0, 0)
