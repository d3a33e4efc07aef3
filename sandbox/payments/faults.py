"""The ways in which the payment provider can fail, told to happen by hand or by a seeded chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

API = (
    "session_create",
    "session_get",
    "session_list",
    "session_update",
    "session_expire",
    "intent_create",
    "intent_get",
    "intent_list",
    "intent_confirm",
    "intent_cancel",
    "refund_create",
    "refund_get",
    "refund_list",
    "customer_create",
    "customer_get",
    "customer_list",
    "method_get",
    "method_list",
    "method_detach",
    "charge_get",
    "balance_list",
    "event_get",
    "event_list",
)

# What happens to a call of the API, whatever it is about.
WIRE: Mapping[str, str] = {
    "timeout_before": "no answer, nothing done",
    "timeout_after": "done, but no answer",
    "error_before": "status 5xx, nothing done",
    "error_after": "done, but status 5xx",
    "drop_before": "the connection breaks, nothing done",
    "drop_after": "done, but the connection breaks",
    "garbage_after": "done, but status 200 with a body that is not JSON",
    "delay": "done, answered late but in time",
    "rate_limited": "429, nothing done",
}

# What happens to the money, and where it can.
MONEY: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "wrong_amount": ("less is captured than was asked", ("pay", "intent_create", "intent_confirm")),
    "wrong_currency": ("captured in another currency", ("pay", "intent_create", "intent_confirm")),
    "decline_saved": ("a saved method is declined", ("intent_create", "intent_confirm")),
    "saved_needs_3ds": ("the owner of a saved method is asked to confirm", ("intent_create", "intent_confirm")),
    "refund_pending": ("the refund stays pending", ("refund_create",)),
    "refund_fails": ("the refund fails at once", ("refund_create",)),
    "refund_fails_later": ("the refund succeeds, and fails after `seconds` or when told to", ("refund_create",)),
}

# What happens to an event on its way to the shop; the endpoint is its type, or "*".
HOOKS: Mapping[str, str] = {
    "duplicated": "sent twice",
    "delayed": "sent `seconds` later",
    "reordered": "sent before those that waited already",
    "lost": "never sent",
    "forged": "sent with a signature made with another secret",
    "stale": "sent with a signature one hour old",
    "early": "sent before the call that caused it is answered",
}

KINDS: Mapping[str, str] = {**WIRE, **{kind: text for kind, (text, _) in MONEY.items()}, **HOOKS}

EVENTS = (
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
)

SECONDS: Mapping[str, float] = {"delay": 2, "delayed": 3600, "timeout_before": 90, "timeout_after": 90}


class BadFault(ValueError):
    """The fault asked for does not exist."""


@dataclass(slots=True)
class Fault:
    """One fault that waits to happen.

    Args:
        kind: one of ``KINDS``.
        endpoint: where it happens: one of ``API``, "pay" for the buyer's page, an event's type, or "*" for all that
            the kind can happen to.
        times: how often it still happens; None for ever.
        probability: the chance that it happens at a call that it fits, 0 to 1.
        seconds: how long a time-out stays silent, a delay waits, and until a refund fails later (None: when told to).
        status: for ``error_before`` and ``error_after``. 500 is the provider's own and kept with the idempotency
            key; 502 to 504 come from a proxy in front of it, which keeps nothing.
    """

    kind: str
    endpoint: str = "*"
    times: int | None = 1
    probability: float = 1.0
    seconds: float | None = None
    status: int = 500

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadFault(f"There is no fault named {self.kind!r}; there are {', '.join(KINDS)}.")
        if self.endpoint != "*" and self.endpoint not in places(self.kind):
            raise BadFault(f"{self.kind} happens at {', '.join(places(self.kind))}, not at {self.endpoint!r}.")
        if self.times is not None and self.times < 1:
            raise BadFault("A fault happens at least once.")
        if not 0 < self.probability <= 1:
            raise BadFault("A probability lies above 0 and is at most 1.")
        if not 500 <= self.status <= 599:
            raise BadFault("A fault's status is 500 to 599.")
        if self.seconds is None:
            self.seconds = SECONDS.get(self.kind)

    def fits(self, endpoint: str) -> bool:
        return self.endpoint in ("*", endpoint) and endpoint in places(self.kind)


def places(kind: str) -> tuple[str, ...]:
    """Every endpoint or event that this kind can happen to."""
    if kind in WIRE:
        return API
    return MONEY[kind][1] if kind in MONEY else EVENTS


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

    def next_for(self, endpoint: str, kinds: Mapping[str, Any]) -> Fault | None:
        """The fault among these kinds that happens at this call or event, if any; uses one of its times."""
        for fault in self.waiting:
            if fault.kind in kinds and fault.fits(endpoint) and self._strikes(fault):
                return self._use(fault)
        return None

    def _strikes(self, fault: Fault) -> bool:
        return fault.probability == 1 or self.chance.random() < fault.probability

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
            "endpoints": [*API, "pay", *EVENTS],
        }
