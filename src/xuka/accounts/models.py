from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _

from xuka.accounts.rules import MOST_MEMBERS, InvalidTimeZone, email_of, time_zone_of
from xuka.kernel import ids


def validate_time_zone(text: str) -> None:
    """Refuse, in the reader's language, what is not an IANA time zone."""
    try:
        time_zone_of(text)
    except InvalidTimeZone as wrong:
        raise ValidationError(_("This time zone is not known."), code="time_zone") from wrong


class UserManager(BaseUserManager["User"]):
    """Makes users as Django's commands and allauth expect; everybody else calls ``accounts.operations``."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Store a user; without a password they sign in by a code in their mail."""
        if not email_of(email):
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=email_of(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Store a user who may do everything in the back office."""
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})

    def get_by_natural_key(self, username: str | None) -> User:
        """The user of this address, however it is capitalised."""
        return self.get(email__iexact=username or "")


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in: a customer, or staff. Known by an e-mail address."""

    id = models.UUIDField(primary_key=True, default=ids.new, editable=False)
    email = models.EmailField(_("e-mail address"), max_length=254)
    name = models.CharField(_("name"), max_length=120, blank=True)
    language = models.CharField(_("language"), max_length=10, default="en", choices=settings.LANGUAGES)
    time_zone = models.CharField(
        _("time zone"),
        max_length=60,
        blank=True,
        validators=[validate_time_zone],
        help_text=_("For example Asia/Shanghai. Leave empty to see each card's times where the card is used."),
    )
    phone = models.CharField(
        _("mobile number"),
        max_length=16,
        null=True,
        blank=True,
        unique=True,
        help_text=_("E.164, such as +32470123456."),
    )
    phone_verified = models.BooleanField(_("mobile number confirmed"), default=False)
    is_staff = models.BooleanField(_("staff"), default=False)
    is_active = models.BooleanField(_("active"), default=True)

    objects: ClassVar[UserManager] = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:  # pyright: ignore[reportIncompatibleVariableOverride]
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            models.CheckConstraint(
                condition=Q(phone__isnull=True, phone_verified=False) | Q(phone__startswith="+"), name="user_phone"
            ),
            # Upper, because Django's iexact compares with UPPER(): sign-in then reads this index.
            models.UniqueConstraint(
                Upper("email"), name="user_email", violation_error_message=_("This e-mail address is already in use.")
            ),
        ]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        """The name, or the address where none was given (Django's name for it)."""
        return self.name or self.email

    def get_short_name(self) -> str:
        """Same as the full name: family and given names are not told apart."""
        return self.get_full_name()


class Contact(models.Model):
    """A further way to reach a customer, beside the e-mail address and the confirmed number of the account."""

    class Channel(models.TextChoices):
        EMAIL = "email"
        SMS = "sms"
        WEBPUSH = "webpush"
        TELEGRAM = "telegram"
        LINE = "line"
        WECHAT = "wechat"

    id = models.UUIDField(primary_key=True)
    customer = models.ForeignKey(User, models.PROTECT, related_name="+", db_index=False)
    customer_id: UUID
    channel = models.CharField(max_length=10, choices=Channel.choices)
    address = models.CharField(max_length=1000, help_text="In the channel's own form; personal, never in a fact.")
    label = models.CharField(max_length=80, blank=True)
    confirmed = models.BooleanField(default=False)
    is_working = models.BooleanField(default=True, help_text="Off once the channel says that nobody is there.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "address"], name="contact_once")]
        indexes = [models.Index(fields=["customer"], name="contact_customer")]

    def __str__(self) -> str:
        return self.channel


class Choices(models.Model):
    """What a customer wants to hear over which channels, and when not. Without a row: ``rules.STANDARD``."""

    customer = models.OneToOneField(User, models.PROTECT, primary_key=True, related_name="+")
    customer_id: UUID
    ending = ArrayField(models.CharField(max_length=10))
    usage = ArrayField(models.CharField(max_length=10))
    renewal = ArrayField(models.CharField(max_length=10))
    quiet_from = models.TimeField(help_text="On the customer's clock. The same as quiet_to: never quiet.")
    quiet_to = models.TimeField()
    urgent_at_night = models.BooleanField(help_text="What cannot wait is told in quiet hours too.")

    def __str__(self) -> str:
        return f"choices of {self.customer_id}"


class Family(models.Model):
    """People of whom one, the organiser, sees and renews the cards of the others, as they agreed to.

    While it is open it has exactly one organiser; a trigger holds that, see the migration.
    """

    id = models.UUIDField(primary_key=True, help_text="Made by the page.")
    founded_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "families"

    def __str__(self) -> str:
        return f"family {self.id}"


class Membership(models.Model):
    """That a customer is, or was, in a family. ``place`` 0 is the organiser's; there are ten others."""

    class WhyLeft(models.TextChoices):
        """Who ended it."""

        LEFT = "left"
        REMOVED = "removed"
        CLOSED = "closed"

    id = models.UUIDField(primary_key=True)
    family = models.ForeignKey(Family, models.PROTECT, related_name="+")
    family_id: UUID
    customer = models.ForeignKey(User, models.PROTECT, related_name="+")
    customer_id: UUID
    place = models.PositiveSmallIntegerField()
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True, blank=True)
    why_left = models.CharField(max_length=10, choices=WhyLeft.choices, blank=True)
    consent_words = models.TextField(blank=True, help_text="Exactly what the member agreed to. Empty: the founder.")
    consent_version = models.CharField(max_length=20, blank=True)
    consent_language = models.CharField(max_length=10, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=Q(left_at__isnull=True), name="family_one_at_a_time"
            ),
            models.UniqueConstraint(
                fields=["family", "place"], condition=Q(left_at__isnull=True), name="family_place_once"
            ),
            models.CheckConstraint(condition=Q(place__lte=MOST_MEMBERS), name="family_places"),
            models.CheckConstraint(
                condition=Q(place=0) | (~Q(consent_words="") & ~Q(consent_version="")), name="family_member_agreed"
            ),
            models.CheckConstraint(
                condition=Q(left_at__isnull=True, why_left="") | (Q(left_at__isnull=False) & ~Q(why_left="")),
                name="family_left_for_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} in {self.family_id}"

    @property
    def is_organiser(self) -> bool:
        """Whether they see and renew the others' cards."""
        return self.place == 0


class Invitation(models.Model):
    """A place in a family, offered to an e-mail address by a link that works once. Its secret is kept as a hash."""

    class Outcome(models.TextChoices):
        """What became of it; one whose time is over is open until another takes its place."""

        ACCEPTED = "accepted"
        DECLINED = "declined"
        WITHDRAWN = "withdrawn"

    id = models.UUIDField(primary_key=True, help_text="Made by the page.")
    family = models.ForeignKey(Family, models.PROTECT, related_name="+")
    family_id: UUID
    email = models.EmailField(max_length=254, help_text="As accounts store it: trimmed and lower case.")
    secret_hash = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the link's secret.")
    invited_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)
    membership = models.OneToOneField(Membership, models.PROTECT, null=True, blank=True, related_name="+")
    membership_id: UUID | None

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["family", "email"], condition=Q(ended_at__isnull=True), name="invitation_one_open"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, outcome="") | (Q(ended_at__isnull=False) & ~Q(outcome="")),
                name="invitation_ends_somehow",
            ),
            models.CheckConstraint(
                condition=Q(outcome="accepted", membership__isnull=False)
                | (~Q(outcome="accepted") & Q(membership__isnull=True)),
                name="invitation_accepted_by_a_member",
            ),
        ]

    def __str__(self) -> str:
        return f"invitation {self.id}"
