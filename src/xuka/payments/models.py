from __future__ import annotations

from uuid import UUID

from django.db import models
from django.db.models import Q

from xuka.payments.rules import LIVE_STATES, PaymentState, RefundState


class Payment(models.Model):
    """One try to pay: what was asked of a provider, and what became of it. Its id is the key the provider knows.

    What was asked never changes, so that the same key always comes with the same content.
    """

    id = models.UUIDField(primary_key=True, help_text="Made by the payer's browser: the idempotency key.")
    cause = models.UUIDField(help_text="What is paid for: the order.")
    account_id = models.UUIDField(help_text="The ledger account that the money fills.")
    customer = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    customer_id: UUID
    provider = models.CharField(max_length=40)
    is_live = models.BooleanField(help_text="Whether real money moves.")
    method = models.CharField(max_length=40)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    description = models.CharField(max_length=200)
    return_url = models.CharField(max_length=500)
    language = models.CharField(max_length=10)
    pay_by = models.DateTimeField(help_text="Closed then; nothing is waited for any more.")
    payer = models.CharField(max_length=120, blank=True)
    save_card = models.BooleanField(default=False, help_text="The customer consented to have the card kept.")
    saved_card = models.CharField(max_length=120, blank=True)

    state = models.CharField(max_length=12, choices=PaymentState.choices())
    closing = models.BooleanField(default=False, help_text="Nothing more shall be paid on it.")
    reason = models.CharField(max_length=40, blank=True)
    detail = models.TextField(blank=True, help_text="For staff.")
    reference = models.CharField(max_length=120, blank=True, help_text="The provider's own id.")
    url = models.TextField(blank=True, help_text="Where the customer pays.")
    charge = models.CharField(max_length=120, blank=True, help_text="The provider's id of the money taken.")
    paid_minor = models.BigIntegerField(null=True)
    paid_currency = models.CharField(max_length=3, blank=True)
    asks = models.PositiveSmallIntegerField(default=0)
    looks = models.PositiveSmallIntegerField(default=0)
    asked_at = models.DateTimeField()
    absent_at = models.DateTimeField(help_text="Not found after this means surely never begun.")
    lease_until = models.DateTimeField(null=True, help_text="Somebody is asking or looking until then.")
    next_step_at = models.DateTimeField(null=True, help_text="When to look at it again; empty when it has ended.")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account_id"],
                name="one_live_payment_an_account",
                condition=Q(state__in=[state.value for state in LIVE_STATES], closing=False),
            ),
            models.UniqueConstraint(
                fields=["provider", "reference"], name="payment_reference_once", condition=~Q(reference="")
            ),
            models.UniqueConstraint(fields=["provider", "charge"], name="payment_charge_once", condition=~Q(charge="")),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payment_amount_positive"),
            models.CheckConstraint(
                condition=Q(state__in=["paid", "mismatched"], paid_minor__isnull=False, paid_minor__gt=0)
                | (~Q(state__in=["paid", "mismatched"]) & Q(paid_minor__isnull=True)),
                name="payment_paid_has_amount",
            ),
            models.CheckConstraint(
                condition=~Q(state="paid") | Q(paid_minor=models.F("amount_minor"), paid_currency=models.F("currency")),
                name="payment_paid_as_asked",
            ),
        ]
        indexes = [
            models.Index(fields=["cause"], name="payment_cause"),
            models.Index(fields=["account_id"], name="payment_account"),
            models.Index(fields=["next_step_at"], name="payment_due", condition=Q(next_step_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} {self.currency} {self.state}"


class Refund(models.Model):
    """Money on its way back to where it came from. A refund that failed waits for a person."""

    id = models.UUIDField(primary_key=True, help_text="uuid5(cause, leg and payment)")
    cause = models.UUIDField(help_text="What had been paid for: the order.")
    account_id = models.UUIDField(help_text="The ledger account that the money comes from.")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="refunds")
    payment_id: UUID
    leg = models.CharField(max_length=60)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    round = models.PositiveSmallIntegerField(default=0, help_text="A person let it be asked again, so many times.")
    state = models.CharField(max_length=12, choices=RefundState.choices())
    reason = models.CharField(max_length=40, blank=True)
    detail = models.TextField(blank=True, help_text="For staff.")
    reference = models.CharField(max_length=120, blank=True, help_text="The provider's own id.")
    asks = models.PositiveSmallIntegerField(default=0)
    looks = models.PositiveSmallIntegerField(default=0)
    absent_at = models.DateTimeField(null=True, help_text="Not found after this means surely not taken.")
    lease_until = models.DateTimeField(null=True, help_text="Somebody is asking or looking until then.")
    next_step_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_amount_positive")]
        indexes = [
            models.Index(fields=["cause"], name="refund_cause"),
            models.Index(fields=["account_id"], name="refund_account"),
            models.Index(fields=["next_step_at"], name="refund_due", condition=Q(next_step_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} {self.currency} {self.state}"


class Event(models.Model):
    """A webhook as it arrived, stored once before it is answered."""

    class State(models.TextChoices):
        STORED = "stored"
        DIGESTED = "digested"
        IGNORED = "ignored"
        UNKNOWN = "unknown"  # about no payment of ours: set aside

    id = models.UUIDField(primary_key=True, help_text="uuid5(provider, the provider's id)")
    provider = models.CharField(max_length=40)
    event_id = models.CharField(max_length=120)
    kind = models.CharField(max_length=80)
    key = models.CharField(max_length=120, blank=True)
    charge = models.CharField(max_length=120, blank=True)
    body = models.TextField(help_text="Exactly as it came.")
    state = models.CharField(max_length=10, choices=State.choices)
    received_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "event_id"], name="event_once")]
        indexes = [models.Index(fields=["received_at"], name="event_undigested", condition=Q(state="stored"))]

    def __str__(self) -> str:
        return f"{self.provider} {self.kind}"


