"""Which reminders a card should have, when each is told, and when it stops being true. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from xuka.accounts.rules import Group, Told
from xuka.catalogue.rules import Period, Policy, State, instant_of
from xuka.kernel.span import Span
from xuka.lines.rules import Life, Lived, life_of

# What is due within this time is told with what is due now.
TOGETHER = timedelta(minutes=30)
# How long before quiet hours something is told that cannot wait for their end.
BEFORE_QUIET = timedelta(minutes=5)
# A carrier's end that lies nearer to one of ours is no difference.
TOLERANCE = timedelta(hours=1)
# How long the end, and a new start at full speed, are news.
ENDED_FOR, RESET_FOR = timedelta(days=3), timedelta(hours=12)
CARRIER_AHEAD = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a kind of reminder: its group, how urgent (0 first in a letter), and whether it cannot wait."""

    group: Group
    urgency: int
    is_urgent: bool = False


KINDS: dict[str, Kind] = {
    "used_100": Kind("usage", 0, is_urgent=True),
    "ends_3h": Kind("ending", 1, is_urgent=True),
    "ended": Kind("ending", 2),
    "autorenewal_refused": Kind("renewal", 3),
    "carrier_ends_early": Kind("ending", 4),
    "ends_1d": Kind("ending", 5),
    "number_lost": Kind("ending", 6),
    "card_stops": Kind("ending", 7),
    "slower": Kind("usage", 8),
    "autorenewal_soon": Kind("renewal", 9),
    "ends_3d": Kind("ending", 10),
    "used_95": Kind("usage", 11),
    "used_80": Kind("usage", 12),
    "autorenewal_charged": Kind("renewal", 13),
    "ends_7d": Kind("ending", 14),
    "used_50": Kind("usage", 15),
    "reset": Kind("usage", 16),
}
# Before the end of all that is booked: each is true until the next one is due, the last until the end.
AHEAD: tuple[tuple[str, timedelta, timedelta], ...] = (
    ("ends_7d", timedelta(days=7), timedelta(days=3)),
    ("ends_3d", timedelta(days=3), timedelta(days=1)),
    ("ends_1d", timedelta(days=1), timedelta(hours=3)),
    ("ends_3h", timedelta(hours=3), timedelta()),
)
# What follows from a card's time; what follows from its use; and what others announce.
OF_TIME = frozenset({*(kind for kind, _, _ in AHEAD), "ended", "carrier_ends_early", "number_lost", "card_stops"})
OF_USE = frozenset(kind for kind, known in KINDS.items() if known.group == "usage")
ANNOUNCED = frozenset(kind for kind, known in KINDS.items() if known.group == "renewal")


class Wanted(NamedTuple):
    """A reminder that should be there. One of a kind and cause is told at most once.

    ``not_after``: when it stops being true; None never does.
    """

    kind: str
    cause: str
    due_at: datetime
    not_after: datetime | None


# -- from a card's time --------------------------------------------------------------------------------------------


class Ending(NamedTuple):
    """Where a card's time ends, as far as reminders need it; see ``lines.queries.Ends``."""

    ends_at: datetime
    bought_at: datetime
    policy: Policy
    all: tuple[datetime, ...] = ()
    carrier_ends_at: datetime | None = None
    lived: Lived | None = None

    @property
    def life(self) -> Life:
        """How the card stood at its last purchase, and what becomes of it; see ``lines.rules.life_of``."""
        lived = self.lived or Lived(self.bought_at, self.ends_at)
        return life_of(self.policy.ending, lived, self.bought_at)

    @property
    def renewable_until(self) -> datetime | None:
        """Until when the card can be renewed after its end; None where the policy does not tell."""
        return self.life.renewable_until

    @property
    def number_goes_at(self) -> datetime | None:
        """When the card loses its number; None where the policy does not tell."""
        gone = next((at for at, state in self.life.ahead if state == "gone"), None)
        kept = self.policy.ending.number_kept
        return gone or (self.renewable_until if kept else None if kept is None else self.ends_at)

    @property
    def stops_at(self) -> tuple[datetime, State] | None:
        """When the card is first worse than merely over, before it is gone, and what it is then."""
        return next(((at, state) for at, state in self.life.ahead if state != "gone"), None)

    @property
    def carrier_ends_early(self) -> bool:
        """Whether the carrier ends an hour or more before us, and at none of our ends."""
        carrier = self.carrier_ends_at
        if carrier is None or self.ends_at - carrier < TOLERANCE:
            return False
        return all(abs(end - carrier) >= TOLERANCE for end in self.all)


