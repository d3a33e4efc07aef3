"""The pages. Each view parses, makes one call, and translates the answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from allauth.usersessions.models import UserSession
from django.conf import settings as configuration
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from xuka.accounts import operations as accounts
from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.interfaces import clock
from xuka.interfaces.web import choosing, errors, esims, formats, forms, payments, stories, texts, trail, ways, who
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.span import Span
from xuka.ledger import queries as ledger
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines import rules as lines_rules
from xuka.lines.queries import Entry, Line, Timeline
from xuka.lines.rules import InvalidIccid
from xuka.metering import queries as metering
from xuka.receipts import queries as receipts
from xuka.renewals import operations as renewals
from xuka.renewals import queries as renewals_queries
from xuka.renewals import rules as renewals_rules
from xuka.renewals.models import Order, Quote
from xuka.support import operations as support

get_or_post = require_http_methods(["GET", "HEAD", "POST"])

# -- cards ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Booked:
    """One period on the card's page."""

    plan: PlanVersion
    span: Any
    is_running: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A card as the list shows it."""

    line: Line
    plan: PlanVersion
    left: texts.Left | None
    valid_until: datetime | None


def _shown(line: Line, timeline: Timeline, now: datetime) -> Shown:
    until = timeline.valid_until
    ahead = [entry for entry in timeline.entries if entry.span.ends_at > now]
    plan = ahead[0].period.plan_version if ahead else _last_plan(line, timeline)
    left = texts.left(starts_at=ahead[0].span.starts_at, ends_at=until, now=now) if ahead and until else None
    return Shown(line, plan, left, until)


def _last_plan(line: Line, timeline: Timeline) -> PlanVersion:
    return timeline.entries[-1].period.plan_version if timeline.entries else line.plan_version


def _ahead(timeline: Timeline, now: datetime) -> list[Booked]:
    def told(entry: Entry) -> Booked:
        return Booked(entry.period.plan_version, entry.span, entry is timeline.running)

    return [told(entry) for entry in timeline.entries if entry.span.ends_at > now]


@never_cache
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """What this is; signed in: the card, or the cards."""
    if not request.user.is_authenticated:
        return render(request, "home.html")
    now = clock.now()
    cards = lines_queries.lines_of(who.customer(request).id)
    return _card_page(request, cards[0], now, several=False) if len(cards) == 1 else _cards_page(request, cards, now)


@never_cache
@login_required
@require_GET
def cards(request: HttpRequest) -> HttpResponse:
    """All cards of the customer."""
    return _cards_page(request, lines_queries.lines_of(who.customer(request).id), clock.now())


def _cards_page(request: HttpRequest, cards: list[Line], now: datetime) -> HttpResponse:
    timelines = lines_queries.timelines(cards, now) if cards else {}
    shown = [_shown(line, timelines[line.id], now) for line in cards]
    return render(request, "cards.html", {"cards": shown, "tab": "cards"})


@never_cache
@login_required
@require_GET
def card(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """One card: time left, until when, what is booked."""
    return _card_page(request, who.line(request, line_id), clock.now(), several=True)


def _card_page(request: HttpRequest, line: Line, now: datetime, *, several: bool) -> HttpResponse:
    timeline = lines_queries.timeline(line, now)
    shown = _shown(line, timeline, now)
    context = {
        "line": line,
        "plan": shown.plan,
        "left": shown.left,
        "valid_until": shown.valid_until,
        "periods": _ahead(timeline, now),
        "reading": metering.latest_reading(line.id),
        "order": renewals_queries.open_order(line.id),
        "several": several,
        "tab": "cards",
    }
    return render(request, "card.html", context)


@never_cache
@login_required
@get_or_post
def add_card(request: HttpRequest) -> HttpResponse:
    """Claim a card by its number and claim code."""
    if request.method != "POST":
        return render(request, "add_card.html", {"form": forms.AddCard(), "tab": "cards"})
    if refused := who.too_often(request, "claim"):
        return refused
    form = forms.AddCard(request.POST)
    if form.is_valid() and (line := _claimed(request, form)):
        return redirect("card", line.id)
    return render(request, "add_card.html", {"form": form, "tab": "cards"}, status=422)


def _claimed(request: HttpRequest, form: forms.AddCard) -> Line | None:
    try:
        return lines.claim(
            customer=who.customer(request).id,
            iccid=form.cleaned_data["iccid"],
            code=form.cleaned_data["claim_code"],
            now=clock.now(),
        )
    except InvalidIccid:
        form.add_error(
            "iccid",
            gettext(
                "This is not a card number: it has 19 or 20 digits, begins with 89, and one of the digits "
                "checks the others. Please compare it digit by digit."
            ),
        )
    except lines.CannotClaim:
        form.add_error(
            None,
            gettext(
                "No card is waiting for this number and claim code. Please check both; if they are right, write to us."
            ),
        )
    return None


# -- renewing ------------------------------------------------------------------------------------------------------


@never_cache
@login_required
@require_GET
def renew(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """The plans that the carrier would put on this card now."""
    return _choices_page(request, who.line(request, line_id))


def _choices_page(request: HttpRequest, line: Line, problem: str = "", status: int = 200) -> HttpResponse:
    now = clock.now()
    choices = renewals_queries.choices(line=line, now=now)
    offered = [choice.version for choice in choices if choice.standing.is_offered]
    reasons = {choice.standing.why_not for choice in choices if not choice.standing.is_offered}
    wanted = choosing.wanted(request.GET.get("until", ""), today=formats.local(now, line.zone).date())
    context = {
        "line": line,
        "choices": choosing.choices(_offers(line, offered, now), until=wanted.day, zone=line.zone),
        "wanted": wanted,
        "today": formats.local(now, line.zone).date(),
        "why_not": texts.why_not(min(reasons)) if reasons and not offered else None,
        "problem": problem,
        "tab": "cards",
        "here": reverse("renew", args=[line.id]),
    }
    return render(request, "renew.html", context, status=status)


def _offers(line: Line, versions: list[PlanVersion], now: datetime) -> list[choosing.Offer]:
    """Each plan with the time that it would book if it were bought now."""
    timeline = lines_queries.timeline(line, now) if versions else None
    return [choosing.Offer(one, catalogue.policy(one), _would_book(timeline, one, now)) for one in versions if timeline]


def _would_book(timeline: Timeline, version: PlanVersion, now: datetime) -> Span | None:
    policy, until = catalogue.policy(version), timeline.valid_until
    try:
        return renewals_rules.stack(
            booked_until=until,
            queued=sum(entry.projected for entry in timeline.entries),
            policy=policy,
            anchor=lines_rules.run_anchor(timeline.placed, policy.period, until) if until else None,
            now=now,
        ).span
    except renewals_rules.TooFarAhead:
        return None


@never_cache
@login_required
@require_POST
def quote_new(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """Ask for a quote and go to it."""
    line = who.line(request, line_id)
    if refused := who.too_often(request, "quote"):
        return refused
    form = forms.ChoosePlan(request.POST)
    if not form.is_valid():
        return _choices_page(request, line, texts.cannot_renew("unknown_plan", None, line.zone), status=422)
    return _new_quote(request, line, form.cleaned_data["plan"])


def _new_quote(request: HttpRequest, line: Line, plan_version_id: UUID, note: str = "") -> HttpResponse:
    customer = who.customer(request).id
    try:
        quote = renewals.quote(line_id=line.id, plan_version_id=plan_version_id, customer=customer, now=clock.now())
    except renewals.CannotRenew as error:
        says = texts.cannot_renew(error.code, error.possible_at, line.zone)
        return _choices_page(request, line, says, status=422)
    if note:
        return _quote_page(request, quote, note, status=409)
    return redirect("quote", quote.id)


@never_cache
@login_required
@require_GET
def quote(request: HttpRequest, quote_id: UUID) -> HttpResponse:
    """The check page: everything that must be known before paying; 204 while card payment is still away."""
    found = renewals_queries.quote_of(who.customer(request).id, quote_id)
    if found is None:
        raise Http404
    if request.GET.get("while") == "down" and _ways(found, clock.now()).is_down:
        return HttpResponse(status=204)
    return _quote_page(request, found)


def _ways(quote: Quote, now: datetime) -> ways.Ways:
    return ways.to_pay(
        customer=quote.customer_id,
        market=quote.market_id,
        money=Money(quote.total_minor, quote.currency),
        tax_basis_points=quote.tax_basis_points,
        zone=quote.zone,
        now=now,
    )


def _quote_page(request: HttpRequest, quote: Quote, problem: str = "", status: int = 200) -> HttpResponse:
    now = clock.now()
    offered = _ways(quote, now)
    code = quote.why_not or ("" if offered.open or offered.has_cards else "wallet_too_low")
    context = {
        "quote": quote,
        "line": esims.card(quote),
        "is_new": quote.line is None,
        "plan": quote.plan_version,
        "price_lines": texts.price_lines(quote.lines, quote.plan_version),
        "change": choosing.change(
            starts_at=quote.starts_at, ends_at=quote.ends_at, starts_on_activation=quote.starts_on_activation, now=now
        ),
        "conditions": choosing.before_you_renew(
            catalogue.policy(quote.plan_version), Money(quote.total_minor, quote.currency)
        ),
        "kept": texts.kept(quote.kept, quote.zone),
        "lost": texts.lost(quote.lost),
        "ways": offered,
        "why_not": texts.why_not(code) if quote.line else esims.why_not(code),
        "expired": now >= quote.expires_at,
        "is_final": quote.market_id == "JP",
        "promise_minutes": int(renewals_rules.PROMISE.total_seconds() // 60),
        "new_id": ids.new(),
        "payment_id": ids.new(),
        "problem": problem,
        "tab": "cards",
        "here": request.path if request.method == "GET" else "/",
    }
    return render(request, "quote.html", context, status=status)


# -- orders --------------------------------------------------------------------------------------------------------


@never_cache
@login_required
@get_or_post
def orders(request: HttpRequest) -> HttpResponse:
    """The order history; a POST places an order."""
    if request.method == "POST":
        return _place(request)
    customer = who.customer(request).id
    told = [_told(order) for order in renewals_queries.orders_of(customer)]
    return render(request, "orders.html", {"orders": told, "tab": "orders"})


def _told(order: Order) -> dict[str, Any]:
    says, look = texts.order_state(order.state)
    return {"order": order, "says": says, "look": look}


def _place(request: HttpRequest) -> HttpResponse:
    form = forms.Place(request.POST)
    if not form.is_valid():
        return errors.bad_request(request)
    order_id, quote_id, method = (form.cleaned_data[name] for name in ("order", "quote", "method"))
    customer, now = who.customer(request).id, clock.now()
    try:
        order = renewals.place(order_id=order_id, quote_id=quote_id, customer=customer, pays_with=method, now=now)
    except renewals.UnknownQuote:
        raise Http404 from None
    except renewals.QuoteExpired:
        return _again(request, quote_id, status=410)
    except renewals.QuoteChanged:
        return _changed(request, quote_id)
    except renewals.PaymentNotOffered:
        return _again(request, quote_id, texts.cannot_place("not_offered"), status=409)
    except renewals.CannotPay:
        return _again(request, quote_id, texts.cannot_place("not_this_way"), status=409)
    except renewals.DifferentOrder:
        return _again(request, quote_id, texts.cannot_place("different"), status=409)
    if order.id != order_id:
        messages.info(
            request, gettext("There was already an order for this card. This is the one; nothing was bought twice.")
        )
    elif method != "wallet":
        return payments.begin(request, order_id, form.cleaned_data)
    return redirect("order", order.id)


def _again(request: HttpRequest, quote_id: UUID, problem: str = "", *, status: int) -> HttpResponse:
    found = renewals_queries.quote_of(who.customer(request).id, quote_id)
    if found is None:
        raise Http404
    return _quote_page(request, found, problem, status=status)


def _changed(request: HttpRequest, quote_id: UUID) -> HttpResponse:
    old = renewals_queries.quote_of(who.customer(request).id, quote_id)
    if old is None:
        raise Http404
    if old.line is None:
        return esims.again(request, old)
    return _new_quote(request, who.line(request, old.line.id), old.plan_version.id, texts.cannot_place("changed"))


@never_cache
@login_required
@require_GET
def order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """How an order is going; afterwards, what it was."""
    found = who.order(request, order_id)
    context = {
        **_progress(found, clock.now()),
        "quote": found.quote,
        "price_lines": texts.price_lines(found.quote.lines, found.plan_version),
        "tab": "orders",
    }
    return render(request, "order.html", context)


@never_cache
@require_GET
def order_progress(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The moving part of the order's page; 204 while there is nothing new to tell."""
    if not request.user.is_authenticated:  # signed out meanwhile: the whole page asks to sign in again
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    context = _progress(who.order(request, order_id), clock.now())
    if request.GET.get("seen") == context["mark"]:
        return HttpResponse(status=204)
    return render(request, "progress.html", context)


