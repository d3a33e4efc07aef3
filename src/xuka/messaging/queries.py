"""Reading the outbox."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from xuka.messaging.models import Message


def due_messages(now: datetime, *, limit: int = 500) -> list[UUID]:
    """Messages that should be tried now, those due longest first: new ones, later tries, and those of dead senders."""
    due = Message.objects.filter(next_try_at__lte=now).order_by("next_try_at", "id")
    return list(due.values_list("id", flat=True)[:limit])


def messages_about(cause: UUID) -> list[Message]:
    """Every message of this cause, the first queued first."""
    return list(Message.objects.filter(cause=cause).order_by("queued_at", "id"))


def message(id: UUID) -> Message | None:
    """The message of this id; None when there is none."""
    return Message.objects.filter(id=id).first()
