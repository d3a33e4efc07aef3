from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models import Q


class State(models.TextChoices):
    """Planned is due some day; told was a letter's first, merged was told in the letter of another; dropped was not."""

    PLANNED = "planned"
    TOLD = "told"
    DROPPED = "dropped"
    MERGED = "merged"


class Reminder(models.Model):
    """One thing that a customer must hear about a card: at most once of each kind and cause."""

    # The id is made of what may be there once only: no other constraint needs to say so.
    id = models.UUIDField(primary_key=True, help_text="uuid5(line, kind and cause)")
    # Both are read in the transaction that writes them; a check of each row would cost as much as the row.
    line = models.ForeignKey("lines.Line", models.PROTECT, related_name="+", db_constraint=False)
    line_id: UUID
    customer = models.ForeignKey("accounts.User", models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    customer_id: UUID
    kind = models.CharField(max_length=30)
    cause = models.TextField(help_text="Which end, window or order it is about.")
    due_at: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    not_after = models.DateTimeField(null=True, help_text="When it stops being true; empty: never.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED)
    told_at = models.DateTimeField(null=True)
    letter = models.UUIDField(null=True, help_text="The cause of the messages that told it.")
    says = models.JSONField(default=dict, help_text="What cannot be read elsewhere when it is told.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["told", "merged"], told_at__isnull=False, letter__isnull=False)
                | Q(state__in=["planned", "dropped"], told_at__isnull=True, letter__isnull=True),
                name="reminder_told_by_a_letter",
            ),
        ]
        # All are partial: what is over costs nothing, and a sweep reads what is due, however many there are.
        indexes = [
            models.Index(fields=["due_at"], name="reminder_due", condition=Q(state="planned")),
            models.Index(fields=["customer", "due_at"], name="reminder_together", condition=Q(state="planned")),
            models.Index(fields=["letter"], name="reminder_letter", condition=Q(letter__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} ({self.state})"
