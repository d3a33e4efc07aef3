"""What a renewal would do, what it costs, and the next step of an order. Pure: the whole story is decided here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from xuka.catalogue.rules import Policy, day_start, period_of
from xuka.kernel.money import Money, tax_inside
from xuka.kernel.span import Span

QUOTE_LIVES = timedelta(minutes=15)
PAY_WITHIN = timedelta(minutes=30)
PROMISE = timedelta(minutes=10)
WATCH = timedelta(days=30)
# After ``pay_by`` the provider's page is closed and looked at once more; one that cannot be reached is not waited for.
LAST_LOOK = timedelta(minutes=10)
REFUND_CHECK = timedelta(hours=1)
# A person is asked when the truth stays hidden this long after the promise.
PATIENCE = timedelta(minutes=10)
PERSON_DECIDES = timedelta(hours=24)


class State(StrEnum):
    AWAITING_FUNDS = "awaiting_funds"
    FUNDED = "funded"
    ACTIVATING = "activating"
    ACTIVE = "active"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    NEEDS_A_PERSON = "needs_a_person"

    @classmethod
    def choices(cls) -> list[tuple[str, str]]:
        return [(state.value, state.name) for state in cls]


MOVES: dict[State, frozenset[State]] = {
    State.AWAITING_FUNDS: frozenset({State.FUNDED, State.EXPIRED, State.CANCELLED}),
    State.FUNDED: frozenset({State.ACTIVATING, State.REFUNDING, State.CANCELLED}),
    State.ACTIVATING: frozenset({State.ACTIVE, State.REFUNDING, State.NEEDS_A_PERSON}),
    State.NEEDS_A_PERSON: frozenset({State.ACTIVATING, State.ACTIVE, State.REFUNDING, State.CANCELLED}),
    State.REFUNDING: frozenset({State.REFUNDED}),
    State.ACTIVE: frozenset(),
    State.REFUNDED: frozenset(),
    State.EXPIRED: frozenset(),
    State.CANCELLED: frozenset(),
}
TERMINAL_STATES = frozenset(state for state, to in MOVES.items() if not to)
OPEN_STATES = tuple(state for state in State if state not in TERMINAL_STATES)


class Step(StrEnum):
    """What ``advance`` does next; exactly one per call."""

    FILL = "fill"  # the wallet covers what is missing: wallet -> hold
    FUND = "fund"  # the hold covers the total
    EXPIRE = "expire"  # not paid in time
    ASK = "ask"  # ask the carrier
    LOOK = "look"  # find out what became of the last ask
    DELIVER = "deliver"  # the carrier took it: open the period, book the revenue
    GIVE_BACK = "give_back"  # refused, or surely not delivered: start the refund
    REFUND = "refund"  # hold -> where it came from
    END_REFUND = "end_refund"  # all of it has arrived
    RETURN = "return"  # money that is not needed goes back
    CALL_A_PERSON = "call_a_person"
    BOOK_LOSS = "book_loss"  # the money went back and the carrier took it after all
    WAIT = "wait"
    FINISH = "finish"  # nothing is left to be done, ever


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of the attempt at the carrier; times aware UTC."""

    state: str
    lease_until: datetime | None
    unknown_asks: int
    look_at: datetime | None
    retry_at: datetime | None
    is_watched: bool


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything the next step depends on; amounts in minor units of the order's currency.

    Args:
        fills_from_wallet: the customer pays from the wallet as soon as it covers what is missing.
        live_payments: how many payments may still bring money.
        in_flight_minor: on its way back to where it came from.
        stuck_minor: in the hold, but a refund of it failed: it waits for a person.
    """

    state: State
    total_minor: int
    hold_minor: int
    wallet_minor: int
    pay_by: datetime
    promised_by: datetime | None
    asked: Asked | None
    fills_from_wallet: bool = True
    live_payments: int = 0
    in_flight_minor: int = 0
    stuck_minor: int = 0


@dataclass(frozen=True, slots=True)
class Next:
    """The step to take, and for WAIT until when."""

    step: Step
    until: datetime | None = None


def next_step(now: datetime, facts: Situation) -> Next:
    """The one step to take now. Asked again with the same facts, it answers the same."""
    surplus = facts.hold_minor - facts.stuck_minor - _needed(facts)
    if surplus > 0 and facts.state != State.REFUNDING:
        return Next(Step.RETURN)
    match facts.state:
        case State.AWAITING_FUNDS:
            return _while_unpaid(now, facts)
        case State.FUNDED | State.ACTIVATING | State.NEEDS_A_PERSON:
            return _while_paid(now, facts)
        case State.REFUNDING:
            return _while_refunding(now, facts)
        case _:
            return _after_the_end(now, facts)


def _needed(facts: Situation) -> int:
    """How much the order still has a claim to in its hold."""
    return 0 if facts.state in TERMINAL_STATES else facts.total_minor


def _while_unpaid(now: datetime, facts: Situation) -> Next:
    missing = facts.total_minor - facts.hold_minor
    if missing <= 0:
        return Next(Step.FUND)
    if now >= facts.pay_by:
        last_look = facts.pay_by + LAST_LOOK
        return Next(Step.WAIT, last_look) if facts.live_payments and now < last_look else Next(Step.EXPIRE)
    if facts.fills_from_wallet and facts.wallet_minor >= missing:
        return Next(Step.FILL)
    return Next(Step.WAIT, facts.pay_by)


def _while_refunding(now: datetime, facts: Situation) -> Next:
    if facts.hold_minor > facts.stuck_minor:
        return Next(Step.REFUND)
    if facts.in_flight_minor or facts.stuck_minor:
        return Next(Step.WAIT, now + REFUND_CHECK)
    return Next(Step.END_REFUND)


def _while_paid(now: datetime, facts: Situation) -> Next:
    asked = facts.asked
    promised_by = facts.promised_by
    assert promised_by is not None, "what is paid has a promise"
    if asked is None:
        return Next(Step.ASK)
    if asked.lease_until is not None and now < asked.lease_until:
        return Next(Step.WAIT, asked.lease_until)
    match asked.state:
        case "done":
            return Next(Step.DELIVER)
        case "refused":
            return _after_refusal(now, asked, promised_by)
        case "absent":
            again = asked.unknown_asks < 2 and now < promised_by
            return Next(Step.ASK if again else Step.GIVE_BACK)
        case _:
            return _while_unknown(now, facts.state, asked, promised_by)


def _after_refusal(now: datetime, asked: Asked, promised_by: datetime) -> Next:
    if asked.retry_at is None or asked.retry_at >= promised_by:
        return Next(Step.GIVE_BACK)
    return Next(Step.ASK) if now >= asked.retry_at else Next(Step.WAIT, asked.retry_at)


def _while_unknown(now: datetime, state: State, asked: Asked, promised_by: datetime) -> Next:
    assert asked.look_at is not None, "what is unknown is looked for"
    if now >= asked.look_at:
        return Next(Step.LOOK)
    if state == State.NEEDS_A_PERSON:
        return Next(Step.WAIT, asked.look_at)
    if now >= promised_by + PATIENCE:
        return Next(Step.CALL_A_PERSON)
    return Next(Step.WAIT, min(asked.look_at, promised_by + PATIENCE))


def _after_the_end(now: datetime, facts: Situation) -> Next:
    """The order is final only when nothing is asked any more either."""
    asked = facts.asked
    if asked is None:
        return Next(Step.FINISH)
    if asked.lease_until is not None and now < asked.lease_until:
        return Next(Step.WAIT, asked.lease_until)
    if asked.state == "done" and asked.is_watched:
        return Next(Step.BOOK_LOSS)
    still_looking = asked.state in {"unknown", "intended"} or asked.state == "done"
    if not still_looking or asked.look_at is None:
        return Next(Step.FINISH)
    return Next(Step.LOOK) if now >= asked.look_at else Next(Step.WAIT, asked.look_at)


@dataclass(frozen=True, slots=True)
class Stacked:
    """What a renewal would do to a line.

    Attributes:
        span: the time bought; when ``starts_on_activation`` it shifts with the moment the carrier takes it.
        kept, lost: facts in words of the catalogue of texts, e.g. ``{"kind": "time", "until": "…"}``.
    """

    span: Span
    starts_on_activation: bool
    kept: tuple[dict[str, Any], ...]
    lost: tuple[dict[str, Any], ...]


class TooFarAhead(Exception):
    """The end would lie further ahead than the policy allows; ``possible_at`` is when it first does not."""

    def __init__(self, possible_at: datetime) -> None:
        super().__init__("The card is paid too far ahead.")
        self.possible_at = possible_at


class TooLate(Exception):
    """The card's last period ended too long ago; ``latest`` was the last moment to renew it."""

    def __init__(self, latest: datetime) -> None:
        super().__init__("The card ended too long ago.")
        self.latest = latest


