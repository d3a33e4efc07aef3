"""What happens to a card payment when the provider, the network, the bank or the customer does not do what was hoped.

xiaoyu's card in Belgium runs for two more days; a week costs EUR 12.90, EUR 2.24 of it tax. Her wallet holds EUR 60.00
and is never touched here. The provider is a stand-in; its webhooks arrive when the test says so.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection

from tests.journeys.payment_world import KEY, Till
from tests.journeys.renewal_world import BEGIN, Killed
from xuka.journal import queries as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.ledger import queries as ledger
from xuka.messaging import queries as messaging
from xuka.payments import operations as payments
from xuka.payments import queries as payments_queries
from xuka.payments import refunds
from xuka.payments.models import Event, Payment, Refund, SavedMethod
from xuka.payments.providers import Call
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order

XIAOYU, SELLER = "xiaoyu@demo.xuka.example", "seller@xuka.example"
PRICE = 12_90


def is_sold_once(till: Till, order: Order) -> bool:
    """Everything that a renewal paid by card leaves behind, exactly once."""
    trade = till.trade
    found = trade.order(order)
    assert (found.state, found.reason, trade.hold(order), trade.wallet()) == ("active", "", 0, 60_00)
    assert trade.transfers(order) == [("revenue", 10_66, "EUR"), ("tax", 2_24, "EUR")]
    assert [one.package for one in trade.truth(order)] == ["belsim-7days-unlimited-topup"]
    assert len(trade.periods(order)) == 1
    return True


def captured(till: Till, order: Order) -> int:
    """What the provider really took for this order, less what it gave back, minor units."""
    return sum(till.kept(payment) for payment in payments_queries.payments_about(order.id))


def booked(till: Till) -> int:
    """What the books say the provider still owes the seller: all captured, less all given back."""
    return -till.balance("clearing")


def is_refunded_once(till: Till, order: Order, amount: int = PRICE) -> bool:
    """This much went back to the card, once, and nothing is held or on its way."""
    (refund,) = till.refunds(order)
    assert (refund.state, refund.amount_minor) == ("done", amount)
    assert captured(till, order) == booked(till)
    assert till.balance("refunds_in_flight") == till.trade.hold(order) == 0
    assert till.trade.wallet() == 60_00
    return True


# -- paid well ---------------------------------------------------------------------------------------------------------


def test_a_renewal_is_paid_by_card_and_active(till: Till) -> None:
    order, payment = till.checkout()
    assert payment.url
    assert till.trade.order(order).state == "awaiting_funds"
    till.world.pay(payment.reference)
    till.deliver()
    assert is_sold_once(till, order)
    assert (captured(till, order), booked(till)) == (PRICE, PRICE)
    assert [one.leg for one in ledger.transfers_of(payment.id)] == ["captured"]
    assert ("renewed", XIAOYU) in till.trade.letters(order)


def test_who_comes_back_before_the_webhook_is_not_kept_waiting(till: Till) -> None:
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    payments.look_now(cause=order.id, now=till.trade.now)
    till.trade.work()
    assert is_sold_once(till, order)
    till.deliver()
    assert is_sold_once(till, order)


def test_without_any_webhook_the_payment_is_found_all_the_same(till: Till) -> None:
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    till.take()
    till.trade.wait(seconds=30)
    assert is_sold_once(till, order)


def test_the_button_pressed_twice_opens_one_page(till: Till) -> None:
    order = till.buy()
    id = uuid4()
    first, second, other_tab = till.pay(order, id=id), till.pay(order, id=id), till.pay(order)
    assert first.id == second.id == other_tab.id
    assert first.url == second.url == other_tab.url
    assert sum(path.endswith("/checkout/sessions") for _, path in till.calls) == 1


def test_two_tabs_that_press_at_the_same_moment_open_one_page(till: Till) -> None:
    order = till.buy()
    together = threading.Barrier(2)

    def press(_: int) -> UUID:
        try:
            together.wait(timeout=10)
            return till.pay(order).id
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as tabs:
        first, second = tabs.map(press, range(2))
    assert first == second
    assert sum(call == ("POST", "/v1/checkout/sessions") for call in till.calls) == 1
    (payment,) = payments_queries.payments_about(order.id)
    till.world.pay(payment.reference)
    till.deliver()
    assert is_sold_once(till, order)


def test_the_button_pressed_twice_at_the_same_moment_asks_once(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    order, id = till.buy(), uuid4()
    together = threading.Barrier(2)
    lease_to_ask = payments._lease_to_ask

    def both_found_nothing(payment: Payment, now: datetime) -> Call:
        together.wait(timeout=10)
        return lease_to_ask(payment, now)

    monkeypatch.setattr(payments, "_lease_to_ask", both_found_nothing)

    def press(_: int) -> UUID:
        try:
            return till.pay(order, id=id).id
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as presses:
        assert list(presses.map(press, range(2))) == [id, id]
    assert sum(call == ("POST", "/v1/checkout/sessions") for call in till.calls) == 1
    assert [fact.what for fact in journal.facts_about(order.id)].count("payment.started") == 1
    (payment,) = payments_queries.payments_about(order.id)
    assert payment.asks == 1
    till.world.pay(payment.reference)
    till.deliver()
    assert is_sold_once(till, order)


def test_what_was_begun_with_the_other_keys_waits_untouched(till: Till) -> None:
    order, payment = till.checkout()
    Payment.objects.update(is_live=True, next_step_at=till.trade.now)  # begun before somebody put in the test keys
    before = len(till.calls)
    assert payments_queries.due_payments(till.trade.now) == []
    assert not payments.advance(payment_id=payment.id, now=till.trade.now)
    till.trade.sleep(hours=1)
    till.trade.work()
    assert len(till.calls) == before
    assert till.payment(payment).state == "open"
    assert till.trade.order(order).state == "expired"


# -- webhooks ----------------------------------------------------------------------------------------------------------


def test_a_webhook_twice_late_and_out_of_order_has_one_effect(till: Till) -> None:
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    told = till.take()
    assert len(told) >= 2
    for body, signature in [*reversed(told), *told]:
        assert till.post(body, signature) == 200
        till.trade.work()
    assert is_sold_once(till, order)
    assert set(till.events()) <= {"digested", "ignored"}
    assert len(till.events()) == len(told)
    till.trade.sleep(seconds=299)  # the signature is still fresh enough
    assert till.post(*told[0]) == 200
    till.trade.work()
    assert is_sold_once(till, order)
    assert booked(till) == PRICE


def test_a_webhook_before_the_create_call_returned_has_one_effect(till: Till) -> None:
    order = till.buy()
    till.fail("timeout_after", "session_create")
    payment = till.pay(order)
    assert (payment.state, payment.url) == ("starting", "")
    (session,) = till.world.sessions()
    till.world.pay(session["id"])
    till.deliver()  # about a payment that nobody here has heard an answer of
    till.trade.wait(seconds=60)
    assert is_sold_once(till, order)
    assert booked(till) == PRICE


def meanwhile(till: Till, happens: Callable[[], None]) -> None:
    """This happens once, while the provider's next answer, which knows nothing of it, is on its way back."""
    passed = 0

    def hook() -> None:
        nonlocal passed
        passed += 1
        if passed == 2:
            till.wire.on_wire = None
            happens()

    till.wire.on_wire = hook


