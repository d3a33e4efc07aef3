"""The ways in which the outside world can fail, told to happen by hand or by a seeded chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

# What can go wrong, and how. Those in ACTS do the work all the same, so the caller cannot know.
KINDS: Mapping[str, str] = {
    "timeout_before": "no answer, nothing done",
    "timeout_after": "done, but no answer",
    "error_before": "status 5xx, nothing done",
    "error_after": "done, but status 5xx",
    "drop_before": "the connection breaks, nothing done",
    "drop_after": "done, but the connection breaks",
    "garbage_before": "status 200 with a body that is not JSON, nothing done",
    "garbage_after": "done, but status 200 with a body that is not JSON",
    "slow_drip": "done, but the answer comes a byte at a time",
    "duplicate": "done twice, answered once",
    "delay": "done, answered late but in time",
    "rate_limited": "429 with Retry-After",
    "insufficient_credit": "error 11",
    "maintenance": "error 13",
    "bad_checksum": "error 14",
    "topup_disabled": "error 23",
    "out_of_stock": "error 33: try again later",
    "package_gone": "error 34",
    "bad_request": "error 43",
    "unexpected_before": "error 53, nothing done",
    "unexpected_after": "done, but error 53",
    "recycled": "error 73",
    "not_allowed": "status 403, error 89",
    "old_token": "status 401, as for a token that has run out",
}

ACTS = frozenset(
    {
        "timeout_after",
        "error_after",
        "drop_after",
        "garbage_after",
        "slow_drip",
        "duplicate",
        "delay",
        "unexpected_after",
    }
)

CODES: Mapping[str, int] = {
    "insufficient_credit": 11,
    "maintenance": 13,
    "bad_checksum": 14,
    "topup_disabled": 23,
    "out_of_stock": 33,
    "package_gone": 34,
    "bad_request": 43,
    "unexpected_before": 53,
    "unexpected_after": 53,
    "recycled": 73,
    "not_allowed": 89,
}

ENDPOINTS = (
    "token",
    "packages",
    "submit_order",
    "submit_topup",
    "topups",
    "history",
    "usage",
    "sim",
    "order_list",
    "order",
    "balance",
)


class BadFault(ValueError):
    """The fault asked for does not exist."""


@dataclass(slots=True)
class Fault:
    """One fault that waits to happen.

    Args:
        kind: one of ``KINDS``.
        endpoint: one of ``ENDPOINTS``, or "*" for every one but the token's.
        times: how often it still happens; None for ever.
        probability: the chance that it happens at a call that it fits, 0 to 1.
        seconds: how long a time-out stays silent, a delay waits, a drip takes altogether.
        retry_after: seconds, for ``rate_limited``.
        status: for ``error_before`` and ``error_after``.
    """

    kind: str
    endpoint: str = "submit_topup"
    times: int | None = 1
    probability: float = 1.0
    seconds: float = 60.0
    retry_after: int = 30
    status: int = 503

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadFault(f"There is no fault named {self.kind!r}; there are {', '.join(KINDS)}.")
        if self.endpoint != "*" and self.endpoint not in ENDPOINTS:
            raise BadFault(f"There is no endpoint named {self.endpoint!r}; there are *, {', '.join(ENDPOINTS)}.")
        if self.times is not None and self.times < 1:
            raise BadFault("A fault happens at least once.")
        if not 0 < self.probability <= 1:
            raise BadFault("A probability lies above 0 and is at most 1.")
        if not 500 <= self.status <= 599:
            raise BadFault("A fault's status is 500 to 599.")
        if self.kind == "delay" and self.seconds == 60.0:
            self.seconds = 2.0  # late, but well within anybody's deadline

    @property
    def acts(self) -> bool:
        return self.kind in ACTS

    def fits(self, endpoint: str) -> bool:
        return self.endpoint == endpoint or (self.endpoint == "*" and endpoint != "token")


@dataclass(slots=True)
class Faults:
    """All that wait to happen, oldest first. ``happened`` counts them by kind."""

    chance: Random
    waiting: list[Fault] = field(default_factory=list)
    happened: dict[str, int] = field(default_factory=dict)

    def set(self, wanted: list[dict[str, Any]]) -> None:
        """Replace all that wait. Calling it again with the same changes nothing but their counts."""
        try:
            self.waiting = [Fault(**one) for one in wanted]
        except TypeError as error:
            raise BadFault(str(error)) from error

    def next_for(self, endpoint: str) -> Fault | None:
        """The fault that happens at this call, if any; uses one of its times."""
        for fault in self.waiting:
            if fault.fits(endpoint) and (fault.probability == 1 or self.chance.random() < fault.probability):
                return self._use(fault)
        return None

    def _use(self, fault: Fault) -> Fault:
        if fault.times is not None:
            fault.times -= 1
            if not fault.times:
                self.waiting.remove(fault)
        self.happened[fault.kind] = self.happened.get(fault.kind, 0) + 1
        return fault

    def told(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "waiting": [asdict(fault) for fault in self.waiting],
            "happened": self.happened,
            "kinds": dict(KINDS),
            "endpoints": list(ENDPOINTS),
        }
