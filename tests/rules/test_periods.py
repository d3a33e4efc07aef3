"""How long every kind of period lasts, in every zone, and that what was sold before reads as it did.

``calendar-vectors.json`` holds dates that other billing systems test themselves with; each names its source.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from xuka.catalogue.rules import Period, anchor_of, days_of, instant_of, period_of
from xuka.kernel.span import Span
from xuka.lines.rules import Booked, lay_out

VECTORS: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "calendar-vectors.json").read_text())
OLD = {"length": 7, "unit": "calendar_day", "zone": "Asia/Tokyo", "starts": "activation"}


def period(length: int, unit: str, zone: str, **more: Any) -> Period:
    return Period.model_validate({"length": length, "unit": unit, "zone": zone, "starts": "activation"} | more)


def local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def run(policy: Period, start: str, count: int) -> list[str]:
    """The ends, on the clock of the period's zone, of so many periods that follow each other."""
    at, found = instant_of(datetime.fromisoformat(start), policy.zone), []
    anchor = datetime.fromisoformat(start)
    for _ in range(count):
        at = period_of(policy, at, anchor=anchor).ends_at
        found.append(at.astimezone(ZoneInfo(policy.zone)).replace(tzinfo=None).isoformat(timespec="minutes"))
    return found


# ---- what other systems test themselves with ----------------------------------------------------------------------


@pytest.mark.parametrize(("month_end", "expected"), [("clamp", "expected"), ("sticky", "eom_sticky")])
@pytest.mark.parametrize("vector", VECTORS["monthly"], ids=lambda vector: vector["id"])
def test_months_end_where_other_systems_say(vector: dict[str, Any], month_end: str, expected: str) -> None:
    policy = period(vector["months"], "month", "Europe/Brussels", month_end=month_end)
    day = datetime.fromisoformat(vector["anchor"])
    found = run(policy, day.isoformat(), 40)
    wanted = [f"{day}T00:00" for day in vector[expected]]
    # A list may begin later than the first end, and leave some out: what it has must be there, in its order.
    assert [end for end in found if end in wanted] == wanted


@pytest.mark.parametrize("vector", VECTORS["timezones"], ids=lambda vector: vector["id"])
def test_a_local_time_is_the_instant_that_other_systems_say(vector: dict[str, Any]) -> None:
    assert instant_of(datetime.fromisoformat(vector["local"]), vector["zone"]) == datetime.fromisoformat(vector["utc"])


# ---- each rule of the calendar ------------------------------------------------------------------------------------

ENDS = [
    ("hours", period(36, "hour", "Asia/Tokyo"), "2026-05-10T00:05", ["2026-05-11T12:05", "2026-05-13T00:05"]),
    (
        "hours to the end of the hour",
        period(1, "hour", "Asia/Kolkata", ends="end_of_hour"),
        "2026-05-10T00:05",
        ["2026-05-10T02:00", "2026-05-10T03:00"],
    ),
    (
        "days to the end of the day",
        period(1, "rolling_day", "Asia/Tokyo", ends="end_of_day"),
        "2026-05-10T00:05",
        ["2026-05-12T00:00", "2026-05-13T00:00"],
    ),
    ("calendar months", period(1, "calendar_month", "Asia/Tokyo"), "2026-06-30T23:00", ["2026-07-01T00:00"]),
    ("two calendar months", period(2, "calendar_month", "Asia/Tokyo"), "2026-12-01T00:00", ["2027-02-01T00:00"]),
    (
        "clamp",
        period(1, "month", "Asia/Tokyo"),
        "2027-01-31T10:00",
        ["2027-02-28T10:00", "2027-03-31T10:00", "2027-04-30T10:00"],
    ),
    (
        "roll",
        period(1, "month", "Asia/Tokyo", month_end="roll"),
        "2027-01-31T10:00",
        ["2027-03-01T10:00", "2027-04-01T10:00", "2027-05-01T10:00"],
    ),
    (
        "roll, of a day that the month has",
        period(1, "month", "Asia/Tokyo", month_end="roll"),
        "2027-03-29T10:00",
        ["2027-05-01T10:00"],
    ),
    (
        "roll, to the midnight before",
        period(1, "month", "Asia/Tokyo", month_end="roll", ends="start_of_day"),
        "2027-01-31T10:00",
        ["2027-03-01T00:00", "2027-04-01T00:00"],
    ),
    (
        "sticky",
        period(1, "month", "Asia/Tokyo", month_end="sticky"),
        "2027-02-28T10:00",
        ["2027-03-31T10:00", "2027-04-30T10:00"],
    ),
    (
        "sticky, of a day that is not the last",
        period(1, "month", "Asia/Tokyo", month_end="sticky"),
        "2027-01-28T10:00",
        ["2027-02-28T10:00", "2027-03-28T10:00"],
    ),
    (
        "months to the end of the day",
        period(1, "month", "Asia/Tokyo", ends="end_of_day"),
        "2027-01-31T10:00",
        ["2027-03-01T00:00", "2027-04-01T00:00", "2027-05-01T00:00"],
    ),
]


