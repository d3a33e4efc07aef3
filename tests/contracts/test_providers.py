"""What every payment provider's connector must do, whoever it speaks to, against that provider's stand-in."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
import pytest
from werkzeug.serving import make_server

from sandbox.payments import hooks
from sandbox.payments.app import application
from sandbox.payments.errors import Refusal
from sandbox.payments.world import World
from sandbox.transport import InProcess
from xuka.connectors.payments.stripe.connector import Stripe
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Refused, Unknown
from xuka.payments.contract import (
    Ask,
    Forged,
    Method,
    Misconfigured,
    Payment,
    PaymentState,
    Provider,
    Reason,
    Refund,
    RefundState,
    SavedMethod,
)

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = "xuka-5f0a3c1e9a554f0e8d8c0d2f5a7b9c11"
OTHER_KEY = "xuka-11c9b7a5f2d00c8d8e0f459a1e3c0a5f"
TEST_KEY, LIVE_KEY, SECRET = "sk_test_for_tests", "sk_live_for_tests", "whsec_for_tests"
EUROS, YEN = Money(1999, "EUR"), Money(2980, "JPY")

ASK = Ask(
    key=KEY,
    method="card",
    money=EUROS,
    asked_at=BEGIN,
    pay_by=BEGIN + timedelta(hours=2),
    description="比利时 7 天无限量",
    return_url="http://shop.test/back",
    language="zh-Hans",
)


class Clock:
    """A clock that only moves when told, for both sides of the wire."""

    def __init__(self) -> None:
        self.at = BEGIN

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - BEGIN).total_seconds()

    def push(self, **by: float) -> None:
        self.at += timedelta(**by)


class Stand(Protocol):
    """One connector, the far side it speaks to, and the person who pays there."""

    clock: Clock

    @property
    def provider(self) -> Provider: ...

    def fault(self, kind: str, **more: Any) -> None: ...

    def heal(self) -> None: ...

    def pay(self, payment: Payment) -> None: ...

    def decline(self, payment: Payment) -> None: ...

    def delay(self, payment: Payment) -> None: ...

    def settle(self, payment: Payment, *, ok: bool) -> None: ...

    def ask_the_bank(self, payment: Payment) -> None: ...

    def answer_the_bank(self, payment: Payment, *, approve: bool) -> None: ...

    def captured(self, key: str) -> dict[str, int]: ...

    def refunded(self, key: str) -> dict[str, int]: ...

    def payments(self) -> int: ...

    def on_wire(self, hook: Callable[[], None] | None) -> None: ...

    def webhooks(self) -> list[tuple[bytes, dict[str, str]]]: ...


class StripeStand:
    def __init__(self) -> None:
        self.clock = Clock()
        self.world = World(now=self.clock.now, keys=(TEST_KEY, LIVE_KEY), webhook_secret=SECRET)
        self.transport = InProcess(application(self.world))
        self.provider = self.another()

    def another(self, *, key: str = TEST_KEY, webhook_secret: str = SECRET, **more: Any) -> Stripe:
        """Another connector to the same provider."""
        return Stripe(
            **more,
            base_url="http://provider.test",
            key=key,
            webhook_secret=webhook_secret,
            transport=self.transport,
            monotonic=self.clock.monotonic,
        )

    def fault(self, kind: str, **more: Any) -> None:
        self.world.faults.set([{"kind": kind, **more}])

    def heal(self) -> None:
        self.world.faults.set([])

    def pay(self, payment: Payment) -> None:
        self.world.pay(payment.reference)

    def decline(self, payment: Payment) -> None:
        self.world.decline(payment.reference)

    def delay(self, payment: Payment) -> None:
        self.world.delay(payment.reference)

    def settle(self, payment: Payment, *, ok: bool) -> None:
        self.world.settle_delayed(payment.reference, ok=ok)

    def ask_the_bank(self, payment: Payment) -> None:
        self.world.ask_3ds(payment.reference)

    def answer_the_bank(self, payment: Payment, *, approve: bool) -> None:
        intent = payment.reference
        if intent.startswith("cs_"):
            intent = self.world.get("checkout.session", intent, False)["payment_intent"]
        self.world.answer_3ds(intent, approve=approve)

    def captured(self, key: str) -> dict[str, int]:
        return self.world.truth(key).captured

    def refunded(self, key: str) -> dict[str, int]:
        return self.world.truth(key).refunded

    def payments(self) -> int:
        """How many payments were ever begun, hosted or not."""
        hosted = len(self.world.state.things.get("checkout.session", {}))
        intents = self.world.state.things.get("payment_intent", {}).values()
        return hosted + sum("_session" not in one for one in intents)

    def on_wire(self, hook: Callable[[], None] | None) -> None:
        self.transport.on_wire = hook

    def webhooks(self) -> list[tuple[bytes, dict[str, str]]]:
        return [(body, {"stripe-signature": signature}) for body, signature in self.world.take_outbox()]


STANDS: dict[str, Callable[[], Stand]] = {"stripe": StripeStand}


@pytest.fixture(params=sorted(STANDS))
def stand(request: pytest.FixtureRequest) -> Stand:
    return STANDS[request.param]()


@pytest.fixture
def stripe() -> StripeStand:
    return StripeStand()


def done(outcome: Any) -> Any:
    assert isinstance(outcome, Done), outcome
    return outcome.value


def start(stand: Stand, **changed: Any) -> Payment:
    return done(stand.provider.start(replace(ASK, **changed)))


def paid(stand: Stand, **changed: Any) -> Payment:
    """A hosted payment that the person has paid."""
    payment = start(stand, **changed)
    stand.pay(payment)
    return look(stand, payment)


def look(stand: Stand, payment: Payment) -> Payment:
    return done(stand.provider.look(reference=payment.reference))


def find(stand: Stand, key: str = KEY, *, is_hosted: bool = True) -> Any:
    return stand.provider.find(key=key, asked_at=BEGIN, is_hosted=is_hosted)


def kept_card(stand: Stand) -> dict[str, str]:
    """A customer whose card was kept with their consent, as an ask names both."""
    payer = done(stand.provider.make_payer(key="xuka-payer"))
    payment = paid(stand, key="xuka-keeps", payer=payer, save_method=True)
    assert payment.saved_method is not None
    return {"payer": payer, "saved_method": payment.saved_method.reference}


# -- the good days ------------------------------------------------------------------------------------------------


def test_cards_are_offered_in_both_markets_within_limits(stand: Stand) -> None:
    limits = {"EUR": (50, 99_999_999), "JPY": (50, 99_999_999), "TWD": (2000, 99_999_999)}
    assert stand.provider.methods() == (Method("card", frozenset({"BE", "JP"}), limits, can_be_saved=True),)


def test_the_figures_of_the_contract_are_told(stand: Stand) -> None:
    assert stand.provider.call_deadline == timedelta(seconds=20)
    assert stand.provider.keys_live == timedelta(hours=24)
    assert stand.provider.absent_after == timedelta(minutes=2)
    assert stand.provider.is_live is False


@pytest.mark.parametrize("money", [EUROS, YEN])
def test_a_person_pays_on_the_providers_page(stand: Stand, money: Money) -> None:
    opened = start(stand, money=money)
    assert opened == Payment(opened.reference, KEY, PaymentState.OPEN, url=opened.url)
    assert opened.url.startswith("http")
    assert look(stand, opened) == opened
    assert stand.captured(KEY) == {}
    stand.pay(opened)
    after = look(stand, opened)
    assert after == Payment(opened.reference, KEY, PaymentState.PAID, charge=after.charge, paid=money)
    assert after.charge
    assert stand.captured(KEY) == {money.currency.lower(): money.minor}


def test_a_declined_card_leaves_the_page_open_for_another(stand: Stand) -> None:
    opened = start(stand)
    stand.decline(opened)
    assert look(stand, opened) == replace(opened, declined="card_declined generic_decline")
    stand.pay(opened)
    assert look(stand, opened).state == PaymentState.PAID


@pytest.mark.parametrize("approve", [True, False])
def test_the_bank_asks_its_customer_on_the_page(stand: Stand, approve: bool) -> None:
    opened = start(stand)
    stand.ask_the_bank(opened)
    assert look(stand, opened) == opened
    stand.answer_the_bank(opened, approve=approve)
    assert look(stand, opened).state == (PaymentState.PAID if approve else PaymentState.OPEN)
    assert stand.captured(KEY) == ({"eur": 1999} if approve else {})


@pytest.mark.parametrize(("ok", "state"), [(True, PaymentState.PAID), (False, PaymentState.CLOSED)])
def test_money_that_comes_later_is_not_paid_before_it_comes(stand: Stand, ok: bool, state: PaymentState) -> None:
    opened = start(stand)
    stand.delay(opened)
    assert look(stand, opened) == Payment(opened.reference, KEY, PaymentState.PROCESSING)
    stand.settle(opened, ok=ok)
    assert look(stand, opened).state == state
    assert stand.captured(KEY) == ({"eur": 1999} if ok else {})


def test_a_page_closes_by_itself_after_its_time(stand: Stand) -> None:
    opened = start(stand)
    stand.clock.push(hours=2)
    assert look(stand, opened).state == PaymentState.OPEN
    stand.clock.push(minutes=6)
    assert look(stand, opened) == Payment(opened.reference, KEY, PaymentState.CLOSED)


@pytest.mark.parametrize("pay_by", [timedelta(minutes=1), timedelta(hours=23), timedelta(days=30)])
def test_any_time_to_pay_is_taken(stand: Stand, pay_by: timedelta) -> None:
    assert start(stand, pay_by=BEGIN + pay_by).state == PaymentState.OPEN


@pytest.mark.parametrize(
    ("kind", "captured"), [("wrong_amount", Money(1800, "EUR")), ("wrong_currency", Money(1999, "USD"))]
)
def test_what_was_captured_is_told_and_not_what_was_asked(stand: Stand, kind: str, captured: Money) -> None:
    opened = start(stand)
    stand.fault(kind, endpoint="pay")
    stand.pay(opened)
    seen = look(stand, opened)
    assert (seen.state, seen.paid) == (PaymentState.PAID, captured)
    assert stand.captured(KEY) == {captured.currency.lower(): captured.minor}


# -- one key, one payment -----------------------------------------------------------------------------------------


def test_the_same_ask_again_answers_the_first_outcome_and_begins_nothing(stand: Stand) -> None:
    first = start(stand)
    stand.clock.push(minutes=10)
    assert start(stand) == first
    stand.clock.push(hours=23)
    assert start(stand) == first
    assert stand.payments() == 1


def test_the_key_with_other_content_is_unknown_and_the_first_is_found(stand: Stand) -> None:
    first = start(stand)
    for other in ({"money": Money(2000, "EUR")}, {"money": YEN}, {"description": "a month"}):
        assert isinstance(stand.provider.start(replace(ASK, **other)), Unknown)
    assert stand.payments() == 1
    assert find(stand) == Done(first)


def test_after_the_keys_life_the_payment_is_still_found_by_looking_first(stand: Stand) -> None:
    first = paid(stand)
    stand.clock.push(hours=25)
    assert find(stand) == Done(first)
    again = stand.provider.start(
        replace(ASK, pay_by=stand.clock.now() + timedelta(hours=2), asked_at=stand.clock.now())
    )
    assert done(again).reference != first.reference
    assert stand.payments() == 2
    assert find(stand) == Done(first)


def test_look_alikes_are_not_adopted(stand: Stand) -> None:
    for key in (f"{KEY}-2", KEY[:-1], KEY.upper()):
        start(stand, key=key)
    assert find(stand) == Done(None)
    assert find(stand, is_hosted=False) == Done(None)


def test_it_is_found_among_many_and_also_when_it_was_asked_again_late(stand: Stand) -> None:
    stand.clock.push(hours=5)
    late = start(stand, pay_by=BEGIN + timedelta(hours=12))
    for number in range(120):
        start(stand, key=f"{KEY}-{number}", pay_by=BEGIN + timedelta(hours=12))
    assert find(stand) == Done(late)


# -- closing ------------------------------------------------------------------------------------------------------


def test_what_is_closed_cannot_be_paid_and_closing_again_changes_nothing(stand: Stand) -> None:
    opened = start(stand)
    closed = Payment(opened.reference, KEY, PaymentState.CLOSED)
    assert stand.provider.close(reference=opened.reference) == Done(closed)
    assert stand.provider.close(reference=opened.reference) == Done(closed)
    with pytest.raises(Refusal):
        stand.pay(opened)
    assert look(stand, opened) == closed
    assert stand.captured(KEY) == {}


def test_closing_what_is_paid_or_on_its_way_tells_so_and_changes_nothing(stand: Stand) -> None:
    payment = paid(stand)
    assert stand.provider.close(reference=payment.reference) == Done(payment)
    later = start(stand, key=OTHER_KEY)
    stand.delay(later)
    assert done(stand.provider.close(reference=later.reference)).state == PaymentState.PROCESSING
    stand.settle(later, ok=True)
    assert look(stand, later).state == PaymentState.PAID


def test_who_pays_while_it_is_being_closed_has_paid(stand: Stand) -> None:
    opened = start(stand)

    def pay_first() -> None:
        stand.on_wire(None)
        stand.pay(opened)

    stand.on_wire(pay_first)
    closed = done(stand.provider.close(reference=opened.reference))
    assert (closed.state, closed.paid) == (PaymentState.PAID, EUROS)


def test_closing_while_the_bank_asks_stops_it(stand: Stand) -> None:
    opened = start(stand)
    stand.ask_the_bank(opened)
    assert done(stand.provider.close(reference=opened.reference)).state == PaymentState.CLOSED
    with pytest.raises(Refusal):
        stand.answer_the_bank(opened, approve=True)
    assert stand.captured(KEY) == {}


@pytest.mark.parametrize("reference", ["cs_test_nobody", "pi_nobody", "nobody", "", "../customers"])
def test_a_payment_the_provider_does_not_know_is_refused(stand: Stand, reference: str) -> None:
    for outcome in (stand.provider.look(reference=reference), stand.provider.close(reference=reference)):
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.retry_after) == (Reason.UNKNOWN_PAYMENT, None)


# -- cards that are kept ------------------------------------------------------------------------------------------


def test_a_card_is_kept_only_with_consent(stand: Stand) -> None:
    payer = done(stand.provider.make_payer(key="xuka-payer"))
    assert paid(stand, key=OTHER_KEY, payer=payer).saved_method is None
    card = paid(stand, payer=payer, save_method=True).saved_method
    assert card is not None
    assert card == SavedMethod(card.reference, "4242", "visa", (2029, 12))


def test_a_payer_is_made_once_and_is_nobody(stripe: StripeStand) -> None:
    payer = done(stripe.provider.make_payer(key="xuka-payer"))
    assert stripe.provider.make_payer(key="xuka-payer") == Done(payer)
    kept = stripe.world.get("customer", payer, False)
    assert kept["metadata"] == {"key": "xuka-payer"}
    assert [kept[name] for name in ("email", "name", "phone", "address", "description")] == [None] * 5


def test_a_kept_card_pays_at_once_and_is_found(stand: Stand) -> None:
    card = kept_card(stand)
    payment = start(stand, **card)
    assert payment == Payment(payment.reference, KEY, PaymentState.PAID, charge=payment.charge, paid=EUROS)
    assert find(stand, is_hosted=False) == Done(payment)
    assert start(stand, **card) == payment
    assert stand.provider.close(reference=payment.reference) == Done(payment)
    assert stand.captured(KEY) == {"eur": 1999}


def test_a_kept_card_that_is_declined_is_refused_and_nothing_can_be_paid(stand: Stand) -> None:
    card = kept_card(stand)
    stand.fault("decline_saved")
    refused = stand.provider.start(replace(ASK, **card))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.retry_after) == (Reason.DECLINED, None)
    assert "card_declined generic_decline" in refused.detail
    left = done(find(stand, is_hosted=False))
    assert (left.state, left.url, left.declined) == (PaymentState.CLOSED, "", "card_declined generic_decline")
    assert done(stand.provider.close(reference=left.reference)).state == PaymentState.CLOSED
    assert isinstance(stand.provider.start(replace(ASK, **card)), Refused)
    assert stand.captured(KEY) == {}


@pytest.mark.parametrize(("approve", "state"), [(True, PaymentState.PAID), (False, PaymentState.CLOSED)])
def test_the_bank_asks_the_holder_of_a_kept_card(stand: Stand, approve: bool, state: PaymentState) -> None:
    card = kept_card(stand)
    stand.fault("saved_needs_3ds")
    asked = start(stand, **card)
    assert asked == Payment(asked.reference, KEY, PaymentState.OPEN, url=asked.url)
    assert asked.url.startswith("http")
    stand.answer_the_bank(asked, approve=approve)
    after = look(stand, asked)
    assert (after.state, after.paid) == (state, EUROS if approve else None)
    assert after.declined == ("" if approve else "payment_intent_authentication_failure")
    assert stand.captured(KEY) == ({"eur": 1999} if approve else {})


def test_a_kept_card_whose_bank_wants_its_holder_while_nobody_is_there_is_refused_and_nothing_can_be_paid(
    stand: Stand,
) -> None:
    card = kept_card(stand)
    stand.fault("saved_needs_3ds")
    refused = stand.provider.start(replace(ASK, **card, off_session=True))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.retry_after) == (Reason.NEEDS_CUSTOMER, None)
    left = done(find(stand, is_hosted=False))
    assert (left.state, left.url, left.needs_customer) == (PaymentState.CLOSED, "", True)
    assert done(stand.provider.close(reference=left.reference)).needs_customer
    assert stand.captured(KEY) == {}


def test_a_kept_card_whose_bank_still_asks_can_be_closed(stand: Stand) -> None:
    card = kept_card(stand)
    stand.fault("saved_needs_3ds")
    asked = start(stand, **card)
    closed = Payment(asked.reference, KEY, PaymentState.CLOSED)
    assert stand.provider.close(reference=asked.reference) == Done(closed)
    assert stand.provider.close(reference=asked.reference) == Done(closed)
    with pytest.raises(Refusal):
        stand.answer_the_bank(asked, approve=True)
    assert stand.captured(KEY) == {}


def test_a_forgotten_card_is_gone_and_forgetting_it_again_is_done(stand: Stand) -> None:
    card = kept_card(stand)
    assert stand.provider.forget_method(reference=card["saved_method"]) == Done(None)
    assert stand.provider.forget_method(reference=card["saved_method"]) == Done(None)
    refused = stand.provider.start(replace(ASK, **card))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.retry_after) == (Reason.METHOD_GONE, None)
    assert find(stand, is_hosted=False) == Done(None)


def kept_account(stripe: StripeStand) -> dict[str, Any]:
    """A customer whose PayPal account was kept with their consent, as an ask names all of it."""
    payer = done(stripe.provider.make_payer(key="xuka-payer"))
    payment = paid(stripe, key="xuka-keeps", method="paypal", payer=payer, save_method=True)
    assert payment.saved_method == SavedMethod(payment.saved_method.reference, "b***@sandbox.test")
    return {"method": "paypal", "payer": payer, "saved_method": payment.saved_method.reference}


def test_a_paypal_account_is_kept_only_with_consent_and_only_where_that_is_enabled(stripe: StripeStand) -> None:
    payer = done(stripe.provider.make_payer(key="xuka-payer"))
    assert paid(stripe, key=OTHER_KEY, method="paypal", payer=payer).saved_method is None
    for keeps, saved in ((("card",), ["card"]), (("card", "paypal"), ["card", "paypal"]), ((), [])):
        offered = stripe.another(methods=("card", "alipay", "paypal"), keeps=keeps).methods()
        assert [one.name for one in offered if one.can_be_saved] == saved
    with pytest.raises(Misconfigured, match="keeps card, paypal; not alipay"):
        stripe.another(methods=("card", "alipay"), keeps=("alipay",))


@pytest.mark.parametrize("off_session", [False, True])
def test_a_kept_paypal_account_is_charged_at_once_and_once_for_a_key(stripe: StripeStand, off_session: bool) -> None:
    account = kept_account(stripe) | {"off_session": off_session}
    payment = start(stripe, **account)
    assert payment == Payment(payment.reference, KEY, PaymentState.PAID, charge=payment.charge, paid=EUROS)
    assert (start(stripe, **account), find(stripe, is_hosted=False)) == (payment, Done(payment))
    assert stripe.captured(KEY) == {"eur": 1999}


def test_a_kept_paypal_account_that_is_declined_is_refused_and_nothing_can_be_paid(stripe: StripeStand) -> None:
    account = kept_account(stripe)
    stripe.fault("decline_saved")
    refused = stripe.provider.start(replace(ASK, **account, off_session=True))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.retry_after) == (Reason.DECLINED, None)
    assert "payment_method_provider_decline" in refused.detail
    left = done(find(stripe, is_hosted=False))
    assert (left.state, left.url, left.declined) == (PaymentState.CLOSED, "", "payment_method_provider_decline")
    assert stripe.captured(KEY) == {}


def test_a_forgotten_paypal_account_cannot_be_charged(stripe: StripeStand) -> None:
    account = kept_account(stripe)
    assert stripe.provider.forget_method(reference=account["saved_method"]) == Done(None)
    refused = stripe.provider.start(replace(ASK, **account))
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.METHOD_GONE
    assert stripe.captured(KEY) == {}


def test_a_card_that_never_was_is_refused(stand: Stand) -> None:
    for outcome in (
        stand.provider.forget_method(reference="pm_nobody"),
        stand.provider.start(replace(ASK, payer=kept_card(stand)["payer"], saved_method="pm_nobody")),
    ):
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.retry_after) == (Reason.METHOD_GONE, None)


# -- refunds ------------------------------------------------------------------------------------------------------


def refund(stand: Stand, charge: str, minor: int, key: str = OTHER_KEY) -> Any:
    return stand.provider.refund(key=key, charge=charge, money=Money(minor, "EUR"))


def test_money_goes_back_in_parts_and_never_more_than_there_was(stand: Stand) -> None:
    charge = paid(stand).charge
    first = done(refund(stand, charge, 500, "xuka-a"))
    assert first == Refund(first.reference, "xuka-a", RefundState.DONE, Money(500, "EUR"))
    too_much = refund(stand, charge, 1500, "xuka-b")
    assert isinstance(too_much, Refused)
    assert (too_much.reason, too_much.retry_after) == (Reason.BAD_REQUEST, None)
    second = done(refund(stand, charge, 1499, "xuka-c"))
    assert second == Refund(second.reference, "xuka-c", RefundState.DONE, Money(1499, "EUR"))
    nothing_left = refund(stand, charge, 1, "xuka-d")
    assert isinstance(nothing_left, Refused)
    assert (nothing_left.reason, nothing_left.retry_after) == (Reason.ALREADY_REFUNDED, None)
    assert stand.refunded(KEY) == {"eur": 1999}
    assert stand.provider.find_refund(key="xuka-a", charge=charge) == Done(first)
    assert stand.provider.find_refund(key="xuka-c", charge=charge) == Done(second)
    assert stand.provider.look_refund(reference=first.reference) == Done(first)
    for key in ("xuka-b", "xuka-d", "xuka", "xuka-A", ""):
        assert stand.provider.find_refund(key=key, charge=charge) == Done(None)


def test_yen_go_back_as_yen(stand: Stand) -> None:
    charge = paid(stand, money=YEN).charge
    back = done(stand.provider.refund(key=OTHER_KEY, charge=charge, money=YEN))
    assert (back.state, back.money) == (RefundState.DONE, YEN)
    assert stand.refunded(KEY) == {"jpy": 2980}


def test_the_same_refund_again_gives_nothing_more_back(stand: Stand) -> None:
    charge = paid(stand).charge
    first = refund(stand, charge, 500)
    stand.clock.push(hours=23)
    assert refund(stand, charge, 500) == first
    assert isinstance(refund(stand, charge, 501), Unknown)
    assert stand.refunded(KEY) == {"eur": 500}
    assert stand.provider.find_refund(key=OTHER_KEY, charge=charge) == first


def test_a_refund_in_another_currency_than_was_paid_is_unknown(stand: Stand) -> None:
    charge = paid(stand).charge
    outcome = stand.provider.refund(key=OTHER_KEY, charge=charge, money=Money(500, "JPY"))
    assert outcome == Unknown("a refund of something else than was asked")


def test_what_was_never_paid_is_not_refunded(stand: Stand) -> None:
    card = kept_card(stand)
    stand.fault("saved_needs_3ds")
    asked = start(stand, **card)
    for charge in (asked.reference, "pi_nobody"):
        refused = refund(stand, charge, 500, f"xuka-{charge}")
        assert isinstance(refused, Refused)
        assert refused.retry_after is None
    assert stand.refunded(KEY) == {}


def test_a_refund_can_be_pending_and_can_fail(stand: Stand) -> None:
    charge = paid(stand).charge
    stand.fault("refund_pending")
    pending = done(refund(stand, charge, 100, "xuka-a"))
    assert pending.state == RefundState.PENDING
    stand.fault("refund_fails")
    failed = done(refund(stand, charge, 100, "xuka-b"))
    assert (failed.state, failed.why) == (RefundState.FAILED, "declined")
    assert stand.provider.find_refund(key="xuka-a", charge=charge) == Done(pending)
    assert stand.refunded(KEY) == {}


def test_a_refund_that_was_gone_can_come_back(stand: Stand) -> None:
    charge = paid(stand).charge
    stand.fault("refund_fails_later", seconds=3600)
    gone = done(refund(stand, charge, 500))
    assert gone.state == RefundState.DONE
    stand.clock.push(hours=2)
    back = done(stand.provider.look_refund(reference=gone.reference))
    assert back == replace(gone, state=RefundState.FAILED, why="expired_or_canceled_card")
    assert stand.refunded(KEY) == {}


def test_a_refund_the_provider_does_not_know_is_refused(stand: Stand) -> None:
    refused = stand.provider.look_refund(reference="re_nobody")
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.UNKNOWN_PAYMENT


# -- the bad days -------------------------------------------------------------------------------------------------

NOBODY_KNOWS = {
    "timeout_before": False,
    "timeout_after": True,
    "error_before": False,
    "error_after": True,
    "drop_before": False,
    "drop_after": True,
    "garbage_after": True,
}
"""Every way of getting no answer -> whether it was done all the same."""


@pytest.mark.parametrize("kind", NOBODY_KNOWS)
def test_a_page_nobody_heard_of_is_found_by_its_key(stand: Stand, kind: str) -> None:
    stand.fault(kind)
    assert isinstance(stand.provider.start(ASK), Unknown)
    found = done(find(stand))
    assert stand.payments() == int(NOBODY_KNOWS[kind])
    assert (found is not None) == NOBODY_KNOWS[kind]
    if found:
        assert found == Payment(found.reference, KEY, PaymentState.OPEN, url=found.url)


@pytest.mark.parametrize("kind", NOBODY_KNOWS)
def test_a_kept_card_charged_unheard_is_found_by_its_key(stand: Stand, kind: str) -> None:
    card = kept_card(stand)
    stand.fault(kind)
    assert isinstance(stand.provider.start(replace(ASK, **card)), Unknown)
    found = done(find(stand, is_hosted=False))
    assert stand.captured(KEY) == ({"eur": 1999} if NOBODY_KNOWS[kind] else {})
    assert (found.paid if found else None) == (EUROS if NOBODY_KNOWS[kind] else None)


@pytest.mark.parametrize("kind", NOBODY_KNOWS)
def test_a_refund_nobody_heard_of_is_found_by_its_key(stand: Stand, kind: str) -> None:
    charge = paid(stand).charge
    stand.fault(kind)
    assert isinstance(refund(stand, charge, 500), Unknown)
    found = done(stand.provider.find_refund(key=OTHER_KEY, charge=charge))
    assert stand.refunded(KEY) == ({"eur": 500} if NOBODY_KNOWS[kind] else {})
    assert (found.money if found else None) == (Money(500, "EUR") if NOBODY_KNOWS[kind] else None)


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "drop_before", "drop_after", "garbage_after"])
def test_asking_again_after_silence_moves_money_once(stand: Stand, kind: str) -> None:
    card = kept_card(stand)
    stand.fault(kind)
    assert isinstance(stand.provider.start(replace(ASK, **card)), Unknown)
    payment = start(stand, **card)
    stand.fault(kind)
    assert isinstance(refund(stand, payment.charge, 500), Unknown)
    assert done(refund(stand, payment.charge, 500)).state == RefundState.DONE
    assert (stand.captured(KEY), stand.refunded(KEY)) == ({"eur": 1999}, {"eur": 500})


def test_an_error_that_the_provider_remembers_stays_unknown_and_looking_tells(stand: Stand) -> None:
    stand.fault("error_after")
    assert isinstance(stand.provider.start(ASK), Unknown)
    assert isinstance(stand.provider.start(ASK), Unknown)
    assert done(find(stand)).state == PaymentState.OPEN
    assert stand.payments() == 1


@pytest.mark.parametrize("kind", NOBODY_KNOWS)
def test_closing_unheard_is_cleared_up_by_closing_again(stand: Stand, kind: str) -> None:
    opened = start(stand)
    stand.fault(kind)
    assert isinstance(stand.provider.close(reference=opened.reference), Unknown)
    assert done(stand.provider.close(reference=opened.reference)).state == PaymentState.CLOSED


def test_too_many_calls_did_nothing_and_may_come_again(stand: Stand) -> None:
    stand.fault("rate_limited", times=None)
    for outcome in (stand.provider.start(ASK), refund(stand, "pi_1", 500), find(stand)):
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.retry_after) == (Reason.RATE_LIMITED, timedelta(seconds=5))
    stand.heal()
    assert stand.payments() == 0
    assert start(stand).state == PaymentState.OPEN


@pytest.mark.parametrize("kind", NOBODY_KNOWS)
def test_a_look_that_fails_is_unknown_and_never_not_found(stand: Stand, kind: str) -> None:
    card = kept_card(stand)["saved_method"]
    payment = paid(stand)
    back = done(refund(stand, payment.charge, 500))
    stand.fault(kind, times=None)
    for outcome in (
        stand.provider.look(reference=payment.reference),
        find(stand),
        find(stand, is_hosted=False),
        stand.provider.look_refund(reference=back.reference),
        stand.provider.find_refund(key=OTHER_KEY, charge=payment.charge),
        stand.provider.make_payer(key="xuka-another"),
        stand.provider.forget_method(reference=card),
    ):
        assert isinstance(outcome, Unknown)


def test_a_find_that_loses_its_second_call_is_unknown(stripe: StripeStand) -> None:
    start(stripe)
    stripe.fault("timeout_before", endpoint="session_get")
    assert isinstance(find(stripe), Unknown)


def test_a_proxys_error_is_unknown_and_asking_again_goes_through(stripe: StripeStand) -> None:
    stripe.fault("error_before", status=503)
    assert isinstance(stripe.provider.start(ASK), Unknown)
    assert start(stripe).state == PaymentState.OPEN


def test_a_slow_answer_in_time_is_an_answer(stand: Stand) -> None:
    stand.fault("delay")
    assert start(stand).state == PaymentState.OPEN


@pytest.mark.parametrize("money", [Money(1, "EUR"), Money(100_000_000, "EUR")])
def test_an_amount_outside_the_limits_is_refused(stand: Stand, money: Money) -> None:
    refused = stand.provider.start(replace(ASK, money=money))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.retry_after) == (Reason.BAD_REQUEST, None)
    assert stand.payments() == 0


def test_a_key_the_provider_does_not_know_is_not_authorised_and_looking_tells_nothing(stripe: StripeStand) -> None:
    stranger = stripe.another(key="sk_test_of_a_stranger")
    for outcome in (stranger.start(ASK), stranger.look(reference="cs_1"), stranger.make_payer(key="xuka-payer")):
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.retry_after) == (Reason.NOT_AUTHORISED, None)
    assert isinstance(stranger.find(key=KEY, asked_at=BEGIN, is_hosted=True), Unknown)
    assert isinstance(stranger.find_refund(key=KEY, charge="pi_1"), Unknown)
    assert stripe.payments() == 0


# -- test and live ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "is_live"), [(TEST_KEY, False), (LIVE_KEY, True), ("rk_test_51Abc", False), ("rk_live_51Abc", True)]
)
def test_the_key_says_whether_money_really_moves(key: str, is_live: bool) -> None:
    assert Stripe(key=key, webhook_secret=SECRET).is_live is is_live


@pytest.mark.parametrize(
    "key", ["", "sk_", "sk_test_", "pk_test_51Abc", "sk_prod_51Abc", "whsec_1", " sk_test_1", "sk_test_1\n"]
)
def test_a_key_of_no_known_mode_is_not_taken_and_not_repeated(key: str) -> None:
    with pytest.raises(Misconfigured, match="begins with sk_test_") as refused:
        Stripe(key=key, webhook_secret=SECRET)
    assert "51Abc" not in str(refused.value)


@pytest.mark.parametrize("secret", ["", " ", "\n"])
def test_without_a_webhook_secret_nothing_starts(secret: str) -> None:
    with pytest.raises(Misconfigured, match="webhook secret is missing"):
        Stripe(key=TEST_KEY, webhook_secret=secret)


def test_payments_of_one_mode_are_not_there_for_the_other(stripe: StripeStand) -> None:
    opened = start(stripe)
    live = stripe.another(key=LIVE_KEY)
    assert isinstance(live.look(reference=opened.reference), Refused)
    assert live.find(key=KEY, asked_at=BEGIN, is_hosted=True) == Done(None)
    assert done(live.start(ASK)).reference.startswith("cs_live_")
    assert look(stripe, opened) == opened


class OtherMode(httpx.BaseTransport):
    """A provider that answers with objects of the other mode."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self.inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.inner.handle_request(request)
        content = answer.read().replace(b'"livemode": false', b'"livemode": true')
        return httpx.Response(answer.status_code, content=content)


