"""Money that goes back by card, at a carrier that takes back, from vouchers and wallets; conserved, and once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from sandbox.own_network.app import application
from sandbox.own_network.world import World
from sandbox.transport import InProcess
from tests.journeys.payment_world import Till
from tests.journeys.renewal_world import BEGIN, Trade
from tests.journeys.test_withdrawal import WISH, bought, kinds, revenue, withdraw
from xuka.activation import operations as activation
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.ledger import queries as ledger
from xuka.messaging.models import Message
from xuka.payments import payouts, vouchers
from xuka.payments.models import Payout
from xuka.payments.payouts import CannotPayOut
from xuka.receipts import queries as receipts
from xuka.renewals import giving_back, operations, withdrawal
from xuka.renewals.models import GivenBack, Order, Withdrawal

IBAN = "BE71 0961 2345 6769"


# -- by card --------------------------------------------------------------------------------------------------------


def by_card(till: Till, person: str = "emma") -> Order:
    """An order that was paid by card and is delivered."""
    trade = till.trade
    quote = trade.quote(person, "be-week-3gb-day")
    order = operations.place(
        order_id=uuid4(), quote_id=quote.id, customer=quote.customer_id, now=trade.now, pays_with="card", wish=WISH
    )
    payment = till.pay(order)
    till.world.pay(payment.reference)
    till.deliver()
    assert trade.order(order).state == "active"
    return order


@pytest.mark.parametrize("fault", ["", "timeout_after", "timeout_before"])
def test_what_is_withdrawn_from_goes_back_to_the_card_once_though_the_provider_is_silent(
    till: Till, fault: str
) -> None:
    order, trade = by_card(till), till.trade
    wallet = trade.wallet("emma")
    trade.sleep(days=1)
    if fault:
        till.fail(fault, "refund_create")
    assert withdraw(trade, order).state == "accepted"
    trade.wait(hours=1)
    (given,) = GivenBack.objects.all()
    (refund,) = till.refunds(order)
    kept = order.total_minor // 7
    assert (refund.state, refund.amount_minor, refund.leg) == ("done", order.total_minor - kept, "given_back:0")
    assert given.amount_minor == refund.amount_minor
    assert till.kept(refund.payment) == kept
    assert (trade.wallet("emma"), trade.hold(order), revenue(trade, order)) == (wallet, 0, kept)


def test_two_confirmations_and_staff_at_once_pay_back_once(till: Till) -> None:
    order, trade = by_card(till), till.trade
    user = trade.shop.people["emma"]
    told = {"number": str(order.id), "name": user.name, "email": user.email, "language": "en", "customer": None}
    rows = [withdrawal.confirm(id=uuid4(), now=trade.now, **told) for _ in range(3)]

    def advance(row: Withdrawal) -> None:
        try:
            withdrawal.advance(withdrawal_id=row.id, now=trade.now)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(advance, rows))
    trade.work()
    assert sorted(Withdrawal.objects.values_list("state", flat=True)) == ["accepted", "already", "already"]
    (refund,) = till.refunds(order)
    assert refund.amount_minor == order.total_minor
    assert [note.total_minor for note in receipts.receipts_about(order.id)][1:] == [-order.total_minor]
    assert GivenBack.objects.count() == 1
    with pytest.raises(IntegrityError), transaction.atomic():  # the wall behind it
        GivenBack.objects.create(
            id=uuid4(), order=order, ordinal=0, why="goodwill", who="staff", state="asked", price_minor=1,
            asked_at=trade.now,
        )  # fmt: skip


# -- at a carrier that takes back -----------------------------------------------------------------------------------


@pytest.fixture
def own(trade: Trade, settings: Any) -> Iterator[World]:
    """The shop's carrier is a network of its own."""
    world = World(now=lambda: trade.now, secret="ours")
    for person, line in trade.shop.cards.items():
        version = line.plan_version
        world.seed_package(id=version.package, days=7, volume_bytes=None, cost_minor=7_00)
        world.seed_card(iccid=line.iccid, expires_at=trade.now + timedelta(days=2) if person == "xiaoyu" else None)
    settings.CARRIERS = {
        "airalo": {
            "connector": "xuka.connectors.carriers.own_network.connector.OwnNetwork",
            "base_url": "http://own.test",
            "secret": "ours",
            "transport": InProcess(application(world)),
            "clock": lambda: trade.now.timestamp(),
        }
    }
    activation.carrier.cache_clear()
    yield world
    activation.carrier.cache_clear()


