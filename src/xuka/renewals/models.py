from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper

from xuka.kernel.money import Money
from xuka.kernel.span import Span
from xuka.renewals.auto_rules import PayWith, Switch, Trigger, When
from xuka.renewals.rules import OPEN_STATES, State
from xuka.renewals.several import MOST_AT_ONCE, shares
from xuka.renewals.withdrawal_rules import GivenState, Standing, Why


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
    points = models.PositiveBigIntegerField(default=0, db_default=0, help_text="Points that are spent with it.")
    conversion = models.JSONField(
        null=True,
        blank=True,
        help_text='Of a price in another currency: {"from", "rate", "on", "margin_basis_points"}.',
    )
    currency = models.CharField(max_length=3)
    starts_on_activation = models.BooleanField(help_text="Nothing runs: the period starts when the carrier takes it.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="Of the last period, where several are bought at once.")
    count = models.PositiveSmallIntegerField(default=1, db_default=1, help_text="How many periods.")
    most = models.PositiveSmallIntegerField(default=1, db_default=1, help_text="How many could be bought at once.")
    spans = models.JSONField(default=list, db_default=[], help_text='Each period\'s time: [["starts", "ends"], …].')
    again_at = models.DateTimeField(null=True, help_text="From when the card could be renewed once more after it.")
    kept = models.JSONField(help_text='What stays: [{"kind", …}].')
    lost = models.JSONField(help_text='What is lost: [{"kind", …}].')
    is_gift = models.BooleanField(
        default=False, db_default=False, help_text="For somebody else's card; nothing of what that has is in it."
    )
    why_not = models.CharField(max_length=40, blank=True, help_text="Why payment is not offered; empty: it is.")
    quoted_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(count__range=(1, MOST_AT_ONCE)), name="quote_count"),
        ]

    def __str__(self) -> str:
        return f"{self.total_minor} {self.currency} until {self.expires_at}"

    @property
    def payment_offered(self) -> bool:
        """Whether it may be paid now."""
        return not self.why_not

    @property
    def periods(self) -> list[Span]:
        """Each period's time, in the order in which the carrier is asked for them."""
        if not self.spans:
            return [Span(self.starts_at, self.ends_at)]
        return [Span(datetime.fromisoformat(begin), datetime.fromisoformat(end)) for begin, end in self.spans]

    @property
    def market_id(self) -> str:
        """The market in which it is bought."""
        return self.plan_version.plan.market_id

    @property
    def zone(self) -> str:
        """The zone in which its times are shown."""
        return self.line.zone if self.line else self.plan_version.plan.market.zone


class Gift(models.Model):
    """What a giver wants the owner of the card to be told, and how the giver knows the card."""

    quote = models.OneToOneField(Quote, models.PROTECT, primary_key=True, related_name="+")
    quote_id: UUID
    number_end = models.CharField(max_length=4, help_text="The last four digits of the number that was typed.")
    giver_name = models.CharField(max_length=60, blank=True)
    words = models.CharField(max_length=120, blank=True)

    def __str__(self) -> str:
        return f"…{self.number_end}"


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
    is_gift = models.BooleanField(
        default=False, db_default=False, help_text="For somebody else's card, which the customer never sees."
    )
    plan_version = models.ForeignKey("catalogue.PlanVersion", models.PROTECT, related_name="+")
    plan_version_id: UUID
    quote = models.OneToOneField(Quote, models.PROTECT, related_name="+")
    quote_id: UUID
    track = models.CharField(max_length=20, default="main")
    hold_id = models.UUIDField(unique=True, help_text="The ledger account that holds its money until it is earned.")
    state = models.CharField(max_length=20, choices=State.choices())
    count = models.PositiveSmallIntegerField(default=1, db_default=1, help_text="How many periods.")
    delivered = ArrayField(
        models.PositiveSmallIntegerField(), default=list, db_default=[], help_text="Ordinals of periods that are there."
    )
    given_back = ArrayField(
        models.PositiveSmallIntegerField(),
        default=list,
        db_default=[],
        help_text="Ordinals of periods whose share went back by itself, while others went on or stayed.",
    )
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
            models.CheckConstraint(condition=Q(count__range=(1, MOST_AT_ONCE)), name="order_count"),
            models.CheckConstraint(condition=~Q(delivered__overlap=F("given_back")), name="order_delivered_or_back"),
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
    def open_ordinals(self) -> list[int]:
        """The periods that were neither delivered nor given back by themselves."""
        return [one for one in range(self.count) if one not in self.delivered and one not in self.given_back]

    def share_minor(self, ordinal: int) -> int:
        """What this period is worth, minor units of the total; the shares sum to it."""
        return shares(Money(self.total_minor, self.currency), self.count)[ordinal]

    @property
    def given_back_minor(self) -> int:
        """The shares of single periods that went back by themselves."""
        return sum(map(self.share_minor, self.given_back))

    @property
    def market_id(self) -> str:
        """The market in which it is bought."""
        return self.plan_version.plan.market_id

    @property
    def zone(self) -> str:
        """The zone in which its times are shown."""
        return self.line.zone if self.line else self.plan_version.plan.market.zone


