"""What happens to a renewal when the carrier, the process, the money or the customer does not do what was hoped.

xiaoyu's card in Belgium runs for two more days, her wallet holds EUR 60.00, a week costs EUR 12.90 (EUR 2.24 of it
tax) and the seller USD 7.00. Emma's card has ended. Nothing here reads the clock of the machine.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests.journeys.renewal_world import BEGIN, Killed, Trade
from tests.journeys.web_world import DATA
from xuka.catalogue import operations as catalogue
from xuka.interfaces.web import texts
from xuka.kernel.money import Money
from xuka.ledger import queries as ledger
from xuka.lines import queries as lines
from xuka.messaging import queries as messaging
from xuka.renewals import operations as renewals
from xuka.renewals import queries as renewals_queries
from xuka.renewals.models import Order

CHARGE, REVENUE, TAX = ("charge", 12_90, "EUR"), ("revenue", 10_66, "EUR"), ("tax", 2_24, "EUR")
REFUND = ("refund", 12_90, "EUR")
SOLD, PAID_BACK = [CHARGE, REVENUE, TAX], [CHARGE, REFUND]
XIAOYU, SELLER = "xiaoyu@demo.xuka.example", "seller@xuka.example"
CARD_ENDS = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def is_active_once(trade: Trade, order: Order) -> bool:
    """Everything that a renewal of xiaoyu's card leaves behind, exactly once."""
    found = trade.order(order)
    assert (found.state, found.reason) == ("active", "")
    assert found.next_step_at == trade.attempt(order).look_at  # nothing is left but to count, if that
    assert [one.package for one in trade.truth(order)] == ["belsim-7days-unlimited-topup"]
    (period,) = trade.periods(order)
    assert (period.span.lower, period.span.upper) == (CARD_ENDS, CARD_ENDS + timedelta(days=7))
    assert trade.transfers(order) == SOLD
    assert trade.hold(order) == 0
    assert "order.needs_a_person" not in trade.facts(order)
    return True


def is_paid_back(trade: Trade, order: Order, reason: str) -> bool:
    """The money is back, and nothing else came of it."""
    found = trade.order(order)
    assert (found.state, found.reason, found.next_step_at) == ("refunded", reason, None)
    assert trade.truth(order) == []
    assert trade.periods(order) == []
    assert trade.transfers(order) == PAID_BACK
    assert (trade.hold(order), trade.wallet()) == (0, 60_00)
    assert "order.needs_a_person" not in trade.facts(order)
    return True


# -- the carrier acts, and nobody hears of it --------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["timeout_after", "error_after", "drop_after", "garbage_after", "unexpected_after"])
def test_a_carrier_that_acts_and_does_not_say_so_is_found_not_bought_from_twice(trade: Trade, fault: str) -> None:
    trade.fail(fault)
    order = trade.buy()
    trade.work()
    assert is_active_once(trade, order)
    assert trade.asked == [trade.key(order)]
    assert trade.looked == 1
    assert trade.when(order, "order.active") == timedelta(0)
    assert trade.wallet() == 60_00 - 12_90
    assert trade.letters(order) == [("confirmed", XIAOYU), ("renewed", XIAOYU)]


def test_a_carrier_that_answers_is_looked_at_only_once_and_later_to_count(trade: Trade) -> None:
    order = trade.buy()
    trade.work()
    assert is_active_once(trade, order)
    assert (trade.asked, trade.looked) == ([trade.key(order)], 0)
    trade.wait(days=1)
    assert (trade.asked, trade.looked) == ([trade.key(order)], 1)
    assert trade.order(order).next_step_at is None
    assert is_active_once(trade, order)


