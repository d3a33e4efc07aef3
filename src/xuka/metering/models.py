from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class Reading(models.Model):
    """What the carrier last told of a card's data. Volumes are empty where it does not tell, never zero."""

    line = models.OneToOneField("lines.Line", models.PROTECT, primary_key=True, related_name="+")
    line_id: UUID
    unlimited = models.BooleanField()
    remaining_bytes = models.BigIntegerField(null=True)
    total_bytes = models.BigIntegerField(null=True)
    expires_at = models.DateTimeField(null=True, help_text="The carrier's end of the running package.")
    status = models.CharField(max_length=40, help_text="The carrier's word, for staff.")
    as_of = models.DateTimeField(null=True, help_text="When the figures were true; empty until the first answer.")
    asked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.line_id} {self.as_of}"


class Source(models.Model):
    """A sender of usage records; a record's id is its own and no other source's."""

    id = models.SmallAutoField(primary_key=True)
    name = models.SlugField(max_length=40, unique=True)
    known_until = models.DateTimeField(null=True, help_text="Every record before this has come, as the source says.")
    heard_at = models.DateTimeField(null=True)
    counted = models.BigIntegerField(default=0)
    repeated = models.BigIntegerField(default=0)
    corrected = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class Meter(models.Model):
    """What counting knows of one line: how its time is cut into cells, and when it must be looked at again.

    A line is looked at when it may have passed a mark: ``since_look_bytes`` reached ``room_bytes``, a record of a
    window before ``floor_at`` came, or ``look_at`` is due because a window begins anew. Where each of its windows is
    one cell, and none that is open has passed a mark, it is one cell that must reach ``cell_mark_bytes`` instead: what
    is used at home, day after day, makes nobody look.
    """

    id = models.BigAutoField(primary_key=True)
    line = models.OneToOneField("lines.Line", models.PROTECT, related_name="+")
    line_id: UUID
    iccid = models.CharField(max_length=20, unique=True)
    zone = models.CharField(max_length=60, help_text="IANA; whose midnight its days begin at.")
    home_mccs = ArrayField(models.CharField(max_length=3), help_text="Mobile country codes that are not abroad.")
    cuts = ArrayField(models.DateTimeField(), default=list, help_text="Where cells begin besides midnight, in order.")
    source = models.ForeignKey(
        Source, models.PROTECT, null=True, db_index=False, related_name="+", help_text="Who told of it last."
    )
    source_id: int | None
    last_started_at = models.DateTimeField(null=True, help_text="The start of the latest record.")
    last_ended_at = models.DateTimeField(null=True, help_text="The end of the latest record.")
    since_look_bytes = models.BigIntegerField(default=0)
    room_bytes = models.BigIntegerField(null=True, default=0, help_text="Empty: no mark is ahead.")
    cell_mark_bytes = models.BigIntegerField(null=True, help_text="Empty: cells are not all that counts.")
    floor_at = models.DateTimeField(null=True, help_text="The windows that were looked at began then.")
    look_from = models.DateTimeField(null=True, help_text="The start of the earliest record since the last look.")
    look_at = models.DateTimeField(null=True)
    kbps = models.IntegerField(null=True, help_text="The speed class at the last look; empty is full speed.")
    is_pooled = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Its card shares data, or uses another's, or did.",
    )

    class Meta:
        indexes = [models.Index(fields=["look_at"], name="meter_due", condition=Q(look_at__isnull=False))]

    def __str__(self) -> str:
        return f"…{self.iccid[-4:]}"


class Counter(models.Model):
    """What one line used in one cell: from ``starts_at`` to the next cell or midnight, by the start of each record."""

    pk = models.CompositePrimaryKey("meter_id", "starts_at")
    # Written from a join with the meter: a check of each row would cost as much as the row.
    meter = models.ForeignKey(Meter, models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    meter_id: int
    starts_at = models.DateTimeField()
    day = models.DateField(help_text="In the line's zone.")
    bytes = models.BigIntegerField()
    abroad_bytes = models.BigIntegerField()
    hotspot_bytes = models.BigIntegerField()
    voice_seconds = models.BigIntegerField()
    sms = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.meter_id} {self.starts_at}"


class Crossing(models.Model):
    """A mark that was passed in one window of one limit, or a window that began anew after its cap; each once."""

    id = models.BigAutoField(primary_key=True)
    meter = models.ForeignKey(Meter, models.PROTECT, related_name="+")
    meter_id: int
    period = models.UUIDField()
    name = models.CharField(max_length=10)
    number = models.PositiveSmallIntegerField()
    window_starts_at = models.DateTimeField()
    window_ends_at = models.DateTimeField()
    what = models.CharField(max_length=10)
    noticed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["meter", "period", "name", "number", "window_starts_at", "what"], name="crossing_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.meter_id} {self.what}"


