"""Renewing somebody else's card: by its whole number, and without seeing anything of it but network and market."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from xuka.interfaces import clock
from xuka.interfaces.web import formats, texts, who
from xuka.interfaces.web.forms import Text
from xuka.interfaces.web.stories import Story
from xuka.interfaces.web.texts import WhyNot
from xuka.lines.queries import Line
from xuka.renewals import gifts
from xuka.renewals import queries as renewals
from xuka.renewals.models import Gift, Quote


class Number(forms.Form):
    """The card's own number, or its telephone number; all of it, for nobody is to find cards by guessing."""

    number = Text(
        max_length=40,
        label=_("The card's number"),
        help_text=_("The 19 or 20 digits printed on the card (ICCID), or its telephone number that begins with +"),
        widget=forms.TextInput(attrs={"inputmode": "tel", "autocomplete": "off", "spellcheck": "false"}),
    )


class Give(Number):
    """Which plan, and what the owner is told."""

    plan = forms.UUIDField(error_messages={"required": _("Choose a plan.")})
    giver_name = Text(
        max_length=gifts.MOST_NAME,
        required=False,
        label=_("Your name, as the owner of the card is told it (may stay empty)"),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    words = Text(
        max_length=gifts.MOST_WORDS,
        required=False,
        label=_("A few words to go with it (may stay empty)"),
        help_text=_("At most 120 signs, no links"),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["number"].widget = forms.HiddenInput()


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def gift(request: HttpRequest) -> HttpResponse:
    """Asks for the number; a POST with it shows the plans for that card."""
    if request.method != "POST":
        return page(request)
    if refused := who.too_often(request, "gift"):
        return refused
    form = Number(request.POST)
    line = _found(request, form) if form.is_valid() else None
    if line is None:
        return _asks(request, form, status=422)
    return _plans(request, line, Give(initial={"number": form.cleaned_data["number"]}))


def page(request: HttpRequest, problem: str = "", status: int = 200) -> HttpResponse:
    """The page that asks for the number."""
    return _asks(request, Number(), problem, status)


def _asks(request: HttpRequest, form: Number, problem: str = "", status: int = 200) -> HttpResponse:
    return render(request, "gift.html", {"form": form, "problem": problem, "tab": "cards"}, status=status)


def _found(request: HttpRequest, form: Number) -> Line | None:
    """The card that was meant; None with the reason in the form. Unknown and nobody's sound the same."""
    try:
        line = gifts.card(number=form.cleaned_data["number"], giver=who.customer(request).id)
    except gifts.InvalidNumber:
        says = gettext(
            "This is neither a card number (19 or 20 digits that begin with 89, one of which checks the others) nor a "
            "telephone number with its country, such as +32 470 12 34 56. Please compare it digit by digit."
        )
    except gifts.OwnCard:
        says = gettext("This is your own card: renew it on its own page.")
    else:
        if line is not None:
            return line
        says = gettext("No card with this number can be renewed here. Please compare it digit by digit with the card.")
    form.add_error("number", says)
    return None


@never_cache
@login_required
@require_POST
def quote(request: HttpRequest) -> HttpResponse:
    """Make the price of a gift, and go to it."""
    if refused := who.too_often(request, "gift"):
        return refused
    form, number = Give(request.POST), Number(request.POST)
    line = _found(request, number) if number.is_valid() else None
    if line is None:
        return _asks(request, number, status=422)
    if "plan" in form.errors:
        form.add_error(None, cannot_give())
    if form.is_valid() and (made := _quoted(request, form)):
        return redirect("quote", made.id)
    return _plans(request, line, form, status=422)


def _quoted(request: HttpRequest, form: Give) -> Quote | None:
    told = form.cleaned_data
    try:
        return gifts.quote(
            number=told["number"],
            plan_version_id=told["plan"],
            giver=who.customer(request).id,
            giver_name=told["giver_name"],
            words=told["words"],
            now=clock.now(),
        )
    except gifts.InvalidWords:
        form.add_error("words", gettext("Links cannot be sent with a gift. Write it without one."))
    except gifts.CannotGive:
        form.add_error(None, cannot_give())
    return None


def cannot_give() -> str:
    """Why a gift is not possible, which is never told: it would tell what the card has."""
    return gettext(
        "This plan cannot be given to this card at the moment. Nothing has been charged. Choose another plan, or try "
        "again another day."
    )


def _plans(request: HttpRequest, line: Line, form: Give, status: int = 200) -> HttpResponse:
    """The plans that fit, and nothing of the card but where it is from."""
    choices = renewals.choices(line=line, now=clock.now())
    context = {
        "form": form,
        "market": formats.country(line.market_id),
        "network": line.plan_version,
        "plans": [choice.version for choice in choices if choice.standing.is_offered],
        "tab": "cards",
        "here": reverse("gift"),
    }
    return render(request, "gift_plans.html", context, status=status)


# -- quote and order, as the giver sees them -------------------------------------------------------------------------


def told(quote: Quote) -> Gift | None:
    """What belongs to a gift besides its quote; None when it is none, and then nothing is asked."""
    return gifts.gift_of(quote.id) if quote.is_gift else None


def why_not(code: str) -> WhyNot | None:
    """Why a gift cannot be paid now; None when it can. What concerns the card is not told."""
    if code in {"", "wallet_too_low", "carrier_silent"}:
        return texts.why_not(code)
    return WhyNot(cannot_give(), gettext("Nothing has been charged. Choose another plan, or write to us."))


def as_given(story: Story) -> Story:
    """The story of an order, told of a gift instead of one's own renewal."""
    words = _instead()
    steps = [
        replace(step, says=words.get(step.says, step.says), more=words.get(step.more, step.more))
        for step in story.steps
    ]
    says = tuple(words.get(one, one) for one in story.says)
    return replace(story, title=words.get(story.title, story.title), steps=tuple(steps), says=says)


def _instead() -> dict[str, str]:
    """What is said of a renewal -> what is said of a gift."""
    return {
        gettext("Your card is renewed"): gettext("Your gift has arrived"),
        gettext("Your card is being renewed"): gettext("Your gift is on its way"),
        gettext(
            "Done: your card is renewed. You need not do anything on the phone; a confirmation is in your mailbox."
        ): gettext("Done: the card is renewed, and its owner has been told. A confirmation is in your mailbox."),
        gettext("The carrier puts the plan on your card"): gettext("The carrier puts the plan on the card"),
        gettext("Your card stays as it was before. You can try another plan, or write to us."): gettext(
            "The card stays as it was before. You can try another plan, or write to us."
        ),
        gettext(
            "The carrier has not told whether your card was renewed, and from here nobody can know. So a "
            "person asks the carrier."
        ): gettext(
            "The carrier has not told whether the card was renewed, and from here nobody can know. So a person asks "
            "the carrier."
        ),
    }