def test_a_carrier_that_answers_well_and_acts_twice_is_counted_and_told(trade: Trade) -> None:
    trade.fail("duplicate")
    order = trade.buy()
    trade.work()
    assert trade.transfers(order) == SOLD
    trade.wait(minutes=5)
    first, second = trade.truth(order)
    assert trade.attempt(order).reference == str(first.id)
    assert trade.transfers(order) == sorted([*SOLD, (f"duplicate:{second.id}", 7_00, "USD")])
    assert ("staff_activation.duplicate_1", SELLER) in trade.letters(order)
    assert (len(trade.periods(order)), trade.wallet()) == (1, 60_00 - 12_90)
    assert trade.order(order).next_step_at is None


def test_another_worker_keeps_away_while_the_call_is_on_the_wire(trade: Trade) -> None:
    moved: list[bool] = []
    trade.on_wire = lambda when: moved.append(trade.advance(order))
    order = trade.buy()
    trade.work()
    assert moved == [False, False]
    assert trade.asked == [trade.key(order)]
    assert is_active_once(trade, order)


# -- the carrier says: later -------------------------------------------------------------------------------------------

LATER = [
    pytest.param("maintenance", {}, 1, 10, "maintenance", id="maintenance"),
    pytest.param("out_of_stock", {}, 1, 10, "out_of_stock", id="out of stock"),
    pytest.param("rate_limited", {"retry_after": 120}, 2, 5, "rate_limited", id="rate limited"),
    pytest.param("insufficient_credit", {}, 5, 2, "seller_out_of_credit", id="the seller's credit is used up"),
]


@pytest.mark.parametrize(("fault", "more", "every", "tries", "reason"), LATER)
def test_a_carrier_that_says_later_is_asked_again_when_it_said(
    trade: Trade, fault: str, more: dict, every: int, tries: int, reason: str
) -> None:
    trade.fail(fault, **more)
    order = trade.buy()
    trade.wait(minutes=every, seconds=-1)
    assert trade.asked == [trade.key(order)]
    assert trade.order(order).state == "activating"
    trade.wait(seconds=1)
    assert trade.asked == [trade.key(order)] * 2
    assert is_active_once(trade, order)
    assert trade.when(order, "order.active") == minutes(every)


@pytest.mark.parametrize(("fault", "more", "every", "tries", "reason"), LATER)
def test_a_carrier_that_says_later_until_the_promise_ends_costs_nobody_anything(
    trade: Trade, fault: str, more: dict, every: int, tries: int, reason: str
) -> None:
    trade.fail(fault, times=None, **more)
    order = trade.buy()
    trade.wait(minutes=30)
    assert is_paid_back(trade, order, reason)
    assert trade.asked == [trade.key(order)] * tries
    assert trade.when(order, "order.refunded") == minutes(every * (tries - 1)) < renewals.rules.PROMISE
    assert trade.letters(order) == [("confirmed", XIAOYU), ("refunded", XIAOYU)]


# -- the carrier says: no ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ("recycled", "card_recycled", "The carrier has taken this card out of service, so it could not be renewed."),
        ("topup_disabled", "top_up_disabled", "The carrier does not allow this card to be renewed any more."),
        ("package_gone", "out_of_stock", "The carrier had none of this plan left."),
    ],
)
def test_a_refusal_for_good_is_paid_back_at_once_with_its_reason(
    trade: Trade, fault: str, reason: str, words: str
) -> None:
    trade.fail(fault)
    order = trade.buy()
    trade.work()
    assert is_paid_back(trade, order, reason)
    assert (trade.asked, trade.looked) == ([trade.key(order)], 0)
    assert trade.when(order, "order.refunded") == timedelta(0)
    assert texts.refusal(trade.order(order).reason) == words
    trade.wait(days=1)
    assert len(trade.asked) == 1


# -- the process dies --------------------------------------------------------------------------------------------------


def dies(trade: Trade, order: Order, when: str) -> None:
    """The worker asks the carrier and dies while the call is on the wire."""

    def kill(moment: str) -> None:
        if moment == when:
            trade.on_wire = lambda moment: None
            raise Killed

    trade.on_wire = kill
    with pytest.raises(Killed):
        trade.work()