class Health(models.Model):
    """Whether a provider answers. Written only when that changes."""

    provider = models.CharField(primary_key=True, max_length=40)
    silences = models.PositiveSmallIntegerField(default=0, help_text="Calls in a row without an answer.")
    down_until = models.DateTimeField(null=True, help_text="Not offered until then.")

    def __str__(self) -> str:
        return f"{self.provider} {self.silences}"


class Payer(models.Model):
    """A customer as a provider knows them: an id without a person behind it."""

    id = models.UUIDField(primary_key=True, help_text="uuid5(customer, provider and mode)")
    customer = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    customer_id: UUID
    provider = models.CharField(max_length=40)
    is_live = models.BooleanField()
    reference = models.CharField(max_length=120)

    def __str__(self) -> str:
        return f"{self.provider} {self.customer_id}"


class SavedCard(models.Model):
    """A card kept at the provider, with the customer's consent. Its number was never here."""

    id = models.UUIDField(primary_key=True, help_text="uuid5(customer, the provider's id)")
    customer = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    customer_id: UUID
    provider = models.CharField(max_length=40)
    is_live = models.BooleanField()
    reference = models.CharField(max_length=120)
    payer = models.CharField(max_length=120)
    brand = models.CharField(max_length=30)
    last_four = models.CharField(max_length=4)
    expires_year = models.PositiveSmallIntegerField()
    expires_month = models.PositiveSmallIntegerField()
    consented_at = models.DateTimeField()
    forgotten_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.brand} {self.last_four}"


class MethodFee(models.Model):
    """What paying by a method costs the customer on top. Off unless a person recorded the permission to ask it."""

    id = models.UUIDField(primary_key=True, help_text="uuid5(market, method)")
    market = models.CharField(max_length=2)
    method = models.CharField(max_length=40)
    basis_points = models.PositiveIntegerField(help_text="Of what is paid, tax included; rounded half up.")
    permission = models.TextField(help_text="The law, contract or scheme rule that allows it.")
    recorded_by = models.UUIDField()
    recorded_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["market", "method"], name="fee_once"),
            # PSD2 art. 62 (4) and Regulation (EU) 2015/751: no surcharge on consumer cards in the EU.
            models.CheckConstraint(condition=~Q(market="BE"), name="fee_not_in_belgium"),
            models.CheckConstraint(condition=~Q(permission=""), name="fee_has_permission"),
        ]

    def __str__(self) -> str:
        return f"{self.market} {self.method} {self.basis_points}"