@pytest.mark.parametrize("dies", [False, True])
def test_a_webhook_that_overtakes_the_answer_of_a_look_is_not_lost(till: Till, dies: bool) -> None:
    order, payment = till.checkout()

    def paid() -> None:
        till.world.pay(payment.reference)
        till.deliver()
        assert till.payment(payment).state == "open"
        assert "stored" in till.events()
        if dies:
            raise Killed

    till.trade.sleep(seconds=30)
    meanwhile(till, paid)
    if dies:
        with pytest.raises(Killed):
            payments.advance(payment_id=payment.id, now=till.trade.now)
        till.trade.wait(seconds=25)  # until then somebody might still be asking
    else:
        payments.advance(payment_id=payment.id, now=till.trade.now)
        assert till.payment(payment).state == "open"
        till.trade.work()
    assert is_sold_once(till, order)
    assert booked(till) == PRICE
    assert set(till.events()) <= {"digested", "ignored"}


def test_a_webhook_that_overtakes_the_answer_of_a_look_at_a_refund_is_not_lost(till: Till) -> None:
    order = refused_by_the_carrier(till)
    till.deliver()
    (refund,) = till.refunds(order)
    assert (refund.state, till.trade.hold(order)) == ("done", 0)

    def failed() -> None:
        till.world.fail_refund(refund.reference)
        till.deliver()
        assert till.refunds(order)[0].state == "done"

    till.trade.sleep(days=1)
    meanwhile(till, failed)
    refunds.advance(refund_id=refund.id, now=till.trade.now)
    assert till.refunds(order)[0].state == "done"
    till.trade.work()
    assert (till.refunds(order)[0].state, till.trade.hold(order)) == ("failed", PRICE)


@pytest.mark.parametrize(
    ("what", "status"), [("forged", 400), ("unsigned", 400), ("changed", 400), ("stale", 400), ("too large", 413)]
)
def test_a_webhook_that_is_not_to_be_believed_is_refused_without_effect(till: Till, what: str, status: int) -> None:
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    body, signature = till.take()[0]
    match what:
        case "forged":
            signature = signature.replace("v1=", "v1=00")
        case "unsigned":
            signature = ""
        case "changed":
            body = body.replace(b"1290", b"1")
        case "stale":
            till.trade.sleep(seconds=301)
        case "too large":
            body += b" " * 64 * 1024
    assert till.post(body, signature) == status
    assert Event.objects.count() == 0
    assert Payment.objects.get().state == "open"
    assert till.trade.order(order).state == "awaiting_funds"
    assert till.balance("clearing") == 0


