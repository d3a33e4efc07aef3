"""What a plan may say, and how long what it says lasts."""

from __future__ import annotations

import copy
import json
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xuka.catalogue.rules import (
    Abroad,
    Cap,
    Conditions,
    Ending,
    Hotspot,
    InvalidPolicy,
    Peak,
    Period,
    Renewal,
    Reset,
    Sms,
    Tier,
    Voice,
    anchor_of,
    conditions,
    day_start,
    disclosure,
    document_of,
    instant_of,
    next_reset,
    period_of,
    policy_of,
)
from xuka.kernel.span import Span
from xuka.lines.rules import Booked, lay_out
from xuka.renewals.rules import TooLate, stack

WEEK: dict[str, Any] = {
    "period": {"length": 7, "unit": "calendar_day", "zone": "Asia/Tokyo", "starts": "activation"},
    "quota": {
        "data": {
            "tiers": [{"after_bytes": 3_000_000_000, "kbps": 1000}],
            "cap": None,
            "window": "local_day",
            "resets_at": "00:00",
            "zone": "Asia/Shanghai",
            "days": None,
            "also": [],
            "priority": 100,
            "peak": {"from": "12:00", "to": "13:00", "zone": "Asia/Tokyo", "kbps": 3000},
            "hotspot": {"allowed": True, "cap_bytes": None},
            "abroad": {"allowed": False, "countries": [], "cap_bytes": None},
        },
        "voice": None,
        "sms": None,
    },
    "renewal": {"mode": "queue", "max_ahead_days": 365},
    "ending": {"renewable_days": None, "number_kept": None},
}


def period(length: int, unit: str, zone: str) -> Period:
    return policy_of(WEEK | {"period": {"length": length, "unit": unit, "zone": zone, "starts": "activation"}}).period


def local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def clock(text: str) -> datetime:
    """A date-time on the clock of a plan's zone, as anchors are."""
    return datetime.fromisoformat(text)


# ---- how long a period lasts --------------------------------------------------------------------------------------

LENGTHS = [
    # exactly 168 hours, whatever the clocks do on 29 March.
    ("rolling_day", 7, "Europe/Brussels", "2026-03-28T16:00", "2026-04-04T17:00"),
    ("rolling_day", 7, "Europe/Brussels", "2026-10-24T16:00", "2026-10-31T15:00"),
    ("rolling_day", 7, "Asia/Tokyo", "2026-01-01T16:00", "2026-01-08T16:00"),
    # the day of the start is day 1, whether it is one minute or all of it.
    ("calendar_day", 10, "Asia/Tokyo", "2026-01-01T00:00", "2026-01-11T00:00"),
    ("calendar_day", 10, "Asia/Tokyo", "2026-01-01T23:59", "2026-01-11T00:00"),
    ("calendar_day", 1, "Asia/Tokyo", "2026-01-01T23:59", "2026-01-02T00:00"),
    ("calendar_day", 30, "Europe/Brussels", "2026-03-08T00:35", "2026-04-07T00:00"),
    ("calendar_day", 366, "Europe/Brussels", "2028-01-01T08:00", "2029-01-01T00:00"),
    # Vector la-2330: thirty days over the change of the clocks end on the local 31 March, not on 1 April.
    ("calendar_day", 30, "America/Los_Angeles", "2017-03-01T23:30", "2017-03-31T00:00"),
]


@pytest.mark.parametrize(("unit", "length", "zone", "start", "end"), LENGTHS)
def test_a_period_ends_when_its_plan_says(unit: str, length: int, zone: str, start: str, end: str) -> None:
    span = period_of(period(length, unit, zone), local(start, zone).astimezone(UTC))
    assert span.starts_at == local(start, zone)
    assert span.ends_at == local(end, zone)
    assert (span.starts_at.tzinfo, span.ends_at.tzinfo) == (UTC, UTC)


def test_a_rolling_week_is_168_hours_to_the_second() -> None:
    start = datetime(2026, 3, 28, 15, 0, 1, tzinfo=UTC)
    assert period_of(period(7, "rolling_day", "Europe/Brussels"), start).length == timedelta(hours=168)


