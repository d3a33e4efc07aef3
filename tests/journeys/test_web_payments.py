"""Paying by card, through the public face only: the check page, the order that waits, the money that goes back."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from django.apps import apps
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client

from sandbox.carrier.app import application
from sandbox.payments.hooks import signed
from sandbox.transport import InProcess
from tests.journeys.payment_world import SECRET, Till
from tests.journeys.web_world import uuid_of
from xuka.interfaces.web import demo
from xuka.ledger import queries as ledger
from xuka.messaging.models import Attachment, Message
from xuka.payments import operations as payments
from xuka.payments import providers, queries, refunds
from xuka.payments.models import Event, Payment, SavedMethod
from xuka.renewals.models import Order

pytestmark = pytest.mark.django_db(transaction=True)

WEEK = "be-week-3gb-day"


@pytest.fixture(autouse=True)
def _no_limits_left_over() -> None:
    cache.clear()


class Customer:
    """Somebody in front of the pages."""

    def __init__(self, till: Till, key: str) -> None:
        self.till, self.key = till, key
        self.user = till.trade.shop.people[key]
        self.web = Client()
        self.web.force_login(self.user, backend=settings.AUTHENTICATION_BACKENDS[0])

    def quote(self, plan: str = WEEK) -> UUID:
        line, version = self.till.trade.card(self.key), self.till.trade.shop.plan(plan)
        return uuid_of(self.web.post(f"/cards/{line.id}/quote/", {"plan": str(version.id)})["Location"])

    def check_page(self, plan: str = WEEK) -> Any:
        return self.web.get(f"/quotes/{self.quote(plan)}/")

    def press(self, pay_with: str = "card", plan: str = WEEK, **more: str) -> tuple[UUID, Any]:
        """The last button of the check page; the order's id and the answer."""
        order_id = uuid4()
        ids = {"quote": str(self.quote(plan)), "order": str(order_id), "payment": str(uuid4())}
        return order_id, self.web.post("/orders/", {**ids, "pay_with": pay_with, **more})

    def at_the_page(self, plan: str = WEEK, **more: str) -> tuple[UUID, Payment]:
        """Ordered, and brought to the provider's page."""
        order_id, answer = self.press(plan=plan, **more)
        assert answer["Location"] == f"/orders/{order_id}/pay/page/"
        (payment,) = queries.payments_about(order_id)
        assert f'content="0;url={payment.url}"' in self.web.get(answer["Location"]).content.decode()
        return order_id, payment

    def come_back(self, order_id: UUID) -> str:
        """The provider sends the browser back; the shop works; what the page says then."""
        answer = self.web.get(f"/orders/{order_id}/paid/")
        assert answer["Location"] == f"/orders/{order_id}/"
        self.till.trade.work()
        return self.page(order_id)

    def page(self, order_id: UUID) -> str:
        return text_of(self.web.get(f"/orders/{order_id}/"))

    def pay_again(self, order_id: UUID, pay_with: str = "card", payment: UUID | None = None) -> Any:
        sent = {"payment": str(payment or uuid4()), "pay_with": pay_with}
        return self.web.post(f"/orders/{order_id}/pay/", sent)

    def with_a_saved_card(self) -> SavedMethod:
        """After a first order with the consent given."""
        order_id, payment = self.at_the_page(save_card="yes")
        self.till.world.pay(payment.reference)
        self.come_back(order_id)
        (card,) = queries.saved_methods(self.user.id)
        return card

    def letter(self, kind: str) -> Message:
        return Message.objects.get(to=self.user.email, kind=kind)


@pytest.fixture
def emma(till: Till) -> Customer:
    return Customer(till, "emma")


@pytest.fixture
def poor(till: Till) -> Customer:
    """Somebody with a card and nothing in the wallet."""
    till.trade.shop.person("poor", language="en", name="Ann")
    till.trade.shop.card("poor", 8, WEEK, started_at=till.trade.now - timedelta(days=9))
    return Customer(till, "poor")


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())).replace("\N{NO-BREAK SPACE}", " ")


def ways(response: Any) -> dict[str, str]:
    """What can be chosen on the page: "", "checked" or "disabled" by value."""
    found = re.findall(
        r'name="pay_with" value="([^"]+)"[^>]*?( checked| disabled|) required', response.content.decode()
    )
    return {value: state.strip() for value, state in found}