class AutoRenewal(models.Model):
    """How a card renews itself, as its owner agreed to it. One a card, kept when it is switched off."""

    id = models.UUIDField(primary_key=True, help_text="uuid5(line): every automatic order's id is made of it.")
    line = models.OneToOneField("lines.Line", models.PROTECT, related_name="+")
    line_id: UUID
    customer = models.ForeignKey("accounts.User", models.PROTECT, related_name="+", help_text="Who agreed to it.")
    customer_id: UUID
    plan_version = models.ForeignKey(
        "catalogue.PlanVersion", models.PROTECT, related_name="+", help_text="The terms that were agreed to."
    )
    plan_version_id: UUID
    price_minor = models.BigIntegerField(help_text="What was agreed to for one renewal. Another price asks anew.")
    currency = models.CharField(max_length=3)
    ceiling_minor = models.BigIntegerField(help_text="The most in a calendar month of the customer's zone.")
    trigger = models.CharField(max_length=20, choices=When.choices())
    number = models.PositiveSmallIntegerField(default=0, help_text="Hours before the end, or per cent left.")
    pay_with = models.CharField(max_length=20, choices=PayWith.choices())
    saved_method = models.ForeignKey(
        "payments.SavedMethod", models.PROTECT, null=True, related_name="+", help_text="What may be charged."
    )
    saved_method_id: UUID | None
    state = models.CharField(max_length=10, choices=Switch.choices())
    reason = models.CharField(max_length=40, blank=True, help_text="Why it is paused or off.")
    consented_at = models.DateTimeField()
    consent_words = models.TextField(help_text="Exactly what was agreed to.")
    consent_version = models.CharField(max_length=20)
    consent_language = models.CharField(max_length=10)
    renews_end = models.DateTimeField(null=True, help_text="The end of what is booked, that it is to renew.")
    last_end: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(
        null=True, help_text="Switched off too late for this end: it is renewed, and then it is off."
    )
    next_due_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(
        null=True, help_text="When to look at it; empty: nothing is planned."
    )
    tries = models.PositiveSmallIntegerField(default=0, help_text="Refusals for this end.")
    order = models.ForeignKey(Order, models.PROTECT, null=True, related_name="+", help_text="The one under way.")
    order_id: UUID | None
    last_outcome = models.CharField(max_length=40, blank=True, help_text="What became of the last try, a word.")
    last_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(price_minor__gt=0), name="auto_price_positive"),
            models.CheckConstraint(condition=Q(ceiling_minor__gte=models.F("price_minor")), name="auto_ceiling"),
            models.CheckConstraint(
                condition=Q(pay_with="saved", saved_method__isnull=False)
                | (~Q(pay_with="saved") & Q(saved_method__isnull=True)),
                name="auto_saved_method_is_named",
            ),
            models.CheckConstraint(
                condition=Q(state="on") | Q(next_due_at__isnull=True) | Q(order__isnull=False),
                name="auto_off_is_not_due",
            ),
        ]
        indexes = [
            models.Index(fields=["next_due_at"], name="auto_due", condition=Q(next_due_at__isnull=False)),
            models.Index(fields=["order"], name="auto_order", condition=Q(order__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.line_id} {self.state}"

    @property
    def when(self) -> Trigger:
        """What makes the card renew itself."""
        return Trigger(When(self.trigger), self.number)


class AutomaticOrder(models.Model):
    """An order that a card placed by itself: which end it renews, and which order for that end it is, from 0."""

    order = models.OneToOneField(Order, models.PROTECT, primary_key=True, related_name="automatic")
    order_id: UUID
    auto = models.ForeignKey(AutoRenewal, models.PROTECT, related_name="+")
    auto_id: UUID
    renews_end = models.DateTimeField()
    number = models.PositiveSmallIntegerField()
    placed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["auto", "renews_end", "number"], name="one_automatic_order_a_try"),
        ]
        indexes = [models.Index(fields=["auto", "placed_at"], name="automatic_placed")]

    def __str__(self) -> str:
        return f"{self.order_id} for {self.renews_end}"


