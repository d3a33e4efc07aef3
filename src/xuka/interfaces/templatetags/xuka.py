"""How money, time, volumes and speeds are written for a person: one place, in the language of the page."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, get_timezone_location
from babel.numbers import format_currency, format_decimal
from django import template
from django.conf import settings
from django.forms import BoundField
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext

from xuka.catalogue import queries as catalogue
from xuka.interfaces import clock
from xuka.interfaces.web import texts
from xuka.kernel.money import Money
from xuka.kernel.volume import GIGABYTE, MEGABYTE

register = template.Library()

# Every drawing is a path inside a 24 x 24 box.
ICONS = {
    "card": "M6 3h8l4 4v14H6z M9.5 12h5v5h-5z M12 12v5",
    "orders": "M6 3h12v18l-3-2-3 2-3-2-3 2z M9.5 8h5 M9.5 12h5",
    "help": "M4 12a8 8 0 1 1 4 6.9L4 20l1-3.6A8 8 0 0 1 4 12z M9 10h6 M9 13.5h4",
    "person": "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8z M4.5 20.5a7.5 7.5 0 0 1 15 0",
    "check": "M5 12.5l4.5 4.5L19 7.5",
    "next": "M9 5l7 7-7 7",
    "back": "M15 5l-7 7 7 7",
    "warn": "M12 4l9 16H3z M12 10v4.5 M12 17.2v.1",
    "info": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z M12 11v5.5 M12 7.6v.1",
    "cross": "M6 6l12 12 M18 6L6 18",
    "cap": "M4 16a8 8 0 1 1 16 0 M12 16l4-5",
    "slow": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z M12 7v5l3.5 2",
    "reset": "M20 12a8 8 0 1 1-2.4-5.7 M20 3.5v4h-4",
    "peak": "M4 20V14 M9.3 20V9 M14.6 20V5 M20 20v-9",
    "hotspot": "M12 18.6v.1 M8.5 15.2a5 5 0 0 1 7 0 M5.6 12a9 9 0 0 1 12.8 0 M3 8.8a13 13 0 0 1 18 0",
    "abroad": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z M3.4 9.5h17.2 M3.4 14.5h17.2 M12 3c-4.5 5-4.5 13 0 18 M12 3c4.5 5 4.5 13 0 18",
    "clock": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z M12 7v5l3.5 2",
    "shield": "M12 3l7 2.5V11c0 4.6-3 8-7 10-4-2-7-5.4-7-10V5.5z M9 12l2.2 2.2L15.2 10",
    "mail": "M3.5 6h17v12h-17z M4 6.5l8 6.5 8-6.5",
    "plus": "M12 5v14 M5 12h14",
    "dots": "M6 12v.1 M12 12v.1 M18 12v.1",
}


def _locale() -> Locale:
    return _babel(get_language() or "en")


@lru_cache
def _babel(language: str) -> Locale:
    return Locale.parse("zh_Hans" if language == "zh-hans" else "en_GB" if language == "en" else language.replace("-", "_"))


@register.simple_tag
def icon(name: str) -> SafeString:
    """A line drawing that screen readers skip; ``name`` is a key of ``ICONS``."""
    return format_html('<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="{}"/></svg>', ICONS[name])


@register.simple_tag(name="money")
def money_tag(minor: int, currency: str) -> str:
    """EUR 1290 -> "€12.90" in the page's language."""
    return money(Money(minor, currency))


@register.filter(name="money")
def money(amount: Money) -> str:
    """A ``Money`` as people write it, with the currency's own decimals. The yen is never taken for the yuan."""
    text = format_currency(amount.major, amount.currency, locale=_locale())
    return text.replace("JP¥", "¥") if get_language() == "en" else text


@register.filter
def percent(basis_points: int) -> str:
    """2100 -> "21%"."""
    return format_decimal(basis_points / 100, locale=_locale()) + "%"


def local(moment: datetime, zone: str) -> datetime:
    """The moment on the wall clock of ``zone``; UTC when no zone is known."""
    return moment.astimezone(ZoneInfo(zone or "UTC"))


