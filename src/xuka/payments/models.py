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
    save_method = models.BooleanField(default=False, help_text="The customer consented to have the card kept.")
    saved_method = models.CharField(max_length=120, blank=True)

    device = models.CharField(max_length=8, default="desk", help_text="A phone opens the app, a desk shows a QR code.")
    client_ip = models.CharField(max_length=45, blank=True, help_text="For providers that ask; gone when it ends.")
    off_session = models.BooleanField(default=False, help_text="Nobody was there: by the mandate of the saved method.")

    state = models.CharField(max_length=12, choices=PaymentState.choices())
    closing = models.BooleanField(default=False, help_text="Nothing more shall be paid on it.")
    reason = models.CharField(max_length=40, blank=True)
    detail = models.TextField(blank=True, help_text="For staff.")
    reference = models.CharField(max_length=120, blank=True, help_text="The provider's own id.")
    url = models.TextField(blank=True, help_text="Where the customer pays.")
    qr = models.TextField(blank=True, help_text="What they read with the app on their phone, as a QR code.")
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
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_amount_positive"),
            models.UniqueConstraint(
                fields=["payment", "reference"], condition=~Q(reference=""), name="refund_one_of_a_reference"
            ),
        ]
        indexes = [
            models.Index(fields=["cause"], name="refund_cause"),
            models.Index(fields=["account_id"], name="refund_account"),
            models.Index(fields=["next_step_at"], name="refund_due", condition=Q(next_step_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} {self.currency} {self.state}"


class Event(models.Model):
    """A webhook, stored once before it is answered. Its words may name a person: they go once it is looked into."""

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
    body = models.TextField(help_text="As it came, until it is digested; of one that is ignored, nothing.")
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


class SavedMethod(models.Model):
    """A card or an account kept at the provider, with the customer's consent. A card's number was never here."""

    id = models.UUIDField(primary_key=True, help_text="uuid5(customer, the provider's id)")
    customer = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    customer_id: UUID
    provider = models.CharField(max_length=40)
    is_live = models.BooleanField()
    reference = models.CharField(max_length=120)
    payer = models.CharField(max_length=120)
    method = models.CharField(max_length=40)
    brand = models.CharField(max_length=30, blank=True, help_text="Of a card.")
    known_by = models.CharField(max_length=80, blank=True, help_text="Last four digits, or a masked address.")
    expires_year = models.PositiveSmallIntegerField(null=True)
    expires_month = models.PositiveSmallIntegerField(null=True)
    consented_at = models.DateTimeField()
    forgotten_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.method} {self.brand} {self.known_by}"


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


class ProviderKeys(models.Model):
    """What a provider's connector is built from, sealed with the shop's secret."""

    name = models.SlugField(primary_key=True, max_length=40)
    connector = models.CharField(max_length=40)
    sealed = models.BinaryField()
    is_on = models.BooleanField()
    kept_by = models.CharField(max_length=60)
    kept_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "provider keys"

    def __str__(self) -> str:
        return f"{self.name} ({self.connector})"


class VoucherBatch(models.Model):
    """Voucher cards made together: one value, one currency, one deadline. Its terms never change once it is made."""

    id = models.UUIDField(primary_key=True, help_text="Made with the form: the idempotency key.")
    value_minor = models.BigIntegerField(help_text="Of each card.")
    currency = models.CharField(max_length=3)
    number = models.PositiveIntegerField(help_text="How many cards.")
    redeem_by = models.DateTimeField(help_text="The last moment at which one can be redeemed.")
    liability_id = models.UUIDField(help_text="The ledger account that owes what is sold and not redeemed.")
    made_by = models.UUIDField()
    made_at = models.DateTimeField()
    sold_at = models.DateTimeField(null=True, help_text="Before that none can be redeemed.")
    sold_to = models.CharField(max_length=200, blank=True, help_text="Who paid, and has the money back for a refund.")
    revoked_at = models.DateTimeField(null=True)
    revoked_why = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "voucher batches"
        constraints = [
            models.CheckConstraint(condition=Q(value_minor__gt=0), name="voucher_value_positive"),
            models.CheckConstraint(condition=Q(number__gte=1, number__lte=10_000), name="voucher_batch_size"),
            models.CheckConstraint(
                condition=Q(redeem_by__gt=models.F("made_at")), name="voucher_deadline_after_making"
            ),
            models.CheckConstraint(
                condition=Q(sold_at__isnull=True, sold_to="") | (Q(sold_at__isnull=False) & ~Q(sold_to="")),
                name="voucher_sold_to_somebody",
            ),
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True, revoked_why="")
                | (Q(revoked_at__isnull=False) & ~Q(revoked_why="")),
                name="voucher_revoked_with_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} x {self.value_minor} {self.currency}"


class Voucher(models.Model):
    """One voucher card. Its code is nowhere: only a keyed hash of it, which the database alone does not open."""

    id = models.UUIDField(primary_key=True)
    batch = models.ForeignKey(VoucherBatch, models.PROTECT, related_name="vouchers")
    batch_id: UUID
    serial = models.CharField(max_length=20, unique=True, help_text="Printed beside the code; opens nothing.")
    code_hash = models.CharField(max_length=64, unique=True)
    redeemed_at = models.DateTimeField(null=True)
    redeemed_by = models.ForeignKey("accounts.User", models.PROTECT, related_name="+", null=True)
    redeemed_by_id: UUID | None
    transfer_id = models.UUIDField(null=True, unique=True, help_text="The ledger transfer into the wallet.")
    revoked_at = models.DateTimeField(null=True)
    refund_reference = models.CharField(max_length=120, blank=True, help_text="Of the payment to who had bought it.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(refund_reference="") | Q(revoked_at__isnull=False), name="voucher_refunded_is_revoked"
            ),
            models.CheckConstraint(
                condition=Q(redeemed_at__isnull=True, redeemed_by__isnull=True, transfer_id__isnull=True)
                | Q(redeemed_at__isnull=False, redeemed_by__isnull=False, transfer_id__isnull=False),
                name="voucher_redeemed_wholly",
            ),
            models.CheckConstraint(
                condition=Q(redeemed_at__isnull=True) | Q(revoked_at__isnull=True),
                name="voucher_redeemed_or_revoked",
            ),
        ]

    def __str__(self) -> str:
        return self.serial