def test_after_a_death_on_the_wire_the_next_worker_looks_first(trade: Trade) -> None:
    order = trade.buy()
    dies(trade, order, "after")
    assert trade.attempt(order).state == "intended"
    trade.wait(seconds=29)  # the call's 20 s and 10 s of margin
    assert (trade.order(order).state, trade.looked) == ("activating", 0)
    trade.wait(seconds=1)
    assert is_active_once(trade, order)
    assert (len(trade.asked), trade.looked) == (1, 1)


def test_a_call_that_never_left_is_asked_again_only_when_it_surely_never_will(trade: Trade) -> None:
    order = trade.buy()
    dies(trade, order, "before")
    trade.wait(seconds=149)  # the lease, and two minutes in which the call could still arrive
    assert len(trade.asked) == 1
    assert trade.order(order).state == "activating"
    trade.wait(seconds=1)
    assert trade.order(order).state == "active"
    trade.wait(minutes=5)  # once more it is looked whether the carrier took both
    assert trade.asked == [trade.key(order)] * 2
    assert is_active_once(trade, order)
    assert trade.when(order, "order.active") == timedelta(seconds=150)


# -- surely absent -----------------------------------------------------------------------------------------------------


def test_what_is_surely_absent_is_asked_for_once_more_under_the_same_key(trade: Trade) -> None:
    trade.fail("timeout_before")
    order = trade.buy()
    trade.wait(seconds=119)
    assert len(trade.asked) == 1
    trade.wait(seconds=1)
    assert trade.order(order).state == "active"
    trade.wait(minutes=5)
    assert trade.asked == [trade.key(order)] * 2
    assert is_active_once(trade, order)
    assert trade.when(order, "order.active") == minutes(2)


def test_what_is_surely_absent_twice_is_paid_back(trade: Trade) -> None:
    trade.fail("timeout_before", times=None)
    order = trade.buy()
    trade.wait(minutes=30)
    assert is_paid_back(trade, order, "not_delivered")
    assert trade.asked == [trade.key(order)] * 2
    assert trade.when(order, "order.refunded") == minutes(4)


def test_an_order_that_was_asked_for_twice_is_looked_at_once_more_for_a_double(trade: Trade) -> None:
    """The first call arrives after everybody thought it lost: counted, told to staff, never the customer's loss."""
    trade.fail("timeout_before")
    order = trade.buy()
    trade.wait(minutes=2)
    (kept,) = trade.truth(order)
    late = trade.world.top_up(
        package_id="belsim-7days-unlimited-topup", iccid=trade.card("xiaoyu").iccid, description=trade.key(order)
    )
    trade.wait(minutes=5)
    found = trade.order(order)
    assert (found.state, found.next_step_at) == ("active", None)
    assert trade.attempt(order).reference == str(kept.id)
    assert trade.transfers(order) == sorted([*SOLD, (f"duplicate:{late.id}", 7_00, "USD")])
    assert len(trade.periods(order)) == 1
    assert ("staff_activation.duplicate_1", SELLER) in trade.letters(order)


# -- silence, and a person ---------------------------------------------------------------------------------------------


def silent_order(trade: Trade, *, acts: bool = False) -> Order:
    """An order of which the carrier never says what became of it; with ``acts`` it was done all the same."""
    if acts:
        trade.fail("timeout_after")
    trade.go_silent()
    order = trade.buy()
    trade.wait(minutes=20)
    assert trade.order(order).state == "needs_a_person"
    return order


def test_a_silent_carrier_becomes_a_persons_matter_at_the_stated_time(trade: Trade) -> None:
    trade.go_silent()
    order = trade.buy()
    trade.wait(minutes=20, seconds=-1)
    assert trade.order(order).state == "activating"
    trade.wait(seconds=1)
    found = trade.order(order)
    assert (found.state, found.reason) == ("needs_a_person", "carrier_silent")
    assert trade.when(order, "order.needs_a_person") == minutes(20)
    assert renewals_queries.decided_by(found) == BEGIN + minutes(20) + timedelta(hours=24)
    assert trade.asked == [trade.key(order)]
    assert (trade.hold(order), trade.wallet()) == (12_90, 60_00 - 12_90)
    assert trade.letters(order) == [
        ("checking", XIAOYU),
        ("confirmed", XIAOYU),
        ("staff_order.needs_a_person_1", SELLER),
    ]


