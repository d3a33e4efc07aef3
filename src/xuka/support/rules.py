"""What a ticket may hold, and the words of its mail. Pure."""

from __future__ import annotations

import unicodedata
from uuid import UUID

LONGEST = 4000


def text_of(text: str) -> str:
    """The text as it is stored: trimmed, line ends as \\n, no control characters; "" when nothing is left."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in lines if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"}).strip()


def mail_subject(*, ticket: UUID, order: UUID | None) -> str:
    """The subject of the mail to the seller: the order's number where there is one, else the ticket's."""
    return f"Order {order}: a customer writes" if order else f"Ticket {ticket}: someone writes"


def mail_text(*, ticket: UUID, order: UUID | None, email: str, customer: UUID | None, language: str, text: str) -> str:
    """The mail to the seller: facts, then the text as it was written."""
    facts = [
        f"Reply to: {email}",
        f"Language: {language}",
        f"Order:    {order or 'none'}",
        f"Customer: {customer or 'not signed in'}",
        f"Ticket:   {ticket}",
    ]
    return "\n".join([*facts, "", text, ""])
