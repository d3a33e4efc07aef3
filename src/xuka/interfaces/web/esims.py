"""Buying a new eSIM and installing it. The profile is a secret: only its owner's page shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote as url_quote
from uuid import UUID

import segno
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from xuka.activation.contract import Esim
from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.interfaces import clock
from xuka.interfaces.web import texts, who
from xuka.interfaces.web.stories import Story
from xuka.interfaces.web.texts import WhyNot
from xuka.lines import queries as lines
from xuka.lines.queries import Line
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order, Quote

APPLE = "https://esimsetup.apple.com/esim_qrcode_provisioning?carddata="
ANDROID = "https://esimsetup.android.com/esim_qrcode_provisioning?carddata="


@dataclass(frozen=True, slots=True)
class Coming:
    """An eSIM that is bought and not there yet, or somebody else's card, as far as a page needs a card."""

    zone: str
    id: None = None
    iccid: str = ""


def card(bought: Quote | Order) -> Line | Coming:
    """The card that this is about; without its number for an eSIM that is to come, and for who gives it to another."""
    return bought.line if bought.line and not bought.is_gift else Coming(bought.zone)


# -- buying --------------------------------------------------------------------------------------------------------


def offered(slug: str) -> PlanVersion | None:
    """The version of this plan that is sold now as a new eSIM; None when there is none."""
    version = catalogue.plan_by_slug(slug)
    return version if version and version.first_package else None


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def buy(request: HttpRequest, slug: str) -> HttpResponse:
    """A plan as a new eSIM; a POST makes its price and leads to the check page."""
    version = offered(slug)
    if version is None:
        raise Http404
    if request.method != "POST":
        return render(request, "buy.html", {"plan": version, "tab": "cards"})
    if refused := who.too_often(request, "quote"):
        return refused
    return _priced(request, version.id)


def again(request: HttpRequest, old: Quote, code: str = "changed") -> HttpResponse:
    """A new price for a new eSIM, because the old one does not hold any more: "changed" or "discount_gone"."""
    messages.warning(request, texts.cannot_place(code))
    return _priced(request, old.plan_version.id)


def _priced(request: HttpRequest, plan_version_id: UUID) -> HttpResponse:
    customer = who.customer(request).id
    try:
        quote = renewals.quote_new(plan_version_id=plan_version_id, customer=customer, now=clock.now())
    except renewals.CannotRenew:
        raise Http404 from None
    return redirect("quote", quote.id)


def why_not(code: str) -> WhyNot | None:
    """Why a new eSIM cannot be paid now; None when it can."""
    if code == "carrier_silent":
        says = gettext("The carrier does not answer at the moment, so we cannot promise you an eSIM.")
        return WhyNot(says, gettext("Nothing has been charged. Look again in a few minutes."))
    if code == "seller_out_of_credit":
        says = gettext("We cannot buy this eSIM from the carrier right now; the reason lies with us, not with you.")
        return WhyNot(
            says, gettext("Nothing has been charged. We are on it; look again a little later or write to us.")
        )
    return texts.why_not(code)


# -- the order -----------------------------------------------------------------------------------------------------


def as_new(story: Story, order: Order) -> Story:
    """The story of an order, told of a new eSIM instead of a renewal."""
    words = _instead()
    steps = [
        replace(step, says=words.get(step.says, step.says), more=words.get(step.more, step.more))
        for step in story.steps
    ]
    says = tuple(words.get(one, one) for one in story.says)
    title = words.get(story.title, story.title)
    if order.state == "active":
        steps[-1] = replace(steps[-1], says=gettext("Ready to install"))
        title = gettext("Your new eSIM is ready")
        first = gettext("Done: your eSIM is paid and active. Install it on your phone now; it takes two minutes.")
        says = (first, *says[1:])
    return replace(story, title=title, steps=tuple(steps), says=says)


def _instead() -> dict[str, str]:
    """What is said of a renewal -> what is said of a new eSIM."""
    return {
        gettext("Renewed"): gettext("Ready to install"),
        gettext("Not renewed"): gettext("No eSIM"),
        gettext("Not renewed, money back"): gettext("No eSIM, money back"),
        gettext("Renewed, or your money back"): gettext("Your eSIM, or your money back"),
        gettext("Your card is being renewed"): gettext("Your new eSIM is being made"),
        gettext("The carrier puts the plan on your card"): gettext("The carrier makes your eSIM"),
        gettext("Your card stays as it was before. You can try another plan, or write to us."): gettext(
            "You can try another plan, or write to us."
        ),
        gettext(
            "The carrier has not told whether your card was renewed, and from here nobody can know. So a "
            "person asks the carrier."
        ): gettext(
            "The carrier has not told whether your eSIM was made, and from here nobody can know. So a person asks "
            "the carrier."
        ),
        gettext(
            "You need not do anything, and please do not buy again: you are never charged twice. Either the "
            "card is renewed or the whole amount comes back."
        ): gettext(
            "You need not do anything, and please do not buy again: you are never charged twice. Either you get the "
            "eSIM or the whole amount comes back."
        ),
        gettext(
            "It goes on by itself: the card becomes active, or the whole amount comes back to where it came "
            "from. If nobody can tell, a person decides. You need not do anything."
        ): gettext(
            "It goes on by itself: you get the eSIM, or the whole amount comes back to where it came from. If nobody "
            "can tell, a person decides. You need not do anything."
        ),
        texts.refusal("top_up_disabled"): gettext("The carrier did not accept the order."),
        texts.refusal(""): gettext("The carrier did not accept the order."),
    }


# -- installing ----------------------------------------------------------------------------------------------------


@never_cache
@login_required
@require_GET
def install(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """How to put the eSIM on a phone: the QR code, the codes to type, one tap. For its owner alone."""
    line = who.line(request, line_id)
    kept = lines.esim_of(line.id)
    if kept is None:
        raise Http404
    esim = Esim(kept.smdp_address, kept.matching_id, kept.confirmation_code)
    return render(request, "install.html", _told(line, esim, kept.apple_url, kept.apn))


def _told(line: Line, esim: Esim, apple_url: str, apn: str) -> dict[str, Any]:
    data = url_quote(esim.lpa, safe=":$")
    return {
        "line": line,
        "plan": line.plan_version,
        "esim": esim,
        "qr": _qr(esim.lpa),
        "apple": apple_url or APPLE + data,
        "android": ANDROID + data,
        "apn": apn or _apn_of_network(line),
        "tab": "cards",
    }


def _qr(text: str) -> str:
    """The QR code as SVG that stands in the page itself: dark on white in every theme, for cameras."""
    drawn = segno.make(text, error="m", micro=False).svg_inline(border=4, dark="#000", light="#fff", omitsize=True)
    return mark_safe(drawn)  # noqa: S308 - drawn here, of numbers alone


def _apn_of_network(line: Line) -> str:
    """The first access point name that phones ship with for this network; "" when none is known."""
    apns = line.plan_version.plan.network.apns
    return next((str(one["apn"]) for one in apns if one.get("apn")), "")