@pytest.mark.parametrize("fault", ["", "timeout_after", "timeout_before", "garbage_after", "maintenance"])
def test_a_period_that_has_not_begun_is_given_back_once_its_carrier_takes_it_back(
    trade: Trade, own: World, fault: str
) -> None:
    before = trade.wallet()
    order = bought(trade, "xiaoyu")
    assert [(one.ordinal, one.why_not) for one in giving_back.unused(order_of(trade, order), trade.now)] == [(0, "")]
    if fault:
        own.fail({"kind": fault, "endpoint": "cancel"})
    for _ in range(2):
        giving_back.ask(order_id=order.id, ordinal=0, customer=order.customer_id, to_wallet=True, now=trade.now)
    trade.work()
    if fault:  # nothing moved: nobody knows, or not now
        assert (trade.wallet(), trade.periods(order)[0].voided_at) == (before - order.total_minor, None)
        trade.sleep(minutes=2)
        trade.work()
    (row,) = GivenBack.objects.all()
    (period,) = trade.periods(order)
    assert (row.state, row.why, row.amount_minor) == ("done", "unused", order.total_minor)
    assert period.voided_at == trade.now
    assert (trade.wallet(), revenue(trade, order)) == (before, 0)
    assert [one.taken_back for one in own.truth()] == [True]
    assert kinds(row.id) == [("given_back", "xiaoyu@demo.xuka.example")]
    assert [note.is_credit_note for note in receipts.receipts_about(order.id)] == [False, True]


def test_what_the_carrier_does_not_take_back_stays_and_costs_what_it_cost(trade: Trade, own: World) -> None:
    before = trade.wallet()
    order = bought(trade, "xiaoyu")
    own.fail({"kind": "begun", "endpoint": "cancel"})
    giving_back.ask(order_id=order.id, ordinal=0, customer=order.customer_id, to_wallet=False, now=trade.now)
    trade.work()
    (row,) = GivenBack.objects.all()
    assert (row.state, row.amount_minor, trade.periods(order)[0].voided_at) == ("refused", 0, None)
    assert trade.wallet() == before - order.total_minor
    assert kinds(row.id) == [("not_given_back", "xiaoyu@demo.xuka.example")]
    assert [one.why_not for one in giving_back.unused(order_of(trade, order), trade.now)] == ["carrier"]
    assert withdraw(trade, order, person="xiaoyu").state == "accepted"  # the law does not ask the carrier
    assert trade.wallet() == before


def order_of(trade: Trade, order: Order) -> Order:
    return Order.objects.select_related("plan_version").get(id=order.id)


# -- vouchers and credit --------------------------------------------------------------------------------------------


def sold(trade: Trade, minor: int = 20_00) -> tuple[Any, str]:
    """One voucher, sold, and its code."""
    rest = {"staff": trade.shop.staff.id, "why": "for the test", "now": trade.now}
    batch = uuid4()
    (printed,) = vouchers.make(
        id=batch, value=Money(minor, "EUR"), number=1, redeem_by=trade.now + timedelta(days=30), **rest
    )
    vouchers.sell(batch_id=batch, to="a kiosk", **rest)
    return ids.derived(batch, printed.serial), printed.code


def test_an_unspent_voucher_is_refunded_once_and_a_spent_one_never(till: Till) -> None:
    trade = till.trade
    voucher, code = sold(trade)
    rest: dict[str, Any] = {"staff": trade.shop.staff.id, "why": "unwanted", "now": trade.now}
    for reference, why in (("", "unwanted"), ("slip 1", " ")):
        wrong: dict[str, Any] = {**rest, "why": why}
        with pytest.raises(ValueError, match="refunded with a reason"):
            vouchers.refund(voucher_id=voucher, reference=reference, **wrong)
    for _ in range(2):
        vouchers.refund(voucher_id=voucher, reference="slip 1", **rest)
    assert (till.balance("voucher_liability"), till.balance("paid_by_hand")) == (0, 20_00)
    with pytest.raises(vouchers.CannotRefund) as refused:
        vouchers.refund(voucher_id=voucher, reference="slip 2", **rest)
    assert refused.value.code == "revoked"
    with pytest.raises(vouchers.CannotRedeem):
        vouchers.redeem(typed=code, customer=trade.customer("emma"), currencies={"EUR"}, now=trade.now)
    spent, code = sold(trade)
    vouchers.redeem(typed=code, customer=trade.customer("emma"), currencies={"EUR"}, now=trade.now)
    with pytest.raises(vouchers.CannotRefund) as refused:
        vouchers.refund(voucher_id=spent, reference="slip 3", **rest)
    assert refused.value.code == "redeemed"
    assert till.balance("paid_by_hand") == 20_00