class Payout(models.Model):
    """Credit of a wallet that its customer wants paid out, for they leave. Their money waits in an account of its own.

    What came by card goes back to the cards; the rest by a bank transfer that staff make, with its reference.
    """

    class State(models.TextChoices):
        ASKED = "asked"
        PAID = "paid"
        DECLINED = "declined"

    id = models.UUIDField(primary_key=True, help_text="Made with the page: the idempotency key.")
    customer = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    customer_id: UUID
    account_id = models.UUIDField(unique=True, help_text="The ledger account in which the money waits.")
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    iban = models.CharField(max_length=34, help_text="For what cannot go back to a card.")
    state = models.CharField(max_length=10, choices=State.choices)
    by_hand_minor = models.BigIntegerField(default=0, help_text="Of the amount, by bank transfer.")
    reference = models.CharField(max_length=120, blank=True)
    why = models.TextField(blank=True, help_text="In staff's words.")
    asked_at = models.DateTimeField()
    pay_by = models.DateTimeField(help_text="The law's last moment to pay it.")
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "currency"], name="one_open_payout", condition=Q(state="asked")
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, by_hand_minor__gte=0, by_hand_minor__lte=models.F("amount_minor")),
                name="payout_amounts",
            ),
            models.CheckConstraint(
                condition=Q(state="asked", settled_at__isnull=True) | (~Q(state="asked") & Q(settled_at__isnull=False)),
                name="payout_settled_at",
            ),
            models.CheckConstraint(
                condition=~Q(state="paid") | Q(by_hand_minor=0) | ~Q(reference=""), name="payout_by_hand_has_reference"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} {self.currency} {self.state}"


