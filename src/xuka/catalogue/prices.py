"""What so many periods of a plan cost when they are bought at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xuka.kernel.money import Money

MOST_PERIODS = 36


@dataclass(frozen=True, slots=True)
class PeriodPrice:
    """What ``periods`` periods cost together, tax inside."""

    periods: int
    money: Money


def cost(prices: Iterable[PeriodPrice], *, currency: str, count: int) -> Money | None:
    """What ``count`` periods cost together, tax inside; None where one period has no price in this currency.

    A count that has no price of its own is made up of those that have one, in the cheapest way: with 10.00 for one and
    25.00 for three, seven cost 60.00. With prices that ``misfits`` allows, more periods never cost less.
    """
    assert count >= 1, "something is bought"
    known = {price.periods: price.money.minor for price in prices if price.money.currency == currency}
    if 1 not in known:
        return None
    cheapest = [0]
    for total in range(1, count + 1):
        cheapest.append(min(minor + cheapest[total - periods] for periods, minor in known.items() if periods <= total))
    return Money(cheapest[count], currency)


def misfits(prices: Iterable[PeriodPrice]) -> Iterator[str]:
    """What is wrong with these prices of one plan, a sentence each."""
    sold = sorted(prices, key=lambda price: (price.money.currency, price.periods))
    if len({(price.money.currency, price.periods) for price in sold}) < len(sold):
        yield "a count has one price in a currency"
        return
    for price in sold:
        currency, told = price.money.currency, f"{price.periods} periods in {price.money.currency}"
        one = cost(sold, currency=currency, count=1)
        if one is None:
            yield f"who sells {told} also sells one"
        elif price.periods > 1:
            if price.money > Money(one.minor * price.periods, currency):
                yield f"{told} cost more than {price.periods} times one"
            fewer = cost(sold, currency=currency, count=price.periods - 1)
            if fewer and price.money < fewer:
                yield f"{told} cost less than {price.periods - 1}"


def prices_of(*, price_minor: int, currency: str, further: Iterable[Mapping[str, Any]]) -> tuple[PeriodPrice, ...]:
    """The prices of a plan version: of one period, then the further ones as they are stored."""
    rest = (PeriodPrice(one["periods"], Money(one["minor"], one["currency"])) for one in further)
    return (PeriodPrice(1, Money(price_minor, currency)), *rest)