def sessions(till: Till) -> int:
    return till.calls.count(("POST", "/v1/checkout/sessions"))


# -- the check page --------------------------------------------------------------------------------------------------


def test_the_check_page_offers_the_wallet_and_the_card_and_says_what_each_means(emma: Customer) -> None:
    page = emma.check_page()
    assert ways(page) == {"wallet": "checked", "card": ""}
    told = text_of(page)
    assert "My wallet €40.00 is in it, €27.10 is left afterwards." in told
    assert "Card or Apple Pay On the secure page of our payment service" in told
    assert "fee" not in told
    assert '<input type="checkbox" name="save_card" value="yes">' in page.content.decode()


def test_with_too_little_in_the_wallet_the_card_is_chosen(poor: Customer) -> None:
    page = poor.check_page()
    assert ways(page) == {"wallet": "disabled", "card": "checked"}
    assert "€0.00 is in it: too little for this order." in text_of(page)
    assert "Order with obligation to pay €12.90" in text_of(page)


def test_directly_above_the_button_stands_all_that_the_law_demands(till: Till) -> None:
    page = Customer(till, "sato").check_page("jp-week-3gb-day")
    assert "<h1>Final confirmation</h1>" in page.content.decode()
    told = text_of(page).split("Your order at a glance")[1]
    parts = [
        "1 × ", "JP¥1,980", "Total JP¥1,980 Tax 10% inside: JP¥180",
        "When and how you pay From your wallet, at once when you order.",
        "When and how you pay By card, at once", "Service begins On your card within 10 minutes after you pay",
        "Renewal Bought once. It does not renew by itself", "Cancelling On the order's page, until we ask the carrier",
        "goes back to your card by itself", "Offer ends This price holds until 18:15 (Tokyo time).",
        "Sold by Xuka Demo", "Order with obligation to pay",
    ]  # fmt: skip
    places = [told.index(part) for part in parts]
    assert places == sorted(places)


@pytest.mark.parametrize("keeps", [(), ("card",), ("card", "paypal")])
def test_nothing_saved_is_spoken_of_where_nothing_can_be_saved(
    till: Till, settings: Any, keeps: tuple[str, ...]
) -> None:
    stripe = settings.PROVIDERS["stripe"] | {"methods": ["card", "paypal"], "keeps": keeps}
    settings.PROVIDERS = {"stripe": stripe}
    providers.provider.cache_clear()
    told = text_of(Customer(till, "emma").check_page())
    card = "By card, at once: it is charged when you confirm on the payment page"
    assert f"{card}, or right after you order with a saved card." in told if "card" in keeps else f"{card}." in told
    account = (
        "With PayPal, at once: it is charged when you confirm it there, or right after you order with a saved account"
    )
    assert account in told if "paypal" in keeps else "With PayPal, at once when you confirm it there." in told
    assert ("saved" in told, "Keep my PayPal account" in told) == (bool(keeps), "paypal" in keeps)


def test_in_chinese_the_button_says_that_ordering_is_paying(till: Till) -> None:
    page = text_of(Customer(till, "xiaoyu").check_page())
    assert "提交订单并付款 €12.90" in page
    assert "银行卡或 Apple Pay" in page
    assert "在我们向运营商提交之前（通常是付款后几秒内），可以在订单页面取消，全额退款。" in page


def test_a_fee_that_may_be_asked_is_in_the_total_of_its_way_alone(till: Till) -> None:
    payments.set_fee(
        market="JP", method="card", basis_points=300, permission="contract 7", staff=till.trade.shop.staff.id,
        now=till.trade.now,
    )  # fmt: skip
    sato = Customer(till, "sato")
    page = text_of(sato.check_page("jp-week-3gb-day"))
    assert "This way costs a fee of JP¥59; it is in the total below." in page
    assert "Order with obligation to pay JP¥1,980 JP¥2,039" in page  # the style sheet shows that of the chosen way
    order_id, payment = sato.at_the_page(plan="jp-week-3gb-day")
    till.world.pay(payment.reference)
    assert "JP¥2,039 by card" in sato.come_back(order_id)
    assert "Fee for this way to pay JP¥59" in sato.page(order_id)


