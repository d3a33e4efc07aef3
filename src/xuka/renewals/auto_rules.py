"""When a card renews itself, what a refusal means, and when it is tried again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from zoneinfo import ZoneInfo

from xuka.catalogue.rules import Auto, Policy, instant_of
from xuka.kernel.span import Span

# The words that a customer consents to have a version: it changes with every change of what they mean.
CONSENT_VERSION = "2026-3"
NOTICE = timedelta(days=2)
# While an order is under way, and after a surprise, it is looked at again.
LOOK_AGAIN = timedelta(minutes=30)
# An order that was not charged, for the process died in between, is looked at sooner: it waits for money only
# so long (``rules.PAY_WITHIN``).
CHARGE_AGAIN = timedelta(minutes=2)
# More automatic orders of one card within a day are no wish of anybody.
BURST, BURST_WITHIN = 2, timedelta(days=1)


class Switch(StrEnum):
    """``paused``: it waits for the customer to agree anew; ``off``: until it is switched on again."""

    ON = "on"
    PAUSED = "paused"
    OFF = "off"

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(switch.value, switch.name) for switch in cls]


class When(StrEnum):
    """What makes a card renew itself."""

    DATE = "date"
    USED_UP = "used_up"
    PERCENT_LEFT = "percent_left"

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(when.value, when.name) for when in cls]


class PayWith(StrEnum):
    """``wallet``, ``saved``: it is charged by itself, what the customer had kept if the wallet holds too little.
    ``link``: the customer is sent a link, and pays."""

    WALLET = "wallet"
    SAVED = "saved"
    LINK = "link"

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(way.value, way.name) for way in cls]


@dataclass(frozen=True, slots=True)
class Trigger:
    """When, and its number: hours before the end for ``date``, per cent for ``percent_left``, 0 for ``used_up``."""

    when: When
    number: int = 0

    @property
    def is_by_use(self) -> bool:
        return self.when != When.DATE

    @property
    def mark(self) -> int:
        """By use: how many per cent must be used."""
        return 100 - self.number

    @property
    def notice_mark(self) -> int:
        """By use: from how many per cent used on the customer is told that it comes near."""
        return max((mark for mark in (50, 80, 95) if mark < self.mark), default=0)


def triggers(policy: Policy) -> tuple[Trigger, ...]:
    """What its owner can choose from for a card with this plan, the one that is proposed first; () is: not offered."""
    by_date = [Trigger(When.DATE, hours) for hours in policy.auto.hours_before]
    by_use = [
        Trigger(When.PERCENT_LEFT, percent) if percent else Trigger(When.USED_UP)
        for percent in policy.auto.percent_left
        if policy.can_go_by_use
    ]
    return (*by_date, *by_use)


def off_until(policy: Policy, ends_at: datetime) -> datetime | None:
    """Until when it can be switched off for this end (R-25); None: until it is ordered."""
    auto = policy.auto
    if auto.off_days is None or auto.off_at is None:
        return None
    day = ends_at.astimezone(ZoneInfo(policy.period.zone)).date() - timedelta(days=auto.off_days)
    return instant_of(datetime.combine(day, auto.off_at), policy.period.zone)


def is_due(trigger: Trigger, *, ends_at: datetime, packs: int, used_percent: int, now: datetime) -> bool:
    """Whether what is booked to this end is to be renewed now (R-29).

    Args:
        packs: how many periods are booked that are not over; what goes by use waits for the last of them.
        used_percent: of the data of all that runs.
    """
    if not trigger.is_by_use:
        return now >= due_at(trigger, ends_at)
    return now < ends_at and packs == 1 and used_percent >= trigger.mark


def due_at(trigger: Trigger, ends_at: datetime) -> datetime:
    """When to look at it: the hours before the end; what goes by use is over at the end."""
    return ends_at - timedelta(hours=trigger.number) if trigger.when == When.DATE else ends_at


def used_percent(*, left: int | None, of: int | None) -> int:
    """How much of a volume is used, in whole per cent rounded down; 0 where that is not known."""
    return 0 if left is None or not of else (of - max(0, left)) * 100 // of


def counts(window: Span | None, running: Sequence[Span]) -> bool:
    """Whether a limit is that of a whole period: a day that is used up comes back tomorrow, and asks for nothing."""
    return window is None or window in running


# -- refusals ------------------------------------------------------------------------------------------------------

Sort = Literal["later", "customer", "never"]
# A word that is not listed is one for later: it is tried a few times, and told.
_CUSTOMER = frozenset(
    {
        "wallet_too_low", "ceiling_reached", "price_changed", "plan_gone", "too_late", "would_lose", "top_up_disabled",
        "cancelled", "saved_declined", "saved_forgotten", "saved_expired", "payment_late", "needs_customer",
    }
)  # fmt: skip
_NEVER = frozenset({"card_recycled", "card_unknown", "unknown_line", "other_market", "not_supported"})
# Trying again would change nothing: the customer must look at it first.
_PAUSES = frozenset(
    {
        "price_changed", "plan_gone", "too_late", "would_lose", "top_up_disabled", "only_new", "burst",
        "saved_forgotten", "saved_expired",
    }
)  # fmt: skip
# Nothing is tried again for this end, and nothing is wrong with the next.
_THIS_END_ONLY = frozenset({"cancelled", "payment_late"})
# Why an order that nothing saved has paid is called off by itself. The reminder tells of it, and no letter besides.
CALLED_OFF = frozenset({"saved_declined", "needs_customer", "saved_forgotten", "payment_failed", "changed"})
# The customer was sent a link to pay: as they chose, or because they are wanted to confirm.
LINKED = frozenset({"link_sent", "needs_customer"})


def sort_of(reason: str) -> Sort:
    """Whether it may work later, the customer must do something, or it never will."""
    return "never" if reason in _NEVER else "customer" if reason in _CUSTOMER else "later"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a refusal: how the switch stands, and the next try; None: none for this end."""

    switch: Switch
    next_at: datetime | None


def after_refusal(
    reason: str,
    *,
    terms: Auto,
    tries: int,
    now: datetime,
    zone: str,
    possible_at: datetime | None = None,
    ordered_at: Sequence[datetime] = (),
) -> Verdict:
    """What follows from the refusal of this try (from 1) for one end.

    Args:
        terms: how often it is tried, and how long after each refusal.
        zone: the customer's: whose month the ceiling is of.
        possible_at: not before this, where that is known.
        ordered_at: when this card's automatic orders of the last day were placed, the earliest first.
    """
    if sort_of(reason) == "never":
        return Verdict(Switch.OFF, None)
    if reason in _PAUSES:
        return Verdict(Switch.PAUSED, None)
    if reason in _THIS_END_ONLY or tries > len(terms.retry_hours):
        return Verdict(Switch.ON, None)
    if reason == "ceiling_reached":
        return Verdict(Switch.ON, month_of(now, zone).ends_at)
    next_at = max(now + timedelta(hours=terms.retry_hours[tries - 1]), possible_at or now)
    if len(ordered_at) >= BURST:
        next_at = max(next_at, ordered_at[0] + BURST_WITHIN)
    return Verdict(Switch.ON, next_at)


def month_of(now: datetime, zone: str) -> Span:
    """The calendar month that runs on the clock of this zone."""
    first = now.astimezone(ZoneInfo(zone)).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    following = (first + timedelta(days=32)).replace(day=1)
    return Span(first.astimezone(now.tzinfo), following.astimezone(now.tzinfo))
