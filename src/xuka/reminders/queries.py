"""Reading reminders."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from xuka.reminders.models import Reminder, State


def due(now: datetime, *, limit: int = 500) -> list[Reminder]:
    """Reminders that should be told now, those due longest first."""
    rows = Reminder.objects.filter(state=State.PLANNED, due_at__lte=now)
    return list(rows.order_by("due_at")[:limit])


def planned_for(line_id: UUID) -> list[Reminder]:
    """What this card's owner is still to hear, in order of time."""
    return list(Reminder.objects.filter(line_id=line_id, state=State.PLANNED).order_by("due_at", "kind"))