def test_no_page_has_a_field_for_a_card_number(emma: Customer) -> None:
    order_id, _ = emma.at_the_page()
    for path in (
        f"/quotes/{emma.quote()}/",
        f"/orders/{order_id}/",
        f"/orders/{order_id}/pay/page/",
        "/account/settings/",
    ):
        page = emma.web.get(path).content.decode()
        kinds = set(re.findall(r'<input[^>]*type="([a-z]+)"', page)) - {"hidden", "radio", "checkbox"}
        assert kinds <= {"text"}, path
        assert "cc-number" not in page


# -- paid ------------------------------------------------------------------------------------------------------------


def test_ordered_paid_by_card_and_renewed(poor: Customer, till: Till) -> None:
    order_id, payment = poor.at_the_page()
    assert "Your order is not paid yet" in poor.page(order_id)
    assert till.kept(payment) == 0
    till.world.pay(payment.reference)
    page = poor.come_back(order_id)
    assert "Your card is renewed" in page
    assert "Paid (done) €12.90 by card" in page
    assert "Receipt (PDF)" in page
    assert till.kept(payment) == 12_90
    assert till.trade.truth(Order.objects.get(id=order_id))
    letter = poor.letter("confirmed")
    assert "You paid €12.90 by card." in letter.text
    assert [file.mime for file in Attachment.objects.filter(message_id=letter.id)] == ["application/pdf"]


def test_a_double_click_a_reload_and_the_back_button_are_one_payment(emma: Customer, till: Till) -> None:
    order_id, answer = emma.press()
    assert answer.status_code == 302
    order = Order.objects.get(id=order_id)
    (payment,) = queries.payments_about(order_id)
    sent = {
        "quote": str(order.quote_id), "order": str(order_id), "payment": str(payment.id), "pay_with": "card",
    }  # fmt: skip
    for again in (sent, sent | {"payment": str(uuid4())}):
        assert emma.web.post("/orders/", again)["Location"] == f"/orders/{order_id}/pay/page/"
    assert [one.id for one in queries.payments_about(order_id)] == [payment.id]
    assert sessions(till) == 1
    till.world.pay(payment.reference)
    emma.come_back(order_id)
    assert emma.web.post("/orders/", sent)["Location"] == f"/orders/{order_id}/"
    assert till.kept(payment) == 12_90


def test_a_second_tab_is_shown_the_first_order(emma: Customer, till: Till) -> None:
    quotes = [emma.quote(), emma.quote()]
    first, second = uuid4(), uuid4()
    for quote_id, order_id in zip(quotes, (first, second), strict=True):
        sent = {"quote": str(quote_id), "order": str(order_id), "payment": str(uuid4()), "pay_with": "card"}
        answer = emma.web.post("/orders/", sent)
    assert answer["Location"] == f"/orders/{first}/"
    assert "nothing was bought twice" in emma.page(first)
    assert sessions(till) == 1


def test_a_decline_is_told_and_another_card_pays_once(emma: Customer, till: Till) -> None:
    order_id, payment = emma.at_the_page()
    till.world.decline(payment.reference)
    page = emma.come_back(order_id)
    assert "The payment was declined" in page
    assert "Nothing was charged. Go on and try another card, or pay in another way." in page
    assert emma.pay_again(order_id, payment=payment.id)["Location"] == f"/orders/{order_id}/pay/page/"
    till.world.pay(payment.reference)
    assert "Your card is renewed" in emma.come_back(order_id)
    assert till.kept(payment) == 12_90
    assert sessions(till) == 1


def test_who_leaves_the_page_finds_the_order_waiting_and_goes_on_there(emma: Customer, till: Till) -> None:
    order_id, payment = emma.at_the_page()
    page = emma.come_back(order_id)
    assert "Nothing has been charged yet. Go on with the payment, or pay in another way." in page
    assert "If nothing arrives by 10:30 (Brussels time), the order ends and nothing is charged." in page
    assert "Go on with the payment" in page
    assert emma.pay_again(order_id, payment=payment.id)["Location"] == f"/orders/{order_id}/pay/page/"
    assert sessions(till) == 1


def test_an_order_that_nobody_pays_ends_and_nothing_was_charged(emma: Customer, till: Till) -> None:
    order_id, payment = emma.at_the_page()
    till.trade.wait(minutes=45)
    assert till.session(payment)["status"] == "expired"
    page = emma.page(order_id)
    assert "The money did not arrive in time, so the order has ended. Nothing was charged." in " ".join(page.split())
    assert emma.letter("failed").text.count("Nothing was charged.") == 1
    late = text_of(emma.web.post(f"/orders/{order_id}/cancel/", follow=True))
    assert "This order does not wait for money any more. Nothing more was charged." in late
    assert "It is too late to cancel" not in late
    assert not Attachment.objects.filter(message_id=emma.letter("failed").id).exists()


