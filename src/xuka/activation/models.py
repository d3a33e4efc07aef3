from __future__ import annotations

from uuid import UUID

from django.db import models
from django.db.models import Q


class Attempt(models.Model):
    """One thing asked of a carrier: put this package on this card, or sell it as a new eSIM.

    Its id is the key under which the carrier knows it.

    ``intended``: written before the call; the call may be on the wire until ``lease_until``.
    ``unknown``: the call ended without an answer that tells. ``absent``: it was looked for and is surely not there.
    ``done``: the carrier took it. ``refused``: it surely did not. ``abandoned``: looked for until ``watch_until``,
    never found.
    """

    class State(models.TextChoices):
        INTENDED = "intended"
        UNKNOWN = "unknown"
        ABSENT = "absent"
        DONE = "done"
        REFUSED = "refused"
        ABANDONED = "abandoned"

    id = models.UUIDField(primary_key=True)
    cause = models.UUIDField(help_text="What was paid for: the order.")
    ordinal = models.PositiveSmallIntegerField(default=0)
    carrier = models.CharField(max_length=40)
    is_first = models.BooleanField(
        default=False, db_default=False, help_text="A new eSIM is bought; else a card is renewed."
    )
    iccid = models.CharField(max_length=20, blank=True, help_text="Of a new eSIM: empty until the carrier tells it.")
    esim = models.JSONField(null=True, help_text="The new eSIM's profile until its card is there. A secret.")
    package = models.CharField(max_length=120)
    state = models.CharField(max_length=12, choices=State.choices)
    lease_until = models.DateTimeField(null=True, help_text="Somebody is asking or looking until then.")
    asks = models.PositiveSmallIntegerField(default=0)
    unknown_asks = models.PositiveSmallIntegerField(default=0)
    looks = models.PositiveSmallIntegerField(default=0, help_text="Looks in a row that told nothing.")
    absent_at = models.DateTimeField(null=True, help_text="Not found after this means surely not taken.")
    look_at = models.DateTimeField(null=True, help_text="When to look next.")
    retry_at = models.DateTimeField(null=True, help_text="When the carrier may be asked again; null: never.")
    watch_until = models.DateTimeField(
        null=True, help_text="The money went back; a late answer is looked for until then."
    )
    reason = models.CharField(max_length=40, blank=True)
    detail = models.TextField(blank=True)
    reference = models.CharField(max_length=120, blank=True)
    activated_at = models.DateTimeField(null=True)
    carrier_ends_at = models.DateTimeField(null=True)
    intended_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cause", "ordinal"], name="attempt_once_a_period")]

    def __str__(self) -> str:
        return f"{self.carrier} {self.package} {self.state}"


class OfferReading(models.Model):
    """What the carrier last said it would put on a card."""

    line_id = models.UUIDField(primary_key=True)
    packages = models.JSONField(help_text="{package: [cost in minor units, currency]}")
    reason = models.CharField(max_length=40, blank=True, help_text="Why it offers nothing, or 'unknown'.")
    as_of = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.line_id} {self.as_of}"


class BalanceReading(models.Model):
    """The seller's money at a carrier, as last read."""

    carrier = models.CharField(primary_key=True, max_length=40)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    as_of = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.carrier} {self.amount_minor} {self.currency}"


class Throttle(models.Model):
    """The speed that a line should have, and the one its carrier was last known to have set. One row a line.

    It is due when ``next_try_at`` has come; while the carrier is asked that is the end of the lease, so a worker that
    dies is followed by another. A speed is in kilobits a second: null is as fast as the network allows, 0 is blocked.
    """

    line = models.OneToOneField("lines.Line", models.PROTECT, primary_key=True, related_name="+")
    line_id: UUID
    wanted_kbps = models.PositiveIntegerField(null=True)
    wanted_at = models.DateTimeField()
    is_set = models.BooleanField(default=False, help_text="The carrier has said that it set what is wanted.")
    set_kbps = models.PositiveIntegerField(null=True, help_text="What it said last; means nothing without set_at.")
    set_at = models.DateTimeField(null=True)
    next_try_at = models.DateTimeField(null=True, help_text="Null: nothing is due.")
    tries = models.PositiveIntegerField(default=0, help_text="Of this wish.")
    lease_until = models.DateTimeField(null=True, help_text="Somebody is asking the carrier until then.")
    look_at = models.DateTimeField(null=True, help_text="When to compare with the carrier; null: while it is not set.")
    refused_at = models.DateTimeField(null=True, help_text="Since when the carrier refuses this wish for good.")
    error = models.TextField(blank=True, help_text="What came of the last try, for staff; empty when it was set.")

    class Meta:
        indexes = [
            models.Index(fields=["next_try_at"], name="throttle_due", condition=Q(next_try_at__isnull=False)),
            models.Index(fields=["look_at"], name="throttle_look", condition=Q(look_at__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(is_set=True) | Q(next_try_at__isnull=False), name="throttle_never_lost")
        ]

    def __str__(self) -> str:
        return f"{self.line_id} {'set' if self.is_set else 'wanted'}"


class Cancellation(models.Model):
    """A package that the carrier is to take back: it gives no more service. Due when ``next_try_at`` has come."""

    class State(models.TextChoices):
        WANTED = "wanted"
        DONE = "done"
        REFUSED = "refused"

    attempt = models.OneToOneField(Attempt, models.PROTECT, primary_key=True, related_name="+")
    attempt_id: UUID
    state = models.CharField(max_length=8, choices=State.choices)
    wanted_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    next_try_at = models.DateTimeField(null=True, help_text="Null: it is settled.")
    tries = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, help_text="Somebody is asking the carrier until then.")
    error = models.TextField(blank=True, help_text="What came of the last try, for staff.")

    class Meta:
        indexes = [models.Index(fields=["next_try_at"], name="cancel_due", condition=Q(next_try_at__isnull=False))]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="wanted", next_try_at__isnull=False, settled_at__isnull=True)
                | (~Q(state="wanted") & Q(next_try_at__isnull=True, settled_at__isnull=False)),
                name="cancel_never_lost",
            )
        ]

    def __str__(self) -> str:
        return f"{self.attempt_id} {self.state}"
