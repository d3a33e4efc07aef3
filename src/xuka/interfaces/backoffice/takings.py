"""Payments and refunds: the lists with those that wait for a person first, a page for each, and the ways out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Case, Exists, F, IntegerField, OuterRef, Q, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.decorators import display

from xuka.interfaces import clock
from xuka.interfaces.backoffice import books, reading, records, words
from xuka.interfaces.backoffice.forms import PaidElsewhere, Reason, say
from xuka.interfaces.backoffice.reading import Choices, Reading, amount, link, when
from xuka.journal import queries as journal
from xuka.journal.models import Fact
from xuka.payments import operations as payments
from xuka.payments import queries, refunds
from xuka.payments.models import Payment, Refund
from xuka.payments.rules import IN_FLIGHT, LOOKS_BEFORE_ALARM, PaymentState, RefundState, words_of

WAITING = "waiting"
_GOES_BACK = Exists(Refund.objects.filter(payment=OuterRef("pk"), leg="mismatch"))
# Those that failed first, then those of which nobody hears.
_WAITING_REFUNDS_FIRST = Case(
    When(state=RefundState.FAILED, then=Value(0)),
    When(state__in=IN_FLIGHT, looks__gte=LOOKS_BEFORE_ALARM, then=Value(1)),
    default=Value(2),
    output_field=IntegerField(),
)


# -- payments ------------------------------------------------------------------------------------------------------


class PaymentFilter(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(WAITING, "waits for a person"), *((state.value, words.plain(state)) for state in PaymentState)]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(waits=True) if self.value() == WAITING else super().queryset(request, queryset)


class Payments(Reading):
    """What customers were asked to pay by a provider, and what came."""

    list_display = (
        "told_asked_at",
        "told_state",
        "told_amount",
        "told_paid",
        "method",
        "provider",
        "told_mode",
        "told_customer",
        "told_order",
        "reference",
    )
    list_display_links = ("told_asked_at",)
    list_filter = (PaymentFilter, reading.since("asked_at", "asked"))
    list_select_related = ("customer",)
    search_fields = (
        "id__startswith",
        "cause__startswith",
        "reference__startswith",
        "charge__startswith",
        "customer__email__icontains",
    )
    search_help_text = "Payment or order id, the provider's reference or charge, or e-mail address"

    told_asked_at = reading.at("asked_at", "asked")
    told_amount = reading.money("amount_minor", "currency", "asked")
    told_paid = reading.money("paid_minor", "paid_currency", "captured")
    told_mode = reading.mode()

    @display(description="state", ordering="state", label=words.STATE_COLOURS)
    def told_state(self, payment: Any) -> tuple[str, str]:
        return _state_of(payment, payment.waits)

    @display(description="customer", ordering="customer__email")
    def told_customer(self, payment: Payment) -> str:
        return link(payment.customer.email, "accounts.user", payment.customer_id)

    @display(description="order")
    def told_order(self, payment: Payment) -> str:
        return link(reading.short(payment.cause), "renewals.order", payment.cause)

    def get_queryset(self, request: HttpRequest) -> Any:
        waits = Case(When(Q(state=PaymentState.MISMATCHED) & ~_GOES_BACK, then=Value(True)), default=Value(False))
        return super().get_queryset(request).annotate(waits=waits)

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        return (F("waits").desc(), "-asked_at", "id")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.give_back_view)
        return [path("<uuid:payment_id>/give-back/", view, name="payments_payment_give_back"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Everything about one payment on one page."""
        payment = _payment(object_id)
        going_back = list(Refund.objects.filter(payment=payment).order_by("asked_at", "id"))
        waits = _waits(payment, going_back)
        colour, state = _state_of(payment, waits)
        told_of = _told_of(payment.cause, payment.id, *(one.id for one in going_back))
        told = {
            "payment": payment,
            "waits": waits,
            "asked": amount(payment.amount_minor, payment.currency),
            "captured": amount(payment.paid_minor, payment.paid_currency),
            "state": state,
            "colour": words.STATE_COLOURS[colour],
            "mode": reading.mode_of(payment.is_live),
            "facts": _about_payment(payment, told_of),
            "timeline": records.story(told_of),
            "refunds": refunds_of(going_back),
            "transfers": books.moved(payment.id),
            "events": f"{reverse('admin:payments_event_changelist')}?q={words_of(payment.id)}",
        }
        return self.page(request, "payment", f"Payment {payment.id}", told)

    def give_back_view(self, request: HttpRequest, payment_id: UUID) -> HttpResponse:
        """Send back what was captured though something else was asked; once, however often the form is sent."""
        payment, way, form = _payment(payment_id), words.GIVE_BACK, Reason(request.POST or None)
        back = reverse("admin:payments_payment_change", args=[payment_id])
        if request.method == "POST" and form.is_valid():
            try:
                refunds.give_mismatch_back(
                    payment_id=payment_id,
                    staff=reading.staff_id(request),
                    why=form.cleaned_data["why"],
                    now=clock.now(),
                )
            except payments.CannotDecide as error:
                form.add_error(None, words.cannot_decide_money(error.code))
            else:
                messages.success(request, way.done)
                return HttpResponseRedirect(back)
        elif not _waits(payment, Refund.objects.filter(payment=payment)) and not form.errors:
            say(form, words.cannot_decide_money("not_waiting"))
        about = [
            ("Payment", payment.id),
            ("Customer", payment.customer.email),
            ("Asked", amount(payment.amount_minor, payment.currency)),
            ("Captured", amount(payment.paid_minor, payment.paid_currency)),
        ]
        return self.form_page(request, way.button, form, does=way.does, button=way.button, back=back, about=about)