def test_calendar_days_are_those_of_the_plan_s_zone_not_of_the_traveller() -> None:
    """R-04: 00:30 in Tokyo is still the day before in Shanghai, so day 1 has half an hour left."""
    span = period_of(period(1, "calendar_day", "Asia/Shanghai"), local("2026-05-02T00:30", "Asia/Tokyo"))
    assert span.length == timedelta(minutes=30)


def test_half_an_hour_after_midnight_in_india_counts_for_the_local_day() -> None:
    """Vector kolkata: 19:00 UTC on the 12th is already the 13th."""
    start = datetime(2023, 2, 12, 19, 0, tzinfo=UTC)
    assert period_of(period(1, "calendar_day", "Asia/Kolkata"), start).ends_at == local("2023-02-14", "Asia/Kolkata")


# ---- clocks that jump ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "at", "utc"),
    [
        ("America/Los_Angeles", "2015-03-08T02:00:00", "2015-03-08T10:00:00+00:00"),  # gap-la: begins the gap
        ("America/Los_Angeles", "2015-03-08T02:30:00", "2015-03-08T10:00:00+00:00"),  # left out: the jump
        ("America/Los_Angeles", "2017-03-01T23:30:00", "2017-03-02T07:30:00+00:00"),  # la-2330
        ("Asia/Kolkata", "2023-02-13T00:30:00", "2023-02-12T19:00:00+00:00"),  # kolkata
        ("Europe/Madrid", "2026-10-25T02:30:00", "2026-10-25T00:30:00+00:00"),  # ambig: the first of the two
        ("Europe/Brussels", "2026-03-29T02:30:00", "2026-03-29T01:00:00+00:00"),
    ],
)
def test_a_local_time_is_one_instant_even_where_clocks_jump(zone: str, at: str, utc: str) -> None:
    assert instant_of(datetime.fromisoformat(at), zone) == datetime.fromisoformat(utc)


@pytest.mark.parametrize(
    ("zone", "day", "utc", "why"),
    [
        ("Europe/Brussels", "2026-03-29", "2026-03-28T23:00:00+00:00", "an ordinary midnight"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00+00:00", "00:00 jumps to 01:00"),
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00+00:00", "01:00 goes back to 00:00: the first midnight"),
        ("America/St_Johns", "2010-11-07", "2010-11-07T03:30:00+00:00", "00:01 goes back to 23:01: the second"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00+00:00", "a day that never was begins with the next"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00+00:00", "29 December is followed by 31 December"),
    ],
)
def test_a_day_starts_once_even_where_clocks_jump_over_midnight(zone: str, day: str, utc: str, why: str) -> None:
    assert day_start(date.fromisoformat(day), zone) == datetime.fromisoformat(utc), why


def test_a_period_bought_in_the_hour_that_happens_twice_has_its_whole_last_day() -> None:
    """In Newfoundland the clocks of 2010 went back over midnight: 23:30 came again after a minute of the 7th."""
    again = datetime(2010, 11, 7, 2, 45, tzinfo=UTC)
    assert again.astimezone(ZoneInfo("America/St_Johns")).isoformat() == "2010-11-06T23:15:00-03:30"
    span = period_of(period(1, "calendar_day", "America/St_Johns"), again)
    assert span.ends_at == datetime(2010, 11, 7, 3, 30, tzinfo=UTC)


# ---- months ---------------------------------------------------------------------------------------------------------

MONTHS = [
    # the same day and minute, whether the month has 28 or 31 days, also over the change of the clocks.
    ("Europe/Brussels", 1, "2026-11-08T00:35", "2026-12-08T00:35"),
    ("Europe/Brussels", 1, "2026-03-08T00:35", "2026-04-08T00:35"),
    ("Europe/Brussels", 12, "2026-03-08T00:35", "2027-03-08T00:35"),
    ("Asia/Tokyo", 1, "2026-12-15T09:00", "2027-01-15T09:00"),
    # where the month is too short, its last day.
    ("Europe/Brussels", 1, "2027-01-31T10:00", "2027-02-28T10:00"),
    ("Europe/Brussels", 1, "2028-01-30T10:00", "2028-02-29T10:00"),
    ("Asia/Tokyo", 12, "2028-02-29T10:00", "2029-02-28T10:00"),
    # A time that the clocks leave out is the jump.
    ("Europe/Brussels", 1, "2026-02-28T02:30", "2026-03-28T02:30"),
    ("Europe/Brussels", 2, "2026-01-29T02:30", "2026-03-29T03:00"),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "length", "start", "end"), MONTHS)