class Discount(models.Model):
    """Less to pay: a promotion, which counts by itself, or a coupon, which counts where its code is given.

    Whoever takes one, or gives it back, holds the lock on its row; no more can be taken than there are.
    """

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=80, help_text="What the customer reads beside what is taken off.")
    code = models.CharField(max_length=40, blank=True, default="", help_text="In capitals; empty: a promotion.")
    markets = ArrayField(models.CharField(max_length=2), default=list, blank=True, help_text="Empty: all.")
    plans = ArrayField(models.SlugField(max_length=60), default=list, blank=True, help_text="Empty: all.")
    basis_points = models.PositiveIntegerField(default=0, help_text="Of what is to be paid: 1000 is 10 %.")
    off_minor = models.BigIntegerField(null=True, help_text="Or an amount, in minor units.")
    minimum_minor = models.BigIntegerField(null=True, help_text="Counts only from this amount on, in minor units.")
    currency = models.CharField(max_length=3, blank=True, default="", help_text="Of the amounts.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="From then on it does not count any more.")
    most = models.PositiveIntegerField(null=True, help_text="How often in all; null: no limit.")
    most_each = models.PositiveIntegerField(null=True, help_text="How often for one customer; null: no limit.")
    taken = models.PositiveIntegerField(default=0, help_text="How many orders have it now.")
    made_by = models.UUIDField()
    made_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code"], name="one_discount_a_code", condition=~Q(code="")),
            models.CheckConstraint(condition=Q(code=Upper("code")), name="discount_code_in_capitals"),
            models.CheckConstraint(
                condition=Q(basis_points__range=(1, 10_000), off_minor__isnull=True)
                | Q(basis_points=0, off_minor__gt=0),
                name="discount_share_or_amount",
            ),
            models.CheckConstraint(
                condition=Q(currency="", off_minor__isnull=True, minimum_minor__isnull=True) | ~Q(currency=""),
                name="discount_amount_has_currency",
            ),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="discount_ends_later"),
            models.CheckConstraint(
                condition=Q(most__isnull=True) | Q(taken__lte=F("most")), name="discount_not_taken_too_often"
            ),
        ]

    def __str__(self) -> str:
        return self.code or self.name


class TakenDiscount(models.Model):
    """A discount that an order has; given back where the order came to nothing."""

    id = models.UUIDField(primary_key=True, help_text="uuid5(order, discount)")
    discount = models.ForeignKey(Discount, models.PROTECT, related_name="+")
    discount_id: UUID
    order = models.ForeignKey(Order, models.PROTECT, related_name="+")
    order_id: UUID
    customer = models.ForeignKey("accounts.User", models.PROTECT, related_name="+")
    customer_id: UUID
    number = models.PositiveIntegerField(help_text="Which of this customer's it is, from 1.")
    most = models.PositiveIntegerField(null=True, help_text="How many one customer could have when it was taken.")
    taken_at = models.DateTimeField()
    given_back_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["discount", "customer", "number"],
                name="discount_taken_once_a_number",
                condition=Q(given_back_at__isnull=True),
            ),
            models.CheckConstraint(
                condition=Q(most__isnull=True) | Q(number__lte=F("most")), name="discount_not_too_often_each"
            ),
        ]
        indexes = [models.Index(fields=["order"], name="taken_discount_order")]

    def __str__(self) -> str:
        return f"{self.discount_id} by {self.order_id}"


class Loyalty(models.Model):
    """When a customer's points last moved, and whether they were told that points which nobody touches lapse.

    The points themselves lie in the ledger. Whoever moves them holds the lock on this row.
    """

    customer = models.OneToOneField("accounts.User", models.PROTECT, primary_key=True, related_name="+")
    customer_id: UUID
    touched_at = models.DateTimeField()
    warned_at = models.DateTimeField(null=True)
    lapses_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(warned_at__isnull=True, lapses_at__isnull=True) | Q(lapses_at__gt=F("warned_at")),
                name="points_lapse_after_a_warning",
            ),
        ]
        indexes = [models.Index(fields=["touched_at"], name="loyalty_touched", condition=Q(warned_at__isnull=True))]

    def __str__(self) -> str:
        return f"{self.customer_id} at {self.touched_at}"


