from __future__ import annotations

from uuid import UUID

from django.db import models
from django.db.models import Q


class State(models.TextChoices):
    """How far a message has come; the last three are final."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    STALE = "stale"


class Message(models.Model):
    """The outbox: one message to one address, and what became of it.

    A message is due when ``next_try_at`` has come; while it is being sent that is the end of the lease, so a sender
    that died is followed by another.
    """

    customer_id: UUID | None
    id = models.UUIDField(primary_key=True, help_text="uuid5(cause, kind and address)")
    cause = models.UUIDField(help_text="What it is about: an order, a ticket, a sign-in.")
    kind = models.CharField(max_length=60)
    channel = models.CharField(max_length=20, default="email")
    to = models.CharField(max_length=1000, help_text="A browser's subscription is longer than any address.")
    language = models.CharField(max_length=10)
    subject = models.CharField(max_length=200)
    text = models.TextField()
    html = models.TextField(blank=True, help_text="Empty where it is made from the text when it is sent.")
    unsubscribe = models.CharField(max_length=300, blank=True, help_text="The address of its one-click end.")
    # An account is never deleted while something of it is here; a check of each row would cost as much as the row.
    customer = models.ForeignKey(
        "accounts.User", models.PROTECT, null=True, blank=True, related_name="+", db_constraint=False
    )
    secret = models.BooleanField(default=False, help_text="Its words are forgotten once it is sent or given up.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    tries = models.PositiveSmallIntegerField(default=0)
    queued_at = models.DateTimeField()
    not_after = models.DateTimeField(null=True, blank=True, help_text="From then on its words are not true any more.")
    next_try_at = models.DateTimeField(null=True, help_text="Empty once the state is final.")
    lease_until = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    reference = models.CharField(max_length=200, blank=True, help_text="The other side's own name for it.")
    error = models.TextField(blank=True, help_text="Why the last try did not succeed; for staff.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cause", "kind", "to"], name="message_once"),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "sending"], next_try_at__isnull=False)
                | Q(state__in=["sent", "failed", "stale"], next_try_at__isnull=True),
                name="message_due_until_final",
            ),
            models.CheckConstraint(
                condition=Q(state="sending", lease_until__isnull=False)
                | (~Q(state="sending") & Q(lease_until__isnull=True)),
                name="message_leased_while_sending",
            ),
            models.CheckConstraint(
                condition=Q(state="sent", sent_at__isnull=False) | (~Q(state="sent") & Q(sent_at__isnull=True)),
                name="message_sent_at",
            ),
        ]
        indexes = [
            models.Index(fields=["next_try_at"], name="message_due", condition=Q(next_try_at__isnull=False)),
            models.Index(fields=["not_after"], name="message_stale", condition=Q(state="queued")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} ({self.state})"


class Attachment(models.Model):
    """A file that goes with a message, kept until that is sent. Only what can be made again is attached."""

    id = models.BigAutoField(primary_key=True)
    message = models.ForeignKey(Message, models.CASCADE, related_name="+")
    message_id: UUID
    name = models.CharField(max_length=200)
    mime = models.CharField(max_length=100)
    content = models.BinaryField()

    def __str__(self) -> str:
        return self.name
