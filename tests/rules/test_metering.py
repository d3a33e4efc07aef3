"""What is left and how fast it is: by tables, for every kind of window."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xuka.catalogue.rules import Data, Limit, Quota, boundaries, window_at
from xuka.kernel.span import Span
from xuka.metering import rules
from xuka.metering.pool_rules import Draw, Together
from xuka.metering.rules import Bucket, Cell, Speed

GB = 10**9
BRUSSELS, TOKYO = "Europe/Brussels", "Asia/Tokyo"
PLAIN: dict[str, Any] = {"peak": None, "hotspot": {"allowed": True}, "abroad": {"allowed": False}}


def at(text: str, zone: str = BRUSSELS) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def tiers(*steps: tuple[float, int]) -> list[dict[str, int]]:
    return [{"after_bytes": int(after * GB), "kbps": kbps} for after, kbps in steps]


def data(**told: Any) -> Data:
    return Data.model_validate(PLAIN | told)


MONTH = Span(at("2026-05-01"), at("2026-06-01"))
PERIOD = data(window="period", tiers=tiers((170, 512), (220, 0)))
DAILY = data(window="local_day", resets_at="00:00", zone=BRUSSELS, tiers=tiers((3, 1000)))
BOTH = data(
    window="local_day", resets_at="00:00", zone=TOKYO, tiers=tiers((3, 1000)),
    also=[{"window": "calendar_month", "zone": TOKYO, "tiers": tiers((20, 300), (30, 128))}],
)  # fmt: skip
SLIDING = data(window="sliding_days", days=3, resets_at="00:00", zone=TOKYO, tiers=tiers((10, 1000)))


def bucket(terms: Data, span: Span = MONTH, number: int = 1, funded: str = "2026-04-30", **quota: Any) -> Bucket:
    return Bucket(UUID(int=number), span, at(funded), Quota(data=terms, **quota))


def cell(when: str, gigabytes: float, zone: str = BRUSSELS, **more: Any) -> Cell:
    return Cell(at(when, zone), date.fromisoformat(when[:10]), int(gigabytes * GB), **more)


def used(terms: Data, cells: list[Cell], now: datetime, span: Span = MONTH) -> rules.Usage:
    return rules.usage([bucket(terms, span)], cells, as_of=now, now=now)


# -- a monthly threshold, then slow, then blocked ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("gigabytes", "left", "speed"),
    [
        (0, 170, Speed(None, "full", None)),
        (169.9, 0.1, Speed(None, "full", None)),
        (170, 0, Speed(512, "cap", MONTH.ends_at)),
        (170.1, 0, Speed(512, "cap", MONTH.ends_at)),
        (219.9, 0, Speed(512, "cap", MONTH.ends_at)),
        (220, 0, Speed(0, "cap", MONTH.ends_at)),
    ],
)
def test_r_36_a_monthly_threshold_then_slow_then_blocked(gigabytes: float, left: float, speed: Speed) -> None:
    told = used(PERIOD, [cell("2026-05-02", gigabytes)], at("2026-05-20"))
    assert told.left_bytes == round(left * GB)
    assert told.speed == speed


def test_r_36_each_step_is_crossed_once_and_in_its_window() -> None:
    crossed = rules.crossings([bucket(PERIOD)], [cell("2026-05-02", 221)], since=MONTH.starts_at, now=at("2026-05-03"))
    assert {c.what for c in crossed} == {"50", "80", "95", "100", "tier:2"}
    assert {c.window for c in crossed} == {MONTH}


# -- a daily quota, reset at local midnight ----------------------------------------------------------------------


def test_r_34_a_days_quota_begins_anew_at_the_plans_own_midnight() -> None:
    evening = [cell("2026-05-02T20:00", 3.2)]
    assert used(DAILY, evening, at("2026-05-02T23:59")).speed == Speed(1000, "cap", at("2026-05-03"))
    after = used(DAILY, evening, at("2026-05-03"))
    assert (after.speed.kbps, after.left_bytes) == (None, 3 * GB)


EARLY, LATE = Span(MONTH.starts_at, at("2026-05-10")), Span(at("2026-05-10"), MONTH.ends_at)
STRICT = data(
    window="local_day", resets_at="00:00", zone=BRUSSELS, tiers=tiers((3, 1000)),
    also=[{"window": "local_day", "resets_at": "00:00", "zone": BRUSSELS, "tiers": tiers((2, 300))}],
)  # fmt: skip


def of_days(**told: Any) -> Data:
    return data(**{"window": "local_day", "resets_at": "00:00", "zone": BRUSSELS, "tiers": tiers((3, 1000))} | told)


@pytest.mark.parametrize(
    ("buckets", "mark"),
    [
        ([bucket(DAILY)], 1.5),
        ([bucket(STRICT)], 1),
        ([bucket(DAILY, LATE, 2), bucket(STRICT, EARLY)], 1),
        ([bucket(DAILY), bucket(DAILY, LATE, 2)], None),  # both are open
        ([bucket(DAILY), bucket(PERIOD, Span(MONTH.ends_at, at("2026-07-01")), 2)], None),
        ([bucket(PERIOD)], None),
        ([bucket(BOTH)], None),
        ([bucket(SLIDING)], None),
        ([bucket(of_days(resets_at="04:00"))], None),  # a day of it lies in two of the line's
        ([bucket(of_days(zone=TOKYO))], None),
        ([bucket(of_days(hotspot={"allowed": True, "cap_bytes": GB}))], None),
        ([bucket(of_days(abroad={"allowed": True, "countries": ["FR"], "cap_bytes": GB}))], 1.5),  # looked at apart
        ([bucket(of_days(review_bytes=100 * GB))], None),
        ([replace(bucket(DAILY), apart=(("voice", EARLY),))], None),
        ([replace(bucket(DAILY), carried=(LATE.starts_at, GB))], None),
    ],
)
def test_a_cell_decides_alone_only_where_each_window_is_one(buckets: list[Bucket], mark: float | None) -> None:
    assert rules.cell_mark(buckets, BRUSSELS) == (None if mark is None else int(mark * GB))


def test_what_is_used_at_the_very_instant_of_a_reset_counts_after_it_and_once() -> None:
    told = used(DAILY, [cell("2026-05-03", 1)], at("2026-05-03T08:00"))
    before = rules.usage([bucket(DAILY)], [cell("2026-05-03", 1)], as_of=None, now=at("2026-05-02T23:59:59"))
    assert (told.left_bytes, before.left_bytes) == (2 * GB, 3 * GB)


def test_a_window_that_was_used_up_is_told_to_have_begun_anew_once_it_has() -> None:
    cells = [cell("2026-05-02T20:00", 3.2)]
    what = {
        now: {c.what for c in rules.crossings([bucket(DAILY)], cells, since=at("2026-05-02"), now=at(now))}
        for now in ("2026-05-02T23:59:59", "2026-05-03")
    }
    assert "reset" not in what["2026-05-02T23:59:59"]
    assert "reset" in what["2026-05-03"]


@pytest.mark.parametrize(
    ("zone", "resets_at", "moment", "starts", "hours"),
    [
        # The night in which clocks go forward, and the one in which they go back.
        (BRUSSELS, "00:00", "2026-03-29T12:00", "2026-03-29T00:00", 23),
        (BRUSSELS, "00:00", "2026-10-25T12:00", "2026-10-25T00:00", 25),
        (BRUSSELS, "02:30", "2026-03-29T12:00", "2026-03-29T03:00", 23.5),
        ("Asia/Tokyo", "04:00", "2026-05-02T03:59", "2026-05-01T04:00", 24),
        ("America/Havana", "00:00", "2026-03-08T12:00", "2026-03-08T01:00", 23),
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(
    zone: str, resets_at: str, moment: str, starts: str, hours: float
) -> None:
    limit = Limit.model_validate({"window": "local_day", "resets_at": resets_at, "zone": zone, "tiers": tiers((1, 0))})
    window = window_at(limit, Span(at("2026-01-01", zone), at("2026-12-31", zone)), at(moment, zone))
    assert (window.starts_at, window.length) == (at(starts, zone), timedelta(hours=hours))


# -- several windows at once -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("today", "month", "kbps", "until"),
    [
        (1, 10, None, None),
        (3, 10, 1000, "2026-05-21"),
        (1, 20, 300, "2026-06-01"),
        (3, 20, 300, "2026-06-01"),
        (1, 30, 128, "2026-06-01"),
    ],
)
def test_of_a_day_and_a_month_the_strictest_holds(today: float, month: float, kbps: int | None, until: str) -> None:
    span = Span(at("2026-05-01", TOKYO), at("2026-07-01", TOKYO))
    cells = [cell("2026-05-02", month - today, TOKYO), cell("2026-05-20", today, TOKYO)]
    speed = used(BOTH, cells, at("2026-05-20T12:00", TOKYO), span).speed
    assert (speed.kbps, speed.until) == (kbps, at(until, TOKYO) if until else None)


def test_a_calendar_month_begins_anew_on_the_first_whenever_the_period_began() -> None:
    span = Span(at("2026-05-20", TOKYO), at("2026-06-19", TOKYO))
    cells = [cell("2026-05-25", 25, TOKYO)]
    assert used(BOTH, cells, at("2026-05-31T23:00", TOKYO), span).speed.kbps == 300
    assert used(BOTH, cells, at("2026-06-01", TOKYO), span).speed.kbps is None


@pytest.mark.parametrize(("day", "kbps"), [("2026-05-12", 1000), ("2026-05-13", None)])
def test_of_a_window_that_slides_the_oldest_day_is_forgotten_each_day(day: str, kbps: int | None) -> None:
    cells = [cell("2026-05-10", 8, TOKYO), cell("2026-05-11", 2, TOKYO)]
    assert used(SLIDING, cells, at(f"{day}T09:00", TOKYO)).speed.kbps == kbps


def test_peak_hours_slow_down_and_pass_midnight() -> None:
    peak = {"from": "22:00", "to": "02:00", "zone": BRUSSELS, "kbps": 3000}
    terms = data(window="period", tiers=tiers((10, 512)), peak=peak)
    assert used(terms, [], at("2026-05-02T21:59")).speed == Speed(None, "full", at("2026-05-02T22:00"))
    assert used(terms, [], at("2026-05-03T01:00")).speed == Speed(3000, "peak", at("2026-05-03T02:00"))
    slow = [cell("2026-05-02", 10)]
    assert used(terms, slow, at("2026-05-03T01:00")).speed == Speed(512, "cap", MONTH.ends_at)


def test_hotspot_abroad_calls_and_texts_have_caps_of_their_own() -> None:
    terms = data(
        window="period", tiers=tiers((50, 0)), hotspot={"allowed": True, "cap_bytes": 5 * GB},
        abroad={"allowed": True, "countries": ["FR"], "cap_bytes": 8 * GB},
    )  # fmt: skip
    one = bucket(terms, voice={"minutes": 60, "to": "market"}, sms={"messages": None, "to": "market"})
    cells = [cell("2026-05-02", 9, hotspot_bytes=2 * GB, abroad_bytes=3 * GB, voice_seconds=90, sms=4)]
    told = rules.usage([one], cells, as_of=None, now=at("2026-05-03"))
    left = {limit.name: limit.left for limit in told.limits}
    assert left == {"data": 41 * GB, "hotspot": 3 * GB, "abroad": 5 * GB, "voice": 3510, "sms": None}


# -- several buckets ---------------------------------------------------------------------------------------------------


def pack(terms: Data, number: int, *, ends: str, funded: str = "2026-04-30", priority: int = 100) -> Bucket:
    return bucket(terms.model_copy(update={"priority": priority}), Span(MONTH.starts_at, at(ends)), number, funded)


ONE_GB = data(window="period", tiers=tiers((1, 0)))


@pytest.mark.parametrize(
    ("buckets", "first"),
    [
        ([pack(ONE_GB, 1, ends="2026-06-01"), pack(ONE_GB, 2, ends="2026-06-01", priority=10)], 2),
        ([pack(ONE_GB, 1, ends="2026-06-01"), pack(ONE_GB, 2, ends="2026-05-10")], 2),
        ([pack(ONE_GB, 1, ends="2026-06-01"), pack(ONE_GB, 2, ends="2026-06-01", funded="2026-04-01")], 2),
        ([pack(ONE_GB, 1, ends="2026-05-10", priority=11), pack(ONE_GB, 2, ends="2026-06-01", priority=10)], 2),
    ],
    ids=["priority", "earliest end", "oldest", "priority before end"],
)
def test_buckets_burn_by_priority_then_earliest_end_then_age(buckets: list[Bucket], first: int) -> None:
    borne = rules.burn(buckets, [cell("2026-05-02", 0.4)])
    assert {id.int: sum(cells.values()) for id, cells in borne.items()} == {first: 4 * GB // 10, 3 - first: 0}
    borne = rules.burn(buckets, [cell("2026-05-02", 0.4), cell("2026-05-03", 1.0)])
    assert {id.int: sum(cells.values()) for id, cells in borne.items()} == {first: GB, 3 - first: 4 * GB // 10}


def test_a_pack_keeps_a_slowed_card_fast_until_it_is_used_up() -> None:
    slow = bucket(data(window="period", tiers=tiers((1, 128))), number=1)
    extra = Bucket(UUID(int=2), Span(at("2026-05-10"), MONTH.ends_at), at("2026-05-10"), Quota(data=ONE_GB))
    before = [cell("2026-05-02", 1.5)]
    assert rules.usage([slow, extra], before, as_of=None, now=at("2026-05-09")).speed.kbps == 128
    assert rules.usage([slow, extra], before, as_of=None, now=at("2026-05-11")).speed.kbps is None
    after = [*before, cell("2026-05-11", 1.2)]
    told = rules.usage([slow, extra], after, as_of=None, now=at("2026-05-12"))
    assert (told.speed.kbps, told.left_bytes) == (128, 0)


def test_outside_of_every_period_nothing_is_left_and_the_next_start_is_told() -> None:
    told = used(PERIOD, [], at("2026-04-30"))
    assert (told.speed, told.left_bytes) == (Speed(0, "no_period", MONTH.starts_at), None)


# -- data that several cards share ---------------------------------------------------------------------------------

HOST, CHILD, OTHER = UUID(int=101), UUID(int=102), UUID(int=103)


def pool_data(turn: str = "own_first", **told: Any) -> Data:
    return data(window="period", tiers=tiers((50, 512)), **told, pool={"cards": 3, "turn": turn})


def drawn(line: UUID = CHILD, since: str = "2026-05-01", until: str | None = None) -> Draw:
    return Draw(HOST, line, at(since), at(until) if until else None)


def burnt_together(cells: dict[UUID, list[Cell]], *draws: Draw, **host: Any) -> Together:
    """The host's 50 GB, and 5 GB of a child's own that are slow after, both in May."""
    own = bucket(data(window="period", tiers=tiers((5, 128))), number=2)
    buckets = {HOST: [bucket(pool_data(**host), number=1)], CHILD: [own], OTHER: []}
    return Together.burn(buckets, cells, draws)


def left(whole: Together, line: UUID, when: str = "2026-05-20") -> tuple[float | None, float | None, int | None]:
    """What is left of its own, of the pool, in GB; and the speed class."""
    usage = whole.usage(line, as_of=at(when), now=at(when))
    own = None if usage.left_bytes is None else usage.left_bytes / GB
    return own, (usage.pool.strictest.left or 0) / GB if usage.pool else None, usage.cap_kbps


def test_a_card_uses_its_own_data_first_and_then_what_is_shared_with_it() -> None:
    both = {HOST: [cell("2026-05-02", 10)], CHILD: [cell("2026-05-03", 4), cell("2026-05-04", 4)]}
    whole = burnt_together(both, drawn())
    assert left(whole, CHILD) == (0, 37, None)
    assert left(whole, HOST) == (37, 37, None)
    pool = whole.usage(CHILD, as_of=at("2026-05-20"), now=at("2026-05-20")).pool
    assert pool
    assert (pool.line_id, pool.drawn_bytes, [limit.name for limit in pool.limits]) == (HOST, 3 * GB, ["shared"])
    # As the plan says otherwise, in one order with its own: of equals the one that was paid for first, by its id.
    assert left(burnt_together(both, drawn(), turn="by_priority"), CHILD) == (5, 32, None)
    assert left(burnt_together(both, drawn(), turn="by_priority", priority=200), CHILD) == (0, 37, None)


def test_nothing_is_drawn_before_it_was_agreed_to_nor_after_it_ended_and_what_was_drawn_stays() -> None:
    cells = {CHILD: [cell("2026-05-02", 6), cell("2026-05-03", 6), cell("2026-05-06", 6)]}
    whole = burnt_together(cells, drawn(since="2026-05-03", until="2026-05-05"))
    assert left(whole, CHILD) == (0, None, 128)  # its own went on slower before, and does so again
    assert left(whole, CHILD, "2026-05-04") == (0, 44, None)
    assert whole.drawn[CHILD, UUID(int=1)] == 6 * GB
    assert left(whole, HOST)[0] == 44


def test_a_card_without_a_period_of_its_own_draws_nothing() -> None:
    whole = burnt_together({OTHER: [cell("2026-05-02", 6)]}, drawn(OTHER))
    usage = whole.usage(OTHER, as_of=MONTH.starts_at, now=at("2026-05-03"))
    assert (usage.speed.why, usage.pool) == ("no_period", None)
    assert left(whole, HOST) == (50, 50, None)


def test_a_mark_of_shared_data_is_crossed_by_each_who_shares_it_since_they_do_and_once() -> None:
    cells = {HOST: [cell("2026-05-02", 30)], CHILD: [cell("2026-05-03", 5), cell("2026-05-04", 20)]}
    whole = burnt_together(cells, drawn())

    def marks(line: UUID) -> list[str]:
        found = whole.crossings(line, since=MONTH.starts_at, now=at("2026-05-05"))
        return sorted(f"{one.name} {one.what}" for one in found if one.bucket == UUID(int=1))

    assert marks(HOST) == ["data 100", "data 50", "data 80", "data 95"]
    assert marks(CHILD) == ["shared 100", "shared 50", "shared 80", "shared 95"]
    assert left(whole, CHILD) == (0, 0, 128)  # at 128 of its own, as the first that goes on
    assert whole.room(at("2026-05-05")) is None
    assert burnt_together({}, drawn()).room(at("2026-05-05")) == 25 * GB // 3


# -- properties --------------------------------------------------------------------------------------------------------

TERMS = [PERIOD, DAILY, BOTH, SLIDING, data(window="day", tiers=tiers((2, 256)))]
moments = st.integers(0, 30 * 24 * 60 - 1).map(lambda minutes: MONTH.starts_at + timedelta(minutes=minutes))


@given(terms=st.sampled_from(TERMS), moment=moments)
def test_windows_tile_but_for_those_that_slide(terms: Data, moment: datetime) -> None:
    for limit in terms.limits:
        window = window_at(limit, MONTH, moment)
        assert moment in window
        ends = [*boundaries(limit, MONTH), MONTH.ends_at]
        assert window.ends_at in ends
        if limit.window != "sliding_days":
            assert window.starts_at in {MONTH.starts_at, *ends}


@given(
    terms=st.lists(st.sampled_from(TERMS), min_size=1, max_size=3),
    use=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 4 * GB)), max_size=12),
)
def test_what_is_burnt_is_what_was_used_whatever_the_order(terms: list[Data], use: list[tuple[int, int]]) -> None:
    buckets = [bucket(one, number=n + 1) for n, one in enumerate(terms)]
    cells = [Cell(MONTH.starts_at + timedelta(days=day), date(2026, 5, 1), volume) for day, volume in dict(use).items()]
    borne = rules.burn(buckets, cells)
    assert sum(sum(of.values()) for of in borne.values()) == sum(one.bytes for one in cells)
    assert rules.burn(list(reversed(buckets)), list(reversed(cells))) == borne


@given(
    own=st.lists(st.sampled_from([*TERMS, pool_data(), pool_data("by_priority")]), min_size=3, max_size=3),
    use=st.lists(st.tuples(st.sampled_from([HOST, CHILD, OTHER]), st.integers(0, 29), st.integers(0, 9)), max_size=20),
)
def test_what_cards_use_together_is_borne_once_whatever_the_order(
    own: list[Data], use: list[tuple[UUID, int, int]]
) -> None:
    lines = [HOST, CHILD, OTHER]
    buckets = {line: [bucket(terms, number=n + 1)] for n, (line, terms) in enumerate(zip(lines, own, strict=True))}
    by_cell = {(line, day): tenths * GB for line, day, tenths in use}
    cells = {
        line: [
            Cell(MONTH.starts_at + timedelta(days=day), date(2026, 5, 1), volume)
            for (of, day), volume in by_cell.items() if of == line
        ]
        for line in lines
    }  # fmt: skip
    draws = [drawn(CHILD, since="2026-05-10"), drawn(OTHER, until="2026-05-20")]
    whole = Together.burn(buckets, cells, draws)
    assert sum(sum(of.values()) for of in whole.borne.values()) == sum(by_cell.values())
    assert sum(whole.drawn.values()) == sum(by_cell.values())
    turned = Together.burn(
        dict(reversed(buckets.items())), {line: list(reversed(of)) for line, of in cells.items()}, draws[::-1]
    )
    assert (turned.borne, turned.drawn) == (whole.borne, whole.drawn)
