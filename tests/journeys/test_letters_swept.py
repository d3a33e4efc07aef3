"""Letters and receipts whose jobs were lost are written after all, once; what is no news any more is not told late."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import connection

from tests.journeys.payment_world import Till
from tests.journeys.renewal_world import Trade
from xuka.accounts.models import User
from xuka.interfaces.jobs import tasks
from xuka.kernel import ids
from xuka.messaging import operations as messaging
from xuka.messaging import queries as messaging_queries
from xuka.messaging.models import Attachment
from xuka.payments import operations as payments
from xuka.payments import refunds
from xuka.receipts import queries as receipts
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order

XIAOYU, SELLER = "xiaoyu@demo.xuka.example", "seller@xuka.example"
PRICE = 12_90


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every job that would write a letter is lost before anybody has run it."""
    there = Trade._jobs

    def left(trade: Trade) -> list[tuple[int, str, str]]:
        with connection.cursor() as cursor:
            cursor.execute("delete from procrastinate_jobs where task_name ~ '^(write_letter|alarm_staff)'")
        return there(trade)

    monkeypatch.setattr(Trade, "_jobs", left)


def sweep(trade: Trade, *, minutes: int = 11) -> None:
    """Time passes, and the sweeper comes twice."""
    trade.sleep(minutes=minutes)
    for _ in range(2):
        tasks.sweep_letters(0)


def papers(order: Order) -> list[str]:
    return [one.full_number for one in receipts.receipts_about(order.id)]


def written(cause: UUID) -> list[tuple[str, str]]:
    return sorted((one.kind, one.to) for one in messaging_queries.messages_about(cause))


# -- letters and receipts ----------------------------------------------------------------------------------------------


def test_a_renewal_is_told_after_all_and_its_receipt_comes_with_the_letter(trade: Trade, lost: None) -> None:
    order = trade.buy()
    trade.work()
    assert (trade.order(order).state, trade.letters(order), papers(order)) == ("active", [], [])
    sweep(trade)
    assert (trade.letters(order), papers(order)) == ([("renewed", XIAOYU)], ["BE-2026-000001"])
    (letter,) = messaging_queries.messages_about(order.id)
    assert [file.name for file in Attachment.objects.filter(message_id=letter.id)] == ["收据 BE-2026-000001.pdf"]


def test_the_letters_own_job_has_ten_minutes(trade: Trade, lost: None) -> None:
    order = trade.buy()
    trade.work()
    sweep(trade, minutes=9)
    assert (trade.letters(order), papers(order)) == ([], [])


def test_what_is_older_than_thirty_days_is_left_alone(trade: Trade, lost: None) -> None:
    order = trade.buy()
    trade.work()
    sweep(trade, minutes=31 * 24 * 60)
    assert (trade.letters(order), papers(order)) == ([], [])


def test_what_was_written_is_not_written_again_even_to_a_new_address(trade: Trade) -> None:
    order = trade.buy()
    trade.work()
    told = trade.letters(order)
    assert told == [("confirmed", XIAOYU), ("renewed", XIAOYU)]
    User.objects.filter(email=XIAOYU).update(email="yu@elsewhere.example")
    sweep(trade)
    assert (trade.letters(order), papers(order)) == (told, ["BE-2026-000001"])


def test_a_receipt_that_is_missing_behind_its_letter_is_issued_without_another_letter(trade: Trade, lost: None) -> None:
    order = trade.buy()
    trade.work()
    for kind in ("confirmed", "renewed"):
        messaging.queue(
            cause=order.id, kind=kind, to=XIAOYU, language="en", subject="Yours", text="Yours.\n", now=trade.now
        )
    sweep(trade)
    assert papers(order) == ["BE-2026-000001"]
    assert trade.letters(order) == [("confirmed", XIAOYU), ("renewed", XIAOYU)]