def test_a_carrier_that_speaks_again_needs_no_decision(trade: Trade) -> None:
    order = silent_order(trade, acts=True)
    trade.heal()
    trade.wait(hours=6)
    assert trade.order(order).state == "active"
    assert trade.transfers(order) == SOLD
    assert (len(trade.asked), len(trade.truth(order)), len(trade.periods(order))) == (1, 1, 1)
    with pytest.raises(renewals.CannotDecide, match="not_waiting"):
        trade.decide(order, "refund")


def test_a_person_lets_it_be_asked_once_more(trade: Trade) -> None:
    order = silent_order(trade)
    trade.heal()
    trade.decide(order, "retry")
    assert trade.order(order).promised_by == trade.now + minutes(10)
    trade.work()
    assert trade.asked == [trade.key(order)] * 2
    assert trade.order(order).state == "active"
    assert trade.transfers(order) == SOLD
    assert len(trade.truth(order)) == len(trade.periods(order)) == 1
    trade.wait(days=1)
    assert trade.order(order).next_step_at is None
    assert trade.transfers(order) == SOLD


def test_a_person_who_lets_it_be_asked_again_though_it_was_done_is_told_of_the_double(trade: Trade) -> None:
    order = silent_order(trade, acts=True)
    trade.heal()
    trade.decide(order, "retry")
    trade.wait(days=1)
    first, second = trade.truth(order)
    assert trade.order(order).state == "active"
    assert trade.attempt(order).reference == str(second.id)
    assert trade.transfers(order) == sorted([*SOLD, (f"duplicate:{first.id}", 7_00, "USD")])
    assert ("staff_activation.duplicate_1", SELLER) in trade.letters(order)
    assert len(trade.periods(order)) == 1


def test_a_double_is_counted_even_when_the_carrier_is_silent_at_the_last_look(trade: Trade) -> None:
    order = silent_order(trade, acts=True)
    trade.heal()
    trade.fail("error_before", endpoint="order_list", times=3)
    trade.decide(order, "retry")
    trade.wait(days=1)
    first, _ = trade.truth(order)
    assert (f"duplicate:{first.id}", 7_00, "USD") in trade.transfers(order)
    assert trade.order(order).next_step_at is None


def test_a_person_adopts_what_was_seen_at_the_carrier(trade: Trade) -> None:
    order = silent_order(trade, acts=True)
    (done,) = trade.truth(order)
    trade.decide(order, "adopt", reference=str(done.id))
    trade.work()
    assert (trade.order(order).state, trade.order(order).next_step_at) == ("active", None)
    assert trade.attempt(order).reference == str(done.id)
    assert trade.transfers(order) == SOLD
    assert (len(trade.asked), len(trade.periods(order))) == (1, 1)


def test_a_person_closes_what_was_surely_not_done(trade: Trade) -> None:
    order = silent_order(trade)
    trade.decide(order, "close")
    trade.work()
    looked = trade.looked
    trade.wait(days=2)
    assert (trade.order(order).state, trade.order(order).next_step_at) == ("cancelled", None)
    assert trade.transfers(order) == [CHARGE, ("return:0", 12_90, "EUR")]
    assert (trade.hold(order), trade.wallet()) == (0, 60_00)
    assert (len(trade.asked), trade.looked, trade.periods(order)) == (1, looked, [])


