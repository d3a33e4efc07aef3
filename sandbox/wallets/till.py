"""What the stand-ins of wallets share: bills, what moved under them, the person's verbs, faults, notices. No HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

# What happens to a call of the API, whatever it is about.
WIRE = {
    "timeout_before": "no answer, nothing done",
    "timeout_after": "done, but no answer",
    "drop_before": "the connection breaks, nothing done",
    "drop_after": "done, but the connection breaks",
    "error_before": "status 500, nothing done",
    "error_after": "done, but status 500",
    "garbage_after": "done, but status 200 with a body that is no answer of theirs",
    "bad_signature_after": "done, and signed with another key, where answers are signed",
    "rate_limited": "too many calls, nothing done",
}
# What happens to the money.
MONEY = {
    "wrong_amount": "one minor unit less is captured than was asked",
    "wrong_currency": "captured in another currency",
    "capture_declined": "the wallet has too little when the money is captured",
    "decline_saved": "what was kept has too little when it is charged",
    "saved_needs_3ds": "what was kept is not charged unless its owner comes and confirms",
    "refund_pending": "the refund is on its way until it is settled",
    "refund_refused": "the refund is refused for good",
}
# What happens to a notice on its way to the shop.
HOOKS = {
    "duplicated": "sent twice",
    "reordered": "sent before those that waited already",
    "lost": "never sent",
    "forged": "signed with another key",
    "stale": "signed one hour ago",
}
KINDS = WIRE | MONEY | HOOKS
# "charge" takes the money with what was kept, "forget" has that deleted.
ENDPOINTS = (
    "token",
    "start",
    "look",
    "find",
    "close",
    "capture",
    "charge",
    "forget",
    "refund",
    "look_refund",
    "verify",
    "statement",
)


class BadFault(ValueError):
    """The fault asked for does not exist."""


@dataclass(slots=True)
class Fault:
    """One fault that waits to happen: at one of ``ENDPOINTS``, or "*"; ``times`` None is for ever."""

    kind: str
    endpoint: str = "*"
    times: int | None = 1
    probability: float = 1.0
    seconds: float = 90

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadFault(f"There is no fault named {self.kind!r}; there are {', '.join(KINDS)}.")
        if self.endpoint != "*" and self.endpoint not in ENDPOINTS:
            raise BadFault(f"Faults happen at {', '.join(ENDPOINTS)}, not at {self.endpoint!r}.")
        if self.times is not None and self.times < 1:
            raise BadFault("A fault happens at least once.")
        if not 0 < self.probability <= 1:
            raise BadFault("A probability lies above 0 and is at most 1.")


@dataclass(slots=True)
class GivenBack:
    """A refund: ``key`` is the shop's own, ``state`` "pending", "done" or "failed"; minor units."""

    id: str
    key: str
    amount: int
    state: str
    at: datetime


@dataclass(slots=True)
class Bill:
    """What a shop asked to be paid, and what moved; amounts in minor units.

    Args:
        id: the provider's own.
        key: the shop's own, as it sent it.
        state: "open", "approved" (agreed, not captured), "paid" or "closed".
        told: whatever else the provider must remember, as it was sent.
    """

    id: str
    key: str
    amount: int
    currency: str
    made_at: datetime
    expires_at: datetime
    state: str = "open"
    declined: str = ""
    charge: str = ""
    captured: int = 0
    captured_currency: str = ""
    paid_at: datetime | None = None
    refunds: list[GivenBack] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """What can still be given back."""
        return self.captured - sum(one.amount for one in self.refunds if one.state != "failed")


Notice = tuple[bytes, dict[str, str]]