def test_a_waiting_order_is_paid_from_the_wallet_instead_and_its_page_is_closed(emma: Customer, till: Till) -> None:
    order_id, payment = emma.at_the_page()
    assert emma.pay_again(order_id, "wallet")["Location"] == f"/orders/{order_id}/"
    till.trade.work()
    assert "€12.90 from your wallet" in emma.page(order_id)
    assert till.session(payment)["status"] == "expired"
    assert till.kept(payment) == 0


def test_with_too_little_in_the_wallet_a_waiting_order_goes_on_waiting(poor: Customer) -> None:
    order_id, _ = poor.at_the_page()
    poor.pay_again(order_id, "wallet")
    page = poor.page(order_id)
    assert "There is not enough in your wallet for this plan." in page
    assert "Your order is not paid yet" in page


def test_without_javascript_a_page_on_which_a_way_is_chosen_is_not_loaded_anew(emma: Customer, till: Till) -> None:
    anew = 'http-equiv="refresh"'
    order_id, payment = emma.at_the_page()
    assert anew not in emma.web.get(f"/orders/{order_id}/").content.decode()
    till.world.delay(payment.reference)
    emma.come_back(order_id)  # the bank decides, and nothing can be chosen
    assert anew in emma.web.get(f"/orders/{order_id}/").content.decode()


def test_a_bank_that_takes_its_time_is_told_and_nobody_is_asked_to_pay_again(emma: Customer, till: Till) -> None:
    order_id, payment = emma.at_the_page()
    till.world.delay(payment.reference)
    page = emma.come_back(order_id)
    assert "The bank is deciding" in page
    assert "Please do not pay again." in page
    assert f'action="/orders/{order_id}/pay/"' not in emma.web.get(f"/orders/{order_id}/").content.decode()
    till.world.settle_delayed(payment.reference)
    till.deliver()
    assert "Your card is renewed" in emma.page(order_id)


# -- the provider does not answer ------------------------------------------------------------------------------------


def test_a_page_that_does_not_open_is_told_and_pressing_again_is_safe(emma: Customer, till: Till) -> None:
    till.fail("timeout_after", "session_create")
    order_id, answer = emma.press()
    assert answer["Location"] == f"/orders/{order_id}/"
    page = emma.page(order_id)
    assert "The payment page did not open" in page
    assert "nothing has been charged. Please press again; it is safe" in page
    till.trade.sleep(seconds=30)
    (payment,) = queries.payments_about(order_id)
    assert emma.pay_again(order_id, payment=payment.id)["Location"] == f"/orders/{order_id}/pay/page/"
    till.world.pay(Payment.objects.get(id=payment.id).reference)
    assert "Your card is renewed" in emma.come_back(order_id)
    assert till.kept(payment) == 12_90
    assert len(till.world.sessions()) == 1


def test_while_card_payment_is_down_it_steps_back_and_returns_by_itself(emma: Customer, till: Till) -> None:
    till.fail("timeout_before", "session_create", times=2)
    order_id, _ = emma.press()
    till.trade.sleep(seconds=30)
    (payment,) = queries.payments_about(order_id)
    emma.pay_again(order_id, payment=payment.id)
    assert "Card or Apple Pay does not answer at the moment. Look again at 10:01 (Brussels time)" in emma.page(order_id)
    emma.web.post(f"/orders/{order_id}/cancel/")
    quote_id = emma.quote()
    page = emma.web.get(f"/quotes/{quote_id}/")
    assert ways(page) == {"wallet": "checked", "card": "disabled"}
    assert f'hx-get="/quotes/{quote_id}/?while=down"' in page.content.decode()
    assert emma.web.get(f"/quotes/{quote_id}/?while=down").status_code == 204
    _, answer = emma.press()
    assert answer.status_code == 409
    assert "This way to pay is not possible at the moment. Nothing was charged" in text_of(answer)
    till.trade.sleep(minutes=2)
    assert ways(emma.web.get(f"/quotes/{quote_id}/?while=down")) == {"wallet": "checked", "card": ""}
    till.trade.sleep(minutes=15)  # the price is held no more, and the page has no form for paying
    answer = emma.web.get(f"/quotes/{quote_id}/?while=down")
    assert (answer.status_code, answer["HX-Refresh"]) == (204, "true")


