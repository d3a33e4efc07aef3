"""Payments that the shop captures once the person agreed: once, never when it is not wanted, found when not heard."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.db import transaction

from tests.contracts.stands import Stand
from tests.journeys.provider_world import begun, seen
from xuka.accounts.models import User
from xuka.ledger import queries as ledger_queries
from xuka.payments import operations, queries
from xuka.payments.models import Payment
from xuka.payments.rules import words_of

pytestmark = pytest.mark.django_db(transaction=True)

CAPTURE = "capture"


class Killed(BaseException):
    """The process died here."""


@pytest.fixture
def customer() -> UUID:
    return User.objects.create(email="xiaoyu@shop.test").id


@pytest.fixture(params=["paypal", "line_pay"])
def stand(request: pytest.FixtureRequest, stands: dict[str, Stand]) -> Stand:
    found = stands[request.param]
    assert found.captures
    return found


def agreed(stand: Stand, customer: UUID) -> Payment:
    """A payment to which the person has agreed; the shop has not heard of it."""
    payment = begun(stand, stand.provider.name, customer, uuid4())
    stand.pay(seen(payment))
    return payment


def back(stand: Stand, payment: Payment) -> Payment:
    """The person comes back: looked at, and captured."""
    operations.look_now(cause=payment.cause, now=stand.clock.now())
    return now_of(payment)


def later(stand: Stand, payment: Payment, **by: float) -> Payment:
    """Time passes, and what is due is done."""
    stand.clock.push(**by)
    while operations.advance(payment_id=payment.id, now=stand.clock.now()):
        pass
    return now_of(payment)


def now_of(payment: Payment) -> Payment:
    return Payment.objects.get(id=payment.id)


def not_wanted(stand: Stand, payment: Payment) -> None:
    with transaction.atomic():
        operations.close(account=payment.account_id, now=stand.clock.now())


def is_paid_once(stand: Stand, payment: Payment) -> bool:
    """At the provider, in the payment's row, and in the account."""
    money = stand.monies[0]
    assert stand.captured(words_of(payment.id)) == {money.currency: money.minor}
    assert ledger_queries.balance(payment.account_id) == money.minor
    assert queries.check_books() == []
    return now_of(payment).state == "paid"


def is_untouched(stand: Stand, payment: Payment) -> bool:
    assert stand.captured(words_of(payment.id)) == {}
    assert ledger_queries.balance(payment.account_id) == 0
    return now_of(payment).state == "closed"


def test_what_is_not_wanted_any_more_is_not_captured_though_the_person_agreed(stand: Stand, customer: UUID) -> None:
    payment = agreed(stand, customer)
    not_wanted(stand, payment)
    for _ in range(3):
        later(stand, payment, minutes=5)
    assert is_untouched(stand, payment)


@pytest.mark.parametrize("fault", ["timeout_after", "drop_after", "error_after", "garbage_after"])
def test_a_capture_whose_answer_was_lost_is_looked_for_and_done_once(stand: Stand, customer: UUID, fault: str) -> None:
    payment = agreed(stand, customer)
    stand.fault(fault, endpoint=CAPTURE)
    assert back(stand, payment).state == "processing"
    later(stand, payment, minutes=1)
    assert is_paid_once(stand, payment)


def test_a_capture_that_was_not_done_is_done_at_the_next_look(stand: Stand, customer: UUID) -> None:
    payment = agreed(stand, customer)
    stand.fault("timeout_before", endpoint=CAPTURE)
    assert back(stand, payment).state == "processing"
    assert stand.captured(words_of(payment.id)) == {}
    later(stand, payment, minutes=1)
    assert is_paid_once(stand, payment)


@pytest.mark.parametrize("moment", [1, 2], ids=["before the provider acts", "after it has acted"])
def test_a_process_that_dies_while_it_captures_has_captured_once_in_the_end(
    stand: Stand, customer: UUID, moment: int
) -> None:
    payment = agreed(stand, customer)
    Payment.objects.filter(id=payment.id).update(next_step_at=stand.clock.now())
    assert operations.advance(payment_id=payment.id, now=stand.clock.now())
    calls = 0

    def die() -> None:
        nonlocal calls
        calls += 1
        if calls == moment:
            raise Killed

    stand.on_wire(die)
    with pytest.raises(Killed):
        operations.advance(payment_id=payment.id, now=stand.clock.now())
    stand.on_wire(None)
    assert now_of(payment).state == "processing"
    later(stand, payment, minutes=5)
    later(stand, payment, minutes=5)
    assert is_paid_once(stand, payment)


def test_what_may_still_be_captured_over_there_is_not_closed_and_its_money_is_booked(
    stand: Stand, customer: UUID
) -> None:
    payment = agreed(stand, customer)
    stand.fault("timeout_before", endpoint=CAPTURE)
    assert back(stand, payment).state == "processing"
    not_wanted(stand, payment)
    assert later(stand, payment, seconds=70).state == "approved"  # not "closed": nobody would look again
    stand.pay_late(seen(payment))  # the call that was given up is done there after all
    later(stand, payment, minutes=5)
    assert is_paid_once(stand, payment)


def test_what_was_surely_not_captured_and_is_not_wanted_is_closed(stand: Stand, customer: UUID) -> None:
    payment = agreed(stand, customer)
    stand.fault("timeout_before", endpoint=CAPTURE)
    back(stand, payment)
    not_wanted(stand, payment)
    later(stand, payment, seconds=70)
    later(stand, payment, minutes=5)
    assert is_untouched(stand, payment)


def test_a_wallet_with_too_little_leaves_the_page_open_or_ends_it_and_nothing_is_taken(
    stand: Stand, customer: UUID
) -> None:
    payment = agreed(stand, customer)
    stand.fault("capture_declined", endpoint=CAPTURE)
    assert back(stand, payment).state in {"open", "closed"}
    assert stand.captured(words_of(payment.id)) == {}