def test_a_refund_by_a_person_then_a_late_done_is_the_sellers_loss(trade: Trade) -> None:
    order = silent_order(trade, acts=True)
    trade.decide(order, "refund")
    trade.work()
    assert trade.order(order).state == "refunded"
    assert trade.wallet() == 60_00
    trade.wait(days=2)
    trade.heal()
    trade.wait(days=1)
    (done,) = trade.truth(order)
    found = trade.order(order)
    assert (found.state, found.next_step_at) == ("refunded", None)
    assert trade.transfers(order) == [(f"carrier_loss:{done.id}", 7_00, "USD"), *PAID_BACK]
    assert ledger.balance(renewals.ledger.house("carrier_loss", "USD")) == 7_00
    assert ledger.balance(renewals.ledger.house("carrier_payable", "USD")) == -7_00
    assert (trade.wallet(), trade.hold(order), trade.periods(order)) == (60_00, 0, [])
    assert trade.facts(order).count("activation.carrier_loss") == 1
    assert ("staff_activation.carrier_loss_1", SELLER) in trade.letters(order)
    assert trade.asked == [trade.key(order)]
    looked = trade.looked
    trade.wait(days=30)
    assert trade.looked == looked
    assert trade.transfers(order) == [(f"carrier_loss:{done.id}", 7_00, "USD"), *PAID_BACK]


def test_the_watch_after_a_persons_refund_ends_after_thirty_days(trade: Trade) -> None:
    order = silent_order(trade)
    trade.decide(order, "refund")
    trade.wait(days=29, hours=17)
    assert trade.order(order).next_step_at is not None
    looked = trade.looked
    trade.wait(hours=7)
    assert trade.looked > looked
    found = trade.order(order)
    assert (found.state, found.next_step_at, trade.attempt(order).state) == ("refunded", None, "abandoned")
    looked = trade.looked
    trade.heal()
    trade.wait(days=30)
    assert (trade.looked, len(trade.asked)) == (looked, 1)
    assert trade.transfers(order) == PAID_BACK


def test_a_carrier_that_acts_twice_under_one_key_is_adopted_once(trade: Trade) -> None:
    def doubled(when: str) -> None:
        trade.world.top_up(
            package_id="belsim-7days-unlimited-topup", iccid=trade.card("xiaoyu").iccid, description=trade.asked[-1]
        )

    trade.on_wire = doubled
    trade.fail("timeout_after")
    order = trade.buy()
    trade.work()
    first, second = trade.truth(order)
    assert trade.order(order).state == "active"
    assert trade.attempt(order).reference == str(first.id)
    assert trade.transfers(order) == [CHARGE, (f"duplicate:{second.id}", 7_00, "USD"), REVENUE, TAX]
    assert len(trade.periods(order)) == 1
    assert trade.wallet() == 60_00 - 12_90
    told = [("confirmed", XIAOYU), ("renewed", XIAOYU), ("staff_activation.duplicate_1", SELLER)]
    assert trade.letters(order) == told
    trade.wait(days=1)
    assert trade.order(order).next_step_at is None
    assert trade.facts(order).count("activation.duplicate") == 1


# -- what the quote said -----------------------------------------------------------------------------------------------


def raise_the_price(trade: Trade, folder: Path) -> None:
    """The seller's week in Belgium costs EUR 14.90 from now on."""
    shutil.copytree(DATA, folder, dirs_exist_ok=True)
    plans = folder / "demo-plans.yaml"
    plans.write_text(plans.read_text().replace('"12.90"', '"14.90"'))
    catalogue.load(folder, who="seller", now=trade.now)


def test_a_quote_is_honoured_though_the_price_has_changed(trade: Trade, tmp_path: Path) -> None:
    quote = trade.quote()
    raise_the_price(trade, tmp_path)
    assert trade.quote().total_minor == 14_90
    trade.sleep(minutes=15, seconds=-1)
    order = trade.place(quote)
    trade.work()
    assert trade.order(order).total_minor == 12_90
    assert trade.order(order).plan_version.number == 1
    assert is_active_once(trade, order)


def test_after_its_quarter_of_an_hour_a_quote_buys_nothing(trade: Trade) -> None:
    quote = trade.quote()
    trade.sleep(minutes=15)
    with pytest.raises(renewals.QuoteExpired):
        trade.place(quote)
    trade.work()
    assert not Order.objects.exists()
    assert (trade.wallet(), trade.asked) == (60_00, [])


