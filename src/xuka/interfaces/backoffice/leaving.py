"""Customers who leave: statements of withdrawal as they came, and credit that is to be paid out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.decorators import display

from xuka.interfaces import clock
from xuka.interfaces.backoffice import reading, words
from xuka.interfaces.backoffice.forms import Reason, Transferred
from xuka.interfaces.backoffice.reading import Choices, Reading, amount, link, when
from xuka.payments import payouts
from xuka.payments.models import Payout
from xuka.payments.payouts import CannotPayOut
from xuka.renewals.models import Withdrawal
from xuka.renewals.withdrawal_rules import Standing


class StandingFilter(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, words.plain(value)) for value in Standing]


class Withdrawals(Reading):
    """Who withdrew from what, when, and what came of it; nothing is decided here."""

    list_display = ("told_confirmed", "told_state", "number", "name", "email", "told_order")
    list_display_links = ("told_confirmed",)
    list_filter = (StandingFilter,)
    ordering = ("-confirmed_at", "id")
    search_fields = ("number__istartswith", "email__icontains", "name__icontains")
    search_help_text = "Number, name or e-mail address as they were typed"
    fields = ("id", "told_confirmed", "number", "name", "email", "language", "told_state", "told_settled", "told_order")

    told_confirmed = reading.at("confirmed_at", "confirmed")
    told_settled = reading.at("settled_at", "settled")

    @display(description="state", label=words.STATE_COLOURS)
    def told_state(self, row: Withdrawal) -> tuple[str, str]:
        return row.state, words.plain(row.state)

    @display(description="order")
    def told_order(self, row: Withdrawal) -> str:
        return link(reading.short(row.order_id), "renewals.order", row.order_id) if row.order_id else reading.NOTHING


class PayoutFilter(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in Payout.State.values]


class Payouts(Reading):
    """Credit of customers who leave: paid out with the reference of the transfer, or declined, with a reason."""

    list_display = ("told_asked", "told_state", "told_customer", "told_amount", "told_pay_by")
    list_display_links = ("told_asked",)
    list_filter = (PayoutFilter,)
    list_select_related = ("customer",)
    ordering = ("-asked_at", "id")
    search_fields = ("customer__email__icontains", "reference__icontains")
    search_help_text = "E-mail address or reference"
    fields = (
        "id", "told_asked", "told_customer", "told_amount", "iban", "told_state", "told_pay_by", "told_by_hand",
        "reference", "why", "told_answers",
    )  # fmt: skip

    told_asked = reading.at("asked_at", "asked")
    told_pay_by = reading.at("pay_by", "pay by")
    told_amount = reading.money("amount_minor", "currency", "amount")
    told_by_hand = reading.money("by_hand_minor", "currency", "by bank transfer")

    @display(description="state", label=words.STATE_COLOURS)
    def told_state(self, row: Payout) -> str:
        return row.state

    @display(description="customer")
    def told_customer(self, row: Payout) -> str:
        return link(row.customer.email, "accounts.user", row.customer_id)

    @display(description="answer")
    def told_answers(self, row: Payout) -> str:
        if row.state != Payout.State.ASKED:
            return "It is settled."
        pay, decline = (reverse("admin:payments_payout_decide", args=[row.id, one]) for one in ("pay", "decline"))
        return format_html(
            '<a class="bo-link" href="{}">Pay out</a> <a class="bo-link" href="{}">Decline</a>', pay, decline
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.decide_view)
        return [path("<uuid:id>/<str:answer>/decide/", view, name="payments_payout_decide"), *super().get_urls()]

    def decide_view(self, request: HttpRequest, id: UUID, answer: str) -> HttpResponse:
        """Pay out or decline, with a reason."""
        row = payouts.payout(id)
        if row is None or answer not in {"pay", "decline"}:
            raise Http404
        form = (Transferred if answer == "pay" else Reason)(request.POST or None)
        back = reverse("admin:payments_payout_change", args=[id])
        if request.method == "POST" and form.is_valid():
            told = form.cleaned_data | {"staff": reading.staff_id(request), "now": clock.now()}
            try:
                (payouts.confirm if answer == "pay" else payouts.decline)(payout_id=id, **told)
            except CannotPayOut as error:
                form.add_error(None, words.cannot_pay_out(error.code))
            else:
                messages.success(request, "Paid out." if answer == "pay" else "Declined: it is back in the wallet.")
                return HttpResponseRedirect(back)
        cards = sum(minor for _, minor in payouts.to_cards(row)) if row.state == Payout.State.ASKED else 0
        about = [
            ("Customer", row.customer.email),
            ("Amount", amount(row.amount_minor, row.currency)),
            ("Goes back to cards by itself", amount(cards, row.currency)),
            ("To transfer by hand", amount(row.amount_minor - cards, row.currency)),
            ("To", row.iban),
            ("Pay by", when(row.pay_by)),
        ]
        does = (
            "You have seen that the customer leaves (the order to port the number, or their word). What came by card "
            "is refunded by itself; transfer the rest to the IBAN first, and give that reference."
            if answer == "pay"
            else "The money goes back into the wallet, and the customer is told."
        )
        button = "Pay out" if answer == "pay" else "Decline"
        return self.form_page(request, button, form, does=does, button=button, back=back, about=about)
