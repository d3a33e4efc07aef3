"""Credit that is paid out when a customer leaves: asked for on the account's pages, confirmed by staff."""

from __future__ import annotations

from allauth.core.internal import ratelimit
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from xuka.interfaces import clock
from xuka.interfaces.web import who
from xuka.interfaces.web.forms import Text
from xuka.kernel import ids
from xuka.payments import payouts
from xuka.payments.payouts import CannotPayOut

LIMITS = {"payout": "10/m/user,40/d/user"}
CURRENCY = "EUR"


class Ask(forms.Form):
    """Where to, and that it is so."""

    payout = forms.UUIDField(widget=forms.HiddenInput(attrs={"data-new-id": True}))
    iban = Text(
        max_length=42,
        label=_("Your bank account (IBAN)"),
        help_text=_("For what cannot go back to the card that it came from."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    leaves = forms.BooleanField(label=_("I move my number to another operator, or stop using my cards here."))


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def payout(request: HttpRequest) -> HttpResponse:
    """How much can be paid out, and asking for it."""
    customer = who.customer(request).id
    if request.method != "POST":
        return _page(request, Ask(initial={"payout": ids.new()}))
    if refused := ratelimit.consume_or_429(request, app="xuka.web", action="payout", config=LIMITS):
        return refused
    form = Ask(request.POST)
    if form.is_valid():
        told = form.cleaned_data
        try:
            payouts.ask(id=told["payout"], customer=customer, currency=CURRENCY, iban=told["iban"], now=clock.now())
        except CannotPayOut as error:
            form.add_error("iban" if error.code == "iban" else None, _why_not(error.code))
        else:
            messages.success(request, gettext("Asked for. A person checks it; it is paid within four weeks."))
            return redirect("payout")
    return _page(request, form, status=422)


def _page(request: HttpRequest, form: Ask, status: int = 200) -> HttpResponse:
    if "payout" in form.errors:
        form.add_error(None, gettext("This page did not arrive whole. Please reload it and send it again."))
    customer = who.customer(request).id
    told = {
        "form": form,
        "payable": payouts.payable(customer=customer, currency=CURRENCY),
        "under_way": payouts.under_way(customer),
        "tab": "settings",
    }
    return render(request, "payout.html", told, status=status)


def _why_not(code: str) -> str:
    match code:
        case "iban":
            return gettext("This is not an IBAN. Compare it with your bank's papers sign by sign.")
        case "asked":
            return gettext("You have asked for it already; a person is checking it.")
        case _:
            return gettext("There is no credit to pay out: what is in the wallet was given by the shop.")