def test_another_renewal_in_between_asks_for_a_new_quote(trade: Trade) -> None:
    old, other = trade.quote(), trade.quote()
    trade.place(other)
    trade.work()
    with pytest.raises(renewals.QuoteChanged):
        trade.place(old)
    assert Order.objects.count() == 1
    assert trade.wallet() == 60_00 - 12_90
    fresh = trade.quote()
    assert (fresh.starts_at, fresh.ends_at) == (CARD_ENDS + timedelta(days=7), CARD_ENDS + timedelta(days=14))


def test_a_card_that_ended_in_between_asks_for_a_new_quote(trade: Trade) -> None:
    trade.now = CARD_ENDS - minutes(1)
    quote = trade.quote()
    assert not quote.starts_on_activation
    trade.sleep(minutes=1)
    with pytest.raises(renewals.QuoteChanged):
        trade.place(quote)
    assert not Order.objects.exists()


def test_a_card_that_has_ended_may_be_paid_minutes_after_the_quote(trade: Trade) -> None:
    """What starts when it is activated starts later: the same result, and not a day less."""
    quote = trade.quote("emma")
    assert quote.starts_on_activation
    trade.sleep(minutes=10)
    order = trade.place(quote)
    trade.work()
    (period,) = trade.periods(order)
    assert period.span.lower == BEGIN + minutes(10)
    assert period.span.upper == datetime(2026, 3, 31, 22, 0, tzinfo=UTC) == quote.ends_at


# -- two buyers --------------------------------------------------------------------------------------------------------


def test_the_second_buyer_is_shown_the_first_order(trade: Trade) -> None:
    quote, other_tab = trade.quote(), trade.quote()
    first = trade.place(quote)
    assert trade.place(quote).id == first.id
    assert trade.place(other_tab).id == first.id
    trade.work()
    assert trade.place(quote).id == first.id
    assert Order.objects.count() == 1
    assert is_active_once(trade, first)
    assert trade.asked == [trade.key(first)]
    assert trade.wallet() == 60_00 - 12_90


def test_the_same_id_finds_its_order_even_when_the_quote_is_over(trade: Trade) -> None:
    quote = trade.quote()
    first = trade.place(quote, id=UUID(int=5))
    trade.work()
    trade.sleep(days=1)
    again = trade.place(quote, id=UUID(int=5))
    assert (again.id, again.state, Order.objects.count()) == (first.id, "active", 1)


def test_the_same_id_with_other_content_is_refused(trade: Trade) -> None:
    trade.place(trade.quote(), id=UUID(int=5))
    trade.work()
    with pytest.raises(renewals.DifferentOrder):
        trade.place(trade.quote(), id=UUID(int=5))
    with pytest.raises(renewals.DifferentOrder):
        trade.place(trade.quote("emma"), id=UUID(int=5))
    assert Order.objects.count() == 1
    assert (trade.wallet(), trade.wallet("emma")) == (60_00 - 12_90, 40_00)


def test_a_strangers_quote_is_no_quote(trade: Trade) -> None:
    quote = trade.quote()
    with pytest.raises(renewals.UnknownQuote):
        trade.place(quote, customer=trade.customer("emma"))
    assert not Order.objects.exists()


# -- calling it off ----------------------------------------------------------------------------------------------------


def test_an_order_can_be_called_off_before_the_carrier_is_asked(trade: Trade) -> None:
    order = trade.buy()
    assert trade.order(order).state == "funded"
    for _ in range(2):
        renewals.cancel(order_id=order.id, customer=order.customer_id, now=trade.now)
    trade.work()
    found = trade.order(order)
    assert (found.state, found.next_step_at, trade.asked) == ("cancelled", None, [])
    assert trade.transfers(order) == [CHARGE, ("return:0", 12_90, "EUR")]
    assert (trade.wallet(), trade.hold(order), trade.periods(order)) == (60_00, 0, [])
    assert trade.facts(order).count("order.cancelled") == 1


