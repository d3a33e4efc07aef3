"""Automatic renewal: what its owner is told of it, and the alarm to the seller. Again: nothing new is told."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from xuka.catalogue import queries as catalogue
from xuka.kernel import ids
from xuka.lines import queries as lines
from xuka.messaging import operations as messaging
from xuka.reminders import operations as reminders
from xuka.renewals import auto as autorenewal
from xuka.renewals import auto_rules
from xuka.renewals import queries as renewals
from xuka.renewals.auto_rules import Switch
from xuka.renewals.models import AutoRenewal
from xuka.renewals.rules import State

# How long a refusal, and a charge, are news.
NEWS = auto_rules.NOTICE
# What is no refusal to tell of: the customer called it off, or was sent a link.
_QUIET = frozenset({"cancelled", "link_not_used"}) | auto_rules.LINKED


def advance(*, line_id: UUID, now: datetime) -> None:
    """Look at a card that renews itself, charge what is to be charged, and tell its owner what follows."""
    order_id = autorenewal.advance(line_id=line_id, now=now)
    if order_id:
        _charge(order_id, now)
    tell(line_id=line_id, now=now)


def _charge(order_id: UUID, now: datetime) -> None:
    """With what was saved, and what its owner reads at the provider."""
    order = renewals.order(order_id)
    assert order is not None, "orders are never deleted"
    language = order.customer.language
    autorenewal.charge(
        order_id=order_id,
        description=f"{catalogue.name(order.plan_version.plan, language)} · {settings.SELLER_NAME}",
        return_url=settings.SITE_URL + reverse("order_paid_return", args=[order_id]),
        language=language,
        now=now,
    )


def pause_of_method(*, saved_id: UUID, now: datetime) -> None:
    """A saved method was forgotten: whoever renewed a card with it is told that this has stopped."""
    for line_id in autorenewal.pause_of_method(saved_id=saved_id, now=now):
        advance(line_id=line_id, now=now)


def advance_after_order(*, order_id: UUID, now: datetime) -> None:
    """An order has ended: its card is looked at, whoever placed it; of an automatic one that was charged it is told."""
    order = renewals.order(order_id)
    if order is None or order.line_id is None:
        return
    advance(line_id=order.line_id, now=now)
    placed = renewals.automatic(order_id)
    if placed is None or order.state != State.ACTIVE:
        return
    says = {"price": {"minor": order.total_minor, "currency": order.currency}}
    reminders.announce(
        line_id=order.line_id, kind="autorenewal_charged", cause=str(order_id), due_at=now, not_after=now + NEWS,
        says=says, now=now,
    )  # fmt: skip


def try_again_with_money(*, customer: UUID, now: datetime) -> None:
    """Money came into a wallet: what was refused for the lack of it is tried again."""
    for line_id in autorenewal.try_again_with_money(customer=customer, now=now):
        advance(line_id=line_id, now=now)


def tell(*, line_id: UUID, now: datetime) -> None:
    """What is true of this card's automatic renewal is announced, and what is not any more is taken back."""
    auto = renewals.auto_renewal(line_id)
    if auto is None:
        return
    soon = _soon(auto, now)
    reminders.retract_others(line_id=line_id, kind="autorenewal_soon", but=soon["cause"] if soon else "")
    refused = _refused(auto, now)
    reminders.retract_others(line_id=line_id, kind="autorenewal_refused", but=refused["cause"] if refused else "")
    for kind, told in (("autorenewal_soon", soon), ("autorenewal_refused", refused)):
        if told:
            reminders.announce(line_id=line_id, kind=kind, now=now, **told)


def _price(auto: AutoRenewal) -> dict[str, Any]:
    return {"minor": auto.price_minor, "currency": auto.currency}


def _soon(auto: AutoRenewal, now: datetime) -> dict[str, Any] | None:
    """What is told before it is charged; by use, once that comes near; of a link, when it is ready."""
    if auto.state != Switch.ON or auto.order_id or auto.renews_end is None:
        return None
    if auto.last_outcome in auto_rules.LINKED:
        return _link(auto, now)
    if auto.tries or auto.next_due_at is None:
        return None
    end, due = auto.renews_end.isoformat(), auto.next_due_at
    says: dict[str, Any] = {"price": _price(auto), "pay": auto.pay_with}
    if auto.pay_with == "link":  # nothing is charged by itself: the link is all that is told
        return None
    if not auto.when.is_by_use:
        says |= {"how": "date", "at": due.isoformat()}
        cause = f"{due.isoformat()}:{auto.price_minor}"
        return {"cause": cause, "due_at": due - auto_rules.NOTICE, "not_after": due, "says": says}
    used = renewals.used_percent(auto.line, now)
    if not auto.when.notice_mark <= used < auto.when.mark:
        return None
    says |= {"how": "use", "left": auto.number, "at": end}
    cause = f"use:{end}:{auto.number}:{auto.price_minor}"
    return {"cause": cause, "due_at": now, "not_after": auto.renews_end, "says": says}


def _link(auto: AutoRenewal, now: datetime) -> dict[str, Any]:
    """The card can be renewed: as its owner chose, or because they are wanted to confirm the payment."""
    assert auto.renews_end is not None
    assert auto.last_at is not None
    end, is_wanted = auto.renews_end.isoformat(), auto.last_outcome == "needs_customer"
    says = {"price": _price(auto), "pay": auto.pay_with, "how": "confirm" if is_wanted else "link", "at": end}
    not_after = auto.renews_end if auto.next_due_at else auto.last_at + NEWS
    return {"cause": f"{says['how']}:{end}", "due_at": now, "not_after": not_after, "says": says}


def _refused(auto: AutoRenewal, now: datetime) -> dict[str, Any] | None:
    """The first refusal of an end for each reason, and the last: not every try in between."""
    reason = auto.reason if auto.state == Switch.PAUSED else auto.last_outcome
    if not auto.tries or auto.order_id or auto.renews_end is None or auto.reason == "customer" or reason in _QUIET:
        return None
    at = auto.next_due_at
    says = {
        "price": _price(auto),
        "at": auto.renews_end.isoformat(),
        "reason": reason,
        "next": at.isoformat() if at else "",
        "was_paid": renewals.was_paid_for(auto),
    }
    last = "" if at else ":last"
    cause = f"{auto.renews_end.isoformat()}:{reason}{last}"
    # In its words stands the next try: told late, they would be wrong.
    return {"cause": cause, "due_at": now, "not_after": at or now + NEWS, "says": says}


def alarm_about_burst(*, line_id: UUID, now: datetime) -> None:
    """Tell the seller that a card was about to order by itself again and again, and was stopped. Once an end."""
    auto, line = renewals.auto_renewal(line_id), lines.line(line_id)
    if auto is None or line is None or auto.renews_end is None:
        return
    card = ids.masked(line.iccid)
    messaging.queue(
        cause=ids.derived(auto.id, f"burst:{auto.renews_end.isoformat()}"),
        kind="staff_autorenewal_burst",
        to=settings.SELLER_MAIL,
        language="en",
        subject=f"Card {card}: automatic renewal was stopped",
        text=f"Card {card} was about to order by itself more than {auto_rules.BURST} times within a day. Its automatic "
        "renewal is paused until the customer agrees to it anew. Look at the orders of this card.\n",
        now=now,
    )
