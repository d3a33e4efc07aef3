"""Choosing a plan: what a renewal changes, which choice reaches a date, what to know before. Facts in, words out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

# The bar of a renewal is drawn in a box this wide.
BAR = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """The time before and after a renewal: ``now_until`` is None when nothing runs; the bar's two parts lie in BAR."""

    now_until: datetime | None
    then_until: datetime
    old: int
    new: int


def change(*, starts_at: datetime, ends_at: datetime, starts_on_activation: bool, now: datetime) -> Change:
    """What this renewal does to the card's time, seen from ``now``; what has passed is not drawn."""
    if starts_on_activation:
        return Change(None, ends_at, 0, BAR)
    left, whole = max(starts_at - now, timedelta()), max(ends_at - now, ends_at - starts_at)
    old = round(BAR * (left / whole)) if whole else 0
    return Change(starts_at, ends_at, old, BAR - old)
