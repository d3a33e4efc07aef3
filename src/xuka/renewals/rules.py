"""What a renewal would do, what it costs, and the next step of an order. Pure: the whole story is decided here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from xuka.catalogue.rules import KINDS, Kind, Period, Policy, Renewal, day_start, period_of
from xuka.kernel.span import Span
from xuka.lines.rules import (
    Booked,
    Booking,
    Lived,
    Track,
    book,
    end_of,
    lay_out,
    life_of,
    pass_time,
)

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
    """What is known of the attempt at the carrier for one period; times aware UTC.

    ``is_settled``: the period was delivered, or its share went back; what is left is to look and to count.
    """

    state: str
    lease_until: datetime | None
    unknown_asks: int
    look_at: datetime | None
    retry_at: datetime | None
    is_watched: bool
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything the next step depends on; amounts in minor units of the order's currency.

    Args:
        asked: of each period bought, by its ordinal; None while the carrier was never asked for it.
        given_back_minor: the shares of single periods that went back while others go on or stay.
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
    asked: tuple[Asked | None, ...]
    given_back_minor: int = 0
    fills_from_wallet: bool = True
    live_payments: int = 0
    in_flight_minor: int = 0
    stuck_minor: int = 0


@dataclass(frozen=True, slots=True)
class Next:
    """The step to take, for WAIT until when, and for which of the periods."""

    step: Step
    until: datetime | None = None
    ordinal: int = 0


def next_step(now: datetime, facts: Situation) -> Next:
    """The one step to take now. Asked again with the same facts, it answers the same."""
    claim = claim_of(state=facts.state, total_minor=facts.total_minor, given_back_minor=facts.given_back_minor)
    if facts.hold_minor - facts.stuck_minor > claim and facts.state != State.REFUNDING:
        return Next(Step.RETURN)
    match facts.state:
        case State.AWAITING_FUNDS:
            return _while_unpaid(now, facts)
        case State.FUNDED | State.ACTIVATING | State.NEEDS_A_PERSON:
            return _of_all(now, facts.asked, lambda asked: _while_paid(now, facts, asked))
        case State.REFUNDING:
            return _while_refunding(now, facts)
        case _:
            return _of_all(now, facts.asked, lambda asked: _after_the_end(now, asked))


def claim_of(*, state: State, total_minor: int, given_back_minor: int) -> int:
    """How much an order still has a claim to in its hold, minor units: the shares that went back are none of it."""
    return 0 if state in TERMINAL_STATES else total_minor - given_back_minor


def _of_all(now: datetime, periods: Sequence[Asked | None], step_of: Callable[[Asked | None], Next]) -> Next:
    """The step of the first period that has one to take, else the earliest end of waiting.

    One call at a time: while one is on the wire all wait. Each period is asked for whatever became of another, but as
    long as the carrier says "later" about one, it is asked for nothing new.
    """
    for asked in periods:
        if asked is not None and asked.lease_until is not None and now < asked.lease_until:
            return Next(Step.WAIT, asked.lease_until)
    waits: list[datetime] = []
    says_later = False
    for ordinal, asked in enumerate(periods):
        if asked is None and says_later:
            continue
        following = step_of(asked)
        if following.step not in {Step.WAIT, Step.FINISH}:
            return replace(following, ordinal=ordinal)
        if following.until is not None:
            waits.append(following.until)
            says_later |= asked is not None and asked.state == "refused"
    return Next(Step.WAIT, min(waits)) if waits else Next(Step.FINISH)


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


def _while_paid(now: datetime, facts: Situation, asked: Asked | None) -> Next:
    promised_by = facts.promised_by
    assert promised_by is not None, "what is paid has a promise"
    if asked is None:
        return Next(Step.ASK)
    if asked.is_settled:
        return _after_the_end(now, asked)
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


def _after_the_end(now: datetime, asked: Asked | None) -> Next:
    """The order is final only when nothing is asked any more either."""
    if asked is None:
        return Next(Step.FINISH)
    if asked.state == "done" and asked.is_watched:
        return Next(Step.BOOK_LOSS)
    still_looking = asked.state in {"unknown", "intended"} or asked.state == "done"
    if not still_looking or asked.look_at is None:
        return Next(Step.FINISH)
    return Next(Step.LOOK) if now >= asked.look_at else Next(Step.WAIT, asked.look_at)


@dataclass(frozen=True, slots=True)
class Left:
    """How much of the data that runs is left at full speed, and of how much."""

    bytes: int
    of_bytes: int

    @property
    def percent(self) -> float:
        """What is left, in per cent."""
        return 100 * self.bytes / self.of_bytes if self.of_bytes else 0.0


@dataclass(frozen=True, slots=True)
class Stacked:
    """What a renewal would do to a line.

    Attributes:
        span: the time bought; when ``starts_on_activation`` it shifts with the moment the carrier takes it.
        kept, lost: facts in words of the catalogue of texts, e.g. ``{"kind": "time", "until": "…"}``.
        booking: the track as it would then be.
        until: the end of the last period that is then booked, on whatever track counts for the plan's windows.
        spans: of each period, where several are bought at once; ``span`` is then from the first start to the last end.
    """

    span: Span
    starts_on_activation: bool
    kept: tuple[dict[str, Any], ...]
    lost: tuple[dict[str, Any], ...]
    booking: Booking | None = None
    until: datetime | None = None
    spans: tuple[Span, ...] = ()


class NotNow(Exception):
    """The policy does not allow a renewal now; ``code`` says why, ``possible_at`` from when it does, if ever.

    Codes: "too_far_ahead", "too_late", "too_soon" (after the one before), "too_early" (before the end), "closed" (too
    shortly before the end), "too_many" (are booked), "too_much_left", "too_little_left", "only_new" (it renews none).
    """

    def __init__(self, code: str, possible_at: datetime | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.possible_at = possible_at


class TooFarAhead(NotNow):
    """The end would lie further ahead than the policy allows; ``possible_at`` is when it first does not."""

    def __init__(self, possible_at: datetime) -> None:
        super().__init__("too_far_ahead", possible_at)


class TooLate(NotNow):
    """The card's last period ended too long ago; ``latest`` was the last moment to renew it."""

    def __init__(self, latest: datetime) -> None:
        super().__init__("too_late")
        self.latest = latest


