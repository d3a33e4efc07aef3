"""Customers: their wallets and credits by hand, cards, orders. Nobody is ever deleted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.decorators import display

from xuka.accounts import operations as accounts
from xuka.accounts import queries as accounts_queries
from xuka.accounts.models import User
from xuka.catalogue import queries as catalogue
from xuka.interfaces import clock
from xuka.interfaces.backoffice import reading, words
from xuka.interfaces.backoffice.forms import Credit, Reason
from xuka.interfaces.backoffice.reading import Choices, Reading, amount, card, link, when
from xuka.interfaces.backoffice.records import story
from xuka.journal import queries as journal
from xuka.ledger import operations as ledger
from xuka.ledger.models import Account
from xuka.ledger.rules import wallet_id
from xuka.lines import queries as lines
from xuka.renewals import queries as renewals
from xuka.support import queries as support


class Standing(Choices):
    title = "account"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "may sign in"), ("inactive", "shut out"), ("staff", "staff")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = {"active": {"is_active": True}, "inactive": {"is_active": False}, "staff": {"is_staff": True}}
        return queryset.filter(**wanted.get(self.value() or "", {}))


class Customers(Reading):
    """Everybody with an account, staff too."""

    list_display = ("email", "name", "language", "time_zone", "told_standing")
    list_filter = (Standing,)
    ordering = ("email",)
    search_fields = ("email__icontains", "name__icontains", "id__startswith")
    search_help_text = "E-mail address, name or id"

    @display(description="account", label={"shut out": "danger", "staff": "info", "": ""})
    def told_standing(self, user: User) -> str:
        return "shut out" if not user.is_active else "staff" if user.is_staff else "customer"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:user_id>/credit/", view(self.credit_view), name="accounts_user_credit"),
            path("<uuid:user_id>/standing/", view(self.standing_view), name="accounts_user_standing"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One customer: cards, orders, wallets, tickets, and what happened to the account."""
        user = _user(object_id)
        told = {
            "person": user,
            "facts": _about(user),
            "is_self": user.id == reading.staff_id(request),
            "wallets": _wallets(user),
            "cards": _cards(user),
            "orders": _orders(user),
            "tickets": _tickets(user),
            "timeline": story(journal.facts_about(user.id)),
        }
        return self.page(request, "customer", user.email, told)

    def credit_view(self, request: HttpRequest, user_id: UUID) -> HttpResponse:
        """Put the seller's money into the customer's wallet, once however often the form is sent."""
        user = _user(user_id)
        form = Credit(request.POST or None)
        back = reverse("admin:accounts_user_change", args=[user_id])
        if request.method == "POST" and form.is_valid():
            try:
                ledger.credit_wallet(
                    customer=user.id,
                    money=form.money,
                    staff=reading.staff_id(request),
                    why=form.cleaned_data["why"],
                    id=form.cleaned_data["id"],
                    now=clock.now(),
                )
            except ledger.DifferentTransfer:
                form.add_error(
                    None, "This form was sent before with another amount. Open it again for a further credit."
                )
            else:
                told = amount(form.money.minor, form.money.currency)
                messages.success(request, f"{told} is in the wallet of {user.email}.")
                return HttpResponseRedirect(back)
        does = (
            "The amount is moved from the seller's account for staff credits into the customer's wallet at once, and "
            "orders that wait for money go on. A credit cannot be edited or deleted."
        )
        about = [("Customer", user.email)]
        return self.form_page(request, "Credit a wallet", form, does=does, button="Credit", back=back, about=about)

    def standing_view(self, request: HttpRequest, user_id: UUID) -> HttpResponse:
        """Shut an account out, or let it in again."""
        user = _user(user_id)
        form = Reason(request.POST or None)
        back = reverse("admin:accounts_user_change", args=[user_id])
        if user.id == reading.staff_id(request):
            raise Http404
        if request.method == "POST" and form.is_valid():
            # What the form said it would do, not the contrary of what is there by now: a double click does it once.
            active = request.POST.get("active") == "1"
            who = f"staff:{reading.staff_id(request)}"
            accounts.set_active(user=user.id, active=active, who=who, why=form.cleaned_data["why"], now=clock.now())
            messages.success(request, f"{user.email} {'may sign in again' if active else 'is shut out'}.")
            return HttpResponseRedirect(back)
        button = "Shut out" if user.is_active else "Let in again"
        does = (
            "The customer is signed out everywhere at once and cannot sign in any more. "
            "Cards, orders and money stay as they are, and orders under way go on."
            if user.is_active
            else "The customer can sign in again. Nothing else changes."
        )
        told = {"does": does, "button": button, "back": back, "about": [("Customer", user.email)]}
        hidden = [("active", "0" if user.is_active else "1")]
        return self.form_page(request, button, form, hidden=hidden, **told)


def _user(id: UUID | str) -> User:
    try:
        user = accounts_queries.user(UUID(str(id)))
    except ValueError:
        user = None
    if user is None:
        raise Http404
    return user


def _about(user: User) -> list[tuple[str, object]]:
    return [
        ("E-mail", user.email),
        ("Name", user.name or reading.NOTHING),
        ("Language", user.get_language_display()),  # type: ignore[attr-defined]
        ("Time zone", user.time_zone or reading.NOTHING),
        ("Account", "may sign in" if user.is_active else "shut out"),
        ("Last sign-in", when(user.last_login)),
        ("Id", user.id),
    ]


def _wallets(user: User) -> dict[str, list]:
    currencies = sorted({market.currency for market in catalogue.markets()})
    of = {wallet_id(customer=user.id, currency=currency): currency for currency in currencies}
    there = Account.objects.filter(id__in=of).order_by("unit")
    rows = [[link(w.unit, "ledger.account", w.id), amount(w.balance, w.unit)] for w in there]
    return {"headers": ["wallet", "balance"], "rows": rows}


def _cards(user: User) -> dict[str, list]:
    rows = [
        [card(line), line.market_id, link(line.plan_version, "catalogue.planversion", line.plan_version_id), line.zone]
        for line in lines.lines_of(user.id)
    ]
    return {"headers": ["card", "market", "plan", "zone"], "rows": rows}


def _orders(user: User) -> dict[str, list]:
    rows = [
        [
            when(order.placed_at),
            link(words.plain(order.state), "renewals.order", order.id),
            card(order.line),
            amount(order.total_minor, order.currency),
        ]
        for order in renewals.orders_of(user.id, limit=20)
    ]
    return {"headers": ["placed (UTC)", "order", "card", "total"], "rows": rows}


def _tickets(user: User) -> dict[str, list]:
    rows = [
        [when(ticket.opened_at), link(ticket.text[:80], "support.ticket", ticket.id)]
        for ticket in support.tickets_of(user.id)
    ]
    return {"headers": ["opened (UTC)", "ticket"], "rows": rows}
