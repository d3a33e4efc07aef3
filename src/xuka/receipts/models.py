from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Q

from xuka.receipts.rules import CREDIT_NOTE, RECEIPT


class Series(models.Model):
    """A row of numbers without gaps. The row is locked from the moment a number is taken until it is committed."""

    code = models.CharField(primary_key=True, max_length=12, help_text="BE-2026; credit notes BE-2026-C.")
    last_number = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.code} up to {self.last_number}"


class Receipt(models.Model):
    """What a customer was given for their money, or back: never changed, never deleted.

    The database refuses a changed or deleted row, a number that is not the next of its series, a number taken without
    a receipt, and credit notes that together exceed their receipt (see the migration).
    """

    id = models.UUIDField(primary_key=True, help_text="uuid5(cause, kind), for credit notes with their leg.")
    cause = models.UUIDField(help_text="The order.")
    kind = models.CharField(max_length=12, choices=[(RECEIPT, "receipt"), (CREDIT_NOTE, "credit note")])
    series = models.ForeignKey(Series, models.PROTECT, related_name="+", db_column="series")
    series_id: str
    number = models.PositiveIntegerField()
    corrects = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="+")
    corrects_id: UUID | None
    customer = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    customer_id: UUID
    issued_at = models.DateTimeField()
    currency = models.CharField(max_length=3)
    total_minor = models.BigIntegerField(help_text="Minor units, tax inside; of a credit note negative.")
    document: Any = models.JSONField(help_text="Everything it says, as it was then.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["series", "number"], name="receipt_number"),
            models.UniqueConstraint(fields=["cause"], name="one_receipt_a_cause", condition=Q(kind=RECEIPT)),
            models.CheckConstraint(
                condition=Q(kind=RECEIPT, total_minor__gt=0, corrects__isnull=True)
                | Q(kind=CREDIT_NOTE, total_minor__lt=0, corrects__isnull=False),
                name="receipt_sign",
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "-issued_at"], name="receipt_customer"),
            models.Index(fields=["cause"], name="receipt_cause"),
        ]

    def __str__(self) -> str:
        return self.full_number

    @property
    def full_number(self) -> str:
        """The number as it is printed: "BE-2026-000017"."""
        return f"{self.series_id}-{self.number:06d}"

    @property
    def is_credit_note(self) -> bool:
        return self.kind == CREDIT_NOTE
