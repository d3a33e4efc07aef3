"""What a receipt says, in the language that is active: one telling for the page and for the PDF.

Money, dates and numbers come written; nothing is calculated here but what a document already holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import get_language, gettext

from xuka.interfaces.web import formats, methods, texts
from xuka.kernel.money import Money
from xuka.receipts.models import Receipt


@dataclass(frozen=True, slots=True)
class Row:
    """A word and its value."""

    label: str
    value: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Heads:
    """The words above the parts of a receipt."""

    sold_by: str
    sold_to: str
    what: str
    quantity: str
    amount: str
    rates: str
    net: str
    gross: str
    paid: str


@dataclass(frozen=True, slots=True)
class Item:
    """One line of what was bought; the amount has the tax inside."""

    what: str
    quantity: str
    rate: str
    amount: str


@dataclass(frozen=True, slots=True)
class Rate:
    """The totals of one rate of tax."""

    rate: str
    net: str
    tax: str
    gross: str


@dataclass(frozen=True, slots=True)
class Paper:
    """A receipt or credit note as it is read.

    Args:
        language: BCP 47 tag of the words ("zh-Hans", "en", "ja").
        legal_name: what the market's law calls the document, in the market's language; "" where it asks for no name.
        tax: what the tax is called ("VAT").
        said: sentences that must stand on it.
    """

    language: str
    market: str
    is_credit_note: bool
    title: str
    legal_name: str
    number: str
    tax: str
    heads: Heads
    seller: str
    address: tuple[str, ...]
    registration: str
    customer: str
    facts: tuple[Row, ...]
    items: tuple[Item, ...]
    rates: tuple[Rate, ...]
    total: Row
    paid: tuple[Row, ...]
    said: tuple[str, ...]


def paper(receipt: Receipt) -> Paper:
    """The receipt in the active language."""
    told, market = receipt.document, receipt.document["market"]
    return Paper(
        language={"zh-hans": "zh-Hans", "zh-hant": "zh-Hant"}.get(_language(), _language()),
        market=market,
        is_credit_note=receipt.is_credit_note,
        title=title(receipt),
        legal_name=_legal_name(receipt),
        number=receipt.full_number,
        tax=tax_name(market),
        heads=_heads(),
        seller=told["seller"]["name"],
        address=tuple(told["seller"]["address"]),
        registration=_registration(market, told["seller"]["registration"]),
        customer=told["customer"],
        facts=tuple(_facts(receipt)),
        items=tuple(_item(receipt, line) for line in told["lines"]),
        rates=tuple(_rate(receipt, rate) for rate in told["rates"]),
        total=Row(
            gettext("Total credited") if receipt.is_credit_note else gettext("Total paid"),
            _money(receipt, receipt.total_minor),
            gettext("Tax included"),
        ),
        paid=tuple(
            Row(methods.name(one["method"]), _money(receipt, one["amount_minor"])) for one in told.get("paid_with", ())
        ),
        said=tuple(_said(receipt)),
    )


def _heads() -> Heads:
    return Heads(
        sold_by=gettext("Sold by"),
        sold_to=gettext("Customer"),
        what=gettext("Description"),
        quantity=gettext("Quantity"),
        amount=gettext("Amount, tax included"),
        rates=gettext("Totals for each rate"),
        net=gettext("Taxable amount"),
        gross=gettext("With tax"),
        paid=gettext("Paid with"),
    )


def title(receipt: Receipt) -> str:
    """ "Receipt" or "Credit note"."""
    return gettext("Credit note") if receipt.is_credit_note else gettext("Receipt")


def what(receipt: Receipt) -> str:
    """What it is for, in one line: the first thing that was bought."""
    return _label(receipt.document["lines"][0])


def file_name(receipt: Receipt) -> str:
    """ "Receipt BE-2026-000017.pdf" in the active language."""
    return f"{title(receipt)} {receipt.full_number}.pdf"


def _facts(receipt: Receipt) -> list[Row]:
    told = receipt.document
    zone = told["zone"]
    rows = [Row(gettext("Number"), receipt.full_number)]
    if receipt.corrects:
        issued = formats.day(receipt.corrects.issued_at, zone)
        rows.append(Row(gettext("Corrects the receipt"), receipt.corrects.full_number, issued))
    rows.append(Row(gettext("Date of issue"), formats.day(receipt.issued_at, zone)))
    rows.append(Row(gettext("Date of supply"), formats.day(_moment(told["supplied_at"]), zone)))
    if period := told["period"]:
        starts = formats.moment(_moment(period["starts_at"]), zone)
        until = formats.valid_through(_moment(period["ends_at"]), zone)
        rows.append(Row(gettext("Period"), f"{starts} – {until}", formats.place(zone)))
    if told["card_last"]:
        rows.append(Row(gettext("Card"), gettext("card ending in %(last)s") % {"last": told["card_last"]}))
    rows.append(Row(gettext("Order number"), told["order"]))
    return rows


def _item(receipt: Receipt, line: Mapping[str, Any]) -> Item:
    # Everything on a receipt has one rate.
    rate = formats.percent(receipt.document["rates"][0]["rate_basis_points"])
    return Item(_label(line), str(line["quantity"]), rate, _money(receipt, line["amount_minor"]))


def _label(line: Mapping[str, Any]) -> str:
    labels, language = line["labels"], _language()
    name = labels.get(language) or labels.get("zh-hans" if language.startswith("zh") else "en") or labels.get("en", "")
    match line["kind"]:
        case "credit":
            return gettext("Given back: %(what)s") % {"what": name}
        case "fee":
            return gettext("Fee for this way to pay")
        case "coupon" | "points" as kind:
            return texts.discount(kind, int(name) if kind == "points" else 0, name)
        case "discount":
            return name or gettext("Discount")
        case _:
            return name


def _rate(receipt: Receipt, rate: Mapping[str, int]) -> Rate:
    return Rate(
        formats.percent(rate["rate_basis_points"]),
        *(_money(receipt, rate[f"{name}_minor"]) for name in ("net", "tax", "gross")),
    )


def _said(receipt: Receipt) -> list[str]:
    said = []
    if reason := _reason(receipt.document.get("why", "")):
        said.append(reason)
    if receipt.corrects:
        told = {"number": receipt.corrects.full_number}
        said.append(gettext("This credit note corrects the receipt %(number)s and belongs with it.") % told)
    if receipt.document["market"] == "TW":
        said.append(gettext("This is not a uniform invoice (統一發票) of Taiwan, and none is issued."))
    return said


def _reason(why: str) -> str:
    match why:
        case "not_delivered":
            return gettext("The renewal was not delivered, so the money goes back.")
        case "withdrawn":
            return gettext("The purchase was withdrawn.")
        case "unused":
            return gettext("A period that had not begun was given back.")
        case "goodwill":
            return gettext("Given back as a courtesy.")
        case "mistake":
            return gettext("The receipt was wrong.")
        case _:
            return ""


def tax_name(market: str) -> str:
    """What the tax inside prices is called in this market."""
    match market:
        case "JP":
            return gettext("Consumption tax")
        case "TW":
            return gettext("Business tax")
        case _:
            return gettext("VAT")


def _registration(market: str, number: str) -> str:
    match market:
        case "JP":
            label = gettext("Invoice registration number")
        case "TW":
            label = gettext("Registration for business tax in Taiwan")
        case _:
            label = gettext("VAT number")
    colon = {"zh": "：", "ja": "：", "fr": "\N{NO-BREAK SPACE}: "}.get(_language()[:2], ": ")
    return label + colon + (number or gettext("none"))


def _legal_name(receipt: Receipt) -> str:
    """Japan's names (消費税法 57 条の 4): a registered issuer's simplified invoice, and the note on what went back."""
    if receipt.document["market"] != "JP":
        return ""
    registered = receipt.document["seller"]["registration"]
    if receipt.is_credit_note:
        return "適格返還請求書" if registered else "返金明細書"
    return "領収書（適格簡易請求書）" if registered else "領収書"


def _money(receipt: Receipt, minor: int) -> str:
    return formats.money(Money(minor, receipt.currency))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _language() -> str:
    return (get_language() or "en").lower()
