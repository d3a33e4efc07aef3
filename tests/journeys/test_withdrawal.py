"""Withdrawing from a contract, and giving back what has not begun: money, service, carrier, letters; once each."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.db import connection

from tests.journeys.renewal_world import BEGIN, Trade
from xuka.interfaces.jobs import tasks
from xuka.ledger import queries as ledger
from xuka.messaging.models import Message
from xuka.receipts import queries as receipts
from xuka.renewals import giving_back, operations, withdrawal
from xuka.renewals.giving_back import CannotGiveBack
from xuka.renewals.models import GivenBack, Order, Withdrawal
from xuka.renewals.withdrawal_rules import Wish

WISH = Wish("Begin at once.", "en")


def bought(trade: Trade, person: str = "emma", *, wish: Wish | None = WISH) -> Order:
    """An order that is delivered; Emma's card had run out, so her week begins at once."""
    quote = trade.quote(person, "be-week-3gb-day" if person == "emma" else "")
    order = operations.place(order_id=uuid4(), quote_id=quote.id, customer=quote.customer_id, wish=wish, now=trade.now)
    trade.work()
    assert trade.order(order).state == "active"
    return order


def withdraw(trade: Trade, order: Order, *, person: str = "emma", number: str = "", **other: str) -> Withdrawal:
    """State and confirm, and let the shop work."""
    user = trade.shop.people[person]
    stated = {"number": number or str(order.id), "name": user.name, "email": user.email} | other
    row = withdrawal.confirm(id=uuid4(), language="en", customer=None, now=trade.now, **stated)
    trade.work()
    return Withdrawal.objects.get(id=row.id)


def kinds(cause: UUID) -> list[tuple[str, str]]:
    return sorted(Message.objects.filter(cause=cause).values_list("kind", "to"))


def revenue(trade: Trade, order: Order) -> int:
    """What of this order is still earned, tax inside."""
    sums = {"revenue": 0, "tax": 0}
    for one in ledger.transfers_of(order.id):
        for side, sign in ((one.credit, 1), (one.debit, -1)):
            if side.kind in sums:
                sums[side.kind] += sign * one.amount
    return sums["revenue"] + sums["tax"]


def test_a_running_period_is_withdrawn_from_ends_and_costs_only_its_part(trade: Trade) -> None:
    before = trade.wallet("emma")
    order = bought(trade)
    trade.sleep(days=3)
    row = withdraw(trade, order)
    assert (row.state, row.order_id, row.settled_at) == ("accepted", order.id, trade.now)
    (given,) = GivenBack.objects.all()
    (period,) = trade.periods(order)
    assert (period.span.upper, period.voided_at) == (trade.now, None)
    kept = order.total_minor * 3 // 7
    assert (given.had, given.amount_minor, given.why) == ("3/7", order.total_minor - kept, "withdrawn")
    assert trade.wallet("emma") == before - kept
    assert revenue(trade, order) == kept
    assert trade.hold(order) == 0
    assert [(note.is_credit_note, note.total_minor) for note in receipts.receipts_about(order.id)] == [
        (False, order.total_minor),
        (True, -given.amount_minor),
    ]
    assert kinds(row.id) == [
        ("withdrawal_answer", "emma@demo.xuka.example"),
        ("withdrawal_received", "emma@demo.xuka.example"),
    ]


def test_without_the_express_wish_nothing_is_kept(trade: Trade) -> None:
    before = trade.wallet("emma")
    order = bought(trade, wish=None)
    trade.sleep(days=3)
    assert withdraw(trade, order).state == "accepted"
    assert trade.wallet("emma") == before
    assert revenue(trade, order) == 0


def test_who_withdraws_twice_or_races_staff_is_paid_back_once(trade: Trade) -> None:
    before = trade.wallet("xiaoyu")
    order = bought(trade, "xiaoyu")  # queued behind what runs
    (given,) = [
        giving_back.by_staff(
            order_id=order.id, ordinal=0, staff=trade.shop.staff.id, why="bought twice", to_wallet=False, now=trade.now
        )
    ]
    again = giving_back.by_staff(
        order_id=order.id, ordinal=0, staff=trade.shop.staff.id, why="bought twice", to_wallet=False, now=trade.now
    )
    assert (given.id, given.amount_minor) == (again.id, order.total_minor)
    assert withdraw(trade, order, person="xiaoyu").state == "already"
    assert withdraw(trade, order, person="xiaoyu").state == "already"
    assert trade.wallet("xiaoyu") == before
    (period,) = trade.periods(order)
    assert period.voided_at == BEGIN
    assert GivenBack.objects.count() == 1


