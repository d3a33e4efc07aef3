"""Choosing a plan: what a renewal changes, which choice reaches a date, what to know before. Facts in, words out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from django.utils.translation import gettext, ngettext

from xuka.catalogue import rules
from xuka.catalogue.models import PlanVersion
from xuka.catalogue.rules import Conditions, Period, Policy, conditions, day_start
from xuka.interfaces.web import formats, texts
from xuka.kernel.money import Money
from xuka.kernel.span import Span
from xuka.renewals.models import Quote

# The bar of a renewal is drawn in a box this wide.
BAR = 1000
# A date further away than this is not looked at.
FARTHEST = timedelta(days=366)


# --- the time before and after ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """The time before and after a renewal: ``now_until`` is None when nothing runs; the bar's two parts lie in BAR."""

    now_until: datetime | None
    then_until: datetime
    old: int
    new: int


def change(*, starts_at: datetime, ends_at: datetime, starts_on_activation: bool, now: datetime) -> Change:
    """What this renewal does to the card's time, seen from ``now``; what has passed is not drawn."""
    if starts_on_activation:
        return Change(None, ends_at, 0, BAR)
    left, whole = max(starts_at - now, timedelta()), max(ends_at - now, ends_at - starts_at)
    old = round(BAR * (left / whole)) if whole else 0
    return Change(starts_at, ends_at, old, BAR - old)


def begins(*, starts_at: datetime, now: datetime, waits_for_use: bool, runs: bool, zone: str) -> str:
    """When time that is bought now begins, in a sentence.

    Args:
        waits_for_use: nobody knows yet: it begins when it is first used.
        runs: something is booked on the card that is not over.
    """
    if waits_for_use:
        return gettext("Bought now, it begins when it is first used.")
    if starts_at > now:
        told = {"time": formats.moment(starts_at, zone), "place": formats.place(zone)}
        return gettext("Bought now, it begins later: on %(time)s (%(place)s), after what is booked.") % told
    if runs:
        return gettext("It begins at once, although something is booked already.")
    return gettext("It begins as soon as the carrier has it, usually within a minute.")


# --- what to know before renewing ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Condition:
    """One question that a buyer has, and its answers in sentences."""

    asks: str
    says: tuple[str, ...]


def before_you_renew(policy: Policy, price: Money) -> list[Condition]:
    """Minimum spend, earliest and latest renewal, what is kept, what is lost, refund."""
    facts = conditions(policy)
    told = {"price": formats.money(price)}
    return [
        Condition(gettext("Minimum spend"), (gettext("%(price)s, the price of this plan; nothing else.") % told,)),
        Condition(gettext("Earliest renewal"), (earliest(facts), early(facts))),
        Condition(gettext("Latest renewal"), (latest(facts),)),
        Condition(gettext("What you keep"), (_number(facts), *_kept(facts))),
        Condition(gettext("What you lose"), _lost(facts)),
        Condition(gettext("Money back"), _refunds(facts)),
    ]


def earliest(facts: Conditions) -> str:
    """From when a card can be renewed."""
    if facts.terms.only_new:
        return gettext("Never: this plan comes with a new eSIM only.")
    if facts.terms.opens_days is not None:
        return _opens(facts.terms.opens_days, facts.terms.opens_percent_left)
    says = ngettext(
        "At once, as long as the new end is at most %(count)d day away.",
        "At once, as long as the new end is at most %(count)d days away.",
        facts.max_ahead_days,
    )
    return says % {"count": facts.max_ahead_days}


def _opens(days: int, percent: int | None) -> str:
    says = ngettext("In the last %(count)d day before the end.", "In the last %(count)d days before the end.", days)
    if percent is None:
        return says % {"count": days}
    told = {"days": says % {"count": days}, "percent": formats.percent(percent * 100)}
    return gettext("%(days)s Earlier once at most %(percent)s of the data is left.") % told


def latest(facts: Conditions) -> str:
    """Until when a card can be renewed, and down to how much data."""
    closes = facts.terms.closes_percent_left
    if closes is None:
        return _latest(facts)
    if closes == 0:
        return gettext("%(latest)s And only while there is data left.") % {"latest": _latest(facts)}
    told = {"latest": _latest(facts), "percent": formats.percent(closes * 100)}
    return gettext("%(latest)s And only while more than %(percent)s of the data is left.") % told


