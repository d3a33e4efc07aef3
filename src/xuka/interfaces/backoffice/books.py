"""The ledger as staff read it: accounts with their statements, and every transfer. Nothing here is written by hand."""

from __future__ import annotations

from typing import Any
from uuid import UUID

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
        return [(kind, words.plain(kind)) for kind in words.ACCOUNT_KINDS]


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
            ("What lies here", words.ACCOUNT_KINDS.get(account.kind, reading.NOTHING)),
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


# The legs of payments, refunds and vouchers, up to the colon, and whose they are; all others are an order's.
_CAUSES = {"captured": "payment"} | dict.fromkeys(
    ("asked", "confirmed", "failed", "to_wallet", "paid_elsewhere"), "refund"
)
_CAUSES |= {"voucher_sold": "voucherbatch", "vouchers_revoked": "voucherbatch"}
_CAUSES |= dict.fromkeys(("voucher_redeemed", "voucher_revoked"), "voucher")


def cause_of(transfer: Transfer) -> str:
    """Why money moved: the page of an order, a payment, a refund or a voucher, or the staff who gave a credit."""
    if transfer.leg == "staff_credit":
        return format_html("credit {}", reading.short(transfer.cause))
    what = _CAUSES.get(transfer.leg.split(":")[0])
    model = f"payments.{what}" if what else "renewals.order"
    return link(f"{what or 'order'} {reading.short(transfer.cause)}", model, transfer.cause)


def moved(*causes: UUID) -> dict[str, list]:
    """Every transfer because of these, as a table, the oldest first."""
    there = Transfer.objects.filter(cause__in=causes).select_related("debit", "credit")
    rows = [
        [
            when(transfer.at),
            transfer.leg,
            link(words.plain(transfer.debit.kind), "ledger.account", transfer.debit_id),
            link(words.plain(transfer.credit.kind), "ledger.account", transfer.credit_id),
            link(amount(transfer.amount, transfer.unit), "ledger.transfer", transfer.id),
        ]
        for transfer in sorted(there, key=lambda transfer: (transfer.at, words.rank(transfer.leg), transfer.id))
    ]
    return {"headers": ["when (UTC)", "leg", "from", "to", "amount"], "rows": rows}


class Transfers(Reading):
    """Every movement of money, for ever."""

    list_display = ("told_at", "told_amount", "leg", "told_from", "told_to", "told_cause")
    list_display_links = ("told_at",)
    list_select_related = ("debit", "credit")
    ordering = ("-at", "-id")
    search_fields = ("id__startswith", "cause__startswith", "leg__startswith")
    search_help_text = (
        "Transfer id, the id of its order, payment or refund, or the leg (charge, captured, refund, revenue, tax…)"
    )
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