def test_an_object_of_the_other_mode_is_unknown(stripe: StripeStand) -> None:
    opened = start(stripe)
    confused = Stripe(
        base_url="http://provider.test", key=TEST_KEY, webhook_secret=SECRET, transport=OtherMode(stripe.transport)
    )
    other = Unknown("status 200: an object of the other mode (test or live)")
    assert confused.look(reference=opened.reference) == other
    assert confused.start(ASK) == other
    assert confused.find(key=KEY, asked_at=BEGIN, is_hosted=True) == other
    assert confused.close(reference=opened.reference) == other
    assert confused.make_payer(key="xuka-payer") == other


# -- webhooks -----------------------------------------------------------------------------------------------------


def test_every_webhook_of_a_payment_and_its_refund_says_where_to_look(stand: Stand) -> None:
    payment = paid(stand)
    done(refund(stand, payment.charge, 500))
    told = [stand.provider.read_webhook(body=body, headers=headers, now=BEGIN) for body, headers in stand.webhooks()]
    assert [(one.kind, one.key, one.charge, one.matters) for one in told] == [
        ("payment_intent.succeeded", KEY, payment.charge, True),
        ("checkout.session.completed", KEY, payment.charge, True),
        ("refund.created", "", payment.charge, True),
        ("charge.refunded", KEY, payment.charge, True),
    ]
    assert {one.created_at for one in told} == {BEGIN}
    assert len({one.id for one in told}) == 4
    assert told[1].reference == payment.reference