def test_a_webhook_about_nobodys_payment_is_kept_and_shown_without_effect(till: Till) -> None:
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    body, _ = next(one for one in till.take() if payment.id.hex.encode() in one[0])
    stranger = body.replace(payment.id.hex.encode(), uuid4().hex.encode())
    told = till.sign(stranger)
    assert till.post(stranger, told) == 200  # whoever is answered otherwise repeats it for days
    (event,) = Event.objects.all()
    assert (event.state, event.body) == ("unknown", stranger.decode())
    assert payments_queries.waiting_for_a_person().unknown_events == 1
    till.trade.sleep(seconds=10)
    assert till.post(stranger, told) == 200
    (same,) = Event.objects.all()
    assert (same.state, same.received_at) == ("unknown", event.received_at)
    assert [fact.what for fact in journal.facts_about(event.id)] == ["payment.event_unknown"]
    till.trade.work()
    assert till.balance("clearing") == 0
    assert till.trade.order(order).state == "awaiting_funds"


def test_what_a_webhook_says_of_a_person_is_kept_only_until_it_is_looked_into(till: Till) -> None:
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    (body, _), *_ = [one for one in till.take() if payment.id.hex.encode() in one[0]]
    told = json.loads(body)
    told["data"]["object"]["customer_details"] = {"email": XIAOYU, "name": "Xiaoyu"}
    of_no_matter = told | {"id": "evt_of_no_matter", "type": "customer.updated"}
    for event in (told, of_no_matter):
        body = json.dumps(event).encode()
        assert till.post(body, till.sign(body)) == 200
    assert dict(Event.objects.values_list("state", "body")) == {"stored": json.dumps(told), "ignored": ""}
    till.trade.work()
    assert is_sold_once(till, order)
    kept = set(Event.objects.values_list("event_id", "kind", "state", "body"))
    assert kept == {
        (told["id"], told["type"], "digested", ""),
        ("evt_of_no_matter", "customer.updated", "ignored", ""),
    }


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_dispute_is_journalled_once_told_to_the_seller_and_moves_no_money(till: Till, is_ours: bool) -> None:
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    till.deliver()
    charge = till.payment(payment).charge if is_ours else "pi_of_nobody"
    about = {"id": "du_1", "object": "dispute", "amount": PRICE, "currency": "eur", "payment_intent": charge}
    event = {
        "id": "evt_dispute", "object": "event", "type": "charge.dispute.created", "livemode": False,
        "created": int(till.trade.now.timestamp()), "data": {"object": about},
    }  # fmt: skip
    body = json.dumps(event).encode()
    for _ in range(2):
        assert till.post(body, till.sign(body)) == 200
        till.trade.work()
    disputes = [fact.after for fact in journal.facts_about(order.id) if fact.what == "payment.disputed"]
    assert disputes == ([{"payment": str(payment.id), "dispute": "du_1"}] if is_ours else [])
    assert till.trade.letters(order).count(("staff_payment.disputed_1", SELLER)) == is_ours
    assert Event.objects.get(event_id="evt_dispute").state == ("digested" if is_ours else "unknown")
    assert is_sold_once(till, order)
    assert (captured(till, order), booked(till)) == (PRICE, PRICE)


# -- at the limit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minor", "what"), [(49, "amount"), (50, "open"), (99_999_999, "open"), (100_000_000, "amount")]
)
def test_a_payment_is_begun_at_the_exact_limit_with_its_fee_inside(till: Till, minor: int, what: str) -> None:
    payments.set_fee(
        market="JP", method="card", basis_points=300, permission="a rule that allows it",
        staff=till.trade.shop.staff.id, now=till.trade.now,
    )  # fmt: skip
    order = till.buy("sato")

    def begun() -> Payment:
        return payments.begin(
            id=uuid4(), cause=order.id, account=order.hold_id, customer=order.customer_id, market="JP",
            money=Money(minor, "JPY"), method="card", description="a week", return_url="http://shop.test/back",
            language="en", pay_by=order.pay_by, now=till.trade.now,
        )  # fmt: skip

    if what == "amount":
        with pytest.raises(payments.NotOffered, match="amount"):
            begun()
        return
    payment = begun()
    assert (payment.state, payment.amount_minor) == (what, minor)


