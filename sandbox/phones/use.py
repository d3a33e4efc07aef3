"""What a phone uses: the same records for the same phone and span, in whatever pieces one asks. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from operator import itemgetter
from random import Random
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from sandbox.phones.profiles import (
    ABROAD,
    APPS,
    ELSEWHERE,
    HOTSPOT,
    PROFILES,
    WEEKDAY,
    WEEKEND,
    WEEKEND_FACTOR,
    App,
    Profile,
)

# Networks cut long sessions into records; none here is longer.
LONGEST = timedelta(minutes=10)
# 40 Mbit/s: what a session's bytes need at least.
BYTES_A_SECOND = 5_000_000
TRIP_EVERY_DAYS, TRIP_DAYS = 14, (2, 6)
_Told = TypeVar("_Told")
_HOURS = range(24)
_EVERY_HOUR = tuple(range(1, 25))


class Used(NamedTuple):
    """A usage record, as a network tells it; ``record_id`` is made of the card and the start, never of the clock."""

    record_id: str
    iccid: str
    started_at: datetime
    ended_at: datetime
    up_bytes: int
    down_bytes: int
    network: str
    is_abroad: bool
    is_hotspot: bool
    voice_seconds: int
    sms: int
    revision: int


@dataclass(frozen=True, slots=True)
class Cap:
    """The network slows a card down once it has used so much in a day of its zone; at 0 kbps it blocks it."""

    bytes: int
    kbps: int


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone with a card in it. What is said "since" a moment leaves everything before as it was.

    Args:
        iccid: of the card.
        habits: since when which profile, in order of time; nothing is used before the first.
        zone: where its mornings and evenings are.
        home: MCC-MNC of its own network.
        seed: another one makes another life.
        served: when the card is entitled to data; None is always.
        speeds: since when the card is slowed to so many kbps; None is full speed, 0 is blocked.
        cap: of a day.
        talks: whether it calls and texts.
    """

    iccid: str
    habits: tuple[tuple[datetime, str], ...]
    zone: str = "Europe/Brussels"
    home: str = "206-01"
    seed: int = 0
    served: tuple[tuple[datetime, datetime], ...] | None = None
    speeds: tuple[tuple[datetime, int | None], ...] = field(default=())
    cap: Cap | None = None
    talks: bool = False

    def profile_at(self, at: datetime) -> str | None:
        """The name of the profile then; None before there was any."""
        return _last(self.habits, at)

    def kbps_at(self, at: datetime) -> int | None:
        """The speed the card was slowed to then; None is full speed."""
        return _last(self.speeds, at)

    def is_served(self, at: datetime) -> bool:
        """Whether the card had data then."""
        return self.served is None or any(begin <= at < end for begin, end in self.served)


def _last(since: tuple[tuple[datetime, _Told], ...], at: datetime) -> _Told | None:
    place = bisect_right(since, at, key=lambda told: told[0])
    return since[place - 1][1] if place else None


def used(phone: Phone, begin: datetime, end: datetime) -> list[Used]:
    """Every record that ends in [begin, end), in order of their ends: spans that tile give records that tile."""
    zone = ZoneInfo(phone.zone)
    day, last = (begin - LONGEST).astimezone(zone).date(), end.astimezone(zone).date()
    found: list[Used] = []
    while day <= last:
        found += [record for record in _day(phone, day) if begin <= record[3] < end]
        day += timedelta(days=1)
    return sorted(found, key=itemgetter(3, 0))


@lru_cache(maxsize=2_000)
def _day(phone: Phone, day: date) -> tuple[Used, ...]:
    """What the phone really used in the sessions that begin on this day of its zone, in order of their starts."""
    if not phone.habits:
        return ()
    names = {name for since, name in phone.habits if since.astimezone(ZoneInfo(phone.zone)).date() <= day}
    wished = sorted(
        record
        for name in names
        for record in _wished(phone.iccid, phone.seed, phone.zone, phone.home, phone.talks, name, day)
        if len(phone.habits) == 1 or phone.profile_at(record.started_at) == name
    )
    first = phone.habits[0][0]
    there = [record for record in wished if record.started_at >= first and phone.is_served(record.started_at)]
    return tuple(_slowed(phone, there)) if phone.cap or phone.speeds else tuple(there)


def _slowed(phone: Phone, records: Iterable[Used]) -> Iterator[Used]:
    """The records of a day, at the speeds the card had; what is blocked does not happen."""
    total = 0
    for record in records:
        kbps = phone.kbps_at(record.started_at)
        if phone.cap and total >= phone.cap.bytes:
            kbps = phone.cap.kbps if kbps is None else min(kbps, phone.cap.kbps)
        volume = record.up_bytes + record.down_bytes
        if kbps is not None and volume:
            most = int((record.ended_at - record.started_at).total_seconds() * kbps * 125)
            if not most:
                continue
            if most < volume:
                up = record.up_bytes * most // volume
                record = record._replace(up_bytes=up, down_bytes=most - up)
                volume = most
        total += volume
        yield record


