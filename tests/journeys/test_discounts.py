"""Promotions, coupons and loyalty points: what they take off, who gets the last one, and that none is lost or doubled.

xiaoyu's wallet holds EUR 60.00; a week in Belgium costs EUR 12.90.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from tests.journeys.renewal_world import BEGIN, Trade
from xuka.journal import queries as journal
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger
from xuka.ledger import queries as ledger_queries
from xuka.messaging.models import Message
from xuka.renewals import discounts, giving_back, points
from xuka.renewals import operations as renewals
from xuka.renewals.discounts import CannotDiscount
from xuka.renewals.models import Discount, Order, Quote, TakenDiscount
from xuka.renewals.pricing import PriceWish

WEEK, NEW = "be-week-3gb-day", "be-week-5gb"
FIVE = Money(5_00, "EUR")
OVER = {"active", "refunded", "expired", "cancelled"}


def make(trade: Trade, code: str = "", **terms: Any) -> Discount:
    told = {"name": code or "Spring", "starts_at": trade.now, "ends_at": trade.now + timedelta(days=7)} | terms
    if "off" not in told:
        told = {"basis_points": 1000} | told
    return discounts.make(
        id=uuid4(), code=code, staff=trade.shop.staff.id, why="the season", now=trade.now, **told
    )  # fmt: skip


def quote(trade: Trade, person: str = "xiaoyu", *, coupon: str = "", spend: int = 0) -> Quote:
    line = trade.card(person)
    return renewals.quote(
        line_id=line.id,
        plan_version_id=trade.shop.plan(line.plan_version.plan_id).id,
        customer=trade.customer(person),
        wish=PriceWish(coupon, spend),
        now=trade.now,
    )


def why_not(trade: Trade, person: str = "xiaoyu", **wish: Any) -> str:
    try:
        quote(trade, person, **wish)
    except CannotDiscount as error:
        return error.code
    return ""


def give_points(trade: Trade, number: int, person: str = "xiaoyu") -> None:
    to = ledger.points(trade.customer(person))
    issued = ledger.house("points_issued", "points")
    ledger.post(ledger.Leg(uuid4(), "gift", issued, to, "points", number), now=trade.now)


def has_points(trade: Trade, person: str = "xiaoyu") -> int:
    return ledger_queries.points_balance(trade.customer(person))


def lines(quote: Quote) -> list[tuple[str, int]]:
    return [(line["kind"], line["amount_minor"]) for line in quote.lines]


def taken(discount: Discount) -> int:
    return Discount.objects.get(id=discount.id).taken


# -- promotions ----------------------------------------------------------------------------------------------------


def test_a_promotion_counts_by_itself_and_the_order_costs_what_the_quote_said(trade: Trade) -> None:
    spring = make(trade)
    order = trade.place(found := quote(trade))
    assert lines(found) == [("plan", 12_90), ("promotion", -1_29)]
    assert (found.total_minor, found.tax_minor) == (11_61, 2_01)
    assert (order.state, order.total_minor, trade.wallet(), taken(spring)) == ("funded", 11_61, 60_00 - 11_61, 1)
    trade.work()
    assert (trade.order(order).state, taken(spring)) == ("active", 1)
    assert trade.transfers(order) == [("charge", 11_61, "EUR"), ("revenue", 9_60, "EUR"), ("tax", 2_01, "EUR")]


@pytest.mark.parametrize(
    ("terms", "counts"),
    [
        ({"starts_at": BEGIN, "ends_at": BEGIN + timedelta(seconds=1)}, True),
        ({"starts_at": BEGIN - timedelta(days=1), "ends_at": BEGIN}, False),
        ({"starts_at": BEGIN + timedelta(seconds=1)}, False),
        ({"markets": ["BE"]}, True),
        ({"markets": ["JP"]}, False),
        ({"plans": [WEEK, "be-month-60gb"]}, True),
        ({"plans": ["be-month-60gb"]}, False),
        ({"off": Money(500, "JPY")}, False),
        ({"minimum": Money(12_91, "EUR")}, False),
        ({"most": 0}, False),
        ({"most_each": 0}, False),
    ],
)
def test_a_promotion_counts_within_its_dates_for_its_markets_and_plans(
    trade: Trade, terms: dict[str, Any], counts: bool
) -> None:
    make(trade, **terms)
    assert (("promotion", -1_29) in lines(quote(trade))) is counts


def test_one_a_customer_is_one_until_it_is_given_back(trade: Trade) -> None:
    make(trade, most_each=1)
    order = trade.buy()
    assert "promotion" not in dict(lines(quote(trade))), "it is taken"
    assert "promotion" in dict(lines(quote(trade, "emma"))), "but not by her"
    renewals.cancel(order_id=order.id, customer=order.customer_id, now=trade.now)
    assert "promotion" in dict(lines(quote(trade)))


# -- coupons -------------------------------------------------------------------------------------------------------


def test_a_coupon_is_found_however_it_is_typed_and_taken_with_the_order(trade: Trade) -> None:
    coupon = make(trade, "WELCOME5", off=FIVE, most=1)
    found = quote(trade, coupon=" welcome 5 ")
    assert lines(found) == [("plan", 12_90), ("coupon", -5_00)]
    assert found.lines[1]["label"] == "WELCOME5"
    assert taken(coupon) == 0, "a quote takes nothing"
    order = trade.place(found, id=UUID(int=7))
    assert trade.place(found, id=UUID(int=7)).id == order.id
    assert (taken(coupon), order.total_minor, trade.wallet()) == (1, 7_90, 52_10)


def test_a_coupon_that_does_not_count_says_why(trade: Trade) -> None:
    make(trade, "LATER", starts_at=trade.now + timedelta(days=1))
    make(trade, "TOKYO", markets=["JP"])
    make(trade, "BIG", off=FIVE, minimum=Money(13_00, "EUR"))
    make(trade, "YEN", off=Money(500, "JPY"))
    make(trade, "GONE", most=0)
    make(trade, "NEVER", most_each=0)
    discounts.stop(id=make(trade, "STOPPED").id, staff=trade.shop.staff.id, why="a mistake", now=trade.now)
    told = {code: why_not(trade, coupon=code) for code in (
        "NOBODYS", "STOPPED", "LATER", "TOKYO", "BIG", "YEN", "GONE", "NEVER")}  # fmt: skip
    assert told == {
        "NOBODYS": "unknown", "STOPPED": "unknown", "LATER": "early", "TOKYO": "elsewhere", "BIG": "minimum",
        "YEN": "currency", "GONE": "used_up", "NEVER": "used",
    }  # fmt: skip
    trade.sleep(days=7)
    assert why_not(trade, coupon="TOKYO") == "over"
    assert not TakenDiscount.objects.exists()


def test_a_coupon_never_takes_all(trade: Trade) -> None:
    make(trade, "HUGE", off=Money(99_00, "EUR"))
    found = quote(trade, coupon="HUGE")
    assert (found.total_minor, found.lines[1]["amount_minor"], found.lines[1]["whole_minor"]) == (50, -12_40, 99_00)


def test_whoever_comes_too_late_buys_nothing(trade: Trade) -> None:
    coupon = make(trade, "ONE", off=FIVE, most=1)
    mine, hers = quote(trade, coupon="ONE"), quote(trade, "emma", coupon="ONE")
    trade.place(mine)
    with pytest.raises(renewals.DiscountGone) as gone:
        trade.place(hers)
    assert (gone.value.code, Order.objects.count(), trade.wallet("emma"), taken(coupon)) == ("used_up", 1, 40_00, 1)


def test_a_coupon_that_was_stopped_is_not_taken_and_one_that_ends_meanwhile_is(trade: Trade) -> None:
    coupon = make(trade, "SOON", off=FIVE, ends_at=trade.now + timedelta(minutes=1))
    found, hers = quote(trade, coupon="SOON"), quote(trade, "emma", coupon="SOON")
    trade.sleep(minutes=5)
    assert trade.place(found).total_minor == 7_90, "the quote is a promise"
    discounts.stop(id=coupon.id, staff=trade.shop.staff.id, why="a mistake", now=trade.now)
    with pytest.raises(renewals.DiscountGone):
        trade.place(hers)


def test_of_many_at_once_exactly_one_gets_the_last(trade: Trade) -> None:
    coupon = make(trade, "LAST", off=FIVE, most=1)
    version = trade.shop.plan(NEW)
    quotes = [
        renewals.quote_new(
            plan_version_id=version.id, customer=trade.customer(person), wish=PriceWish("last"), now=trade.now
        )
        for person in ("xiaoyu", "emma", "xiaoyu", "emma", "sato", "sato")
    ]
    results = at_once(*(partial(placed, trade, one) for one in quotes))
    assert sorted(results) == ["bought", *["used_up"] * 5]
    assert (taken(coupon), TakenDiscount.objects.count(), Order.objects.count()) == (1, 1, 1)


def test_of_one_customer_s_orders_at_once_exactly_one_gets_the_coupon_and_the_points(trade: Trade) -> None:
    make(trade, "EACH", off=FIVE, most_each=1)
    give_points(trade, 100)
    version = trade.shop.plan(NEW)
    for wish, code in ((PriceWish("each"), "used"), (PriceWish("", 100), "points")):
        quotes = [
            renewals.quote_new(plan_version_id=version.id, customer=trade.customer("xiaoyu"), wish=wish, now=trade.now)
            for _ in range(3)
        ]
        results = at_once(*(partial(placed, trade, one) for one in quotes))
        assert sorted(results) == ["bought", code, code]
    assert has_points(trade) == 0


def placed(trade: Trade, quote: Quote) -> str:
    try:
        trade.place(quote)
    except renewals.DiscountGone as error:
        return error.code
    return "bought"


def at_once(*doings: Callable[[], str]) -> list[str]:
    """What each gives, all begun at one moment on connections of their own."""
    together = threading.Barrier(len(doings))

    def run(doing: Callable[[], str]) -> str:
        try:
            together.wait(timeout=10)
            return doing()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(doings)) as crowd:
        return list(crowd.map(run, doings))


def test_the_database_lets_no_discount_be_taken_too_often(trade: Trade) -> None:
    coupon = make(trade, "WALL", off=FIVE, most=1, most_each=1)
    order = trade.place(quote(trade, coupon="WALL"))
    (row,) = TakenDiscount.objects.filter(order=order)
    assert (row.number, row.most) == (1, 1)
    for change in (
        lambda: Discount.objects.filter(id=coupon.id).update(taken=2),
        lambda: TakenDiscount.objects.filter(id=row.id).update(number=2),
        lambda: make(trade, "WALL"),
    ):
        with pytest.raises((IntegrityError, discounts.DifferentDiscount)), transaction.atomic():
            change()


def test_a_discount_is_made_once_by_its_id_and_stopped_with_a_reason(trade: Trade) -> None:
    terms: dict[str, Any] = {
        "id": uuid4(), "name": "Spring", "code": "spring", "basis_points": 500, "starts_at": trade.now,
        "ends_at": trade.now + timedelta(days=1), "staff": trade.shop.staff.id, "why": "the season", "now": trade.now,
    }  # fmt: skip
    made = discounts.make(**terms)
    assert (made.code, discounts.make(**terms).id, Discount.objects.count()) == ("SPRING", made.id, 1)
    with pytest.raises(discounts.DifferentDiscount):
        discounts.make(**(terms | {"basis_points": 600}))
    for wrong in ({"off": FIVE}, {"basis_points": 10_001}, {"ends_at": trade.now}, {"why": " "}, {"basis_points": 0}):
        with pytest.raises(ValueError, match="A discount"):
            discounts.make(**(terms | {"id": uuid4()} | wrong))
    discounts.stop(id=made.id, staff=trade.shop.staff.id, why="over", now=trade.now)
    discounts.stop(id=made.id, staff=trade.shop.staff.id, why="over", now=trade.now)
    assert [fact.what for fact in journal.facts_about(made.id)].count("discount.stopped") == 1


# -- points --------------------------------------------------------------------------------------------------------


def test_points_are_earned_with_a_period_spent_with_the_next_and_kept_through_renewals(trade: Trade) -> None:
    trade.buy()
    trade.work()
    assert has_points(trade) == 12, "a point for each whole euro"
    order = trade.place(found := quote(trade, spend=12))
    assert lines(found) == [("plan", 12_90), ("points", -12)]
    assert (has_points(trade), order.total_minor) == (0, 12_78), "reserved with the order"
    trade.work()
    assert has_points(trade) == 12, "earned for what was paid in money"
    assert ledger_queries.balance(ledger.house("points_spent", "points")) == 12
    points.earn(order_id=order.id, now=trade.now)
    assert has_points(trade) == 12, "once"


@pytest.mark.parametrize("earned_first", [True, False])
def test_a_period_that_is_given_back_leaves_no_points_whichever_comes_first(trade: Trade, earned_first: bool) -> None:
    order = trade.buy()
    while renewals.advance(order_id=order.id, now=trade.now):
        pass
    if earned_first:
        assert (points.earn(order_id=order.id, now=trade.now), has_points(trade)) == (12, 12)
    staff = trade.shop.staff.id
    giving_back.by_staff(order_id=order.id, ordinal=0, staff=staff, why="asked", to_wallet=True, now=trade.now)
    assert points.earn(order_id=order.id, now=trade.now) == 0
    trade.work()
    assert has_points(trade) == 0


def test_more_points_than_there_are_cannot_be_spent(trade: Trade) -> None:
    give_points(trade, 10)
    assert (why_not(trade, spend=11), why_not(trade, spend=10)) == ("points", "")
    found, other = quote(trade, spend=10), quote(trade, spend=5)
    renewals.cancel(order_id=trade.place(other).id, customer=other.customer_id, now=trade.now)
    assert (has_points(trade), trade.place(found).total_minor) == (10, 12_80), "what was given back can be spent"


def test_points_lapse_only_after_a_warning_and_whatever_moves_them_keeps_all(trade: Trade, settings: Any) -> None:
    settings.POINTS_LIVE_DAYS = 365
    trade.buy()
    trade.work()
    mine = trade.customer("xiaoyu")

    def told() -> list[str]:
        points.warn_and_lapse(now=trade.now)
        points.warn_and_lapse(now=trade.now)
        return [fact.what for fact in journal.facts_about(mine) if fact.what.startswith("points.")]

    trade.sleep(days=334)
    assert (told(), has_points(trade)) == ([], 12)
    trade.sleep(days=400)  # nobody looked for a year: the warning still comes first
    assert (told(), has_points(trade)) == (["points.lapse_ahead"], 12)
    trade.work()
    (letter,) = Message.objects.filter(kind="points_lapse", customer=mine)
    assert letter.subject.startswith("您的积分将于")
    trade.sleep(days=29)
    trade.buy("emma")
    trade.work()
    assert (told(), has_points(trade)) == (["points.lapse_ahead"], 12)
    trade.place(quote(trade, spend=2))  # touched: all are kept
    trade.work()
    trade.sleep(days=300)
    assert (told(), has_points(trade)) == (["points.lapse_ahead"], 22)
    trade.sleep(days=40)
    assert told() == ["points.lapse_ahead"] * 2
    trade.sleep(days=31)
    assert (told(), has_points(trade)) == (["points.lapse_ahead"] * 2 + ["points.lapsed"], 0)


# -- whatever happens ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_to_orders_no_coupon_and_no_point_is_lost_or_doubled(trade: Trade, seed: int) -> None:
    chance = random.Random(seed)
    spring, coupon = make(trade, most=6), make(trade, "FEW", off=FIVE, most=4, most_each=2)
    for person in ("xiaoyu", "emma"):
        give_points(trade, 500, person)
        trade.credit(person, Money(100_00, "EUR"))
    for _ in range(8):
        happen(trade, chance)
        conserve(trade, spring, coupon)
    trade.heal()
    trade.wait(hours=2)
    conserve(trade, spring, coupon)
    assert {order.state for order in Order.objects.all()} <= OVER


def happen(trade: Trade, chance: random.Random) -> None:
    person = chance.choice(["xiaoyu", "emma"])
    trade.heal()
    if chance.random() < 0.4:
        trade.fail("topup_disabled")
    wish = PriceWish(chance.choice(["", "FEW"]), chance.choice([0, 7, 90]))
    try:
        found = quote(trade, person, coupon=wish.coupon, spend=wish.points)
    except CannotDiscount:
        found = quote(trade, person)
    if chance.random() < 0.3:  # the money is gone before: it waits, and expires
        leave(trade, person)
    order = trade.place(found)
    if chance.random() < 0.3 and order.state in {"awaiting_funds", "funded"}:
        renewals.cancel(order_id=order.id, customer=order.customer_id, now=trade.now)
    trade.wait(minutes=chance.choice([1, 45]))


def leave(trade: Trade, person: str) -> None:
    """The wallet is emptied."""
    wallet = ledger.wallet(customer=trade.customer(person), currency="EUR")
    if left := ledger_queries.balance(wallet):
        out = ledger.Leg(uuid4(), "out", wallet, ledger.house("staff_credit", "EUR"), "EUR", left)
        ledger.post(out, now=trade.now)


def conserve(trade: Trade, *all: Discount) -> None:
    orders = list(Order.objects.select_related("quote"))
    came_to_nothing = {order.id for order in orders if order.state in {"refunded", "expired", "cancelled"}}
    for one in all:
        have = [o.id for o in orders if str(one.id) in {line.get("id") for line in o.quote.lines}]
        assert taken(one) == len(set(have) - came_to_nothing)
        assert TakenDiscount.objects.filter(discount=one, given_back_at=None).count() == taken(one)
    held = {o.id: ledger_queries.balance(points.hold_id(o.id)) for o in orders}
    assert held == {o.id: 0 if o.state in OVER else o.quote.points for o in orders}
    spent = sum(o.quote.points for o in orders if o.state == "active")
    assert ledger_queries.balance(ledger.house("points_spent", "points")) == spent
    earned = sum(o.total_minor // 100 for o in orders if o.state == "active")
    mine = sum(has_points(trade, person) for person in ("xiaoyu", "emma"))
    assert mine + sum(held.values()) + spent == 1_000 + earned