# -- another amount ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["wrong_amount", "wrong_currency"])
def test_what_differs_from_what_was_asked_is_never_credited_and_a_person_decides(till: Till, fault: str) -> None:
    order, payment = till.checkout()
    till.fail(fault, "pay")
    till.world.pay(payment.reference)
    till.deliver()
    found = till.payment(payment)
    assert found.state == "mismatched"
    assert (found.paid_minor, found.paid_currency) != (PRICE, "EUR")
    assert till.trade.order(order).state == "awaiting_funds"
    assert till.trade.hold(order) == 0
    assert till.balance("suspense", found.paid_currency) == found.paid_minor
    assert ("staff_payment_mismatched", SELLER) in [(m.kind, m.to) for m in messages(payment)]
    assert payments_queries.waiting_for_a_person().mismatched == 1

    for _ in range(2):  # pressed twice
        refunds.give_mismatch_back(
            payment_id=payment.id, staff=till.trade.shop.staff.id, why="not what was asked", now=till.trade.now
        )
    till.trade.work()
    (refund,) = till.refunds(order)
    assert (refund.state, refund.amount_minor, refund.currency) == ("done", found.paid_minor, found.paid_currency)
    assert till.balance("suspense", found.paid_currency) == till.balance("clearing", found.paid_currency) == 0
    assert payments_queries.waiting_for_a_person().mismatched == 0


def messages(subject: Payment | Refund) -> list:
    return messaging.messages_about(subject.id)


# -- not paid ----------------------------------------------------------------------------------------------------------


def test_a_declined_card_leaves_the_order_waiting_and_the_next_card_pays_once(till: Till) -> None:
    order, payment = till.checkout()
    till.world.decline(payment.reference)
    till.deliver()
    assert till.trade.order(order).state == "awaiting_funds"
    assert till.payment(payment).state == "open"
    again = till.pay(order)
    assert (again.id, again.url) == (payment.id, payment.url)  # the same page, so that nobody pays on two
    till.world.pay(payment.reference)
    till.deliver()
    assert is_sold_once(till, order)
    assert booked(till) == PRICE


def test_three_d_secure_refused_then_approved_pays_once(till: Till) -> None:
    order, payment = till.checkout()
    till.world.pay_with_3ds(payment.reference, approve=False)
    till.deliver()
    assert till.trade.order(order).state == "awaiting_funds"
    till.world.pay_with_3ds(payment.reference, approve=True)
    till.deliver()
    assert is_sold_once(till, order)
    assert booked(till) == PRICE


def test_a_page_that_is_left_is_closed_when_the_time_to_pay_is_over(till: Till) -> None:
    order, payment = till.checkout()
    till.trade.wait(minutes=30)
    assert till.payment(payment).state == "closed"
    found = till.trade.order(order)
    assert (found.state, found.reason, found.next_step_at) == ("expired", "not_paid", None)
    assert till.session(payment)["status"] == "expired"
    assert till.trade.when(order, "order.expired") == timedelta(minutes=30)
    assert (booked(till), till.refunds(order)) == (0, [])
    with pytest.raises(renewals.CannotPay) as refused:
        till.pay(order)
    assert refused.value.code == "not_waiting"


def test_who_pays_in_the_last_moment_has_paid(till: Till) -> None:
    order, payment = till.checkout()
    till.trade.wait(minutes=29, seconds=59)
    till.world.pay(payment.reference)  # and its webhooks are lost
    till.take()
    till.trade.wait(seconds=1)
    assert is_sold_once(till, order)


def test_an_order_does_not_wait_for_ever_for_a_provider_that_cannot_be_reached(till: Till) -> None:
    order, payment = till.checkout()
    till.fail("timeout_before", "*", times=None)
    till.trade.wait(minutes=30, seconds=5)
    till.world.pay(payment.reference)  # the page could not be closed
    till.take()  # and nobody hears of it
    till.trade.wait(minutes=10)
    assert till.trade.order(order).state == "expired"
    assert till.trade.when(order, "order.expired") == timedelta(minutes=40)
    till.heal()
    till.trade.wait(hours=1)
    assert till.trade.order(order).state == "expired"
    assert is_refunded_once(till, order)
    assert booked(till) == 0


def test_money_that_the_bank_has_not_decided_on_is_waited_for(till: Till) -> None:
    order, payment = till.checkout()
    till.world.delay(payment.reference)
    till.deliver()
    assert till.payment(payment).state == "processing"
    assert till.trade.order(order).state == "awaiting_funds"
    till.world.settle_delayed(payment.reference, ok=True)
    till.deliver()
    assert is_sold_once(till, order)


# -- paid twice, paid late ---------------------------------------------------------------------------------------------