def test_credit_goes_back_to_cards_and_by_transfer_and_what_the_shop_gave_does_not(till: Till) -> None:
    trade = till.trade
    emma, gift = trade.customer("emma"), trade.wallet("emma")
    order = by_card(till)
    trade.sleep(days=1)
    assert payouts.payable(customer=emma, currency="EUR").minor == 0
    with pytest.raises(CannotPayOut) as refused:
        payouts.ask(id=uuid4(), customer=emma, currency="EUR", iban=IBAN, now=trade.now)
    assert refused.value.code == "nothing"
    # Five euros of the card's money are in the wallet by her choice, twenty of a voucher.
    ledger_post(order, trade, emma)
    _, code = sold(trade)
    vouchers.redeem(typed=code, customer=emma, currencies={"EUR"}, now=trade.now)
    assert trade.wallet("emma") == gift + 25_00
    for currency, iban, code in (("JPY", IBAN, "currency"), ("EUR", "BE71 0961 2345 6768", "iban")):
        with pytest.raises(CannotPayOut) as refused:
            payouts.ask(id=uuid4(), customer=emma, currency=currency, iban=iban, now=trade.now)
        assert refused.value.code == code
    row = payouts.ask(id=uuid4(), customer=emma, currency="EUR", iban=IBAN, now=trade.now)
    assert (row.amount_minor, row.iban, row.pay_by) == (25_00, "BE71096123456769", trade.now + timedelta(weeks=4))
    assert payouts.ask(id=row.id, customer=emma, currency="EUR", iban=IBAN, now=trade.now).id == row.id
    with pytest.raises(CannotPayOut) as refused:
        payouts.ask(id=uuid4(), customer=emma, currency="EUR", iban=IBAN, now=trade.now)
    assert refused.value.code == "asked"
    assert trade.wallet("emma") == gift
    rest = {"payout_id": row.id, "staff": trade.shop.staff.id, "now": trade.now}
    for why, reference, code in ((" ", "T-1", "no_reason"), ("ported", "", "no_reference")):
        with pytest.raises(CannotPayOut) as refused:
            payouts.confirm(why=why, reference=reference, **rest)
        assert refused.value.code == code
    assert till.refunds(order) == []
    for _ in range(2):
        payouts.confirm(why="ported", reference="T-1", **rest)
    trade.work()
    paid = Payout.objects.get()
    assert (paid.state, paid.by_hand_minor, paid.reference) == ("paid", 20_00, "T-1")
    assert till.balance("paid_by_hand") == 20_00
    assert (till.balance("refunds_in_flight"), ledger.balance(paid.account_id)) == (0, 0)
    with pytest.raises(CannotPayOut):
        payouts.decline(why="too late", **rest)
    letter = Message.objects.get(cause=row.id, kind="payout_paid")
    assert "€20.00 was transferred to your bank account, reference T-1" in letter.text
    assert Message.objects.filter(cause=row.id, kind="staff_payout_asked").count() == 1


def ledger_post(order: Order, trade: Trade, customer: Any) -> None:
    """Five euros that were paid by card come into the wallet through the order's hold."""
    from xuka.ledger import operations
    from xuka.ledger.rules import Leg

    (revenue_account,) = operations.houses("revenue", unit="EUR")
    wallet = operations.wallet(customer=customer, currency="EUR")
    operations.post(Leg(order.id, "courtesy", revenue_account, order.hold_id, "EUR", 5_00), now=trade.now)
    operations.post(Leg(order.id, "courtesy_wallet", order.hold_id, wallet, "EUR", 5_00), now=trade.now)


def test_credit_that_is_declined_is_back_in_the_wallet(trade: Trade) -> None:
    emma, gift = trade.customer("emma"), trade.wallet("emma")
    _, code = sold(trade)
    vouchers.redeem(typed=code, customer=emma, currencies={"EUR"}, now=trade.now)
    row = payouts.ask(id=uuid4(), customer=emma, currency="EUR", iban=IBAN, now=BEGIN)
    for _ in range(2):
        payouts.decline(payout_id=row.id, staff=trade.shop.staff.id, why="she stays", now=BEGIN)
    trade.work()
    assert trade.wallet("emma") == gift + 20_00
    with pytest.raises(CannotPayOut) as refused:
        payouts.confirm(payout_id=row.id, staff=trade.shop.staff.id, why="after all", reference="T-1", now=BEGIN)
    assert refused.value.code == "not_waiting"
    assert kinds(row.id) == [
        ("payout_declined", "emma@demo.xuka.example"),
        ("staff_payout_asked", "seller@xuka.example"),
    ]


def test_credit_that_the_shop_gave_and_that_is_spent_keeps_no_money_of_a_card_back(till: Till) -> None:
    trade, emma = till.trade, till.trade.customer("emma")
    spent = trade.buy("emma", "be-week-3gb-day", count=3)
    trade.work()
    assert (trade.order(spent).state, trade.wallet("emma")) == ("active", 40_00 - 38_70)
    assert payouts.payable(customer=emma, currency="EUR") == Money(0, "EUR")
    ledger_post(by_card(till), trade, emma)
    assert trade.wallet("emma") == 1_30 + 5_00
    assert payouts.payable(customer=emma, currency="EUR") == Money(5_00, "EUR")