class Rate(models.Model):
    """How many units of a currency one euro was worth on a day, as the European Central Bank told it."""

    currency = models.CharField(max_length=3)
    on = models.DateField()
    per_euro = models.DecimalField(max_digits=16, decimal_places=6)
    source = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["currency", "on"], name="one_rate_a_day"),
            models.CheckConstraint(condition=Q(per_euro__gt=0), name="rate_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.per_euro} {self.currency} on {self.on}"


class ExpressWish(models.Model):
    """The customer's express wish that the service of an order begins at once, as it was given with the order."""

    order = models.OneToOneField(Order, models.PROTECT, primary_key=True, related_name="+")
    order_id: UUID
    words = models.TextField(help_text="Exactly what was ticked.")
    version = models.CharField(max_length=20)
    language = models.CharField(max_length=10)
    given_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(words=""), name="wish_has_words")]

    def __str__(self) -> str:
        return f"{self.order_id} {self.version}"


class Withdrawal(models.Model):
    """A statement that somebody withdraws from a contract, confirmed; kept as it came, whether it fits one or not."""

    id = models.UUIDField(primary_key=True, help_text="Made with the page: the idempotency key.")
    number = models.CharField(max_length=60, help_text="The order's or the receipt's, as it was typed.")
    name = models.CharField(max_length=80, blank=True)
    email = models.EmailField(help_text="Where the acknowledgement goes.")
    language = models.CharField(max_length=10)
    customer = models.UUIDField(null=True, help_text="Who was signed in.")
    confirmed_at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=Standing.choices())
    order = models.ForeignKey(Order, models.PROTECT, null=True, related_name="+")
    order_id: UUID | None
    settled_at = models.DateTimeField(null=True)
    next_step_at = models.DateTimeField(null=True, help_text="When to look at it again; empty: it is settled.")

    class Meta:
        constraints = [
            # However often, and by however many pages at once: a contract is withdrawn from once.
            models.UniqueConstraint(fields=["order"], name="withdrawn_once", condition=Q(state="accepted")),
            models.CheckConstraint(
                condition=~Q(state="accepted") | Q(order__isnull=False), name="withdrawal_of_a_contract"
            ),
        ]
        indexes = [
            models.Index(fields=["next_step_at"], name="withdrawal_due", condition=Q(next_step_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.state}"


class GivenBack(models.Model):
    """One period of an order that was given back, and what of its price went back. One row a period, for ever.

    That is the wall: whoever comes second, by law, by wish or by hand, finds the row of the first.
    """

    id = models.UUIDField(primary_key=True, help_text="uuid5(order, given_back:ordinal)")
    order = models.ForeignKey(Order, models.PROTECT, related_name="+")
    order_id: UUID
    ordinal = models.PositiveSmallIntegerField()
    why = models.CharField(max_length=12, choices=[(why.value, why.name) for why in Why])
    reason = models.TextField(blank=True, help_text="In staff's words.")
    who = models.CharField(max_length=60)
    to_wallet = models.BooleanField(default=False, help_text="The customer chose the wallet, not where it came from.")
    state = models.CharField(max_length=10, choices=GivenState.choices())
    price_minor = models.BigIntegerField(help_text="What the period cost, minor units, tax inside.")
    amount_minor = models.BigIntegerField(default=0, help_text="What went back, minor units, tax inside.")
    had = models.CharField(max_length=60, default="0", help_text="Which part was provided, an exact fraction.")
    asked_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "given back"
        constraints = [
            models.UniqueConstraint(fields=["order", "ordinal"], name="given_back_once"),
            models.CheckConstraint(
                condition=Q(amount_minor__gte=0, amount_minor__lte=models.F("price_minor")), name="given_back_at_most"
            ),
            models.CheckConstraint(condition=Q(state="done") | Q(amount_minor=0), name="given_back_when_done"),
        ]

    def __str__(self) -> str:
        return f"{self.order_id} {self.ordinal} {self.state}"
