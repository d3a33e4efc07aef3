"""Three weeks in one order: each is asked of the carrier under a key of its own, and goes its own way.

xiaoyu's card runs for two more days, her wallet holds EUR 60.00. A week costs EUR 12.90, three EUR 38.70 (EUR 6.72 of
it tax), two EUR 25.80 (EUR 4.48).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from tests.journeys.renewal_world import BEGIN, Killed, Trade
from xuka.kernel import ids
from xuka.ledger import operations as booking
from xuka.ledger import queries as ledger
from xuka.ledger.rules import Leg
from xuka.receipts import queries as receipts
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order

CHARGE, SHARE = ("charge", 38_70, "EUR"), 12_90
EARNED = [("revenue", 31_98, "EUR"), ("tax", 6_72, "EUR")]
EARNED_OF_TWO = [("revenue", 21_32, "EUR"), ("tax", 4_48, "EUR")]
CARD_ENDS, WEEK = datetime(2026, 3, 4, 12, 0, tzinfo=UTC), timedelta(days=7)
XIAOYU, SELLER = "xiaoyu@demo.xuka.example", "seller@xuka.example"


def at_call(trade: Trade, number: int, act: Callable[[], None], when: str = "before") -> None:
    """This happens when so many top-ups have been put on the wire."""

    def on_wire(moment: str) -> None:
        if moment == when and len(trade.asked) == number:
            trade.on_wire = lambda moment: None
            act()

    trade.on_wire = on_wire


def weeks(trade: Trade, order: Order) -> list[tuple[int, Any, Any]]:
    """(ordinal, start, end) of what the order brought."""
    return [(one.ordinal, one.span.lower, one.span.upper) for one in trade.periods(order)]


def papers(order: Order) -> list[tuple[bool, int, int]]:
    """(is a credit note, total, tax) of its receipts, oldest first."""
    found = sorted(receipts.receipts_about(order.id), key=lambda one: one.is_credit_note)
    return [(one.is_credit_note, one.total_minor, one.document["rates"][0]["tax_minor"]) for one in found]


def taken(trade: Trade, order: Order) -> list[int]:
    """How often the carrier took each of them."""
    return [len(trade.truth(order, ordinal)) for ordinal in range(order.count)]


def test_three_weeks_are_three_activations_under_three_keys_and_follow_each_other(trade: Trade) -> None:
    quote = trade.quote(count=3)
    ends = [CARD_ENDS + number * WEEK for number in range(4)]
    assert [(one.starts_at, one.ends_at) for one in quote.periods] == list(pairwise(ends))
    assert (quote.total_minor, quote.tax_minor, quote.count, quote.most) == (38_70, 6_72, 3, 12)
    assert (quote.starts_at, quote.ends_at, quote.again_at) == (ends[0], ends[3], BEGIN)
    order = trade.place(quote)
    trade.work()
    found = trade.order(order)
    assert (found.state, found.delivered, found.given_back, found.reason) == ("active", [0, 1, 2], [], "")
    assert trade.asked == [trade.key(order, ordinal) for ordinal in range(3)]
    assert weeks(trade, order) == [(number, ends[number], ends[number + 1]) for number in range(3)]
    assert trade.transfers(order) == [CHARGE, *EARNED]
    assert (trade.hold(order), trade.wallet(), taken(trade, order)) == (0, 60_00 - 38_70, [1, 1, 1])
    assert trade.letters(order) == [("confirmed", XIAOYU), ("renewed", XIAOYU)]
    assert papers(order) == [(False, 38_70, 6_72)]
    trade.wait(minutes=10)  # each is looked at once more, to count
    assert (trade.looked, trade.order(order).next_step_at) == (3, None)
    assert len(trade.asked) == 3


def test_the_share_of_a_refused_week_goes_back_and_the_others_stay(trade: Trade) -> None:
    """Decision: what became of one week does not stop the others; the third is asked for, and follows the first."""
    order = trade.buy(count=3)
    at_call(trade, 2, lambda: trade.fail("topup_disabled"))
    trade.work()
    found = trade.order(order)
    assert (found.state, found.delivered, found.given_back) == ("active", [0, 2], [1])
    assert found.reason == "top_up_disabled"
    assert trade.asked == [trade.key(order, ordinal) for ordinal in range(3)]
    assert weeks(trade, order) == [(0, CARD_ENDS, CARD_ENDS + WEEK), (2, CARD_ENDS + WEEK, CARD_ENDS + 2 * WEEK)]
    assert trade.transfers(order) == [CHARGE, EARNED_OF_TWO[0], ("share:1", SHARE, "EUR"), EARNED_OF_TWO[1]]
    assert (trade.hold(order), trade.wallet()) == (0, 60_00 - 25_80)
    assert "order.surplus_returned" not in trade.facts(order)
    assert trade.letters(order) == [("confirmed", XIAOYU), ("renewed", XIAOYU)]
    assert papers(order) == [(False, 38_70, 6_72), (True, -12_90, -2_24)]
    trade.wait(days=1)
    assert (len(trade.asked), taken(trade, order), trade.order(order).next_step_at) == (3, [1, 0, 1], None)
    assert trade.transfers(order) == [CHARGE, EARNED_OF_TWO[0], ("share:1", SHARE, "EUR"), EARNED_OF_TWO[1]]


def test_money_that_comes_once_more_after_a_share_went_back_goes_back_whole_and_once(trade: Trade) -> None:
    order = trade.buy(count=3)

    def somebody_pays_again() -> None:
        paid_again = Leg(ids.new(), "paid", booking.house("clearing", "EUR"), order.hold_id, "EUR", 5_00)
        booking.post(paid_again, now=trade.now)

    trade.fail("topup_disabled")
    at_call(trade, 2, somebody_pays_again)
    trade.work()
    found = trade.order(order)
    assert (found.state, found.delivered, found.given_back, found.returns) == ("active", [1, 2], [0], 1)
    back = [("return:0", 5_00, "EUR"), ("share:0", SHARE, "EUR")]
    assert [one for one in trade.transfers(order) if one[0][:5] in {"retur", "share"}] == back
    assert (trade.hold(order), trade.wallet()) == (0, 60_00 - 25_80 + 5_00)


def test_when_every_week_is_refused_all_of_it_comes_back(trade: Trade) -> None:
    trade.fail("topup_disabled", times=3)
    order = trade.buy(count=3)
    trade.work()
    found = trade.order(order)
    assert (found.state, found.delivered, found.next_step_at) == ("refunded", [], None)
    back = [("refund", SHARE, "EUR"), ("share:0", SHARE, "EUR"), ("share:1", SHARE, "EUR")]
    assert trade.transfers(order) == [CHARGE, *back]
    assert (trade.hold(order), trade.wallet(), len(trade.asked), weeks(trade, order)) == (0, 60_00, 3, [])
    assert trade.letters(order) == [("confirmed", XIAOYU), ("refunded", XIAOYU)]
    assert papers(order) == [(False, 38_70, 6_72), (True, -38_70, -6_72)]


def test_a_week_that_was_taken_without_a_word_is_found_and_not_bought_again(trade: Trade) -> None:
    order = trade.buy(count=3)
    at_call(trade, 2, lambda: trade.fail("timeout_after"))
    trade.work()
    assert (trade.order(order).state, trade.order(order).delivered) == ("active", [0, 1, 2])
    assert (trade.asked, trade.looked) == ([trade.key(order, ordinal) for ordinal in range(3)], 1)
    assert (taken(trade, order), trade.transfers(order)) == ([1, 1, 1], [CHARGE, *EARNED])


def test_a_death_between_two_weeks_costs_nothing_and_doubles_nothing(trade: Trade) -> None:
    order = trade.buy(count=3)

    def die() -> None:
        raise Killed

    at_call(trade, 2, die, "after")
    with pytest.raises(Killed):
        trade.work()
    assert (trade.order(order).delivered, trade.order(order).state) == ([0], "activating")
    trade.wait(seconds=29)  # the call may still be on the wire: the third waits too
    assert len(trade.asked) == 2
    trade.wait(seconds=1)
    assert (trade.order(order).state, trade.order(order).delivered) == ("active", [0, 1, 2])
    assert (taken(trade, order), len(trade.asked), trade.transfers(order)) == ([1, 1, 1], 3, [CHARGE, *EARNED])


def test_another_worker_keeps_away_from_all_of_them_while_one_is_on_the_wire(trade: Trade) -> None:
    moved: list[bool] = []
    trade.on_wire = lambda when: moved.append(trade.advance(order))
    order = trade.buy(count=3)
    trade.work()
    assert moved == [False] * 6
    assert (taken(trade, order), len(trade.asked)) == ([1, 1, 1], 3)


def test_the_carrier_that_says_later_is_asked_for_nothing_new_until_then(trade: Trade) -> None:
    trade.fail("maintenance")
    order = trade.buy(count=2)
    trade.work()
    assert (trade.asked, trade.order(order).state) == ([trade.key(order)], "activating")
    trade.wait(minutes=10)
    # Later was when the promise ended: the first week's share went back, the second was asked for once.
    assert trade.order(order).state == "active"
    assert taken(trade, order) in ([0, 1], [1, 1])


def silent_second(trade: Trade, *, acts: bool = False) -> Order:
    """Three weeks, of which the carrier takes the first and third and never tells of the second."""
    order = trade.buy(count=3)

    def go_silent() -> None:
        trade.fail("timeout_after" if acts else "timeout_before")
        trade.fail("timeout_before", endpoint="order_list", times=None)

    at_call(trade, 2, go_silent)
    trade.wait(minutes=20)
    found = trade.order(order)
    assert (found.state, found.delivered) == ("needs_a_person", [0, 2])
    assert (trade.hold(order), len(trade.asked)) == (38_70, 3)
    assert ("checking", XIAOYU) in trade.letters(order)
    return order


@pytest.mark.parametrize(
    ("exit", "acts", "delivered", "back", "looks_on"),
    [
        ("retry", False, [0, 2, 1], [], False),
        ("adopt", True, [0, 2, 1], [], False),
        ("refund", False, [0, 2], [1], True),
        ("close", False, [0, 2], [1], False),
    ],
)
def test_a_person_decides_about_the_one_week_that_nobody_can_know_of(
    trade: Trade, exit: str, acts: bool, delivered: list[int], back: list[int], looks_on: bool
) -> None:
    order = silent_second(trade, acts=acts)
    trade.heal()
    trade.decide(order, exit, reference=str(trade.truth(order, 1)[0].id) if acts else "")
    trade.work()
    found = trade.order(order)
    assert (found.state, found.delivered, found.given_back) == ("active", delivered, back)
    assert trade.hold(order) == 0
    assert trade.wallet() == 60_00 - 38_70 + len(back) * SHARE
    assert sum(amount for leg, amount, _ in trade.transfers(order) if leg in {"revenue", "tax"}) == (
        38_70 - len(back) * SHARE
    )
    assert (trade.attempt(order, 1).watch_until is not None) == looks_on
    trade.wait(minutes=1)
    assert papers(order)[1:] == [(True, -12_90, -2_24)] * len(back)
    with pytest.raises(renewals.CannotDecide, match="not_waiting"):
        trade.decide(order, "refund")


def test_a_week_that_was_paid_back_and_taken_after_all_is_the_sellers_loss(trade: Trade) -> None:
    order = silent_second(trade, acts=True)
    trade.decide(order, "refund")
    trade.heal()
    trade.wait(days=2)
    (late,) = trade.truth(order, 1)
    assert (f"carrier_loss:{late.id}", 7_00, "USD") in trade.transfers(order)
    assert (trade.order(order).state, trade.order(order).delivered) == ("active", [0, 2])
    assert (len(weeks(trade, order)), trade.wallet()) == (2, 60_00 - 25_80)


def test_where_several_wait_the_person_says_which(trade: Trade) -> None:
    trade.go_silent()
    order = trade.buy(count=2)
    trade.wait(minutes=20)
    assert trade.order(order).state == "needs_a_person"
    with pytest.raises(renewals.CannotDecide, match="which"):
        trade.decide(order, "refund")
    trade.decide(order, "close", ordinal=1)
    found = trade.order(order)
    assert (found.state, found.given_back) == ("needs_a_person", [1])
    assert (trade.hold(order), trade.wallet()) == (12_90, 60_00 - 12_90)
    trade.decide(order, "close")
    trade.work()
    assert (trade.order(order).state, trade.hold(order), trade.wallet()) == ("cancelled", 0, 60_00)
    trade.wait(minutes=1)
    assert papers(order) == [(False, 25_80, 4_48), (True, -25_80, -4_48)]


def test_a_double_of_one_week_is_counted_and_told(trade: Trade) -> None:
    order = trade.buy(count=2)
    at_call(trade, 2, lambda: trade.fail("duplicate"))
    trade.work()
    trade.wait(minutes=5)
    second = trade.truth(order, 1)[1]
    assert taken(trade, order) == [1, 2]
    assert (f"duplicate:{second.id}", 7_00, "USD") in trade.transfers(order)
    assert ("staff_activation.duplicate_1", SELLER) in trade.letters(order)
    assert (len(weeks(trade, order)), trade.wallet()) == (2, 60_00 - 25_80)


@pytest.mark.parametrize("count", [0, -1, 13, 10**12])
def test_a_number_of_weeks_that_nobody_can_buy_is_refused(trade: Trade, count: int) -> None:
    with pytest.raises(renewals.CannotRenew) as refused:
        trade.quote(count=count)
    assert (refused.value.code, refused.value.most) == ("count", 12)


def test_not_more_than_the_plan_allows_to_be_paid_ahead(trade: Trade) -> None:
    sold = trade.quote("xiaoyu", "be-month-60gb", count=12)  # 2 days and 12 times 30 are within 365
    assert (sold.count, sold.most) == (12, 12)
    trade.place(trade.quote("xiaoyu", "be-month-60gb", count=2))
    trade.work()
    again = trade.quote("xiaoyu", "be-month-60gb")
    assert (again.count, again.most) == (1, 10)
    with pytest.raises(renewals.CannotRenew) as refused:
        trade.quote("xiaoyu", "be-month-60gb", count=11)
    assert (refused.value.code, refused.value.most) == ("too_many_at_once", 10)


def test_one_period_is_never_opened_twice(trade: Trade) -> None:
    order = trade.buy(count=2)
    trade.work()
    assert ledger.check_books() == []
    with pytest.raises(IntegrityError), transaction.atomic():
        Order.objects.filter(id=order.id).update(given_back=[1])
    with pytest.raises(IntegrityError), transaction.atomic():
        Order.objects.filter(id=order.id).update(count=13)
