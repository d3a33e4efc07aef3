"""Reading tickets."""

from __future__ import annotations

from uuid import UUID

from xuka.support.models import Ticket


def tickets_of(customer: UUID) -> list[Ticket]:
    """The customer's tickets, the newest first."""
    return list(Ticket.objects.filter(customer_id=customer).order_by("-opened_at", "id"))