def stack(
    *,
    booked_until: datetime | None,
    queued: int,
    policy: Policy,
    now: datetime,
    anchor: datetime | None = None,
    last: Policy | None = None,
) -> Stacked:
    """What renewing now would do, for the modes add and queue on one track.

    Args:
        booked_until: the end of everything booked on the track, queued periods laid out; None when nothing ever was.
        queued: how many periods wait already.
        anchor: the date-time on the clock from which the run of months that ends at ``booked_until`` is counted.
        last: the policy of the last period booked; None when nothing ever was, or when it does not matter.

    Raises:
        TooFarAhead: the policy's ``max_ahead_days`` would be passed.
        TooLate: the last policy's ``renewable_days`` after its end have passed.
    """
    runs = booked_until is not None and booked_until > now
    start = booked_until if runs and booked_until else now
    latest = _latest(booked_until, last)
    if latest is not None and now > latest:
        raise TooLate(latest)
    span = period_of(policy.period, start, anchor=anchor if runs else None)
    limit = timedelta(days=policy.renewal.max_ahead_days)
    if span.ends_at - now > limit:
        raise TooFarAhead(span.ends_at - limit)
    kept: list[dict[str, Any]] = [{"kind": "number"}]
    if runs:
        kept.append({"kind": "time", "until": start.isoformat()})
        kept.append({"kind": "data"})
    if queued:
        kept.append({"kind": "queued", "count": queued})
    return Stacked(span, not runs, tuple(kept), tuple(_lost_of_first_day(policy, start, runs=runs)))


