"""How money, time, volumes and speeds are written for a person: one place, in the language of the page."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, get_timezone_location
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent
from django.utils.translation import get_language, gettext

from xuka.kernel.money import Money
from xuka.kernel.volume import GIGABYTE, MEGABYTE


def locale() -> Locale:
    """The page's language as Babel knows it."""
    return _babel(get_language() or "en")


@lru_cache
def _babel(language: str) -> Locale:
    written = {"zh-hans": "zh_Hans", "en": "en_GB", "fr": "fr_BE", "nl": "nl_BE", "ja": "ja_JP"}
    return Locale.parse(written.get(language, language.replace("-", "_")))


def money(amount: Money) -> str:
    """A ``Money`` as people write it, with the currency's own decimals: "€12.90", "JP¥1,980" (never taken for yuan)."""
    return format_currency(amount.major, amount.currency, locale=locale())


def percent(basis_points: int) -> str:
    """2100 -> "21%"."""
    return format_percent(basis_points / 10_000, locale=locale(), decimal_quantization=False)


def zone_info(zone: str) -> ZoneInfo:
    """The zone of this IANA name; UTC for ""."""
    return ZoneInfo(zone or "UTC")


def local(moment: datetime, zone: str) -> datetime:
    """The moment on the wall clock of ``zone``; UTC when no zone is known."""
    return moment.astimezone(zone_info(zone))


def day(moment: datetime, zone: str) -> str:
    """ "2026年11月24日" / "24 November 2026"."""
    return format_date(local(moment, zone), "long", locale=locale())


def calendar_day(of: date) -> str:
    """A day on the calendar, in no zone: "24 November 2026"."""
    return format_date(of, "long", locale=locale())


def clock_time(moment: datetime, zone: str) -> str:
    """ "14:05"."""
    return local(moment, zone).strftime("%H:%M")


def clock_seconds(moment: datetime, zone: str) -> str:
    """ "14:05:20": for waits of less than a minute."""
    return local(moment, zone).strftime("%H:%M:%S")


def moment(moment: datetime, zone: str) -> str:
    """ "2026年11月24日 14:05" / "24 November 2026, 14:05"."""
    return _joined(local(moment, zone))


def valid_through(ends_at: datetime, zone: str) -> str:
    """The last moment of a half-open span, as "valid through": midnight belongs to the day that ends with it."""
    wall = local(ends_at, zone)
    if wall.hour == wall.minute == wall.second == 0:
        wall -= timedelta(minutes=1)
    return _joined(wall)


def _joined(wall: datetime) -> str:
    between = " " if locale().language in {"zh", "ja"} else ", "
    return f"{format_date(wall, 'long', locale=locale())}{between}{wall:%H:%M}"


def place(zone: str) -> str:
    """Whose clock it is: "布鲁塞尔时间" / "Brussels time"."""
    if zone in {"", "UTC"}:
        return "UTC"
    return gettext("%(city)s time") % {"city": city(zone)}


@lru_cache(maxsize=256)
def _city(zone: str, spoken: Locale) -> str:
    return get_timezone_location(zone, locale=spoken, return_city=True)


def city(zone: str) -> str:
    """The city that names a time zone, in the page's language."""
    return _city(zone, locale())


def volume(count: int | None) -> str:
    """Bytes as people say them: 3000000000 -> "3 GB", 1250000000 -> "1.25 GB"."""
    if count is None:
        return ""
    unit, name = (GIGABYTE, "GB") if count >= GIGABYTE else (MEGABYTE, "MB")
    return f"{format_decimal(round(count / unit, 2), locale=locale())}\N{NO-BREAK SPACE}{name}"


def speed(kbps: int) -> str:
    """1000 -> "1 Mbps", 512 -> "512 kbps"."""
    number, unit = (kbps / 1000, "Mbps") if kbps >= 1000 else (kbps, "kbps")
    return f"{format_decimal(number, locale=locale())}\N{NO-BREAK SPACE}{unit}"


def country(code: str) -> str:
    """ "FR" -> "法国" / "France"."""
    return locale().territories.get(code, code)


def listing(words: list[str]) -> str:
    """ "France, Germany and Spain"."""
    return format_list(words, locale=locale())
