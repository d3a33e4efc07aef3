"""Withdrawing from a contract without signing in, in two steps; and giving back a period that has not begun."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from allauth.core.internal import ratelimit
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from xuka.interfaces import clock
from xuka.interfaces.web import who
from xuka.interfaces.web.forms import Text
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.renewals import giving_back
from xuka.renewals import withdrawal as withdrawals
from xuka.renewals import withdrawal_rules as rules
from xuka.renewals.giving_back import CannotGiveBack
from xuka.renewals.models import Order, Quote
from xuka.renewals.rules import State

LIMITS = {"withdraw": "20/m/ip,100/d/ip", "withdraw_confirm": "5/m/ip,30/d/ip"}
get_or_post = require_http_methods(["GET", "HEAD", "POST"])


class Statement(forms.Form):
    """Which contract, of whom, and where the acknowledgement goes."""

    withdrawal = forms.UUIDField(widget=forms.HiddenInput(attrs={"data-new-id": True}))
    number = Text(
        max_length=60,
        label=_("Order or receipt number"),
        help_text=_("It is on the order's page, on the receipt and in our mails."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    name = Text(max_length=80, label=_("Your name"), widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(
        max_length=254,
        label=_("Your e-mail address"),
        help_text=_("The acknowledgement goes there. The address of your account is best."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


class Confirmed(Statement):
    """The same, sent on by the second page."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget = forms.HiddenInput()


@never_cache
@get_or_post
def withdraw(request: HttpRequest) -> HttpResponse:
    """The statement; sent, it is read back and asks to be confirmed. Nothing is stored, nothing is looked up."""
    if request.method != "POST":
        return _statement(request, Statement(initial=_known(request)))
    if refused := ratelimit.consume_or_429(request, app="xuka.web", action="withdraw", config=LIMITS):
        return refused
    form = Statement(request.POST)
    if not form.is_valid():
        return _statement(request, form, status=422)
    return render(request, "withdrawal/confirm.html", {"told": form.cleaned_data, "form": Confirmed(form.cleaned_data)})


def _statement(request: HttpRequest, form: Statement, status: int = 200) -> HttpResponse:
    if "withdrawal" in form.errors:
        form.add_error(None, gettext("This page did not arrive whole. Please reload it and send it again."))
    return render(request, "withdrawal/state.html", {"form": form, "days": rules.DAYS["BE"]}, status=status)


def _known(request: HttpRequest) -> dict[str, Any]:
    """What the page can fill in for whoever is signed in; an order's number only as it was told in the address."""
    person = who.person(request)
    known: dict[str, Any] = {"withdrawal": ids.new(), "number": request.GET.get("order", "")[:60]}
    return known | ({"name": person.get_full_name(), "email": person.email} if person else {})


@never_cache
@get_or_post
def confirm(request: HttpRequest) -> HttpResponse:
    """The second step: confirmed. The answer is the same whether there is such a contract or not."""
    if request.method != "POST":
        return redirect("withdraw")
    if refused := ratelimit.consume_or_429(request, app="xuka.web", action="withdraw_confirm", config=LIMITS):
        return refused
    form = Statement(request.POST)
    if not form.is_valid():
        return _statement(request, form, status=422)
    told, person = form.cleaned_data, who.person(request)
    try:
        row = withdrawals.confirm(
            id=told["withdrawal"],
            number=told["number"],
            name=told["name"],
            email=told["email"],
            language=translation.get_language() or "en",
            customer=person.id if person else None,
            now=clock.now(),
        )
    except withdrawals.DifferentWithdrawal:
        form.add_error(None, gettext("This page was already sent. Open it afresh to state another one."))
        return _statement(request, form, status=409)
    return redirect("withdrawn", row.id)


@never_cache
@require_GET
def withdrawn(request: HttpRequest, withdrawal_id: UUID) -> HttpResponse:
    """It has arrived, and when."""
    row = withdrawals.withdrawal(withdrawal_id)
    if row is None:
        raise Http404
    return render(request, "withdrawal/received.html", {"confirmed_at": row.confirmed_at, "zone": "Europe/Brussels"})


# -- on the pages of quotes and orders ------------------------------------------------------------------------------


