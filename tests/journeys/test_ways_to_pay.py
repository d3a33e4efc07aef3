"""Which ways to pay are offered for what, and by whom: several providers, limits of a day, slips for a shop."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.journeys.payment_world import Till, with_a_till
from xuka.kernel.money import Money
from xuka.payments import operations as payments
from xuka.payments import providers, queries
from xuka.payments.models import Health, Payment
from xuka.receipts import queries as receipts
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order

pytestmark = pytest.mark.django_db(transaction=True)

BELGIAN = ["card", "alipay", "wechat_pay", "paypal", "bancontact"]


@pytest.fixture
def till(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    """A shop with two accounts at its provider: one in Belgium, one in Japan that can be reached another way."""
    with with_a_till(settings, monkeypatch) as till:
        one = settings.PROVIDERS["stripe"] | {"markets": ["BE"], "country": "BE", "methods": BELGIAN}
        two = one | {"markets": ["BE", "JP"], "country": "JP", "methods": ["card", "paypay", "konbini"]}
        settings.PROVIDERS = {"stripe": one, "japan": two}
        providers.provider.cache_clear()
        yield till


def offered(till: Till, money: Money, *, market: str = "BE", customer: Any = None) -> dict[str, tuple[str, str]]:
    """By method: who takes it, and why it cannot be chosen."""
    found = queries.methods_offered(market=market, money=money, now=till.trade.now, customer=customer)
    return {one.method: (one.provider, one.why_not) for one in found}


def buy(till: Till, method: str, *, person: str = "xiaoyu", **how: Any) -> tuple[Order, Payment]:
    quote = till.trade.quote(person)
    order = renewals.place(
        order_id=uuid4(), quote_id=quote.id, customer=quote.customer_id, now=till.trade.now, pays_with=method
    )
    payment = renewals.pay(
        order_id=order.id, payment_id=uuid4(), customer=order.customer_id, method=method, description="a week",
        return_url="http://shop.test/back", language="en", now=till.trade.now, **how,
    )  # fmt: skip
    return order, payment


def test_each_way_is_offered_once_and_by_the_first_provider_that_answers(till: Till) -> None:
    euros = Money(12_90, "EUR")
    assert offered(till, euros) == dict.fromkeys(BELGIAN, ("stripe", ""))
    assert offered(till, Money(2_980, "JPY"), market="JP") == {
        "card": ("japan", ""),
        "paypay": ("japan", ""),
        "konbini": ("japan", ""),
    }
    with_silence = till.trade.now + timedelta(minutes=1)
    Health.objects.create(provider="stripe", silences=2, down_until=with_silence)
    assert offered(till, euros) == {
        "card": ("japan", ""),
        "alipay": ("stripe", "down"),
        "wechat_pay": ("stripe", "down"),
        "paypal": ("stripe", "down"),
        "bancontact": ("stripe", "down"),
    }
    till.trade.sleep(minutes=1)
    assert offered(till, euros)["alipay"] == ("stripe", "")


def test_limits_hold_for_one_payment_and_for_a_day_of_one_person(till: Till) -> None:
    def konbini(minor: int) -> str:
        return offered(till, Money(minor, "JPY"), market="JP")["konbini"][1]

    assert [konbini(119), konbini(120), konbini(300_000), konbini(300_001)] == ["amount", "", "", "amount"]
    order, payment = buy(till, "alipay")
    till.world.pay(payment.reference)
    till.deliver()
    # as if it had been a large one of PayPay's
    Payment.objects.filter(id=payment.id).update(
        method="paypay", amount_minor=400_000, paid_minor=400_000, currency="JPY", paid_currency="JPY"
    )

    def paypay(minor: int, customer: Any) -> str:
        return offered(till, Money(minor, "JPY"), market="JP", customer=customer)["paypay"][1]

    me, other = order.customer_id, till.trade.shop.people["emma"].id
    assert [paypay(100_000, me), paypay(100_001, me), paypay(100_001, other)] == ["", "per_day", ""]
    till.trade.sleep(days=1)
    assert paypay(100_001, me) == ""
    Payment.objects.filter(id=payment.id).update(
        method="alipay", amount_minor=12_90, paid_minor=12_90, currency="EUR", paid_currency="EUR"
    )


@pytest.mark.parametrize("method", BELGIAN[1:])
def test_a_renewal_is_paid_in_any_of_them_and_goes_on(till: Till, method: str) -> None:
    order, payment = buy(till, method, device="phone", client_ip="192.0.2.7")
    assert (payment.state, payment.provider, payment.client_ip) == ("open", "stripe", "192.0.2.7")
    till.world.pay(payment.reference)
    till.deliver()
    payment = till.payment(payment)
    assert (payment.state, payment.client_ip) == ("paid", "")
    assert order_now(order).state == "active"
    (receipt,) = receipts.receipts_about(order.id)
    assert receipt.document["paid_with"] == [{"method": method, "amount_minor": 12_90}]
    offered = queries.methods_offered(
        market="BE", money=Money(12_90, "EUR"), now=till.trade.now, customer=order.customer_id
    )
    assert [one.method for one in offered if one.was_last] == [method]


def test_what_was_chosen_first_is_closed_and_if_it_was_paid_too_it_goes_back(till: Till) -> None:
    order, first = buy(till, "alipay")
    second = till_pays(till, order, "bancontact")
    till.world.pay(first.reference)  # both pages were open
    till.world.pay(second.reference)
    till.deliver()
    till.trade.work()
    assert order_now(order).state == "active"
    assert sorted([till.kept(first), till.kept(second)]) == [0, order.total_minor]
    assert [one.state for one in queries.refunds_about(order.id)] == ["done"]


def test_who_paid_on_the_phone_and_presses_again_on_the_desk_is_asked_for_nothing_more(till: Till) -> None:
    order, first = buy(till, "alipay", device="phone")
    till.world.delay(first.reference)
    come_back(till, order)
    assert till.payment(first).state == "processing"
    assert till_pays(till, order, "alipay").id == first.id
    till.world.settle_delayed(first.reference)
    till.deliver()
    assert (order_now(order).state, till.kept(first), Payment.objects.count()) == ("active", order.total_minor, 1)


def till_pays(till: Till, order: Order, method: str) -> Payment:
    return renewals.pay(
        order_id=order.id, payment_id=uuid4(), customer=order.customer_id, method=method, description="a week",
        return_url="http://shop.test/back", language="en", now=till.trade.now,
    )  # fmt: skip


@pytest.mark.parametrize("pays", [True, False])
def test_who_takes_a_slip_to_a_shop_has_three_days_and_the_order_waits(till: Till, pays: bool) -> None:
    order, payment = buy(till, "konbini", person="sato")
    till.world.pay(payment.reference)  # the slip is printed
    come_back(till, order)
    printed = till.payment(payment)
    assert (printed.state, printed.url) == ("open", f"http://payments.test/slip/{payment.reference}")
    assert order_now(order).pay_by - till.trade.now == timedelta(days=3)
    till.trade.sleep(days=2)
    assert order_now(order).state == "awaiting_funds"
    if pays:
        till.world.settle_delayed(payment.reference)
        come_back(till, order)
        assert order_now(order).state == "active"
        return
    till.trade.sleep(days=1, minutes=30)
    till.trade.work()
    assert (order_now(order).state, till.payment(payment).state) == ("expired", "closed")
    till.world.settle_delayed(payment.reference)  # void: nothing can be paid with it any more
    come_back(till, order)
    assert till.kept(payment, currency="JPY") == 0


def order_now(order: Order) -> Order:
    return Order.objects.get(id=order.id)


def come_back(till: Till, order: Order) -> None:
    """The customer comes back from the provider's page, and the jobs do what follows."""
    payments.look_now(cause=order.id, now=till.trade.now)
    till.trade.work()
