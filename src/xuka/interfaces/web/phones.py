"""A telephone number in the account: typed in, confirmed with a code by text message, and from then on a way in.

What the page says never depends on whether somebody else has the number; only the number itself is told.
"""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.fields import EmailField
from allauth.account.forms import BaseConfirmCodeForm, LoginForm, RequestLoginCodeForm
from allauth.account.internal.flows.phone_verification import ChangePhoneVerificationProcess
from allauth.account.internal.flows.reauthentication import raise_if_reauthentication_required
from allauth.core.exceptions import RateLimited
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from xuka.accounts import operations as accounts
from xuka.accounts import queries as accounts_queries
from xuka.accounts.rules import InvalidPhone, phone_of
from xuka.interfaces import clock
from xuka.interfaces.web import who


class PhoneField(forms.CharField):
    """A number in any usual spelling, read as E.164; "" where none is needed."""

    def __init__(self, **kwargs: Any) -> None:
        told = {
            "label": _("Mobile number"),
            "help_text": _("With its country, for example +32 470 12 34 56."),
            "max_length": 40,
            "widget": forms.TextInput(attrs={"type": "tel", "autocomplete": "tel", "placeholder": "+32 470 12 34 56"}),
        }
        super().__init__(**told | kwargs)

    def clean(self, value: Any) -> str:
        """The number in E.164. Raises ``ValidationError`` for what is none."""
        text = super().clean(value)
        if not text:
            return ""
        try:
            return phone_of(text)
        except InvalidPhone as wrong:
            raise ValidationError(_("Please write the number with its country, such as +32 470 12 34 56.")) from wrong


class Number(forms.Form):
    phone = PhoneField()


class PasswordForm(LoginForm):
    """A password goes with the e-mail address; to a number goes a code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"] = EmailField()
        self.order_fields(["login", "password", "remember"])


class CodeForm(RequestLoginCodeForm):
    """Where the code should go: an e-mail address or, where text messages are sent, a number."""

    _user = None

    def clean(self) -> dict[str, Any]:
        """One of the two is needed."""
        told = super().clean() or {}
        if not self.errors and not told.get("email") and not told.get("phone"):
            self.add_error("email", self.fields["email"].error_messages["required"])
        return told


class _Confirmation(ChangePhoneVerificationProcess):
    """The library's: ten minutes, three tries, and no number asked too often."""

    @property
    def code(self) -> str:
        """No code opens a number that is somebody else's."""
        return "" if self.state.get("account_already_exists") else super().code

    @classmethod
    def begin(cls, request: HttpRequest, phone: str) -> None:
        """Send a code to the number; to somebody else's a warning. Raises ``RateLimited``."""
        customer = who.customer(request)
        owner = accounts_queries.user_by_phone(phone)
        state = cls.initial_state(user=customer, phone=phone)
        state["account_already_exists"] = owner is not None and owner.id != customer.id
        cls(request, state).send()

    @classmethod
    def going_on(cls, request: HttpRequest) -> _Confirmation | None:
        """The one that this browser has begun, while it is good."""
        state = request.session.get("account_phone_verification")
        return cls(request, state).abort_if_invalid() if state else None


def _only_with_texts() -> None:
    if "sms" not in settings.CHANNELS:
        raise Http404


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def phone(request: HttpRequest) -> HttpResponse:
    """The number of the account; another one gets a code first."""
    _only_with_texts()
    if request.method == "POST":
        raise_if_reauthentication_required(request, app="allauth.mfa")
    form = Number(request.POST or None)
    status = 200
    if request.method == "POST":
        if form.is_valid():
            try:
                _Confirmation.begin(request, form.cleaned_data["phone"])
                return redirect("phone_confirm")
            except RateLimited:
                form.add_error("phone", get_adapter().error_messages["rate_limited"])
                status = 429
        else:
            status = 422
    return render(request, "account/phone.html", {"form": form, "tab": "settings"}, status=status)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def phone_confirm(request: HttpRequest) -> HttpResponse:
    """The code that was sent to the number."""
    _only_with_texts()
    process = _Confirmation.going_on(request)
    if process is None:
        return redirect("phone")
    form = BaseConfirmCodeForm(request.POST or None, code=process.code)
    if request.method == "POST":
        if form.is_valid() and _confirmed(request, process):
            messages.success(request, gettext("The number is confirmed. You can sign in with it from now on."))
            return redirect("phone")
        if not process.record_invalid_attempt():
            messages.error(request, gettext("Too many wrong codes. Please start again."))
            return redirect("phone")
    told = {"verify_form": form, "phone": process.phone, "cancel_url": "/account/phone/", "tab": "settings"}
    return render(request, "account/confirm_phone.html", told, status=422 if form.errors else 200)


def _confirmed(request: HttpRequest, process: _Confirmation) -> bool:
    """Store the number; False when another account confirmed it in the meantime."""
    try:
        accounts.set_phone(customer=who.customer(request).id, phone=process.phone, now=clock.now())
    except accounts.PhoneTaken:
        return False
    process.abort()
    return True


@login_required
@require_POST
def phone_remove(request: HttpRequest) -> HttpResponse:
    """No number any more."""
    raise_if_reauthentication_required(request, app="allauth.mfa")
    accounts.set_phone(customer=who.customer(request).id, phone=None, now=clock.now())
    messages.success(request, gettext("The number is removed."))
    return redirect("phone")