class SettlementReport(models.Model):
    """What a provider says that moved on one of its days. Several readings, and files, make one report."""

    class State(models.TextChoices):
        WAITING = "waiting"  # the provider has not told it yet: asked again daily
        BY_FILE = "by_file"  # the provider hands out files only: a person brings it
        READ = "read"

    id = models.UUIDField(primary_key=True, help_text="uuid5(provider, mode and day)")
    provider = models.CharField(max_length=40)
    is_live = models.BooleanField()
    day = models.DateField(help_text="The provider's own day; of a file, UTC.")
    state = models.CharField(max_length=10, choices=State.choices)
    detail = models.TextField(blank=True, help_text="Why it is not read yet.")
    source = models.CharField(max_length=64, blank=True, help_text='"call", or the SHA-256 of the last file.')
    read_at = models.DateTimeField(null=True)
    rows_read = models.PositiveIntegerField(default=0)
    sums = models.JSONField(default=dict, help_text="Minor units by kind and currency; fees below zero.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "is_live", "day"], name="settlement_report_once"),
            models.CheckConstraint(
                condition=Q(state="read", read_at__isnull=False) | (~Q(state="read") & Q(read_at__isnull=True)),
                name="settlement_report_read_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.day}"


class SettledRow(models.Model):
    """One row of a settlement report, as it was first told."""

    report = models.ForeignKey(SettlementReport, models.PROTECT, related_name="rows")
    report_id: UUID
    provider = models.CharField(max_length=40)
    row = models.CharField(max_length=200, help_text="The provider's own id of it.")
    kind = models.CharField(max_length=10)
    minor = models.BigIntegerField(help_text="Above zero to the seller, before the fee.")
    currency = models.CharField(max_length=3)
    fee_minor = models.BigIntegerField()
    fee_currency = models.CharField(max_length=3)
    key = models.CharField(max_length=120, blank=True)
    charge = models.CharField(max_length=120, blank=True)
    reference = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "row"], name="settled_row_once")]
        indexes = [
            models.Index(fields=["key"], name="settled_key", condition=~Q(key="")),
            models.Index(fields=["charge"], name="settled_charge", condition=~Q(charge="")),
            models.Index(fields=["reference"], name="settled_reference", condition=~Q(reference="")),
        ]

    def __str__(self) -> str:
        return f"{self.minor} {self.currency} {self.kind}"


class SettlementDifference(models.Model):
    """Something on which a settlement report and our books do not agree."""

    class State(models.TextChoices):
        OPEN = "open"
        SETTLED = "settled"  # by a person
        RESOLVED = "resolved"  # by itself: a later reading does not find it any more

    id = models.UUIDField(primary_key=True, help_text="uuid5(provider, mode, kind, about and both amounts)")
    report = models.ForeignKey(SettlementReport, models.PROTECT, related_name="differences")
    report_id: UUID
    kind = models.CharField(max_length=20)
    cause = models.CharField(max_length=20)
    action = models.CharField(max_length=20)
    about = models.CharField(max_length=200)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="+", null=True)
    payment_id: UUID | None
    refund = models.ForeignKey(Refund, models.PROTECT, related_name="+", null=True)
    refund_id: UUID | None
    row = models.ForeignKey(SettledRow, models.PROTECT, related_name="+", null=True)
    row_id: int | None
    here_minor = models.BigIntegerField(null=True)
    here_currency = models.CharField(max_length=3, blank=True)
    there_minor = models.BigIntegerField(null=True)
    there_currency = models.CharField(max_length=3, blank=True)
    state = models.CharField(max_length=10, choices=State.choices)
    found_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    settled_by = models.CharField(max_length=60, blank=True)
    why = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state="open", settled_at__isnull=True, settled_by="", why="")
                | (~Q(state="open") & Q(settled_at__isnull=False) & ~Q(settled_by="") & ~Q(why="")),
                name="difference_settled_with_reason",
            ),
        ]
        indexes = [models.Index(fields=["report"], name="difference_open", condition=Q(state="open"))]

    def __str__(self) -> str:
        return f"{self.kind} {self.about}"
