"""Orders: the list with those that need a person first, one page with everything about one, and the ways out."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Case, IntegerField, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from unfold.decorators import display

from xuka.activation import queries as activation
from xuka.activation.models import Attempt
from xuka.interfaces import clock
from xuka.interfaces.backoffice import books, reading, records, takings, words
from xuka.interfaces.backoffice.forms import Adoption, GiveBack, Reason, say
from xuka.interfaces.backoffice.reading import Choices, Reading, amount, card, link, when
from xuka.interfaces.jobs import tasks
from xuka.journal import queries as journal
from xuka.ledger import queries as ledger
from xuka.lines.models import Period
from xuka.messaging import queries as messaging
from xuka.payments import queries as payments_queries
from xuka.renewals import giving_back, queries
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order
from xuka.renewals.rules import OPEN_STATES, State

NEEDS_A_PERSON_FIRST = Case(
    When(state=State.NEEDS_A_PERSON, then=Value(0)), default=Value(1), output_field=IntegerField()
)


class StateFilter(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        first = [State.NEEDS_A_PERSON]
        return [(state, words.plain(state)) for state in first + [s for s in State if s not in first]]


class Orders(Reading):
    """Renewals on their way and ended."""

    list_display = (
        "told_state",
        "told_customer",
        "told_card",
        "told_total",
        "told_placed",
        "told_promise",
        "told_next",
    )
    list_display_links = ("told_state",)
    list_filter = (StateFilter, reading.since("placed_at", "placed"))
    list_select_related = ("customer", "line")
    search_fields = ("id__startswith", "customer__email__icontains", "line__iccid__endswith")
    search_help_text = "Order id, e-mail address, or the last digits of an ICCID"

    told_total = reading.money("total_minor", "currency", "total")
    told_placed = reading.at("placed_at", "placed")
    told_promise = reading.at("promised_by", "promised by")
    told_next = reading.at("next_step_at", "next step")

    @display(description="state", ordering="state", label=words.STATE_COLOURS)
    def told_state(self, order: Order) -> tuple[str, str]:
        return order.state, words.plain(order.state)

    @display(description="customer", ordering="customer__email")
    def told_customer(self, order: Order) -> str:
        return link(order.customer.email, "accounts.user", order.customer_id)

    @display(description="card")
    def told_card(self, order: Order) -> str:
        return card(order.line)

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        return (NEEDS_A_PERSON_FIRST, "-placed_at")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:order_id>/decide/<str:exit>/", view(self.decide_view), name="renewals_order_decide"),
            path(
                "<uuid:order_id>/give-back/<int:ordinal>/", view(self.give_back_view), name="renewals_order_give_back"
            ),
            path("<uuid:order_id>/advance/", view(require_POST(self.advance_view)), name="renewals_order_advance"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Everything about one order on one page."""
        order = _order(object_id)
        attempts = activation.attempts_of(order.id)
        payments, refunds = payments_queries.payments_about(order.id), payments_queries.refunds_about(order.id)
        told = {
            "order": order,
            "state": words.plain(order.state),
            "colour": words.STATE_COLOURS[order.state],
            "facts": _about(order),
            "deciding": _deciding(order, attempts),
            "exits": words.EXITS.values(),
            "decided_by": when(queries.decided_by(order)),
            "timeline": records.story(journal.facts_about(order.id), order.currency),
            "attempts": [(_head(order, attempt), _asked(attempt)) for attempt in attempts],
            "payments": takings.payments_of(payments),
            "refunds": takings.refunds_of(refunds),
            "transfers": books.moved(order.id, *(one.id for one in payments), *(one.id for one in refunds)),
            "messages_sent": _messages(order),
            "periods": _periods(order),
            "unused": [one.ordinal for one in giving_back.unused(order, clock.now()) if one.why_not != "given_back"],
        }
        return self.page(request, "order", f"Order {order.id}", told)

    def decide_view(self, request: HttpRequest, order_id: UUID, exit: str) -> HttpResponse:
        """Take one of the exits, with a reason."""
        order, way = _order(order_id), words.EXITS.get(exit)
        if way is None:
            raise Http404
        ordinal = _ordinal(order, request.GET.get("period", ""))
        form = (Adoption if way.needs_reference else Reason)(request.POST or None)
        back = reverse("admin:renewals_order_change", args=[order_id])
        if request.method == "POST" and form.is_valid():
            try:
                renewals.decide(
                    order_id=order_id,
                    exit=exit,
                    staff=reading.staff_id(request),
                    why=form.cleaned_data["why"],
                    reference=form.cleaned_data.get("reference", ""),
                    ordinal=ordinal,
                    now=clock.now(),
                )
            except renewals.CannotDecide as error:
                form.add_error(None, words.cannot_decide(error.code))
            else:
                messages.success(request, way.done)
                return HttpResponseRedirect(back)
        about = [
            ("Order", order.id),
            ("Customer", order.customer.email),
            ("Card", card(order.line)),
            *([] if ordinal is None else [("Period", _which(order, ordinal))]),
            ("Amount", amount(order.total_minor if ordinal is None else order.share_minor(ordinal), order.currency)),
        ]
        is_open = order.state == State.NEEDS_A_PERSON
        if not is_open and not form.errors:
            say(form, words.cannot_decide("not_waiting"))
        return self.form_page(request, way.button, form, does=way.does, button=way.button, back=back, about=about)

    def give_back_view(self, request: HttpRequest, order_id: UUID, ordinal: int) -> HttpResponse:
        """Give a period that has not begun back for its customer, with a reason."""
        order, form = _order(order_id), GiveBack(request.POST or None)
        back = reverse("admin:renewals_order_change", args=[order_id])
        if request.method == "POST" and form.is_valid():
            told = form.cleaned_data
            try:
                giving_back.by_staff(
                    order_id=order_id,
                    ordinal=ordinal,
                    staff=reading.staff_id(request),
                    why=told["why"],
                    to_wallet=told["to_wallet"],
                    now=clock.now(),
                )
            except giving_back.CannotGiveBack as error:
                form.add_error(None, words.cannot_give_back(error.code))
            else:
                messages.success(request, "Given back: the money is on its way, and the customer is told.")
                return HttpResponseRedirect(back)
        about = [("Order", order.id), ("Customer", order.customer.email), ("Card", card(order.line))]
        button = "Give the period back"
        return self.form_page(request, button, form, does=words.GIVE_PERIOD_BACK, button=button, back=back, about=about)

    def advance_view(self, request: HttpRequest, order_id: UUID) -> HttpResponse:
        """Move the order as far as it goes now; the carrier may be asked."""
        before = _order(order_id).state
        tasks.advance_order(str(order_id))
        after = _order(order_id).state
        if after == before:
            messages.info(request, f"Nothing moved: the order is still {words.plain(after)}.")
        else:
            messages.success(request, f"The order is now {words.plain(after)}.")
        return HttpResponseRedirect(reverse("admin:renewals_order_change", args=[order_id]))