def _latest(facts: Conditions) -> str:
    if facts.terms.closes_hours and not facts.renewable_days:
        hours = facts.terms.closes_hours
        says = ngettext("Up to %(count)d hour before the end.", "Up to %(count)d hours before the end.", hours)
        return says % {"count": hours}
    if facts.renewable_days is None:
        return gettext("Unknown: the carrier does not tell. Renew before the end and you are safe.")
    if facts.renewable_days == 0:
        return gettext("Before the end. After it this card cannot be renewed.")
    says = ngettext("Up to %(count)d day after the end.", "Up to %(count)d days after the end.", facts.renewable_days)
    return says % {"count": facts.renewable_days}


def early(facts: Conditions) -> str:
    """What becomes of the time when a card is renewed before its end."""
    match facts.mode:
        case "add":
            return gettext("The new time is added after all that is booked.")
        case "queue":
            return gettext("The new time waits and begins when the time before it ends.")
        case "replace":
            return gettext("The new time begins at once, and what is left of the time before is lost.")
        case "longest":
            return gettext("The new time begins at once; of its end and the one booked the later counts.")
        case "independent":
            return gettext("The new time begins at once, beside what runs, and each has its own end.")


def _number(facts: Conditions) -> str:
    if facts.number_kept is None:
        return gettext("Your card and its number when you renew in time; after the end, unknown.")
    if facts.number_kept:
        return gettext("Your card and its number, as long as it can be renewed.")
    return gettext("Your card and its number when you renew before the end.")


def _kept(facts: Conditions) -> list[str]:
    says = {
        "time": gettext("All the time you have already paid for."),
        "data": gettext("The data that comes with it."),
        "data_longer": _data_longer(facts.terms.carry_most_bytes),
        "voice": gettext("Calls that are left, as long as they last now."),
        "voice_longer": gettext("Calls that are left: they last as long as the new time."),
        "sms": gettext("Texts (SMS) that are left, as long as they last now."),
        "sms_longer": gettext("Texts (SMS) that are left: they last as long as the new time."),
        "queued": gettext("Renewals that are already waiting come first."),
        "queued_behind": gettext("What you have booked further ahead: it follows the new time."),
    }
    history = [gettext("The history of your orders and receipts.")] if facts.history_kept else []
    return [says[one] for one in facts.kept if one in says] + history


def _data_longer(most_bytes: int | None) -> str:
    if most_bytes is None:
        return gettext("Data that is left: it lasts as long as the new time.")
    told = {"volume": formats.volume(most_bytes)}
    return gettext("Of the data that is left at most %(volume)s: they last as long as the new time.") % told


def _lost(facts: Conditions) -> tuple[str, ...]:
    early = texts.lost([{"kind": one} for one in facts.lost])
    number = [gettext("The number, when the card is not renewed before the end.")] if facts.number_kept is False else []
    return (*early, gettext("Data that is not used by the end of its time."), *number)


def _refunds(facts: Conditions) -> tuple[str, ...]:
    says = {
        "until_asked": gettext("All of it, until we ask the carrier, which is usually seconds after you pay."),
        "refused": gettext("All of it, by itself, when the carrier refuses."),
    }
    after = gettext("After that a renewal cannot be called off. Your rights by law stay as they are.")
    return (*(says[one] for one in facts.refunds), after)


# --- several periods at once -----------------------------------------------------------------------------------------


def each_period(quote: Quote) -> list[str]:
    """From when to when each period of a quote runs, a sentence each."""
    return [
        gettext("Period %(number)d: from %(start)s, valid through %(end)s")
        % {
            "number": number,
            "start": formats.moment(span.starts_at, quote.zone),
            "end": formats.valid_through(span.ends_at, quote.zone),
        }
        for number, span in enumerate(quote.periods, start=1)
    ]


def again(quote: Quote) -> str:
    """From when the plan could be bought for the card once more; "" where that is at once."""
    if quote.again_at is None or quote.again_at <= quote.quoted_at:
        return ""
    told = {"time": formats.moment(quote.again_at, quote.zone), "place": formats.place(quote.zone)}
    return gettext("After this renewal you can buy this plan again from %(time)s (%(place)s) on.") % told


# --- what a day costs ---------------------------------------------------------------------------------------------


def length(period: Period) -> str:
    """ "7 days", "1 month", "24 hours"."""
    if period.unit == "hour":
        return ngettext("%(count)d hour", "%(count)d hours", period.length) % {"count": period.length}
    if period.unit == "calendar_month":
        says = ngettext("%(count)d calendar month", "%(count)d calendar months", period.length)
        return says % {"count": period.length}
    if period.unit == "month":
        return ngettext("%(count)d month", "%(count)d months", period.length) % {"count": period.length}
    return ngettext("%(count)d day", "%(count)d days", period.length) % {"count": period.length}