def _latest(booked_until: datetime | None, last: Policy | None) -> datetime | None:
    if booked_until is None or last is None or last.ending.renewable_days is None:
        return None
    return booked_until + timedelta(days=last.ending.renewable_days)


def _lost_of_first_day(policy: Policy, start: datetime, *, runs: bool) -> list[dict[str, Any]]:
    """Calendar days count the day of the start as day 1, however late it is (Sakura Mobile: 23:59 is still day 1)."""
    if policy.period.unit != "calendar_day" or start == day_start(_local_day(policy, start), policy.period.zone):
        return []
    return [{"kind": "part_of_first_day", "starts_at": start.isoformat()} if runs else {"kind": "part_of_today"}]


def _local_day(policy: Policy, moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(policy.period.zone)).date()


def is_same_result(*, quoted: Stacked, today: Stacked) -> bool:
    """Whether what was quoted is still what would happen.

    A period of rolling hours that starts on activation ends later by as much as it starts later: that is the same
    result.
    """
    if quoted.starts_on_activation != today.starts_on_activation:
        return False
    if [x["kind"] for x in quoted.lost] != [x["kind"] for x in today.lost]:
        return False
    if quoted.starts_on_activation and quoted.span.length == today.span.length:
        return True
    return quoted.span.ends_at == today.span.ends_at


@dataclass(frozen=True, slots=True)
class Price:
    """Price lines that sum to ``total``; ``tax`` lies inside it, rounded once."""

    lines: tuple[dict[str, Any], ...]
    total: Money
    tax: Money


def price(*, plan_price: Money, label: str, tax_basis_points: int) -> Price:
    """What one period costs."""
    lines = ({"kind": "plan", "label": label, "amount_minor": plan_price.minor},)
    return Price(lines, plan_price, tax_inside(plan_price, tax_basis_points))