def test_paid_in_two_sessions_one_counts_and_the_other_goes_back_by_itself(till: Till) -> None:
    order, first = till.checkout()
    second = till.pay(order, save_method=True)  # another way of paying: the first page is to be closed
    assert second.id != first.id
    till.world.pay(first.reference)  # before anybody has closed it
    till.world.pay(second.reference)
    till.deliver()
    assert is_sold_once(till, order)
    assert is_refunded_once(till, order)
    assert booked(till) == PRICE
    assert told_of_returns(till, order) == [("returned", XIAOYU)]


def test_the_first_page_is_closed_when_another_way_of_paying_is_chosen(till: Till) -> None:
    order, first = till.checkout()
    second = till.pay(order, save_method=True)
    till.trade.work()
    assert till.payment(first).state == "closed"
    assert till.session(first)["status"] == "expired"
    till.world.pay(second.reference)
    till.deliver()
    assert is_sold_once(till, order)
    assert till.refunds(order) == []


def test_paid_from_the_wallet_after_all_and_by_card_too_the_card_gets_it_back(till: Till) -> None:
    order, payment = till.checkout()
    till.world.pay(payment.reference)  # the webhook is on its way
    renewals.pay_from_wallet(order_id=order.id, customer=order.customer_id, now=till.trade.now)
    till.deliver()
    assert till.trade.order(order).state == "active"
    assert till.trade.wallet() == 60_00 - PRICE
    (refund,) = till.refunds(order)
    assert (refund.state, refund.amount_minor) == ("done", PRICE)
    assert (captured(till, order), booked(till)) == (0, 0)


@pytest.mark.parametrize("how", ["expired", "cancelled"])
def test_paid_after_the_end_it_goes_back_by_itself_and_the_customer_is_told(till: Till, how: str) -> None:
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    told = till.take()
    if how == "cancelled":
        renewals.cancel(order_id=order.id, customer=order.customer_id, now=till.trade.now)
    else:
        till.fail("timeout_before", "*", times=None)
        till.trade.wait(minutes=40)
        till.heal()
    for body, _ in told:
        till.post(body, till.sign(body))
    till.trade.wait(hours=1)
    assert till.trade.order(order).state == how
    assert is_refunded_once(till, order)
    assert till.trade.truth(order) == []
    assert told_of_returns(till, order) == [("returned", XIAOYU)]


def told_of_returns(till: Till, order: Order) -> list[tuple[str, str]]:
    """(kind, address) of the letters about money that was not needed, one for each time that some went back."""
    causes = [ids.derived(order.id, f"returns:{number}") for number in range(1, 4)]
    return [(one.kind, one.to) for cause in causes for one in messaging.messages_about(cause)]


# -- refunds -----------------------------------------------------------------------------------------------------------


def refused_by_the_carrier(till: Till) -> Order:
    """An order paid by card that the carrier will not take."""
    till.trade.fail("topup_disabled")
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    return order


def test_what_the_carrier_refuses_goes_back_to_the_card(till: Till) -> None:
    order = refused_by_the_carrier(till)
    till.deliver()
    assert till.trade.order(order).state == "refunded"
    assert is_refunded_once(till, order)
    (refund,) = till.refunds(order)
    assert sorted(one.leg for one in ledger.transfers_of(refund.id)) == ["asked:0", "confirmed:0"]
    assert till.trade.when(order, "order.refunded") == timedelta(0)
    assert ("refunded", XIAOYU) in till.trade.letters(order)


@pytest.mark.parametrize("fault", ["timeout_after", "error_after", "drop_after", "garbage_after", "timeout_before"])
def test_a_refund_whose_answer_was_lost_is_looked_for_and_done_once(till: Till, fault: str) -> None:
    till.fail(fault, "refund_create")
    order = refused_by_the_carrier(till)
    till.deliver()
    till.trade.wait(hours=1)
    assert till.trade.order(order).state == "refunded"
    assert is_refunded_once(till, order)
    assert booked(till) == 0


def test_a_refunds_webhook_before_its_call_returned_is_harmless(till: Till) -> None:
    till.fail("timeout_after", "refund_create")
    order = refused_by_the_carrier(till)
    till.deliver()
    till.deliver()
    till.trade.wait(hours=1)
    assert is_refunded_once(till, order)
    (refund,) = till.refunds(order)
    assert sorted(one.leg for one in ledger.transfers_of(refund.id)) == ["asked:0", "confirmed:0"]


def test_a_refund_asked_by_many_at_once_is_one(till: Till) -> None:
    order = refused_by_the_carrier(till)
    till.deliver()
    (refund,) = till.refunds(order)
    for _ in range(3):
        assert not refunds.advance(refund_id=refund.id, now=till.trade.now)
        till.trade.advance(order)
    assert is_refunded_once(till, order)
    assert sum((method, path) == ("POST", "/v1/refunds") for method, path in till.calls) == 1


