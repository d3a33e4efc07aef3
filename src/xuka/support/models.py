from __future__ import annotations

from uuid import UUID

from django.db import models


class Ticket(models.Model):
    """A question or complaint that someone wrote to the seller."""

    customer_id: UUID | None
    id = models.UUIDField(primary_key=True, help_text="Made by whoever asks.")
    customer = models.ForeignKey("accounts.User", models.PROTECT, null=True, blank=True, related_name="+")
    order_id = models.UUIDField(null=True, blank=True, help_text="The order it is about; one of the customer's own.")
    email = models.EmailField(max_length=254, help_text="Where the answer goes.")
    language = models.CharField(max_length=10)
    text = models.TextField()
    opened_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["customer", "opened_at"], name="ticket_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.email} {self.opened_at:%Y-%m-%d %H:%M}"