def wish(quote: Quote, now: datetime) -> str:
    """The wish that service begins at once, to be ticked; "" where the law asks for none.

    A change of what it means changes ``withdrawal_rules.WISH_VERSION``.
    """
    zone = quote.plan_version.plan.market.zone
    if not rules.needs_wish(market=quote.market_id, zone=zone, starts_at=quote.starts_at, now=now):
        return ""
    return gettext(
        "I ask that the service begins at once, before the 14 days in which I can withdraw are over. If I withdraw, I "
        "pay for the part that I had until then. Once all of it has been provided I can no longer withdraw."
    )


def wished(quote: Quote | None, *, ticked: bool, now: datetime) -> rules.Wish | None:
    """The wish as it was given with an order, in the words that the page showed; None where it was not."""
    words = wish(quote, now) if quote and ticked else ""
    return rules.Wish(words, translation.get_language() or "en") if words else None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A period that has not begun; ``why_not`` says why it cannot be given back, "" where it can."""

    ordinal: int
    price: Money
    why_not: str


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways out of an order: until when one can withdraw from it, and what has not begun."""

    until: datetime | None
    unused: list[Waiting]
    given_back: Money | None

    @property
    def any(self) -> bool:
        return self.until is not None or bool(self.unused) or self.given_back is not None


def ways_out(order: Order, now: datetime) -> Ways:
    """What can still be undone of this order, for its page."""
    if order.state not in {State.AWAITING_FUNDS, State.FUNDED, State.ACTIVATING, State.NEEDS_A_PERSON, State.ACTIVE}:
        return Ways(None, [], None)
    end = withdrawals.ends_at(order)
    rows = withdrawals.given_back(order.id) if order.state == State.ACTIVE else []
    back = sum(row.amount_minor for row in rows)
    is_withdrawn = any(row.why == rules.Why.WITHDRAWN for row in rows)
    return Ways(
        until=end if end and now < end and not is_withdrawn else None,
        unused=[
            Waiting(one.ordinal, one.price, cannot_give_back(one.why_not) if one.why_not else "")
            for one in giving_back.unused(order, now)
        ],
        given_back=Money(back, order.currency) if back else None,
    )


class GiveBack(forms.Form):
    """Which period, and where the money is to go."""

    ordinal = forms.IntegerField(min_value=0, max_value=1_000)
    to = forms.ChoiceField(choices=[("source", "source"), ("wallet", "wallet")])


@never_cache
@login_required
@get_or_post
def give_back(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """A period that has not begun: what comes back and where to, then asked of the carrier."""
    order = who.order(request, order_id)
    form = GiveBack(
        request.POST if request.method == "POST" else {"ordinal": request.GET.get("period"), "to": "source"}
    )
    unused = {one.ordinal: one for one in giving_back.unused(order, clock.now())}
    if not form.is_valid() or form.cleaned_data["ordinal"] not in unused:
        messages.warning(request, cannot_give_back("begun" if form.is_valid() else "unknown"))
        return redirect("order", order.id)
    one = unused[form.cleaned_data["ordinal"]]
    if request.method != "POST" and not one.why_not:
        return render(request, "withdrawal/give_back.html", {"order": order, "one": one, "tab": "orders"})
    if request.method == "POST":
        try:
            giving_back.ask(
                order_id=order.id,
                ordinal=one.ordinal,
                customer=order.customer_id,
                to_wallet=form.cleaned_data["to"] == "wallet",
                now=clock.now(),
            )
        except CannotGiveBack as error:
            messages.warning(request, cannot_give_back(error.code))
        else:
            messages.success(request, gettext("Asked for. A mail tells you what the carrier says."))
    else:
        messages.warning(request, cannot_give_back(one.why_not))
    return redirect("order", order.id)


def cannot_give_back(code: str) -> str:
    """Why a period cannot be given back, and what can be done."""
    match code:
        case "begun":
            return gettext("This period has begun, so it cannot be given back as unused.")
        case "given_back":
            return gettext("This period was given back, or is being.")
        case "carrier":
            return gettext("The carrier has put this period on your card already and does not take it back.")
        case _:
            return gettext("There is no such period on this order.")
