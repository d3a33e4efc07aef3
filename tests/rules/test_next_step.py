"""The story of an order as a table: every step, and the instants at which one becomes another."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from xuka.catalogue.rules import Policy, policy_of
from xuka.kernel.money import Money, tax_inside
from xuka.kernel.span import Span
from xuka.lines.rules import Booked
from xuka.renewals import rules
from xuka.renewals.rules import (
    LAST_LOOK,
    MOVES,
    PATIENCE,
    REFUND_CHECK,
    Asked,
    Next,
    Situation,
    Stacked,
    State,
    Step,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECOND, MOMENT = timedelta(seconds=1), timedelta(microseconds=1)
EARLIER, LATER = NOW - SECOND, NOW + SECOND
ENDED = [State.ACTIVE, State.REFUNDED, State.EXPIRED, State.CANCELLED]

UNPAID = Situation(
    state=State.AWAITING_FUNDS,
    total_minor=100,
    hold_minor=0,
    wallet_minor=0,
    pay_by=LATER,
    promised_by=None,
    asked=(None,),
)
PAID = replace(UNPAID, state=State.ACTIVATING, hold_minor=100, promised_by=LATER)
FRESH = Asked(state="unknown", lease_until=None, unknown_asks=1, look_at=LATER, retry_at=None, is_watched=False)


def unpaid(**facts: Any) -> Situation:
    return replace(UNPAID, **facts)


def asked(of: State = State.ACTIVATING, /, *, promised_by: datetime = LATER, **attempt: Any) -> Situation:
    return replace(PAID, state=of, promised_by=promised_by, asked=(replace(FRESH, **attempt),))


def ended(of: State = State.REFUNDED, hold_minor: int = 0, /, **attempt: Any) -> Situation:
    there = replace(FRESH, **attempt) if attempt else None
    return replace(PAID, state=of, hold_minor=hold_minor, asked=(there,))


def several(of: State = State.ACTIVATING, /, *periods: dict[str, Any] | None, back: int = 0) -> Situation:
    """An order of several periods; each as ``asked`` tells it, None: never asked."""
    there = tuple(None if one is None else replace(FRESH, **one) for one in periods)
    return replace(PAID, state=of, asked=there, given_back_minor=back, hold_minor=100 - back)


DELIVERED = {"state": "done", "look_at": None, "is_settled": True}
BACK = {"state": "refused", "is_settled": True}
SOON = NOW + MOMENT


REFUNDING = replace(PAID, state=State.REFUNDING, hold_minor=0)


def stuck(of: State) -> Situation:
    return replace(ended(of, 7), stuck_minor=7)


def wait(until: datetime) -> Next:
    return Next(Step.WAIT, until)


TABLE: list[tuple[str, Situation, Next]] = [
    # Money.
    ("nothing paid, no money anywhere", unpaid(), wait(LATER)),
    ("nothing paid, the wallet holds it exactly", unpaid(wallet_minor=100), Next(Step.FILL)),
    ("nothing paid, the wallet lacks one", unpaid(wallet_minor=99), wait(LATER)),
    ("part is held, the wallet holds the rest", unpaid(hold_minor=60, wallet_minor=40), Next(Step.FILL)),
    ("part is held, the wallet lacks one", unpaid(hold_minor=60, wallet_minor=39), wait(LATER)),
    ("the hold covers it exactly", unpaid(hold_minor=100), Next(Step.FUND)),
    ("one is held too much", unpaid(hold_minor=101), Next(Step.RETURN)),
    ("the time to pay is over this instant", unpaid(pay_by=NOW), Next(Step.EXPIRE)),
    ("a moment before it is over", unpaid(pay_by=NOW + MOMENT), wait(NOW + MOMENT)),
    ("over, though the wallet could pay", unpaid(pay_by=NOW, wallet_minor=100), Next(Step.EXPIRE)),
    ("over, but it was paid in time", unpaid(pay_by=EARLIER, hold_minor=100), Next(Step.FUND)),
    # Paid by card.
    ("the wallet could pay, but a card shall", unpaid(wallet_minor=100, fills_from_wallet=False), wait(LATER)),
    ("over, a page of the provider may still be open", unpaid(pay_by=NOW, live_payments=1), wait(NOW + LAST_LOOK)),
    ("over, and it cannot be closed for too long", unpaid(pay_by=NOW - LAST_LOOK, live_payments=1), Next(Step.EXPIRE)),
    ("over, paid in two pages", unpaid(pay_by=NOW, live_payments=1, hold_minor=200), Next(Step.RETURN)),
    # Asking.
    ("paid, never asked", replace(PAID, state=State.FUNDED), Next(Step.ASK)),
    ("paid, never asked, one too much", replace(PAID, state=State.FUNDED, hold_minor=101), Next(Step.RETURN)),
    ("on the wire", asked(state="intended", lease_until=NOW + MOMENT), wait(NOW + MOMENT)),
    ("on the wire, though a look is due", asked(lease_until=NOW + MOMENT, look_at=EARLIER), wait(NOW + MOMENT)),
    ("the lease ended this instant", asked(state="intended", lease_until=NOW, look_at=NOW), Next(Step.LOOK)),
    ("the carrier took it", asked(state="done"), Next(Step.DELIVER)),
    ("the carrier took it, late", asked(state="done", promised_by=EARLIER), Next(Step.DELIVER)),
    ("taken while a person was asked", asked(State.NEEDS_A_PERSON, state="done"), Next(Step.DELIVER)),
    # Refused.
    ("refused for good", asked(state="refused"), Next(Step.GIVE_BACK)),
    ("later, but not yet", asked(state="refused", retry_at=NOW + MOMENT), wait(NOW + MOMENT)),
    ("later is this instant", asked(state="refused", retry_at=NOW), Next(Step.ASK)),
    ("later is when the promise ends", asked(state="refused", retry_at=LATER), Next(Step.GIVE_BACK)),
    ("later was long ago", asked(state="refused", retry_at=EARLIER, promised_by=NOW), Next(Step.ASK)),
    # Absent.
    ("surely absent", asked(state="absent"), Next(Step.ASK)),
    ("surely absent twice", asked(state="absent", unknown_asks=2), Next(Step.GIVE_BACK)),
    ("surely absent when the promise ends", asked(state="absent", promised_by=NOW), Next(Step.GIVE_BACK)),
    # Unknown.
    ("unknown, the next look is not due", asked(), wait(LATER)),
    ("unknown, a look is due this instant", asked(look_at=NOW), Next(Step.LOOK)),
    ("the next look lies behind the hour of a person", asked(look_at=NOW + PATIENCE * 9), wait(LATER + PATIENCE)),
    ("patience ends this instant", asked(promised_by=NOW - PATIENCE), Next(Step.CALL_A_PERSON)),
    ("patience ends in a moment", asked(promised_by=NOW - PATIENCE + MOMENT), wait(NOW + MOMENT)),
    ("patience ends, but a look is due first", asked(promised_by=NOW - PATIENCE, look_at=NOW), Next(Step.LOOK)),
    ("a person is asked: looking goes on", asked(State.NEEDS_A_PERSON, promised_by=EARLIER), wait(LATER)),
    ("a person is asked: a look is due", asked(State.NEEDS_A_PERSON, look_at=NOW), Next(Step.LOOK)),
    # The end.
    ("the money goes back", replace(PAID, state=State.REFUNDING), Next(Step.REFUND)),
    ("all of it goes back", replace(PAID, state=State.REFUNDING, hold_minor=250), Next(Step.REFUND)),
    ("on its way to the card", replace(REFUNDING, in_flight_minor=100), wait(NOW + REFUND_CHECK)),
    ("the bank sent it back: a person", replace(REFUNDING, hold_minor=100, stuck_minor=100), wait(NOW + REFUND_CHECK)),
    ("the bank sent part of it back", replace(REFUNDING, hold_minor=100, stuck_minor=60), Next(Step.REFUND)),
    ("all of it has arrived", REFUNDING, Next(Step.END_REFUND)),
    *((f"{state}, sent back by the bank", stuck(state), Next(Step.FINISH)) for state in ENDED),
    *((f"{state}, nothing asked", ended(state), Next(Step.FINISH)) for state in ENDED),
    *((f"{state}, money came", ended(state, 1), Next(Step.RETURN)) for state in ENDED),
    ("done and delivered", ended(State.ACTIVE, state="done", look_at=None), Next(Step.FINISH)),
    ("done, one more look for a double", ended(State.ACTIVE, state="done"), wait(LATER)),
    ("that look is due", ended(State.ACTIVE, state="done", look_at=NOW), Next(Step.LOOK)),
    ("refused and refunded", ended(state="refused"), Next(Step.FINISH)),
    ("closed by a person", ended(State.CANCELLED, state="absent"), Next(Step.FINISH)),
    ("refunded by a person, watched", ended(is_watched=True), wait(LATER)),
    ("watched, a look is due", ended(is_watched=True, look_at=NOW), Next(Step.LOOK)),
    ("watched, looking right now", ended(is_watched=True, look_at=NOW, lease_until=LATER), wait(LATER)),
    ("watched, and it was done after all", ended(is_watched=True, state="done"), Next(Step.BOOK_LOSS)),
    ("that loss is booked", ended(is_watched=False, state="done", look_at=None), Next(Step.FINISH)),
    ("the watch is over", ended(is_watched=True, state="abandoned"), Next(Step.FINISH)),
    # Several periods at once.
    ("three, the first is asked first", several(State.FUNDED, None, None, None), Next(Step.ASK)),
    ("the first is there: the second", several(State.ACTIVATING, DELIVERED, None, None), Next(Step.ASK, None, 1)),
    ("the first went back: the second all the same", several(State.ACTIVATING, BACK, None), Next(Step.ASK, None, 1)),
    (
        "the second is refused",
        several(State.ACTIVATING, DELIVERED, {"state": "refused"}),
        Next(Step.GIVE_BACK, None, 1),
    ),
    (
        "its share went back: nothing is left over",
        several(State.ACTIVATING, BACK, None, back=40),
        Next(Step.ASK, None, 1),
    ),
    ("and one more came", replace(several(State.ACTIVATING, BACK, None, back=40), hold_minor=61), Next(Step.RETURN)),
    ("the second was taken", several(State.ACTIVATING, DELIVERED, {"state": "done"}), Next(Step.DELIVER, None, 1)),
    ("the first is unknown: the second is asked", several(State.ACTIVATING, {}, None), Next(Step.ASK, None, 1)),
    ("the first is to be looked for first", several(State.ACTIVATING, {"look_at": NOW}, None), Next(Step.LOOK)),
    ("one is on the wire: all wait", several(State.ACTIVATING, {"look_at": NOW}, {"lease_until": SOON}), wait(SOON)),
    (
        "the carrier said later: nothing new",
        several(State.ACTIVATING, {"state": "refused", "retry_at": SOON}, None),
        wait(SOON),
    ),
    ("two wait: the earlier counts", several(State.ACTIVATING, {}, {"look_at": SOON}), wait(SOON)),
    (
        "delivered, and to be counted while others wait",
        several(State.ACTIVATING, DELIVERED | {"look_at": SOON}, {}),
        wait(SOON),
    ),
    ("one with a person: the other goes on", several(State.NEEDS_A_PERSON, {}, None), Next(Step.ASK, None, 1)),
    (
        "given back by a person and done after all",
        several(State.ACTIVATING, {"state": "done", "is_watched": True, "is_settled": True}, {}),
        Next(Step.BOOK_LOSS),
    ),
    (
        "ended, the second is watched",
        several(State.ACTIVE, DELIVERED, {"is_watched": True, "is_settled": True}, back=100),
        wait(LATER),
    ),
    ("ended, all is told", several(State.ACTIVE, DELIVERED, BACK, back=100), Next(Step.FINISH)),
]


@pytest.mark.parametrize(("facts", "step"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_next_step_of_an_order(facts: Situation, step: Next) -> None:
    assert rules.next_step(NOW, facts) == step
    assert rules.next_step(NOW, facts) == step  # asked again with the same facts, it answers the same


def test_the_table_reaches_every_step_and_every_state() -> None:
    assert {step.step for _, _, step in TABLE} == set(Step)
    assert {facts.state for _, facts, _ in TABLE} == set(State)


def test_whoever_waits_is_woken_at_a_known_time_and_never_in_the_past() -> None:
    for name, _, step in TABLE:
        assert (step.until is not None) == (step.step == Step.WAIT), name
        assert step.until is None or step.until > NOW, name


def test_no_state_is_left_without_a_way_to_an_end() -> None:
    ends = set(rules.TERMINAL_STATES)
    assert ends == set(ENDED)
    while more := {state for state, to in MOVES.items() if to & ends} - ends:
        ends |= more
    assert ends == set(State)


# -- stack -------------------------------------------------------------------------------------------------------------

BRUSSELS = ZoneInfo("Europe/Brussels")
QUOTA = {
    "data": {
        "tiers": [{"after_bytes": 3_000_000_000, "kbps": 1000}],
        "window": "period",
        "peak": None,
        "hotspot": {"allowed": True, "cap_bytes": None},
        "abroad": {"allowed": False},
    }
}


def policy(unit: str, length: int = 7, max_ahead_days: int = 365) -> Policy:
    period = {"length": length, "unit": unit, "zone": "Europe/Brussels", "starts": "activation"}
    renewal = {"mode": "add", "max_ahead_days": max_ahead_days}
    return policy_of({"period": period, "quota": QUOTA, "renewal": renewal})


def stacked(booked_until: datetime | None, unit: str = "rolling_day", queued: int = 0, **more: Any) -> Stacked:
    """A renewal of a card that is booked until then: by a week, and so many more that wait behind it."""
    week, weeks = policy("rolling_day").period, timedelta(days=7)
    track: list[Booked] = []
    if booked_until:
        end = booked_until - queued * weeks
        track.append(Booked(UUID(int=0), Span(end - weeks, end), end - weeks, week))
    track += [Booked(UUID(int=n), None, NOW - SECOND, week) for n in range(1, queued + 1)]
    return rules.stack(track=tuple(track), policy=policy(unit, **more), now=NOW)


def test_a_renewal_of_a_running_card_begins_where_its_time_ends_and_keeps_it() -> None:
    end = NOW + timedelta(days=2)
    done = stacked(end)
    assert done.span == Span(end, end + timedelta(days=7))
    assert not done.starts_on_activation
    assert [one["kind"] for one in done.kept] == ["number", "time", "data"]
    assert done.kept[1] == {"kind": "time", "until": end.isoformat()}
    assert done.lost == ()


@pytest.mark.parametrize("booked_until", [None, NOW - timedelta(days=1), NOW], ids=["never", "ended", "ends now"])
def test_a_renewal_of_a_card_that_does_not_run_begins_now(booked_until: datetime | None) -> None:
    done = stacked(booked_until)
    assert done.span == Span(NOW, NOW + timedelta(days=7))
    assert done.starts_on_activation
    assert done.kept == ({"kind": "number"},)


def test_what_waits_in_the_queue_is_told_as_kept() -> None:
    assert {"kind": "queued", "count": 2} in stacked(NOW + timedelta(days=16), queued=2).kept
    assert not [one for one in stacked(NOW + timedelta(days=9)).kept if one["kind"] == "queued"]


def test_a_calendar_day_that_has_begun_is_told_as_lost() -> None:
    done = stacked(None, "calendar_day")
    assert done.lost == ({"kind": "part_of_today"},)  # ten in the morning in Brussels
    assert done.span.ends_at == datetime(2026, 3, 9, 0, 0, tzinfo=BRUSSELS)
    noon = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
    assert stacked(noon, "calendar_day").lost == ({"kind": "part_of_first_day", "starts_at": noon.isoformat()},)
    assert stacked(datetime(2026, 3, 4, 0, 0, tzinfo=BRUSSELS), "calendar_day").lost == ()
    assert stacked(None).lost == stacked(noon).lost == ()


def test_a_card_is_paid_ahead_as_far_as_its_policy_says_and_not_a_second_further() -> None:
    exact = NOW + timedelta(days=365 - 7)
    assert stacked(exact).span.ends_at == NOW + timedelta(days=365)
    with pytest.raises(rules.TooFarAhead) as refused:
        stacked(exact + SECOND)
    assert refused.value.possible_at == NOW + SECOND


# -- the same result ---------------------------------------------------------------------------------------------------


def at(start: datetime, days: int = 7, *, on_activation: bool = True, lost: bool = False) -> Stacked:
    losses = ({"kind": "part_of_today"},) if lost else ()
    return Stacked(Span(start, start + timedelta(days=days)), on_activation, (), losses)


@pytest.mark.parametrize(
    ("quoted", "today", "same"),
    [
        (at(NOW), at(NOW), True),
        (at(NOW), at(LATER), True),  # rolling hours start later and end later
        (at(NOW, lost=True), at(LATER, lost=True), True),
        (at(NOW, lost=True), at(NOW), False),
        (at(NOW), at(NOW, lost=True), False),
        (at(NOW), at(NOW, days=6), False),
        (at(NOW, on_activation=False), at(NOW, on_activation=False), True),
        (at(NOW, on_activation=False), at(LATER, on_activation=False), False),
        (at(NOW, on_activation=False), at(NOW), False),
        (at(NOW), at(NOW, on_activation=False), False),
    ],
)
def test_a_quote_holds_while_its_result_is_the_same(quoted: Stacked, today: Stacked, same: bool) -> None:
    assert rules.is_same_result(quoted=quoted, today=today) is same


def test_a_calendar_period_that_ends_the_same_day_is_the_same_and_after_midnight_it_is_not() -> None:
    before_midnight = datetime(2026, 3, 2, 22, 59, 59, tzinfo=UTC)
    quoted = rules.stack(track=(), policy=policy("calendar_day"), now=NOW)
    for now, same in ((before_midnight, True), (before_midnight + SECOND, False)):
        today = rules.stack(track=(), policy=policy("calendar_day"), now=now)
        assert rules.is_same_result(quoted=quoted, today=today) is same


# -- price -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gross", "basis_points", "tax"),
    [(12_90, 2100, 2_24), (29_00, 2100, 5_03), (1_980, 1000, 180), (4_980, 1000, 453), (11, 1000, 1), (5, 1000, 0),
     (11, 10_000, 6), (1, 2100, 0)],
)  # fmt: skip
def test_tax_is_rounded_once_half_up(gross: int, basis_points: int, tax: int) -> None:
    assert tax_inside(Money(gross, "EUR"), basis_points) == Money(tax, "EUR")
