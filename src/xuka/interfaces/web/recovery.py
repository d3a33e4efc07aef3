"""Getting an account back without mailbox and number; and the link that stops it."""

from __future__ import annotations

from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.core.internal import ratelimit
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.conf import settings
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from xuka.interfaces import clock
from xuka.interfaces.web.forms import AddCard
from xuka.kernel import ids
from xuka.support import recovery as recoveries

# A card's code may be tried this often, from wherever.
LIMITS = {"recover": "5/m/ip,30/d/ip,10/d/key"}
SALT = "xuka.recovery.stop"


class Recover(AddCard):
    """A card with its code, and where the account should go."""

    recovery = forms.UUIDField(widget=forms.HiddenInput(attrs={"data-new-id": True}))
    email = forms.EmailField(
        label=_("Your new e-mail address"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def recover(request: HttpRequest) -> HttpResponse:
    """Ask for an account with a card and its claim code."""
    if request.method != "POST":
        return render(request, "recovery/recover.html", {"form": Recover(initial={"recovery": ids.new()})})
    form = Recover(request.POST)
    key = "".join(char for char in request.POST.get("iccid", "") if char.isdigit())[:20]
    if refused := ratelimit.consume_or_429(request, app="xuka.web", action="recover", config=LIMITS, key=key):
        return refused
    if form.is_valid() and _asked(form):
        return redirect("recover_sent")
    return render(request, "recovery/recover.html", {"form": form}, status=422)


def _asked(form: Recover) -> bool:
    told = form.cleaned_data
    try:
        recoveries.ask(
            id=told["recovery"],
            iccid=told["iccid"],
            code=told["claim_code"],
            email=told["email"],
            language=translation.get_language() or "en",
            now=clock.now(),
        )
    except recoveries.CannotRecover:
        form.add_error(None, gettext("We found no account for this card number and claim code. Please check both."))
    return not form.errors


@require_http_methods(["GET", "HEAD"])
def recover_sent(request: HttpRequest) -> HttpResponse:
    """A person looks at it."""
    return render(request, "recovery/sent.html")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def recover_stop(request: HttpRequest, token: str) -> HttpResponse:
    """Stop it: asked first, because mail programs open links by themselves."""
    try:
        id = UUID(signing.loads(token, salt=SALT))
    except (signing.BadSignature, ValueError) as wrong:
        raise Http404 from wrong
    told = {"bare": False}
    if request.method == "POST":
        told["stopped"] = recoveries.stop(id=id, now=clock.now())
        told["answered"] = True
    return render(request, "recovery/stop.html", told)


def stop_url(id: UUID) -> str:
    """The link for the old mailbox; who asked cannot make it."""
    return settings.SITE_URL + reverse("recover_stop", args=[signing.dumps(str(id), salt=SALT)])


def forget_sign_ins(customer: UUID) -> None:
    """End what the sign-in library keeps of an account: confirmed addresses, passkeys, sessions."""
    EmailAddress.objects.filter(user_id=customer).delete()
    Authenticator.objects.filter(user_id=customer).delete()
    for session in UserSession.objects.filter(user_id=customer):
        session.end()
