"""What a receipt says and which number it gets. Pure: amounts in minor units, tax inside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from stdnum.be import vat
from stdnum.exceptions import ValidationError
from stdnum.jp import cn

from xuka.kernel.money import Money, tax_inside
from xuka.kernel.span import Span

RECEIPT = "receipt"
CREDIT_NOTE = "credit_note"


class DoesNotAddUp(ValueError):
    """The lines, or the ways of paying, do not sum to one positive total."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what was bought.

    Args:
        kind: "plan", "fee", "discount"…: the same words as in a quote.
        labels: what it is called, by language; "en" is always there.
        amount_minor: for all of the quantity, tax inside; a discount is negative.
    """

    kind: str
    labels: Mapping[str, str]
    amount_minor: int
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class Paid:
    """An amount and how it was paid: "wallet", or a payment method's name ("card", "alipay"…)."""

    method: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Seller:
    """Who sells; ``registration`` as ``registration_of`` writes it, "" where there is none."""

    name: str
    address: tuple[str, ...]
    registration: str


def registration_of(market: str, number: str) -> str:
    """The seller's number as it is printed in this market: "BE 0123.456.749", "T1234567890123"; "" if it is none."""
    try:
        match market:
            case "BE":
                digits = vat.validate(number)
                return f"BE {digits[:4]}.{digits[4:7]}.{digits[7:]}"
            case "JP":
                text = number.strip().upper()
                return f"T{cn.validate(text[1:])}" if text.startswith("T") else ""
            case _:
                return number.strip()
    except ValidationError:
        return ""


def series_of(*, market: str, zone: str, now: datetime, kind: str) -> str:
    """The series of what is issued now: "BE-2026", credit notes "BE-2026-C". The year is the market's own."""
    year = now.astimezone(ZoneInfo(zone)).year
    return f"{market}-{year}-C" if kind == CREDIT_NOTE else f"{market}-{year}"


def total_of(lines: Sequence[Line], paid_with: Sequence[Paid]) -> int:
    """What the lines sum to. Raises ``DoesNotAddUp`` when that is not positive or not what was paid."""
    total = sum(line.amount_minor for line in lines)
    paid = sum(one.amount_minor for one in paid_with)
    if total <= 0 or paid != total:
        raise DoesNotAddUp(f"The lines sum to {total} and {paid} was paid.")
    return total


def rate_total(*, gross_minor: int, tax_minor: int, tax_basis_points: int) -> dict[str, int]:
    """One row of the totals per rate; net is what is left of gross without tax."""
    return {
        "rate_basis_points": tax_basis_points,
        "gross_minor": gross_minor,
        "tax_minor": tax_minor,
        "net_minor": gross_minor - tax_minor,
    }


def receipt_rates(*, total: Money, tax_basis_points: int) -> list[dict[str, int]]:
    """The totals per rate of a receipt. Everything sold has one rate; its tax is rounded once, half up."""
    tax = tax_inside(total, tax_basis_points)
    return [rate_total(gross_minor=total.minor, tax_minor=tax.minor, tax_basis_points=tax_basis_points)]


def credit_rates(
    *, amount_minor: int, credited_minor: int, currency: str, tax_basis_points: int
) -> list[dict[str, int]]:
    """The totals per rate of a credit note, all negative.

    Its tax is the step from the tax in what was credited before to the tax in what is credited with it: each total is
    rounded once, and the notes on a receipt credited in full sum to exactly the tax on the receipt.
    """
    before = tax_inside(Money(credited_minor, currency), tax_basis_points).minor
    after = tax_inside(Money(credited_minor + amount_minor, currency), tax_basis_points).minor
    return [rate_total(gross_minor=-amount_minor, tax_minor=before - after, tax_basis_points=tax_basis_points)]


def document(
    *,
    seller: Seller,
    customer_name: str,
    order: str,
    card_last: str,
    market: str,
    zone: str,
    lines: Iterable[Line],
    rates: list[dict[str, int]],
    paid_with: Iterable[Paid],
    period: Span | None,
    supplied_at: datetime,
) -> dict[str, Any]:
    """The frozen content of a receipt, as JSON."""
    return {
        "seller": {"name": seller.name, "address": list(seller.address), "registration": seller.registration},
        "customer": customer_name,
        "order": order,
        "card_last": card_last,
        "market": market,
        "zone": zone,
        "lines": [
            {"kind": x.kind, "labels": dict(x.labels), "quantity": x.quantity, "amount_minor": x.amount_minor}
            for x in lines
        ],
        "rates": rates,
        "paid_with": [{"method": one.method, "amount_minor": one.amount_minor} for one in paid_with],
        "period": period and {"starts_at": period.starts_at.isoformat(), "ends_at": period.ends_at.isoformat()},
        "supplied_at": supplied_at.isoformat(),
    }


def credit_document(original: Mapping[str, Any], *, rates: list[dict[str, int]], why: str) -> dict[str, Any]:
    """The frozen content of a credit note: the receipt's own parties and period, one line, negative amounts.

    Args:
        original: the document of the receipt that it corrects.
        why: a word of the catalogue of texts ("not_delivered", "withdrawn"…).
    """
    gross = sum(rate["gross_minor"] for rate in rates)
    plan = original["lines"][0]
    line = {"kind": "credit", "labels": plan["labels"], "quantity": 1, "amount_minor": gross}
    return {**original, "lines": [line], "rates": rates, "paid_with": [], "why": why}