def test_a_refund_on_its_way_keeps_the_order_until_it_has_arrived(till: Till) -> None:
    till.fail("refund_pending", "refund_create")
    order = refused_by_the_carrier(till)
    till.deliver()
    (refund,) = till.refunds(order)
    assert (refund.state, till.trade.order(order).state) == ("pending", "refunding")
    assert (till.balance("refunds_in_flight"), till.trade.hold(order), booked(till)) == (PRICE, 0, PRICE)
    till.world.settle_refund(refund.reference)
    till.deliver()
    assert till.trade.order(order).state == "refunded"
    assert is_refunded_once(till, order)


def test_money_that_comes_while_the_refund_is_on_its_way_goes_back_too_and_nothing_goes_back_twice(till: Till) -> None:
    till.fail("refund_pending", "refund_create")
    order = refused_by_the_carrier(till)
    till.deliver()
    wallet = till.trade.wallet()
    for _ in range(2):
        till.trade.pay_into(order, 1)
        till.trade.wait(hours=2)
        assert (till.trade.hold(order), till.trade.order(order).state) == (0, "refunding")
    (refund,) = till.refunds(order)
    assert (refund.amount_minor, refund.state, till.trade.wallet()) == (PRICE, "pending", wallet + 2)
    till.world.settle_refund(refund.reference)
    till.deliver()
    assert till.trade.order(order).state == "refunded"
    (refund,) = till.refunds(order)
    assert (refund.state, refund.amount_minor) == ("done", PRICE)
    assert till.balance("refunds_in_flight") == till.trade.hold(order) == 0
    assert till.trade.wallet() == wallet + 2


def test_a_refund_that_fails_waits_for_a_person_and_the_money_is_where_it_was(till: Till) -> None:
    till.fail("refund_fails", "refund_create")
    order = refused_by_the_carrier(till)
    till.deliver()
    (refund,) = till.refunds(order)
    assert (refund.state, till.trade.order(order).state) == ("failed", "refunding")
    assert (till.trade.hold(order), till.balance("refunds_in_flight"), booked(till)) == (PRICE, 0, PRICE)
    assert ("staff_refund_failed_0", SELLER) in [(m.kind, m.to) for m in messages(refund)]
    till.trade.wait(days=1)
    assert len(till.refunds(order)) == 1  # nobody asks again by itself

    decide(till, refund, "retry")
    till.trade.work()
    assert till.trade.order(order).state == "refunded"
    assert is_refunded_once(till, order)
    legs = [one.leg for one in ledger.transfers_of(refund.id)]
    assert sorted(legs) == ["asked:0", "asked:1", "confirmed:1", "failed:0"]


def decide(till: Till, refund: Refund, exit: str, reference: str = "") -> None:
    refunds.decide(
        refund_id=refund.id, round=refund.round, exit=exit, staff=till.trade.shop.staff.id,
        why="the customer agreed", reference=reference, now=till.trade.now,
    )  # fmt: skip


@pytest.mark.parametrize("exit", refunds.EXITS)
def test_who_decides_about_an_earlier_try_decides_nothing(till: Till, exit: str) -> None:
    till.fail("refund_fails", "refund_create", times=2)
    order = refused_by_the_carrier(till)
    till.deliver()
    (read,) = till.refunds(order)
    decide(till, read, "retry")
    till.trade.work()
    till.deliver()
    (refund,) = till.refunds(order)
    assert (read.round, refund.round, refund.state) == (0, 1, "failed")
    with pytest.raises(payments.CannotDecide, match="not_waiting"):
        decide(till, read, exit, reference="bank transfer 7")
    (after,) = till.refunds(order)
    assert (after.round, after.state, after.reference) == (1, "failed", refund.reference)
    assert (till.trade.hold(order), till.balance("refunds_in_flight"), till.trade.wallet()) == (PRICE, 0, 60_00)
    decide(till, refund, "to_wallet")
    assert till.trade.wallet() == 60_00 + PRICE


@pytest.mark.parametrize("exit", ["to_wallet", "paid_elsewhere"])
def test_a_refund_that_fails_after_it_had_succeeded_is_undone_in_the_books_and_a_person_ends_it(
    till: Till, exit: str
) -> None:
    order = refused_by_the_carrier(till)
    till.deliver()
    assert till.trade.order(order).state == "refunded"
    (refund,) = till.refunds(order)
    till.world.fail_refund(refund.reference)
    till.deliver()
    (refund,) = till.refunds(order)
    assert (refund.state, till.trade.hold(order), booked(till)) == ("failed", PRICE, PRICE)
    assert captured(till, order) == PRICE
    till.trade.wait(days=1)
    assert till.trade.hold(order) == PRICE

    decide(till, refund, exit, reference="bank transfer 7")
    till.trade.work()
    assert till.trade.hold(order) == 0
    assert till.trade.wallet() == 60_00 + (PRICE if exit == "to_wallet" else 0)
    assert till.balance("paid_by_hand") == (PRICE if exit == "paid_elsewhere" else 0)
    (refund,) = till.refunds(order)
    assert refund.state == "settled"
    with pytest.raises(payments.CannotDecide):
        decide(till, refund, exit, reference="again")


