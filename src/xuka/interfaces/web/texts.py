"""What the codes of the packages below mean in words. Facts come in, sentences go out; nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from xuka.catalogue.rules import Disclosure, Quota, Sms, Tier, Voice
from xuka.interfaces.web import formats

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
    foreign = type(bound.form).__module__.startswith("allauth")
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
    """The plan's name in the page's language."""
    return catalogue.name(version.plan, get_language() or "en")


def cap(version: PlanVersion) -> str:
    """What "unlimited" means, in one line: "3 GB a day at full speed, then 1 Mbps"."""
    facts = catalogue_rules.disclosure(catalogue.policy(version))
    if facts.cap.bytes is None:
        return gettext("Unlimited at full speed")
    told = {"volume": formats.volume(facts.cap.bytes), "speed": formats.speed(facts.speed_after[0].kbps)}
    blocked, daily = facts.speed_after[0].kbps == 0, facts.cap.window == "local_day"
    if blocked and daily:
        return gettext("%(volume)s a day, then it stops until the next day") % told
    if blocked:
        return gettext("%(volume)s in all, then it stops") % told
    if daily:
        return gettext("Unlimited: %(volume)s a day at full speed, then %(speed)s") % told
    return gettext("Unlimited: %(volume)s at full speed, then %(speed)s") % told


def terms_title(version: PlanVersion) -> str:
    """What the terms are about; a plan that stops when it is used up is not called unlimited."""
    tiers = catalogue.policy(version).quota.data.tiers
    return gettext("What is in it") if tiers and tiers[0].kbps == 0 else gettext("What “unlimited” means here")


def terms(version: PlanVersion) -> list[Term]:
    """Cap, speed after it, reset, peak hours, hotspot, abroad, calls, texts."""
    policy = catalogue.policy(version)
    facts = catalogue_rules.disclosure(policy)
    return [
        _cap_term(facts),
        _speed_term(facts),
        _reset_term(facts, policy.period.zone),
        _peak_term(facts),
        _hotspot_term(facts),
        _abroad_term(facts),
        *_talk_terms(policy.quota, formats.country(version.plan.market_id)),
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


def _cap_term(facts: Disclosure) -> Term:
    if facts.cap.bytes is None:
        return Term("cap", gettext("Full speed without a cap"))
    told = {"volume": formats.volume(facts.cap.bytes)}
    if facts.cap.window == "local_day":
        return Term("cap", gettext("%(volume)s a day at full speed") % told)
    return Term("cap", gettext("%(volume)s at full speed for the whole period") % told)


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


def _reset_term(facts: Disclosure, zone: str) -> Term:
    if facts.reset is None:
        return Term("reset", gettext("Starts afresh with the next period only"))
    told = {"time": f"{facts.reset.at:%H:%M}", "place": formats.place(facts.reset.zone)}
    says = gettext("Starts afresh every day at %(time)s, %(place)s") % told
    return Term("reset", says, _same_moment(facts, zone))


def _same_moment(facts: Disclosure, zone: str) -> str:
    """The hour of the reset on the wall clock where the card is used, when that is another hour."""
    reset = facts.reset
    if reset is None:
        return ""
    there = datetime(2001, 1, 1, reset.at.hour, reset.at.minute, tzinfo=formats.zone_info(reset.zone))
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
        case "wallet_too_low":
            says = gettext("There is not enough in your wallet for this plan.")
            todo = gettext("Topping up yourself is not possible yet: write to us, and we fill it for you.")
        case _:
            says = gettext("The carrier does not offer this plan on your card at the moment.")
            todo = gettext("Nothing has been charged. Choose another plan, or write to us.")
    return WhyNot(says, todo)


def cannot_renew(code: str, possible_at: datetime | None, zone: str) -> str:
    """The sentence for ``CannotRenew``."""
    if code == "too_far_ahead" and possible_at:
        return gettext("Your card is already paid a long way ahead. You can add this plan from %(day)s on.") % {
            "day": formats.day(possible_at, zone)
        }
    if code == "too_late":
        return gettext("This card ended too long ago to be renewed. Nothing has been charged; write to us.")
    return gettext("This plan cannot be bought for this card any more. Please choose from the plans below.")


def cannot_place(code: str) -> str:
    """The sentence for an order that was not taken; ``code``: "changed", "not_offered", "not_this_way", "different"."""
    match code:
        case "changed":
            return gettext(
                "Something about this card has changed since the price was made, so we made a new one. Please "
                "look at it once more; nothing has been charged."
            )
        case "not_offered":
            return gettext("This renewal cannot be paid at the moment. Nothing has been charged.")
        case "not_this_way":
            return gettext(
                "This way to pay is not possible at the moment. Nothing was charged; look at the choices below."
            )
        case _:
            return gettext("This page was sent twice with different contents. Nothing was bought the second time.")


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One line of a price, in words."""

    label: str
    amount_minor: int


def price_lines(lines: Iterable[Mapping[str, Any]], version: PlanVersion) -> list[PriceLine]:
    """The price lines of a quote; the plan is called by its name in the page's language."""
    plan = plan_name(version)
    return [PriceLine(plan if one["kind"] == "plan" else one["label"], one["amount_minor"]) for one in lines]


def kept(facts: Iterable[Mapping[str, Any]], zone: str) -> list[str]:
    """What stays, in sentences."""
    return [_kept(fact, zone) for fact in facts]


def _kept(fact: Mapping[str, Any], zone: str) -> str:
    match fact["kind"]:
        case "number":
            return gettext("Your card, its number and its settings stay as they are.")
        case "time":
            until = formats.valid_through(datetime.fromisoformat(fact["until"]), zone)
            return gettext("All the time you have already paid for, through %(until)s.") % {"until": until}
        case "data":
            return gettext("The data that comes with it.")
        case "queued":
            count = fact["count"]
            return ngettext(
                "The renewal that is already waiting comes first.",
                "The %(count)d renewals that are already waiting come first.",
                count,
            ) % {"count": count}
        case _:
            return gettext("Everything else stays as it is.")


def lost(facts: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is lost, in sentences."""
    return [_lost(fact) for fact in facts]


def _lost(fact: Mapping[str, Any]) -> str:
    if fact["kind"] == "part_of_today":
        return gettext("Today counts as the first day, however late it is: the part of today that is over is lost.")
    if fact["kind"] == "part_of_first_day":
        return gettext(
            "The new time is counted in calendar days: the day on which it begins is the first, "
            "though part of it belongs to the plan before."
        )
    return gettext("Something that you have now ends with this renewal. Ask us before you pay.")


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
