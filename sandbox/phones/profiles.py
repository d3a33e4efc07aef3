"""How people use their phones: which apps, how much, at which hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

MB = 10**6


@dataclass(frozen=True, slots=True)
class App:
    """What one kind of app does in a day of ordinary use.

    Args:
        sessions: how many, on average.
        share: of the day's bytes, all of them together.
        seconds: how long one lasts, on average.
        up: the share of its bytes that goes up.
        by_itself: at any hour, day and night.
    """

    name: str
    sessions: float
    share: float
    seconds: int
    up: float
    by_itself: bool = False


APPS = (
    App("messaging", 40, 0.06, 60, 0.35),
    App("maps", 5, 0.04, 300, 0.08),
    App("video", 9, 0.50, 420, 0.03),
    App("social", 18, 0.27, 240, 0.12),
    App("browsing", 16, 0.11, 150, 0.08),
    App("background", 24, 0.02, 30, 0.40, by_itself=True),
)
HOTSPOT = App("hotspot", 1, 0.10, 500, 0.10)


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of user.

    Args:
        day_bytes: an ordinary weekday's.
        spread: how far days differ (the sigma of a log-normal factor).
        busy: how many sessions, against ordinary use.
        silent: the chance of a day without any use.
        hotspots: sessions a day in which others use this phone's connection.
        abroad: never, on trips of some days, or always.
        calls, texts: a day, where the phone talks at all.
    """

    day_bytes: int
    spread: float = 0.3
    busy: float = 1.0
    silent: float = 0.0
    hotspots: float = 0.0
    abroad: Literal["never", "trips", "always"] = "never"
    calls: float = 0.0
    texts: float = 0.0


PROFILES: Mapping[str, Profile] = {
    "silent": Profile(0, silent=1.0),
    "light": Profile(150 * MB, spread=0.6, busy=0.4, silent=0.15, calls=0.5, texts=0.5),
    "ordinary": Profile(850 * MB, silent=0.01, hotspots=0.2, calls=2, texts=1.5),
    # Uses 3 GB of a day up by the evening.
    "heavy": Profile(6_200 * MB, spread=0.08, busy=1.8, hotspots=1.2, calls=4, texts=3),
    "traveller": Profile(1_100 * MB, spread=0.4, silent=0.03, hotspots=0.6, abroad="trips", calls=2, texts=2),
    "abroad": Profile(1_100 * MB, spread=0.3, hotspots=0.4, abroad="always", calls=2, texts=2),
}

# How much is used in each hour of the phone's day: up and off to work, lunch, the long evening.
WEEKDAY = tuple(
    accumulate((8, 3, 2, 1, 1, 4, 22, 44, 42, 24, 20, 22, 38, 32, 22, 24, 34, 56, 84, 100, 112, 112, 80, 32))
)
WEEKEND = tuple(
    accumulate((18, 10, 5, 3, 2, 2, 5, 10, 22, 36, 42, 42, 44, 42, 44, 46, 52, 62, 84, 100, 112, 112, 86, 44))
)
WEEKEND_FACTOR = 1.15

# Where trips go: a network in each of the countries around. One with the card's own country code is left out.
ABROAD: Mapping[str, tuple[str, ...]] = {
    "206": ("208-01", "262-01", "204-04", "270-01"),
    "440": ("450-05", "466-92", "454-00", "525-01"),
    "466": ("440-10", "450-05", "454-00", "525-01"),
}
ELSEWHERE = ("208-01", "262-01", "234-15", "450-05")
