"""Every payment connector there is, in front of its stand-in, with the books behind it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from tests.contracts.stands import Stand
from tests.journeys.provider_world import begun, seen, tell
from xuka.accounts.models import User
from xuka.kernel.outcome import Done
from xuka.ledger import queries as ledger_queries
from xuka.payments import contract, operations, queries, reconciliation, refunds
from xuka.payments.models import Payment, Refund, SettlementDifference
from xuka.payments.rules import words_of

pytestmark = pytest.mark.django_db(transaction=True)


def paid_with_a_part_back(stand: Stand, name: str, customer: UUID) -> tuple[Payment, int]:
    """A payment of which a quarter went back, and how much that is, minor units."""
    account, money = uuid4(), stand.monies[0]
    payment = begun(stand, name, customer, account)
    stand.pay(seen(payment))
    tell(stand, name, payment)
    tell(stand, name, payment)
    payment.refresh_from_db()
    assert (payment.state, payment.paid_minor, payment.paid_currency) == ("paid", money.minor, money.currency), name
    assert ledger_queries.balance(account) == money.minor
    part = money.minor // 4 // 100 * 100
    with transaction.atomic():
        refunds.give_back(cause=payment.cause, account=account, leg="part", amount_minor=part, now=stand.clock.now())
    refund = Refund.objects.get(payment=payment)
    for _ in range(4):
        refunds.advance(refund_id=refund.id, now=stand.clock.now())
        stand.clock.push(minutes=5)
    refund.refresh_from_db()
    assert (refund.state, refund.amount_minor) == ("done", part), (name, refund.detail)
    return payment, part


def test_what_is_paid_fills_the_account_once_and_a_part_goes_back_once(stands: dict[str, Stand]) -> None:
    customer = User.objects.create(email="xiaoyu@shop.test").id
    for name, stand in stands.items():
        payment, part = paid_with_a_part_back(stand, name, customer)
        money = stand.monies[0]
        key = words_of(payment.id)
        assert (stand.captured(key), stand.refunded(key)) == (
            {money.currency: money.minor},
            {money.currency: part},
        ), name
        assert ledger_queries.balance(payment.account_id) == money.minor - part
    assert queries.check_books() == []
    assert ledger_queries.check_books() == []


def test_what_every_provider_settles_is_held_against_the_books(stands: dict[str, Stand]) -> None:
    """By its call or by its file: what was paid here agrees, and what nobody sold here is found."""
    customer = User.objects.create(email="xiaoyu@shop.test").id
    by_file = set()
    for name, stand in stands.items():
        day, money = stand.clock.now().date(), stand.monies[0]
        _, part = paid_with_a_part_back(stand, name, customer)
        sold_elsewhere(stand)
        content = stand.statement()
        stand.clock.push(days=2)
        report = reconciliation.reconcile(provider=name, day=day, now=stand.clock.now())
        if report.state == "by_file":
            by_file.add(name)
            assert content is not None
            for _ in range(2):
                (report,) = reconciliation.take_statement(
                    provider=name, content=content, who="staff:x", now=stand.clock.now()
                )
        assert (report.state, report.day) == ("read", day), (name, report.detail)
        assert report.sums["payment"] == {money.currency: 2 * money.minor}, name
        assert report.sums["refund"] == {money.currency: -part}, name
        differs = SettlementDifference.objects.filter(report=report)
        assert [(one.kind, one.there_minor, one.payment_id) for one in differs] == [
            ("missing_here", money.minor, None)
        ], name
    assert by_file == {"line_pay", "paypay"}


def sold_elsewhere(stand: Stand) -> None:
    """Somebody pays at the same provider for something that this shop never sold."""
    now = stand.clock.now()
    ask = contract.Ask(
        key="xuka-" + "e" * 32, method=stand.method, money=stand.monies[0], asked_at=now, description="tea",
        pay_by=now + timedelta(hours=2), return_url="http://stall.test/", language="en", client_ip="203.0.113.7",
    )  # fmt: skip
    started = stand.provider.start(ask)
    assert isinstance(started, Done)
    stand.pay(started.value)
    if stand.captures:
        assert isinstance(stand.provider.capture(key=ask.key, reference=started.value.reference, money=ask.money), Done)


def test_what_is_given_up_is_closed_at_the_latest_when_its_time_is_over(stands: dict[str, Stand]) -> None:
    customer = User.objects.create(email="xiaoyu@shop.test").id
    for name, stand in stands.items():
        account = uuid4()
        payment = begun(stand, name, customer, account)
        with transaction.atomic():
            operations.close(account=account, now=stand.clock.now())
        for _ in range(3):
            operations.advance(payment_id=payment.id, now=stand.clock.now())
            stand.clock.push(hours=2)
        payment.refresh_from_db()
        assert (payment.state, payment.next_step_at) == ("closed", None), (name, payment.detail)
        assert stand.captured(words_of(payment.id)) == {}
        assert ledger_queries.balance(account) == 0


def test_two_parts_of_one_sum_whose_answers_were_lost_go_back_once_each_also_where_no_keys_are_kept(
    stands: dict[str, Stand],
) -> None:
    """The first was taken and the second was not; nobody heard of either."""
    customer = User.objects.create(email="xiaoyu@shop.test").id
    for name, stand in stands.items():
        account, money = uuid4(), stand.monies[0]
        payment = begun(stand, name, customer, account)
        stand.pay(seen(payment))
        tell(stand, name, payment)
        part = money.minor // 4 // 100 * 100
        with transaction.atomic():
            for leg in ("first", "second"):
                refunds.give_back(
                    cause=payment.cause, account=account, leg=leg, amount_minor=part, now=stand.clock.now()
                )
        ids = [Refund.objects.get(payment=payment, leg=leg).id for leg in ("first", "second")]
        for id, kind in zip(ids, ("timeout_after", "timeout_before"), strict=True):
            stand.fault(kind, endpoint="refund")
            refunds.advance(refund_id=id, now=stand.clock.now())
        assert stand.refunded(words_of(payment.id)) == {money.currency: part}, name
        stand.heal()
        for _ in range(12):
            for id in reversed(ids):
                refunds.advance(refund_id=id, now=stand.clock.now())
            stand.clock.push(minutes=5)
        gone = Refund.objects.filter(payment=payment)
        assert {(one.state, one.amount_minor) for one in gone} == {("done", part)}, (name, [one.detail for one in gone])
        assert len({one.reference for one in gone}) == 2, name
        assert stand.refunded(words_of(payment.id)) == {money.currency: 2 * part}, name
        assert ledger_queries.balance(account) == money.minor - 2 * part
    assert queries.check_books() == []


def test_what_another_found_first_is_not_booked_twice_when_its_own_answer_comes_late(stands: dict[str, Stand]) -> None:
    """LINE Pay keeps no keys: while the second part is on the wire, whoever looks for the first finds it."""
    stand, account = stands["line_pay"], uuid4()
    payment = begun(stand, "line_pay", User.objects.create(email="yating@shop.test").id, account)
    stand.pay(seen(payment))
    tell(stand, "line_pay", payment)
    part = 10_000
    with transaction.atomic():
        for leg in ("first", "second"):
            refunds.give_back(cause=payment.cause, account=account, leg=leg, amount_minor=part, now=stand.clock.now())
    first, second = (Refund.objects.get(payment=payment, leg=leg).id for leg in ("first", "second"))
    stand.fault("timeout_before", endpoint="refund")
    refunds.advance(refund_id=first, now=stand.clock.now())
    calls: list[int] = []

    def meanwhile() -> None:
        calls.append(1)
        if len(calls) == 2:  # the other side has acted, and its answer is on the way
            refunds.advance(refund_id=first, now=stand.clock.now())

    stand.on_wire(meanwhile)
    refunds.advance(refund_id=second, now=stand.clock.now())
    stand.on_wire(None)
    states = dict(Refund.objects.filter(payment=payment).values_list("leg", "state"))
    assert states == {"first": "done", "second": "starting"}
    assert stand.refunded(words_of(payment.id)) == {"TWD": part}
    for _ in range(6):
        stand.clock.push(minutes=5)
        refunds.advance(refund_id=second, now=stand.clock.now())
    gone = Refund.objects.filter(payment=payment, state="done")
    assert len({one.reference for one in gone}) == 2
    assert stand.refunded(words_of(payment.id)) == {"TWD": 2 * part}
    assert queries.check_books() == []