def _payment(id: UUID | str) -> Payment:
    try:
        payment = queries.payment(UUID(str(id)))
    except ValueError:
        payment = None
    if payment is None:
        raise Http404
    return payment


def _waits(payment: Payment, going_back: Iterable[Refund]) -> bool:
    return payment.state == PaymentState.MISMATCHED and not any(one.leg == "mismatch" for one in going_back)


def _state_of(payment: Payment, waits: bool) -> tuple[str, str]:
    """A state to colour by, and its words: what a person has decided does not alarm any more."""
    if payment.state == PaymentState.MISMATCHED and not waits:
        return PaymentState.CLOSED.value, "mismatched, given back"
    closes = payment.closing and payment.state in {PaymentState.STARTING, PaymentState.OPEN}
    return payment.state, f"{payment.state}, to be closed" if closes else payment.state


def _about_payment(payment: Payment, told_of: list[Fact]) -> list[tuple[str, object]]:
    rows = [
        ("Order", link(reading.short(payment.cause), "renewals.order", payment.cause)),
        ("Customer", link(payment.customer.email, "accounts.user", payment.customer_id)),
        ("Asked", amount(payment.amount_minor, payment.currency)),
        ("Captured", amount(payment.paid_minor, payment.paid_currency)),
        ("Method", f"{payment.method}, kept" if payment.saved_method else payment.method),
        ("Provider", f"{payment.provider} ({reading.mode_of(payment.is_live)})"),
        ("Reference", payment.reference),
        ("Charge", payment.charge),
        ("Our key at the provider", words_of(payment.id)),
        ("Fills", link("the account", "ledger.account", payment.account_id)),
        *_disputes(told_of),
        ("Reason", words.plain(payment.reason)),
        ("Detail", payment.detail),
        ("Asked at", when(payment.asked_at)),
        ("Asks", payment.asks),
        ("Looks in a row that told nothing", payment.looks),
        ("Pay by", when(payment.pay_by)),
        ("Somebody is asking until", when(payment.lease_until)),
        ("Looked at next", when(payment.next_step_at)),
        ("Ended", when(payment.ended_at)),
    ]
    return [(name, value) for name, value in rows if value not in ("", reading.NOTHING, 0)]


def _disputes(told_of: list[Fact]) -> list[tuple[str, object]]:
    """The bank wants the money back: since when, and under which name at the provider."""
    return [
        ("Disputed", f"{when(fact.at)}, {(fact.after or {}).get('dispute')}: answer it at the provider")
        for fact in told_of
        if fact.what == "payment.disputed"
    ]


