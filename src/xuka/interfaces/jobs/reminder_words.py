"""Reminders in words: what each kind says, and the letters, text messages and notes that say it. Reads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from threading import local
from typing import NamedTuple

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.html import escape

from xuka.accounts.rules import Group
from xuka.interfaces.web import formats, links
from xuka.kernel.money import Money
from xuka.reminders.operations import Item, Letter, Written
from xuka.reminders.rules import AHEAD, KINDS, Ending, Limit

# Django finds the language anew for each text; here thousands of letters in one language follow each other.
_spoken = local()


def gettext(text: str) -> str:
    """The text in the language that ``compose`` has set."""
    return _text(_language(), text)


def ngettext(singular: str, plural: str, number: int) -> str:
    """The same for what is counted."""
    return _counted(_language(), singular, plural, number)


def _language() -> str:
    return getattr(_spoken, "language", "") or translation.get_language() or "en"


@lru_cache(maxsize=4_096)
def _text(language: str, text: str) -> str:
    with translation.override(language):
        return translation.gettext(text)


@lru_cache(maxsize=4_096)
def _counted(language: str, singular: str, plural: str, number: int) -> str:
    with translation.override(language):
        return translation.ngettext(singular, plural, number)


@lru_cache(maxsize=4_096)
def _place(language: str, zone: str) -> str:
    with translation.override(language):
        return formats.place(zone)


def _moment(moment: datetime, zone: str) -> str:
    """As ``formats.moment``."""
    return _minute(_language(), moment.replace(second=0, microsecond=0), False, zone)[0]


def _valid_through(ends_at: datetime, zone: str) -> tuple[str, str]:
    """As ``formats.valid_through``; and briefly, "03-04 13:00", for where there is little room."""
    minute = ends_at.replace(second=0, microsecond=0)
    return _minute(_language(), minute, not ends_at.second, zone)


@lru_cache(maxsize=16_384)
def _minute(language: str, minute: datetime, is_end: bool, zone: str) -> tuple[str, str]:
    """A minute, written once; midnight belongs to the day that ends with it."""
    wall = formats.local(minute, zone)
    if is_end and wall.hour == wall.minute == 0:
        wall -= timedelta(minutes=1)
    with translation.override(language):
        return formats.written(wall), f"{wall:%m-%d %H:%M}"


# Two text messages in one: 67 characters of any script each (3GPP TS 23.040, UCS-2).
LONGEST_TEXT = 134


class Said(NamedTuple):
    """One reminder in words: a title without a full stop, sentences, and until when it is, written briefly."""

    title: str
    says: str
    until: str


def compose(letters: Sequence[Letter], now: datetime) -> list[Written]:
    """Each letter in its reader's language, in their order."""
    written: dict[int, Written] = {}
    by_language: dict[str, list[int]] = {}
    for at, letter in enumerate(letters):
        by_language.setdefault(letter.reach.language, []).append(at)
    for language, places in by_language.items():
        with translation.override(language):
            _spoken.language = language
            try:
                for at in places:
                    written[at] = _written(letters[at], now)
            finally:
                _spoken.language = ""
    return [written[at] for at in range(len(letters))]


def _written(letter: Letter, now: datetime) -> Written:
    told = [(said(item, letter.reach.time_zone, now), item) for item in letter.items]
    if letter.channel == "email":
        return _mail(letter, told, now)
    first, item = told[0]
    url = _switch_url(item) or links.reading(line_id=item.line_id, owner=item.owner, now=now)
    if letter.channel in {"sms", "card"}:
        return Written("", _text_message(told, url), "")
    more = "".join(f"\n{one.title}" for one, _ in told[1:])
    return Written(first.title, f"{first.says}{more}\n{url}", "")