def _order(id: UUID | str) -> Order:
    try:
        order = queries.order(UUID(str(id)))
    except ValueError:
        order = None
    if order is None:
        raise Http404
    return order


def _ordinal(order: Order, number: str) -> int | None:
    """The ordinal of the period that is decided about, named from 1; None for an order of one."""
    if order.count == 1 or not number:
        return None
    if number not in map(str, range(1, order.count + 1)):
        raise Http404
    return int(number) - 1


# -- the parts of an order's page ----------------------------------------------------------------------------------


def _about(order: Order) -> list[tuple[str, object]]:
    wallet = ledger.wallet_balance(customer=order.customer_id, currency=order.currency)
    return [
        ("Customer", link(order.customer.email, "accounts.user", order.customer_id)),
        ("Card", card(order.line)),
        *([] if order.count == 1 else [("Periods", _how_many(order))]),
        ("Plan", link(order.plan_version, "catalogue.planversion", order.plan_version_id)),
        ("Total", amount(order.total_minor, order.currency)),
        ("Fee inside", amount(order.fee_minor, order.currency)),
        ("Tax inside", amount(order.tax_minor, order.currency)),
        ("Pays with", words.plain(order.pays_with)),
        ("Held now", amount(ledger.balance(order.hold_id), order.currency)),
        ("In the wallet now", amount(wallet.minor, wallet.currency)),
        ("Quote", link(reading.short(order.quote_id), "renewals.quote", order.quote_id)),
        ("Placed", when(order.placed_at)),
        ("Pay by", when(order.pay_by)),
        ("Paid", when(order.funded_at)),
        ("Promised by", when(order.promised_by)),
        ("Next step", when(order.next_step_at)),
        ("Ended", when(order.ended_at)),
        ("Reason", words.plain(order.reason) or reading.NOTHING),
    ]


