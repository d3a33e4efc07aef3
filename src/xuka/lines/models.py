from __future__ import annotations

from uuid import UUID

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import Deferrable, Q


class Standing(models.TextChoices):
    """Whether a card is in service, or why it cannot be renewed; staff say so."""

    IN_SERVICE = "in_service", "in service"
    SUSPENDED = "suspended", "suspended by the carrier"
    RECYCLED = "recycled", "taken out of service for good"
    UNIDENTIFIED = "unidentified", "its user must be identified first"


class Line(models.Model):
    """A SIM or eSIM: one ICCID on one carrier, in one market, owned by at most one customer."""

    id = models.UUIDField(primary_key=True)
    iccid = models.CharField(max_length=20, unique=True)
    msisdn = models.CharField(max_length=16, null=True, blank=True)
    market = models.ForeignKey("catalogue.Market", models.PROTECT, related_name="+")
    market_id: str
    carrier = models.CharField(max_length=40)
    zone = models.CharField(max_length=60, help_text="IANA zone in which the card's times are shown.")
    claim_code_hash = models.CharField(max_length=128)
    owner = models.ForeignKey("accounts.User", models.PROTECT, null=True, blank=True, related_name="+")
    owner_id: UUID | None
    plan_version = models.ForeignKey(
        "catalogue.PlanVersion", models.PROTECT, related_name="+", help_text="The plan the card was sold with."
    )
    plan_version_id: UUID
    created_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True, blank=True)
    standing = models.CharField(
        max_length=20,
        choices=Standing.choices,
        default=Standing.IN_SERVICE,
        db_default=Standing.IN_SERVICE,
        help_text="Whether it is in service; if not, nothing is sold for it.",
    )

    class Meta:
        indexes = [
            models.Index(fields=["owner"], name="line_owner"),
            models.Index(fields=["msisdn"], name="line_msisdn", condition=Q(msisdn__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"…{self.iccid[-4:]}"


class Esim(models.Model):
    """What a phone needs to install an eSIM that was bought here. A secret: shown to the card's owner, never logged."""

    line = models.OneToOneField(Line, models.PROTECT, primary_key=True, related_name="+")
    line_id: UUID
    smdp_address = models.CharField(max_length=255, help_text="The server that hands the profile out.")
    matching_id = models.CharField(max_length=255, help_text="The activation code there.")
    confirmation_code = models.CharField(max_length=255, blank=True)
    apple_url = models.TextField(blank=True, help_text="The carrier's own one-tap link for iPhones; empty: none told.")
    apn = models.CharField(max_length=100, blank=True, help_text="Empty where the carrier does not tell.")

    def __str__(self) -> str:
        return f"eSIM of {self.line_id}"


class Period(models.Model):
    """A stretch of service that a line is entitled to, under one plan version.

    A period without a span waits: it starts when the one before it on its track ends, or with its first use. Queue
    order is ``(funded_at, id)``. ``anchored_at`` is the local date-time, in ``zone``, from which the run of periods
    that this one belongs to is counted. What runs beside the main track has a track of its own.
    """

    id = models.UUIDField(primary_key=True)
    line = models.ForeignKey(Line, models.PROTECT, related_name="+")
    line_id: UUID
    track = models.CharField(max_length=20, default="main")
    order_id = models.UUIDField()
    ordinal = models.PositiveSmallIntegerField(default=0)
    plan_version = models.ForeignKey("catalogue.PlanVersion", models.PROTECT, related_name="+")
    plan_version_id: UUID
    span = DateTimeRangeField(null=True, help_text="[starts_at, ends_at); empty while queued.")
    funded_at = models.DateTimeField()
    anchored_at = models.CharField(max_length=32, blank=True, help_text="Local date-time, ISO 8601 without offset.")
    buckets = models.JSONField(
        null=True,
        blank=True,
        help_text='When its data, voice or SMS can be used where that is not the span: {"data": [from, until]}.',
    )
    zone = models.CharField(max_length=60)
    carrier_ends_at = models.DateTimeField(null=True, blank=True, help_text="The carrier's own end.")
    voided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order_id", "ordinal"], name="period_once_an_order"),
            models.CheckConstraint(
                condition=Q(span__isnull=True)
                | Q(span__isempty=False, span__lower_inc=True, span__upper_inc=False, span__upper_inf=False),
                name="period_never_empty",
            ),
            ExclusionConstraint(
                name="periods_never_overlap",
                expressions=[
                    ("line", RangeOperators.EQUAL),
                    ("track", RangeOperators.EQUAL),
                    ("span", RangeOperators.OVERLAPS),
                ],
                condition=Q(voided_at__isnull=True),
                deferrable=Deferrable.DEFERRED,
            ),
        ]
        indexes = [
            models.Index(fields=["line", "track"], name="period_line_track"),
            models.Index(fields=["line"], name="period_queued", condition=Q(span__isnull=True, voided_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.line_id} {self.span or 'queued'}"