def of_time(ending: Ending) -> tuple[Wanted, ...]:
    """What a card's time asks for. The cause names its end: a renewal, which moves that, asks for others."""
    return tuple(one for kind in _IN_ORDER for one in all_of_time(kind, ending))


def all_of_time(kind: str, ending: Ending) -> tuple[Wanted, ...]:
    """Every reminder of this kind that a card's time asks for: of what is lost there can be several warnings."""
    if kind == "number_lost":
        at = ending.number_goes_at
        return _warnings(kind, ending, at, _cause(ending.ends_at if ending.lived is None or at is None else at))
    if kind == "card_stops":
        at, state = ending.stops_at or (None, "")
        return _warnings(kind, ending, at, f"{_cause(at)}:{state}" if at else "")
    one = one_of_time(kind, ending)
    return (one,) if one else ()


def _warnings(kind: str, ending: Ending, at: datetime | None, cause: str) -> tuple[Wanted, ...]:
    """So many days before, as the policy says; each is true until the next, the last until it happens."""
    if at is None:
        return ()
    days = sorted(ending.policy.ending.warn_days, reverse=True)
    tells = [at - timedelta(days=one) for one in days]
    return tuple(
        Wanted(kind, cause + (f":{one}" if n else ""), tell, after)
        for n, (one, tell, after) in enumerate(zip(days, tells, [*tells[1:], at], strict=True))
        if tell > ending.bought_at
    )


def one_of_time(kind: str, ending: Ending) -> Wanted | None:
    """The reminder of this kind that a card's time asks for; None where it asks for none."""
    end = ending.ends_at
    if kind in _AHEAD:
        ahead, until = _AHEAD[kind]
        period = ending.policy.period
        if end - ahead <= ending.bought_at or (kind != "ends_3h" and _is_a_day(period)):
            return None
        return Wanted(kind, _cause(end), end - ahead, end - until)
    match kind:
        case "ended":
            return Wanted(kind, _cause(end), end, end + ENDED_FOR)
        case "carrier_ends_early" if ending.carrier_ends_at and ending.carrier_ends_early:
            carrier = ending.carrier_ends_at
            return Wanted(kind, f"carrier:{carrier.isoformat()}", carrier - CARRIER_AHEAD, carrier)
    return None


def _is_a_day(period: Period) -> bool:
    """Whether it lasts a day or less; asked by the thousand, so without ``days_of`` and its fractions."""
    return period.unit not in {"month", "calendar_month"} and period.length <= (24 if period.unit == "hour" else 1)


_IN_ORDER = (*(kind for kind, _, _ in AHEAD), "ended", "card_stops", "number_lost", "carrier_ends_early")
_AHEAD = {kind: (ahead, until) for kind, ahead, until in AHEAD}


def _cause(ends_at: datetime) -> str:
    return f"end:{ends_at.isoformat()}"


# -- from a card's use ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark that was passed: of which limit of which period, in which window."""

    period: UUID
    name: str
    number: int
    window: Span
    what: str
    noticed_at: datetime

    @property
    def cause(self) -> str:
        """The limit in its window, and the step of speed where that matters."""
        step = f":{self.what}" if self.what.startswith("tier:") else ""
        return f"{self.name}:{self.number}:{self.period}:{self.window.starts_at.isoformat()}{step}"


def of_use(marks: Iterable[Mark]) -> tuple[Wanted, ...]:
    """What the marks that were passed ask for; in one window only the furthest step of each sort is still to be told.

    The order of the marks does not matter.
    """
    best: dict[tuple[str, str], tuple[int, Wanted]] = {}
    for mark in marks:
        kind, rank = _kind_of(mark.what)
        if kind not in KINDS or mark.name == "review":  # a mark of automatic renewal alone, or for staff
            continue
        limit = f"{mark.name}:{mark.number}:{mark.period}:{mark.window.starts_at.isoformat()}"
        ends_at = mark.window.ends_at + (RESET_FOR if kind == "reset" else timedelta())
        wanted = Wanted(kind, mark.cause, mark.noticed_at, ends_at)
        key = (limit, "reset" if kind == "reset" else "use")
        if key not in best or rank > best[key][0]:
            best[key] = (rank, wanted)
    return tuple(sorted(wanted for _, wanted in best.values()))


def _kind_of(what: str) -> tuple[str, int]:
    if what.startswith("tier:"):
        return "slower", 1_000 + int(what.removeprefix("tier:"))
    return ("reset", 0) if what == "reset" else (f"used_{what}", int(what))


