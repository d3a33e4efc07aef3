"""What a card used, has left, and how fast it is now, as its page says it. Facts come in, words go out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.utils.translation import gettext, ngettext

from xuka.catalogue import queries as catalogue
from xuka.catalogue.rules import Data, Window
from xuka.interfaces.web import chart, formats
from xuka.interfaces.web.chart import Chart
from xuka.interfaces.web.pools import called
from xuka.lines import queries as lines
from xuka.lines.queries import Entry, Line
from xuka.metering import queries as metering
from xuka.metering import rules as metering_rules
from xuka.metering.queries import Day
from xuka.metering.rules import Burnt, Speed, Usage

# Where less than this is left, in percent, the ring warns.
LOW = 20


@dataclass(frozen=True, slots=True)
class Ring:
    """A volume in a circle: what it is, a number, its unit, a line below; ``percent`` of the circle, None without."""

    label: str
    number: str
    unit: str
    rest: str
    percent: float | None = None
    low: bool = False


@dataclass(frozen=True, slots=True)
class Gauge:
    """One limit as a bar: ``left`` of ``of``, both in its own unit."""

    label: str
    says: str
    left: int
    of: int
    resets: str = ""


@dataclass(frozen=True, slots=True)
class SpeedNow:
    """How fast the card is: in a word, why, and what comes next. ``mood``: "good", "warn" or "bad"."""

    says: str
    mood: str
    why: str = ""
    then: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows of a card's data; "" and None are left out.

    Attributes:
        as_of: until when the figures are known; "" when nobody ever told, and then there is no figure at all.
        used: what was used in the running period.
        resets: when the limit of the ring begins anew; with several limits each has its own in ``gauges``.
    """

    ring: Ring | None = None
    as_of: str = ""
    speed: SpeedNow | None = None
    used: str = ""
    resets: str = ""
    gauges: tuple[Gauge, ...] = ()
    chart: Chart | None = None
    used_in: dict[UUID, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Here:
    """Now, on whose clock: the customer's zone, and the card's own."""

    now: datetime
    zone: str
    line_zone: str

    def at(self, moment: datetime) -> str:
        """The time of day, with the date where it is more than a day away, and the card's own time where it differs."""
        near = timedelta() <= moment - self.now < timedelta(days=1)
        told = formats.clock_time(moment, self.zone) if near else formats.moment(moment, self.zone)
        if formats.local(moment, self.zone).utcoffset() == formats.local(moment, self.line_zone).utcoffset():
            return told
        there = {"time": told, "there": formats.clock_time(moment, self.line_zone)}
        return gettext("%(time)s (%(there)s, %(place)s)") % {**there, "place": formats.place(self.line_zone)}

    def told(self, moment: datetime) -> dict[str, str]:
        return {"at": self.at(moment), "wait": formats.wait(moment, self.now)}

    def as_of(self, moment: datetime) -> str:
        """The time of day, with the date where that was another day."""
        wall, today = formats.local(moment, self.zone), formats.local(self.now, self.zone).date()
        told = formats.clock_time(moment, self.zone) if wall.date() == today else formats.moment(moment, self.zone)
        return gettext("Data as of %(at)s") % {"at": told}


def shown(line: Line, *, entries: Sequence[Entry], zone: str, now: datetime) -> Shown:
    """What the card's page shows of its data, in at most four queries.

    Args:
        entries: its periods on every track.
        zone: the customer's own, IANA; "" is the card's.
    """
    usage = metering.usage_of(line, now=now, entries=entries)
    host = lines.line(usage.pool.line_id) if usage.pool and usage.pool.line_id != line.id else None
    cells = metering.counted(line, now=now, entries=entries) if usage.as_of else []
    days, used_in = metering.days_of(line, cells, now=now), metering.used_by_period(cells, entries)
    whose = called(host.owner) if host and host.owner else ""
    return told(
        usage, days, used_in, entries=entries, line_zone=line.zone, zone=zone or line.zone, whose=whose, now=now
    )


def used_words(count: int) -> str:
    """What was used, in bytes, in a word: "4.2 GB used"."""
    return gettext("%(volume)s used") % {"volume": formats.volume(count)}


def told(
    usage: Usage, days: Iterable[Day], used_in: dict[UUID, int], *, entries: Sequence[Entry], line_zone: str, zone: str,
    whose: str = "", now: datetime,
) -> Shown:  # fmt: skip
    """The same of facts that are at hand.

    Args:
        whose: who shares data with this card; "" where nobody does, or it is shared from here.
    """
    here, serving = _Here(now, zone, line_zone), _serving(usage, entries, now)
    data = catalogue.policy(serving.period.plan_version).quota.data if serving else None
    speed = _speed(usage, data, serving, entries, here)
    if usage.as_of is None:
        return Shown(speed=speed, resets=_first_reset(usage, data, here))
    known_until = formats.local(usage.as_of, line_zone).date()
    drawn = chart.of([replace(day, is_known=day.is_known and day.day <= known_until) for day in days], cap=_a_day(data))
    if serving is None or data is None:
        return Shown(as_of=here.as_of(usage.as_of), speed=speed, chart=drawn, used_in=used_in)
    return Shown(
        ring=_ring(usage),
        as_of=here.as_of(usage.as_of),
        speed=speed,
        used=gettext("Used in this period: %(volume)s") % {"volume": formats.volume(usage.used_bytes)},
        resets="" if len(_data_limits(usage)) > 1 else _first_reset(usage, data, here),
        gauges=(*_gauges(usage, data, here), *_pool_gauges(usage, whose, here)),
        chart=drawn,
        used_in=used_in,
    )


def _serving(usage: Usage, entries: Iterable[Entry], now: datetime) -> Entry | None:
    """The period that serves now: whose limits were counted, or the one that runs."""
    by_limit = usage.limits[0].bucket if usage.limits else None
    return next((one for one in entries if (one.period.id == by_limit if by_limit else now in one.span)), None)


def _a_day(data: Data | None) -> int | None:
    """What may be used in a day at full speed, in bytes; None where no cap is one of a day."""
    daily = [
        limit for limit in (data.limits if data else ()) if limit.window in {"local_day", "day"} and not limit.days
    ]
    return min((limit.tiers[0].after_bytes for limit in daily), default=None)


# --- what is left -------------------------------------------------------------------------------------------------


def _ring(usage: Usage) -> Ring:
    if usage.left_bytes is None or usage.of_bytes is None:
        number, unit = _parts(usage.used_bytes)
        return Ring(gettext("Used in this period"), number, unit, gettext("no cap"))
    number, unit = _parts(usage.left_bytes)
    percent = round(100 * usage.left_bytes / usage.of_bytes, 1) if usage.of_bytes else 0.0
    rest = gettext("of %(total)s") % {"total": formats.volume(usage.of_bytes)}
    return Ring(gettext("Data left"), number, unit, rest, percent, low=percent < LOW)


def _parts(count: int) -> tuple[str, str]:
    if not count:
        return "0", "GB"
    number, unit = formats.volume(count).split("\N{NO-BREAK SPACE}")
    return number, unit


def _data_limits(usage: Usage) -> list[Burnt]:
    return [limit for limit in usage.limits if limit.name == "data"]


def _gauges(usage: Usage, data: Data, here: _Here) -> tuple[Gauge, ...]:
    """A bar for each limit; none for the data where the ring already says all."""
    limits = [limit for limit in usage.limits if limit.allowed and limit.name != "review"]
    if len(_data_limits(usage)) == 1:
        limits = [limit for limit in limits if limit.name != "data"]
    return tuple(_gauge(limit, data, here) for limit in limits)


def _pool_gauges(usage: Usage, whose: str, here: _Here) -> Iterable[Gauge]:
    """What is left of the data that is shared, and what this card has used of it."""
    pool = usage.pool
    if pool is None:
        return
    left, of = pool.strictest.left or 0, pool.strictest.allowed or 0
    label = gettext("Shared data of %(who)s") % {"who": whose} if whose else gettext("Shared with your family")
    says = gettext("%(left)s of %(of)s left") % {"left": formats.volume(left), "of": formats.volume(of)}
    used = gettext("This card has used %(volume)s of it.") % {"volume": formats.volume(pool.drawn_bytes)}
    until = gettext("It is there until %(at)s.") % {"at": here.at(pool.ends_at)}
    yield Gauge(label, says, left, of, f"{used} {until}")


def _gauge(limit: Burnt, data: Data, here: _Here) -> Gauge:
    left, of = limit.left or 0, limit.allowed or 0
    if limit.name == "voice":
        says = gettext("%(left)s of %(of)s minutes left") % {"left": left // 60, "of": of // 60}
    elif limit.name == "sms":
        says = gettext("%(left)s of %(of)s texts left") % {"left": left, "of": of}
    else:
        says = gettext("%(left)s of %(of)s left") % {"left": formats.volume(left), "of": formats.volume(of)}
    if limit.name == "data":
        window = data.limits[limit.number]
        return Gauge(_window_name(window), says, left, of, _resets(limit, window, here))
    names = {
        "hotspot": gettext("Hotspot"),
        "abroad": gettext("Abroad"),
        "voice": gettext("Calls"),
        "sms": gettext("Texts (SMS)"),
    }
    return Gauge(names[limit.name], says, left, of)


def _window_name(window: Window) -> str:
    match window.window:
        case "local_day":
            return gettext("Today")
        case "day" if window.days:
            return ngettext("This %(count)d day", "These %(count)d days", window.days) % {"count": window.days}
        case "day":
            return gettext("These 24 hours")
        case "calendar_month":
            return gettext("This month")
        case "sliding_days":
            days = window.days or 0
            return ngettext("The last %(count)d day", "The last %(count)d days", days) % {"count": days}
        case _:
            return gettext("This period")


def _first_reset(usage: Usage, data: Data | None, here: _Here) -> str:
    """When the limit of the ring begins anew."""
    of_data = _data_limits(usage)
    if not of_data or data is None:
        return ""
    strictest = min(of_data, key=lambda limit: limit.left or 0) if usage.as_of else of_data[0]
    return _resets(strictest, data.limits[strictest.number], here)


def _resets(limit: Burnt, window: Window, here: _Here) -> str:
    if window.window == "period":
        return gettext("Starts afresh with the next period only")
    if window.window == "sliding_days":
        return gettext("The oldest day drops out %(wait)s: %(at)s") % here.told(limit.window.ends_at)
    return gettext("Resets %(wait)s: %(at)s") % here.told(limit.window.ends_at)


# --- how fast -----------------------------------------------------------------------------------------------------


def _speed(
    usage: Usage, data: Data | None, serving: Entry | None, entries: Iterable[Entry], here: _Here
) -> SpeedNow | None:
    """How fast the card is now; None where nobody can know, because nobody told what was used."""
    speed = usage.speed
    if serving is None or data is None or speed.why == "no_period":
        return None
    if usage.as_of is None and data.limits and speed.why != "peak":
        return None
    if speed.kbps is None:
        then = _coming_peak(data, speed, here) if speed.until and speed.until < serving.span.ends_at else ""
        return SpeedNow(gettext("Full speed now"), "good", then=then)
    told = {"speed": formats.speed(speed.kbps)}
    if speed.why == "peak":
        says = gettext("Up to %(speed)s now: peak hours") % told
    else:
        says = gettext("Slowed to %(speed)s now") % told
    says, mood = (says, "warn") if speed.kbps else (gettext("Blocked: no data at the moment"), "bad")
    why = _why(usage, data) if speed.why == "cap" else ""
    if speed.why == "stay" and data.abroad.stay:
        days = data.abroad.stay.days
        why = ngettext(
            "It has been abroad for more than %(count)d day. Used at home once, it is fast again.",
            "It has been abroad for more than %(count)d days in a row. Used at home once, it is fast again.",
            days,
        ) % {"count": days}
    return SpeedNow(says, mood, why, _then(usage, data, serving, entries, here))


def _slowing(usage: Usage) -> Burnt | None:
    """The limit that slows most, and of equals the one that begins anew first."""
    slowed = [limit for limit in _data_limits(usage) if limit.step]
    return min(slowed, key=lambda limit: (limit.tiers[limit.step - 1].kbps, limit.window.ends_at), default=None)


def _why(usage: Usage, data: Data) -> str:
    limit = _slowing(usage)
    if limit is None:
        return ""
    window = data.limits[limit.number]
    told = {"volume": formats.volume(limit.tiers[limit.step - 1].after_bytes), "count": window.days}
    match window.window:
        case "local_day":
            return gettext("Today's %(volume)s are used up.") % told
        case "day" if window.days:
            return gettext("The %(volume)s of these %(count)d days are used up.") % told
        case "day":
            return gettext("The %(volume)s of these 24 hours are used up.") % told
        case "calendar_month":
            return gettext("This month's %(volume)s are used up.") % told
        case "sliding_days":
            return gettext("The %(volume)s for %(count)d days are used up.") % told
        case _:
            return gettext("The %(volume)s of this period are used up.") % told


def _then(usage: Usage, data: Data, serving: Entry, entries: Iterable[Entry], here: _Here) -> str:
    """What changes by itself next, if nothing more is used."""
    until = usage.speed.until
    if until is None:
        return ""
    told = here.told(until)
    if until >= serving.span.ends_at:
        following = next((one for one in entries if until in one.span), None)
        if following is None:
            return gettext("It stays so until this period ends %(wait)s: %(at)s.") % told
        data, limits = catalogue.policy(following.period.plan_version).quota.data, []
    else:
        slowing = _slowing(usage)
        if usage.speed.why == "cap" and slowing and data.limits[slowing.number].window == "sliding_days":
            return gettext("The oldest day drops out of the count %(wait)s: %(at)s.") % told
        limits = [limit for limit in _data_limits(usage) if limit.window.ends_at > until]
    return _from_then(metering_rules.speed_now(data, limits, until), told)


def _from_then(speed: Speed, told: dict[str, str]) -> str:
    if speed.kbps is None:
        return gettext("Full speed again %(wait)s: %(at)s.") % told
    if speed.kbps == 0:
        return gettext("From %(at)s, %(wait)s: no data.") % told
    return gettext("From %(at)s, %(wait)s: up to %(speed)s.") % {**told, "speed": formats.speed(speed.kbps)}


def _coming_peak(data: Data, speed: Speed, here: _Here) -> str:
    if data.peak is None or speed.until is None:
        return ""
    told = {**here.told(speed.until), "speed": formats.speed(data.peak.kbps)}
    return gettext("Peak hours from %(at)s, %(wait)s: up to %(speed)s.") % told
