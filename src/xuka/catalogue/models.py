from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from xuka.catalogue.rules import document_of, policy_of


class PolicyField(models.JSONField):
    """A policy document; one that does not follow ``catalogue.rules.Policy`` cannot be stored."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """The document in its one stored form. Raises ``InvalidPolicy``."""
        return document_of(policy_of(super().pre_save(model_instance, add)))


class Market(models.Model):
    """A country in which plans are sold: its money, its clock, its tax, its identification rule."""

    code = models.CharField(max_length=2, primary_key=True, help_text="ISO 3166-1 alpha-2.")
    currency = models.CharField(max_length=3, help_text="ISO 4217.")
    zone = models.CharField(max_length=60, help_text="IANA name.")
    tax_basis_points = models.PositiveSmallIntegerField(help_text="Inside consumer prices: 2100 is 21 %.")
    identification = models.TextField(help_text="What the law asks of a buyer, in words, for staff.")
    evidence = models.JSONField(default=dict, help_text="Each fact's source and as-of date.")
    source = models.TextField(help_text="Where the facts are from.")
    as_of = models.DateField(help_text="The date of the oldest of the facts.")

    def __str__(self) -> str:
        return self.code


class Network(models.Model):
    """A mobile network that plans run on."""

    slug = models.SlugField(max_length=60, primary_key=True)
    market = models.ForeignKey(Market, models.PROTECT, related_name="+")
    market_id: str
    name = models.CharField(max_length=80)
    mcc_mnc = ArrayField(models.CharField(max_length=7), help_text="For example 206-01 (ITU-T E.212).")
    bands = ArrayField(models.CharField(max_length=8), help_text="3GPP names: B20 (LTE), n78 (NR).")
    apns = models.JSONField(default=list, help_text="Access point names, as phones ship with them.")
    evidence = models.JSONField(default=dict, help_text="Each fact's source and as-of date.")
    source = models.TextField(help_text="Where the facts are from.")
    as_of = models.DateField(help_text="The date of the oldest of the facts.")

    def __str__(self) -> str:
        return self.name


class Plan(models.Model):
    """What is offered under one name; its terms are in its versions."""

    slug = models.SlugField(max_length=60, primary_key=True)
    market = models.ForeignKey(Market, models.PROTECT, related_name="+")
    market_id: str
    network = models.ForeignKey(Network, models.PROTECT, related_name="+")
    network_id: str
    names = models.JSONField(help_text='By language: {"en": …, "zh-hans": …}.')
    seller = models.CharField(max_length=80)
    on_sale = models.BooleanField(default=True)
    current = models.ForeignKey(
        "catalogue.PlanVersion",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The version sold now.",
    )
    current_id: UUID | None

    class Meta:
        indexes = [models.Index(fields=["market"], name="plan_on_sale", condition=Q(on_sale=True))]

    def __str__(self) -> str:
        return self.slug


class MarketPlan(models.Model):
    """A plan that somebody sells, or sold, in a market: for information only, it cannot be bought here.

    None, or an empty text, is not told by the sources; nothing is guessed.
    """

    slug = models.SlugField(max_length=60, primary_key=True)
    market = models.ForeignKey(Market, models.PROTECT, related_name="+")
    market_id: str
    brand = models.CharField(max_length=80)
    name = models.CharField(max_length=80)
    status = models.CharField(max_length=10, help_text="on_sale, ended or unknown, as the newest source says.")
    networks = ArrayField(models.SlugField(max_length=60), help_text="Slugs of networks it runs on; empty: not told.")
    forms = ArrayField(models.CharField(max_length=4), help_text="sim, esim; empty: not told, or an add-on.")
    service = models.CharField(max_length=10, help_text="data, voice_sms or unknown.")
    price_minor = models.BigIntegerField(null=True, help_text="In minor units.")
    currency = models.CharField(max_length=3, blank=True)
    price_is_dated = models.BooleanField(help_text="The price is old or has no date: say so beside it.")
    length = models.PositiveSmallIntegerField(null=True)
    unit = models.CharField(
        max_length=14, blank=True, help_text="hour, day, rolling_day, calendar_day, month, calendar_month."
    )
    data_bytes = models.BigIntegerField(null=True, help_text="A period's volume where it is not unlimited.")
    unlimited = models.BooleanField(null=True)
    cap_bytes = models.BigIntegerField(null=True, help_text="At full speed, in each window.")
    cap_window = models.CharField(max_length=14, blank=True, help_text="period, day, calendar_month, three_days.")
    kbps_after = models.PositiveIntegerField(null=True, help_text="The speed after the cap, or after the volume.")
    hotspot = models.CharField(max_length=9, help_text="allowed, forbidden or unknown.")
    abroad = models.CharField(max_length=7, help_text="none, eu, world or unknown.")
    renewal_rule = models.CharField(
        max_length=13, help_text="adds, queues, replaces, keeps_longest, independent or unknown."
    )
    sources = models.JSONField(help_text="Each with title, url and date, as it tells them.")
    as_of = models.CharField(max_length=60, blank=True, help_text="When it was so, in the sources' words.")

    class Meta:
        indexes = [models.Index(fields=["market"], name="market_plan_market")]
        constraints = [
            models.CheckConstraint(
                condition=Q(price_minor__isnull=True, currency="") | (Q(price_minor__gt=0) & ~Q(currency="")),
                name="market_plan_price_has_currency",
            ),
        ]

    def __str__(self) -> str:
        return self.slug


class PlanVersion(models.Model):
    """The terms of a plan: policy, price, and the carrier's package that delivers it.

    Never changed and never deleted, which a database trigger enforces: what was sold stays what it was.
    """

    plan_id: str
    id = models.UUIDField(primary_key=True)
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="+")
    number = models.PositiveIntegerField()
    policy = PolicyField()
    price_minor = models.BigIntegerField(help_text="What the customer pays, tax inside, in minor units.")
    currency = models.CharField(max_length=3)
    prices = models.JSONField(
        default=list,
        blank=True,
        help_text="What several periods at once cost, or one in another currency: [{periods, minor, currency}].",
    )
    carrier = models.CharField(max_length=40)
    package = models.CharField(max_length=120, help_text="The carrier's own name of what it delivers.")
    first_package = models.CharField(
        max_length=120,
        blank=True,
        default="",
        help_text="The carrier's own name of a new eSIM with this plan; empty where only renewals are sold.",
    )
    cost_minor = models.BigIntegerField(help_text="What the carrier charges the seller, in minor units.")
    cost_currency = models.CharField(max_length=3)
    made_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="plan_version_number"),
            models.CheckConstraint(condition=Q(price_minor__gt=0), name="plan_version_price_positive"),
            models.CheckConstraint(condition=Q(cost_minor__gte=0), name="plan_version_cost_not_negative"),
            models.CheckConstraint(condition=Q(number__gte=1), name="plan_version_number_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.plan_id} v{self.number}"