class Limit(NamedTuple):
    """One limit of a card as it stands now; ``allowed`` None is unlimited, ``kbps`` None is full speed."""

    name: str
    number: int
    period: UUID
    window: Span
    used: int
    allowed: int | None
    step: int
    kbps: int | None


def limit_meant(kind: str, cause: str, limits: Iterable[Limit]) -> Limit | None:
    """The limit that a reminder of use is about, when what it says is true now; None when it is not (any more).

    A further mark makes the ones before it untrue: "half is used" is not said of what is used up.
    """
    name, number, period, rest = cause.split(":", 3)
    starts_at, _, step = rest.partition(":tier:")
    begin = datetime.fromisoformat(starts_at)
    for limit in limits:
        if (limit.name, str(limit.number), str(limit.period)) != (name, number, period):
            continue
        if kind == "reset":
            return limit if limit.step == 0 and limit.window.starts_at > begin else None
        if limit.window.starts_at != begin:
            continue
        if kind == "slower":
            return limit if limit.step == int(step) else None
        return limit if limit.step <= 1 and _mark_now(limit) == int(kind.removeprefix("used_")) else None
    return None


def _mark_now(limit: Limit) -> int:
    if not limit.allowed:
        return 0
    return max((mark for mark in (50, 80, 95, 100) if limit.used * 100 >= limit.allowed * mark), default=0)


# -- when it is told -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of every day in which a customer is left alone, on the clock of ``zone``; they may pass midnight."""

    begins: time
    ends: time
    zone: str
    urgent_at_night: bool = True


@lru_cache(maxsize=8_192)
def quiet_of(told: Told, zone: str) -> Quiet | None:
    """The quiet hours that a customer chose; None for none."""
    if told.quiet_from == told.quiet_to:
        return None
    return Quiet(told.quiet_from, told.quiet_to, zone, told.urgent_at_night)


@lru_cache(maxsize=8_192)
def quiet_at(quiet: Quiet, moment: datetime) -> Span | None:
    """The quiet hours that contain this moment; None outside of them."""
    today = moment.astimezone(ZoneInfo(quiet.zone)).date()
    for first in (today - timedelta(days=1), today, today + timedelta(days=1)):
        last = first + timedelta(days=quiet.ends <= quiet.begins)
        begins, ends = _at(first, quiet.begins, quiet.zone), _at(last, quiet.ends, quiet.zone)
        if begins <= moment < ends:
            return Span(begins, ends)
    return None


@lru_cache(maxsize=8_192)
def _at(day: date, at: time, zone: str) -> datetime:
    return instant_of(datetime.combine(day, at), zone)


def tell_at(wanted: Wanted, quiet: Quiet | None, *, now: datetime) -> datetime | None:
    """When to tell it, from now on; None when that can be no more.

    What falls into quiet hours waits for their end. What would not be true then is told before they begin. What
    cannot wait is told at once, if the customer allows that at night.
    """
    moment = max(wanted.due_at, now)
    if wanted.not_after is not None and moment >= wanted.not_after:
        return None
    hours = quiet_at(quiet, moment) if quiet else None
    if hours is None or quiet is None or (KINDS[wanted.kind].is_urgent and quiet.urgent_at_night):
        return moment
    if wanted.not_after is None or hours.ends_at < wanted.not_after:
        return hours.ends_at
    early = hours.starts_at - BEFORE_QUIET
    is_quiet_too = quiet_at(quiet, early) is not None
    return early if early >= now and not is_quiet_too else None


def words_hold_for(kind: str, left: timedelta) -> timedelta | None:
    """For how long words written now stay right: "in 3 hours" is wrong an hour later. None: as long as it is true.

    Args:
        left: the time until the card ends.
    """
    if kind in _TELLS_LEFT:
        if left >= timedelta(hours=36):
            return timedelta(hours=12)
        return timedelta(hours=1) if left >= timedelta(hours=6) else timedelta(minutes=min(30, left // _TENTH))
    return timedelta(hours=3) if kind in _TELLS_VOLUME else None


_TELLS_LEFT = frozenset(kind for kind, _, _ in AHEAD)
_TELLS_VOLUME = frozenset({"used_50", "used_80", "used_95"})
_TENTH = timedelta(minutes=10)


def most_urgent_first(kinds: Sequence[str]) -> list[int]:
    """The places of these kinds in the order in which a letter tells them."""
    return sorted(range(len(kinds)), key=lambda at: (KINDS[kinds[at]].urgency, at))


def moved(wanted: Wanted, due_at: datetime) -> Wanted:
    """The same, due at another time."""
    return Wanted(wanted.kind, wanted.cause, due_at, wanted.not_after)
