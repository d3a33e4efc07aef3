"""What a day costs, what a longer offer saves, and which offer reaches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xuka.catalogue.rules import (
    Choice,
    Period,
    cheapest_that_reaches,
    days_of,
    period_of,
    price_per_day,
    saving_basis_points,
)
from xuka.kernel.span import Span

NOW = datetime(2027, 1, 31, 9, 0, tzinfo=UTC)


def period(length: int, unit: Any) -> Period:
    return Period(length=length, unit=unit, zone="Europe/Brussels", starts="activation")


def choice(slug: str, price_minor: int, days: int, *, lasts: int | None = None) -> Choice:
    """An offer; ``lasts``: days from NOW to its end, where that is not ``days``."""
    return Choice(slug, price_minor, Fraction(days), Span(NOW, NOW + timedelta(days=lasts or days)))


@pytest.mark.parametrize(
    ("length", "unit", "days"),
    [
        (7, "rolling_day", Fraction(7)),
        (30, "calendar_day", Fraction(30)),
        (1, "month", Fraction(365, 12)),
        (12, "month", Fraction(365)),
    ],
)
def test_a_month_without_dates_is_a_twelfth_of_a_year(length: int, unit: str, days: Fraction) -> None:
    assert days_of(period(length, unit)) == days


@pytest.mark.parametrize(
    ("length", "start", "days"),
    [
        (1, datetime(2027, 1, 31, 9, 0, tzinfo=UTC), 28),
        (1, datetime(2027, 3, 1, 9, 0, tzinfo=UTC), 31),
        (1, datetime(2027, 4, 1, 9, 0, tzinfo=UTC), 30),
        (12, datetime(2027, 4, 1, 9, 0, tzinfo=UTC), 366),
    ],
)
def test_a_month_that_is_quoted_has_the_days_of_its_dates(length: int, start: datetime, days: int) -> None:
    month = period(length, "month")
    assert days_of(month, period_of(month, start)) == days


@pytest.mark.parametrize(
    ("price_minor", "days", "a_day"),
    [
        (1290, 7, Fraction(1290, 7)),
        (2900, 30, Fraction(290, 3)),
        (3650, Fraction(365, 12), Fraction(120)),
        (1980, 1, Fraction(1980)),
    ],
)
def test_what_a_day_costs_is_exact(price_minor: int, days: Fraction | int, a_day: Fraction) -> None:
    assert price_per_day(price_minor, days) == a_day


DAY, WEEK, HALF, MONTH = (
    choice("day", 300, 1),
    choice("week", 1400, 7),
    choice("half", 3000, 15),
    choice("month", 10_000, 30),
)


@pytest.mark.parametrize(
    ("offer", "among", "basis_points"),
    [
        (DAY, [DAY, WEEK, HALF, MONTH], 0),
        (WEEK, [DAY, WEEK, HALF, MONTH], 3333),  # 2.00 a day instead of 3.00, rounded down
        (HALF, [WEEK, HALF], 0),
        (MONTH, [DAY, MONTH], -1112),  # 3.33 a day: dearer by more than 11.11 %
        (WEEK, [], 0),
        (WEEK, [DAY, choice("dear day", 600, 1)], 3333),
    ],
)
def test_a_saving_is_told_against_the_shortest_offer(offer: Choice, among: list[Choice], basis_points: int) -> None:
    assert saving_basis_points(offer, among) == basis_points


@pytest.mark.parametrize(
    ("days", "slug"),
    [(1, "day"), (2, "week"), (7, "week"), (8, "half"), (16, "month"), (30, "month"), (31, None)],
)
def test_the_cheapest_offer_that_lasts_long_enough_is_named(days: int, slug: str | None) -> None:
    found = cheapest_that_reaches([MONTH, HALF, WEEK, DAY], NOW + timedelta(days=days))
    assert (found.slug if found else None) == slug


def test_a_longer_offer_that_is_cheaper_is_named() -> None:
    assert cheapest_that_reaches([WEEK, choice("sale", 900, 30)], NOW + timedelta(days=3)) == choice("sale", 900, 30)


def test_of_equally_cheap_offers_the_one_that_ends_first_is_named_then_by_name() -> None:
    offers = [choice("b", 500, 8), choice("c", 500, 7), choice("a", 500, 8)]
    reached = cheapest_that_reaches(offers, NOW + timedelta(days=7))
    assert reached is not None
    assert reached.slug == "c"
    later = cheapest_that_reaches(offers, NOW + timedelta(days=8))
    assert later is not None
    assert later.slug == "a"


def test_an_offer_without_dates_reaches_nowhere() -> None:
    assert cheapest_that_reaches([Choice("plan page", 1, Fraction(30))], NOW) is None


@given(
    st.lists(st.tuples(st.integers(1, 10_000), st.integers(1, 400)), max_size=9),
    st.integers(0, 400),
)
def test_nothing_cheaper_reaches_than_what_is_named(rows: list[tuple[int, int]], days: int) -> None:
    offers = [choice(str(n), price, length) for n, (price, length) in enumerate(rows)]
    until = NOW + timedelta(days=days)
    found = cheapest_that_reaches(offers, until)
    prices = [price for price, length in rows if length >= days]
    assert (found.price_minor if found else None) == min(prices, default=None)
