"""Receipts and credit notes: everything that writes them. What is issued is never changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from xuka.accounts import queries as accounts
from xuka.catalogue import queries as catalogue
from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.span import Span
from xuka.receipts import rules
from xuka.receipts.models import Receipt, Series
from xuka.receipts.rules import CREDIT_NOTE, RECEIPT, Line, Paid, Seller


class DifferentReceipt(Exception):
    """A receipt of this cause, or a credit note of this leg, was issued for another amount."""


class NoReceipt(Exception):
    """There is no receipt that could be corrected; nothing was issued."""


class CreditTooHigh(Exception):
    """The credit notes would sum to more than the receipt; nothing was issued."""


@transaction.atomic
def issue(
    *,
    cause: UUID,
    customer: UUID,
    market: str,
    currency: str,
    lines: Sequence[Line],
    tax_basis_points: int,
    paid_with: Sequence[Paid],
    card_last: str,
    period: Span | None,
    now: datetime,
    supplied_at: datetime | None = None,
) -> Receipt:
    """Issue the receipt of this cause under the next number of its market and year, in the caller's transaction.

    Calling it again gives the receipt that was issued first, whatever the words. A transaction that is rolled back
    takes no number.

    Args:
        cause: the order's id.
        market: ISO 3166 ("BE"); its zone decides the year and writes the dates.
        lines: what was bought, tax inside; they sum to the total.
        paid_with: how; the amounts sum to the total.
        card_last: the last digits of the card's number.
        period: what was bought, None while it waits without dates.
        supplied_at: when it was delivered; the same as ``now`` unless given.
        now: aware UTC.

    Raises:
        DoesNotAddUp: the lines or what was paid do not sum to one positive total.
        DifferentReceipt: this cause has a receipt for another customer, currency or total.
    """
    total = Money(rules.total_of(lines, paid_with), currency)
    id = ids.derived(cause, RECEIPT)
    if there := _there(id, customer, total):
        return there
    place, buyer = catalogue.market(market), accounts.user(customer)
    assert place is not None, "a receipt belongs to a market"
    assert buyer is not None, "a receipt belongs to a customer"
    series = _series(rules.series_of(market=market, zone=place.zone, now=now, kind=RECEIPT))
    if there := _there(id, customer, total):  # issued by another while this one waited for the series
        return there
    document = rules.document(
        seller=_seller(market),
        customer_name=buyer.get_full_name(),
        order=str(cause),
        card_last=card_last,
        market=market,
        zone=place.zone,
        lines=lines,
        rates=rules.receipt_rates(total=total, tax_basis_points=tax_basis_points),
        paid_with=paid_with,
        period=period,
        supplied_at=supplied_at or now,
    )
    return _store(
        series, id=id, cause=cause, kind=RECEIPT, customer_id=customer, total=total, document=document, now=now
    )


@transaction.atomic
def credit(*, cause: UUID, amount_minor: int, why: str, now: datetime, leg: str = "refund") -> Receipt:
    """Issue a credit note on the receipt of this cause, in the caller's transaction.

    Calling it again with the same leg gives the note that was issued first; further notes have legs of their own.

    Args:
        amount_minor: what is given back, positive, tax inside, in the receipt's currency.
        why: a word of the catalogue of texts: "not_delivered", "withdrawn", "goodwill" or "mistake";
            any other prints nothing.

    Raises:
        ValueError: the amount is not positive.
        NoReceipt: this cause has none.
        CreditTooHigh: the notes would sum to more than the receipt.
        DifferentReceipt: this leg was credited with another amount.
    """
    if amount_minor <= 0:
        raise ValueError("A credit note gives something back.")
    receipt = Receipt.objects.select_for_update().filter(cause=cause, kind=RECEIPT).first()
    if receipt is None:
        raise NoReceipt("There is no receipt to correct.")
    id, total = ids.derived(cause, f"{CREDIT_NOTE}:{leg}"), Money(-amount_minor, receipt.currency)
    if there := _there(id, receipt.customer_id, total):
        return there
    credited = _credited(receipt)
    if credited + amount_minor > receipt.total_minor:
        raise CreditTooHigh(f"{credited} of {receipt.total_minor} are credited already.")
    rates = rules.credit_rates(
        amount_minor=amount_minor,
        credited_minor=credited,
        currency=receipt.currency,
        tax_basis_points=receipt.document["rates"][0]["rate_basis_points"],
    )
    market, zone = receipt.document["market"], receipt.document["zone"]
    return _store(
        _series(rules.series_of(market=market, zone=zone, now=now, kind=CREDIT_NOTE)),
        id=id,
        cause=cause,
        kind=CREDIT_NOTE,
        corrects=receipt,
        customer_id=receipt.customer_id,
        total=total,
        document=rules.credit_document(receipt.document, rates=rates, why=why),
        now=now,
    )


def _credited(receipt: Receipt) -> int:
    """What the notes on this receipt sum to, positive."""
    return -(Receipt.objects.filter(corrects=receipt).aggregate(sum=Sum("total_minor"))["sum"] or 0)


def _there(id: UUID, customer: UUID, total: Money) -> Receipt | None:
    """What was issued under this id. Raises ``DifferentReceipt`` when it says something else."""
    row = Receipt.objects.filter(id=id).first()
    if row and (row.customer_id, row.total_minor, row.currency) != (customer, total.minor, total.currency):
        raise DifferentReceipt(f"{row.full_number} was issued for {row.total_minor} {row.currency}.")
    return row


def _series(code: str) -> Series:
    """The series, locked until this transaction ends: whoever wants its next number waits here."""
    Series.objects.bulk_create([Series(code=code)], ignore_conflicts=True)
    return Series.objects.select_for_update().get(code=code)


def _store(series: Series, *, total: Money, now: datetime, **fields: Any) -> Receipt:
    series.last_number += 1
    series.save(update_fields=["last_number"])
    receipt = Receipt.objects.create(
        series=series,
        number=series.last_number,
        issued_at=now,
        currency=total.currency,
        total_minor=total.minor,
        **fields,
    )
    journal.record(
        what="receipt.credited" if receipt.is_credit_note else "receipt.issued",
        subject=receipt.cause,
        who="seller",
        why=receipt.document.get("why", ""),
        after={"number": receipt.full_number, "total_minor": total.minor, "currency": total.currency},
        now=now,
    )
    return receipt


def _seller(market: str) -> Seller:
    """The seller as this installation names itself; without a valid number for the market it names none."""
    number = {"BE": settings.SELLER_VAT_NUMBER, "JP": settings.SELLER_JP_NUMBER}.get(market, "")
    address = tuple(line.strip() for line in settings.SELLER_ADDRESS.split("|") if line.strip())
    return Seller(settings.SELLER_NAME, address, rules.registration_of(market, number) if number else "")