# The period that is asked for; of all that are paid at one moment it comes last.
ASKED_FOR = UUID(int=2**128 - 1)


def stack(
    *,
    track: Track,
    policy: Policy,
    now: datetime,
    last: Policy | None = None,
    left: Left | None = None,
    beside: Track = (),
    lived: Lived | None = None,
    id: UUID = ASKED_FOR,
) -> Stacked:
    """What renewing now would do. It asks the functions that ``lines.operations.open_period`` follows.

    Args:
        track: what is booked on the line's main track.
        policy: of the plan that is bought.
        last: the policy of the last period booked; None when nothing ever was, or when it does not matter.
        left: of the data that runs; None when that is not known.
        beside: what is booked on its other tracks. Windows and limits of a pack that runs beside what runs count that
            too (R-16, R-23); those of any other plan look at the main track.
        lived: what the card has lived through, where ``last`` has stages; None when that does not matter.
        id: of the new period.

    Raises:
        TooFarAhead: the policy's ``max_ahead_days`` would be passed.
        TooLate: the last policy's ``renewable_days`` after its end have passed, or the card is gone (R-40 to R-42).
        NotNow: the policy's windows or limits do not allow it; the code says which.
    """
    track = pass_time(track, now)
    if policy.renewal.mode != "independent":
        beside = ()
    if last and lived and life_of(last.ending, lived, now).state == "gone":
        raise TooLate(now)
    _require_open(track, beside, policy.renewal, last, now, left)
    booking = book(track, Booked(id, None, now, policy.period, renewal=policy.renewal), now)
    _require_room((*track, *beside), booking, policy, now, left)
    span, ends_at = _bought_and_end(booking, now)
    limit = timedelta(days=policy.renewal.max_ahead_days)
    if ends_at - now > limit:
        raise TooFarAhead(ends_at - limit)
    kept, lost = _kept_and_lost(track, booking, span, now)
    until = max(ends_at, _last_end(track, beside, now)) if booking.is_beside else ends_at
    return Stacked(span, span.starts_at == now, kept, lost, booking, until)


def _last_end(track: Track, beside: Track, now: datetime) -> datetime:
    """The end of all of this; each of what is beside the track has a track of its own. Now, where there is nothing."""
    ends = (end_of(one, now) for one in (track, *((period,) for period in beside)))
    return max((end for end in ends if end), default=now)