# -- saved cards -----------------------------------------------------------------------------------------------------


def test_without_the_tick_no_card_is_saved(emma: Customer, till: Till) -> None:
    order_id, payment = emma.at_the_page()
    till.world.pay(payment.reference)
    emma.come_back(order_id)
    assert queries.saved_methods(emma.user.id) == []
    assert "Nothing is saved." in text_of(emma.web.get("/account/settings/"))


def test_a_saved_card_pays_with_one_press_and_is_forgotten_when_its_owner_says_so(poor: Customer, till: Till) -> None:
    card = poor.with_a_saved_card()
    page = poor.check_page()
    assert ways(page) == {"wallet": "disabled", f"card:{card.id}": "checked", "card": ""}
    assert "Visa ending 4242, 12/2029" in text_of(page)
    order_id, answer = poor.press(f"card:{card.id}")
    assert answer["Location"] == f"/orders/{order_id}/"
    till.trade.work()
    assert "Your card is renewed" in poor.page(order_id)
    assert [till.kept(one) for one in queries.payments_about(order_id)] == [12_90]
    assert "Visa ending 4242, 12/2029 Forget" in text_of(poor.web.get("/account/settings/"))
    for _ in range(2):
        assert poor.web.post(f"/account/saved/{card.id}/forget/")["Location"] == "/account/settings/"
    till.trade.work()
    assert "Nothing is saved." in text_of(poor.web.get("/account/settings/"))
    assert till.calls.count(("POST", f"/v1/payment_methods/{card.reference}/detach")) == 1


def test_a_saved_card_that_has_expired_cannot_be_chosen(poor: Customer) -> None:
    card = poor.with_a_saved_card()
    SavedMethod.objects.filter(id=card.id).update(expires_year=2026, expires_month=2)
    page = poor.check_page()
    assert ways(page)[f"card:{card.id}"] == "disabled"
    assert "This card has expired." in text_of(page)
    assert "expired Forget" in text_of(poor.web.get("/account/settings/"))


def test_a_saved_card_that_is_declined_is_told_and_nothing_was_charged(poor: Customer, till: Till) -> None:
    card = poor.with_a_saved_card()
    till.fail("decline_saved", "intent_create")
    order_id, answer = poor.press(f"card:{card.id}")
    assert answer["Location"] == f"/orders/{order_id}/"
    page = poor.page(order_id)
    assert "The payment was declined" in page
    assert "Nothing was charged. Try another card or another way to pay" in page
    assert [till.kept(one) for one in queries.payments_about(order_id)] == [0]
    assert poor.pay_again(order_id)["Location"] == f"/orders/{order_id}/pay/page/"


def test_a_bank_that_asks_about_a_saved_card_is_one_press_away(poor: Customer, till: Till) -> None:
    card = poor.with_a_saved_card()
    till.fail("saved_needs_3ds", "intent_create")
    order_id, answer = poor.press(f"card:{card.id}")
    assert answer["Location"] == f"/orders/{order_id}/pay/page/"
    page = poor.page(order_id)
    assert "Please confirm the payment" in page
    assert "Confirm the payment" in page
    (payment,) = queries.payments_about(order_id)
    till.world.answer_3ds(payment.reference, approve=True)
    assert "Your card is renewed" in poor.come_back(order_id)


def test_somebody_elses_saved_card_can_neither_pay_nor_be_forgotten(emma: Customer, poor: Customer) -> None:
    card = poor.with_a_saved_card()
    order_id, answer = emma.press(f"card:{card.id}")
    assert answer["Location"] == f"/orders/{order_id}/"
    assert "It is not kept here any more. Nothing was charged" in emma.page(order_id)
    emma.web.post(f"/account/saved/{card.id}/forget/")
    assert [one.id for one in queries.saved_methods(poor.user.id)] == [card.id]


# -- money that goes back --------------------------------------------------------------------------------------------


