"""The pages. Each view parses, makes one call, and translates the answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
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
from xuka.catalogue.rules import Policy
from xuka.interfaces import clock
from xuka.interfaces.web import (
    autorenewal,
    choosing,
    discounts,
    effect,
    errors,
    esims,
    formats,
    forms,
    gifts,
    methods,
    payments,
    pools,
    starting,
    stories,
    texts,
    trail,
    usage,
    vouchers,
    ways,
    who,
    withdrawal,
)
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.span import Span
from xuka.ledger import queries as ledger
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.queries import Entry, Line, Timeline
from xuka.lines.rules import InvalidIccid
from xuka.receipts import queries as receipts
from xuka.renewals import operations as renewals
from xuka.renewals import queries as renewals_queries
from xuka.renewals import rules as renewals_rules
from xuka.renewals import several as renewals_several
from xuka.renewals import starting as renewals_starting
from xuka.renewals.models import Order, Quote
from xuka.support import operations as support

# How many periods that are over are shown at once.
PAST = 3

get_or_post = require_http_methods(["GET", "HEAD", "POST"])

# -- cards ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Booked:
    """One period on the card's page; ``used`` is "" where it is not known, ``order`` None where it has none
    that is the reader's."""

    plan: PlanVersion
    span: Span
    is_running: bool
    is_over: bool
    used: str
    order: UUID | None
    is_gift: bool = False


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


def _main(entries: Iterable[Entry], now: datetime) -> Timeline:
    """The main track of a card, of periods that are at hand."""
    main = tuple(entry for entry in entries if entry.period.track == "main")
    running = next((entry for entry in main if now in entry.span), None)
    return Timeline(main, running, main[-1].span.ends_at if main else None, booked=())


def _booked(
    entries: Iterable[Entry], used_in: Mapping[UUID, int], orders: Iterable[Order], gifts: Collection[UUID],
    now: datetime,
) -> list[Booked]:  # fmt: skip
    """Every period of a card: the one that runs, those to come, then those that are over, the latest first."""
    known = {order.id for order in orders}

    def told(entry: Entry) -> Booked:
        period = entry.period
        return Booked(
            plan=period.plan_version,
            span=entry.span,
            is_running=now in entry.span,
            is_over=entry.span.ends_at <= now,
            used=usage.used_words(used_in[period.id]) if period.id in used_in else "",
            order=period.order_id if period.order_id in known else None,
            is_gift=period.order_id in gifts,
        )

    booked = [told(entry) for entry in sorted(entries, key=lambda entry: entry.span.starts_at)]
    return [one for one in booked if not one.is_over] + [one for one in reversed(booked) if one.is_over]


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
    """One card: time left, data left, how fast it is, each day's use, what is booked and what was."""
    return _card_page(request, who.line(request, line_id), clock.now(), several=True)