def _progress(order: Order, now: datetime) -> dict[str, Any]:
    waits = order.state == renewals_rules.State.AWAITING_FUNDS
    timeline = lines_queries.timeline(order.line, now) if order.line else Timeline((), None, None, ())
    shown = _shown(order.line, timeline, now) if order.line else None
    story = stories.story(
        renewals_queries.progress(order, now),
        trail.of(order),
        paying := stories.paying(order.id) if waits and order.has_payments else stories.Paying(),
        zone=order.zone,
        now=now,
        until=_brought_until(order, timeline),
    )
    if order.is_first:
        story = esims.as_new(story, order)
    offered = payments.ways_to_pay(order, now) if story.pays in {"go_on", "choose"} else None
    papers = receipts.receipts_about(order.id) if order.funded_at else []
    return {
        "order": order,
        "line": esims.card(order),
        "plan": order.plan_version,
        "story": story,
        "paying": paying,
        "ways": offered,
        "payment_id": ids.new(),
        "receipts": papers,
        "mark": story.mark(offered.mark if offered else "", str(len(papers))),
        "left": shown and shown.left,
        "valid_until": shown and shown.valid_until,
    }


def _brought_until(order: Order, timeline: Timeline) -> datetime | None:
    """The end of the time that this order brought; None while it has brought none."""
    ends = [entry.span.ends_at for entry in timeline.entries if entry.period.order_id == order.id]
    return max(ends, default=None)


