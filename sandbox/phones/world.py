"""The phones there are, and until when each has told what it used. No HTTP server here."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from sandbox.phones.mischief import GOOD, LATEST, Mischief, batches, due
from sandbox.phones.profiles import PROFILES
from sandbox.phones.use import Cap, Phone, Used

# What has not been sent for long is sent in steps, as it would have come; after many days the steps are days.
STEP, LONG_STEP = timedelta(hours=6), timedelta(days=1)
# When there is nothing to tell, that is told now and then: until when everything is known.
SILENCE = timedelta(minutes=1)
# Where the stand-in carrier's cards live, by operator; the others as the first.
HOMES: Mapping[str, tuple[str, str]] = {
    "belsim": ("Europe/Brussels", "206-01"),
    "nihonsim": ("Asia/Tokyo", "440-10"),
    "formosim": ("Asia/Taipei", "466-92"),
}


class BadWish(ValueError):
    """What was asked for cannot be; the words say why."""


class Way(Protocol):
    """Where batches go."""

    def send(self, records: Iterable[Used], *, now: datetime, known_until: datetime | None) -> None:
        """Returns once the batch was taken; raises when it was not."""
        ...


@dataclass(slots=True)
class Kept:
    """A phone, and the end of what it has told."""

    phone: Phone
    sent_until: datetime


class World:
    """Phones that use data. Every method is one step that cannot be seen half done.

    Args:
        now: the clock, aware UTC.
        seed: of every phone's life.
        keep: a JSON file that holds the state between runs; None for memory only.
    """

    def __init__(self, *, now: Callable[[], datetime], seed: int = 0, keep: Path | None = None) -> None:
        self.now, self.how = now, GOOD
        self._seed, self._keep, self._lock = seed, keep, threading.RLock()
        self._told_at: datetime | None = None
        self.phones: dict[str, Kept] = {}
        if keep and keep.exists():
            self.phones = {told["iccid"]: _restored(told) for told in json.loads(keep.read_text())["phones"]}

    # -- who there is ----------------------------------------------------------------------------------------

    def add(
        self,
        iccid: str,
        *,
        profile: str = "ordinary",
        zone: str = "",
        home: str = "",
        since: datetime | None = None,
        then: str = "",
        served: tuple[tuple[datetime, datetime], ...] | None = None,
        cap: Cap | None = None,
        talks: bool = False,
    ) -> Phone:
        """A card in a phone; of one that is known, only the habits change, and only from now on.

        Args:
            since: when it began to use data, now when left out; ``then`` is its profile from now on.
        """
        for name in (profile, then):
            if name and name not in PROFILES:
                raise BadWish(f"There is no profile {name!r}; there are {', '.join(PROFILES)}.")
        with self._lock:
            now, there = self.now(), self.phones.get(iccid)
            if there:
                habit = then or profile
                if there.phone.profile_at(now) != habit:
                    there.phone = replace(there.phone, habits=(*there.phone.habits, (now, habit)))
            else:
                begins = min(since or now, now)
                habits = ((begins, profile), *(((now, then),) if then else ()))
                phone = Phone(
                    iccid, habits, zone=zone or "Europe/Brussels", home=home or "206-01", seed=self._seed,
                    served=served, cap=cap, talks=talks,
                )  # fmt: skip
                self.phones[iccid] = Kept(phone, max(begins, now - LATEST))
            self._save()
            return self.phones[iccid].phone

    def slow(self, iccid: str, kbps: int | None) -> Phone:
        """From now on the card has no more than so many kbps; None is full speed, 0 is blocked."""
        with self._lock:
            there = self.phones.get(iccid)
            if there is None:
                raise BadWish(f"No phone has the card {iccid}.")
            there.phone = replace(there.phone, speeds=(*there.phone.speeds, (self.now(), kbps)))
            self._save()
            return there.phone

    def follow(self, sims: Iterable[Mapping[str, Any]]) -> None:
        """Told the stand-in carrier's cards: one with something on it is in a phone, for as long as that lasts."""
        with self._lock:
            for sim in sims:
                served = tuple((_utc(one["activated_at"]), _utc(one["expired_at"])) for one in sim["history"])
                there = self.phones.get(sim["iccid"])
                if there and served and served != there.phone.served:
                    there.phone = replace(there.phone, served=served)
                elif not there and served:
                    zone, home = HOMES.get(sim["operator"], HOMES["belsim"])
                    self.add(sim["iccid"], zone=zone, home=home, since=served[0][0], served=served)

    # -- what they tell --------------------------------------------------------------------------------------

    def send(self, way: Way) -> int:
        """Send what was used since it was last sent, step by step; returns how many records went.

        Raises what the way raises; what went before stays sent, the rest goes the next time.
        """
        total = 0
        while True:
            with self._lock:
                now, how = self.now(), self.how
                if not self.phones:
                    return total
                begin = min(kept.sent_until for kept in self.phones.values())
                until = min(now, begin + (LONG_STEP if now - begin > 3 * LONG_STEP else STEP))
                coming = [
                    (kept.phone.iccid, record)
                    for kept in self.phones.values()
                    if kept.sent_until < until
                    for record in due(kept.phone, kept.sent_until, until, how)
                ]
            records = [record for _, record in sorted(coming, key=lambda told: told[1].ended_at)]
            self._hand_over(way, records, until, how, is_last=until >= now)
            total += len(records)
            with self._lock:
                for kept in self.phones.values():
                    kept.sent_until = max(kept.sent_until, until)
                self._save()
            if until >= now:
                return total

    def _hand_over(self, way: Way, records: list[Used], until: datetime, how: Mischief, *, is_last: bool) -> None:
        known = None if how.keeps_back else until
        groups = batches(records, how)
        for number, batch in enumerate(groups, start=1):
            way.send(batch, now=self.now(), known_until=known if number == len(groups) else None)
        if groups:
            self._told_at = until
        elif known and is_last and (self._told_at is None or until >= self._told_at + SILENCE):
            way.send((), now=self.now(), known_until=known)
            self._told_at = until

    def told(self) -> list[dict[str, Any]]:
        """Every phone, for reading."""
        with self._lock:
            now = self.now()
            return [_told(kept, now) for kept in self.phones.values()]

    def _save(self) -> None:
        if self._keep:
            half = self._keep.with_suffix(".part")
            half.write_text(json.dumps({"phones": [_kept(kept) for kept in self.phones.values()]}))
            half.replace(self._keep)