class Rejected(models.Model):
    """A record that was not counted, kept with the reason. What it holds is the sender's and may be anything."""

    id = models.BigAutoField(primary_key=True)
    source = models.ForeignKey(Source, models.PROTECT, related_name="+")
    source_id: int
    batch = models.CharField(max_length=200, help_text="The file, the message or the request it came in.")
    place = models.BigIntegerField(help_text="Its line in the file, or its number in the batch, from 1.")
    reason = models.CharField(max_length=30)
    content = models.TextField()
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["source", "reason"], name="rejected_reason"),
            models.Index(fields=["source", "batch"], name="rejected_batch"),
        ]

    def __str__(self) -> str:
        return self.reason


class Delivery(models.Model):
    """A file of usage records: read once, under whatever name it comes."""

    class State(models.TextChoices):
        READING = "reading"
        DONE = "done"
        SEEN_BEFORE = "seen_before"
        UNREADABLE = "unreadable"

    id = models.BigAutoField(primary_key=True)
    source = models.ForeignKey(Source, models.PROTECT, related_name="+")
    source_id: int
    name = models.CharField(max_length=255)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    state = models.CharField(max_length=12, choices=State.choices, default=State.READING)
    read_bytes = models.BigIntegerField(default=0)
    counted = models.BigIntegerField(default=0)
    repeated = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    reasons = models.JSONField(default=dict, help_text="How many records were rejected, by reason.")
    error = models.TextField(blank=True)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "sha256"], condition=Q(state__in=["reading", "done"]), name="delivery_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Sample(models.Model):
    """One usage record as it was counted: partitioned by the UTC day of its start, never changed but by a correction.

    (source, record id) is the record's identity, and its start is a part of the fact: a correction keeps both.
    """

    pk = models.CompositePrimaryKey("day", "source_id", "record_id")
    day: models.DateField[date, date] = models.DateField()
    source_id = models.SmallIntegerField()
    record_id = models.TextField()
    revision = models.SmallIntegerField(default=0)
    meter_id = models.BigIntegerField()
    started_at: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    ended_at = models.DateTimeField()
    up_bytes = models.BigIntegerField()
    down_bytes = models.BigIntegerField()
    network = models.CharField(max_length=7)
    is_abroad = models.BooleanField()
    is_hotspot = models.BooleanField()
    voice_seconds = models.IntegerField()
    sms = models.IntegerField()

    class Meta:
        managed = False
        db_table = "metering_sample"

    def __str__(self) -> str:
        return self.record_id


class Superseded(models.Model):
    """What a record said before it was corrected."""

    id = models.BigAutoField(primary_key=True)
    source_id = models.SmallIntegerField()
    record_id = models.TextField()
    revision = models.SmallIntegerField()
    said = models.JSONField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.record_id


class Pool(models.Model):
    """That the organiser of a family shares the data of a card of theirs. Nobody uses of it who did not agree to it."""

    id = models.UUIDField(primary_key=True, help_text="Made by the page.")
    line = models.ForeignKey("lines.Line", models.PROTECT, related_name="+", help_text="Whose data it is.")
    line_id: UUID
    membership = models.ForeignKey(
        "accounts.Membership", models.PROTECT, related_name="+", help_text="Its owner's; with it the pool ends."
    )
    membership_id: UUID
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line"], condition=Q(closed_at__isnull=True), name="pool_one_a_card")
        ]

    def __str__(self) -> str:
        return f"pool of {self.line_id}"


class Draw(models.Model):
    """That a card may use of a pool, as its owner agreed to. What was used stays counted when it ends."""

    id = models.UUIDField(primary_key=True, help_text="Made by the page.")
    pool = models.ForeignKey(Pool, models.PROTECT, related_name="+")
    pool_id: UUID
    host = models.ForeignKey("lines.Line", models.PROTECT, related_name="+", help_text="The pool's, to find both by.")
    host_id: UUID
    line = models.ForeignKey("lines.Line", models.PROTECT, related_name="+", help_text="The card that may use of it.")
    line_id: UUID
    membership = models.ForeignKey(
        "accounts.Membership", models.PROTECT, related_name="+", help_text="Its owner's; with it the draw ends."
    )
    membership_id: UUID
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    consent_words = models.TextField(help_text="Exactly what the card's owner agreed to.")
    consent_version = models.CharField(max_length=20)
    consent_language = models.CharField(max_length=10)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line"], condition=Q(ended_at__isnull=True), name="draw_one_a_card"),
            models.CheckConstraint(condition=~Q(line=models.F("host")), name="draw_of_another_card"),
            models.CheckConstraint(condition=~Q(consent_words="") & ~Q(consent_version=""), name="draw_agreed_to"),
        ]

    def __str__(self) -> str:
        return f"{self.line_id} of {self.pool_id}"

    @property
    def ends_at(self) -> datetime | None:
        """When it ended: by hand, with the pool, or because one of the two left the family; None while it goes on."""
        ends = (self.ended_at, self.pool.closed_at, self.membership.left_at, self.pool.membership.left_at)
        return min(filter(None, ends), default=None)