def test_a_month_ends_on_the_same_day_and_minute_of_a_later_month(zone: str, length: int, start: str, end: str) -> None:
    assert period_of(period(length, "month", zone), local(start, zone)).ends_at == local(end, zone)


def test_months_are_counted_from_the_first_start_and_not_from_the_last_end() -> None:
    """R-06: 31 January, 28 February, 31 March; forgotten anchors would leave the 28th for good."""
    anchor, zone = clock("2027-01-31T10:00"), "Europe/Brussels"
    at, ends = local("2027-01-31T10:00", zone), []
    for length in (1, 1, 1, 2, 1):
        at = period_of(period(length, "month", zone), at, anchor=anchor).ends_at
        ends.append(at.astimezone(ZoneInfo(zone)).isoformat())
    assert ends == [
        "2027-02-28T10:00:00+01:00",
        "2027-03-31T10:00:00+02:00",
        "2027-04-30T10:00:00+02:00",
        "2027-06-30T10:00:00+02:00",
        "2027-07-31T10:00:00+02:00",
    ]
    alone = period_of(period(1, "month", zone), local("2027-02-28T10:00", zone))
    assert alone.ends_at == local("2027-03-28T10:00", zone), "without an anchor the run begins here"


def test_an_anchor_that_a_start_does_not_follow_by_months_begins_a_new_run() -> None:
    month, start = period(1, "month", "Asia/Tokyo"), local("2027-02-07T10:00", "Asia/Tokyo")
    assert period_of(month, start, anchor=clock("2027-01-31T10:00")).ends_at == local("2027-03-07T10:00", "Asia/Tokyo")
    assert anchor_of(month, start, clock("2027-01-31T10:00")) == clock("2027-02-07T10:00")
    assert anchor_of(month, start, clock("2027-01-07T10:00")) == clock("2027-01-07T10:00")


