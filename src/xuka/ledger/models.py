from __future__ import annotations

from uuid import UUID

from django.db import models
from django.db.models import F, Q


class Account(models.Model):
    """A place where units of one kind lie: a customer's wallet, an order's hold, the seller's revenue.

    Accounts with a limit keep a running balance in minor units (credits less debits) that the database never lets
    go below zero. The seller's own accounts have none: their balance is a sum over transfers, so no row is hot.
    """

    id = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=40)
    unit = models.CharField(max_length=12, help_text="An ISO 4217 currency, or 'points'.")
    limited = models.BooleanField()
    balance = models.BigIntegerField(null=True, help_text="Minor units; only where the account is limited.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["id", "unit"], name="account_id_unit"),
            models.CheckConstraint(
                condition=Q(limited=True, balance__isnull=False, balance__gte=0)
                | Q(limited=False, balance__isnull=True),
                name="account_balance_not_negative",
            ),
        ]
        indexes = [
            models.Index(fields=["kind"], name="account_full", condition=Q(balance__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} ({self.unit})"


class Transfer(models.Model):
    """An amount that moved from one account (debit) to another (credit), both in the same unit.

    One row is both sides, so every unit sums to zero by construction. Rows are only ever added; a mistake is undone
    by a transfer the other way. The same unit on both sides is held by composite foreign keys (see the migration).
    """

    id = models.UUIDField(primary_key=True, help_text="uuid5(cause, leg)")
    cause = models.UUIDField()
    leg = models.CharField(max_length=60)
    debit = models.ForeignKey(Account, models.PROTECT, related_name="+", db_constraint=False)
    debit_id: UUID
    credit = models.ForeignKey(Account, models.PROTECT, related_name="+", db_constraint=False)
    credit_id: UUID
    unit = models.CharField(max_length=12)
    amount = models.BigIntegerField(help_text="Minor units, always positive.")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="transfer_amount_positive"),
            models.CheckConstraint(condition=~Q(debit=F("credit")), name="transfer_two_accounts"),
        ]
        indexes = [models.Index(fields=["cause"], name="transfer_cause")]

    def __str__(self) -> str:
        return f"{self.leg} {self.amount} {self.unit}"
