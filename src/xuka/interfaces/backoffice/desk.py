"""The first page after sign-in: what waits for a person, and how things stand. The numbers beside the menu too."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

from xuka.activation.models import BalanceReading
from xuka.interfaces import clock
from xuka.interfaces.backoffice import reading, words
from xuka.interfaces.backoffice.reading import amount, card, link, when
from xuka.journal.models import Fact
from xuka.messaging.models import Message
from xuka.messaging.models import State as MessageState
from xuka.payments import providers
from xuka.payments import queries as payments
from xuka.payments.models import Health
from xuka.renewals import queries as renewals
from xuka.renewals.models import Order
from xuka.renewals.rules import State
from xuka.support.models import Recovery, Ticket

SHOWN = 10
UNDER_WAY = (State.AWAITING_FUNDS, State.FUNDED, State.ACTIVATING, State.REFUNDING)
LOSSES = ("activation.duplicate", "activation.carrier_loss")


def standing() -> dict[str, Any]:
    """Everything the desk shows, read now."""
    now = clock.now()
    a_day_ago = now - timedelta(days=1)
    waiting = Order.objects.filter(state=State.NEEDS_A_PERSON)
    ended = Order.objects.filter(ended_at__gt=a_day_ago)
    money = payments.waiting_for_a_person()
    return {
        "waiting": _waiting(waiting),
        "figures": [
            _figure("Need a person", waiting.count(), _orders(State.NEEDS_A_PERSON), alarming=True),
            _figure("Under way", Order.objects.filter(state__in=UNDER_WAY).count(), _orders()),
            _figure("Renewed in 24\u00a0h", ended.filter(state=State.ACTIVE).count(), _orders(State.ACTIVE)),
            _figure("Refunded in 24\u00a0h", ended.filter(state=State.REFUNDED).count(), _orders(State.REFUNDED)),
            _figure(
                "Payments that differ", money.mismatched, _list("payments_payment", "state=waiting"), alarming=True
            ),
            _figure("Refunds failed", money.failed_refunds, _list("payments_refund", "state=failed"), alarming=True),
            _figure(
                "Settlement differs",
                money.differences,
                _list("payments_settlementdifference", "state=open"),
                alarming=True,
            ),
            # They stay, and do no harm: told, but no alarm.
            _figure("Unknown events", money.unknown_events, _list("payments_event", "state=unknown")),
            _figure("Messages failed", _failed_messages(), _list("messaging_message", "state=failed"), alarming=True),
            _figure("Tickets in 7\u00a0days", _tickets(now - timedelta(days=7)), _list("support_ticket", "since=7")),
        ],
        "providers": _providers(now),
        "credit": _credit(),
        "losses": _losses(now - timedelta(days=30)),
    }


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The menu, with how many of what need a person, and how many messages could not be delivered."""
    waiting = Order.objects.filter(state=State.NEEDS_A_PERSON).count()
    money = payments.waiting_for_a_person()
    return [
        {
            "items": [
                _item("Desk", "space_dashboard", "index"),
                _item("Orders", "receipt_long", "renewals_order_changelist", waiting),
                _item("Customers", "group", "accounts_user_changelist"),
                _item("Families", "family_restroom", "accounts_family_changelist"),
                _item("Cards", "sim_card", "lines_line_changelist"),
                _item("Tickets", "support_agent", "support_ticket_changelist"),
                _item("Recoveries", "lock_reset", "support_recovery_changelist", _recoveries()),
                _item("Messages", "mail", "messaging_message_changelist", _failed_messages()),
            ]
        },
        {
            "title": "Money",
            "separator": True,
            "items": [
                _item("Payments", "credit_card", "payments_payment_changelist", money.mismatched),
                _item("Refunds", "undo", "payments_refund_changelist", money.failed_refunds),
                _item("Settlement", "rule_folder", "payments_settlementreport_changelist"),
                _item("Differences", "difference", "payments_settlementdifference_changelist", money.differences),
                _item("Webhook events", "webhook", "payments_event_changelist"),
                _item("Fees", "percent", "payments_methodfee_changelist"),
                _item("Discounts", "local_offer", "renewals_discount_changelist"),
                _item("Voucher batches", "redeem", "payments_voucherbatch_changelist"),
                _item("Vouchers", "confirmation_number", "payments_voucher_changelist"),
                _item("Withdrawals", "keyboard_return", "renewals_withdrawal_changelist"),
                _item("Payouts", "savings", "payments_payout_changelist"),
                _item("Accounts", "account_balance_wallet", "ledger_account_changelist"),
                _item("Transfers", "swap_horiz", "ledger_transfer_changelist"),
            ],
        },
        {
            "title": "What happened",
            "separator": True,
            "items": [
                _item("Facts", "history", "journal_fact_changelist"),
                _item("Quotes", "request_quote", "renewals_quote_changelist"),
                _item("Attempts", "cell_tower", "activation_attempt_changelist"),
                _item("Periods", "date_range", "lines_period_changelist"),
            ],
        },
        {
            "title": "Usage",
            "separator": True,
            "items": [
                _item("Sources", "sensors", "metering_source_changelist"),
                _item("Deliveries", "move_to_inbox", "metering_delivery_changelist"),
                _item("Rejected records", "rule", "metering_rejected_changelist"),
            ],
        },
        {
            "title": "Catalogue",
            "separator": True,
            "items": [
                _item("Plans", "sell", "catalogue_plan_changelist"),
                _item("Plan versions", "description", "catalogue_planversion_changelist"),
                _item("Networks", "network_cell", "catalogue_network_changelist"),
                _item("Markets", "public", "catalogue_market_changelist"),
            ],
        },
    ]


