"""The ledger as staff read it: accounts with their statements, and every transfer. Nothing here is written by hand."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.decorators import display

from xuka.interfaces.backoffice import reading, words
from xuka.interfaces.backoffice.reading import Choices, Reading, amount, link, when
from xuka.ledger import queries as ledger
from xuka.ledger.models import Account, Transfer

# A seller's own account has as many rows as there are orders; a page shows the newest.
NEWEST = 200


class KindFilter(Choices):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = ("wallet", "hold", "revenue", "tax", "staff_credit", "carrier_payable", "carrier_loss")
        return [(kind, words.plain(kind)) for kind in kinds]


class Accounts(Reading):
    """Places where money lies. An account's page is its statement."""

    list_display = ("told_kind", "unit", "told_balance", "id")
    list_filter = (KindFilter,)
    ordering = ("kind", "unit", "id")
    search_fields = ("id__startswith",)
    search_help_text = "Account id"

    told_balance = reading.money("balance", "unit", "running balance")

    @display(description="kind", ordering="kind")
    def told_kind(self, account: Account) -> str:
        return words.plain(account.kind)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What came, what went, and what is there."""
        account = self.get_object(request, object_id)
        if account is None:
            raise Http404
        balance = ledger.balance(account.id)
        facts = [
            ("Kind", words.plain(account.kind)),
            ("Unit", account.unit),
            ("Balance", amount(balance, account.unit)),
            ("May go below zero", "no" if account.limited else "yes: the seller's own"),
            ("Id", account.id),
        ]
        told = {"facts": facts, "statement": _statement(account, balance), "newest": NEWEST}
        return self.page(request, "account", f"{words.plain(account.kind).capitalize()} ({account.unit})", told)


def _statement(account: Account, balance: int) -> dict[str, list]:
    """The newest transfers first, each with what was there after it."""
    there = Transfer.objects.filter(debit_id=account.id) | Transfer.objects.filter(credit_id=account.id)
    rows = []
    for transfer in there.select_related("debit", "credit").order_by("-at", "-id")[:NEWEST]:
        came = transfer.credit_id == account.id
        other = transfer.debit if came else transfer.credit
        rows.append(
            [
                when(transfer.at),
                transfer.leg,
                link(words.plain(other.kind), "ledger.account", other.id),
                link(f"{'+' if came else '−'}{amount(transfer.amount, account.unit)}", "ledger.transfer", transfer.id),
                amount(balance, account.unit),
                cause_of(transfer),
            ]
        )
        balance += -transfer.amount if came else transfer.amount
    return {"headers": ["when (UTC)", "leg", "other account", "amount", "after it", "because of"], "rows": rows}


def cause_of(transfer: Transfer) -> str:
    """Why money moved: an order's page, or the staff member who gave a credit."""
    if transfer.leg == "staff_credit":
        return format_html("credit {}", reading.short(transfer.cause))
    return link(f"order {reading.short(transfer.cause)}", "renewals.order", transfer.cause)


class Transfers(Reading):
    """Every movement of money, for ever."""

    list_display = ("told_at", "told_amount", "leg", "told_from", "told_to", "told_cause")
    list_display_links = ("told_at",)
    list_select_related = ("debit", "credit")
    ordering = ("-at", "-id")
    search_fields = ("id__startswith", "cause__startswith", "leg__startswith")
    search_help_text = "Transfer id, the id of its order, or the leg (charge, refund, revenue, tax…)"
    fields = ("id", "told_at", "told_amount", "leg", "told_from", "told_to", "told_cause")

    told_at = reading.at("at", "when")
    told_amount = reading.money("amount", "unit", "amount")

    @display(description="from")
    def told_from(self, transfer: Transfer) -> str:
        return link(words.plain(transfer.debit.kind), "ledger.account", transfer.debit_id)

    @display(description="to")
    def told_to(self, transfer: Transfer) -> str:
        return link(words.plain(transfer.credit.kind), "ledger.account", transfer.credit_id)

    @display(description="because of")
    def told_cause(self, transfer: Transfer) -> str:
        return cause_of(transfer)
