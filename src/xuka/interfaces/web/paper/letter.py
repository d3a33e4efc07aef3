"""The letter that brings a receipt again."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from xuka.interfaces.web.paper import pdf, words
from xuka.kernel import ids
from xuka.messaging import operations as messaging
from xuka.receipts.models import Receipt


def send(*, receipt: Receipt, request: UUID, now: datetime) -> str:
    """Queue a letter with the receipt to its customer, in their language.

    Args:
        request: the id of this wish: one letter for each, however often it is sent.

    Returns:
        The address that it goes to.
    """
    customer = receipt.customer
    with translation.override(customer.language):
        told = {
            "paper": words.paper(receipt),
            "what": words.what(receipt),
            "customer": customer,
            "url": f"{settings.SITE_URL}/receipts/{receipt.id}/",
            "seller": settings.SELLER_NAME,
        }
        messaging.queue(
            cause=ids.derived(receipt.id, str(request)),
            kind="receipt",
            to=customer.email,
            language=customer.language,
            subject=render_to_string("mail/receipt.subject.txt", told),
            text=render_to_string("mail/receipt.txt", told),
            html=render_to_string("mail/receipt.html", told),
            attachments=[pdf.attachment(receipt, customer.language)],
            customer=customer.id,
            now=now,
        )
    return customer.email
