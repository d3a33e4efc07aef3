"""A card that renews itself with what was saved: charged once an end while nobody is there, or not, and told."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.test import Client

from tests.journeys import payment_world
from tests.journeys.payment_world import Till
from tests.journeys.renewal_world import BEGIN, Killed
from tests.journeys.test_auto_renewal import Auto, Post, drain, filled
from xuka.accounts import operations as accounts
from xuka.interfaces.jobs import autorenewing, unwritten
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.messaging import operations as messaging
from xuka.messaging.models import Message
from xuka.payments import operations as payments
from xuka.payments import providers
from xuka.payments import queries as payments_queries
from xuka.payments.models import Payment, SavedMethod
from xuka.renewals import auto as autorenewal
from xuka.renewals import operations as renewals
from xuka.renewals.auto import CannotAutomate
from xuka.renewals.auto_rules import PayWith
from xuka.renewals.models import AutoRenewal, Order

# Xiaoyu's first week for 12.90 was paid with the card that is kept now: the second ends nine days after BEGIN.
END = BEGIN + timedelta(days=9, hours=3)
DUE = END - timedelta(hours=24)
WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)


class Carded(Auto):
    """Xiaoyu, who had a bank card or an account saved, and whose wallet holds too little for a week."""

    def __init__(self, till: Till, method: str = "card") -> None:
        super().__init__(till.trade)
        self.till = till
        order = till.buy(pays_with=method)
        till.world.pay(till.pay(order, save_method=True).reference)
        till.deliver()
        self.first = order.id
        self.owner = order.customer_id
        (self.saved,) = payments_queries.saved_methods(self.owner)
        drain(self, 5_00)

    def agree(self, **more: Any) -> AutoRenewal:
        return self.on(**{"pay_with": PayWith.SAVED, "saved_method": self.saved.id, **more})

    def placed(self) -> list[Order]:
        """What was ordered after the first week."""
        return [order for order in self.orders() if order.id != self.first]

    def states(self) -> list[str]:
        return [order.state for order in self.placed()]

    def payments(self) -> list[Payment]:
        return [one for order in self.placed() for one in payments_queries.payments_about(order.id)]

    def taken(self) -> int:
        """What the provider really took after the first week, less what it gave back, minor units."""
        truth = self.till.world.truth()
        return truth.captured.get("eur", 0) - truth.refunded.get("eur", 0) - 12_90

    def place_only(self) -> UUID:
        """The order is placed and the process dies before the card is charged."""
        self.until(DUE - HOUR)
        self.trade.now = DUE
        order_id = autorenewal.advance(line_id=self.line, now=DUE)
        assert order_id is not None
        return order_id

    def forget(self) -> None:
        payments.forget_method(saved_id=self.saved.id, customer=self.owner, now=self.trade.now)


@pytest.fixture
def auto(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Carded]:
    monkeypatch.setattr(messaging, "channel", lambda name: Post())
    with payment_world.with_a_till(settings, monkeypatch) as till:
        yield Carded(till)


@pytest.fixture
def account(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Carded]:
    """The same with a PayPal account that Stripe keeps."""
    monkeypatch.setattr(messaging, "channel", lambda name: Post())
    with payment_world.with_a_till(settings, monkeypatch) as till:
        settings.PROVIDERS["stripe"] |= {"methods": ["card", "paypal"], "keeps": ["card", "paypal"]}
        providers.provider.cache_clear()
        yield Carded(till, "paypal")


# -- charged -----------------------------------------------------------------------------------------------------------


def test_the_card_is_charged_once_an_end_while_nobody_is_there(auto: Carded) -> None:
    row = auto.agree()
    assert (row.renews_end, row.next_due_at, row.saved_method_id) == (END, DUE, auto.saved.id)
    auto.until(DUE)
    (order,), (payment,) = auto.placed(), auto.payments()
    assert order.id == ids.derived(row.id, f"{END.isoformat()}:0")
    assert (order.state, order.pays_with, order.total_minor) == ("active", "card", 12_90)
    assert payment.id == ids.derived(order.id, "automatic")
    assert (payment.state, payment.off_session, payment.saved_method) == ("paid", True, auto.saved.reference)
    assert (auto.taken(), auto.trade.wallet(), auto.end()) == (12_90, 5_00, END + WEEK)
    assert (auto.row.last_outcome, auto.row.next_due_at) == ("charged", DUE + WEEK)
    assert [one.says["pay"] for one in auto.told("soon")] == ["saved", "saved"]
    assert [one.cause for one in auto.told("charged")] == [str(order.id)]
    auto.until(DUE + WEEK)
    assert (auto.states(), auto.taken()) == (["active", "active"], 2 * 12_90)


@pytest.mark.parametrize("where", ["before", "while", "after"])
def test_a_process_that_dies_around_the_charge_charges_once(
    auto: Carded, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    auto.agree()
    order_id = auto.place_only()
    assert (auto.states(), auto.payments(), auto.taken()) == (["awaiting_funds"], [], 0)
    pay = renewals.pay

    def dies(**told: Any) -> Any:
        if where == "after":
            pay(**told)
        raise Killed

    if where != "before":
        with monkeypatch.context() as patch:
            patch.setattr(renewals, "pay", dies)
            with pytest.raises(Killed):
                autorenewing.advance(line_id=auto.line, now=DUE)
    auto.until(DUE + timedelta(minutes=10))
    assert [(one.id, one.state) for one in auto.placed()] == [(order_id, "active")]
    assert (auto.taken(), len(auto.payments()), auto.trade.wallet()) == (12_90, 1, 5_00)


def test_a_time_out_after_the_charge_is_found_and_nothing_is_charged_again(auto: Carded) -> None:
    auto.agree()
    auto.until(DUE - HOUR)
    auto.till.fail("timeout_after", "intent_create")
    auto.until(DUE)
    assert (auto.states(), [one.state for one in auto.payments()]) == (["awaiting_funds"], ["starting"])
    auto.till.take()  # and no webhook comes
    auto.until(DUE + timedelta(hours=3))
    assert (auto.states(), auto.taken(), len(auto.payments())) == (["active"], 12_90, 1)
    assert auto.told("refused") == []


def test_what_was_surely_never_asked_is_tried_anew_as_another_order(auto: Carded) -> None:
    auto.agree()
    auto.until(DUE - HOUR)
    auto.till.fail("timeout_before", "intent_create")
    auto.until(DUE + timedelta(minutes=20))
    assert (auto.states(), auto.row.last_outcome, auto.taken()) == (["cancelled"], "payment_failed", 0)
    auto.until(DUE + timedelta(hours=3))
    assert (auto.states(), auto.taken()) == (["cancelled", "active"], 12_90)


def test_the_wallet_pays_where_it_holds_enough(auto: Carded) -> None:
    auto.agree()
    auto.place_only()
    auto.trade.credit("xiaoyu", Money(10_00, "EUR"))
    auto.until(DUE + timedelta(minutes=10))
    assert (auto.states(), auto.trade.wallet(), auto.payments(), auto.taken()) == (["active"], 2_10, [], 0)
    auto.trade.credit("xiaoyu", Money(20_00, "EUR"))
    auto.until(DUE + WEEK)
    assert [one.pays_with for one in auto.placed()] == ["wallet", "wallet"]
    assert (auto.states(), auto.trade.wallet(), auto.taken()) == (["active", "active"], 9_20, 0)


# -- not charged -------------------------------------------------------------------------------------------------------


def test_a_card_that_is_declined_is_told_and_tried_four_times_with_one_order_at_a_time(auto: Carded) -> None:
    auto.agree()
    auto.until(DUE - HOUR)
    auto.till.fail("decline_saved", "intent_create", times=None)
    auto.until(DUE)
    assert (auto.states(), auto.row.last_outcome, auto.row.state) == (["cancelled"], "saved_declined", "on")
    (told,) = auto.told("refused")
    assert (told.says["reason"], told.says["next"]) == ("saved_declined", (DUE + HOUR).isoformat())
    auto.until(DUE + timedelta(days=4))
    assert auto.states() == ["cancelled"] * 4
    # Of one card at most two orders are placed within a day.
    assert [one.placed_at - DUE for one in auto.placed()] == [timedelta(hours=hours) for hours in (0, 1, 24, 48)]
    assert (auto.row.tries, auto.row.next_due_at, auto.row.state) == (4, None, "on")
    assert [one.says["next"] for one in auto.told("refused")][1:] == [""]
    assert (auto.taken(), auto.trade.wallet(), auto.trade.hold(auto.placed()[0])) == (0, 5_00, 0)
    assert Message.objects.filter(kind="failed").count() == 0
    assert unwritten.missing_letters(auto.trade.now) == []


def test_a_decline_that_is_over_at_the_next_try_renews_once(auto: Carded) -> None:
    auto.agree()
    auto.until(DUE - HOUR)
    auto.till.fail("decline_saved", "intent_create")
    auto.until(DUE + HOUR)
    assert (auto.states(), auto.taken(), auto.end()) == (["cancelled", "active"], 12_90, END + WEEK)


@pytest.mark.parametrize("silent", [False, True])
def test_a_bank_that_wants_its_customer_gets_no_second_try_and_the_customer_a_link(auto: Carded, silent: bool) -> None:
    accounts.set_language(customer=auto.owner, language="en", now=BEGIN)
    auto.agree()
    auto.until(DUE - HOUR)
    auto.till.fail("saved_needs_3ds", "intent_create")
    if silent:  # the answer is lost, and found later
        auto.till.fail("garbage_after", "intent_create")
    auto.until(END - HOUR)
    (payment,) = auto.payments()
    assert (payment.reason, bool(payment.reference)) == ("needs_customer", silent)
    assert (auto.states(), auto.taken()) == (["cancelled"], 0)
    assert (auto.row.last_outcome, auto.row.state, auto.row.next_due_at) == ("needs_customer", "on", END)
    assert [one.says["how"] for one in auto.told("soon")] == ["date", "confirm"]
    assert auto.told("refused") == []
    letter = Message.objects.get(kind="reminder_autorenewal_soon", subject__startswith="Confirm the renewal")
    assert "you are asked to confirm the payment of €12.90. Nothing was charged" in letter.text
    assert f"/cards/{auto.line}/auto/" not in letter.text
    auto.trade.credit("xiaoyu", Money(10_00, "EUR"))
    auto.trade.buy()
    auto.until(END)
    assert (auto.states(), auto.row.next_due_at, auto.taken()) == (["cancelled", "active"], DUE + WEEK, 0)


def test_renewed_by_hand_meanwhile_it_is_not_charged(auto: Carded) -> None:
    auto.agree()
    auto.until(DUE - HOUR)
    by_hand = auto.till.buy()
    auto.till.pay(by_hand, saved_method=auto.saved.id)
    auto.until(DUE + timedelta(hours=3))
    assert ([one.id for one in auto.placed()], auto.taken()) == ([by_hand.id], 12_90)
    assert auto.row.next_due_at == DUE + WEEK


def test_a_customer_who_is_just_paying_its_order_by_hand_is_not_charged_besides(auto: Carded) -> None:
    auto.agree()
    order = Order.objects.get(id=auto.place_only())
    page = auto.till.pay(order)
    auto.until(DUE + timedelta(minutes=5))
    auto.till.world.pay(page.reference)
    auto.till.deliver()
    auto.until(DUE + timedelta(hours=3))
    assert (auto.states(), [one.id for one in auto.payments()], auto.taken()) == (["active"], [page.id], 12_90)


def test_switched_off_before_the_charge_the_order_is_called_off(auto: Carded) -> None:
    auto.agree()
    auto.place_only()
    auto.off()
    auto.until(DUE + timedelta(days=2))
    assert (auto.states(), auto.payments(), auto.taken(), auto.row.state) == (["cancelled"], [], 0, "off")


def test_the_ceiling_of_the_month_counts_the_card_too(auto: Carded) -> None:
    auto.agree(ceiling=20_00)
    auto.until(DUE + WEEK)
    assert (auto.states(), auto.taken(), auto.row.last_outcome) == (["active"], 12_90, "ceiling_reached")


# -- the card goes -----------------------------------------------------------------------------------------------------


def test_a_card_that_is_forgotten_pauses_it_and_that_is_told(auto: Carded) -> None:
    accounts.set_language(customer=auto.owner, language="en", now=BEGIN)
    auto.agree()
    auto.until(BEGIN + HOUR)
    auto.forget()
    auto.until(DUE + timedelta(days=1))
    assert (auto.row.state, auto.row.reason, auto.row.next_due_at) == ("paused", "saved_forgotten", None)
    assert (auto.placed(), auto.taken()) == ([], 0)
    letter = Message.objects.get(kind="reminder_autorenewal_refused")
    assert "no longer renews itself. Nothing was charged. What paid for it is not kept" in letter.text
    with pytest.raises(CannotAutomate, match="saved"):
        auto.agree()


def test_a_card_that_is_forgotten_between_order_and_charge_is_not_charged(auto: Carded) -> None:
    auto.agree()
    auto.place_only()
    auto.forget()
    auto.until(DUE + timedelta(hours=2))
    assert (auto.states(), auto.payments(), auto.taken()) == (["cancelled"], [], 0)
    assert (auto.row.state, auto.row.reason, auto.row.next_due_at) == ("paused", "saved_forgotten", None)
    assert [one.says["reason"] for one in auto.told("refused")] == ["saved_forgotten"]


def test_a_card_that_has_expired_pauses_it(auto: Carded) -> None:
    auto.agree()
    auto.until(DUE - HOUR)
    SavedMethod.objects.update(expires_year=2026, expires_month=2)
    auto.until(DUE)
    assert (auto.placed(), auto.row.state, auto.row.reason) == ([], "paused", "saved_expired")
    assert [one.says["reason"] for one in auto.told("refused")] == ["saved_expired"]


def test_the_database_knows_which_card(auto: Carded) -> None:
    auto.agree()
    for wrong in ({"saved_method": None}, {"pay_with": "wallet"}):
        with pytest.raises(IntegrityError, match="auto_saved_method_is_named"), transaction.atomic():
            AutoRenewal.objects.update(**wrong)
    auto.on()
    assert (auto.row.pay_with, auto.row.saved_method_id) == ("wallet", None)


# -- a PayPal account --------------------------------------------------------------------------------------------------


def test_a_paypal_account_is_charged_once_an_end_while_nobody_is_there(account: Carded) -> None:
    assert (account.saved.method, account.saved.known_by) == ("paypal", "b***@sandbox.test")
    account.agree()
    account.until(DUE)
    (order,), (payment,) = account.placed(), account.payments()
    assert (order.state, order.pays_with, order.total_minor) == ("active", "paypal", 12_90)
    assert (payment.method, payment.off_session, payment.saved_method) == ("paypal", True, account.saved.reference)
    assert (account.taken(), account.trade.wallet(), account.end()) == (12_90, 5_00, END + WEEK)


def test_a_paypal_account_whose_charge_timed_out_is_found_and_not_charged_again(account: Carded) -> None:
    account.agree()
    account.until(DUE - HOUR)
    account.till.fail("timeout_after", "intent_create")
    account.until(DUE)
    assert (account.states(), [one.state for one in account.payments()]) == (["awaiting_funds"], ["starting"])
    account.till.take()  # and no webhook comes
    account.until(DUE + timedelta(hours=3))
    assert (account.states(), account.taken(), len(account.payments())) == (["active"], 12_90, 1)


def test_a_paypal_account_that_is_declined_is_told_and_nothing_was_taken(account: Carded) -> None:
    accounts.set_language(customer=account.owner, language="en", now=BEGIN)
    account.agree()
    account.until(DUE - HOUR)
    account.till.fail("decline_saved", "intent_create", times=None)
    account.until(DUE)
    assert (account.states(), account.row.last_outcome, account.row.state) == (["cancelled"], "saved_declined", "on")
    letter = Message.objects.get(kind="reminder_autorenewal_refused")
    assert "Nothing was charged. The payment was declined; your bank or PayPal knows why." in letter.text
    assert (account.taken(), account.trade.wallet()) == (0, 5_00)


def test_a_paypal_account_that_is_forgotten_pauses_it(account: Carded) -> None:
    account.agree()
    account.until(BEGIN + HOUR)
    account.forget()
    account.until(DUE + timedelta(days=1))
    assert (account.row.state, account.row.reason, account.placed()) == ("paused", "saved_forgotten", [])
    assert ("POST", f"/v1/payment_methods/{account.saved.reference}/detach") in account.till.calls


def test_what_a_provider_may_not_keep_any_more_is_not_offered_for_it(account: Carded) -> None:
    settings.PROVIDERS["stripe"] |= {"keeps": ["card"]}
    providers.provider.cache_clear()
    with pytest.raises(CannotAutomate, match="saved"):
        account.agree()
    assert payments_queries.saved_methods(account.owner) == [account.saved]


def test_the_mandate_of_an_account_is_in_words_of_its_own(account: Carded) -> None:
    cache.clear()
    web = Client()
    accounts.set_language(customer=account.owner, language="en", now=BEGIN)
    web.force_login(account.trade.shop.people["xiaoyu"], backend=settings.AUTHENTICATION_BACKENDS[0])
    web.cookies["django_language"] = "en"
    url, way = f"/cards/{account.line}/auto/", f"saved:{account.saved.id}"
    page = web.get(url).content.decode()
    assert web.post(url, filled(page, pay_with=way))["Location"] == f"/cards/{account.line}/"
    mandate = " ".join(account.row.consent_words.split()).split("card's page. ")[1]
    assert mandate in " ".join(html.unescape(page).split())
    assert "may charge my account PayPal b***@sandbox.test while I am not there: €12.90 for each renewal" in mandate
    assert "with your saved account: PayPal b***@sandbox.test" in web.get(f"/cards/{account.line}/").content.decode()


# -- on the page -------------------------------------------------------------------------------------------------------


def test_the_mandate_is_agreed_to_on_the_page_and_kept_in_its_words(auto: Carded) -> None:
    cache.clear()
    web = Client()
    accounts.set_language(customer=auto.owner, language="en", now=BEGIN)
    web.force_login(auto.trade.shop.people["xiaoyu"], backend=settings.AUTHENTICATION_BACKENDS[0])
    web.cookies["django_language"] = "en"
    url, way = f"/cards/{auto.line}/auto/", f"saved:{auto.saved.id}"
    page = web.get(url).content.decode()
    assert re.findall(r'name="pay_with" value="([^"]+)"', page) == ["wallet", way, "link"]
    assert web.post(url, filled(page, pay_with=way))["Location"] == f"/cards/{auto.line}/"
    row, plain = auto.row, " ".join(html.unescape(page).split())
    general, mandate = " ".join(row.consent_words.split()).split("card's page. ")
    assert general in plain
    assert mandate in plain
    for told in ("Visa ending 4242", "€12.90 for each renewal", "I am sent a link", "forgotten"):
        assert told in mandate, told
    assert (row.pay_with, row.saved_method_id, row.consent_language, row.consent_version) == (
        "saved", auto.saved.id, "en", "2026-3",
    )  # fmt: skip
    assert "with your saved card: Visa ending 4242" in web.get(f"/cards/{auto.line}/").content.decode()
    auto.off()
    auto.forget()
    assert way not in web.get(url).content.decode()
    assert web.post(url, filled(page, pay_with=way)).status_code == 422
    assert auto.row.state == "off"