def booked(number: int, policy: Period, span: Span | None = None, anchor: datetime | None = None) -> Booked:
    funded_at = datetime(2027, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    return Booked(UUID(int=number), span, funded_at, policy, anchor)


def test_months_that_wait_keep_the_day_of_the_month_that_runs() -> None:
    month, zone = period(1, "month", "Asia/Tokyo"), "Asia/Tokyo"
    runs = Span(local("2027-02-28T10:00", zone), local("2027-03-31T10:00", zone))
    periods = [booked(1, month, runs, clock("2027-01-31T10:00")), booked(2, month), booked(3, month)]
    placed = lay_out(periods, local("2027-03-01T00:00", zone))
    assert [one.span.ends_at for one in placed[1:]] == [
        local("2027-04-30T10:00", zone),
        local("2027-05-31T10:00", zone),
    ]
    assert {one.anchor for one in placed} == {clock("2027-01-31T10:00")}


def test_days_between_months_begin_a_new_run() -> None:
    """Twenty-eight days from 31 January end on 28 February; the month after them is to 28 March, not to the 31st."""
    zone = "Asia/Tokyo"
    days = booked(1, period(28, "rolling_day", zone))
    placed = lay_out([days, booked(2, period(1, "month", zone))], local("2027-01-31T10:00", zone))
    assert placed[1].span == Span(local("2027-02-28T10:00", zone), local("2027-03-28T10:00", zone))
    assert placed[1].anchor == clock("2027-02-28T10:00")


ZONES = st.sampled_from(sorted(available_timezones()))
LONG = [datetime.fromisoformat(text) for text in ("1900-01-01", "2199-01-01")]
NEAR = [datetime.fromisoformat(text) for text in ("2024-01-01", "2032-01-01")]
STARTS = st.datetimes(*LONG, timezones=st.just(UTC)) | st.datetimes(*NEAR, timezones=st.just(UTC))
LENGTH = st.integers(1, 366) | st.integers(1, 3)


@settings(max_examples=150)
@given(zone=ZONES, start=STARTS, lengths=st.lists(LENGTH, min_size=2, max_size=8), unit=st.sampled_from(["c", "r"]))
@example(zone="America/St_Johns", start=datetime(2010, 11, 7, 2, 45, tzinfo=UTC), lengths=[1, 1, 1], unit="c")
@example(zone="Pacific/Apia", start=datetime(2011, 12, 30, 1, tzinfo=UTC), lengths=[1, 1], unit="c")
@example(zone="Pacific/Kwajalein", start=datetime(1993, 8, 20, 13, tzinfo=UTC), lengths=[1, 1], unit="c")
def test_periods_tile_in_every_zone_from_every_start(zone: str, start: datetime, lengths: list[int], unit: str) -> None:
    kind = {"c": "calendar_day", "r": "rolling_day"}[unit]
    at, total = start, 0
    for length in lengths:
        span = period_of(period(length, kind, zone), at)
        assert span.starts_at == at
        assert span.ends_at > at
        at, total = span.ends_at, total + length
    if kind == "rolling_day":
        assert at - start == timedelta(days=total)
    elif total <= 366 and _every_day_exists(start, total, zone):
        assert period_of(period(total, kind, zone), start).ends_at == at, "bought at once or one by one, the end is one"


@settings(max_examples=150)
@given(zone=ZONES, start=STARTS, lengths=st.lists(st.integers(1, 12), min_size=2, max_size=8))
@example(zone="Pacific/Apia", start=datetime(2011, 11, 30, 20, tzinfo=UTC), lengths=[1, 1, 1])
@example(zone="America/St_Johns", start=datetime(2010, 11, 7, 2, 45, tzinfo=UTC), lengths=[1, 1])
def test_runs_of_months_tile_in_every_zone_and_end_where_one_long_period_would(
    zone: str, start: datetime, lengths: list[int]
) -> None:
    placed = lay_out([booked(n, period(length, "month", zone)) for n, length in enumerate(lengths)], start)
    assert placed[0].span.starts_at == start
    for before, after in pairwise(placed):
        assert before.span.ends_at == after.span.starts_at
    anchor = start.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert {one.anchor for one in placed} == {anchor}
    for n, one in enumerate(placed, start=1):
        months = sum(lengths[:n])
        if months <= 12:
            assert period_of(period(months, "month", zone), start).ends_at == one.span.ends_at
        there = one.span.ends_at.astimezone(ZoneInfo(zone))
        assert there.date() >= anchor.date()
        assert timedelta(days=27) * months < one.span.ends_at - start < timedelta(days=32) * months


def _every_day_exists(start: datetime, days: int, zone: str) -> bool:
    first = start.astimezone(ZoneInfo(zone)).date()
    starts = [day_start(first + timedelta(days=n), zone) for n in range(1, days + 2)]
    return all(before < after for before, after in pairwise(starts))


@settings(max_examples=150)
@given(zone=ZONES, day=st.dates(date(1900, 1, 1), date(2199, 1, 1)) | st.dates(date(2024, 1, 1), date(2032, 1, 1)))
def test_the_second_before_a_day_starts_is_the_day_before(zone: str, day: date) -> None:
    where, start = ZoneInfo(zone), day_start(day, zone)
    assert start.astimezone(where).date() >= day
    assert (start - timedelta(seconds=1)).astimezone(where).date() < day


@settings(max_examples=100)
@given(zone=ZONES, at=st.datetimes(*LONG) | st.datetimes(*NEAR))
def test_a_local_time_that_exists_is_read_back_as_itself(zone: str, at: datetime) -> None:
    at = at.replace(microsecond=0)
    back = instant_of(at, zone).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert back >= at
    left_out = at.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != at
    assert (back == at) is not left_out


# ---- what a customer is told about renewing ------------------------------------------------------------------------


def test_the_conditions_are_those_of_the_policy() -> None:
    told = conditions(policy_of(_with({"renewable_days": 30, "number_kept": True}, "ending")))
    assert told == Conditions(
        max_ahead_days=365,
        renewable_days=30,
        number_kept=True,
        mode="queue",
        kept=("number", "time", "data", "queued"),
        lost=("part_of_first_day",),
        terms=Renewal(mode="queue", max_ahead_days=365),
        history_kept=True,
        refunds=("until_asked", "refused"),
    )


def test_what_a_plan_does_not_tell_is_not_invented() -> None:
    """A document of before these fields were there says nothing about them."""
    old = _without("ending")
    del old["quota"]["voice"], old["quota"]["sms"]
    policy = policy_of(old)
    assert (policy.quota.voice, policy.quota.sms, policy.ending) == (None, None, Ending())
    assert (conditions(policy).renewable_days, conditions(policy).number_kept) == (None, None)
    assert policy == policy_of(WEEK)


def test_calls_and_texts_are_told_with_their_volume_and_reach() -> None:
    document = _with({"minutes": 120, "to": "market"}, "quota", "voice")
    document["quota"]["sms"] = {"messages": None, "to": "everywhere"}
    quota = policy_of(document).quota
    assert quota.voice == Voice(minutes=120, to="market", incoming_free=True)
    assert quota.sms == Sms(messages=None, to="everywhere")


def test_a_card_is_renewed_as_long_after_its_end_as_its_last_plan_says_and_not_a_second_longer() -> None:
    """The plan of the last period counts, not the one that is bought."""
    last, bought = policy_of(_with({"renewable_days": 30}, "ending")), policy_of(WEEK)
    end = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
    track = (booked(1, last.period, Span(end - timedelta(days=7), end)),)
    latest = end + timedelta(days=30)
    done = stack(track=track, policy=bought, last=last, now=latest)
    assert (done.span.starts_at, done.starts_on_activation) == (latest, True)
    with pytest.raises(TooLate) as refused:
        stack(track=track, policy=bought, last=last, now=latest + timedelta(seconds=1))
    assert refused.value.latest == latest
    for told_nothing in (None, policy_of(WEEK)):
        stack(track=track, policy=bought, last=told_nothing, now=end + timedelta(days=3000))


def test_a_month_bought_early_ends_on_the_day_of_its_run() -> None:
    document = _with({"length": 1, "unit": "month", "zone": "Asia/Tokyo", "starts": "activation"}, "period")
    end, now = local("2027-02-28T10:00", "Asia/Tokyo"), local("2027-02-20T10:00", "Asia/Tokyo")
    policy, anchor = policy_of(document), clock("2027-01-31T10:00")
    track = (booked(1, policy.period, Span(local("2027-01-31T10:00", "Asia/Tokyo"), end), anchor),)
    early = stack(track=track, policy=policy, now=now)
    assert early.span == Span(end, local("2027-03-31T10:00", "Asia/Tokyo"))
    assert stack(track=track, policy=policy, now=end).span == early.span, "at the very end the run goes on"
    late = stack(track=track, policy=policy, now=end + timedelta(minutes=1))
    assert late.span == Span(end + timedelta(minutes=1), local("2027-03-28T10:01", "Asia/Tokyo")), "the run is over"


# ---- the daily cap ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "reset"),
    [
        ("2026-05-02T00:30", "2026-05-02T01:00"),  # yesterday's quota still counts
        ("2026-05-02T00:59:59", "2026-05-02T01:00"),
        ("2026-05-02T01:00", "2026-05-03T01:00"),  # at 01:00 it has begun anew
        ("2026-05-02T23:59", "2026-05-03T01:00"),
    ],
)
def test_a_cap_counted_in_shanghai_begins_anew_at_one_in_the_morning_in_tokyo(now: str, reset: str) -> None:
    data = policy_of(WEEK).quota.data
    assert next_reset(data, local(now, "Asia/Tokyo")) == local(reset, "Asia/Tokyo")