def test_a_webhook_that_comes_twice_is_the_same_event(stand: Stand) -> None:
    stand.fault("duplicated", endpoint="checkout.session.completed")
    paid(stand)
    first, second = stand.webhooks()[-2:]
    read = stand.provider.read_webhook
    assert read(body=first[0], headers=first[1], now=BEGIN) == read(body=second[0], headers=second[1], now=BEGIN)


@pytest.mark.parametrize("kind", ["forged", "stale"])
def test_a_forged_or_stale_webhook_is_not_believed(stand: Stand, kind: str) -> None:
    stand.fault(kind, endpoint="checkout.session.completed")
    paid(stand)
    body, headers = stand.webhooks()[-1]
    with pytest.raises(Forged):
        stand.provider.read_webhook(body=body, headers=headers, now=BEGIN)


@pytest.mark.parametrize(("minutes", "believed"), [(-6, False), (-5, True), (5, True), (6, False)])
def test_a_webhook_is_believed_within_five_minutes(stand: Stand, minutes: int, believed: bool) -> None:
    paid(stand)
    body, headers = stand.webhooks()[-1]
    now = BEGIN + timedelta(minutes=minutes)
    if believed:
        assert stand.provider.read_webhook(body=body, headers=headers, now=now).key == KEY
        return
    with pytest.raises(Forged):
        stand.provider.read_webhook(body=body, headers=headers, now=now)


