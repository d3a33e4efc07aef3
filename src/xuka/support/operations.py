"""Everything that writes to tickets."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _

from xuka.journal import operations as journal
from xuka.messaging import operations as messaging
from xuka.renewals import queries as renewals
from xuka.support.models import Ticket
from xuka.support.rules import LONGEST, mail_subject, mail_text, text_of


class InvalidTicket(ValueError):
    """The ticket cannot be opened; the sentence, in the reader's language, says why. Nothing was stored."""


class DifferentTicket(Exception):
    """A ticket of this id exists with other content; nothing was stored."""


@transaction.atomic
def open_ticket(
    *,
    id: UUID,
    customer: UUID | None,
    order_id: UUID | None,
    email: str,
    text: str,
    language: str,
    seller: str,
    now: datetime,
) -> Ticket:
    """Store what someone writes and mail it to the seller. The same ticket again changes nothing.

    Args:
        id: made by the browser, so that a form sent twice is one ticket.
        customer: who is signed in, if anyone.
        order_id: one of that customer's own orders, or None.
        email: where the answer should go.
        text: at most 4000 characters.
        language: the language it is written from, such as "zh-hans".
        seller: the address it is mailed to.
        now: aware UTC.

    Raises:
        InvalidTicket: no text, too much of it, no e-mail address, or an order that is not this customer's.
        DifferentTicket: the id was used for another ticket.
    """
    text, email = text_of(text), email.strip()
    _check(customer=customer, order_id=order_id, email=email, text=text)
    told = {"customer_id": customer, "order_id": order_id, "email": email, "text": text}
    ticket, new = Ticket.objects.get_or_create(id=id, defaults=told | {"language": language, "opened_at": now})
    if not new:
        if any(getattr(ticket, name) != value for name, value in told.items()):
            raise DifferentTicket(f"Ticket {id} exists with other content.")
        return ticket
    messaging.queue(
        cause=id,
        kind="ticket",
        to=seller,
        language=language,
        subject=mail_subject(ticket=id, order=order_id),
        text=mail_text(ticket=id, order=order_id, email=email, customer=customer, language=language, text=text),
        now=now,
    )
    journal.record(
        what="ticket.opened",
        subject=id,
        who=f"customer:{customer}" if customer else "visitor",
        after={"order": str(order_id) if order_id else None},
        now=now,
    )
    return ticket


def _check(*, customer: UUID | None, order_id: UUID | None, email: str, text: str) -> None:
    if not text:
        raise InvalidTicket(_("Please write what we can do for you."))
    if len(text) > LONGEST:
        raise InvalidTicket(_("Please write at most %(count)s characters.") % {"count": LONGEST})
    if not _is_email(email):
        raise InvalidTicket(_("Please give an e-mail address for the answer."))
    if order_id and (customer is None or renewals.order_of(customer, order_id) is None):
        raise InvalidTicket(_("This order was not found."))


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return len(text) <= 254
