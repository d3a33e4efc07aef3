"""What the codes of the packages below mean in words. Facts come in, sentences go out; nothing is decided here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Any

from babel.dates import get_timezone_location
from django.forms import BoundField
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import get_language, gettext, gettext_lazy, ngettext

from xuka.catalogue import queries as catalogue
from xuka.catalogue import rules as catalogue_rules
from xuka.catalogue.models import PlanVersion
from xuka.catalogue.rules import Data, Disclosure, Limit, Policy, Quota, Sms, Tier, Voice, Window
from xuka.interfaces.web import formats
from xuka.kernel.money import Money
from xuka.renewals.models import Order

# --- forms -------------------------------------------------------------------------------------------------------

LABELS = {
    "login": gettext_lazy("E-mail address"),
    "email": gettext_lazy("E-mail address"),
    "password": gettext_lazy("Password"),
    "password1": gettext_lazy("Password"),
    "password2": gettext_lazy("The same password again"),
    "oldpassword": gettext_lazy("Your present password"),
    "remember": gettext_lazy("Keep me signed in on this device"),
    "code": gettext_lazy("Code from the mail"),
}


def put_in_our_words(bound: BoundField) -> None:
    """Label a field of the sign-in library as we would say it; our own forms already speak for themselves."""
    widget = bound.field.widget
    foreign = any(kind.__module__.startswith("allauth") for kind in type(bound.form).__mro__)
    widget.attrs.pop("placeholder", None)
    if not foreign:
        return
    bound.label = LABELS.get(bound.name, bound.label)
    if bound.name in {"password", "oldpassword"}:
        bound.help_text = format_html('<a href="{}">{}</a>', reverse("account_reset_password"), gettext("Forgotten?"))
    elif bound.name == "password1":
        bound.help_text = gettext("At least 8 characters, not a common word, not only digits… a sentence is best.")
    elif bound.name == "code":
        widget.attrs |= {
            "autocomplete": "one-time-code",
            "inputmode": "numeric",
            "spellcheck": "false",
            "autofocus": True,
        }


_CONTINENTS = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")


def zones(names: Iterable[str]) -> list[tuple[str, str]]:
    """The time zones that name a place, with the place in the page's language."""
    return _zones(get_language() or "en", tuple(name for name in names if name.startswith(_CONTINENTS)))


