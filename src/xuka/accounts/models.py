from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _

from xuka.accounts.rules import InvalidTimeZone, email_of, time_zone_of
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
