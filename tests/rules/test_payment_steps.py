"""What is done next about a payment and about a refund, as tables; how money goes back to where it came from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xuka.kernel.money import Money
from xuka.payments import rules
from xuka.payments.rules import Next, PaymentFacts, PaymentState, Refundable, RefundFacts, RefundState, Step

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)

OPEN = PaymentFacts(PaymentState.OPEN, True, closing=False, pay_by=LATER, lease_until=None, next_step_at=NOW)
AGREED = replace(OPEN, state=PaymentState.APPROVED)
LOST = replace(OPEN, state=PaymentState.STARTING, has_reference=False)


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        pytest.param(OPEN, Next(Step.LOOK), id="open, a look is due"),
        pytest.param(replace(OPEN, next_step_at=LATER), Next(Step.WAIT, LATER), id="open, not due"),
        pytest.param(replace(OPEN, lease_until=LATER), Next(Step.WAIT, LATER), id="somebody looks"),
        pytest.param(replace(OPEN, lease_until=NOW), Next(Step.LOOK), id="whoever looked is dead"),
        pytest.param(replace(OPEN, pay_by=NOW), Next(Step.CLOSE), id="the time to pay is over"),
        pytest.param(replace(OPEN, closing=True), Next(Step.CLOSE), id="nothing more shall be paid"),
        pytest.param(
            replace(OPEN, closing=True, state=PaymentState.PROCESSING), Next(Step.LOOK), id="the bank has not decided"
        ),
        pytest.param(AGREED, Next(Step.CAPTURE), id="the customer agreed"),
        pytest.param(replace(AGREED, absent_at=LATER), Next(Step.CAPTURE), id="a capture was not answered: once more"),
        pytest.param(replace(AGREED, closing=True), Next(Step.CLOSE), id="agreed, and not wanted any more"),
        pytest.param(replace(AGREED, pay_by=NOW), Next(Step.CLOSE), id="agreed, and too late"),
        pytest.param(
            replace(AGREED, closing=True, absent_at=LATER), Next(Step.WAIT, LATER), id="a capture may still be done"
        ),
        pytest.param(replace(AGREED, closing=True, absent_at=NOW), Next(Step.CLOSE), id="it was surely not done"),
        pytest.param(LOST, Next(Step.FIND), id="the answer was lost: look before asking again"),
        pytest.param(replace(LOST, closing=True), Next(Step.FIND), id="the answer was lost, and it shall be closed"),
        pytest.param(replace(OPEN, state=PaymentState.PAID), Next(Step.FINISH), id="paid"),
        pytest.param(replace(OPEN, state=PaymentState.MISMATCHED), Next(Step.FINISH), id="a person decides"),
        pytest.param(replace(OPEN, state=PaymentState.CLOSED, next_step_at=None), Next(Step.FINISH), id="closed"),
        pytest.param(replace(OPEN, state=PaymentState.CLOSED), Next(Step.LOOK), id="closed, yet there is news"),
    ],
)  # fmt: skip
def test_what_is_done_next_about_a_payment(facts: PaymentFacts, step: Next) -> None:
    assert rules.next_payment_step(NOW, facts) == step


NEW = RefundFacts(RefundState.STARTING, False, asks=0, surely_absent=False, lease_until=None, next_step_at=NOW)
ASKED = replace(NEW, asks=1)


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        pytest.param(NEW, Next(Step.ASK), id="never asked"),
        pytest.param(ASKED, Next(Step.FIND), id="the answer was lost: look before asking again"),
        pytest.param(replace(ASKED, surely_absent=True), Next(Step.ASK), id="it was surely never taken"),
        pytest.param(replace(ASKED, lease_until=LATER), Next(Step.WAIT, LATER), id="on the wire"),
        pytest.param(replace(ASKED, next_step_at=LATER), Next(Step.WAIT, LATER), id="not due"),
        pytest.param(replace(ASKED, has_reference=True, state=RefundState.PENDING), Next(Step.LOOK), id="on its way"),
        pytest.param(replace(ASKED, has_reference=True, state=RefundState.DONE), Next(Step.LOOK), id="done, news came"),
        pytest.param(
            replace(ASKED, has_reference=True, state=RefundState.DONE, next_step_at=None), Next(Step.FINISH), id="done"
        ),
        pytest.param(replace(ASKED, state=RefundState.FAILED, next_step_at=None), Next(Step.FINISH), id="failed"),
        pytest.param(replace(ASKED, state=RefundState.FAILED), Next(Step.FINISH), id="failed before it was taken"),
    ],
)  # fmt: skip
def test_what_is_done_next_about_a_refund(facts: RefundFacts, step: Next) -> None:
    assert rules.next_refund_step(NOW, facts) == step


@given(st.integers(0, 5_000), st.lists(st.integers(0, 2_000), max_size=5))
def test_money_goes_back_to_where_it_came_from_and_never_more_than_came(amount: int, came: list[int]) -> None:
    payments = [Refundable(uuid4(), left) for left in came]
    parts = dict(rules.shares(amount, payments))
    assert sum(parts.values()) == min(amount, sum(came))
    assert all(part > 0 for part in parts.values())
    assert all(parts.get(one.payment_id, 0) <= one.left_minor for one in payments)


def test_what_was_paid_twice_goes_back_to_the_one_that_came_last() -> None:
    last, first = Refundable(uuid4(), 12_90), Refundable(uuid4(), 12_90)
    assert rules.shares(12_90, [last, first]) == [(last.payment_id, 12_90)]
    assert rules.shares(20_00, [last, first]) == [(last.payment_id, 12_90), (first.payment_id, 7_10)]


@pytest.mark.parametrize(
    ("silences", "minutes"), [(0, None), (1, None), (2, 1), (3, 2), (4, 4), (5, 8), (6, 10), (1_000, 10)]
)
def test_a_silent_provider_steps_back_for_longer_and_longer_and_for_ten_minutes_at_most(
    silences: int, minutes: int | None
) -> None:
    assert rules.down_for(silences) == (None if minutes is None else timedelta(minutes=minutes))


@pytest.mark.parametrize(("days", "then"), [(0, 1), (1, 7), (6, 7), (7, 30), (30, None), (99, None)])
def test_a_refund_that_is_done_is_looked_at_after_a_day_a_week_and_a_month(days: int, then: int | None) -> None:
    at = rules.look_at_what_is_done(NOW, NOW + timedelta(days=days))
    assert at == (None if then is None else NOW + timedelta(days=then))


def test_looks_become_rare_but_never_end() -> None:
    assert [rules.look_again_after(looks).total_seconds() for looks in range(4)] == [30, 60, 120, 240]
    assert rules.look_again_after(10_000) == timedelta(hours=6)


@given(st.uuids())
def test_our_key_is_known_again_in_the_providers_words(key: UUID) -> None:
    assert rules.key_in(rules.words_of(key)) == key


@pytest.mark.parametrize("words", ["", "xuka-", "xuka-12", "other", "xuka-" + "g" * 32])
def test_a_key_that_is_not_ours_is_none(words: str) -> None:
    assert rules.key_in(words) is None


@pytest.mark.parametrize(
    ("minor", "basis_points", "fee"), [(12_90, 0, 0), (12_90, 150, 19), (4_980, 300, 149), (1, 100, 0), (50, 100, 1)]
)
def test_a_fee_is_rounded_once_half_up(minor: int, basis_points: int, fee: int) -> None:
    assert rules.fee(Money(minor, "JPY"), basis_points) == Money(fee, "JPY")