def test_a_refusal_of_the_carrier_sends_the_money_back_to_the_card(emma: Customer, till: Till) -> None:
    till.trade.fail("recycled")
    till.fail("refund_pending", "refund_create")
    order_id, payment = emma.at_the_page()
    till.world.pay(payment.reference)
    page = emma.come_back(order_id)
    assert "Your money is coming back" in page
    assert "€12.90 is on its way back to your card. Banks usually show it after 5 to 10 business days." in page
    (refund,) = queries.refunds_about(order_id)
    till.world.settle_refund(refund.reference)
    till.deliver()
    page = emma.page(order_id)
    assert "Not renewed, money back" in page
    assert "€12.90 was sent back to your card." in page
    assert "wallet" not in page
    assert "Credit note (PDF)" in page
    letter = emma.letter("refunded")
    assert "€12.90 was sent back to your card. Banks usually show it after 5 to 10 business days" in letter.text
    assert Attachment.objects.filter(message_id=letter.id).count() == 1
    assert till.kept(payment) == 0


def test_a_refund_that_does_not_arrive_is_told_on_the_page_and_by_letter(emma: Customer, till: Till) -> None:
    till.trade.fail("recycled")
    till.fail("refund_fails", "refund_create")
    order_id, payment = emma.at_the_page()
    till.world.pay(payment.reference)
    page = emma.come_back(order_id)
    assert "€12.90 could not be sent back to your card. The money is not lost: a person sees to it" in page
    assert "A person sees to your refund" in page
    letter = emma.letter("refund_failed")
    assert letter.subject == "Your refund did not arrive; we see to it"
    assert "We sent €12.90 back the way you paid it, but it did not arrive." in letter.text
    assert "A person sees to it now" in letter.html


def test_a_late_payment_of_a_cancelled_order_goes_back_and_is_told(emma: Customer, till: Till) -> None:
    order_id, payment = emma.at_the_page()
    emma.web.post(f"/orders/{order_id}/cancel/")
    assert "This order is cancelled. Nothing was charged. Should a payment still arrive, all of it" in emma.page(
        order_id
    )
    till.world.pay(payment.reference)
    till.trade.work()
    page = emma.page(order_id)
    assert "€12.90 was sent back to your card." in page
    letter = emma.letter("returned")
    assert letter.subject == "Money goes back to you"
    assert "€12.90 is on its way back to your card." in letter.text or "was sent back to your card" in letter.text
    assert till.kept(payment) == 0


# -- what is true at every moment --------------------------------------------------------------------------------------


def test_who_has_paid_is_never_told_that_nothing_was_charged_while_the_next_step_is_due(
    emma: Customer, till: Till
) -> None:
    order_id, payment = emma.at_the_page()
    till.world.pay(payment.reference)
    payments.look_now(cause=order_id, now=till.trade.now)
    payments.advance(payment_id=payment.id, now=till.trade.now)
    assert till.payment(payment).state == "paid"
    answer = emma.web.get(f"/orders/{order_id}/")
    assert "Your payment has arrived" in text_of(answer)
    assert "Your money is here, and the order goes on by itself in a moment." in text_of(answer)
    assert ("Nothing was charged" in text_of(answer), ways(answer)) == (False, {})
    till.trade.work()
    assert "Your card is renewed" in emma.page(order_id)


def test_who_paid_another_amount_is_told_that_a_person_sees_to_it_and_not_to_pay_again(
    emma: Customer, till: Till
) -> None:
    order_id, payment = emma.at_the_page()
    till.fail("wrong_amount", "pay")
    till.world.pay(payment.reference)
    till.deliver()
    answer = emma.web.get(f"/orders/{order_id}/")
    told = "Another amount arrived than was asked for. Nothing of it is lost: a person looks into it and writes to you."
    assert f"{told} Please do not pay again." in text_of(answer)
    assert ("Nothing was charged" in text_of(answer), ways(answer)) == (False, {})
    till.trade.wait(days=1)
    assert told in emma.page(order_id)
    assert "Nothing was charged" not in emma.page(order_id) + emma.letter("failed").text
    refunds.give_mismatch_back(
        payment_id=payment.id, staff=till.trade.shop.staff.id, why="not what was asked", now=till.trade.now
    )
    till.trade.work()
    assert told not in emma.page(order_id)


def test_while_the_bank_decides_a_cancelled_order_says_that_money_would_come_back(emma: Customer, till: Till) -> None:
    order_id, payment = emma.at_the_page()
    till.world.delay(payment.reference)
    till.deliver()
    emma.web.post(f"/orders/{order_id}/cancel/")
    page = emma.page(order_id)
    assert "This order is cancelled. Should a payment still arrive, all of it goes back to where it came from" in page
    assert "Nothing was charged" not in page
    till.world.settle_delayed(payment.reference, ok=True)
    till.deliver()
    assert "€12.90 was sent back to your card." in emma.page(order_id)


