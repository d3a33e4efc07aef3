"""Money in minor units. Never a float."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from babel.numbers import get_currency_precision


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in the minor unit of one currency: ``Money(1999, "EUR")`` is EUR 19.99, ``Money(5, "JPY")`` 5 yen."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        assert isinstance(self.minor, int), "money is integer minor units"
        assert len(self.currency) == 3, "a currency is an ISO 4217 code"
        assert self.currency.isupper(), "a currency is an ISO 4217 code"

    def __add__(self, other: Money) -> Money:
        assert self.currency == other.currency, "only one currency can be added"
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        assert self.currency == other.currency, "only one currency can be subtracted"
        return Money(self.minor - other.minor, self.currency)

    @property
    def major(self) -> Decimal:
        """The amount in the currency's major unit, exact: EUR 1999 -> Decimal("19.99")."""
        return Decimal(self.minor).scaleb(-decimals(self.currency))


def decimals(currency: str) -> int:
    """Decimals of the currency's minor unit (ISO 4217, from CLDR): EUR 2, JPY 0."""
    return get_currency_precision(currency)


def step(currency: str) -> int:
    """The smallest amount that is asked for in the currency, minor units: a whole dollar (100) of Taiwan, else 1.

    ISO 4217 gives TWD two decimals, but there is no cent: CLDR's cash digits are 0, cards and receipts know whole ones.
    """
    return 100 if currency == "TWD" else 1


def rounded(minor: Decimal | int, currency: str) -> int:
    """The amount in minor units, at the nearest whole ``step`` of the currency; halves go away from zero."""
    whole = (Decimal(minor) / step(currency)).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    return int(whole) * step(currency)


def from_major(amount: Decimal | str, currency: str) -> Money:
    """Money from an exact decimal amount in major units; halves of a minor unit go away from zero."""
    scaled = Decimal(amount).scaleb(decimals(currency)).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    return Money(int(scaled), currency)


def tax_inside(gross: Money, rate_basis_points: int) -> Money:
    """The tax contained in a gross amount, rounded once, half up, to the minor unit (TWD: to the dollar).

    Args:
        gross: the consumer price, tax included.
        rate_basis_points: 2100 is 21 % (Belgium), 1000 is 10 % (Japan), 500 is 5 % (Taiwan).
    """
    exact = Decimal(gross.minor) * rate_basis_points / (10_000 + rate_basis_points)
    return Money(rounded(exact, gross.currency), gross.currency)
