"""How money, time, volumes and speeds are written for a person: one place, in the language of the page."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_skeleton, format_timedelta, get_timezone_location
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent
from django.utils.translation import get_language, gettext

from xuka.kernel.money import Money, step
from xuka.kernel.volume import GIGABYTE, MEGABYTE


def locale() -> Locale:
    """The page's language as Babel knows it."""
    return _babel(get_language() or "en")


@lru_cache
def _babel(language: str) -> Locale:
    written = {
        "zh-hans": "zh_Hans",
        "zh-hant": "zh_Hant_TW",
        "en": "en_GB",
        "fr": "fr_BE",
        "nl": "nl_BE",
        "ja": "ja_JP",
    }
    return Locale.parse(written.get(language, language.replace("-", "_")))


def money(amount: Money) -> str:
    """A ``Money`` as people write it, with the currency's own decimals: "€12.90", "JP¥1,980" (never taken for yuan).

    Taiwan's dollar is "NT$399" in every language: CLDR writes "$399.00" for readers there, and nobody uses its cents.
    """
    if amount.currency != "TWD":
        return format_currency(amount.major, amount.currency, locale=locale())
    pattern = locale().currency_formats["standard"].pattern.replace("¤", "NT$")
    return format_currency(
        amount.major, "TWD", pattern if amount.minor % step("TWD") else pattern.replace(".00", ""),
        locale=locale(), currency_digits=False,
    )  # fmt: skip


def number(count: int) -> str:
    """12000 -> "12,000"."""
    return format_decimal(count, locale=locale())


def rate(number: str) -> str:
    """An exchange rate with up to six digits behind the point: "163.45"."""
    return format_decimal(number, format="#,##0.######", locale=locale())


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
    return calendar_day(local(moment, zone).date())


def calendar_day(of: date) -> str:
    """A day on the calendar, in no zone: "24 November 2026"."""
    return _long(of, locale())


@lru_cache(maxsize=4096)
def _long(of: date, spoken: Locale) -> str:
    return format_date(of, "long", locale=spoken)


def short_day(of: date) -> str:
    """ "24/11", "11/24": for where there is little room."""
    return format_skeleton("Md", of, locale=locale())


def month_day(of: date) -> str:
    """ "24 Nov", "11月24日": where the year is plain."""
    return _month_day(of, locale())


# A page has thirty of them, and every card's page the same thirty.
@lru_cache(maxsize=512)
def _month_day(of: date, spoken: Locale) -> str:
    return format_skeleton("MMMd", of, locale=spoken)


def wait(until: datetime, now: datetime) -> str:
    """How long it is until then: "in 5 hours", "in 8 days"; never less than a minute."""
    left = until - now
    unit = "day" if left >= timedelta(days=1) else "hour" if left >= timedelta(hours=1) else "minute"
    # No unit reaches the threshold, so that the one asked for is taken: never weeks.
    says = format_timedelta(left, granularity=unit, threshold=10**9, add_direction=True, locale=locale())
    return re.sub(r"(\d)(?=[^\d\s])", r"\1 ", says) if locale().language == "zh" else says


def clock_time(moment: datetime, zone: str) -> str:
    """ "14:05"."""
    return local(moment, zone).strftime("%H:%M")


def clock_seconds(moment: datetime, zone: str) -> str:
    """ "14:05:20": for waits of less than a minute."""
    return local(moment, zone).strftime("%H:%M:%S")


def moment(moment: datetime, zone: str) -> str:
    """ "2026年11月24日 14:05" / "24 November 2026, 14:05"."""
    return written(local(moment, zone))


def valid_through(ends_at: datetime, zone: str) -> str:
    """The last moment of a half-open span, as "valid through": midnight belongs to the day that ends with it."""
    return written(_last_moment(ends_at, zone))


def last_day(ends_at: datetime, zone: str) -> date:
    """The day on which a half-open span ends, as ``valid_through`` tells it."""
    return _last_moment(ends_at, zone).date()


def _last_moment(ends_at: datetime, zone: str) -> datetime:
    wall = local(ends_at, zone)
    if wall.hour == wall.minute == wall.second == 0:
        wall -= timedelta(minutes=1)
    return wall


def written(wall: datetime) -> str:
    """A time on some wall clock: "24 November 2026, 14:05"."""
    between = " " if locale().language in {"zh", "ja"} else ", "
    return f"{calendar_day(wall.date())}{between}{wall:%H:%M}"


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
    return f"{_decimal(round(count / unit, 2), locale())}\N{NO-BREAK SPACE}{name}"


@lru_cache(maxsize=4096)
def _decimal(number: float, spoken: Locale) -> str:
    return format_decimal(number, locale=spoken)


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