def test_once_the_time_to_pay_is_over_nothing_more_can_be_chosen(emma: Customer, till: Till) -> None:
    order_id, _ = emma.at_the_page()
    till.trade.now = Order.objects.get(id=order_id).pay_by
    answer = emma.web.get(f"/orders/{order_id}/")
    assert "The time to pay is over. We look once more whether your money came" in text_of(answer)
    assert ways(answer) == {}


def test_money_back_by_paypal_is_not_said_to_be_back_on_a_card(till: Till, settings: Any) -> None:
    settings.PROVIDERS = {"stripe": settings.PROVIDERS["stripe"] | {"methods": ["card", "paypal"]}}
    providers.provider.cache_clear()
    till.trade.fail("recycled")
    order = till.buy("emma", pays_with="paypal")
    till.world.pay(till.pay(order).reference)
    till.deliver()
    page = Customer(till, "emma").page(order.id)
    assert "Money back the way you paid" in page
    assert " was sent back the way you paid it." in page
    assert "back on your card" not in page


# -- what is sent in bad faith ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("nasty", ["' OR 1=1 --", "<script>", "card:", "card:" + "-" * 36, "\x00", "CARD", "x" * 99])
def test_a_way_to_pay_that_makes_no_sense_is_refused_and_stores_nothing(emma: Customer, nasty: str) -> None:
    _, answer = emma.press(nasty)
    assert answer.status_code == 400
    assert Order.objects.count() == Payment.objects.count() == 0
    order_id, _ = emma.at_the_page()
    assert emma.pay_again(order_id, nasty).status_code == 400
    assert emma.web.post(f"/orders/{order_id}/pay/", {"pay_with": "card", "payment": nasty}).status_code == 400
    assert Payment.objects.count() == 1


def test_without_a_way_to_pay_nothing_is_ordered_and_the_wallet_is_left_alone(emma: Customer) -> None:
    sent = {"quote": str(emma.quote()), "order": str(uuid4()), "payment": str(uuid4())}
    assert emma.web.post("/orders/", sent).status_code == 400
    assert Order.objects.count() == 0
    order_id, _ = emma.at_the_page()
    assert emma.web.post(f"/orders/{order_id}/pay/", {"payment": str(uuid4())}).status_code == 400
    assert Order.objects.get().state == "awaiting_funds"
    assert ledger.wallet_balance(customer=emma.user.id, currency="EUR").minor == 40_00


def test_a_method_that_is_not_offered_buys_nothing(emma: Customer) -> None:
    assert emma.press("konbini")[1].status_code == 409
    assert Order.objects.count() == 0


def test_somebody_elses_order_cannot_be_paid_or_looked_at(emma: Customer, till: Till) -> None:
    order_id, _ = emma.at_the_page()
    thief = Customer(till, "sato")
    assert thief.pay_again(order_id).status_code == 404
    assert [thief.web.get(f"/orders/{order_id}/{path}").status_code for path in ("paid/", "pay/page/")] == [404, 404]
    stranger = Client().get(f"/orders/{order_id}/paid/")
    assert stranger["Location"].startswith("/account/login/code/?next=")
    assert Client(enforce_csrf_checks=True).post(f"/orders/{order_id}/pay/").status_code == 403


# -- webhooks --------------------------------------------------------------------------------------------------------


def test_a_webhook_alone_confirms_the_payment_of_a_closed_browser(emma: Customer, till: Till) -> None:
    order_id, payment = emma.at_the_page()
    till.world.pay(payment.reference)
    till.deliver()
    assert Order.objects.get(id=order_id).state == "active"


