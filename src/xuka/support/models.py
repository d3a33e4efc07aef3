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


class Recovery(models.Model):
    """Somebody with a card of an account asks for that account at a new address. See ``support.recovery``."""

    class State(models.TextChoices):
        """How far it has come; the last three are final."""

        ASKED = "asked"
        APPROVED = "approved"
        STOPPED = "stopped"
        REFUSED = "refused"
        DONE = "done"

    customer_id: UUID
    line_id: UUID
    id = models.UUIDField(primary_key=True, help_text="Made by the page.")
    customer = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    line = models.ForeignKey("lines.Line", models.PROTECT, related_name="+", help_text="The card that was shown.")
    new_email = models.EmailField(max_length=254)
    language = models.CharField(max_length=10)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    asked_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True, blank=True, help_text="When the address is replaced, once approved.")
    stop_url = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name_plural = "recoveries"
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=models.Q(state="approved"), name="recovery_one_approved"
            ),
            models.CheckConstraint(
                condition=~models.Q(state__in=["approved", "done"]) | models.Q(ready_at__isnull=False),
                name="recovery_waits_a_day",
            ),
        ]
        indexes = [
            models.Index(fields=["ready_at"], name="recovery_due", condition=models.Q(state="approved")),
        ]

    def __str__(self) -> str:
        return f"{self.new_email} ({self.state})"
