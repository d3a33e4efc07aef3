"""What became of something asked of the outside world: done, refused, or nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

T = TypeVar("T", covariant=True)


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """It happened; ``value`` is the proof."""

    value: T


@dataclass(frozen=True, slots=True)
class Refused:
    """It surely did not happen.

    Args:
        reason: a word of the contract that was asked (for carriers ``activation.contract.Reason``).
        retry_after: not None when asking again later can succeed: wait at least this long.
        detail: the other side's own words, for staff only; free of personal data.
    """

    reason: str
    retry_after: timedelta | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have happened. Look before asking again.

    Args:
        why: what was seen instead of an answer ("timed out after 20 s", "status 502"), for staff.
    """

    why: str


Outcome = Done[T] | Refused | Unknown
