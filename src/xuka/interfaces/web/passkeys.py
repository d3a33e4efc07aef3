"""Passkeys: another way to sign in, beside the code; never a second step after one.

The ceremony is the sign-in library's; here are our words, our facts and our addresses. Whoever lost the device that
holds a passkey signs in with a code as before and removes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn import forms, views
from allauth.mfa.webauthn.internal import auth
from django import forms as fields
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.http import HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from xuka.accounts import operations as accounts
from xuka.accounts.models import User
from xuka.interfaces import clock


class PasskeyAdapter(DefaultMFAAdapter):
    """Speaks plainly, and names the shop where the device asks."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": _("This passkey was not accepted. Please try again."),
        "unverified_email": _("Please confirm your e-mail address first."),
    }

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        """ "Passkey 1", "Passkey 2", …"""
        there = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return gettext("Passkey %(number)s") % {"number": there + 1}

    def _get_site_name(self) -> str:
        return settings.SELLER_NAME


class AddForm(forms.AddWebAuthnForm):
    """A name and what the device made; here every key is one that signs in by itself."""

    name = fields.CharField(label=_("Its name"), required=False, max_length=60)
    passwordless = None

    def clean(self) -> dict[str, Any]:
        """The library's, where an answer that no device makes is a refusal too."""
        try:
            return super().clean()
        except (AttributeError, KeyError, TypeError, ValueError) as wrong:
            raise get_adapter().validation_error("incorrect_code") from wrong


class NameForm(forms.EditWebAuthnForm):
    """Another name."""

    name = fields.CharField(label=_("Its name"), max_length=60)


class Add(views.AddWebAuthnView):
    """A new passkey: it stays on the device, and the device asks for finger, face or PIN."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The library's, with a challenge for a key that signs in by itself."""
        user = self.request.user
        assert isinstance(user, User)
        told = super().get_context_data(**kwargs)
        return told | {"js_data": {"creation_options": auth.begin_registration(user, True)}, "tab": "settings"}

    def form_valid(self, form: Any) -> HttpResponse:
        """Store it, and the fact."""
        return _noted(super().form_valid, form, self.request.user, added=True)


class Remove(views.RemoveWebAuthnView):
    """One passkey less."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Forget it, and store the fact."""
        return _noted(super().form_valid, form, self.request.user, added=False)


@transaction.atomic
def _noted(change: Callable[[Any], HttpResponse], form: Any, user: Any, *, added: bool) -> HttpResponse:
    """Do the library's change and keep the fact, both or neither."""
    answer = change(form)
    accounts.note_passkey(customer=user.id, added=added, now=clock.now())
    return answer


# The library asks for some of these under two names.
urlpatterns: list[URLPattern] = [
    path("", views.list_webauthn, name="mfa_list_webauthn"),
    path("", views.list_webauthn, name="mfa_index"),
    path("add/", Add.as_view(), name="mfa_add_webauthn"),
    path("again/", views.reauthenticate_webauthn, name="mfa_reauthenticate_webauthn"),
    path("again/", views.reauthenticate_webauthn, name="mfa_reauthenticate"),
    path("<int:pk>/remove/", Remove.as_view(), name="mfa_remove_webauthn"),
    path("<int:pk>/name/", views.edit_webauthn, name="mfa_edit_webauthn"),
    path("sign-in/", views.login_webauthn, name="mfa_login_webauthn"),
]
