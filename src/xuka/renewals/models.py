from __future__ import annotations

from uuid import UUID

from django.db import models
from django.db.models import Q

from xuka.renewals.rules import OPEN_STATES, State


class Quote(models.Model):
    """What a renewal would cost and do, promised until ``expires_at``. Spent by at most one order."""

    id = models.UUIDField(primary_key=True)
    customer = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    customer_id: UUID
    line = models.ForeignKey("lines.Line", models.PROTECT, null=True, related_name="+", help_text="Null: a new eSIM.")
    line_id: UUID | None
    plan_version = models.ForeignKey("catalogue.PlanVersion", models.PROTECT, related_name="+")
    plan_version_id: UUID
    track = models.CharField(max_length=20, default="main")
    lines = models.JSONField(help_text='Price lines that add up: [{"kind", "label", "amount_minor"}].')
    total_minor = models.BigIntegerField(help_text="Minor units, tax inside.")
    tax_minor = models.BigIntegerField()
    tax_basis_points = models.IntegerField()
    currency = models.CharField(max_length=3)
    starts_on_activation = models.BooleanField(help_text="Nothing runs: the period starts when the carrier takes it.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    kept = models.JSONField(help_text='What stays: [{"kind", …}].')
    lost = models.JSONField(help_text='What is lost: [{"kind", …}].')
    why_not = models.CharField(max_length=40, blank=True, help_text="Why payment is not offered; empty: it is.")
    quoted_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.total_minor} {self.currency} until {self.expires_at}"

    @property
    def payment_offered(self) -> bool:
        """Whether it may be paid now."""
        return not self.why_not

    @property
    def market_id(self) -> str:
        """The market in which it is bought."""
        return self.plan_version.plan.market_id

    @property
    def zone(self) -> str:
        """The zone in which its times are shown."""
        return self.line.zone if self.line else self.plan_version.plan.market.zone


class Order(models.Model):
    """A bought renewal, or a new eSIM, on its way. Only ``steps.move_to`` assigns ``state``."""

    id = models.UUIDField(primary_key=True, help_text="Made by the buyer's browser: the idempotency key.")
    customer = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    customer_id: UUID
    line = models.ForeignKey(
        "lines.Line", models.PROTECT, null=True, related_name="+", help_text="Null: a new eSIM, until it is delivered."
    )
    line_id: UUID | None
    is_first = models.BooleanField(
        default=False, db_default=False, help_text="A new eSIM is bought; else a card is renewed."
    )
    plan_version = models.ForeignKey("catalogue.PlanVersion", models.PROTECT, related_name="+")
    plan_version_id: UUID
    quote = models.OneToOneField(Quote, models.PROTECT, related_name="+")
    quote_id: UUID
    track = models.CharField(max_length=20, default="main")
    hold_id = models.UUIDField(unique=True, help_text="The ledger account that holds its money until it is earned.")
    state = models.CharField(max_length=20, choices=State.choices())
    currency = models.CharField(max_length=3)
    total_minor = models.BigIntegerField(help_text="Minor units, tax and fee inside.")
    tax_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField(default=0, help_text="For the way of paying, inside the total.")
    pays_with = models.CharField(max_length=40, default="wallet", help_text="The way of paying last chosen.")
    has_payments = models.BooleanField(default=False, help_text="A provider was asked for money.")
    returns = models.PositiveSmallIntegerField(default=0, help_text="How often money went back that was not needed.")
    reason = models.CharField(max_length=40, blank=True, help_text="Why it went wrong, a word for a sentence.")
    placed_at = models.DateTimeField()
    pay_by = models.DateTimeField()
    funded_at = models.DateTimeField(null=True)
    promised_by = models.DateTimeField(null=True, help_text="Active by then, or the money goes back.")
    ended_at = models.DateTimeField(null=True)
    next_step_at = models.DateTimeField(null=True, help_text="When to look at it again; null when it is final.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["line", "track"],
                name="one_open_order_a_track",
                condition=Q(state__in=[state.value for state in OPEN_STATES]),
            ),
            models.CheckConstraint(condition=Q(total_minor__gt=0), name="order_total_positive"),
            models.CheckConstraint(condition=Q(line__isnull=False) | Q(is_first=True), name="order_renews_a_line"),
            models.CheckConstraint(
                condition=Q(line__isnull=False) | ~Q(state=State.ACTIVE.value), name="order_active_has_a_line"
            ),
        ]
        indexes = [
            models.Index(fields=["next_step_at"], name="order_due", condition=Q(next_step_at__isnull=False)),
            models.Index(fields=["customer", "-placed_at"], name="order_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.state}"

    @property
    def market_id(self) -> str:
        """The market in which it is bought."""
        return self.plan_version.plan.market_id

    @property
    def zone(self) -> str:
        """The zone in which its times are shown."""
        return self.line.zone if self.line else self.plan_version.plan.market.zone
