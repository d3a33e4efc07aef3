"""How the sign-in library reaches the rest of the house: our accounts, our outbox, our words."""

from __future__ import annotations

import time
from typing import Any

from allauth.account import app_settings as account_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.models import EmailAddress
from allauth.core import context
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.forms import BaseForm, Field
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from xuka.accounts import operations as accounts
from xuka.accounts import queries as accounts_queries
from xuka.accounts.models import User
from xuka.interfaces import clock
from xuka.interfaces.web import phones
from xuka.kernel import ids
from xuka.messaging import operations as messaging


class AccountAdapter(DefaultAccountAdapter):
    """Registers through ``accounts``, sends through the outbox in the person's language, speaks plainly."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "account_inactive": _("This account is closed."),
        "email_password_mismatch": _("The e-mail address or the password is not right."),
        "email_taken": _("This e-mail address already has an account."),
        "enter_current_password": _("This is not your present password."),
        "incorrect_code": _("This code is not right. Look at the newest mail, or ask for a new code."),
        "incorrect_password": _("This password is not right."),
        "invalid_login": _("This e-mail address cannot be used to sign in."),
        "invalid_or_expired_key": _("This link is used up or too old."),
        "invalid_password_reset": _("This code is used up or too old. Ask for a new one."),
        "too_many_login_attempts": _("Too many tries. Wait five minutes, or sign in with a code by e-mail."),
        "unknown_email": _("No account has this e-mail address."),
        "unverified_primary_email": _("Please confirm your e-mail address first."),
        "rate_limited": _("Please wait a moment before you ask again."),
    }

    def save_user(
        self, request: HttpRequest, user: AbstractBaseUser, form: BaseForm, commit: bool = True
    ) -> AbstractBaseUser:
        """Store the account that the sign-up form describes; it reads the language of the page."""
        assert isinstance(user, User)
        user.email = form.cleaned_data["email"]
        user.set_password(form.cleaned_data.get("password1"))
        if commit:
            accounts.register(user=user, language=translation.get_language() or "en", now=clock.now())
        return user

    def pre_login(self, request: HttpRequest, user: AbstractBaseUser, **more: Any) -> HttpResponse | None:
        """A code that came by mail proves the address, also of an account that staff opened."""
        assert isinstance(user, User)
        methods = get_authentication_records(request, user)
        if methods and methods[-1].get("method") == "code" and (methods[-1].get("email") or "").lower() == user.email:
            there = EmailAddress.objects.filter(user_id=user.id).exists()
            if not there:
                EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
        return super().pre_login(request, user, **more)

    def get_login_stages(self) -> list[str]:
        """A passkey replaces the code or the password; it is never asked for after one."""
        return [stage for stage in super().get_login_stages() if stage != "allauth.mfa.stages.AuthenticateStage"]

    def is_reauthentication_required(self, *, app: str, **more: Any) -> bool:
        """Not within five minutes of signing in, however that was done: so a lost passkey locks nobody out."""
        request = context.request
        assert request is not None
        assert isinstance(request.user, User)
        methods = get_authentication_records(request, request.user)
        if methods and time.time() - methods[-1]["at"] < account_settings.REAUTHENTICATION_TIMEOUT:
            return False
        return super().is_reauthentication_required(app=app, **more)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Tries are counted by the account alone: a made-up port in the Host header must not begin a new count."""
        return str(credentials.get("email", "")).lower()

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Hand one mail of the sign-in to the outbox, in the language of the account, else of the page."""
        there = accounts_queries.user_by_email(email)
        language = there.language if there else translation.get_language() or "en"
        told = {**context, "email": email}
        with translation.override(language):
            subject = render_to_string(f"{template_prefix}_subject.txt", told)
            text = render_to_string(f"{template_prefix}_message.txt", told)
        messaging.queue(
            cause=ids.new(),
            kind=template_prefix.rpartition("/")[2],
            to=email,
            language=language,
            subject=" ".join(subject.split()),
            text=text.strip() + "\n",
            customer=there.id if there else None,
            secret=True,
            now=clock.now(),
        )

    # -- the telephone: only confirmed numbers are stored, so that nobody can reserve another person's ---------------

    def phone_form_field(self, **options: Any) -> Field:
        """A number in any usual spelling."""
        return phones.PhoneField(**options)

    def get_phone(self, user: AbstractBaseUser) -> tuple[str, bool] | None:
        """The number, and whether it is confirmed."""
        assert isinstance(user, User)
        return (user.phone, user.phone_verified) if user.phone else None

    def set_phone(self, user: AbstractBaseUser, phone: str, verified: bool) -> None:
        """Store a confirmed number; another one is not worth storing."""
        if verified:
            self.set_phone_verified(user, phone)

    def set_phone_verified(self, user: AbstractBaseUser, phone: str) -> None:
        """Store the number. The same number again changes nothing."""
        assert isinstance(user, User)
        accounts.set_phone(customer=user.id, phone=phone, now=clock.now())

    def get_user_by_phone(self, phone: str) -> AbstractBaseUser | None:
        """The account that may sign in with this number."""
        there = accounts_queries.user_by_phone(phone)
        return there if there and there.is_active else None

    def send_verification_code_sms(self, user: AbstractBaseUser, phone: str, code: str, **more: Any) -> None:
        """A code by text message, in the language of the account."""
        assert isinstance(user, User)
        with translation.override(user.language):
            text = gettext("%(code)s is your code for %(seller)s, good for ten minutes. Never tell it to anybody.")
        self._text("phone_code", phone, text % {"code": code, "seller": settings.SELLER_NAME}, user)

    def send_account_already_exists_sms(self, phone: str) -> None:
        """The number's owner learns that somebody wanted it; nobody else does."""
        there = accounts_queries.user_by_phone(phone)
        with translation.override(there.language if there else translation.get_language()):
            text = gettext("%(seller)s: somebody wanted to add your number to another account. Nothing was changed.")
        self._text("phone_wanted", phone, text % {"seller": settings.SELLER_NAME}, there)

    def send_unknown_account_sms(self, phone: str, **more: Any) -> None:
        """Nothing: a text to any number that somebody types in would cost money and be a nuisance."""

    def _text(self, kind: str, phone: str, text: str, user: User | None) -> None:
        messaging.queue(
            cause=ids.new(),
            kind=kind,
            to=phone,
            language=user.language if user else translation.get_language() or "en",
            subject="",
            text=text,
            customer=user.id if user else None,
            secret=True,
            channel="sms",
            now=clock.now(),
        )

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Back to the account."""
        return reverse("settings")

    def format_email_subject(self, subject: str) -> str:
        """No prefix: the sender says who we are."""
        return subject

    def get_from_email(self) -> str:
        """Unused: the outbox knows the sender."""
        return settings.SELLER_MAIL