def _card_page(request: HttpRequest, line: Line, now: datetime, *, several: bool) -> HttpResponse:
    entries = lines_queries.entries_of([line], now)[line.id]
    shown, orders = _shown(line, _main(entries, now), now), renewals_queries.orders_on(line.id)
    customer = who.customer(request)
    data = usage.shown(line, entries=entries, zone=customer.time_zone, now=now)
    # Somebody who looks after the card, or gave it something, may have bought some; those are not its owner's to open.
    own = [order for order in orders if order.customer_id == customer.id]
    booked = _booked(entries, data.used_in, own, {order.id for order in orders if order.is_gift}, now)
    under_way = [one for one in orders if one.track == "main" and one.state in renewals_rules.OPEN_STATES]
    past = [one for one in booked if one.is_over]
    waits = renewals_starting.waits(line, entries, now)
    context = {
        "line": line,
        "plan": shown.plan,
        "left": shown.left,
        "valid_until": shown.valid_until,
        "usage": data,
        "auto": autorenewal.shown(line, customer.time_zone, now),
        "periods": [one for one in booked if not one.is_over],
        "past": past[:PAST],
        "can_start": waits is not None and not waits.why_not,
        "waits": starting.waits_words(waits) if waits else "",
        "older": past[PAST:],
        "order": next((one for one in under_way if one in own or not one.is_gift), None),
        "under_way": bool(under_way),
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
    return _choices_page(request, who.line_to_renew(request, line_id))


def _choices_page(request: HttpRequest, line: Line, problem: str = "", status: int = 200) -> HttpResponse:
    now = clock.now()
    choices = renewals_queries.choices(line=line, now=now)
    offered = [choice.version for choice in choices if choice.standing.is_offered]
    reasons = {choice.standing.why_not for choice in choices if not choice.standing.is_offered}
    wanted = choosing.wanted(request.GET.get("until", ""), today=formats.local(now, line.zone).date())
    context = {
        "line": line,
        "is_own": line.owner_id == who.customer(request).id,
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
    return [_offer(timeline, one, line.zone, now) for one in versions if timeline]


def _offer(timeline: Timeline, version: PlanVersion, zone: str, now: datetime) -> choosing.Offer:
    policy = catalogue.policy(version)
    try:
        span = renewals_rules.stack(track=timeline.booked, policy=policy, now=now).span
    except renewals_rules.NotNow as error:
        return choosing.Offer(version, policy, None, error.code, error.possible_at)
    return choosing.Offer(
        version, policy, span, begins=_begins(span.starts_at, policy, timeline.valid_until, zone, now)
    )


def _begins(starts_at: datetime, policy: Policy, booked_until: datetime | None, zone: str, now: datetime) -> str:
    """When time bought now would begin on a card that is booked until then."""
    return choosing.begins(
        starts_at=starts_at,
        now=now,
        waits_for_use=policy.period.starts == "first_use",
        runs=booked_until is not None and booked_until > now,
        zone=zone,
    )


@never_cache
@login_required
@require_POST
def quote_new(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """Ask for a quote and go to it."""
    line = who.line_to_renew(request, line_id)
    if refused := who.too_often(request, "quote"):
        return refused
    form = forms.ChoosePlan(request.POST)
    if not form.is_valid():
        most = 0 if "plan" in form.errors else renewals_several.MOST_AT_ONCE
        says = texts.cannot_renew("count" if most else "unknown_plan", None, line.zone, most)
        return _choices_page(request, line, says, status=422)
    return _new_quote(request, line, form.cleaned_data["plan"], count=form.cleaned_data["count"])


def _new_quote(request: HttpRequest, line: Line, plan_version_id: UUID, note: str = "", count: int = 1) -> HttpResponse:
    customer, now = who.customer(request).id, clock.now()
    try:
        quote = renewals.quote(
            line_id=line.id, plan_version_id=plan_version_id, customer=customer, now=now, count=count
        )
    except renewals.CannotRenew as error:
        says = texts.cannot_renew(error.code, error.possible_at, line.zone, error.most)
        return _choices_page(request, line, says, status=422)
    if note:
        return _quote_page(request, quote, note, status=409)
    return redirect("quote", quote.id)


@never_cache
@login_required
@require_GET
def quote(request: HttpRequest, quote_id: UUID) -> HttpResponse:
    """The check page: everything that must be known before paying.

    Its form asks again with ``?while=down``: 204 while card payment is still away. A page that has the form no more is
    loaded as a whole; the form alone would be taken away without a word.
    """
    found = renewals_queries.quote_of(who.customer(request).id, quote_id)
    if found is None:
        raise Http404
    asks_again = request.GET.get("while") == "down"
    if asks_again and _ways(request, found, clock.now()).is_down:
        return HttpResponse(status=204)
    page = _quote_page(request, found)
    if asks_again and b'id="pay"' not in page.content:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return page


def _ways(request: HttpRequest, quote: Quote, now: datetime) -> ways.Ways:
    return ways.to_pay(
        customer=quote.customer_id,
        market=quote.market_id,
        money=Money(quote.total_minor, quote.currency),
        tax_basis_points=quote.tax_basis_points,
        zone=quote.zone,
        now=now,
        language=translation.get_language() or "",
        inside=methods.inside(request),
    )


def _quote_page(
    request: HttpRequest, quote: Quote, problem: str = "", status: int = 200, less: discounts.Less | None = None
) -> HttpResponse:
    now = clock.now()
    offered = _ways(request, quote, now)
    booked = lines_queries.timeline(quote.line, now) if quote.line and not quote.is_gift else None
    code = quote.why_not or ("" if offered.open or offered.has_methods else "wallet_too_low")
    context = {
        "quote": quote,
        "is_own": quote.line is None or quote.is_gift or quote.line.owner_id == quote.customer_id,
        "for_whom": pools.for_whom(quote.line, quote.plan_version, booked.entries) if quote.line and booked else "",
        "line": esims.card(quote),
        "is_new": quote.line is None,
        "is_esim": quote.line is None or lines_queries.is_esim(quote.line.id),
        "gift": gifts.told(quote),
        "plan": quote.plan_version,
        "price_lines": texts.price_lines(quote.lines, quote.plan_version, quote.currency),
        "change": choosing.change(
            starts_at=quote.starts_at, ends_at=quote.ends_at, starts_on_activation=quote.starts_on_activation, now=now
        ),
        "begins": _quote_begins(quote, now),
        "drawing": effect.of_quote(quote, booked, now) if booked else "",
        "conditions": choosing.before_you_renew(
            catalogue.policy(quote.plan_version), Money(quote.total_minor, quote.currency)
        ),
        "counts": range(1, quote.most + 1),
        "periods": choosing.each_period(quote) if quote.count > 1 else [],
        "again": "" if quote.is_gift else choosing.again(quote),
        "kept": texts.kept(quote.kept, quote.zone),
        "lost": texts.lost(quote.lost, quote.zone),
        "less": None if quote.is_gift else discounts.form(quote, less),
        "ways": offered,
        "why_not": gifts.why_not(code) if quote.is_gift else texts.why_not(code) if quote.line else esims.why_not(code),
        "expired": now >= quote.expires_at,
        "is_final": quote.market_id == "JP",
        "wish": withdrawal.wish(quote, now),
        "promise_minutes": int(renewals_rules.PROMISE.total_seconds() // 60),
        "new_id": ids.new(),
        "payment_id": ids.new(),
        "problem": problem,
        "tab": "cards",
        "here": request.path if request.method == "GET" else "/",
    }
    return render(request, "quote.html", context, status=status)


def _quote_begins(quote: Quote, now: datetime) -> str:
    facts = {fact["kind"] for fact in (*quote.kept, *quote.lost)}
    return choosing.begins(
        starts_at=now if quote.starts_on_activation else quote.starts_at,
        now=now,
        waits_for_use="first_use" in facts,
        runs="time" in facts,
        zone=quote.zone,
    )


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


_NOT_PLACED: dict[type[Exception], str] = {
    renewals.OrderedByAnother: "by_another",
    renewals.PaymentNotOffered: "not_offered",
    renewals.CannotPay: "not_this_way",
    renewals.DifferentOrder: "different",
}


def _place(request: HttpRequest) -> HttpResponse:
    form = forms.Place(request.POST)
    if not form.is_valid():
        return errors.bad_request(request)
    order_id, quote_id, method = (form.cleaned_data[name] for name in ("order", "quote", "method"))
    customer, now = who.customer(request).id, clock.now()
    asked = renewals_queries.quote_of(customer, quote_id)
    wish = withdrawal.wished(asked, ticked=form.cleaned_data["begin_at_once"], now=now)
    try:
        order = renewals.place(
            order_id=order_id, quote_id=quote_id, customer=customer, pays_with=method, wish=wish, now=now
        )
    except renewals.UnknownQuote:
        raise Http404 from None
    except renewals.QuoteExpired:
        return _again(request, quote_id, status=410)
    except renewals.QuoteChanged as error:
        return _changed(request, quote_id, "discount_gone" if isinstance(error, renewals.DiscountGone) else "changed")
    except tuple(_NOT_PLACED) as error:
        return _again(request, quote_id, texts.cannot_place(_NOT_PLACED[type(error)]), status=409)
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


def _changed(request: HttpRequest, quote_id: UUID, code: str = "changed") -> HttpResponse:
    old = renewals_queries.quote_of(who.customer(request).id, quote_id)
    if old is None:
        raise Http404
    if old.is_gift:
        return gifts.page(request, gifts.cannot_give(), status=409)
    if old.line is None:
        return esims.again(request, old, code)
    return _new_quote(
        request, who.line_to_renew(request, old.line.id), old.plan_version.id, texts.cannot_place(code), old.count
    )


@never_cache
@login_required
@require_POST
def less(request: HttpRequest, quote_id: UUID) -> HttpResponse:
    """A coupon or points for what is on the check page: a new quote, or why not."""
    found = renewals_queries.quote_of(who.customer(request).id, quote_id)
    if found is None:
        raise Http404
    if refused := who.too_often(request, "quote"):
        return refused
    form = discounts.Less(request.POST)
    try:
        fresh = discounts.priced_anew(request, found, form) if form.is_valid() else None
    except renewals.CannotRenew:
        return _changed(request, quote_id)
    return redirect("quote", fresh.id) if fresh else _quote_page(request, found, less=form, status=422)


@never_cache
@login_required
@require_GET
def order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """How an order is going; afterwards, what it was."""
    found = who.order(request, order_id)
    context = {
        **_progress(request, found, clock.now()),
        "quote": found.quote,
        "price_lines": texts.price_lines(found.quote.lines, found.plan_version, found.currency),
        "out": withdrawal.ways_out(found, clock.now()),
        "tab": "orders",
    }
    return render(request, "order.html", context)


@never_cache
@login_required
@require_GET
def order_progress(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The moving part of the order's page; 204 while there is nothing new to tell."""
    context = _progress(request, who.order(request, order_id), clock.now())
    if request.GET.get("seen") == context["mark"]:
        return HttpResponse(status=204)
    return render(request, "progress.html", context)


# Whose payments may still be under way.
_UNPAID = {renewals_rules.State.AWAITING_FUNDS, renewals_rules.State.EXPIRED, renewals_rules.State.CANCELLED}


def _progress(request: HttpRequest, order: Order, now: datetime) -> dict[str, Any]:
    line = None if order.is_gift else _still_seen(order)  # a giver never sees the card
    timeline = lines_queries.timeline(line, now) if line else Timeline((), None, None, ())
    shown = _shown(line, timeline, now) if line else None
    story = stories.story(
        renewals_queries.progress(order, now),
        trail.of(order),
        paying := stories.paying(order.id) if order.has_payments and order.state in _UNPAID else stories.Paying(),
        zone=order.zone,
        now=now,
        until=None if order.is_gift else _brought_until(order, timeline),
    )
    if order.is_first:
        story = esims.as_new(story, order)
    elif order.is_gift:
        story = gifts.as_given(story)
    offered = payments.ways_to_pay(request, order, now) if story.pays in {"go_on", "choose"} else None
    papers = receipts.receipts_about(order.id) if order.funded_at else []
    return {
        "order": order,
        "line": esims.card(order),
        "is_own": order.line is None or order.is_gift or order.line.owner_id == order.customer_id,
        "may_renew": line is not None,
        "gift": gifts.told(order.quote),
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


def _still_seen(order: Order) -> Line | None:
    """The order's card, while who bought it may see it: a member who left the buyer's family is not seen any more."""
    return order.line if order.line and lines_queries.may_renew(order.customer_id, order.line) else None


def _brought_until(order: Order, timeline: Timeline) -> datetime | None:
    """The end of the time that this order brought; None while it has brought none."""
    ends = [entry.span.ends_at for entry in timeline.entries if entry.period.order_id == order.id]
    if not ends and order.state == renewals_rules.State.ACTIVE and _still_seen(order):  # it runs beside the main track
        spans = map(lines_queries.span_of, lines_queries.periods_of(order.id))
        ends = [span.ends_at for span in spans if span]
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
        found = who.order(request, order_id)
        if found.state == renewals_rules.State.EXPIRED:  # nobody paid, so nobody was asked
            says = ways.cannot_pay("not_waiting", None, found.zone, found.pays_with)
        else:
            says = gettext("It is too late to cancel: the carrier has already been asked.")
        messages.warning(request, says)
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
    wallets = vouchers.wallets(customer.id)
    context = {"form": form, "wallets": wallets, "kept_methods": payments.kept_methods(customer.id), "tab": "settings"}
    points = ledger.points_balance(customer.id)
    context["points"] = formats.number(points) if points else ""
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