def test_a_renewal_that_was_given_back_is_told_with_its_credit_note(trade: Trade, lost: None) -> None:
    trade.fail("topup_disabled")
    order = trade.buy()
    trade.work()
    assert trade.order(order).state == "refunded"
    sweep(trade)
    assert trade.letters(order) == [("refunded", XIAOYU)]
    assert papers(order) == ["BE-2026-000001", "BE-2026-C-000001"]


def test_an_order_that_was_never_paid_is_told_without_any_receipt(till: Till, lost: None) -> None:
    order, _ = till.checkout()
    till.trade.wait(minutes=30)
    assert till.trade.order(order).state == "expired"
    sweep(till.trade)
    assert (till.trade.letters(order), papers(order)) == ([("failed", XIAOYU)], [])


def test_an_order_that_still_waits_for_a_person_is_told_to_both(trade: Trade, lost: None) -> None:
    trade.go_silent()
    order = trade.buy()
    trade.wait(hours=2)
    assert trade.order(order).state == "needs_a_person"
    sweep(trade)
    assert trade.letters(order) == [("checking", XIAOYU), ("staff_order.needs_a_person_1", SELLER)]
    assert papers(order) == ["BE-2026-000001"]


# -- money that goes back ----------------------------------------------------------------------------------------------


def cancelled_when_paid(till: Till) -> Order:
    """The customer paid and called it off before the carrier was asked."""
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    till.take()
    payments.look_now(cause=order.id, now=till.trade.now)
    renewals.cancel(order_id=order.id, customer=order.customer_id, now=till.trade.now)
    till.trade.work()
    (refund,) = till.refunds(order)
    assert (till.trade.order(order).state, refund.state, refund.amount_minor) == ("cancelled", "done", PRICE)
    return order


def about_returns(order: Order) -> list[tuple[str, str]]:
    return [one for number in range(1, 4) for one in written(ids.derived(order.id, f"returns:{number}"))]


def test_a_paid_order_that_is_cancelled_is_told_in_one_letter_that_says_both(till: Till) -> None:
    order = cancelled_when_paid(till)
    sweep(till.trade)
    assert till.trade.letters(order) == [("failed", XIAOYU)]
    assert about_returns(order) == []
    (letter,) = messaging_queries.messages_about(order.id)
    assert "已取消" in letter.text
    assert "€12.90" in letter.text


def test_a_return_whose_letter_was_lost_is_told_after_all(till: Till, lost: None) -> None:
    order, first = till.checkout()
    second = till.pay(order, save_method=True)
    till.world.pay(first.reference)
    till.world.pay(second.reference)
    till.deliver()
    assert about_returns(order) == []
    sweep(till.trade)
    assert about_returns(order) == [("returned", XIAOYU)]
    assert till.trade.letters(order) == [("renewed", XIAOYU)]


@pytest.mark.parametrize("is_settled", [False, True])
def test_a_failed_refund_is_told_late_only_while_it_waits_for_a_person(
    till: Till, lost: None, is_settled: bool
) -> None:
    till.trade.fail("topup_disabled")
    till.fail("refund_fails", "refund_create")
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    till.deliver()
    (refund,) = till.refunds(order)
    assert refund.state == "failed"
    if is_settled:
        refunds.decide(
            refund_id=refund.id, round=0, exit="to_wallet", staff=till.trade.shop.staff.id, why="agreed",
            now=till.trade.now,
        )  # fmt: skip
        till.trade.work()
    sweep(till.trade)
    assert written(refund.id) == ([] if is_settled else [("staff_refund_failed_0", SELLER)])
    cause = ids.derived(refund.id, "round:0")
    assert written(cause) == ([] if is_settled else [("refund_failed", XIAOYU)])


def test_the_seller_hears_of_what_differs_after_all(till: Till, lost: None) -> None:
    _, payment = till.checkout()
    till.fail("wrong_amount", "pay")
    till.world.pay(payment.reference)
    till.deliver()
    assert written(payment.id) == []
    sweep(till.trade)
    assert written(payment.id) == [("staff_payment_mismatched", SELLER)]