@register.simple_tag
def day(moment: datetime, zone: str) -> str:
    """ "2026年11月24日" / "24 November 2026"."""
    return format_date(local(moment, zone), "long", locale=_locale())


@register.simple_tag
def clock_time(moment: datetime, zone: str) -> str:
    """ "14:05"."""
    return local(moment, zone).strftime("%H:%M")


@register.simple_tag
def moment(moment: datetime, zone: str) -> str:
    """ "2026年11月24日 14:05" / "24 November 2026, 14:05"."""
    return _joined(local(moment, zone))


def _joined(wall: datetime) -> str:
    between = " " if _locale().language == "zh" else ", "
    return f"{format_date(wall, 'long', locale=_locale())}{between}{wall:%H:%M}"


@register.simple_tag
def valid_through(ends_at: datetime, zone: str) -> str:
    """The last moment of a half-open span, as "valid through": midnight belongs to the day that ends with it."""
    wall = local(ends_at, zone)
    if wall.hour == wall.minute == wall.second == 0:
        wall -= timedelta(minutes=1)
    return _joined(wall)


@register.simple_tag
def machine_time(moment: datetime) -> str:
    """ISO 8601 in UTC, for ``<time datetime>``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@register.simple_tag
def place(zone: str) -> str:
    """Whose clock it is: "布鲁塞尔时间" / "Brussels time"."""
    if zone in {"", "UTC"}:
        return gettext("UTC")
    return gettext("%(city)s time") % {"city": city(zone)}


@register.filter
def city(zone: str) -> str:
    """The city that names a time zone, in the page's language."""
    return get_timezone_location(zone, locale=_locale(), return_city=True)


@register.filter
def volume(count: int | None) -> str:
    """Bytes as people say them: 3000000000 -> "3 GB", 1250000000 -> "1.25 GB"."""
    if count is None:
        return ""
    unit, name = (GIGABYTE, "GB") if count >= GIGABYTE else (MEGABYTE, "MB")
    return f"{format_decimal(round(count / unit, 2), locale=_locale())} {name}"


@register.filter
def speed(kbps: int) -> str:
    """1000 -> "1 Mbps", 512 -> "512 kbps"."""
    return f"{format_decimal(kbps / 1000, locale=_locale())} Mbps" if kbps >= 1000 else f"{kbps} kbps"


@register.filter
def plan_name(version) -> str:
    """The plan's name in the page's language."""
    return catalogue.name(version.plan, get_language() or "en")


@register.filter
def network_name(version) -> str:
    """The network's name, as it writes itself."""
    return version.plan.network.name


@register.filter
def cap_words(version) -> str:
    """What "unlimited" means in one line: "3 GB a day at full speed, then 1 Mbps"."""
    return texts.cap(version)


@register.filter
def terms(version) -> list[texts.Term]:
    """The six lines that must be on screen before paying."""
    return texts.six_lines(version)


@register.filter
def ends_with(iccid: str) -> str:
    """A card as its owner recognises it: its last four digits."""
    return iccid[-4:]


@register.filter
def in_fours(iccid: str) -> str:
    """The digits in groups of four, as they are printed."""
    return " ".join(iccid[at : at + 4] for at in range(0, len(iccid), 4))


@register.simple_tag
def field(bound: BoundField) -> SafeString:
    """One field of any form, in our words: label, control, hint and errors tied together for screen readers."""
    texts.put_in_our_words(bound)
    return mark_safe(bound.form.render("components/field.html", {"field": bound}))  # noqa: S308 - a template's own output


@register.simple_tag
def seller() -> str:
    """The shop's name."""
    return settings.SELLER_NAME


@register.simple_tag
def is_demo() -> bool:
    """Whether no money moves here."""
    return settings.DEMO


@register.simple_tag(takes_context=True)
def now(context) -> datetime:
    """The page's own ``now`` when the view put it there, else the clock."""
    return context.get("now") or clock.now()