def test_an_order_cannot_be_called_off_once_the_carrier_was_asked(trade: Trade) -> None:
    trade.fail("maintenance")
    order = trade.buy()
    trade.work()
    assert trade.order(order).state == "activating"
    with pytest.raises(renewals.CannotDecide, match="too_late"):
        renewals.cancel(order_id=order.id, customer=order.customer_id, now=trade.now)
    trade.wait(minutes=1)
    assert is_active_once(trade, order)
    with pytest.raises(renewals.CannotDecide, match="too_late"):
        renewals.cancel(order_id=order.id, customer=order.customer_id, now=trade.now)


def test_nobody_else_can_call_it_off(trade: Trade) -> None:
    order = trade.buy()
    with pytest.raises(renewals.UnknownOrder):
        renewals.cancel(order_id=order.id, customer=trade.customer("emma"), now=trade.now)
    assert trade.order(order).state == "funded"


# -- money: too little, too late, too much -----------------------------------------------------------------------------


@pytest.fixture
def poor(trade: Trade) -> str:
    """A customer with a running card like xiaoyu's and an empty wallet."""
    trade.shop.person("poor", language="en")
    trade.shop.card("poor", 4, "be-week-3gb-day", started_at=CARD_ENDS - timedelta(days=7))
    return "poor"


def test_part_of_the_money_goes_back_when_the_time_to_pay_is_over(trade: Trade, poor: str) -> None:
    order = trade.buy(poor)
    assert order.pay_by == BEGIN + minutes(30)
    trade.pay_into(order, 5_00)
    trade.wait(minutes=30, seconds=-1)
    assert trade.order(order).state == "awaiting_funds"
    trade.wait(seconds=1)
    found = trade.order(order)
    assert (found.state, found.reason, found.next_step_at) == ("expired", "not_paid", None)
    assert trade.when(order, "order.expired") == minutes(30)
    assert trade.transfers(order) == [("return:0", 5_00, "EUR")]
    assert (trade.wallet(poor), trade.hold(order), trade.asked) == (5_00, 0, [])
    assert trade.letters(order) == [("failed", "poor@shop.example")]


def test_money_that_comes_after_the_end_goes_back_by_itself(trade: Trade, poor: str) -> None:
    order = trade.buy(poor)
    trade.wait(hours=1)
    assert trade.order(order).state == "expired"
    for late in (12_90, 3_00):
        trade.pay_into(order, late)
        trade.wait(seconds=2)
        assert trade.hold(order) == 0
    assert trade.transfers(order) == [("return:0", 12_90, "EUR"), ("return:1", 3_00, "EUR")]
    found = trade.order(order)
    assert (found.state, found.next_step_at) == ("expired", None)
    assert (trade.wallet(poor), trade.asked, trade.periods(order)) == (15_90, [], [])


def test_what_was_paid_too_much_goes_back_and_the_order_goes_on(trade: Trade, poor: str) -> None:
    order = trade.buy(poor)
    trade.pay_into(order, 20_00)
    trade.wait(minutes=30)
    assert trade.order(order).state == "active"
    assert trade.transfers(order) == [("return:0", 7_10, "EUR"), REVENUE, TAX]
    assert (trade.wallet(poor), trade.hold(order), len(trade.asked)) == (7_10, 0, 1)


def test_a_credit_by_staff_wakes_the_order_that_waits_for_it(trade: Trade, poor: str) -> None:
    order = trade.buy(poor)
    trade.wait(minutes=5)
    trade.credit(poor, Money(12_89, "EUR"))
    trade.work()
    assert trade.order(order).state == "awaiting_funds"
    assert trade.transfers(order) == []
    trade.credit(poor, Money(1, "EUR"))
    trade.work()
    assert trade.order(order).state == "active"
    assert trade.when(order, "order.funded") == minutes(5)
    assert trade.transfers(order) == SOLD
    assert trade.wallet(poor) == 0


