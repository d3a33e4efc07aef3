"""A card that renews itself with a PayPal account that PayPal itself keeps: charged once an end, or not, and told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import Client
from procrastinate.contrib.django.models import ProcrastinateJob

from sandbox.transport import InProcess
from sandbox.wallets.paypal import CLIENT, SECRET, WEBHOOK, PayPalTill, paypal
from sandbox.wallets.till import Fault
from tests.journeys import renewal_world
from tests.journeys.renewal_world import Killed, Trade
from tests.journeys.test_auto_card import DUE, END, HOUR, WEEK, Carded
from tests.journeys.test_auto_renewal import BEGIN, Auto, Post, drain
from xuka.accounts import operations as accounts
from xuka.journal import queries as journal
from xuka.messaging import operations as messaging
from xuka.messaging.models import Message
from xuka.payments import operations as payments
from xuka.payments import providers, queries
from xuka.payments.models import Payment
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order


class PayPalShop:
    """A shop at work that takes PayPal directly, and people who sign in there."""

    def __init__(self, trade: Trade) -> None:
        self.trade = trade
        self.paypal = PayPalTill(now=lambda: trade.now)
        self.wire = InProcess(paypal(self.paypal))

    def buy(self) -> Order:
        quote = self.trade.quote()
        return renewals.place(
            order_id=uuid4(), quote_id=quote.id, customer=quote.customer_id, now=self.trade.now, pays_with="paypal"
        )

    def pay(self, order: Order, **how: Any) -> Payment:
        """Press the button."""
        return renewals.pay(
            order_id=order.id, payment_id=uuid4(), customer=order.customer_id, method="paypal", description="a week",
            return_url="http://shop.test/back", language="en", now=self.trade.now, **how,
        )  # fmt: skip

    def approve(self, order: Order, payment: Payment) -> None:
        """Agree on PayPal's page, come back, and let the shop work."""
        self.paypal.pay(payment.reference)
        payments.look_now(cause=order.id, now=self.trade.now)
        self.trade.work()

    def fail(self, kind: str, endpoint: str = "charge", *, times: int | None = 1) -> None:
        self.paypal.waiting.append(Fault(kind, endpoint, times=times))

    def die_at(self, moment: int) -> None:
        """The process dies at this moment on the wire: a call has two, before PayPal acts and after."""
        calls = 0

        def die() -> None:
            nonlocal calls
            calls += 1
            if calls == moment:
                self.wire.on_wire = None
                raise Killed

        self.wire.on_wire = die


class Kept(Carded):
    """Xiaoyu, who had her PayPal account kept as she paid her first week, and whose wallet holds too little."""

    def __init__(self, shop: PayPalShop) -> None:
        Auto.__init__(self, shop.trade)
        self.shop = shop
        order = shop.buy()
        shop.approve(order, shop.pay(order, save_method=True))
        self.first, self.owner = order.id, order.customer_id
        (self.saved,) = queries.saved_methods(self.owner)
        drain(self, 5_00)

    def taken(self) -> int:
        bills = self.shop.paypal.bills.values()
        return sum(bill.captured - sum(one.amount for one in bill.refunds) for bill in bills) - 12_90


@contextmanager
def at_paypal(settings: Any, patch: pytest.MonkeyPatch) -> Iterator[PayPalShop]:
    """At the end its books must be right."""
    patch.setattr(messaging, "channel", lambda name: Post())
    with renewal_world.at_work(settings, patch) as trade:
        shop = PayPalShop(trade)
        settings.PROVIDERS = {
            "paypal": {
                "connector": "xuka.connectors.payments.paypal.connector.PayPal",
                "base_url": "http://wallet.test",
                "client_id": CLIENT,
                "client_secret": SECRET,
                "webhook_id": WEBHOOK,
                "keeps": True,
                "call_deadline": timedelta(seconds=15),
                "transport": shop.wire,
                "now": lambda: trade.now,
                "monotonic": lambda: (trade.now - BEGIN).total_seconds(),
            }
        }
        providers.provider.cache_clear()
        try:
            yield shop
        finally:
            providers.provider.cache_clear()
        assert queries.check_books() == []