@pytest.mark.parametrize(("policy", "start", "ends"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
def test_a_run_of_periods_ends_when_its_plan_says(policy: Period, start: str, ends: list[str]) -> None:
    assert run(policy, start, len(ends)) == ends


def test_what_lies_on_the_boundary_is_not_rounded_further() -> None:
    day = period(1, "rolling_day", "Asia/Tokyo", ends="end_of_day")
    midnight = local("2026-05-10T00:00", "Asia/Tokyo")
    assert period_of(day, midnight).length == timedelta(days=1)


def test_a_day_that_the_calendar_left_out_is_not_sold() -> None:
    """Samoa went from 29 to 31 December 2011: two days from the 29th are the 29th and the 31st."""
    start = local("2011-12-29T08:00", "Pacific/Apia")
    ends = [period_of(period(n, "calendar_day", "Pacific/Apia"), start).ends_at for n in (1, 2, 3)]
    assert ends == [local(f"{day}T00:00", "Pacific/Apia") for day in ("2011-12-31", "2012-01-01", "2012-01-02")]


def test_hours_are_parts_of_a_day_and_calendar_months_have_the_days_that_are_left() -> None:
    assert days_of(period(36, "hour", "Asia/Tokyo")) * 2 == 3
    month = period(1, "calendar_month", "Asia/Tokyo")
    assert days_of(month) * 12 == 365
    assert days_of(month, period_of(month, local("2026-06-28T10:00", "Asia/Tokyo"))) == 3


# ---- what cannot be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"length": 367}, "a period is at most 366 days"),
        ({"unit": "calendar_month", "length": 13}, "a period is at most 12 months"),
        ({"starts": "first_use"}, "start_by_days is told exactly for a period that starts with its first use"),
        ({"start_by_days": 30}, "start_by_days is told exactly for a period that starts with its first use"),
        ({"unused": "lapses"}, "only a period that waits for its first use lapses"),
        ({"month_end": "roll"}, "month_end is of months that are counted from a day"),
        ({"ends": "end_of_day"}, "days and months of the calendar end at midnight, and are not rounded"),
        (
            {"unit": "hour", "ends": "start_of_day"},
            "only months end at the midnight before: anything shorter could end before it starts",
        ),
    ],
)
def test_a_period_that_contradicts_itself_is_refused_with_the_reason(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Period.model_validate(OLD | change)


@given(
    length=st.integers(1, 12),
    unit=st.sampled_from(["rolling_day", "calendar_day", "month"]),
    zone=st.just("Asia/Tokyo"),
)
def test_a_document_of_before_is_written_as_it_was(length: int, unit: str, zone: str) -> None:
    old = {"length": length, "unit": unit, "zone": zone, "starts": "activation"}
    read = Period.model_validate(old)
    assert read.model_dump(mode="json") == old
    assert (read.ends, read.month_end, read.unused, read.start_by_days) == ("exact", "clamp", "starts", None)


def test_what_is_new_is_written_where_it_says_something() -> None:
    new = OLD | {"starts": "first_use", "start_by_days": 60, "unused": "lapses"}
    assert Period.model_validate(new).model_dump(mode="json") == new


# ---- for every period there is ------------------------------------------------------------------------------------

ZONES = st.sampled_from(sorted(available_timezones()))
LONG, NEAR = (
    [datetime.fromisoformat(text) for text in years]
    for years in (("1900-01-01", "2199-01-01"), ("2024-01-01", "2032-01-01"))
)
STARTS = st.datetimes(*LONG, timezones=st.just(UTC)) | st.datetimes(*NEAR, timezones=st.just(UTC))


@st.composite
def periods(draw: st.DrawFn, zone: str) -> Period:
    """Any period that a policy may have."""
    unit = draw(st.sampled_from(["hour", "rolling_day", "calendar_day", "month", "calendar_month"]))
    roundings = {"hour": 3, "rolling_day": 3, "month": 4}.get(unit, 1)
    return period(
        draw(st.integers(1, 12 if "month" in unit else 366) | st.integers(1, 2)),
        unit,
        zone,
        ends=draw(st.sampled_from(["exact", "end_of_hour", "end_of_day", "start_of_day"][:roundings])),
        month_end=draw(st.sampled_from(["clamp", "roll", "sticky"])) if unit == "month" else "clamp",
    )


@settings(max_examples=300)
@given(data=st.data(), zone=ZONES, start=STARTS)
def test_periods_of_every_kind_tile_in_every_zone(data: st.DataObject, zone: str, start: datetime) -> None:
    kinds = data.draw(st.lists(periods(zone), min_size=2, max_size=6))
    if data.draw(st.booleans()):
        kinds = [kinds[0]] * 6
    placed = lay_out([Booked(UUID(int=n), None, start, one) for n, one in enumerate(kinds)], start)
    assert placed[0].span.starts_at == start
    assert [one.policy for one in placed] == kinds
    for before, after in pairwise(placed):
        assert before.span.ends_at == after.span.starts_at
    for one in placed:
        assert period_of(one.policy, one.span.starts_at, anchor=one.anchor) == one.span, "read again, it is the same"


@settings(max_examples=200)
@given(data=st.data(), zone=ZONES, start=STARTS)
@example(data=None, zone="Pacific/Apia", start=datetime(2011, 12, 29, 12, tzinfo=UTC))
def test_a_run_of_months_is_counted_from_its_first_start(data: Any, zone: str, start: datetime) -> None:
    """Whatever the month end and the rounding, twelve months one by one end where a year bought at once does."""
    more = {"month_end": "clamp", "ends": "exact"}
    if data:
        more["month_end"] = data.draw(st.sampled_from(["clamp", "roll", "sticky"]))
        more["ends"] = data.draw(st.sampled_from(["exact", "end_of_hour", "end_of_day", "start_of_day"]))
    one, year = period(1, "month", zone, **more), period(12, "month", zone, **more)
    placed = lay_out([Booked(UUID(int=n), None, start, one) for n in range(12)], start)
    assert placed[-1].span.ends_at == period_of(year, start).ends_at
    assert {each.anchor for each in placed} == {anchor_of(one, start)}


@settings(max_examples=200)
@given(data=st.data(), zone=ZONES, start=STARTS)
def test_rounding_up_never_shortens_and_adds_less_than_a_day_and_a_jump(
    data: st.DataObject, zone: str, start: datetime
) -> None:
    unit = data.draw(st.sampled_from(["hour", "rolling_day", "month"]))
    length = data.draw(st.integers(1, 12))
    exact = period_of(period(length, unit, zone), start)
    hour = period_of(period(length, unit, zone, ends="end_of_hour"), start)
    day = period_of(period(length, unit, zone, ends="end_of_day"), start)
    assert exact.ends_at <= hour.ends_at < exact.ends_at + timedelta(hours=1)
    assert exact.ends_at <= day.ends_at < exact.ends_at + timedelta(days=2)


def test_a_span_is_never_empty_whatever_the_period() -> None:
    start = local("2027-01-31T23:59", "Asia/Tokyo")
    month = period(1, "month", "Asia/Tokyo", ends="start_of_day")
    assert period_of(month, start) == Span(start, local("2027-02-28T00:00", "Asia/Tokyo"))