def test_a_refund_asked_anew_is_watched_as_long_as_the_first_one_was(till: Till) -> None:
    """It succeeded, came back a month later, was asked anew, and came back again with nobody telling."""
    order = refused_by_the_carrier(till)
    till.deliver()
    (refund,) = till.refunds(order)
    till.trade.wait(days=40)
    till.world.fail_refund(refund.reference)
    till.deliver()
    (refund,) = till.refunds(order)
    decide(till, refund, "retry")
    till.deliver()
    (again,) = till.refunds(order)
    assert (again.state, again.round, till.trade.hold(order)) == ("done", 1, 0)
    assert again.reference != refund.reference
    assert again.done_at is not None
    assert again.done_at > till.trade.now - timedelta(days=1)

    till.world.fail_refund(again.reference)  # its webhook is lost
    till.trade.wait(days=8)
    (again,) = till.refunds(order)
    assert (again.state, till.trade.hold(order), booked(till)) == ("failed", PRICE, PRICE)


def test_part_of_the_money_goes_back_to_the_card_and_part_to_the_wallet_where_it_came_from(till: Till) -> None:
    till.trade.fail("topup_disabled")
    order = till.buy()
    till.trade.pay_into(order, 2_90)  # from elsewhere
    payment = till.pay(order)
    assert payment.amount_minor == 10_00
    till.world.pay(payment.reference)
    till.deliver()
    assert till.trade.order(order).state == "refunded"
    (refund,) = till.refunds(order)
    assert (refund.amount_minor, till.trade.wallet()) == (10_00, 62_90)


# -- the process dies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [1, 2])
def test_a_process_that_dies_while_it_asks_for_a_payment_costs_nobody_anything(till: Till, moment: int) -> None:
    order = till.buy()
    dies_on_the_wire(till, moment)
    with pytest.raises(Killed):
        till.pay(order)
    again = till.pay(order)  # at once: somebody may still be asking
    assert again.state == "starting"
    till.trade.wait(minutes=1)
    third = till.pay(order)
    assert third.state == "open"
    till.world.pay(third.reference)
    till.deliver()
    assert is_sold_once(till, order)
    assert booked(till) == PRICE


@pytest.mark.parametrize("moment", [1, 2])
def test_a_process_that_dies_while_it_asks_for_a_refund_refunds_once(till: Till, moment: int) -> None:
    order = refused_by_the_carrier(till)
    till.trade.on_wire = lambda when: dies_on_the_wire(till, moment) if when == "after" else None
    with pytest.raises(Killed):
        till.deliver()
    till.trade.on_wire = lambda when: None
    till.trade.wait(hours=1)
    assert till.trade.order(order).state == "refunded"
    assert is_refunded_once(till, order)


def dies_on_the_wire(till: Till, moment: int) -> None:
    """The next call to the provider kills its process: 1 before the provider acts, 2 after it."""
    passed = 0

    def hook() -> None:
        nonlocal passed
        passed += 1
        if passed == moment:
            till.wire.on_wire = None
            raise Killed

    till.wire.on_wire = hook


# -- the provider is down ----------------------------------------------------------------------------------------------


def test_a_provider_that_is_down_steps_back_and_returns_by_itself(till: Till) -> None:
    order = till.buy()
    till.fail("timeout_before", "*", times=None)
    first = till.pay(order)
    assert first.state == "starting"
    assert offered(till) == ("", None)
    till.trade.wait(seconds=30)  # it was looked for: silence again
    why_not, until = offered(till)
    assert why_not == "down"
    assert until is not None
    with pytest.raises(renewals.CannotPay) as refused:
        till.pay(order)
    assert (refused.value.code, refused.value.until) == ("down", until)
    assert till.trade.order(order).state == "awaiting_funds"
    till.heal()
    till.trade.wait(minutes=5)
    assert offered(till) == ("", None)
    payment = till.pay(order)
    assert payment.state == "open"
    till.world.pay(payment.reference)
    till.deliver()
    assert is_sold_once(till, order)
    assert booked(till) == PRICE


def offered(till: Till) -> tuple[str, object]:
    one = payments_queries.method_offered(market="BE", money=Money(PRICE, "EUR"), method="card", now=till.trade.now)
    assert one is not None
    return one.why_not, one.until