@pytest.fixture
def shop(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[PayPalShop]:
    with at_paypal(settings, monkeypatch) as shop:
        yield shop


@pytest.fixture
def auto(shop: PayPalShop) -> Kept:
    return Kept(shop)


# -- kept ----------------------------------------------------------------------------------------------------------


def test_an_account_is_kept_with_consent_and_without_it_nothing_is(shop: PayPalShop) -> None:
    order = shop.buy()
    shop.approve(order, shop.pay(order))
    assert shop.trade.order(order).state == "active"
    assert (queries.saved_methods(order.customer_id), shop.paypal.vault) == ([], {})
    order = shop.buy()
    shop.approve(order, shop.pay(order, save_method=True))
    (saved,) = queries.saved_methods(order.customer_id)
    assert (saved.method, saved.known_by, saved.brand, saved.expires_year) == ("paypal", "b***@sandbox.test", "", None)
    assert shop.paypal.vault == {saved.reference: saved.payer}
    assert str(saved.customer_id) not in saved.payer, "PayPal is told nobody's data"


def test_who_presses_for_what_is_kept_has_paid_at_once(auto: Kept) -> None:
    order = auto.shop.buy()
    payment = auto.shop.pay(order, saved_method=auto.saved.id)
    assert (payment.state, payment.url, payment.off_session) == ("paid", "", False)
    auto.trade.work()
    assert (auto.states(), auto.taken()) == (["active"], 12_90)


@pytest.mark.parametrize("kind", ["decline_saved", "saved_needs_3ds"])
def test_who_presses_for_what_is_kept_and_is_declined_pays_on_the_page(auto: Kept, kind: str) -> None:
    order = auto.shop.buy()
    auto.shop.fail(kind)
    declined = auto.shop.pay(order, saved_method=auto.saved.id)
    assert (declined.state, declined.reason, auto.taken()) == ("closed", "declined", 0)
    auto.shop.approve(order, auto.shop.pay(order))
    assert (auto.states(), auto.taken()) == (["active"], 12_90)


def test_what_its_owner_called_off_at_paypal_takes_nothing_is_told_and_offered_no_more(auto: Kept) -> None:
    auto.agree()
    auto.shop.paypal.vault.clear()
    order = auto.shop.buy()
    payment = auto.shop.pay(order, saved_method=auto.saved.id)
    assert (payment.state, payment.reason, auto.taken()) == ("closed", "method_gone", 0)
    assert queries.saved_methods(auto.owner) == []
    page = seen_by_xiaoyu(auto, f"/orders/{order.id}/")
    assert "What you had saved is no longer valid at the payment service. Nothing was charged." in page
    auto.trade.work()
    assert (auto.row.state, auto.row.reason) == ("paused", "saved_forgotten"), "her card is not left to find out"
    (fact,) = journal.facts_about(auto.saved.id)[-1:]
    assert (fact.what, fact.who) == ("saved_method.gone", "provider:paypal")
    auto.shop.approve(order, auto.shop.pay(order, save_method=True))
    assert (auto.states(), auto.taken()) == (["active"], 12_90)
    (anew,) = queries.saved_methods(auto.owner)
    assert anew.reference != auto.saved.reference


def test_while_it_is_not_known_nobody_is_asked_to_pay_again(auto: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    order = auto.shop.buy()
    with monkeypatch.context() as patch:
        patch.setattr(payments, "advance", dies)
        with pytest.raises(Killed):
            auto.shop.pay(order, saved_method=auto.saved.id)
    (payment,) = queries.payments_about(order.id)
    assert payment.state == "approved"
    assert "Please do not pay again." in seen_by_xiaoyu(auto, f"/orders/{order.id}/")
    auto.trade.work()
    assert (auto.states(), auto.taken()) == (["active"], 12_90)


def dies(**told: Any) -> bool:
    raise Killed


def seen_by_xiaoyu(auto: Kept, path: str) -> str:
    """The page of hers at this path, in English."""
    cache.clear()
    web = Client()
    web.force_login(auto.trade.shop.people["xiaoyu"], backend=settings.AUTHENTICATION_BACKENDS[0])
    web.cookies["django_language"] = "en"
    accounts.set_language(customer=auto.owner, language="en", now=BEGIN)
    return web.get(path).content.decode()


# -- charged -------------------------------------------------------------------------------------------------------


def test_the_account_is_charged_once_an_end_while_nobody_is_there(auto: Kept) -> None:
    row = auto.agree()
    assert (row.renews_end, row.next_due_at, row.saved_method_id) == (END, DUE, auto.saved.id)
    auto.until(DUE)
    (order,), (payment,) = auto.placed(), auto.payments()
    assert (order.state, order.pays_with, order.total_minor) == ("active", "paypal", 12_90)
    assert (payment.state, payment.off_session, payment.saved_method) == ("paid", True, auto.saved.reference)
    (unit,) = auto.shop.paypal.bills[payment.reference].told["asked"]["purchase_units"]
    assert unit["reference_id"] == f"kept:merchant:{auto.saved.reference}"
    assert (auto.taken(), auto.trade.wallet(), auto.end()) == (12_90, 5_00, END + WEEK)
    assert [one.cause for one in auto.told("charged")] == [str(order.id)]
    auto.until(DUE + WEEK)
    assert (auto.states(), auto.taken()) == (["active", "active"], 2 * 12_90)


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "error_after", "garbage_after", "rate_limited"])
def test_a_charge_whose_answer_was_lost_is_looked_for_and_charged_once(auto: Kept, kind: str) -> None:
    auto.agree()
    auto.until(DUE - HOUR)
    auto.shop.fail(kind)
    auto.until(DUE)
    assert [one.state for one in auto.payments()] == ["processing"]
    auto.until(DUE + timedelta(minutes=10))
    assert (auto.states(), auto.taken(), len(auto.payments())) == (["active"], 12_90, 1)
    assert auto.told("refused") == []