def test_while_the_secret_is_exchanged_webhooks_of_either_are_believed(stripe: StripeStand) -> None:
    paid(stripe)
    body, of_the_old = stripe.webhooks()[-1]
    of_the_new = {"stripe-signature": hooks.signed(body, secret="whsec_new", at=int(BEGIN.timestamp()))}
    both = stripe.another(webhook_secret=f"whsec_new {SECRET}")
    for headers in (of_the_old, of_the_new):
        assert both.read_webhook(body=body, headers=headers, now=BEGIN).key == KEY
    new = stripe.another(webhook_secret="whsec_new")
    assert new.read_webhook(body=body, headers=of_the_new, now=BEGIN).key == KEY
    for reader, headers in ((new, of_the_old), (stripe.provider, of_the_new)):
        with pytest.raises(Forged):
            reader.read_webhook(body=body, headers=headers, now=BEGIN)


def test_a_webhook_of_the_other_mode_is_not_believed(stripe: StripeStand) -> None:
    paid(stripe)
    body, headers = stripe.webhooks()[-1]
    with pytest.raises(Forged):
        stripe.another(key=LIVE_KEY).read_webhook(body=body, headers=headers, now=BEGIN)


def test_a_changed_body_is_not_believed(stand: Stand) -> None:
    paid(stand)
    body, headers = stand.webhooks()[-1]
    for changed in (body.replace(b"1999", b"9999"), body + b"\n", b"", body[:-1]):
        with pytest.raises(Forged):
            stand.provider.read_webhook(body=changed, headers=headers, now=BEGIN)
    with pytest.raises(Forged):
        stand.provider.read_webhook(body=body, headers={}, now=BEGIN)