@lru_cache
def _zones(language: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    told = ((name, get_timezone_location(name, locale=formats.locale())) for name in names)
    return sorted(told, key=lambda pair: pair[1])


# --- time left ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Left:
    """Time left, as the ring shows it: a big number, its unit, the rest, and the part of the circle in percent."""

    big: int
    unit: str
    rest: str
    short: str
    percent: float
    soon: bool


def left(*, starts_at: datetime, ends_at: datetime, now: datetime) -> Left:
    """How much of ``[starts_at, ends_at)`` is left at ``now``, which lies before the end."""
    remaining = ends_at - now
    percent = round(min(100.0, max(1.5, 100 * (remaining / (ends_at - min(starts_at, now))))), 1)
    soon = remaining <= timedelta(days=3)
    minutes = max(1, int(remaining.total_seconds() // 60))
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        big, unit, rest = days, ngettext("day", "days", days), _hours(hours) if hours else ""
    elif hours:
        big, unit, rest = hours, ngettext("hour", "hours", hours), _minutes(minutes) if minutes else ""
    else:
        big, unit, rest = minutes, ngettext("minute", "minutes", minutes), ""
    return Left(big, unit, rest, _short(days, hours, minutes), percent, soon)


def _short(days: int, hours: int, minutes: int) -> str:
    said = _days(days) if days else _hours(hours) if hours else _minutes(minutes)
    return gettext("%(time)s left") % {"time": said}


def _days(count: int) -> str:
    return ngettext("%(count)d day", "%(count)d days", count) % {"count": count}


def _hours(count: int) -> str:
    return ngettext("%(count)d hour", "%(count)d hours", count) % {"count": count}


def _minutes(count: int) -> str:
    return ngettext("%(count)d minute", "%(count)d minutes", count) % {"count": count}


# --- plans -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Term:
    """One of the lines that are on screen before paying."""

    icon: str
    says: str
    more: str = ""


def plan_name(version: PlanVersion) -> str:
    """The plan's name in the page's language; no line ends between a number and its unit or before a mark."""
    name = catalogue.name(version.plan, get_language() or "en")
    return _HELD_TOGETHER.sub("\N{NO-BREAK SPACE}", name)


_HELD_TOGETHER = re.compile(r"(?<=\d) (?=[GM]B)| (?=[:;?!·])")


def cap(version: PlanVersion) -> str:
    """What "unlimited" means, in one line: "Unlimited: 3 GB a day at full speed, then 1 Mbps"."""
    return cap_of(catalogue.policy(version).quota.data)


def cap_of(data: Data) -> str:
    """The same of any data; every cap is in it, and a plan that stops at one of them is not called unlimited."""
    if not data.limits:
        return gettext("Unlimited at full speed")
    said, *further = (_limit_words(limit) for limit in data.limits)
    for one in further:
        said = gettext("%(cap)s; and besides %(further)s") % {"cap": said, "further": one}
    return said if _stops(data) else gettext("Unlimited: %(caps)s") % {"caps": said}


def _stops(data: Data) -> bool:
    return any(limit.tiers[0].kbps == 0 for limit in data.limits)


def _limit_words(limit: Window) -> str:
    """One cap and the speed after it: "3 GB a day at full speed, then 1 Mbps"."""
    first = limit.tiers[0]
    told = {"volume": formats.volume(first.after_bytes), "speed": formats.speed(first.kbps), "days": limit.days}
    says = {
        "local_day": (
            gettext("%(volume)s a day, then it stops until the next day"),
            gettext("%(volume)s a day at full speed, then %(speed)s"),
        ),
        "days": (
            gettext("%(volume)s every %(days)s days, then it stops until they are over"),
            gettext("%(volume)s every %(days)s days at full speed, then %(speed)s"),
        ),
        "day": (
            gettext("%(volume)s every 24 hours, then it stops until they are over"),
            gettext("%(volume)s every 24 hours at full speed, then %(speed)s"),
        ),
        "calendar_month": (
            gettext("%(volume)s a calendar month, then it stops until the next month"),
            gettext("%(volume)s a calendar month at full speed, then %(speed)s"),
        ),
        "sliding_days": (
            gettext("%(volume)s in any %(days)s days in a row, then it stops until the oldest day drops out"),
            gettext("%(volume)s in any %(days)s days in a row at full speed, then %(speed)s"),
        ),
        "period": (
            gettext("%(volume)s in all, then it stops"),
            gettext("%(volume)s at full speed, then %(speed)s"),
        ),
    }
    stops, slows = says["days" if limit.window == "day" and limit.days else limit.window]
    return (slows if first.kbps else stops) % told


def terms_title(version: PlanVersion) -> str:
    """What the terms are about; a plan that stops when it is used up is not called unlimited."""
    stops = _stops(catalogue.policy(version).quota.data)
    return gettext("What is in it") if stops else gettext("What “unlimited” means here")


def terms(version: PlanVersion) -> list[Term]:
    """Cap, speed after it, reset, peak hours, hotspot, abroad, calls, texts."""
    return terms_of(catalogue.policy(version), formats.country(version.plan.market_id))


def terms_of(policy: Policy, home: str) -> list[Term]:
    """The same of a policy whose cards are at home in the country ``home``, by its name."""
    facts, data = catalogue_rules.disclosure(policy), policy.quota.data
    return [
        Term("cap", _cap_sentence(data) if data.tiers else gettext("Full speed without a cap")),
        _speed_term(facts),
        _reset_term(data, policy.period.zone),
        *(_further_term(limit, policy.period.zone) for limit in data.also),
        _peak_term(facts),
        _hotspot_term(facts),
        *_pool_terms(facts),
        _abroad_term(facts),
        *_talk_terms(policy.quota, home),
    ]


def _talk_terms(quota: Quota, home: str) -> list[Term]:
    """Calls and texts; one line where the plan has neither."""
    if quota.voice is None and quota.sms is None:
        return [Term("voice", gettext("Data only: no calls and no texts"))]
    return [_voice_term(quota.voice, home), _sms_term(quota.sms, home)]


def _voice_term(voice: Voice | None, home: str) -> Term:
    if voice is None:
        return Term("voice", gettext("No calls in it"))
    more = "" if not voice.incoming_free else gettext("Being called costs nothing.")
    if voice.minutes is None:
        return Term(
            "voice", gettext("Calls to %(where)s, minutes not counted") % {"where": _reach(voice.to, home)}, more
        )
    told = {"count": voice.minutes, "where": _reach(voice.to, home)}
    says = ngettext("%(count)d minute of calls to %(where)s", "%(count)d minutes of calls to %(where)s", voice.minutes)
    return Term("voice", says % told, more)


def _sms_term(sms: Sms | None, home: str) -> Term:
    if sms is None:
        return Term("sms", gettext("No texts (SMS) in it"))
    if sms.messages is None:
        return Term("sms", gettext("Texts (SMS) to %(where)s, not counted") % {"where": _reach(sms.to, home)})
    told = {"count": sms.messages, "where": _reach(sms.to, home)}
    return Term(
        "sms", ngettext("%(count)d text (SMS) to %(where)s", "%(count)d texts (SMS) to %(where)s", sms.messages) % told
    )


def _reach(to: str, home: str) -> str:
    if to == "market":
        return gettext("numbers in %(country)s") % {"country": home}
    return gettext("numbers in every country")


def _cap_sentence(limit: Window) -> str:
    told = {"volume": formats.volume(limit.tiers[0].after_bytes), "days": limit.days}
    match limit.window:
        case "local_day":
            return gettext("%(volume)s a day at full speed") % told
        case "day" if limit.days:
            return gettext("%(volume)s every %(days)s days at full speed") % told
        case "day":
            return gettext("%(volume)s every 24 hours at full speed") % told
        case "calendar_month":
            return gettext("%(volume)s a calendar month at full speed") % told
        case "sliding_days":
            return gettext("%(volume)s in any %(days)s days in a row at full speed") % told
        case _:
            return gettext("%(volume)s at full speed for the whole period") % told


def _further_term(limit: Limit, zone: str) -> Term:
    """A cap that holds besides the first, with its steps of speed and its reset."""
    reset = _reset_term(limit, zone)
    more = (*(_slower(tier) for tier in limit.tiers), reset.says)
    says = gettext("And besides: %(cap)s") % {"cap": _cap_sentence(limit)}
    return Term("cap", says, " · ".join(more) + (f" · {reset.more}" if reset.more else ""))


def _speed_term(facts: Disclosure) -> Term:
    if not facts.speed_after:
        return Term("slow", gettext("Never slowed down"))
    first, *later = facts.speed_after
    return Term("slow", _slower(first), " ".join(_slower(tier) for tier in later))


def _slower(tier: Tier) -> str:
    told = {"volume": formats.volume(tier.after_bytes), "speed": formats.speed(tier.kbps)}
    if tier.kbps == 0:
        return gettext("After %(volume)s the connection stops") % told
    return gettext("After %(volume)s you go on at up to %(speed)s, at no extra charge") % told


def _reset_term(limit: Window, zone: str) -> Term:
    """When counting begins anew; ``zone``: where the card is used."""
    if limit.window == "day" and limit.days:
        says = gettext("Starts afresh every %(days)s days, counted from the start of the period")
        return Term("reset", says % {"days": limit.days})
    if limit.window == "day":
        return Term("reset", gettext("Starts afresh every 24 hours, counted from the start of the period"))
    if limit.zone is None or not limit.tiers:
        return Term("reset", gettext("Starts afresh with the next period only"))
    if limit.window == "calendar_month":
        says = gettext("Starts afresh on the 1st of every month, %(place)s") % {"place": formats.place(limit.zone)}
        return Term("reset", says, _same_moment(time(), limit.zone, zone))
    at = limit.resets_at or time()
    told = {"time": f"{at:%H:%M}", "place": formats.place(limit.zone)}
    if limit.window == "sliding_days":
        says = gettext("Every day at %(time)s, %(place)s, the oldest day drops out of the count")
    else:
        says = gettext("Starts afresh every day at %(time)s, %(place)s")
    return Term("reset", says % told, _same_moment(at, limit.zone, zone))


def _same_moment(at: time, there_zone: str, zone: str) -> str:
    """The hour of the reset on the wall clock where the card is used, when that is another hour."""
    there = datetime(2001, 1, 1, at.hour, at.minute, tzinfo=formats.zone_info(there_zone))
    here = there.astimezone(formats.zone_info(zone))
    if here.utcoffset() == there.utcoffset():
        return ""
    return gettext("That is %(time)s, %(place)s.") % {"time": f"{here:%H:%M}", "place": formats.place(zone)}


def _peak_term(facts: Disclosure) -> Term:
    if facts.peak is None:
        return Term("peak", gettext("The same speed at all hours"))
    told = {
        "from": f"{facts.peak.from_time:%H:%M}",
        "to": f"{facts.peak.to_time:%H:%M}",
        "place": formats.place(facts.peak.zone),
        "speed": formats.speed(facts.peak.kbps),
    }
    return Term("peak", gettext("Up to %(speed)s at peak hours, %(from)s to %(to)s (%(place)s)") % told)


def _hotspot_term(facts: Disclosure) -> Term:
    if not facts.hotspot.allowed:
        return Term("hotspot", gettext("No hotspot: it works in this phone only"))
    if facts.hotspot.cap_bytes is None:
        return Term("hotspot", gettext("Hotspot allowed, with no cap of its own"))
    return Term(
        "hotspot", gettext("Hotspot allowed, up to %(volume)s") % {"volume": formats.volume(facts.hotspot.cap_bytes)}
    )


def _pool_terms(facts: Disclosure) -> list[Term]:
    """That a family can share it; nothing where it is for one card alone."""
    if facts.pool is None:
        return []
    says = ngettext(
        "In a family, %(count)d other card can use this data too",
        "In a family, %(count)d other cards can use this data too",
        facts.pool.cards,
    ) % {"count": facts.pool.cards}
    if facts.pool.turn == "own_first":
        more = gettext("Once their own is used up, while a period of their own runs. Their owners agree first.")
    else:
        more = gettext("In one order with their own, while a period of their own runs. Their owners agree first.")
    return [Term("person", says, more)]


def _abroad_term(facts: Disclosure) -> Term:
    if not facts.abroad.allowed:
        return Term("abroad", gettext("Does not work in other countries"))
    names = [formats.country(code) for code in facts.abroad.countries]
    listed = formats.listing(sorted(names))
    if len(names) > 6:
        says = ngettext("Works in %(count)d other country", "Works in %(count)d other countries", len(names)) % {
            "count": len(names)
        }
    else:
        says, listed = gettext("Works also in %(countries)s") % {"countries": listed}, ""
    if facts.abroad.cap_bytes is not None:
        says = gettext("%(where)s, up to %(volume)s there") % {
            "where": says,
            "volume": formats.volume(facts.abroad.cap_bytes),
        }
    if stay := facts.abroad.stay:
        told = {"where": says, "days": stay.days, "speed": formats.speed(stay.kbps)}
        says = gettext("%(where)s, after %(days)s days in a row there up to %(speed)s") % told
    return Term("abroad", says, listed)


# --- quotes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WhyNot:
    """Why payment is not offered, and what the person can do."""

    says: str
    todo: str


def why_not(code: str) -> WhyNot | None:
    """The sentence for ``Quote.why_not`` or ``Standing.why_not``; None when it may be paid."""
    if not code:
        return None
    match code:
        case "carrier_silent":
            says = gettext("The carrier does not answer at the moment, so we cannot promise you this renewal.")
            todo = gettext("Nothing has been charged. Look again in a few minutes.")
        case "seller_out_of_credit":
            says = gettext(
                "This plan cannot be activated right now; the reason lies with us, not with you or your card."
            )
            todo = gettext("Nothing has been charged. We are on it; look again a little later or write to us.")
        case "card_recycled":
            says = gettext("The carrier has taken this card out of service; it cannot be renewed any more.")
            todo = gettext("Nothing has been charged. Write to us, and we find a new card for you.")
        case "card_suspended":
            says = gettext("This card is suspended at the moment, so nothing can be put on it.")
            todo = gettext("Nothing has been charged. Write to us to have it released, or buy a new eSIM meanwhile.")
        case "card_unidentified":
            says = gettext("The law asks that whoever uses this card is identified before it is renewed.")
            todo = gettext("Nothing has been charged. Write to us: we tell you how it is done.")
        case "wallet_too_low":
            says = gettext("There is not enough in your wallet for this plan.")
            todo = gettext("Topping up yourself is not possible yet: write to us, and we fill it for you.")
        case _:
            says = gettext("The carrier does not offer this plan on your card at the moment.")
            todo = gettext("Nothing has been charged. Choose another plan, or write to us.")
    return WhyNot(says, todo)


def cannot_renew(code: str, possible_at: datetime | None, zone: str, most: int = 0) -> str:
    """The sentence for ``CannotRenew``."""
    if most:
        return _not_so_many(code, most)
    if code == "too_far_ahead" and possible_at:
        return gettext("Your card is already paid a long way ahead. You can add this plan from %(day)s on.") % {
            "day": formats.day(possible_at, zone)
        }
    if code == "too_late":
        return gettext("This card ended too long ago to be renewed. Nothing has been charged. Buy a new eSIM instead.")
    if code == "other_market":
        return gettext(
            "This plan is for cards of another country or carrier. Choose one of the plans below, or buy it as a new "
            "eSIM."
        )
    if code == "too_little_left":
        return gettext("This plan can be added only while there is enough data left. Please choose another plan.")
    if code == "only_new":
        return gettext(
            "This plan comes with a new eSIM only. Buy it as a new eSIM, or choose another plan for this card."
        )
    if code in {"too_soon", "too_early", "too_many"} and possible_at:
        told = {"time": formats.moment(possible_at, zone)}
        return gettext("This plan cannot be bought for this card yet. It can from %(time)s on.") % told
    if code == "closed" and possible_at:
        told = {"time": formats.moment(possible_at, zone)}
        return gettext("So shortly before the end this plan cannot be bought. The card ends on %(time)s.") % told
    if code == "too_much_left":
        return gettext("There is still too much data on this card for this plan. Use some of it first.")
    return gettext("This plan cannot be bought for this card any more. Please choose from the plans below.")


def _not_so_many(code: str, most: int) -> str:
    """Why not so many periods can be bought at once."""
    if code == "count":
        return gettext("That many cannot be bought at once. Choose a number of periods from 1 to %(most)d.") % {
            "most": most
        }
    if code == "takes_away":
        return gettext(
            "Buy one period of this plan at a time: a second one would end the first, and what is left of it is lost."
        )
    return ngettext(
        "Only %(most)d period of this plan can be bought for this card at once now.",
        "At most %(most)d periods of this plan can be bought for this card at once now.",
        most,
    ) % {"most": most}


def cannot_place(code: str) -> str:
    """The sentence for an order that was not taken; ``code``: "changed", "by_another", "not_offered", "not_this_way",
    "different"."""
    match code:
        case "by_another":
            return gettext("Somebody else is renewing this card just now. Nothing was charged to you.")
        case "changed":
            return gettext(
                "Something about this card has changed since the price was made, so we made a new one. Please "
                "look at it once more; nothing has been charged."
            )
        case "discount_gone":
            return gettext(
                "The discount in this price cannot be had any more, so we made a new one without it. Please look at it "
                "once more; nothing has been charged."
            )
        case "not_offered":
            return gettext("This renewal cannot be paid at the moment. Nothing has been charged.")
        case "not_this_way":
            return gettext(
                "This way to pay is not possible at the moment. Nothing was charged; look at the choices below."
            )
        case _:
            return gettext("This page was sent twice with different contents. Nothing was bought the second time.")


def several_prices(version: PlanVersion) -> list[str]:
    """What several periods cost when they are bought at once, where the catalogue says so: a sentence each."""
    return [
        gettext("%(count)s periods bought at once: %(price)s.")
        % {"count": formats.number(one.periods), "price": formats.money(one.money)}
        for one in catalogue.prices(version)
        if one.periods > 1 and one.money.currency == version.currency
    ]


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One line of a price, in words."""

    label: str
    amount_minor: int
    count: int = 0
    more: str = ""


def price_lines(lines: Iterable[Mapping[str, Any]], version: PlanVersion, currency: str) -> list[PriceLine]:
    """The price lines of a quote; the plan is called by its name in the page's language, and has a count."""
    return [_price_line(one, version, currency) for one in lines]


def _price_line(line: Mapping[str, Any], version: PlanVersion, currency: str) -> PriceLine:
    minor = line["amount_minor"]
    if line["kind"] == "plan":
        return PriceLine(plan_name(version), minor, line.get("count", 1))
    more = ""
    if "whole_minor" in line:
        told = {"whole": formats.money(Money(line["whole_minor"], currency))}
        more = gettext("It is worth %(whole)s, but no price gets lower than this; the rest is lost.") % told
    return PriceLine(discount(line["kind"], line.get("points", 0), line["label"]), minor, more=more)


def discount(kind: str, points: int, label: str) -> str:
    """What is taken off, in words: the promotion's name, "Coupon WELCOME5", "120 points"."""
    match kind:
        case "coupon":
            return gettext("Coupon %(code)s") % {"code": label}
        case "points":
            told = {"number": formats.number(points)}
            return ngettext("%(number)s point spent", "%(number)s points spent", points) % told
        case _:
            return label


def kept(facts: Iterable[Mapping[str, Any]], zone: str) -> list[str]:
    """What stays, in sentences."""
    return [_kept(fact, zone) for fact in facts]


def _kept(fact: Mapping[str, Any], zone: str) -> str:
    match fact["kind"]:
        case "time":
            until = formats.valid_through(datetime.fromisoformat(fact["until"]), zone)
            return gettext("All the time you have already paid for, through %(until)s.") % {"until": until}
        case "first_use":
            return _first_use(fact, zone)
        case "queued":
            count = fact["count"]
            return ngettext(
                "The renewal that is already waiting comes first.",
                "The %(count)d renewals that are already waiting come first.",
                count,
            ) % {"count": count}
        case "data_longer" if "most_bytes" in fact:
            until = formats.valid_through(datetime.fromisoformat(fact["until"]), zone)
            told = {"until": until, "volume": formats.volume(fact["most_bytes"])}
            return gettext("Of the data that is left at most %(volume)s: they last through %(until)s.") % told
        case kind if kind in _LONGER:
            until = formats.valid_through(datetime.fromisoformat(fact["until"]), zone)
            return str(_LONGER[kind]) % {"until": until}
        case kind:
            return str(_KEPT.get(kind, gettext("Everything else stays as it is.")))


_KEPT = {
    "number": gettext_lazy("Your card, its number and its settings stay as they are."),
    "data": gettext_lazy("The data that comes with it."),
    "voice": gettext_lazy("Calls that are left, as long as they last now."),
    "sms": gettext_lazy("Texts (SMS) that are left, as long as they last now."),
    "queued_behind": gettext_lazy("What you have booked further ahead: it follows the new time."),
}
_LONGER = {
    "data_longer": gettext_lazy("Data that is left: it lasts through %(until)s."),
    "voice_longer": gettext_lazy("Calls that are left: they last through %(until)s."),
    "sms_longer": gettext_lazy("Texts (SMS) that are left: they last through %(until)s."),
}


def _first_use(fact: Mapping[str, Any], zone: str) -> str:
    told = {"time": formats.moment(datetime.fromisoformat(fact["by"]), zone)}
    if fact["lapses"]:
        return gettext("The time begins when you first use it. Use it before %(time)s: after that it is lost.") % told
    return gettext("The time begins when you first use it, and by itself on %(time)s.") % told


def lost(facts: Iterable[Mapping[str, Any]], zone: str = "") -> list[str]:
    """What is lost, in sentences; with dates where the facts have them."""
    return [_lost(fact, zone) for fact in facts]


def _lost(fact: Mapping[str, Any], zone: str) -> str:
    if fact["kind"] == "time" and "until" in fact:
        until = formats.valid_through(datetime.fromisoformat(fact["until"]), zone)
        return gettext("The time that is left now, through %(until)s: the new time begins at once.") % {"until": until}
    if fact["kind"] == "data" and "left_bytes" in fact:
        return gettext("The data that is left: %(volume)s.") % {"volume": formats.volume(fact["left_bytes"])}
    if fact["kind"] == "side_by_side":
        return gettext(
            "All %(count)d periods run at the same time: the card is not valid for longer than with one."
        ) % {"count": fact["count"]}
    unknown = gettext("Something that you have now ends with this renewal. Ask us before you pay.")
    return str(_LOST.get(fact["kind"], unknown))


_LOST = {
    "part_of_today": gettext_lazy(
        "Today counts as the first day, however late it is: the part of today that is over is lost."
    ),
    "part_of_first_day": gettext_lazy(
        "The new time is counted in calendar days: the day on which it begins is the first, "
        "though part of it belongs to the plan before."
    ),
    "part_of_month": gettext_lazy(
        "The time is counted in calendar months: the part of this month that is over is lost."
    ),
    "time": gettext_lazy("The time that is left then: the new time begins at once."),
    "data": gettext_lazy("The data that is left."),
    "voice": gettext_lazy("The calls that are left."),
    "sms": gettext_lazy("The texts (SMS) that are left."),
    "since_end": gettext_lazy("The new time is counted from the last end: what has passed since then is lost."),
    "beyond_cap": gettext_lazy("The card cannot be paid further ahead: the time beyond that is lost."),
}


# --- orders ------------------------------------------------------------------------------------------------------


def order_state(state: str) -> tuple[str, str]:
    """A state in a word or two, and how its tag looks: "", "good", "warn", "bad"."""
    words = {
        "awaiting_funds": (gettext("waiting for money"), "warn"),
        "funded": (gettext("under way"), "warn"),
        "activating": (gettext("under way"), "warn"),
        "active": (gettext("renewed"), "good"),
        "refunding": (gettext("money on its way back"), "warn"),
        "refunded": (gettext("refunded"), ""),
        "expired": (gettext("not paid in time"), ""),
        "cancelled": (gettext("cancelled"), ""),
        "needs_a_person": (gettext("we are checking"), "warn"),
    }
    return words.get(state, (gettext("under way"), "warn"))


def in_part(order: Order) -> list[str]:
    """How many of an order's periods are there and why others are not, in sentences; none where none was given back."""
    there, back = len(order.delivered), len(order.given_back)
    if not back:
        return []
    told = {"there": there, "count": order.count}
    says = ngettext(
        "%(there)d of the %(count)d periods is on your card.",
        "%(there)d of the %(count)d periods are on your card.",
        there,
    )
    then = ngettext(
        "%(back)d could not be delivered; its share of the price goes back by itself.",
        "%(back)d could not be delivered; their share of the price goes back by itself.",
        back,
    )
    return [says % told, then % {"back": back}, refusal(order.reason)]


def refusal(reason: str) -> str:
    """Why the carrier did not renew the card, in the customer's words; ``reason`` is ``Order.reason``."""
    sentences = {
        "card_recycled": gettext("The carrier has taken this card out of service, so it could not be renewed."),
        "top_up_disabled": gettext("The carrier does not allow this card to be renewed any more."),
        "out_of_stock": gettext("The carrier had none of this plan left."),
        "maintenance": gettext("The carrier was being maintained for longer than we promised you."),
        "rate_limited": gettext("The carrier was too busy for longer than we promised you."),
        "card_unknown": gettext("The carrier does not know this card."),
        "package_unknown": gettext("The carrier does not sell this plan any more."),
        "seller_out_of_credit": gettext("We could not buy this plan from the carrier; the reason lies with us."),
        "not_delivered": gettext("The carrier did not deliver within the promised time."),
        "carrier_silent": gettext("The carrier did not answer within the promised time."),
    }
    return sentences.get(reason, gettext("The carrier did not accept the renewal."))


def account_kind(kind: str) -> str:
    """What lies in an account of the ledger, in a word or two."""
    words = {
        "wallet": gettext("wallet"),
        "hold": gettext("held for the order"),
        "revenue": gettext("revenue"),
        "tax": gettext("tax"),
        "staff_credit": gettext("credit by staff"),
        "carrier_loss": gettext("the seller's loss"),
        "carrier_payable": gettext("owed to the carrier"),
        "clearing": gettext("at the payment service"),
        "refunds_in_flight": gettext("on its way back"),
        "suspense": gettext("set aside for a person"),
        "paid_by_hand": gettext("paid back by hand"),
    }
    return words.get(kind, kind)


_BROWSERS = (
    ("MicroMessenger", gettext_lazy("WeChat")),
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = ("iPhone", "iPad", "Android", "HarmonyOS", "Windows", "Macintosh", "Linux")


def device(user_agent: str) -> str:
    """A browser as its owner would call it: "Chrome · Android"."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), gettext("A browser"))
    system = next((name for name in _SYSTEMS if name in user_agent), "")
    return " · ".join(str(part) for part in (browser, system.replace("Macintosh", "Mac")) if part)