def test_one_wallet_pays_one_of_two_orders(trade: Trade, poor: str) -> None:
    trade.shop.people["poorer"] = trade.shop.people[poor]
    trade.shop.card("poorer", 5, "be-week-3gb-day", started_at=CARD_ENDS - timedelta(days=7))
    orders = [trade.buy(poor), trade.buy("poorer")]
    trade.credit(poor, Money(20_00, "EUR"))
    trade.wait(hours=1)
    assert sorted(trade.order(order).state for order in orders) == ["active", "expired"]
    assert (trade.wallet(poor), len(trade.asked)) == (20_00 - 12_90, 1)


# -- the queue ---------------------------------------------------------------------------------------------------------

END_OF_MARCH, END_OF_APRIL = datetime(2026, 3, 31, 22, 0, tzinfo=UTC), datetime(2026, 4, 30, 22, 0, tzinfo=UTC)


@pytest.mark.parametrize("stopped", [timedelta(0), timedelta(days=7)], ids=["punctually", "stopped for a week"])
def test_a_queued_period_starts_exactly_at_the_end_of_the_one_before(trade: Trade, stopped: timedelta) -> None:
    trade.credit("emma", Money(20_00, "EUR"))
    trade.buy("emma")
    trade.work()
    order = trade.buy("emma")
    trade.work()
    (period,) = trade.periods(order)
    assert trade.order(order).state == "active"
    assert period.span is None
    trade.now = END_OF_MARCH - timedelta(microseconds=1)
    trade.work()
    assert trade.periods(order)[0].span is None
    trade.now = END_OF_MARCH + stopped
    trade.work()
    (period,) = trade.periods(order)
    assert (period.span.lower, period.span.upper) == (END_OF_MARCH, END_OF_APRIL)
    assert lines.timeline(trade.card("emma"), trade.now).valid_until == END_OF_APRIL


# -- what is not offered -----------------------------------------------------------------------------------------------


def is_not_offered(trade: Trade, why: str) -> bool:
    quote = trade.quote()
    assert (quote.payment_offered, quote.why_not) == (False, why)
    with pytest.raises(renewals.PaymentNotOffered, match=why):
        trade.place(quote)
    assert not Order.objects.exists()
    assert (trade.wallet(), trade.asked) == (60_00, [])
    return True


def test_payment_is_not_offered_when_the_sellers_credit_does_not_cover_it(trade: Trade) -> None:
    trade.world.set_balance(6_99)
    assert is_not_offered(trade, "seller_out_of_credit")
    trade.world.set_balance(7_00)
    trade.sleep(minutes=10)
    assert trade.quote().payment_offered


@pytest.mark.parametrize("endpoint", ["topups", "balance"])
@pytest.mark.parametrize("fault", ["timeout_before", "error_before", "garbage_before"])
def test_payment_is_not_offered_while_the_carrier_is_silent(trade: Trade, endpoint: str, fault: str) -> None:
    trade.fail(fault, endpoint=endpoint)
    assert is_not_offered(trade, "carrier_silent")
    trade.sleep(minutes=1)
    assert trade.quote().payment_offered


def test_payment_is_not_offered_for_a_card_that_the_carrier_has_recycled(trade: Trade) -> None:
    line = trade.card("xiaoyu")
    trade.world.seed_card(iccid=line.iccid, package=line.plan_version.package, recycled=True)
    assert is_not_offered(trade, "card_recycled")


def test_payment_is_not_offered_for_a_plan_that_the_carrier_has_no_more_of(trade: Trade) -> None:
    trade.world.set_package("belsim-7days-unlimited-topup", stock=0)
    assert is_not_offered(trade, "not_renewable")


def test_the_customers_letter_says_why_the_money_is_back(trade: Trade) -> None:
    trade.fail("recycled")
    order = trade.buy("emma")
    trade.work()
    (letter,) = [one for one in messaging.messages_about(order.id) if one.kind == "refunded"]
    assert letter.to == "emma@demo.xuka.example"
    assert "The carrier has taken this card out of service, so it could not be renewed." in letter.text