def _told_of(order: UUID, *ids: UUID) -> list[Fact]:
    """The facts about these payments and refunds: their own, and those of their order that name one of them."""
    named = {str(id) for id in ids}
    own = [fact for id in ids for fact in journal.facts_about(id)]
    of_order = [
        fact
        for fact in journal.facts_about(order)
        if not named.isdisjoint({str((fact.after or {}).get(key)) for key in ("payment", "refund")})
    ]
    return sorted([*own, *of_order], key=lambda fact: fact.id)


# -- refunds -------------------------------------------------------------------------------------------------------


class RefundFilter(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        first = [RefundState.FAILED]
        return [(state, words.plain(state)) for state in first + [s for s in RefundState if s not in first]]


class Refunds(Reading):
    """Money on its way back to where it came from."""

    list_display = (
        "told_asked_at",
        "told_state",
        "told_amount",
        "told_why",
        "told_customer",
        "told_order",
        "told_payment",
        "told_mode",
        "told_next",
        "told_done",
    )
    list_display_links = ("told_asked_at",)
    list_filter = (RefundFilter, reading.since("asked_at", "asked"))
    list_select_related = ("payment__customer",)
    search_fields = (
        "id__startswith",
        "cause__startswith",
        "reference__startswith",
        "payment__id__startswith",
        "payment__customer__email__icontains",
    )
    search_help_text = "Refund, payment or order id, the provider's reference, or e-mail address"

    told_asked_at = reading.at("asked_at", "asked")
    told_next = reading.at("next_step_at", "looked at next")
    told_done = reading.at("done_at", "done")
    told_amount = reading.money("amount_minor", "currency", "amount")

    @display(description="state", ordering="state", label=words.STATE_COLOURS)
    def told_state(self, refund: Refund) -> tuple[str, str]:
        return refund.state, words.plain(refund.state)

    @display(description="why")
    def told_why(self, refund: Refund) -> str:
        return words.plain(refund.reason) or refund.detail[:80]

    @display(description="customer", ordering="payment__customer__email")
    def told_customer(self, refund: Refund) -> str:
        return link(refund.payment.customer.email, "accounts.user", refund.payment.customer_id)

    @display(description="order")
    def told_order(self, refund: Refund) -> str:
        return link(reading.short(refund.cause), "renewals.order", refund.cause)

    @display(description="payment")
    def told_payment(self, refund: Refund) -> str:
        return link(reading.short(refund.payment_id), "payments.payment", refund.payment_id)

    @display(description="mode", label={"live": "success", "test": ""})
    def told_mode(self, refund: Refund) -> tuple[str, str]:
        mode = reading.mode_of(refund.payment.is_live)
        return mode, mode

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        return (_WAITING_REFUNDS_FIRST, "-asked_at", "id")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide_view)
        return [path("<uuid:refund_id>/decide/<str:exit>/", view, name="payments_refund_decide"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Everything about one refund on one page."""
        refund = _refund(object_id)
        told = {
            "refund": refund,
            "told_amount": amount(refund.amount_minor, refund.currency),
            "state": words.plain(refund.state),
            "colour": words.STATE_COLOURS[refund.state],
            "mode": reading.mode_of(refund.payment.is_live),
            "exits": words.REFUND_EXITS.values() if refund.state == RefundState.FAILED else (),
            "is_silent": refund.state in IN_FLIGHT and refund.looks >= LOOKS_BEFORE_ALARM,
            "facts": _about_refund(refund),
            "timeline": records.story(_told_of(refund.cause, refund.id)),
            "transfers": books.moved(refund.id),
        }
        return self.page(request, "refund", f"Refund {refund.id}", told)

    def decide_view(self, request: HttpRequest, refund_id: UUID, exit: str) -> HttpResponse:
        """Take one of the exits, with a reason."""
        refund, way = _refund(refund_id), words.REFUND_EXITS.get(exit)
        if way is None:
            raise Http404
        form = (PaidElsewhere if way.needs_reference else Reason)(request.POST or None)
        back = reverse("admin:payments_refund_change", args=[refund_id])
        # A form that was sent before is about an earlier try, even if the later one failed too by now.
        read_at = request.POST.get("round", str(refund.round))
        waits = refund.state == RefundState.FAILED and read_at == str(refund.round)
        if waits and request.method == "POST" and form.is_valid():
            try:
                refunds.decide(
                    refund_id=refund_id,
                    round=refund.round,
                    exit=exit,
                    staff=reading.staff_id(request),
                    why=form.cleaned_data["why"],
                    reference=form.cleaned_data.get("reference", ""),
                    now=clock.now(),
                )
            except payments.CannotDecide as error:
                form.add_error(None, words.cannot_decide_money(error.code))
            else:
                messages.success(request, way.done)
                return HttpResponseRedirect(back)
        elif not waits and not form.errors:
            say(form, words.cannot_decide_money("not_waiting"))
        told = {
            "does": way.does,
            "button": way.button,
            "back": back,
            "hidden": [("round", refund.round)],
            "about": [
                ("Refund", refund.id),
                ("Customer", refund.payment.customer.email),
                ("Amount", amount(refund.amount_minor, refund.currency)),
                ("Why it failed", words.plain(refund.reason) or reading.NOTHING),
            ],
        }
        return self.form_page(request, way.button, form, **told)


def _refund(id: UUID | str) -> Refund:
    try:
        refund = queries.refund(UUID(str(id)))
    except ValueError:
        refund = None
    if refund is None:
        raise Http404
    return refund


def _about_refund(refund: Refund) -> list[tuple[str, object]]:
    payment = refund.payment
    rows = [
        ("Order", link(reading.short(refund.cause), "renewals.order", refund.cause)),
        ("Customer", link(payment.customer.email, "accounts.user", payment.customer_id)),
        ("Payment", link(reading.short(payment.id), "payments.payment", payment.id)),
        ("Amount", amount(refund.amount_minor, refund.currency)),
        ("What for", words.plain(refund.leg.split(":")[0])),
        ("Provider", f"{payment.provider} ({reading.mode_of(payment.is_live)})"),
        ("Reference", refund.reference),
        ("The charge it is of", payment.charge),
        ("Reason", words.plain(refund.reason)),
        ("Detail", refund.detail),
        ("Asked at", when(refund.asked_at)),
        ("Asks", refund.asks),
        ("Asked anew by a person", f"{refund.round}×" if refund.round else ""),
        ("Looks in a row that told nothing", refund.looks),
        ("Somebody is asking until", when(refund.lease_until)),
        ("Surely not taken after", when(refund.absent_at)),
        ("Looked at next", when(refund.next_step_at)),
        ("Done", when(refund.done_at)),
    ]
    return [(name, value) for name, value in rows if value not in ("", reading.NOTHING, 0)]


# -- tables on other pages -----------------------------------------------------------------------------------------


def payments_of(rows: Iterable[Payment]) -> dict[str, list]:
    """Payments as a table, in their order."""
    cells = [
        [
            when(one.asked_at),
            link(reading.short(one.id), "payments.payment", one.id),
            one.state,
            one.method,
            amount(one.amount_minor, one.currency),
            amount(one.paid_minor, one.paid_currency),
            f"{one.provider} ({reading.mode_of(one.is_live)})",
            one.reference or reading.NOTHING,
        ]
        for one in rows
    ]
    headers = ["asked (UTC)", "payment", "state", "method", "asked", "captured", "provider", "reference"]
    return {"headers": headers, "rows": cells}


def refunds_of(rows: Iterable[Refund]) -> dict[str, list]:
    """Refunds as a table, in their order."""
    cells = [
        [
            when(one.asked_at),
            link(reading.short(one.id), "payments.refund", one.id),
            one.state,
            amount(one.amount_minor, one.currency),
            words.plain(one.reason) or reading.NOTHING,
            link(reading.short(one.payment_id), "payments.payment", one.payment_id),
            when(one.done_at),
        ]
        for one in rows
    ]
    headers = ["asked (UTC)", "refund", "state", "amount", "reason", "of payment", "done (UTC)"]
    return {"headers": headers, "rows": cells}