def test_a_refusal_after_a_silence_does_not_hide_what_the_first_ask_took(till: Till) -> None:
    card = with_a_saved_card(till)
    order = till.buy("emma")
    till.fail("timeout_after", "intent_create")
    id = uuid4()
    assert till.pay(order, id=id, saved_method=card.id).state == "starting"
    till.trade.sleep(seconds=25)
    till.world.keys = ()  # the second ask is refused: the key is no longer known
    assert till.pay(order, id=id, saved_method=card.id).state == "starting"
    till.world.keys = (KEY,)
    till.take()  # and no webhook comes
    till.trade.wait(minutes=5)
    assert till.trade.order(order).state == "active"
    assert booked(till) == 2 * order.total_minor


def test_a_lost_answer_is_asked_for_again_under_the_same_key(till: Till) -> None:
    order = till.buy()
    till.fail("timeout_after", "session_create")
    id = uuid4()
    assert till.pay(order, id=id).state == "starting"
    till.trade.sleep(seconds=25)
    again = till.pay(order, id=id)
    assert again.state == "open"
    assert len(till.world.sessions()) == 1


# -- saved cards -------------------------------------------------------------------------------------------------------


def with_a_saved_card(till: Till) -> SavedMethod:
    order = till.buy("emma")
    payment = till.pay(order, save_method=True)
    till.world.pay(payment.reference)
    till.deliver()
    assert till.trade.order(order).state == "active"
    (card,) = payments_queries.saved_methods(order.customer_id)
    return card


def test_a_card_is_kept_only_with_consent_and_pays_the_next_time_without_a_page(till: Till) -> None:
    card = with_a_saved_card(till)
    assert (card.brand, card.known_by) == ("visa", "4242")
    order = till.buy("emma")
    payment = till.pay(order, saved_method=card.id)
    assert (payment.state, payment.url) == ("paid", "")
    till.trade.work()
    assert till.trade.order(order).state == "active"
    till.deliver()
    assert booked(till) == 2 * order.total_minor


def test_without_consent_nothing_is_kept(till: Till) -> None:
    _, payment = till.checkout("emma")
    till.world.pay(payment.reference)
    till.deliver()
    assert SavedMethod.objects.count() == 0


def test_a_saved_card_that_is_declined_charges_nothing_and_another_way_pays(till: Till) -> None:
    card = with_a_saved_card(till)
    till.fail("decline_saved", "intent_create")
    order = till.buy("emma")
    declined = till.pay(order, saved_method=card.id)
    assert (declined.state, declined.reason) == ("closed", "declined")
    assert till.trade.order(order).state == "awaiting_funds"
    payment = till.pay(order)
    till.world.pay(payment.reference)
    till.deliver()
    assert till.trade.order(order).state == "active"


def test_a_saved_card_that_needs_3d_secure_opens_the_banks_page(till: Till) -> None:
    card = with_a_saved_card(till)
    till.fail("saved_needs_3ds", "intent_create")
    order = till.buy("emma")
    payment = till.pay(order, saved_method=card.id)
    assert payment.state == "open"
    assert payment.url
    till.world.answer_3ds(payment.reference, approve=True)
    till.deliver()
    assert till.trade.order(order).state == "active"


def test_a_card_given_up_is_gone_here_at_once_and_at_the_provider_soon(till: Till) -> None:
    card = with_a_saved_card(till)
    for _ in range(2):
        payments.forget_method(saved_id=card.id, customer=card.customer_id, now=till.trade.now)
    assert payments_queries.saved_methods(card.customer_id) == []
    till.trade.work()
    assert till.world.one("payment_method", card.reference)["customer"] is None
    order = till.buy("emma")
    with pytest.raises(renewals.CannotPay) as refused:
        till.pay(order, saved_method=card.id)
    assert refused.value.code == "saved"


def test_anothers_card_cannot_be_used_or_given_up(till: Till) -> None:
    card = with_a_saved_card(till)
    order = till.buy("xiaoyu")
    with pytest.raises(renewals.CannotPay):
        till.pay(order, saved_method=card.id)
    payments.forget_method(saved_id=card.id, customer=order.customer_id, now=till.trade.now)
    assert SavedMethod.objects.get().forgotten_at is None


# -- who may pay what --------------------------------------------------------------------------------------------------


def test_anothers_order_cannot_be_paid(till: Till) -> None:
    order = till.buy()
    with pytest.raises(renewals.UnknownOrder):
        renewals.pay(
            order_id=order.id, payment_id=uuid4(), customer=till.trade.customer("emma"), method="card",
            description="", return_url="", language="en", now=BEGIN,
        )  # fmt: skip
    assert Payment.objects.count() == 0


def test_a_payments_id_is_not_used_for_another_order(till: Till) -> None:
    _, payment = till.checkout()
    other = till.buy("emma")
    with pytest.raises(payments.DifferentPayment):
        till.pay(other, id=payment.id)
    assert Payment.objects.count() == 1
