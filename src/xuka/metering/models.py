from __future__ import annotations

from uuid import UUID

from django.db import models


class Reading(models.Model):
    """What the carrier last told of a card's data. Volumes are empty where it does not tell, never zero."""

    line = models.OneToOneField("lines.Line", models.PROTECT, primary_key=True, related_name="+")
    line_id: UUID
    unlimited = models.BooleanField()
    remaining_bytes = models.BigIntegerField(null=True)
    total_bytes = models.BigIntegerField(null=True)
    expires_at = models.DateTimeField(null=True, help_text="The carrier's end of the running package.")
    status = models.CharField(max_length=40, help_text="The carrier's word, for staff.")
    as_of = models.DateTimeField(null=True, help_text="When the figures were true; empty until the first answer.")
    asked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.line_id} {self.as_of}"