def test_a_cap_over_the_whole_period_has_no_reset_of_its_own() -> None:
    assert next_reset(policy_of(_changed("window", "period")).quota.data, local("2026-05-02", "Asia/Tokyo")) is None


@settings(max_examples=100)
@given(zone=ZONES, now=STARTS, hour=st.integers(0, 23), minute=st.sampled_from([0, 1, 30, 59]))
def test_a_daily_cap_begins_anew_within_a_day_and_some(zone: str, now: datetime, hour: int, minute: int) -> None:
    document = copy.deepcopy(WEEK)
    document["quota"]["data"] |= {"resets_at": f"{hour:02}:{minute:02}", "zone": zone}
    reset = next_reset(policy_of(document).quota.data, now)
    assert reset is not None
    # The longest local day of any zone is two days: Kwajalein and others lived one date twice.
    assert timedelta() < reset - now <= timedelta(days=2)


# ---- the document -------------------------------------------------------------------------------------------------


def _changed(field: str, value: Any) -> dict[str, Any]:
    """The week's policy with one field of its data changed; a window of the period drops the reset."""
    document = copy.deepcopy(WEEK)
    document["quota"]["data"][field] = value
    if field == "window":
        document["quota"]["data"] |= {"resets_at": None, "zone": None}
    return document