@login_required
@require_POST
def order_cancel(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Call an order off while the carrier has not been asked."""
    try:
        renewals.cancel(order_id=order_id, customer=who.customer(request).id, now=clock.now())
    except renewals.UnknownOrder:
        raise Http404 from None
    except renewals.CannotDecide:
        messages.warning(request, gettext("It is too late to cancel: the carrier has already been asked."))
    return redirect("order", order_id)


# -- contact -------------------------------------------------------------------------------------------------------


@never_cache
@get_or_post
def contact(request: HttpRequest) -> HttpResponse:
    """Write to the seller, with the order or the card attached."""
    signed_in = request.user.is_authenticated
    if request.method != "POST":
        order, line = _own_order(request, request.GET.get("order")), _own_line(request, request.GET.get("card"))
        initial = {"ticket": ids.new(), "order": order and order.id, "card": line and line.id}
        return _contact_page(request, forms.Contact(initial=initial, signed_in=signed_in), initial)
    if refused := who.too_often(request, "contact"):
        return refused
    form = forms.Contact(request.POST, signed_in=signed_in)
    if form.is_valid() and _opened(request, form):
        return redirect("contact_sent")
    if any(name in form.errors for name in ("ticket", "order", "card")):
        form.add_error(None, gettext("This page did not arrive whole. Please reload it and send it again."))
    return _contact_page(request, form, request.POST, status=422)


def _contact_page(request: HttpRequest, form: forms.Contact, told: Any, status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "order": _own_order(request, told.get("order")),
        "line": _own_line(request, told.get("card")),
        "tab": "contact",
    }
    return render(request, "contact.html", context, status=status)


def _own_order(request: HttpRequest, text: Any) -> Order | None:
    order_id, person = _uuid(text), who.person(request)
    return renewals_queries.order_of(person.id, order_id) if order_id and person else None


def _own_line(request: HttpRequest, text: Any) -> Line | None:
    line_id, person = _uuid(text), who.person(request)
    return lines_queries.line_of(person.id, line_id) if line_id and person else None


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


def _opened(request: HttpRequest, form: forms.Contact) -> bool:
    told, person = form.cleaned_data, who.person(request)
    line = _own_line(request, told["card"])
    attached = f"\n\n[{line.iccid}]" if line else ""
    try:
        support.open_ticket(
            id=told["ticket"],
            customer=person.id if person else None,
            order_id=told["order"],
            email=person.email if person else told["email"],
            text=told["text"] + attached,
            language=translation.get_language() or "en",
            seller=configuration.SELLER_MAIL,
            now=clock.now(),
        )
    except support.InvalidTicket as error:
        form.add_error(None, str(error))
    except support.DifferentTicket:
        form.add_error(None, gettext("This page was already sent. Open it afresh to write once more."))
    return not form.errors


@require_GET
def contact_sent(request: HttpRequest) -> HttpResponse:
    """The message has arrived."""
    return render(request, "contact_sent.html", {"tab": "contact"})


# -- the person ----------------------------------------------------------------------------------------------------


@never_cache
@login_required
@get_or_post
def settings(request: HttpRequest) -> HttpResponse:
    """Name, language, time zone; the wallet; the ways to password and sessions."""
    customer = who.customer(request)
    initial = {"name": customer.name, "language": customer.language, "time_zone": customer.time_zone}
    form = forms.Settings(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        return _settings_saved(request, form)
    bought = {order.currency for order in renewals_queries.orders_of(customer.id)}
    currencies = sorted(bought | {line.market.currency for line in lines_queries.lines_of(customer.id)})
    wallets = [ledger.wallet_balance(customer=customer.id, currency=currency) for currency in currencies]
    context = {"form": form, "wallets": wallets, "kept_cards": payments.kept_cards(customer.id), "tab": "settings"}
    context["has_texts"] = "sms" in configuration.CHANNELS
    return render(request, "settings.html", context, status=422 if form.errors else 200)


def _settings_saved(request: HttpRequest, form: forms.Settings) -> HttpResponse:
    told, now, customer = form.cleaned_data, clock.now(), who.customer(request).id
    accounts.set_name(customer=customer, name=told["name"], now=now)
    accounts.set_language(customer=customer, language=told["language"], now=now)
    accounts.set_time_zone(customer=customer, time_zone=told["time_zone"], now=now)
    with translation.override(told["language"]):
        messages.success(request, gettext("Saved."))
    return redirect("settings")


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Change the language of the pages, and of the account when signed in."""
    form = forms.Language(request.POST)
    if not form.is_valid():
        return errors.bad_request(request)
    chosen = form.cleaned_data["language"]
    if request.user.is_authenticated:
        accounts.set_language(customer=who.customer(request).id, language=chosen, now=clock.now())
    target = form.cleaned_data["next"]
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    response = redirect(target if safe and target else "/")
    response.set_cookie(
        configuration.LANGUAGE_COOKIE_NAME,
        chosen,
        max_age=365 * 24 * 3600,
        secure=configuration.SESSION_COOKIE_SECURE,
        httponly=configuration.LANGUAGE_COOKIE_HTTPONLY,
        samesite=configuration.LANGUAGE_COOKIE_SAMESITE,
    )
    return response


@login_required
@require_POST
def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    """End every session of this person, this one too."""
    for session in UserSession.objects.filter(user_id=who.customer(request).id):
        session.end()
    logout(request)
    messages.success(request, gettext("You are signed out on all devices."))
    return redirect("home")
