"""What a renewal, or a new eSIM, costs: lines that add up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from xuka.catalogue.prices import PeriodPrice, cost
from xuka.kernel.money import Money, decimals, rounded, step, tax_inside

# The least that is sold for, in minor units: what card payments take (0.50 EUR, 50 JPY, 20 TWD). A cheaper plan costs
# itself.
SMALLEST_MINOR = 50
_SMALLEST_MINOR = {"TWD": 2000}

Why = Literal["currency", "minimum", "nothing_left"]


class NotPriced(Exception):
    """The plan has no price in this currency."""


@dataclass(frozen=True, slots=True)
class Discount:
    """A promotion, which counts by itself, or a coupon, which counts where its code is given.

    Args:
        label: what the customer reads: the promotion's name, the coupon's code.
        basis_points: of what is to be paid: 1000 is 10 %. Or:
        off: an amount, which only counts in its own currency.
        minimum: counts only where at least so much is to be paid, in the minimum's own currency.
    """

    id: UUID
    kind: Literal["promotion", "coupon"]
    label: str
    basis_points: int = 0
    off: Money | None = None
    minimum: Money | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a price of one currency becomes one of another.

    Args:
        rate: how many units of ``target`` one unit of ``source`` is worth, without the margin.
        on: the day of the rate.
        margin_basis_points: what is put on top: 200 is 2 %.
    """

    source: str
    target: str
    rate: Decimal
    on: date
    margin_basis_points: int = 0


def converted(money: Money, by: Conversion) -> Money:
    """The same in the other currency, margin inside, rounded once, half up, to its minor unit (TWD: to the dollar)."""
    assert money.currency == by.source, "a rate is of one currency"
    exact = money.major * by.rate * (10_000 + by.margin_basis_points) / 10_000
    return Money(rounded(exact.scaleb(decimals(by.target)), by.target), by.target)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be priced.

    Args:
        prices: of the plan, in whatever currencies it is sold in.
        currency: the one that is paid in.
        count: how many periods are bought at once.
        label: names the plan.
        promotions: those that could count: the one that takes off most does.
        points: how many the customer wants to spend at most; they must be there.
        points_per_minor: so many points are worth one minor unit.
        conversion: into the currency, where the plan has no price in it.
    """

    prices: Sequence[PeriodPrice]
    currency: str
    label: str
    tax_basis_points: int
    count: int = 1
    promotions: Sequence[Discount] = ()
    coupon: Discount | None = None
    points: int = 0
    points_per_minor: int = 1
    conversion: Conversion | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """Price lines that sum to ``total``; ``tax`` lies inside it, rounded once.

    A line is ``{"kind", "label", "amount_minor"}``. The plan's also has ``count``; a discount's its ``id`` and, where
    it could have taken off more, ``whole_minor``; that of the points how many: ``points``. ``refused`` says why the
    coupon does not count; "" where it does, or where there is none.
    """

    lines: tuple[dict[str, Any], ...]
    total: Money
    tax: Money
    points: int = 0
    refused: Why | Literal[""] = ""

    @property
    def discounts(self) -> tuple[UUID, ...]:
        """The promotion and the coupon that count."""
        return tuple(UUID(line["id"]) for line in self.lines if "id" in line)


def price(request: Request) -> Price:
    """What this costs. First the best promotion is taken off, then the coupon, then points; the lines add up.

    Each of them is taken of what is left to pay, and all of them together leave ``SMALLEST_MINOR``, or the whole price
    of what costs less. Points are spent by whole minor units only. A currency is never mixed with another.

    Raises:
        NotPriced: the plan has no price in the currency.
    """
    whole = _whole(request)
    least = min(whole.minor, _SMALLEST_MINOR.get(whole.currency, SMALLEST_MINOR))
    lines: list[dict[str, Any]] = [
        {"kind": "plan", "label": request.label, "amount_minor": whole.minor, "count": request.count}
    ]
    left, refused = whole, ""
    if best := _best(request.promotions, left, least):
        lines.append(best)
        left = Money(left.minor + best["amount_minor"], left.currency)
    if coupon := request.coupon:
        refused = why_not(coupon, left, least)
        if not refused:
            lines.append(_taken_off(coupon, left, least))
            left = Money(left.minor + lines[-1]["amount_minor"], left.currency)
    minor = max(0, min(request.points // request.points_per_minor, left.minor - least))
    minor -= minor % step(left.currency)
    points = minor * request.points_per_minor
    if minor:
        lines.append({"kind": "points", "label": "points", "amount_minor": -minor, "points": points})
        left = Money(left.minor - minor, left.currency)
    return Price(tuple(lines), left, tax_inside(left, request.tax_basis_points), points, refused)


def _whole(request: Request) -> Money:
    """What so many periods cost; a price in the currency itself comes before one that is converted."""
    whole = cost(request.prices, currency=request.currency, count=request.count)
    if whole is not None:
        return whole
    by = request.conversion
    there = by and cost(request.prices, currency=by.source, count=request.count)
    if by is None or there is None or by.target != request.currency:
        raise NotPriced(request.currency)
    return converted(there, by)


def _best(promotions: Iterable[Discount], left: Money, least: int) -> dict[str, Any] | None:
    """The line of the promotion that takes off most; of equal ones the first by id."""
    lines = [_taken_off(one, left, least) for one in promotions if not why_not(one, left, least)]
    return min(lines, key=lambda line: (line["amount_minor"], line["id"]), default=None)


def why_not(discount: Discount, left: Money, least: int = 0) -> Why | Literal[""]:
    """Why this does not count where so much is to be paid; "" where it does.

    "currency": it is money of another one. "minimum": too little is bought. "nothing_left": nothing more can be taken
    off.
    """
    if any(money and money.currency != left.currency for money in (discount.off, discount.minimum)):
        return "currency"
    if discount.minimum and left < discount.minimum:
        return "minimum"
    return "" if left.minor > least and _worth(discount, left) > 0 else "nothing_left"


def _worth(discount: Discount, left: Money) -> int:
    """What it would take off if it could take all, in minor units; half a unit goes up (TWD: half a dollar)."""
    if discount.off:
        return discount.off.minor
    return rounded(Decimal(left.minor * discount.basis_points) / 10_000, left.currency)


def _taken_off(discount: Discount, left: Money, least: int) -> dict[str, Any]:
    worth = _worth(discount, left)
    minor = min(worth, left.minor - least)
    minor -= minor % step(left.currency)
    line = {"kind": discount.kind, "label": discount.label, "amount_minor": -minor, "id": str(discount.id)}
    return line | ({"whole_minor": worth} if worth > minor else {})