def _mail(letter: Letter, told: Sequence[tuple[Said, Item]], now: datetime) -> Written:
    """Its blocks stand apart by an empty line, the last is how to hear no more; ``dressed`` reads them again."""
    groups: frozenset[Group] = frozenset([KINDS[item.kind].group for item in letter.items])
    stop = links.unsubscribe(customer=letter.reach.customer, groups=groups)
    blocks: list[str] = []
    card = None
    for one, item in told:
        # One card's items follow each other to one link; where something can be switched off, that has its own.
        own = _switch_url(item)
        url = "" if item.line_id == card else links.reading(line_id=item.line_id, owner=item.owner, now=now) + "\n"
        url = f"{own}\n" if own else url
        blocks.append(f"{one.title}\n{one.says}\n{url}\n")
        card = card if own else item.line_id
    subject = told[0][0].title
    if len(told) > 1:
        more = len(told) - 1
        subject = ngettext("%(first)s, and %(count)d more", "%(first)s, and %(count)d more", more) % {
            "first": subject,
            "count": more,
        }
    before, after = _ends_with(letter.reach.language)
    return Written(subject, f"{''.join(blocks)}{before}{stop}{after}", stop)


@lru_cache(maxsize=32)
def _ends_with(language: str) -> tuple[str, str]:
    """What stands before and after the link that ends letters like this one, in a mail's text."""
    choose, stop = gettext("Choose what you hear"), gettext("No more reminders like this")
    return f"{choose}: {_settings_url()}\n{stop}: ", f"\n{settings.SELLER_NAME}\n"


def dressed(*, language: str, text: str, unsubscribe: str) -> str:
    """The HTML of a mail, from its text: made when it is sent, so that the outbox need not keep what is known."""
    html: list[str] = []
    with translation.override(language):
        for block in text.rstrip("\n").split("\n\n")[:-1]:
            title, says, *url = block.split("\n")
            html.append(
                f'<h1 style="margin:16px 0 8px;font-size:20px;line-height:1.3">{escape(title)}</h1>'
                f'<p style="margin:0 0 12px">{escape(says)}</p>'
            )
            html += [_button(escape(address)) for address in url]
    head, middle, tail = _frame(language)
    return f"{head}{''.join(html)}{middle}{escape(unsubscribe)}{tail}"


def _switch_url(item: Item) -> str:
    """Where automatic renewal is switched off, for what is about to be charged; "" for all else."""
    if item.kind != "autorenewal_soon" or item.says.get("how") in {"link", "confirm"}:
        return ""
    return f"{settings.SITE_URL}/cards/{item.line_id}/auto/"


def _settings_url() -> str:
    return f"{settings.SITE_URL}/settings/notifications/"


def _button(url: str) -> str:
    return (
        f'<p style="margin:16px 0"><a href="{url}" style="display:inline-block;background:#0b665c;color:#ffffff;'
        f'text-decoration:none;font-weight:600;padding:12px 24px;border-radius:999px">{escape(gettext("See the card"))}'
        "</a></p>"
    )


@lru_cache(maxsize=32)
def _frame(language: str) -> tuple[str, str, str]:
    """What stands around the items of a mail and its last link, in this language: rendered once a process."""
    with translation.override(language):
        whole = render_to_string("mail/reminder.html").replace("@@settings@@", escape(_settings_url()))
    head, _, rest = whole.partition("@@items@@")
    middle, _, tail = rest.partition("@@stop@@")
    return head, middle, tail


def _text_message(told: Sequence[tuple[Said, Item]], url: str) -> str:
    """The most urgent one and the link, in two text messages at most: what does not fit is left out."""
    one, item = told[0]
    more = f" +{len(told) - 1}" if len(told) > 1 else ""
    told_apart = gettext("card %(last)s, until %(until)s") % {"last": item.card_last, "until": one.until}
    for words in (f"{one.title} ({told_apart}){more}\n{url}", f"{one.title}{more}\n{url}", f"{one.title}\n{url}"):
        if len(words) <= LONGEST_TEXT:
            return words
    return url


# -- what each kind says -------------------------------------------------------------------------------------------


def said(item: Item, time_zone: str, now: datetime) -> Said:
    """One reminder in the language that is set; times on the reader's clock, or else on the card's."""
    zone = time_zone or item.zone
    if item.kind in AHEAD_KINDS and item.ending is not None:
        return _of_end(item, item.ending, zone, now)
    told = {
        "plan": item.plan_names.get(_language()) or item.plan_names["en"],
        "last": item.card_last,
        "place": _place(_language(), zone),
    }
    if item.limit is not None:
        return _of_use(item.kind, item.limit, told, zone)
    if KINDS[item.kind].group == "renewal":
        return _announced(item, told, zone)
    return _of_time(item, told, zone)


