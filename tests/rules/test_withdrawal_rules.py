"""Until when one can withdraw, and what comes back: tables with dates, fractions and exact amounts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xuka.catalogue.rules import Period, Renewal
from xuka.kernel.money import Money, tax_inside
from xuka.kernel.span import Span
from xuka.lines.rules import Booked, Track, take_out
from xuka.renewals import withdrawal_rules as rules
from xuka.renewals.several import shares

BRUSSELS = ZoneInfo("Europe/Brussels")


@pytest.mark.parametrize(
    ("concluded", "last_day"),
    [
        ("2026-03-02 00:00", "2026-03-16"),  # a Monday; the day itself is not counted
        ("2026-03-02 23:59", "2026-03-16"),
        ("2026-03-07 12:00", "2026-03-23"),  # the 14th day is a Saturday: until Monday
        ("2026-03-08 12:00", "2026-03-23"),  # … a Sunday
        ("2026-03-23 12:00", "2026-04-07"),  # … Easter Monday, 6 April
        ("2026-03-20 12:00", "2026-04-03"),  # Good Friday is no holiday in Belgium
        ("2026-04-30 12:00", "2026-05-15"),  # … Ascension Day
        ("2026-05-11 12:00", "2026-05-26"),  # … Whit Monday
        ("2026-07-07 12:00", "2026-07-22"),  # … the national holiday
        ("2026-12-11 12:00", "2026-12-28"),  # … Christmas, a Friday, and then a weekend
        ("2026-12-18 12:00", "2027-01-04"),  # … New Year, a Friday of the next year
        ("2028-02-15 12:00", "2028-02-29"),  # a leap year
    ],
)
def test_the_last_day_counts_to_its_end_on_belgian_clocks(concluded: str, last_day: str) -> None:
    at = datetime.fromisoformat(concluded).replace(tzinfo=BRUSSELS)
    ends = rules.ends_at(market="BE", zone="Europe/Brussels", concluded_at=at.astimezone(UTC))
    midnight = datetime.fromisoformat(last_day).replace(tzinfo=BRUSSELS) + timedelta(days=1)
    assert ends == midnight.astimezone(UTC)


def test_the_day_is_that_of_the_market_and_a_change_of_clocks_takes_nothing_away() -> None:
    late = datetime(2026, 3, 15, 23, 30, tzinfo=UTC)  # 16 March in Brussels
    assert rules.ends_at(market="BE", zone="Europe/Brussels", concluded_at=late) == datetime(
        2026, 3, 30, 22, tzinfo=UTC
    )


def test_japan_gives_no_right_and_asks_for_no_wish() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    assert rules.ends_at(market="JP", zone="Asia/Tokyo", concluded_at=now) is None
    assert not rules.needs_wish(market="JP", zone="Asia/Tokyo", starts_at=now, now=now)


@pytest.mark.parametrize(("days", "is_needed"), [(0, True), (14, True), (15, False), (40, False)])
def test_a_wish_is_needed_only_for_service_within_the_days(days: int, is_needed: bool) -> None:
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    starts = now + timedelta(days=days)
    assert rules.needs_wish(market="BE", zone="Europe/Brussels", starts_at=starts, now=now) == is_needed


def test_the_holidays_of_a_year() -> None:
    assert sorted(rules.belgian_holidays(2026)) == [
        date(2026, 1, 1), date(2026, 4, 6), date(2026, 5, 1), date(2026, 5, 14), date(2026, 5, 25),
        date(2026, 7, 21), date(2026, 8, 15), date(2026, 11, 1), date(2026, 11, 11), date(2026, 12, 25),
    ]  # fmt: skip
    easter_mondays = {year: min(d for d in rules.belgian_holidays(year) if d.month in {3, 4}) for year in (2024, 2038)}
    assert easter_mondays == {2024: date(2024, 4, 1), 2038: date(2038, 4, 26)}


BEGIN = datetime(2026, 3, 2, 9, tzinfo=UTC)
MONTH = Span(BEGIN, BEGIN + timedelta(days=30))


@pytest.mark.parametrize(
    ("span", "after", "used", "had", "of_1990_goes_back"),
    [
        (None, timedelta(), None, Fraction(0), 1990),  # it waits
        (MONTH, timedelta(), None, Fraction(0), 1990),
        (MONTH, timedelta(days=-1), None, Fraction(0), 1990),
        (MONTH, timedelta(days=10), None, Fraction(1, 3), 1327),  # 663.33 is kept as 663
        (MONTH, timedelta(seconds=1), None, Fraction(1, 2_592_000), 1990),
        (MONTH, timedelta(days=30), None, Fraction(1), 0),
        (MONTH, timedelta(days=10), (0, 60), Fraction(0), 1990),  # a volume of which nothing was used
        (MONTH, timedelta(days=10), (45, 60), Fraction(3, 4), 498),
        (MONTH, timedelta(days=10), (90, 60), Fraction(1), 0),
    ],
)
def test_what_was_had_is_an_exact_fraction_and_is_rounded_once_for_the_customer(
    span: Span | None, after: timedelta, used: tuple[int, int] | None, had: Fraction, of_1990_goes_back: int
) -> None:
    used_bytes, of_bytes = used or (None, None)
    assert rules.part_had(span, BEGIN + after, used_bytes=used_bytes, of_bytes=of_bytes) == had
    assert rules.goes_back(Money(1990, "EUR"), had, wished=True) == of_1990_goes_back
    assert rules.goes_back(Money(1990, "EUR"), had, wished=False) == 1990


def test_what_is_kept_in_taiwan_dollars_is_whole() -> None:
    price, seventh = Money(475_00, "TWD"), Fraction(1, 7)
    assert rules.goes_back(price, seventh, wished=True) == 408_00  # 67.86 are kept, rounded down
    assert rules.goes_back(price, seventh, wished=False) == 475_00


@settings(max_examples=30)
@given(st.integers(1, 10**7), st.integers(1, 12), st.sampled_from([600, 1000, 2100]))
def test_the_taxes_of_all_shares_sum_to_that_of_the_whole(total: int, number: int, rate: int) -> None:
    parts = shares(Money(total, "EUR"), number)
    assert sum(parts) == total
    taxes = [
        rules.tax_back(Money(one, "EUR"), before_minor=sum(parts[:place]), tax_basis_points=rate)
        for place, one in enumerate(parts)
    ]
    assert sum(taxes) == tax_inside(Money(total, "EUR"), rate).minor
    assert all(0 <= tax <= one for tax, one in zip(taxes, parts, strict=True))


# -- the queue behind it --------------------------------------------------------------------------------------------

WEEK = Period(starts="activation", unit="rolling_day", length=7, zone="Europe/Brussels")


def booked(number: int, starts: int | None, *, mode: str = "queue") -> Booked:
    span = None if starts is None else Span(BEGIN + timedelta(days=starts), BEGIN + timedelta(days=starts + 7))
    return Booked(UUID(int=number), span, BEGIN + timedelta(minutes=number), WEEK, renewal=Renewal(mode=mode))  # type: ignore[arg-type]


def laid(track: Track) -> dict[int, tuple[float, float] | None]:
    """Each period's days since the beginning; None where it waits."""
    day = timedelta(days=1)
    return {p.id.int: p.span and ((p.span.starts_at - BEGIN) / day, (p.span.ends_at - BEGIN) / day) for p in track}