# After the token, which has grown old, come the order, the capture that nobody approved, a look, and the charge.
@pytest.mark.parametrize("moment", [4, 6, 8, 9, 10])
def test_a_process_that_dies_on_the_wire_has_charged_once_in_the_end(auto: Kept, moment: int) -> None:
    auto.agree()
    auto.until(DUE - HOUR)
    auto.shop.die_at(moment)
    with pytest.raises(Killed):
        auto.until(DUE)
    assert auto.taken() == (12_90 if moment == 10 else 0)
    auto.until(DUE + timedelta(hours=3))
    never_heard = moment == 4  # an order that takes nothing by itself: given up, and ordered anew
    assert auto.states() == (["cancelled", "active"] if never_heard else ["active"])
    assert (auto.taken(), auto.end()) == (12_90, END + WEEK)


# -- not charged ---------------------------------------------------------------------------------------------------


def test_an_account_that_has_too_little_is_told_and_nothing_is_taken(auto: Kept) -> None:
    accounts.set_language(customer=auto.owner, language="en", now=BEGIN)
    auto.agree()
    auto.until(DUE - HOUR)
    auto.shop.fail("decline_saved")
    auto.until(DUE)
    assert (auto.states(), auto.row.last_outcome, auto.row.state) == (["cancelled"], "saved_declined", "on")
    letter = Message.objects.get(kind="reminder_autorenewal_refused")
    assert "Nothing was charged. The payment was declined; your bank or PayPal knows why." in letter.text
    assert (auto.taken(), auto.trade.wallet()) == (0, 5_00)
    auto.until(DUE + HOUR)
    assert (auto.states(), auto.taken()) == (["cancelled", "active"], 12_90)


def test_an_owner_who_is_wanted_gets_no_second_try_but_a_link(auto: Kept) -> None:
    auto.agree()
    auto.until(DUE - HOUR)
    auto.shop.fail("saved_needs_3ds")
    auto.until(END - HOUR)
    (payment,) = auto.payments()
    assert (payment.state, payment.reason, payment.detail) == ("closed", "needs_customer", "PAYER_ACTION_REQUIRED")
    assert (auto.states(), auto.taken()) == (["cancelled"], 0)
    assert (auto.row.last_outcome, auto.row.state) == ("needs_customer", "on")
    assert [one.says["how"] for one in auto.told("soon")] == ["date", "confirm"]


# -- the account goes ----------------------------------------------------------------------------------------------


def test_an_account_that_is_forgotten_pauses_it_and_paypal_keeps_it_no_more(auto: Kept) -> None:
    auto.agree()
    auto.until(BEGIN + HOUR)
    auto.shop.fail("timeout_before", "forget")
    auto.forget()
    with pytest.raises(RuntimeError, match="did not confirm"):
        auto.trade.work()
    assert auto.shop.paypal.vault == {auto.saved.reference: auto.saved.payer}
    payments.forget_method_there(saved_id=auto.saved.id)
    assert auto.shop.paypal.vault == {}
    auto.until(DUE + timedelta(days=1))
    assert (auto.row.state, auto.row.reason, auto.row.next_due_at) == ("paused", "saved_forgotten", None)
    assert (auto.placed(), auto.taken()) == ([], 0)


def test_what_waited_under_the_jobs_old_name_is_forgotten_at_paypal_too(auto: Kept) -> None:
    auto.forget()
    assert ProcrastinateJob.objects.filter(task_name="forget_method", status="todo").count() == 1
    with connection.cursor() as cursor:
        cursor.execute("update procrastinate_jobs set task_name = 'forget_card' where task_name = 'forget_method'")
    auto.trade.work()
    assert auto.shop.paypal.vault == {}


def test_what_its_owner_called_off_at_paypal_is_not_charged_and_pauses_it(auto: Kept) -> None:
    auto.agree()
    auto.until(DUE - HOUR)
    auto.shop.paypal.vault.clear()
    auto.until(DUE + timedelta(days=1))
    (payment,) = auto.payments()
    assert (payment.state, payment.reason, payment.detail) == ("closed", "method_gone", "TOKEN_ID_NOT_FOUND")
    assert (auto.states(), auto.row.state, auto.row.reason) == (["cancelled"], "paused", "saved_forgotten")
    assert auto.taken() == 0