AHEAD_KINDS = frozenset(kind for kind, _, _ in AHEAD)


def _of_end(item: Item, ending: Ending, zone: str, now: datetime) -> Said:
    """By far the most: all but the time and the card is written once for each plan and place."""
    language = _language()
    until, brief = _valid_through(ending.ends_at, zone)
    says = _end_of_plan(language, item.plan_names.get(language) or item.plan_names["en"], zone)
    minutes = max(1, round((ending.ends_at - now) / _MINUTE))
    return Said(_ends_in(language, minutes), says.replace("\0last", item.card_last).replace("\0until", until), brief)


@lru_cache(maxsize=4_096)
def _end_of_plan(language: str, plan: str, zone: str) -> str:
    """With "\\0last" and "\\0until" where the card's last digits and the time go, in any order."""
    with translation.override(language):
        says = translation.gettext(
            "%(plan)s, card ending in %(last)s, is valid through %(until)s (%(place)s). Nothing is booked after that."
        )
    told = {"plan": plan, "place": _place(language, zone), "last": "\0last", "until": "\0until"}
    return says % told


def _of_time(item: Item, told: dict[str, str], zone: str) -> Said:
    ending = item.ending
    assert ending is not None, "what follows from a card's time has one"
    told["until"], brief = _valid_through(ending.ends_at, zone)
    match item.kind:
        case "ended":
            return Said(gettext("Your card has ended"), _ended(item, told, zone), brief)
        case "carrier_ends_early":
            assert ending.carrier_ends_at is not None, "else it would not be early"
            told["carrier"], brief = _valid_through(ending.carrier_ends_at, zone)
            return Said(
                gettext("The carrier may end your card early"),
                gettext(
                    "The card ending in %(last)s is booked until %(until)s (%(place)s), but the carrier says it ends "
                    "at %(carrier)s. We know it too and look into it; write to us if it stops working."
                )
                % told,
                brief,
            )
        case "card_stops":
            assert ending.stops_at is not None, "else nothing is known of it"
            at, state = ending.stops_at
            told["goes"], brief = _valid_through(at, zone)
            if state == "incoming_only":
                says = gettext(
                    "After %(goes)s (%(place)s) the card ending in %(last)s can only be called and get texts, unless "
                    "it is renewed before."
                )
            else:
                says = gettext(
                    "After %(goes)s (%(place)s) the card ending in %(last)s is suspended and nothing works on it, "
                    "unless it is renewed before."
                )
            return Said(gettext("Your card will stop working"), says % told, brief)
        case _:
            assert ending.number_goes_at is not None, "else nothing is known of it"
            told["goes"], brief = _valid_through(ending.number_goes_at, zone)
            return Said(
                gettext("Your card will lose its number"),
                gettext(
                    "The card ending in %(last)s keeps its number only if it is renewed by %(goes)s (%(place)s). "
                    "A number that is gone does not come back."
                )
                % told,
                brief,
            )


def _ended(item: Item, told: dict[str, str], zone: str) -> str:
    ending = item.ending
    assert ending is not None, "it has ended"
    says = gettext("%(plan)s, card ending in %(last)s, was valid through %(until)s (%(place)s) and was not renewed.")
    until = ending.renewable_until
    if until is not None and until > ending.ends_at:
        more = gettext("It can still be renewed until %(time)s.") % {"time": _valid_through(until, zone)[0]}
    elif until is not None:
        more = gettext("This card cannot be renewed any more.")
    else:
        more = gettext("Whether it can still be renewed, its page tells.")
    return f"{says % told} {more}"


_MINUTE = timedelta(minutes=1)


@lru_cache(maxsize=4_096)
def _ends_in(language: str, minutes: int) -> str:
    with translation.override(language):
        return translation.gettext("Your card ends in %(time)s") % {"time": left(minutes)}


def left(minutes: int) -> str:
    """ "3 days", "3 hours": to the nearest."""
    hours = round(minutes / 60)
    if hours >= 36 or hours == 24:
        days = round(hours / 24)
        return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}
    if minutes >= 60:
        return ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
    return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}