@pytest.mark.parametrize(
    ("track", "gone", "after"),
    [
        ([booked(1, 0), booked(2, None), booked(3, None)], 2, {1: (0, 7), 3: None}),
        ([booked(1, 0), booked(2, None)], 1, {1: (0, 3), 2: (3, 10)}),
        ([booked(1, 0), booked(2, 7), booked(3, 14)], 2, {1: (0, 7), 3: (7, 14)}),
        ([booked(1, 0), booked(2, 7), booked(3, 14)], 1, {1: (0, 3), 2: (3, 10), 3: (10, 17)}),
        ([booked(1, 0), booked(2, 7)], 2, {1: (0, 7)}),
        ([booked(1, -7), booked(2, 0)], 1, {1: (-7, 0), 2: (0, 7)}),  # over: nothing to give back
        ([booked(1, 0)], 9, {1: (0, 7)}),
    ],
)
def test_what_lies_behind_a_period_that_is_given_back_moves_up(
    track: list[Booked], gone: int, after: dict[int, tuple[float, float] | None]
) -> None:
    at = BEGIN + timedelta(days=3)
    assert laid(take_out(tuple(track), UUID(int=gone), at)) == after
    assert laid(take_out(take_out(tuple(track), UUID(int=gone), at), UUID(int=gone), at)) == after


def test_what_waits_behind_a_period_that_never_began_starts_now_and_not_at_an_end_long_over() -> None:
    first = Booked(
        UUID(int=2), None, BEGIN, Period(unit="rolling_day", length=7, zone="UTC", starts="first_use", start_by_days=90)
    )
    track = (booked(1, -30), first, booked(3, None))
    at = BEGIN + timedelta(days=3)
    assert laid(take_out(track, UUID(int=2), at)) == {1: (-30, -23), 3: (3, 10)}


def test_data_that_a_further_period_had_lengthened_is_as_it_was_when_that_is_given_back() -> None:
    old, new = booked(1, 0), booked(2, 7, mode="add")
    longer = Booked(
        old.id,
        old.span,
        old.funded_at,
        WEEK,
        renewal=old.renewal,
        buckets={"data": Span(BEGIN, BEGIN + timedelta(days=14))},
    )
    adds = Booked(new.id, new.span, new.funded_at, WEEK, renewal=Renewal(mode="add", data="add"))
    assert take_out((longer, adds), new.id, BEGIN + timedelta(days=3)) == (old,)