def test_the_six_facts_are_those_of_the_policy() -> None:
    told = disclosure(policy_of(WEEK))
    assert told.cap == Cap(3_000_000_000, "local_day")
    assert told.speed_after == (Tier(after_bytes=3_000_000_000, kbps=1000),)
    assert told.reset == Reset(time(0, 0), "Asia/Shanghai")
    assert told.peak == Peak.model_validate({"from": "12:00", "to": "13:00", "zone": "Asia/Tokyo", "kbps": 3000})
    assert (told.peak.from_time, told.peak.to_time) == (time(12), time(13))
    assert told.hotspot == Hotspot(allowed=True)
    assert told.abroad == Abroad(allowed=False)


def test_steps_of_speed_are_told_in_their_order() -> None:
    """R-36: 170 GB, then 512 kbps for 50 GB, then blocked."""
    tiers = [{"after_bytes": 170 * 10**9, "kbps": 512}, {"after_bytes": 220 * 10**9, "kbps": 0}]
    told = disclosure(policy_of(_changed("tiers", tiers)))
    assert told.cap == Cap(170 * 10**9, "local_day")
    assert [tier.kbps for tier in told.speed_after] == [512, 0]


def test_no_cap_is_said_in_so_many_words() -> None:
    document = _changed("cap", "none")
    document["quota"]["data"]["tiers"] = []
    told = disclosure(policy_of(document))
    assert told.cap == Cap(None, "local_day")
    assert told.speed_after == ()


def test_a_policy_is_the_same_after_it_was_stored() -> None:
    policy = policy_of(WEEK)
    stored = json.loads(json.dumps(document_of(policy)))
    assert policy_of(stored) == policy
    assert stored == WEEK


def _without(*path: str) -> dict[str, Any]:
    document = copy.deepcopy(WEEK)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return document


def _with(value: Any, *path: Any) -> dict[str, Any]:
    document = copy.deepcopy(WEEK)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