@pytest.mark.parametrize(
    ("person", "days", "stated", "state"),
    [
        ("emma", 14, {}, "performed"),  # a week, all of it provided
        ("emma", 15, {}, "too_late"),
        ("emma", 1, {"name": "Somebody Else", "email": "else@shop.example"}, "not_found"),
        ("emma", 1, {"number": "BE-2026-000001", "email": "else@shop.example"}, "not_found"),  # a receipt: the address
        ("emma", 1, {"number": "nonsense"}, "not_found"),
        ("emma", 1, {"number": str(UUID(int=7))}, "not_found"),
        ("sato", 1, {}, "no_right"),
    ],
)
def test_what_is_no_withdrawal_changes_nothing_and_is_answered(
    trade: Trade, person: str, days: int, stated: dict[str, str], state: str
) -> None:
    before = trade.wallet(person)
    order = bought(trade, person)
    paid = before - trade.wallet(person)
    trade.sleep(days=days)
    row = withdraw(trade, order, person=person, **stated)
    assert row.state == state
    assert trade.wallet(person) == before - paid
    assert [period.voided_at for period in trade.periods(order)] == [None]
    to = trade.shop.people[person].email if row.order_id else stated.get("email", trade.shop.people[person].email)
    assert ("withdrawal_answer", to) in kinds(row.id)
    assert not GivenBack.objects.exists()


def test_a_receipts_number_with_the_accounts_address_finds_the_contract(trade: Trade) -> None:
    order = bought(trade)
    (receipt,) = receipts.receipts_about(order.id)
    row = withdraw(trade, order, number=f" {receipt.full_number.lower()} ", name="Another Name")
    assert (row.state, row.order_id) == ("accepted", order.id)


def test_the_same_page_sent_twice_is_one_statement_and_other_words_are_refused(trade: Trade) -> None:
    order = bought(trade)
    told = {"number": str(order.id), "name": "Emma", "email": "emma@demo.xuka.example", "language": "en"}
    id = uuid4()
    for _ in range(2):
        withdrawal.confirm(id=id, customer=None, now=trade.now, **told)
    with pytest.raises(withdrawal.DifferentWithdrawal):
        withdrawal.confirm(id=id, customer=None, now=trade.now, **told | {"number": "another"})
    trade.work()
    assert Withdrawal.objects.count() == 1
    assert GivenBack.objects.count() == 1
    assert len(kinds(id)) == 2


def test_an_order_that_is_not_paid_is_called_off(trade: Trade) -> None:
    quote = trade.quote("emma")
    order = operations.place(
        order_id=uuid4(), quote_id=quote.id, customer=quote.customer_id, now=trade.now, pays_with="wallet"
    )
    assert order.state == "funded"
    before = trade.wallet("emma")
    row = withdraw(trade, order)
    # The order's own job was first here: the carrier had it, so it is undone after delivery.
    assert row.state == "accepted"
    assert trade.wallet("emma") == before + order.total_minor


def test_a_carrier_that_cannot_take_back_leaves_the_customer_the_law_and_staff(trade: Trade) -> None:
    order = bought(trade, "xiaoyu")
    assert [one.why_not for one in giving_back.unused(trade.order(order), trade.now)] == ["carrier"]
    for customer, code in ((order.customer_id, "carrier"), (uuid4(), "unknown")):
        with pytest.raises(CannotGiveBack) as refused:
            giving_back.ask(order_id=order.id, ordinal=0, customer=customer, to_wallet=False, now=trade.now)
        assert refused.value.code == code
    running = bought(trade)
    for order_id, ordinal, why, code in (
        (running.id, 0, "a reason", "begun"),
        (running.id, 1, "a reason", "unknown"),
        (uuid4(), 0, "a reason", "unknown"),
        (order.id, 0, " ", "no_reason"),
    ):
        with pytest.raises(CannotGiveBack) as refused:
            giving_back.by_staff(
                order_id=order_id, ordinal=ordinal, staff=trade.shop.staff.id, why=why, to_wallet=False, now=trade.now
            )
        assert refused.value.code == code
    assert not GivenBack.objects.exists()


def test_an_acknowledgement_whose_job_was_lost_is_written_after_all(trade: Trade) -> None:
    order, user = bought(trade), trade.shop.people["emma"]
    row = withdrawal.confirm(
        id=uuid4(), number=str(order.id), name=user.name, email=user.email, language="en", customer=None, now=trade.now
    )
    for _ in range(2):  # the sweeper finds the contract by its due time, and the letters by what the tables say
        with connection.cursor() as cursor:
            cursor.execute("delete from procrastinate_jobs")
        withdrawal.advance(withdrawal_id=row.id, now=trade.now)
        trade.sleep(minutes=11)
    tasks.sweep_letters(0)
    tasks.sweep_letters(0)
    assert [kind for kind, _ in kinds(row.id)] == ["withdrawal_answer", "withdrawal_received"]