def _of_use(kind: str, limit: Limit, told: dict[str, str], zone: str) -> Said:
    ends_at = limit.window.ends_at
    told["until"], brief = _valid_through(ends_at, zone)
    told |= {
        "all": _amount(limit.name, limit.allowed or 0),
        "left": _amount(limit.name, max(0, (limit.allowed or 0) - limit.used)),
    }
    match kind:
        case "reset":
            says = gettext("Card ending in %(last)s: %(all)s at full speed until %(until)s (%(place)s).")
            back = gettext("The data that is shared with you is fresh again")
            return Said(back if limit.name == "shared" else gettext("Full speed is back"), says % told, brief)
        case "slower" if limit.name == "shared":
            return Said(_used_up(limit), _slow(limit, told), brief)
        case "slower":
            return Said(gettext("Your card is slower now"), _slow(limit, told), brief)
        case "used_100":
            return Said(_used_up(limit), _slow(limit, told), brief)
        case _:
            percent = formats.percent(int(kind.removeprefix("used_")) * 100)
            says = gettext("Card ending in %(last)s: %(left)s of %(all)s left until %(until)s (%(place)s).")
            return Said(_partly_used(limit.name) % {"percent": percent}, says % told, brief)


def _slow(limit: Limit, told: dict[str, str]) -> str:
    if limit.name == "data" and limit.kbps:
        says = gettext("Card ending in %(last)s: from now on at most %(speed)s, until %(until)s (%(place)s).")
        return says % {**told, "speed": formats.speed(limit.kbps)}
    return gettext("Card ending in %(last)s: all %(all)s are used, until %(until)s (%(place)s).") % told


def _used_up(limit: Limit) -> str:
    match limit.name:
        case "hotspot":
            return gettext("Your hotspot data is used up")
        case "shared":
            return gettext("The data that is shared with you is used up")
        case "abroad":
            return gettext("Your data abroad is used up")
        case "voice":
            return gettext("Your call minutes are used up")
        case "sms":
            return gettext("Your text messages are used up")
    return gettext("Your full-speed data is used up") if limit.kbps else gettext("Your data is used up")


def _partly_used(name: str) -> str:
    match name:
        case "hotspot":
            return gettext("%(percent)s of your hotspot data is used")
        case "shared":
            return gettext("%(percent)s of the data that is shared with you is used")
        case "abroad":
            return gettext("%(percent)s of your data abroad is used")
        case "voice":
            return gettext("%(percent)s of your call minutes are used")
        case "sms":
            return gettext("%(percent)s of your text messages are used")
    return gettext("%(percent)s of your data is used")


def _amount(name: str, count: int) -> str:
    if name == "voice":
        minutes = count // 60
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    if name == "sms":
        return ngettext("%(count)d text message", "%(count)d text messages", count) % {"count": count}
    return formats.volume(count)


def _announced(item: Item, told: dict[str, str], zone: str) -> Said:
    price = item.says.get("price")
    told |= {"price": formats.money(Money(price["minor"], price["currency"])) if price else ""}
    at = item.says.get("at") or ""
    when = datetime.fromisoformat(at) if at else item.ending and item.ending.ends_at
    told |= {"at": _moment(when, zone) if when else ""}
    brief = _valid_through(when, zone)[1] if when else ""
    match item.kind:
        case "autorenewal_soon":
            return _soon(item, told, brief)
        case "autorenewal_charged":
            says = gettext("%(price)s was charged for %(plan)s, card ending in %(last)s. The receipt comes by mail.")
            return Said(gettext("Your card has renewed itself"), says % told, brief)
        case _ if item.says.get("reason") in {"saved_forgotten", "saved_expired"}:
            return Said(gettext("Your card no longer renews itself"), _stopped(item, told), brief)
        case _:
            return Said(gettext("Your card could not renew itself"), _refused(item, told, zone), brief)


