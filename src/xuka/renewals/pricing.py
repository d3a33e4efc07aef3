"""What a renewal costs this customer now: prices, discounts and points as they are, put to ``price_rules``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings

from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.ledger import queries as ledger
from xuka.renewals import discounts, price_rules, rates
from xuka.renewals.discounts import CannotDiscount
from xuka.renewals.price_rules import Conversion, Price


@dataclass(frozen=True, slots=True)
class PriceWish:
    """How the customer would like to pay: a coupon's code as it was typed, at most so many points, in which currency.

    ``currency``: "" is that of the plan.
    """

    coupon: str = ""
    points: int = 0
    currency: str = ""


NO_WISH = PriceWish()


@dataclass(frozen=True, slots=True)
class Priced:
    """A price, and how it was converted where the plan has none in its currency."""

    price: Price
    conversion: Conversion | None = None

    @property
    def told(self) -> dict[str, Any] | None:
        """The conversion as a quote keeps it."""
        by = self.conversion
        return by and {
            "from": by.source, "rate": str(by.rate.quantize(Decimal("0.000001"))), "on": by.on.isoformat(),
            "margin_basis_points": by.margin_basis_points,
        }  # fmt: skip


def price(*, version: PlanVersion, customer: UUID, wish: PriceWish, now: datetime, count: int = 1) -> Priced:
    """The price lines of so many periods of this plan, for this customer now.

    Raises:
        CannotDiscount: the coupon does not count, there are fewer points, or it is not sold in this currency now.
    """
    currency = wish.currency or version.currency
    by = _conversion(version, currency, now)
    if wish.points and ledger.points_balance(customer) < wish.points:
        raise CannotDiscount("points")
    coupon = None
    if wish.coupon.strip():
        coupon = discounts.coupon(code=wish.coupon, version=version, customer=customer, now=now)
    asked = price_rules.Request(
        prices=catalogue.prices(version),
        currency=currency,
        conversion=by,
        label=version.plan_id,
        tax_basis_points=version.plan.market.tax_basis_points,
        count=count,
        promotions=discounts.promotions(version=version, customer=customer, now=now),
        coupon=coupon,
        points=wish.points,
        points_per_minor=settings.POINTS_PER_MINOR,
    )
    found = price_rules.price(asked)
    if found.refused:
        raise CannotDiscount(found.refused, least=coupon.minimum if coupon else None)
    return Priced(found, by)


def currencies(version: PlanVersion, now: datetime) -> list[str]:
    """In which currencies this plan can be paid now: its own first, then those it is priced in or converted to."""
    priced = [one.money.currency for one in catalogue.prices(version) if one.periods == 1]
    for currency in settings.CONVERSION_CURRENCIES:
        if currency not in priced:
            with suppress(rates.NoRate):
                rates.conversion(source=version.currency, target=currency, now=now)
                priced.append(currency)
    return priced


def _conversion(version: PlanVersion, currency: str, now: datetime) -> Conversion | None:
    if any(one.money.currency == currency for one in catalogue.prices(version)):
        return None
    if currency not in settings.CONVERSION_CURRENCIES:
        raise CannotDiscount("no_rate")
    try:
        return rates.conversion(source=version.currency, target=currency, now=now)
    except rates.NoRate as error:
        raise CannotDiscount(error.code) from error


def wish_of(quote_lines: list[dict[str, Any]], currency: str = "") -> PriceWish:
    """The wish that a quote with these lines fulfils, to ask for it again."""
    coupon = next((line["label"] for line in quote_lines if line["kind"] == "coupon"), "")
    points = next((line["points"] for line in quote_lines if line["kind"] == "points"), 0)
    return PriceWish(coupon, points, currency)