DATA = ("quota", "data")
WEEK_UNIT = "period.unit: Input should be 'hour', 'rolling_day', 'calendar_day', 'month' or 'calendar_month'"
REFUSED = [
    ({}, "period: this field is missing; quota: this field is missing; renewal: this field is missing"),
    (_with({"on": "date"}, "auto_renewal"), "auto_renewal: there is no such field"),
    (_with(True, "period", "rounding"), "period.rounding: there is no such field"),
    (_without("period", "zone"), "period.zone: this field is missing"),
    (_with(0, "period", "length"), "period.length: Input should be greater than or equal to 1"),
    (_with(8785, "period", "length"), "period.length: Input should be less than or equal to 8784"),
    (_with(367, "period", "length"), "period: a period is at most 366 days"),
    (_with("7", "period", "length"), "period.length: Input should be a valid integer"),
    (_with(True, "period", "length"), "period.length: Input should be a valid integer"),
    (_with("week", "period", "unit"), WEEK_UNIT),
    (
        _with({"length": 13, "unit": "month", "zone": "Asia/Tokyo", "starts": "activation"}, "period"),
        "period: a period is at most 12 months",
    ),
    (
        _with({"minutes": 0, "to": "market"}, "quota", "voice"),
        "quota.voice.minutes: Input should be greater than or equal to 1",
    ),
    (_with({"to": "market"}, "quota", "voice"), "quota.voice.minutes: this field is missing"),
    (_with({"messages": None, "to": "EU"}, "quota", "sms"), "quota.sms.to: Input should be 'market' or 'everywhere'"),
    (_with(-1, "ending", "renewable_days"), "ending.renewable_days: Input should be greater than or equal to 0"),
    (_with("Asia/Tokio", "period", "zone"), "period.zone: there is no time zone called 'Asia/Tokio'"),
    (_with("noon", "period", "starts"), "period.starts: Input should be 'activation', 'first_use' or 'payment'"),
    (
        _with("double", "renewal", "mode"),
        "renewal.mode: Input should be 'add', 'queue', 'replace', 'longest' or 'independent'",
    ),
    (_with([], *DATA, "tiers"), "quota.data: name at least one tier, or say 'cap: none'"),
    (_with("none", *DATA, "cap"), "quota.data: name at least one tier, or say 'cap: none'"),
    (_with(-1, *DATA, "tiers", 0, "kbps"), "quota.data.tiers.0.kbps: Input should be greater than or equal to 0"),
    (
        _with([{"after_bytes": 2, "kbps": 5}, {"after_bytes": 2, "kbps": 1}], *DATA, "tiers"),
        "quota.data: each tier begins after the one before it and is slower",
    ),
    (
        _with([{"after_bytes": 2, "kbps": 5}, {"after_bytes": 3, "kbps": 5}], *DATA, "tiers"),
        "quota.data: each tier begins after the one before it and is slower",
    ),
    (_without(*DATA, "resets_at"), "quota.data: a window of local days needs resets_at and zone"),
    (_with("24:00", *DATA, "resets_at"), "quota.data.resets_at: a time of day is written HH:MM, from 00:00 to 23:59"),
    (_with("period", *DATA, "window"), "quota.data: a window of the whole period has no resets_at and no zone"),
    (_without(*DATA, "peak"), "quota.data.peak: this field is missing"),
    (_with("12:00", *DATA, "peak", "to"), "quota.data.peak: peak hours begin and end at different times"),
    (
        _with({"allowed": False, "cap_bytes": 1}, *DATA, "hotspot"),
        "quota.data.hotspot: a hotspot that is not allowed has no cap",
    ),
    (
        _with({"allowed": True}, *DATA, "abroad"),
        "quota.data.abroad: countries are named exactly when use abroad is allowed",
    ),
    (
        _with({"allowed": True, "countries": ["UK"]}, *DATA, "abroad"),
        "quota.data.abroad.countries.0: 'UK' is not a country's code (ISO 3166-1 alpha-2)",
    ),
    (
        _with({"allowed": True, "countries": ["FR", "FR"]}, *DATA, "abroad"),
        "quota.data.abroad: a country is named once",
    ),
]


@pytest.mark.parametrize(("document", "why"), REFUSED)
def test_a_policy_that_cannot_be_is_refused_with_its_reason(document: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        policy_of(document)
    assert str(refused.value) == why


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_whatever_is_given_as_a_policy_is_refused_in_a_sentence(anything: Any) -> None:
    with pytest.raises(InvalidPolicy):
        policy_of(anything)
    with pytest.raises(InvalidPolicy):
        policy_of(WEEK | {"period": anything})