def per_day(price: Money, days: Fraction) -> str:
    """ "€1.84 a day", rounded to the nearest minor unit."""
    exact = rules.price_per_day(price.minor, days)
    return gettext("%(price)s a day") % {"price": formats.money(Money(int(exact + Fraction(1, 2)), price.currency))}


# --- choosing on the renew page -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """The day until which the card is needed, or why what was typed is not one; "" and None when nothing was."""

    text: str = ""
    day: date | None = None
    problem: str = ""


def wanted(text: str, *, today: date) -> Wanted:
    """What was typed as "I need it until", as ``YYYY-MM-DD``."""
    text = text.strip()
    if not text:
        return Wanted()
    try:
        day = date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII) else None
    except ValueError:
        day = None
    if day is None:
        return Wanted(problem=gettext("We could not read this date. Write year, month and day, as in 2026-12-24."))
    if day < today:
        return Wanted(text, None, gettext("This day is over. Choose today or a later day."))
    if day - today > FARTHEST:
        return Wanted(text, None, gettext("This is more than a year away. Choose an earlier day and renew again then."))
    return Wanted(text, day)


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be chosen; ``span`` is what it would book if bought now, None where it cannot be, which ``refused`` and
    ``possible_at`` tell as ``renewals.rules.NotNow`` does; ``begins`` says when it would begin."""

    version: PlanVersion
    policy: Policy
    span: Span | None
    refused: str = "too_far_ahead"
    possible_at: datetime | None = None
    begins: str = ""

    @property
    def price(self) -> Money:
        return Money(self.version.price_minor, self.version.currency)

    @property
    def facts(self) -> rules.Choice:
        days = rules.days_of(self.policy.period, self.span)
        return rules.Choice(self.version.plan_id, self.version.price_minor, days, self.span)


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice in words; ``is_best`` is the cheapest that reaches the day, ``misses`` is how one falls short, and
    ``begins`` when it would begin."""

    version: PlanVersion
    per_day: str
    saving: str
    is_best: bool
    misses: str
    begins: str


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices, the cheapest first; ``none_reaches`` is said when a day was asked that none of them reaches."""

    all: tuple[Choice, ...]
    none_reaches: str = ""


def choices(offers: Sequence[Offer], *, until: date | None, zone: str) -> Choices:
    """What there is to choose from, and how far each would last compared with the day until which it is needed."""
    end = day_start(until + timedelta(days=1), zone) if until else None
    best = rules.cheapest_that_reaches((offer.facts for offer in offers), end) if end else None
    told = tuple(
        Choice(
            version=offer.version,
            per_day=per_day(offer.price, offer.facts.days),
            saving=_saving(offer, offers),
            is_best=best is not None and best.slug == offer.version.plan_id,
            misses=_misses(offer, end, zone),
            begins=offer.begins,
        )
        for offer in sorted(offers, key=lambda offer: (offer.version.price_minor, offer.version.plan_id))
    )
    return Choices(told, _none_reaches(offers, until, zone) if until and best is None else "")


def _saving(offer: Offer, offers: Sequence[Offer]) -> str:
    """ "12% less a day than 7 days", against the shortest; "" for the shortest itself and where a day costs more."""
    alike = [one for one in offers if one.version.currency == offer.version.currency]
    percent = rules.saving_basis_points(offer.facts, [one.facts for one in alike]) // 100
    if percent <= 0:
        return ""
    shortest = min(alike, key=lambda one: (one.facts.days, one.version.price_minor))
    told = {"percent": formats.percent(percent * 100), "period": length(shortest.policy.period)}
    return gettext("%(percent)s less a day than %(period)s") % told


def _misses(offer: Offer, end: datetime | None, zone: str) -> str:
    if end is None:
        return ""
    if offer.span is None and offer.refused != "too_far_ahead":
        return texts.cannot_renew(offer.refused, offer.possible_at, zone)
    if offer.span is None:
        return gettext("Cannot be bought yet: the card is already paid a long way ahead.")
    if offer.span.ends_at >= end:
        return ""
    told = {"time": formats.valid_through(offer.span.ends_at, zone), "place": formats.place(zone)}
    return gettext("Would last until %(time)s (%(place)s).") % told


def _none_reaches(offers: Sequence[Offer], until: date, zone: str) -> str:
    told = {"day": formats.calendar_day(until)}
    spans = [(offer.span.ends_at, offer) for offer in offers if offer.span]
    if not spans:
        return gettext("None of these reaches %(day)s.") % told
    ends_at, longest = max(spans, key=lambda pair: pair[0])
    told |= {"time": formats.valid_through(ends_at, zone), "plan": texts.plan_name(longest.version)}
    says = gettext("None of these reaches %(day)s. The longest is “%(plan)s”, until %(time)s; then renew once more.")
    return says % told