def _told(kept: Kept, now: datetime) -> dict[str, Any]:
    phone = kept.phone
    return {
        "iccid": phone.iccid,
        "profile": phone.profile_at(now),
        "zone": phone.zone,
        "network": phone.home,
        "kbps": phone.kbps_at(now),
        "is_served": phone.is_served(now),
        "sent_until": kept.sent_until.isoformat(),
    }


def _kept(kept: Kept) -> dict[str, Any]:
    phone = kept.phone
    return {
        "iccid": phone.iccid,
        "sent_until": kept.sent_until.isoformat(),
        "habits": [[at.isoformat(), name] for at, name in phone.habits],
        "speeds": [[at.isoformat(), kbps] for at, kbps in phone.speeds],
        "served": phone.served and [[begin.isoformat(), end.isoformat()] for begin, end in phone.served],
        "zone": phone.zone,
        "home": phone.home,
        "seed": phone.seed,
        "cap": asdict(phone.cap) if phone.cap else None,
        "talks": phone.talks,
    }


def _restored(told: Mapping[str, Any]) -> Kept:
    served = told["served"]
    phone = Phone(
        told["iccid"],
        habits=tuple((_at(at), name) for at, name in told["habits"]),
        speeds=tuple((_at(at), kbps) for at, kbps in told["speeds"]),
        served=None if served is None else tuple((_at(begin), _at(end)) for begin, end in served),
        cap=Cap(**told["cap"]) if told["cap"] else None,
        zone=told["zone"],
        home=told["home"],
        seed=told["seed"],
        talks=told["talks"],
    )
    return Kept(phone, _at(told["sent_until"]))


def _at(told: str) -> datetime:
    return datetime.fromisoformat(told)


def _utc(stamp: str) -> datetime:
    """As the stand-in carrier writes times: UTC without a zone."""
    return datetime.fromisoformat(stamp).replace(tzinfo=UTC)
