"""What a renewal costs: lines that add up, in tables and for anything that can be asked."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xuka.catalogue.prices import PeriodPrice, cost, misfits
from xuka.catalogue.roaming import fair_use_bytes, is_open_bundle
from xuka.kernel.money import Money, tax_inside
from xuka.renewals.price_rules import SMALLEST_MINOR, Conversion, Discount, NotPriced, Price, Request, converted, price

MONTH = (PeriodPrice(1, Money(10_00, "EUR")), PeriodPrice(3, Money(25_00, "EUR")), PeriodPrice(1, Money(1_500, "JPY")))


def discount(kind: str = "promotion", number: int = 1, **terms: Any) -> Discount:
    return Discount(UUID(int=number), kind, f"{kind} {number}", **terms)  # pyright: ignore[reportArgumentType]


def priced(**asked: Any) -> Price:
    told = {"prices": MONTH, "currency": "EUR", "label": "month", "tax_basis_points": 2100}
    return price(Request(**(told | asked)))


def amounts(found: Price) -> list[tuple[str, int]]:
    return [(line["kind"], line["amount_minor"]) for line in found.lines]


@pytest.mark.parametrize(
    ("count", "minor"), [(1, 10_00), (2, 20_00), (3, 25_00), (4, 35_00), (6, 50_00), (7, 60_00), (12, 100_00)]
)
def test_a_count_costs_what_the_catalogue_says_or_the_cheapest_way_of_making_it_up(count: int, minor: int) -> None:
    assert cost(MONTH, currency="EUR", count=count) == Money(minor, "EUR")


def test_one_currency_is_never_made_up_of_another() -> None:
    assert cost(MONTH, currency="JPY", count=3) == Money(4_500, "JPY")
    assert cost(MONTH, currency="CNY", count=1) is None
    with pytest.raises(NotPriced):
        priced(currency="CNY")


@pytest.mark.parametrize(
    ("further", "says"),
    [
        ([], []),
        ([(3, 25_00, "EUR")], []),
        ([(3, 30_00, "EUR")], []),
        ([(3, 30_01, "EUR")], ["3 periods in EUR cost more than 3 times one"]),
        ([(3, 19_99, "EUR")], ["3 periods in EUR cost less than 2"]),
        ([(3, 1_000, "JPY")], ["who sells 3 periods in JPY also sells one"]),
        ([(1, 9_00, "EUR")], ["a count has one price in a currency"]),
    ],
)
def test_prices_of_several_periods_that_make_no_sense_are_told(further: list[Any], says: list[str]) -> None:
    prices = [PeriodPrice(1, Money(10_00, "EUR")), *(PeriodPrice(n, Money(minor, unit)) for n, minor, unit in further)]
    assert list(misfits(prices)) == says


@pytest.mark.parametrize(
    ("asked", "lines", "tax"),
    [
        ({}, [("plan", 10_00)], 1_74),
        ({"count": 3}, [("plan", 25_00)], 4_34),
        ({"currency": "JPY", "tax_basis_points": 1000}, [("plan", 1_500)], 136),
        # of several promotions the one that takes off most
        (
            {"promotions": [discount(basis_points=1000), discount(number=2, off=Money(1_50, "EUR"))]},
            [("plan", 10_00), ("promotion", -1_50)],
            1_48,
        ),
        # the coupon is taken of what the promotion left, points of what both left
        (
            {
                "promotions": [discount(basis_points=1000)],
                "coupon": discount("coupon", basis_points=5000),
                "points": 99,
            },
            [("plan", 10_00), ("promotion", -1_00), ("coupon", -4_50), ("points", -99)],
            61,
        ),
        # half a unit goes up
        ({"coupon": discount("coupon", basis_points=5)}, [("plan", 10_00), ("coupon", -1)], 1_73),
        # never nothing: 50 cents are left
        ({"coupon": discount("coupon", off=Money(20_00, "EUR"))}, [("plan", 10_00), ("coupon", -9_50)], 9),
        ({"points": 5_000}, [("plan", 10_00), ("points", -9_50)], 9),
        # points by whole cents only
        ({"points": 129, "points_per_minor": 10}, [("plan", 10_00), ("points", -12)], 1_71),
        ({"points": 9, "points_per_minor": 10}, [("plan", 10_00)], 1_74),
    ],
)
def test_what_is_taken_off_and_in_which_order(asked: dict[str, Any], lines: list[Any], tax: int) -> None:
    found = priced(**asked)
    assert amounts(found) == lines
    assert (found.total.minor, found.tax.minor) == (sum(minor for _, minor in lines), tax)


@pytest.mark.parametrize(
    ("terms", "asked", "why"),
    [
        ({"off": Money(500, "JPY")}, {}, "currency"),
        ({"off": Money(5_00, "EUR"), "minimum": Money(500, "JPY")}, {}, "currency"),
        ({"off": Money(5_00, "EUR"), "minimum": Money(10_01, "EUR")}, {}, "minimum"),
        ({"off": Money(5_00, "EUR"), "minimum": Money(10_00, "EUR")}, {}, ""),
        ({"off": Money(5_00, "EUR"), "minimum": Money(10_01, "EUR")}, {"count": 3}, ""),
        (
            {"off": Money(5_00, "EUR"), "minimum": Money(10_00, "EUR")},
            {"promotions": [discount(basis_points=1)]},
            "",
        ),
        (
            {"off": Money(5_00, "EUR"), "minimum": Money(10_00, "EUR")},
            {"promotions": [discount(basis_points=10)]},
            "minimum",
        ),
        ({"basis_points": 1}, {}, "nothing_left"),
        ({"off": Money(1, "EUR")}, {"promotions": [discount(off=Money(99_00, "EUR"))]}, "nothing_left"),
    ],
)
def test_a_coupon_that_does_not_count_says_why_and_takes_nothing(
    terms: dict[str, Any], asked: dict[str, Any], why: str
) -> None:
    found = priced(coupon=discount("coupon", number=9, **terms), **asked)
    assert found.refused == why
    assert ("coupon" in dict(amounts(found))) is (why == "")


def test_a_discount_that_could_take_more_says_how_much() -> None:
    (_, cut) = priced(coupon=discount("coupon", off=Money(20_00, "EUR"))).lines
    assert cut == {
        "kind": "coupon", "label": "coupon 1", "amount_minor": -9_50, "id": str(UUID(int=1)), "whole_minor": 20_00,
    }  # fmt: skip


def test_a_plan_that_costs_less_than_the_smallest_amount_costs_what_it_costs() -> None:
    found = priced(prices=[PeriodPrice(1, Money(30, "EUR"))], coupon=discount("coupon", basis_points=9000), points=99)
    assert (amounts(found), found.refused) == ([("plan", 30)], "nothing_left")


@pytest.mark.parametrize(
    ("minor", "source", "target", "rate", "margin", "comes"),
    [
        (12_90, "EUR", "JPY", "163.45", 0, 2_109),
        (12_90, "EUR", "JPY", "163.45", 200, 2_151),
        (12_90, "EUR", "CNY", "8.2345", 250, 108_88),
        (1_980, "JPY", "EUR", "0.006118", 0, 12_11),
        (1, "EUR", "JPY", "50", 0, 1),  # half a yen goes up
        (12_90, "EUR", "TWD", "36.1234", 200, 475_00),  # 475.31
        (1_00, "EUR", "TWD", "36.5", 0, 37_00),
        (1_00, "EUR", "TWD", "36.495", 0, 36_00),  # once, and not by way of 36.50
    ],
)
def test_a_price_is_converted_with_its_margin_and_rounded_once(
    minor: int, source: str, target: str, rate: str, margin: int, comes: int
) -> None:
    by = Conversion(source, target, Decimal(rate), date(2026, 11, 27), margin)
    assert converted(Money(minor, source), by) == Money(comes, target)
    found = priced(prices=[PeriodPrice(1, Money(minor, source))], currency=target, conversion=by)
    assert (found.total, found.tax) == (Money(comes, target), tax_inside(Money(comes, target), 2100))


def test_a_price_in_the_currency_itself_is_never_converted_and_a_rate_of_others_prices_nothing() -> None:
    by = Conversion("EUR", "JPY", Decimal(200), date(2026, 11, 27))
    assert priced(currency="JPY", conversion=by).total == Money(1_500, "JPY")
    with pytest.raises(NotPriced):
        priced(currency="CNY", conversion=by)


@pytest.mark.parametrize(
    ("price", "year", "gigabytes"),
    [
        (20_00, 2026, "30.05"), (20_00, 2027, "33.06"), (20_00, 2025, "25.43"), (20_00, 2022, "16.53"),
        (29_00, 2026, "43.58"), (20_00, 2032, "33.06"), (20_00, 2021, None), (20_00, 2033, None),
    ],
)  # fmt: skip
def test_how_much_data_is_like_at_home_in_the_eu(price: int, year: int, gigabytes: str | None) -> None:
    volume = fair_use_bytes(price=Money(price, "EUR"), tax_basis_points=2100, year=year)
    assert volume == (None if gigabytes is None else int(Decimal(gigabytes) * 10**9))
    assert fair_use_bytes(price=Money(price, "JPY"), tax_basis_points=1000, year=year) is None


@pytest.mark.parametrize(("gigabytes", "is_open"), [(None, True), (20, True), (15, False), (16, True), (1, False)])
def test_an_open_bundle_is_unlimited_or_cheaper_than_the_wholesale_cap(gigabytes: int | None, is_open: bool) -> None:
    volume = None if gigabytes is None else gigabytes * 10**9
    asked = {"price": Money(20_00, "EUR"), "tax_basis_points": 2100, "year": 2026}
    assert is_open_bundle(volume_bytes=volume, **asked) is is_open
    assert is_open_bundle(volume_bytes=volume, **(asked | {"year": 2021})) is (volume is None)


DISCOUNTS = st.builds(
    lambda number, basis_points, off, unit: discount(
        number=number, basis_points=basis_points, off=None if off is None else Money(off, unit)
    ),
    st.integers(1, 9), st.integers(0, 10_000), st.none() | st.integers(1, 10**7), st.sampled_from(["EUR", "JPY"]),
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> Request:
    one = draw(st.integers(1, 10**7))
    prices = [PeriodPrice(1, Money(one, "EUR"))]
    for periods in sorted(draw(st.sets(st.integers(2, 12), max_size=3))):
        fewer = cost(prices, currency="EUR", count=periods - 1)
        assert fewer is not None
        prices.append(PeriodPrice(periods, Money(draw(st.integers(fewer.minor, one * periods)), "EUR")))
    return Request(
        prices=prices,
        currency="EUR",
        label="month",
        tax_basis_points=draw(st.integers(0, 10_000)),
        count=draw(st.integers(1, 14)),
        promotions=draw(st.lists(DISCOUNTS, max_size=3)),
        coupon=draw(st.none() | DISCOUNTS),
        points=draw(st.integers(0, 10**8)),
        points_per_minor=draw(st.integers(1, 100)),
    )


@settings(max_examples=60)
@given(requests())
def test_whatever_is_asked_the_lines_add_up_and_nothing_takes_off_more_than_there_is(asked: Request) -> None:
    assert not list(misfits(asked.prices))
    found = price(asked)
    whole = found.lines[0]["amount_minor"]
    assert sum(line["amount_minor"] for line in found.lines) == found.total.minor
    assert found.total.minor >= min(whole, SMALLEST_MINOR) > 0
    left = whole
    for line in found.lines[1:]:
        assert 0 < -line["amount_minor"] < left
        left += line["amount_minor"]
    assert 0 <= found.tax.minor <= found.total.minor
    assert found.tax == tax_inside(found.total, asked.tax_basis_points)
    assert found.points <= asked.points
    assert found.points == asked.points_per_minor * -sum(
        x["amount_minor"] for x in found.lines if x["kind"] == "points"
    )
    more = price(Request(**{name: getattr(asked, name) for name in asked.__slots__} | {"count": asked.count + 1}))
    assert more.total >= found.total


@given(st.integers(1, 10**12), st.sampled_from(["EUR", "JPY"]), st.integers(0, 10_000))
def test_the_tax_is_inside_and_rounded_once(minor: int, currency: str, basis_points: int) -> None:
    found = priced(prices=[PeriodPrice(1, Money(minor, currency))], currency=currency, tax_basis_points=basis_points)
    # Within half a unit of the exact tax, and half a unit goes up.
    error = found.tax.minor * (10_000 + basis_points) - minor * basis_points
    assert -(10_000 + basis_points) < 2 * error <= 10_000 + basis_points