class Till:
    """One wallet provider. Subclasses speak its API and sign its notices.

    Args:
        now: the provider's clock, aware UTC.
        seed: makes ids and chances repeat exactly.
        url: where a person's browser finds its pages.

    Attributes:
        captures_by_itself: money moves when the person agrees; else when the shop captures.
        on_early: called when notices wait, by whoever posts them.
        answer: what the shop's answer to a notice has to say; "" for anything.
    """

    name = ""
    captures_by_itself = True
    answer = ""

    def __init__(self, *, now: Callable[[], datetime], seed: int = 0, url: str = "http://wallet.test") -> None:
        self.now, self.url = now, url.rstrip("/")
        self.chance = Random(seed)  # noqa: S311 - ids that repeat, no secrets
        self.lock = threading.RLock()
        self.bills: dict[str, Bill] = {}
        self.waiting: list[Fault] = []
        self.happened: dict[str, int] = {}
        self.outbox: list[Notice] = []

    # -- for the API of a subclass ------------------------------------------------------------------------------------

    def digits(self, count: int) -> str:
        """A new id of so many digits, none twice in practice."""
        return str(self.chance.randrange(10 ** (count - 1), 10**count))

    def by_key(self, key: str) -> Bill | None:
        return next((bill for bill in self.bills.values() if bill.key == key), None)

    def current(self, bill: Bill) -> Bill:
        """The bill, closed if its time is over."""
        if bill.state in {"open", "approved"} and self.now() >= bill.expires_at:
            bill.state = "closed"
        return bill

    def strikes(self, endpoint: str, kinds: dict[str, str]) -> Fault | None:
        """The fault among these kinds that happens here, if any; uses one of its times."""
        for fault in self.waiting:
            fits = fault.kind in kinds and fault.endpoint in {"*", endpoint}
            if fits and (fault.probability == 1 or self.chance.random() < fault.probability):
                if fault.times is not None:
                    fault.times -= 1
                    if not fault.times:
                        self.waiting.remove(fault)
                self.happened[fault.kind] = self.happened.get(fault.kind, 0) + 1
                return fault
        return None

    def capture(self, bill: Bill) -> bool:
        """Take the money, once; False when the wallet has too little, and the bill is open again."""
        if bill.state == "paid":
            return True
        if self.strikes("capture", {"capture_declined": ""}):
            bill.state, bill.declined = "open", "insufficient balance"
            return False
        fault = self.strikes("capture", {"wrong_amount": "", "wrong_currency": ""})
        wrong = fault.kind if fault else ""
        bill.captured = bill.amount - (wrong == "wrong_amount")
        bill.captured_currency = (
            {"JPY": "EUR"}.get(bill.currency, "JPY") if wrong == "wrong_currency" else bill.currency
        )
        bill.state, bill.charge, bill.paid_at = "paid", bill.charge or self.charge_of(bill), self.now()
        self.tell("paid", bill)
        return True

    def charge_of(self, bill: Bill) -> str:
        """The provider's id of the money taken."""
        return bill.id

    def give_back(self, bill: Bill, *, key: str, amount: int) -> GivenBack | None:
        """Give money back, once for a key; None when it is refused: more than is left, or by a fault."""
        there = next((one for one in bill.refunds if one.key == key), None)
        if there:
            return there
        if bill.state != "paid" or not 1 <= amount <= bill.left or self.strikes("refund", {"refund_refused": ""}):
            return None
        pending = self.strikes("refund", {"refund_pending": ""})
        refund = GivenBack(f"R{self.digits(17)}", key, amount, "pending" if pending else "done", self.now())
        bill.refunds.append(refund)
        self.tell("refunded", bill, refund)
        return refund

    # -- notices ------------------------------------------------------------------------------------------------------

    def notice(self, what: str, bill: Bill, refund: GivenBack | None, *, forged: bool, at: datetime) -> Notice | None:
        """The signed notice of "paid", "refunded", "closed" …, as the provider posts it; None where it posts none."""
        return None

    def tell(self, what: str, bill: Bill, refund: GivenBack | None = None) -> None:
        """Put a notice into the outbox, with the fault that waits for it."""
        fault = self.strikes("*", HOOKS)
        kind = fault.kind if fault else ""
        at = self.now()
        if kind == "stale":
            at = at.replace(year=at.year - 1)
        notice = self.notice(what, bill, refund, forged=kind == "forged", at=at)
        if notice is None or kind == "lost":
            return
        if kind == "reordered":
            self.outbox.insert(0, notice)
        else:
            self.outbox += [notice] * (2 if kind == "duplicated" else 1)

    def take_outbox(self) -> list[Notice]:
        """What waits to be posted, oldest first; it waits no longer."""
        with self.lock:
            taken, self.outbox = self.outbox, []
            return taken

    # -- what the person does -----------------------------------------------------------------------------------------

    def pay(self, id: str) -> None:
        """The person agrees; where the provider captures by itself, the money moves."""
        with self._open(id) as bill:
            bill.state, bill.declined = "approved", ""
            if self.captures_by_itself:
                self.capture(bill)
            else:
                self.tell("approved", bill)

    def decline(self, id: str) -> None:
        """The person's try fails; they can try again."""
        with self._open(id) as bill:
            bill.declined = "insufficient balance"

    def cancel(self, id: str) -> None:
        """The person gives up for good."""
        with self._open(id) as bill:
            bill.state, bill.declined = "closed", "cancelled by the payer"
            self.tell("closed", bill)

    def pay_late(self, id: str) -> None:
        """Money comes although the bill was closed or had expired: it was on its way."""
        with self.lock:
            bill = self.bills[id]
            bill.state = "approved"
            self.capture(bill)

    def settle_refund(self, key: str, *, ok: bool) -> None:
        """A refund that was on its way arrives, or does not."""
        with self.lock:
            bill, refund = next((b, r) for b in self.bills.values() for r in b.refunds if r.key == key)
            refund.state = "done" if ok else "failed"
            self.tell("refunded", bill, refund)

    @contextmanager
    def _open(self, id: str) -> Iterator[Bill]:
        with self.lock:
            bill = self.current(self.bills[id])
            if bill.state != "open":
                raise LookupError(f"The bill is {bill.state}.")
            yield bill

    # -- the truth, for tests and staff -------------------------------------------------------------------------------

    def captured(self, key: str) -> dict[str, int]:
        """Minor units by currency that really moved under this key, whatever anybody was told."""
        bill = self.by_key(key)
        return {bill.captured_currency: bill.captured} if bill and bill.captured else {}

    def refunded(self, key: str) -> dict[str, int]:
        """Minor units by currency that went back of this payment; what is pending or failed has not moved."""
        bill = self.by_key(key)
        back = sum(one.amount for one in bill.refunds if one.state == "done") if bill else 0
        return {bill.captured_currency: back} if bill and back else {}