def _deciding(order: Order, attempts: list[Attempt]) -> list[tuple[str, str]]:
    """(words, query) of each period of which a person decides; both are empty for an order of one."""
    waiting = queries.waiting_for_a_person(order, attempts)
    if order.count == 1:
        return [("", "")] * len(waiting)
    return [(_which(order, one.ordinal), f"?period={one.ordinal + 1}") for one in waiting]


def _which(order: Order, ordinal: int) -> str:
    return f"Period {ordinal + 1} of {order.count}"


def _how_many(order: Order) -> str:
    open_ = len(order.open_ordinals) if order.state in OPEN_STATES else 0
    told = [(len(order.delivered), "delivered"), (len(order.given_back), "share given back"), (open_, "open")]
    return f"{order.count}: " + ", ".join(f"{number} {what}" for number, what in told if number)


def _head(order: Order, attempt: Attempt) -> dict[str, str]:
    which = "" if order.count == 1 else f"{_which(order, attempt.ordinal)} · "
    return {
        "state": attempt.state,
        "colour": words.STATE_COLOURS[attempt.state],
        "carrier": f"{which}{attempt.carrier}",
    }


def _asked(attempt: Attempt) -> list[tuple[str, object]]:
    def moment(name: str) -> str:
        at: datetime | None = getattr(attempt, name)
        return when(at)

    rows = [
        ("Package", attempt.package),
        ("Asked", f"{attempt.asks}×, {attempt.unknown_asks}× without an answer"),
        ("Looks in a row that told nothing", attempt.looks),
        ("Reference", attempt.reference),
        ("Reason", words.plain(attempt.reason)),
        ("Detail", attempt.detail),
        ("Intended", moment("intended_at")),
        ("Somebody is asking until", moment("lease_until")),
        ("Looked for next", moment("look_at")),
        ("May be asked again", moment("retry_at")),
        ("Surely absent after", moment("absent_at")),
        ("Watched until", moment("watch_until")),
        ("Activated", moment("activated_at")),
        ("The carrier's own end", moment("carrier_ends_at")),
    ]
    told = [(name, value) for name, value in rows if value not in ("", reading.NOTHING, 0)]
    return [*told, ("Our key at the carrier", link(reading.short(attempt.id), "activation.attempt", attempt.id))]


def _messages(order: Order) -> dict[str, list]:
    rows = [
        [
            when(message.queued_at),
            link(words.plain(message.kind), "messaging.message", message.id),
            message.to,
            words.plain(message.state),
            when(message.sent_at),
        ]
        for message in messaging.messages_about(order.id)
    ]
    return {"headers": ["queued (UTC)", "message", "to", "state", "sent (UTC)"], "rows": rows}


def _periods(order: Order) -> dict[str, list]:
    rows = [
        [
            link(reading.short(period.id), "lines.period", period.id),
            when(period.span.lower) if period.span else "queued",
            when(period.span.upper) if period.span else "queued",
            when(period.carrier_ends_at),
            format_html("{} ({})", period.track, period.zone),
        ]
        for period in Period.objects.filter(order_id=order.id).order_by("ordinal")
    ]
    return {"headers": ["period", "starts (UTC)", "ends (UTC)", "carrier's end (UTC)", "track (zone)"], "rows": rows}