def test_a_webhook_is_answered_in_a_word_and_without_a_cookie(emma: Customer, till: Till) -> None:
    _, payment = emma.at_the_page()
    till.world.pay(payment.reference)
    body, signature = till.take()[0]
    web = Client(enforce_csrf_checks=True)

    def post(path: str, content: bytes, sign: str) -> tuple[int, str]:
        answer = web.post(path, content, content_type="application/json", headers={"Stripe-Signature": sign})
        assert not answer.cookies
        assert "sessionid" not in str(answer.headers)
        return answer.status_code, answer["Content-Type"]

    problem = "application/problem+json"
    assert post("/webhooks/stripe/", body, signature)[0] == 200
    assert post("/webhooks/stripe/", body, signature)[0] == 200
    assert post("/webhooks/stripe/", body + b" ", signature) == (400, problem)
    assert post("/webhooks/stripe/", b"", "") == (400, problem)
    assert post("/webhooks/nobody/", body, signature) == (404, problem)
    assert post("/webhooks/stripe/", b"x" * 65_537, signature) == (413, problem)
    assert post("/webhooks/stripe/", b"x" * 5_000_000, signature) == (413, problem)
    wrong = web.get("/webhooks/stripe/")
    assert (wrong.status_code, wrong["Allow"], wrong.json()["status"]) == (405, "POST", 405)
    assert Event.objects.count() == 1


def test_an_event_about_nobodys_payment_is_kept_and_told_as_unknown(emma: Customer, till: Till) -> None:
    _, payment = emma.at_the_page()
    till.world.pay(payment.reference)
    body = till.take()[0][0].replace(b"xuka-", b"else-")
    at = int(till.trade.now.timestamp())
    assert till.post(body, signed(body, secret=SECRET, at=at)) == 200
    assert till.events() == ["unknown"]


def test_without_a_provider_only_the_wallet_is_offered(emma: Customer, settings: Any) -> None:
    settings.PROVIDERS = {}
    page = emma.check_page()
    assert ways(page) == {"wallet": "checked"}
    assert "Saved cards" not in text_of(emma.web.get("/account/settings/"))


# -- the demo --------------------------------------------------------------------------------------------------------


@pytest.fixture
def demo_of(till: Till, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's pages over the same stand-ins."""
    settings.DEMO = True
    monkeypatch.setattr(demo, "_payments", lambda: httpx.Client(base_url="http://127.0.0.1", transport=till.wire))
    carrier = InProcess(application(till.trade.world))
    monkeypatch.setattr(demo, "_carrier", lambda: httpx.Client(base_url="http://127.0.0.1", transport=carrier))


@pytest.mark.urls("tests.journeys.web_demo_urls")
def test_in_the_demo_the_payment_side_has_switches_of_its_own(emma: Customer, till: Till, demo_of: None) -> None:
    emma.web.post("/demo/fault", {"side": "payments", "kind": "refund_fails", "next": "/"})
    assert [(one.kind, one.endpoint, one.times) for one in till.world.faults.waiting] == [
        ("refund_fails", "refund_create", 1)
    ]
    assert "next: the payment service cannot refund" in text_of(emma.web.get("/"))
    emma.web.post("/demo/fault", {"side": "payments", "kind": "recycled"})
    assert till.world.faults.waiting == []
    assert till.trade.world.faults.waiting == []
    assert emma.web.post("/demo/fault", {"side": "moon", "kind": "lost"}).status_code == 404
    for switch in demo.PAYMENT_SWITCHES:
        till.world.faults.set([switch.fault])


@pytest.mark.urls("tests.journeys.web_demo_urls")
def test_the_truth_shows_what_the_payment_service_really_took_and_gave_back(
    emma: Customer, till: Till, demo_of: None
) -> None:
    till.trade.fail("recycled")
    order_id, payment = emma.at_the_page()
    till.world.pay(payment.reference)
    emma.come_back(order_id)
    page = emma.web.get(f"/demo/orders/{order_id}")
    told = page.context
    assert (told["charged"], told["refunded"], told["activated"]) == (1, 1, 0)
    assert [row["amount"] for row in told["provider"]["captures"]] == [12_90]
    assert [(row["amount"], row["status"]) for row in told["provider"]["refunds"]] == [(12_90, "succeeded")]
    assert [one.leg for one in told["transfers"]] == ["captured", "asked:0", "confirmed:0"]
    assert "The payment service's own record" in page.content.decode().replace("&#x27;", "'")


def test_neither_the_demo_nor_its_command_starts_with_a_live_key(settings: Any) -> None:
    settings.DEMO, settings.STRIPE_KEY = True, "sk_live_1"
    with pytest.raises(ImproperlyConfigured):
        apps.get_app_config("interfaces").ready()
    with pytest.raises(CommandError, match="A live key is set"):
        call_command("demo")
