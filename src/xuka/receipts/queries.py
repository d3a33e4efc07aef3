"""Reading receipts and credit notes."""

from __future__ import annotations

from uuid import UUID

from xuka.receipts.models import Receipt


def receipts_of(customer: UUID, *, limit: int = 500) -> list[Receipt]:
    """The customer's receipts and credit notes, the newest first."""
    return list(_receipts().filter(customer_id=customer).order_by("-issued_at", "-series", "-number")[:limit])


def receipts_about(cause: UUID) -> list[Receipt]:
    """The receipt of this order and the credit notes on it, the oldest first."""
    return list(_receipts().filter(cause=cause).order_by("issued_at", "-kind", "number"))


def receipt_numbered(full_number: str) -> Receipt | None:
    """The receipt of this printed number ("BE-2026-000017"); of a credit note's, the receipt that it corrects."""
    series, _, number = full_number.strip().upper().rpartition("-")
    if not number.isdecimal() or len(number) > 9:
        return None
    found = _receipts().filter(series_id=series, number=int(number)).first()
    return found.corrects if found and found.is_credit_note else found


def receipt_of(customer: UUID, id: UUID) -> Receipt | None:
    """This customer's receipt or credit note, None when there is none or it is someone else's."""
    return _receipts().filter(id=id, customer_id=customer).first()


def _receipts():
    return Receipt.objects.select_related("corrects", "customer")