def _item(title: str, icon: str, name: str, count: int = 0) -> dict[str, Any]:
    badge = {"badge": str(count), "badge_variant": "danger", "badge_style": "solid"} if count else {}
    return {"title": title, "icon": icon, "link": reverse(f"admin:{name}"), **badge}


def style(request: HttpRequest) -> str:
    """The few rules that unfold's own sheet lacks."""
    return static("backoffice/backoffice.css")


def _figure(title: str, count: int, url: str, *, alarming: bool = False) -> dict[str, Any]:
    return {"title": title, "count": count, "url": url, "alarms": alarming and count > 0}


def _list(name: str, query: str = "") -> str:
    return reverse(f"admin:{name}_changelist") + (f"?{query}" if query else "")


def _orders(state: State | None = None) -> str:
    return _list("renewals_order", f"state={state}" if state else "")


def _recoveries() -> int:
    """How many people wait for somebody to look whether an account is theirs."""
    return Recovery.objects.filter(state=Recovery.State.ASKED).count()


def _failed_messages() -> int:
    return Message.objects.filter(state=MessageState.FAILED).count()


def _tickets(after: Any) -> int:
    return Ticket.objects.filter(opened_at__gt=after).count()


def _waiting(orders: Any) -> dict[str, list]:
    """The orders that need a person, the one to be decided first on top."""
    first = orders.select_related("customer", "line").order_by("promised_by", "id")[:SHOWN]
    rows = [
        [
            link(str(order.id)[:8], "renewals.order", order.id),
            link(order.customer.email, "accounts.user", order.customer_id),
            card(order.line),
            amount(order.total_minor, order.currency),
            words.plain(order.reason),
            when(renewals.decided_by(order)),
        ]
        for order in first
    ]
    return {"headers": ["order", "customer", "card", "total", "reason", "decide by (UTC)"], "rows": rows}


def _providers(now: datetime) -> dict[str, list]:
    """Each provider of this shop: its mode, and whether it answers."""
    there = Health.objects.in_bulk(providers.installed())
    rows = [
        [name, reading.mode_of(providers.provider(name).is_live), _health(there.get(name), now)]
        for name in providers.installed()
    ]
    return {"headers": ["provider", "mode", "answers"], "rows": rows}


def _health(health: Health | None, now: datetime) -> str:
    if health is None or not health.silences:
        return "yes"
    silent = f"silent {health.silences}× in a row"
    is_down = health.down_until is not None and health.down_until > now
    return f"no: {silent}, not offered until {when(health.down_until)}" if is_down else f"{silent}, offered"


def _credit() -> dict[str, list]:
    rows = [
        [row.carrier, amount(row.amount_minor, row.currency), when(row.as_of)]
        for row in BalanceReading.objects.order_by("carrier")
    ]
    return {"headers": ["carrier", "our credit there", "as of (UTC)"], "rows": rows}


def _losses(after: Any) -> dict[str, list]:
    """What was paid to carriers and earned nothing, the newest first."""
    facts = Fact.objects.filter(what__in=LOSSES, at__gt=after).order_by("-id")[:SHOWN]
    rows = [
        [
            when(fact.at),
            words.plain(fact.what.split(".")[1]),
            link(str(fact.subject)[:8], "renewals.order", fact.subject),
            amount(fact.after["cost_minor"], fact.after["currency"]) if fact.after else "",
        ]
        for fact in facts
    ]
    return {"headers": ["when (UTC)", "what", "order", "cost"], "rows": rows}