def _require_open(
    track: Track, beside: Track, terms: Renewal, last: Policy | None, now: datetime, left: Left | None
) -> None:
    """The windows: R-20 not so soon again, R-27 not too early, not just before the end, and not too late."""
    counted = (*track, *beside)
    if counted and terms.only_new:
        raise NotNow("only_new")
    if counted and terms.cooldown_hours:
        again = max(period.funded_at for period in counted) + timedelta(hours=terms.cooldown_hours)
        if now < again:
            raise NotNow("too_soon", again)
    ahead = any(not is_over(period, now) for period in counted)
    if track and not ahead and last and last.ending.renewable_days is not None:
        latest = max(p.span.ends_at for p in track if p.span) + timedelta(days=last.ending.renewable_days)
        if now > latest:
            raise TooLate(latest)
    if ahead and (terms.closes_hours or terms.opens_days is not None):
        _require_window(terms, _last_end(track, beside, now), now, left)
    closes = terms.closes_percent_left
    if ahead and closes is not None and left is not None and left.percent <= closes:
        raise NotNow("too_little_left")


def _require_window(terms: Renewal, until: datetime, now: datetime, left: Left | None) -> None:
    if until - now <= timedelta(hours=terms.closes_hours):
        raise NotNow("closed", until)
    opens = until - timedelta(days=terms.opens_days) if terms.opens_days is not None else now
    is_low = terms.opens_percent_left is not None and left is not None and left.percent <= terms.opens_percent_left
    if now < opens and not is_low:
        raise NotNow("too_early", opens)


def _require_room(counted: Track, booking: Booking, policy: Policy, now: datetime, left: Left | None) -> None:
    """The limits on what may be booked at once: R-13 of data, R-23 of periods; data that is used up counts for none."""
    terms = policy.renewal
    if terms.max_stacked is None and terms.max_left_bytes is None:
        return
    after = {period.id: period for period in (*counted, *booking.track)}
    ahead = sum(not is_over(period, now) for period in after.values())
    used_up = left is not None and left.bytes == 0 and ahead > 1
    if terms.max_stacked is not None and ahead - used_up > terms.max_stacked:
        ends = (period.span.ends_at for period in counted if period.span and not is_over(period, now))
        raise NotNow("too_many", min(ends, default=None))
    comes = policy.quota.data.limits[0].tiers[0].after_bytes if policy.quota.data.limits else 0
    if terms.max_left_bytes is not None and left is not None and left.bytes + comes > terms.max_left_bytes:
        raise NotNow("too_much_left")


def _bought_and_end(booking: Booking, now: datetime) -> tuple[Span, datetime]:
    """The time bought, and the end of all on its track; what waits for its first use is told as used at once."""
    new, track = booking.period, booking.track
    if new.policy.starts == "first_use" and all(p is new or is_over(p, now) for p in track):
        span = period_of(new.policy, now)
        return span, span.ends_at
    if new.span is not None:
        return new.span, end_of(track, now) or new.span.ends_at
    after = lay_out(track, now)
    span = next(placed.span for placed in after if placed.id == new.id)
    return span, span.ends_at if new.policy.starts == "first_use" else after[-1].span.ends_at


def is_over(period: Booked, now: datetime) -> bool:
    """Whether it had dates and they have passed."""
    return period.span is not None and period.span.ends_at <= now


Facts = tuple[dict[str, Any], ...]


def _kept_and_lost(track: Track, booking: Booking, span: Span, now: datetime) -> tuple[Facts, Facts]:
    """What the renewal leaves and takes: the number, time, then what is in it, and what waits."""
    kept: list[dict[str, Any]] = [{"kind": "number"}]
    lost: list[dict[str, Any]] = []
    new = booking.period
    ahead = [period for period in track if period.span is None or period.span.ends_at > now]
    if ahead:
        running = next((p.span for p in ahead if p.span and now in p.span), None)
        if running and new.renewal.mode == "replace":
            lost.append({"kind": "time", "until": running.ends_at.isoformat()})
        else:
            dated = [period.span.ends_at for period in ahead if period.span]
            until = span.starts_at if span.starts_at > now else max(dated, default=now)
            kept.append({"kind": "time", "until": until.isoformat()})
        for kind in KINDS:
            _tell_fate(kind, new, span, kept, lost)
    of = track if booking.is_beside else booking.track
    waiting = len([period for period in of if period.span is None and period is not new])
    if waiting:
        behind = new.renewal.mode == "replace" and new.span is not None
        kept.append({"kind": "queued_behind" if behind else "queued", "count": waiting})
    if new.policy.starts == "first_use" and new.policy.start_by_days:
        by = new.funded_at + timedelta(days=new.policy.start_by_days)
        kept.append({"kind": "first_use", "by": by.isoformat(), "lapses": new.policy.unused == "lapses"})
    lost += lost_at_the_edges(new, span, now, runs=bool(ahead))
    return tuple(kept), tuple(lost)