@lru_cache(maxsize=2_000)
def _wished(iccid: str, seed: int, zone: str, home: str, talks: bool, name: str, day: date) -> tuple[Used, ...]:
    """What somebody with these habits would use on this day, if nothing held him back."""
    profile, chance = PROFILES[name], Random(f"{seed}/{iccid}/{name}/{day}")  # noqa: S311 - repeating is the point
    if chance.random() < profile.silent:
        return ()
    begins, ends = (datetime.combine(day + timedelta(days=n), time(), ZoneInfo(zone)).astimezone(UTC) for n in (0, 1))
    is_weekend = day.weekday() >= 5
    network = _network(profile, iccid, seed, home, day)
    wanted = profile.day_bytes * chance.lognormvariate(0, profile.spread) * (WEEKEND_FACTOR if is_weekend else 1)
    drafts = list(_drafts(profile, chance, WEEKEND if is_weekend else WEEKDAY))
    scale = wanted / sum(weight for _, _, weight in drafts) if drafts else 0
    # Days on which clocks change are shorter or longer, and none of their sessions leaves them.
    stretch, taken = (ends - begins).total_seconds() / 86_400, set[int]()
    where = (network, network[:3] != home[:3])
    records = [
        _record(iccid, begins, _free(int(second * stretch * 1000), taken), app, weight * scale, chance, where)
        for app, second, weight in drafts
    ]
    return tuple(records + list(_talks(iccid, begins, stretch, taken, profile, chance, where) if talks else ()))


def _drafts(profile: Profile, chance: Random, hours: tuple[int, ...]) -> Iterator[tuple[App, float, float]]:
    """The day's sessions: the app, the second of the day at which it begins, and its weight among all bytes."""
    for app in (*APPS, HOTSPOT):
        often = profile.hotspots if app is HOTSPOT else app.sessions * profile.busy
        number = _about(often, chance)
        weight = app.share / (1 if app is HOTSPOT else app.sessions * profile.busy)
        for hour in chance.choices(_HOURS, cum_weights=_EVERY_HOUR if app.by_itself else hours, k=number):
            yield app, (hour + chance.random()) * 3600, weight * (0.3 + 1.4 * chance.random())


def _about(often: float, chance: Random) -> int:
    return int(often * chance.uniform(0.75, 1.25) + chance.random())


def _free(millisecond: int, taken: set[int]) -> int:
    """This millisecond of the day, or the next in which no other session begins."""
    while millisecond in taken:
        millisecond += 1
    taken.add(millisecond)
    return millisecond


def _record(
    iccid: str, begins: datetime, at: int, app: App, volume: float, chance: Random, where: tuple[str, bool]
) -> Used:
    seconds = max(app.seconds * (0.3 + 1.4 * chance.random()), volume / BYTES_A_SECOND, 1)
    start = begins + timedelta(milliseconds=at)
    end = start + timedelta(milliseconds=int(min(seconds, 600) * 1000))
    up = int(volume * app.up)
    return Used(
        f"{iccid}-{_stamp(start)}", iccid, start, end, up, int(volume) - up, *where, app is HOTSPOT, 0, 0, 0
    )  # fmt: skip


def _talks(
    iccid: str,
    begins: datetime,
    stretch: float,
    taken: set[int],
    profile: Profile,
    chance: Random,
    where: tuple[str, bool],
) -> Iterator[Used]:
    for number, is_call in ((_about(profile.calls, chance), True), (_about(profile.texts, chance), False)):
        for hour in chance.choices(_HOURS, cum_weights=WEEKEND, k=number):
            at = _free(int((hour + chance.random()) * 3_600_000 * stretch), taken)
            start = begins + timedelta(milliseconds=at)
            seconds = min(int(chance.expovariate(1 / 120)) + 5, 600) if is_call else 0
            end = start + timedelta(seconds=seconds or 1)
            id = f"{iccid}-{_stamp(start)}"
            yield Used(id, iccid, start, end, 0, 0, *where, False, seconds, 0 if is_call else 1, 0)


def _stamp(at: datetime) -> str:
    return f"{int(at.timestamp() * 1000):x}"


def _network(profile: Profile, iccid: str, seed: int, home: str, day: date) -> str:
    """The network that serves the phone on this day: its own, or one where it travels."""
    block, place = divmod(day.toordinal(), TRIP_EVERY_DAYS)
    trip = Random(f"{seed}/{iccid}/trip/{block}")  # noqa: S311
    length = trip.randint(*TRIP_DAYS)
    begins = trip.randint(0, TRIP_EVERY_DAYS - length)
    network = trip.choice([there for there in ABROAD.get(home[:3], ELSEWHERE) if there[:3] != home[:3]])
    is_away = profile.abroad == "always" or (profile.abroad == "trips" and begins <= place < begins + length)
    return network if is_away else home
