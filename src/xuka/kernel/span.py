"""A stretch of time, half open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Span:
    """``[starts_at, ends_at)`` in aware times; never empty."""

    starts_at: datetime
    ends_at: datetime

    def __post_init__(self) -> None:
        assert self.starts_at.tzinfo is not None, "times are aware"
        assert self.ends_at.tzinfo is not None, "times are aware"
        assert self.starts_at < self.ends_at, "a span is never empty"

    def __contains__(self, moment: datetime) -> bool:
        return self.starts_at <= moment < self.ends_at

    @property
    def length(self) -> timedelta:
        return self.ends_at - self.starts_at