def _tell_fate(kind: Kind, new: Booked, span: Span, kept: list[dict[str, Any]], lost: list[dict[str, Any]]) -> None:
    """What becomes of what is left of this; calls and texts are told where the policy names them."""
    if kind != "data" and getattr(new.renewal, kind) is None:
        return
    match new.renewal.fate(kind):
        case "keep":
            kept.append({"kind": kind})
        case "replace":
            lost.append({"kind": kind})
        case "add" | "carry":
            most = new.renewal.carry_most_bytes if kind == "data" else None
            told = {"most_bytes": most} if most is not None else {}
            kept.append({"kind": f"{kind}_longer", "until": span.ends_at.isoformat(), **told})


def lost_at_the_edges(new: Booked, span: Span, now: datetime, *, runs: bool) -> list[dict[str, Any]]:
    """What is lost of the time bought: before it starts (R-03, R-09, R-30), and beyond the cap (R-13)."""
    found: list[dict[str, Any]] = []
    if span.starts_at < now:
        found.append({"kind": "since_end", "starts_at": span.starts_at.isoformat()})
    elif new.policy.unit == "calendar_month" and span.starts_at != _month_start(new.policy, span.starts_at):
        found.append({"kind": "part_of_month", "ends_at": span.ends_at.isoformat()})
    elif new.policy.unit == "calendar_day" and span.starts_at != day_start(
        _day(new.policy, span.starts_at), new.policy.zone
    ):
        later = runs and span.starts_at > now
        first = {"kind": "part_of_first_day", "starts_at": span.starts_at.isoformat()}
        found.append(first if later else {"kind": "part_of_today"})
    if new.renewal.beyond == "cut" and span.ends_at < period_of(new.policy, span.starts_at, anchor=new.anchor).ends_at:
        found.append({"kind": "beyond_cap", "ends_at": span.ends_at.isoformat()})
    return found


def _day(policy: Period, moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(policy.zone)).date()


def _month_start(policy: Period, moment: datetime) -> datetime:
    return day_start(_day(policy, moment).replace(day=1), policy.zone)


def again_at(*, stacked: Stacked, policy: Policy, now: datetime) -> datetime:
    """From when the card could be renewed with this plan once more after this renewal, as far as dates decide."""
    terms = policy.renewal
    ends_at = stacked.span.ends_at
    moments = [now + timedelta(hours=terms.cooldown_hours)]
    if terms.opens_days is not None:
        moments.append((stacked.until or ends_at) - timedelta(days=terms.opens_days))
    if terms.beyond == "refuse" and terms.mode in {"add", "queue"}:
        further = period_of(policy.period, ends_at, anchor=stacked.booking.period.anchor if stacked.booking else None)
        moments.append(further.ends_at - timedelta(days=terms.max_ahead_days))
    return max(now, *moments)


# A card that is not in service: the word of its quotes.
OUT_OF_SERVICE = {
    "suspended": "card_suspended",
    "recycled": "card_recycled",
    "unidentified": "card_unidentified",
}


def takes_nothing(stacked: Stacked) -> bool:
    """Whether all that is booked stays, and the new time is whole but for the part of its first day or month."""
    return all(fact["kind"].startswith("part_of_") for fact in stacked.lost)


def is_same_result(*, quoted: Stacked, today: Stacked) -> bool:
    """Whether what was quoted is still what would happen.

    A period of rolling hours that starts on activation ends later by as much as it starts later: that is the same
    result. So is one that is cut where it reaches too far ahead, and may reach further by now.
    """
    if quoted.starts_on_activation != today.starts_on_activation:
        return False
    losses = [[(fact["kind"], fact.get("until")) for fact in one.lost] for one in (quoted, today)]
    if losses[0] != losses[1]:
        return False
    if ("beyond_cap", None) in losses[0]:
        return today.span.ends_at >= quoted.span.ends_at
    if quoted.starts_on_activation and quoted.span.length == today.span.length:
        return True
    return quoted.span.ends_at == today.span.ends_at


def loses_what_is_paid(lost: Iterable[Mapping[str, Any]]) -> bool:
    """Whether something that is paid for is lost: then no card renews itself. A day that has begun is no such loss."""
    return any(not fact["kind"].startswith("part_of_") for fact in lost)