def test_reading_a_webhook_calls_nobody(stripe: StripeStand) -> None:
    paid(stripe)
    before = list(stripe.transport.requests)
    for body, headers in stripe.webhooks():
        stripe.provider.read_webhook(body=body, headers=headers, now=BEGIN)
    assert stripe.transport.requests == before


# -- threads, kills, logs -----------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process dies here."""


def test_a_kill_on_the_wire_reaches_the_caller_and_the_payment_is_found(stand: Stand) -> None:
    calls = []

    def die_after_acting() -> None:
        calls.append(stand.payments())
        if calls[-1]:
            raise Killed

    stand.on_wire(die_after_acting)
    with pytest.raises(Killed):
        stand.provider.start(ASK)
    stand.on_wire(None)
    assert calls[-1] == 1
    assert done(find(stand)).state == PaymentState.OPEN


def test_another_worker_can_call_while_a_call_is_on_the_wire(stand: Stand) -> None:
    seen: list[Any] = []
    stand.on_wire(lambda: seen.append(find(stand)))
    opened = start(stand)
    assert seen == [Done(None), Done(opened)]
    assert stand.payments() == 1


def test_the_log_holds_no_key_no_secret_and_nobodys_data(stripe: StripeStand, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    card = kept_card(stripe)
    stripe.fault("decline_saved")
    stripe.provider.start(replace(ASK, **card))
    stripe.fault("timeout_after", endpoint="intent_create")
    stripe.provider.start(replace(ASK, key=OTHER_KEY, **card))
    stripe.another(key="sk_test_of_a_stranger").start(ASK)
    assert f"start {KEY}: refused, declined" in caplog.text
    assert "no answer: ReadTimeout" in caplog.text
    for secret in (TEST_KEY, "of_a_stranger", SECRET, "_secret_", "4242", ASK.description, "Your card was"):
        assert secret not in caplog.text


class Overheard(httpx.BaseTransport):
    """Remembers every request that goes by."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self.inner = inner
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.inner.handle_request(request)


def test_the_provider_is_told_nothing_about_this_computer(stripe: StripeStand) -> None:
    line = Overheard(stripe.transport)
    connector = Stripe(base_url="http://provider.test/", key=TEST_KEY, webhook_secret=SECRET, transport=line)
    done(connector.start(ASK))
    done(connector.find(key=KEY, asked_at=BEGIN, is_hosted=True))
    create, listed, _ = line.requests
    assert create.headers["Idempotency-Key"] == KEY
    assert create.headers["Authorization"] == f"Bearer {TEST_KEY}"
    assert create.headers["Stripe-Version"] == "2026-10-28.endive"
    assert listed.url.path == "/v1/checkout/sessions"
    for request in line.requests:
        assert not any(name.startswith("x-stripe") for name in request.headers)
        assert "AIAgent" not in request.headers["User-Agent"]


def test_a_list_without_an_end_is_unknown(stripe: StripeStand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xuka.connectors.payments.stripe.connector.PAGES_AT_MOST", 1)
    for number in range(101):
        start(stripe, key=f"{KEY}-{number}")
    assert find(stripe) == Unknown("not seen within 1 pages, and there are more")


def test_a_mistake_of_ours_is_not_taken_for_the_weather(stripe: StripeStand) -> None:
    with pytest.raises(AssertionError):
        stripe.provider.start(replace(ASK, saved_method="pm_1"))
    assert stripe.transport.requests == []


# -- over the network -----------------------------------------------------------------------------------------------


@contextmanager
def served(world: World) -> Iterator[str]:
    """The stand-in on a real port of this machine. What it delays ends with it."""
    over = threading.Event()

    def rest(seconds: float) -> None:
        over.wait(seconds)

    server = make_server("127.0.0.1", 0, application(world, sleep=rest), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def over_the_network(url: str, deadline: float) -> Stripe:
    return Stripe(base_url=url, key=TEST_KEY, webhook_secret=SECRET, call_deadline=timedelta(seconds=deadline))


def test_over_the_network_a_page_is_paid_found_and_refunded() -> None:
    world = StripeStand().world
    with served(world) as url:
        provider = over_the_network(url, 20)
        opened = done(provider.start(ASK))
        world.pay(opened.reference)
        payment = done(provider.look(reference=opened.reference))
        assert (payment.state, payment.paid) == (PaymentState.PAID, EUROS)
        assert provider.find(key=KEY, asked_at=BEGIN, is_hosted=True) == Done(payment)
        assert done(provider.refund(key=OTHER_KEY, charge=payment.charge, money=EUROS)).state == RefundState.DONE
        assert world.truth(KEY).refunded == {"eur": 1999}


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "garbage_after", "error_after"])
def test_over_the_network_a_broken_answer_is_unknown(kind: str) -> None:
    world = StripeStand().world
    with served(world) as url:
        provider = over_the_network(url, 20)
        world.faults.set([{"kind": kind}])
        assert isinstance(provider.start(ASK), Unknown)
        assert len(world.sessions()) == int(NOBODY_KNOWS[kind])


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after"])
def test_a_call_really_ends_at_its_deadline(kind: str) -> None:
    world = StripeStand().world
    with served(world) as url:
        provider = over_the_network(url, 0.5)
        assert isinstance(provider.make_payer(key="xuka-payer"), Done)
        world.faults.set([{"kind": kind, "seconds": 5}])
        began = time.monotonic()
        assert isinstance(provider.start(ASK), Unknown)
        assert 0.4 < time.monotonic() - began < 2
        assert len(world.sessions()) == int(NOBODY_KNOWS[kind])


def test_a_provider_that_cannot_be_reached_is_unknown() -> None:
    with served(StripeStand().world) as url:
        pass
    provider = over_the_network(url, 2)
    assert provider.start(ASK) == Unknown("could not connect: ConnectError")
    assert provider.find(key=KEY, asked_at=BEGIN, is_hosted=True) == Unknown("could not connect: ConnectError")


@contextmanager
def dripping(sent: bytes) -> Iterator[str]:
    """A server that sends this to everybody, and then a byte at a time."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(sent)
            while not over.wait(0.02):
                connection.sendall(b"x")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()


@pytest.mark.parametrize(
    "sent", [b"HTTP/1.1 200 OK\r\nX-Drip: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{"]
)
def test_however_slowly_an_answer_drips_the_call_ends_at_its_deadline(sent: bytes) -> None:
    with dripping(sent) as url:
        began = time.monotonic()
        assert isinstance(over_the_network(url, 0.3).start(ASK), Unknown)
        assert time.monotonic() - began < 1.5


def test_calls_that_were_given_up_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xuka.connectors.deadline.CALLS_AT_ONCE", 1)
    with dripping(b"HTTP/1.1 200 OK\r\nX-Drip: ") as url:
        provider = over_the_network(url, 0.3)
        assert isinstance(provider.start(ASK), Unknown)
        assert provider.start(ASK) == Unknown("not asked: 1 calls are under way")


def test_a_call_that_was_given_up_before_it_was_sent_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    world = StripeStand().world
    go_on, connected = threading.Event(), threading.Event()
    look_up = socket.getaddrinfo

    def slowly(*args: Any, **more: Any) -> Any:
        go_on.wait(5)
        try:
            return look_up(*args, **more)
        finally:
            connected.set()

    with served(world) as url:
        provider = over_the_network(url, 0.2)
        monkeypatch.setattr(socket, "getaddrinfo", slowly)
        assert isinstance(provider.start(ASK), Unknown)
        go_on.set()
        assert connected.wait(5)
        for thread in threading.enumerate():
            if thread.name.startswith("stripe "):
                thread.join(5)
        assert world.sessions() == []


# -- other ways than cards ----------------------------------------------------------------------------------------

BELGIAN = ("card", "alipay", "wechat_pay", "paypal", "bancontact")
JAPANESE = ("card", "alipay", "wechat_pay", "paypay", "konbini")


def test_what_an_account_can_offer_depends_on_its_country(stripe: StripeStand) -> None:
    belgian = stripe.another(country="BE", methods=BELGIAN).methods()
    japanese = stripe.another(country="JP", methods=JAPANESE).methods()
    told = [(one.name, sorted(one.markets), sorted(one.limits), one.can_be_saved) for one in (*belgian, *japanese)]
    assert told == [
        ("card", ["BE", "JP"], ["EUR", "JPY", "TWD"], True),
        ("alipay", ["BE", "JP"], ["EUR"], False),
        ("wechat_pay", ["BE", "JP"], ["EUR"], False),
        ("paypal", ["BE", "JP"], ["EUR"], False),
        ("bancontact", ["BE"], ["EUR"], False),
        ("card", ["BE", "JP"], ["EUR", "JPY", "TWD"], True),
        ("alipay", ["BE", "JP"], ["JPY"], False),
        ("wechat_pay", ["BE", "JP"], ["JPY"], False),
        ("paypay", ["JP"], ["JPY"], False),
        ("konbini", ["JP"], ["JPY"], False),
    ]
    by_name = {one.name: one for one in japanese}
    assert by_name["konbini"].limits == {"JPY": (120, 300_000)}
    assert by_name["konbini"].pays_within == timedelta(days=3)
    assert by_name["paypay"].per_day == {"JPY": 500_000}


@pytest.mark.parametrize(("country", "method"), [("BE", "paypay"), ("JP", "bancontact"), ("JP", "paypal"), ("BE", "x")])
def test_a_method_that_the_account_cannot_have_is_refused_at_the_start(
    stripe: StripeStand, country: str, method: str
) -> None:
    with pytest.raises(Misconfigured, match=method):
        stripe.another(country=country, methods=["card", method])


@pytest.mark.parametrize(
    ("country", "method", "money"),
    [("BE", one, EUROS) for one in BELGIAN[1:]] + [("JP", one, YEN) for one in JAPANESE[1:4]],
)
def test_a_wallet_or_bank_pays_on_the_hosted_page_and_gets_it_back(
    stripe: StripeStand, country: str, method: str, money: Money
) -> None:
    stripe.provider = stripe.another(country=country, methods=("card", method))
    opened = start(stripe, method=method, money=money)
    assert (opened.state, opened.url[:4]) == (PaymentState.OPEN, "http")
    stripe.pay(opened)
    after = look(stripe, opened)
    assert (after.state, after.paid, after.saved_method) == (PaymentState.PAID, money, None)
    back = done(stripe.provider.refund(key=OTHER_KEY, charge=after.charge, money=Money(500, money.currency)))
    assert (back.state, back.money) == (RefundState.DONE, Money(500, money.currency))
    assert stripe.refunded(KEY) == {money.currency.lower(): 500}


def slip(stripe: StripeStand) -> Payment:
    stripe.provider = stripe.another(country="JP", methods=("card", "konbini"))
    opened = start(stripe, method="konbini", money=YEN, pay_by=BEGIN + timedelta(days=3))
    stripe.pay(opened)
    return look(stripe, opened)


@pytest.mark.parametrize("paid_there", [True, False])
def test_a_slip_is_paid_in_a_shop_or_is_not(stripe: StripeStand, paid_there: bool) -> None:
    printed = slip(stripe)
    assert (printed.state, printed.url) == (PaymentState.OPEN, f"http://payments.test/slip/{printed.reference}")
    assert stripe.captured(KEY) == {}
    stripe.settle(printed, ok=paid_there)
    after = look(stripe, printed)
    assert (after.state, after.paid) == ((PaymentState.PAID, YEN) if paid_there else (PaymentState.CLOSED, None))


def test_a_slip_that_is_not_wanted_any_more_is_void(stripe: StripeStand) -> None:
    printed = slip(stripe)
    assert done(stripe.provider.close(reference=printed.reference)).state == PaymentState.CLOSED
    stripe.settle(printed, ok=True)
    assert stripe.captured(KEY) == {}


def test_what_a_day_settled_is_told_row_by_row_and_another_day_is_empty(stripe: StripeStand) -> None:
    payment = paid(stripe)
    gone = done(refund(stripe, payment.charge, 500))
    rows = done(stripe.provider.settlements(day=BEGIN.date()))
    told = [(one.kind, one.money, one.fee.minor, one.key, one.charge, one.reference) for one in rows]
    assert told == [
        ("refund", Money(-500, "EUR"), 0, gone.key, payment.charge, gone.reference),
        ("payment", EUROS, 39, KEY, payment.charge, ""),
    ]
    assert done(stripe.provider.settlements(day=BEGIN.date() - timedelta(days=1))) == []
    stripe.fault("garbage_after", endpoint="balance_list")
    assert isinstance(stripe.provider.settlements(day=BEGIN.date()), Unknown)