def _soon(item: Item, told: dict[str, str], brief: str) -> Said:
    match item.says.get("how"):
        case "link":
            says = gettext(
                "%(plan)s, card ending in %(last)s, can be renewed now for %(price)s: open the card and pay. "
                "Nothing is charged by itself. It ends at %(at)s (%(place)s)."
            )
            return Said(gettext("Your card is ready to be renewed"), says % told, brief)
        case "confirm":
            says = gettext(
                "%(plan)s, card ending in %(last)s, could not renew itself: you are asked to confirm the payment of "
                "%(price)s. Nothing was charged, and nothing is by itself. Open the card and pay; what is booked "
                "ends at %(at)s (%(place)s)."
            )
            return Said(gettext("Confirm the renewal yourself"), says % told, brief)
        case "use" if item.says.get("left"):
            told |= {"percent": formats.percent(int(item.says["left"]) * 100)}
            says = gettext(
                "%(plan)s, card ending in %(last)s, renews itself for %(price)s once only %(percent)s of its data is "
                "left, if that happens before %(at)s (%(place)s). You can switch that off until then."
            )
        case "use":
            says = gettext(
                "%(plan)s, card ending in %(last)s, renews itself for %(price)s once its data is used up, if that "
                "happens before %(at)s (%(place)s). You can switch that off until then."
            )
        case _:
            says = gettext(
                "%(plan)s, card ending in %(last)s, renews itself at %(at)s (%(place)s) for %(price)s. "
                "You can switch that off until then."
            )
    return Said(gettext("Your card renews itself soon"), says % told, brief)


def _stopped(item: Item, told: dict[str, str]) -> str:
    """What was saved is not to be charged any more: there was nothing to fail yet."""
    says = gettext("%(plan)s, card ending in %(last)s, no longer renews itself. Nothing was charged.")
    ends = gettext("You can renew it yourself at any time; what is booked ends at %(at)s (%(place)s).")
    return f"{says % told} {why_refused(item.says['reason'])} {ends % told}"


def _refused(item: Item, told: dict[str, str], zone: str) -> str:
    """What happened, why, when it is tried again, and what comes after."""
    reason = item.says.get("reason", "")
    parts = [gettext("%(plan)s, card ending in %(last)s, could not renew itself for %(price)s.") % told]
    if item.says.get("was_paid"):
        parts.append(gettext("What was paid goes back to where it came from."))
    elif reason != "payment_late":  # its own words tell of the money
        parts.append(gettext("Nothing was charged."))
    parts.append(why_refused(reason))
    if following := item.says.get("next"):
        told |= {"next": _moment(datetime.fromisoformat(following), zone)}
        parts.append(gettext("We try again at %(next)s (%(place)s).") % told)
    else:
        parts.append(gettext("It is not tried again by itself."))
    parts.append(gettext("You can renew it yourself at any time; what is booked ends at %(at)s (%(place)s).") % told)
    return " ".join(parts)


def why_refused(reason: str) -> str:
    """Why a card did not renew itself, in a sentence, with what helps."""
    match reason:
        case "wallet_too_low":
            return gettext("There was not enough in your wallet.")
        case "ceiling_reached":
            return gettext("It would have been more than the most you allowed for a month.")
        case "price_changed":
            return gettext("The price has changed: agree to the new one, or leave it off.")
        case "plan_gone":
            return gettext("This plan is not sold any more: choose another one.")
        case "too_late":
            return gettext("The card ended too long ago.")
        case "too_far_ahead":
            return gettext("The card is already paid a long way ahead.")
        case "burst":
            return gettext("It was about to be renewed too often in one day, so we stopped it and look at it.")
        case "card_recycled" | "card_unknown" | "other_market" | "unknown_line" | "not_supported":
            return gettext("The carrier has taken this card out of service.")
        case "would_lose" | "top_up_disabled":
            return gettext("This renewal needs your own look first.")
    return _why_not_charged(reason) or gettext("The carrier did not take it at that moment.")


def _why_not_charged(reason: str) -> str:
    """What was wrong with what was saved or its payment; "" for any other word."""
    match reason:
        case "saved_declined":
            return gettext("The payment was declined; your bank or PayPal knows why. Money in your wallet works too.")
        case "needs_customer":
            return gettext("You are asked to confirm the payment: renew the card yourself.")
        case "saved_forgotten":
            return gettext("What paid for it is not kept here any more. Agree anew to go on.")
        case "saved_expired":
            return gettext("The saved card that pays for it has expired. Agree anew with another one to go on.")
        case "payment_failed":
            return gettext("The payment service did not take it at that moment.")
        case "not_paid":
            return gettext("It was not paid in time.")
        case "changed":
            return gettext("Its automatic renewal was changed at that moment.")
        case "payment_late":
            return gettext("The payment came too late: it goes back to where it came from.")
    return ""
