"""Buying a new eSIM: bought once, whatever the carrier, the process or the customer does; its profile is a secret.

xiaoyu's wallet holds EUR 60.00; a week in Belgium costs EUR 12.90 (EUR 2.24 of it tax) and the seller USD 7.00.
"""

from __future__ import annotations

import logging
import re
import shutil
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client

from tests.journeys.renewal_world import BEGIN, Killed, Trade
from tests.journeys.web_world import DATA, uuid_of
from xuka.accounts.models import User
from xuka.catalogue import operations as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.kernel.money import Money
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.messaging import queries as messaging
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order, Quote

SOLD = [("charge", 12_90, "EUR"), ("revenue", 10_66, "EUR"), ("tax", 2_24, "EUR")]
PAID_BACK = [("charge", 12_90, "EUR"), ("refund", 12_90, "EUR")]
XIAOYU, SELLER = "xiaoyu@demo.xuka.example", "seller@xuka.example"
PLAN, FIRST, TOP_UP = "be-week-3gb-day", "belsim-7days-unlimited", "belsim-7days-unlimited-topup"


@pytest.fixture
def version(trade: Trade, tmp_path: Path) -> PlanVersion:
    """A week in Belgium, sold as a new eSIM too; every other plan renews only."""
    data = tmp_path / "data"
    shutil.copytree(DATA, data)
    for file in data.glob("*plans*.yaml"):
        bare = re.sub(r"\n *first_package:[^\n]*", "", file.read_text())
        file.write_text(
            bare.replace(f"    package: {TOP_UP}\n", f"    package: {TOP_UP}\n    first_package: {FIRST}\n")
        )
    catalogue.load(data, who="seller", now=trade.now)
    sold = trade.shop.plan(PLAN)
    assert (sold.package, sold.first_package) == (TOP_UP, FIRST)
    return sold


def quote(trade: Trade, version: PlanVersion, person: str = "xiaoyu") -> Quote:
    return renewals.quote_new(plan_version_id=version.id, customer=trade.customer(person), now=trade.now)


def buy(trade: Trade, version: PlanVersion) -> Order:
    return trade.place(quote(trade, version))


def is_delivered_once(trade: Trade, order: Order) -> bool:
    """Everything that a first purchase leaves behind, exactly once."""
    found = trade.order(order)
    assert (found.state, found.reason) == ("active", "")
    (taken,) = trade.truth(order)
    assert (taken.kind, taken.package) == ("sim", FIRST)
    cards = lines_queries.lines_of(found.customer_id)
    assert [card.id for card in cards if card.iccid == taken.iccids[0]] == [found.line_id]
    assert len(cards) == 2  # hers from before, and the new one
    (period,) = trade.periods(order)
    assert period.line_id == found.line_id
    assert period.span.upper - period.span.lower == timedelta(days=7)
    assert trade.transfers(order) == SOLD
    assert (trade.hold(order), trade.wallet()) == (0, 60_00 - 12_90)
    esim = lines_queries.esim_of(found.line_id)
    assert esim is not None
    assert esim.matching_id == trade.world.state.cards[taken.iccids[0]].matching_id
    assert trade.attempt(order).esim is None  # the profile is kept in one place
    return True


def is_paid_back(trade: Trade, order: Order, reason: str) -> bool:
    """The money is back, and there is no card."""
    found = trade.order(order)
    assert (found.state, found.reason, found.line_id, found.next_step_at) == ("refunded", reason, None, None)
    assert (trade.truth(order), trade.periods(order)) == ([], [])
    assert len(lines_queries.lines_of(found.customer_id)) == 1
    assert trade.transfers(order) == PAID_BACK
    assert (trade.hold(order), trade.wallet()) == (0, 60_00)
    return True


# -- the good day ------------------------------------------------------------------------------------------------------


def test_a_new_esim_is_bought_once_and_has_a_card_and_a_week(trade: Trade, version: PlanVersion) -> None:
    priced = quote(trade, version)
    assert (priced.line_id, priced.total_minor, priced.why_not, priced.starts_on_activation) == (None, 12_90, "", True)
    order = trade.place(priced)
    assert (order.line_id, order.is_first) == (None, True)
    trade.work()
    assert is_delivered_once(trade, order)
    assert (trade.asked, trade.looked) == ([trade.key(order)], 0)
    assert trade.when(order, "order.active") == timedelta(0)
    trade.wait(days=1)  # once more it is looked whether the carrier took it more than once
    assert trade.order(order).next_step_at is None
    assert (trade.asked, trade.looked) == ([trade.key(order)], 1)
    assert is_delivered_once(trade, order)
    assert trade.letters(order) == [("confirmed", XIAOYU), ("issued", XIAOYU)]


def test_the_new_card_is_renewed_like_any_other(trade: Trade, version: PlanVersion) -> None:
    first = buy(trade, version)
    trade.work()
    line_id = trade.order(first).line_id
    assert line_id is not None
    again = renewals.quote(
        line_id=line_id, plan_version_id=version.id, customer=trade.customer("xiaoyu"), now=trade.now
    )
    assert (again.why_not, again.starts_at) == ("", BEGIN + timedelta(days=7))
    second = trade.place(again)
    trade.work()
    assert trade.order(second).state == "active"
    assert [one.package for one in trade.truth(second)] == [TOP_UP]


def test_the_activation_code_is_the_claim_code_of_the_new_card(trade: Trade, version: PlanVersion) -> None:
    order = buy(trade, version)
    trade.work()
    line = lines_queries.line(trade.order(order).line_id)
    code = lines_queries.esim_of(line.id).matching_id
    hers = {"customer": trade.customer("xiaoyu"), "iccid": line.iccid, "now": trade.now}
    assert lines.claim(code=code.lower(), **hers).id == line.id
    with pytest.raises(lines.CannotClaim):
        lines.claim(code=code[:-1], **hers)
    with pytest.raises(lines.CannotClaim):
        lines.claim(code=code, **hers | {"customer": trade.customer("emma")})


def test_a_plan_that_only_renews_cannot_be_bought_new(trade: Trade, version: PlanVersion) -> None:
    for other in (trade.shop.plan("be-month-60gb").id, uuid4()):
        with pytest.raises(renewals.CannotRenew, match="unknown_plan"):
            renewals.quote_new(plan_version_id=other, customer=trade.customer("xiaoyu"), now=trade.now)


def test_what_the_sellers_credit_does_not_cover_cannot_be_paid(trade: Trade, version: PlanVersion) -> None:
    trade.world.set_balance(699)
    priced = quote(trade, version)
    assert priced.why_not == "seller_out_of_credit"
    with pytest.raises(renewals.PaymentNotOffered):
        trade.place(priced)


# -- never twice -------------------------------------------------------------------------------------------------------


def test_the_same_button_pressed_twice_is_one_order_and_one_esim(trade: Trade, version: PlanVersion) -> None:
    priced, id = quote(trade, version), uuid4()
    first = trade.place(priced, id=id)
    assert trade.place(priced, id=id).id == first.id
    assert trade.place(priced).id == first.id  # another tab of the same page
    trade.work()
    assert trade.place(priced).id == first.id
    trade.work()
    assert Order.objects.filter(is_first=True).count() == 1
    assert is_delivered_once(trade, first)


def test_nobody_else_can_place_her_quote(trade: Trade, version: PlanVersion) -> None:
    with pytest.raises(renewals.UnknownQuote):
        trade.place(quote(trade, version), customer=trade.customer("emma"))


@pytest.mark.parametrize("fault", ["timeout_after", "error_after", "drop_after", "garbage_after", "unexpected_after"])
def test_a_carrier_that_acts_and_does_not_say_so_is_found_not_bought_from_twice(
    trade: Trade, version: PlanVersion, fault: str
) -> None:
    trade.fail(fault, endpoint="submit_order")
    order = buy(trade, version)
    trade.work()
    assert is_delivered_once(trade, order)
    assert (trade.asked, trade.looked) == ([trade.key(order)], 1)
    trade.wait(days=1)
    assert is_delivered_once(trade, order)


def test_a_worker_killed_between_the_call_and_the_commit_leaves_one_esim(trade: Trade, version: PlanVersion) -> None:
    order = buy(trade, version)

    def kill(moment: str) -> None:
        if moment == "after":
            trade.on_wire = lambda moment: None
            raise Killed

    trade.on_wire = kill
    with pytest.raises(Killed):
        trade.work()
    assert (trade.attempt(order).state, trade.order(order).line_id) == ("intended", None)
    trade.wait(seconds=30)
    assert is_delivered_once(trade, order)
    assert (len(trade.asked), trade.looked) == (1, 1)


def test_what_is_surely_absent_is_asked_for_once_more_under_the_same_key(trade: Trade, version: PlanVersion) -> None:
    trade.fail("timeout_before", endpoint="submit_order")
    order = buy(trade, version)
    trade.wait(minutes=5)
    assert trade.asked == [trade.key(order)] * 2
    assert is_delivered_once(trade, order)


def test_a_carrier_that_sells_two_is_counted_as_the_sellers_loss(trade: Trade, version: PlanVersion) -> None:
    trade.fail("duplicate", endpoint="submit_order")
    order = buy(trade, version)
    trade.wait(minutes=5)
    first, second = trade.truth(order)
    assert first.iccids != second.iccids
    found = trade.order(order)
    assert (found.state, found.next_step_at) == ("active", None)
    assert trade.attempt(order).reference == str(first.id)
    assert lines_queries.line(found.line_id).iccid == first.iccids[0]
    assert len(lines_queries.lines_of(found.customer_id)) == 2
    assert trade.transfers(order) == sorted([*SOLD, (f"duplicate:{second.id}", 7_00, "USD")])
    assert ("staff_activation.duplicate_1", SELLER) in trade.letters(order)


# -- no, and later -----------------------------------------------------------------------------------------------------


def test_a_refused_purchase_is_paid_back_and_leaves_no_card(trade: Trade, version: PlanVersion) -> None:
    trade.fail("package_gone", endpoint="submit_order")
    order = buy(trade, version)
    trade.work()
    assert is_paid_back(trade, order, "out_of_stock")
    assert trade.letters(order) == [("confirmed", XIAOYU), ("refunded", XIAOYU)]


@pytest.mark.parametrize(("fault", "every"), [("insufficient_credit", 5), ("out_of_stock", 1), ("maintenance", 1)])
def test_a_carrier_that_says_later_is_asked_again(trade: Trade, version: PlanVersion, fault: str, every: int) -> None:
    trade.fail(fault, endpoint="submit_order")
    order = buy(trade, version)
    trade.wait(minutes=every)
    assert trade.asked == [trade.key(order)] * 2
    assert is_delivered_once(trade, order)


def test_a_silent_carrier_becomes_a_persons_matter_and_is_delivered_when_it_speaks(
    trade: Trade, version: PlanVersion
) -> None:
    trade.fail("timeout_after", endpoint="submit_order")
    trade.fail("timeout_before", endpoint="order_list", times=None)
    order = buy(trade, version)
    trade.wait(minutes=20)
    assert trade.order(order).state == "needs_a_person"
    with pytest.raises(renewals.CannotDecide, match="first_adopt"):
        trade.decide(order, "adopt", reference="42")
    trade.heal()
    trade.wait(hours=6)
    assert is_delivered_once(trade, order)


def test_an_esim_that_comes_after_the_money_went_back_is_the_sellers_loss(trade: Trade, version: PlanVersion) -> None:
    trade.fail("timeout_after", endpoint="submit_order")
    trade.fail("timeout_before", endpoint="order_list", times=None)
    order = buy(trade, version)
    trade.wait(minutes=20)
    trade.decide(order, "refund")
    trade.heal()
    trade.wait(days=1)
    (taken,) = trade.truth(order)
    found = trade.order(order)
    assert (found.state, found.line_id) == ("refunded", None)
    assert trade.transfers(order) == sorted([*PAID_BACK, (f"carrier_loss:{taken.id}", 7_00, "USD")])
    assert trade.wallet() == 60_00


# -- the pages ---------------------------------------------------------------------------------------------------------


def browser(trade: Trade, person: str) -> Client:
    cache.clear()
    client = Client()
    user = trade.shop.people[person]
    User.objects.filter(id=user.id).update(language="en")
    client.force_login(user)
    client.cookies.load({"django_language": "en"})
    return client


def text(response) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


ONE_PHONE = "One eSIM, one phone: it is installed once, and once installed it cannot be moved to another phone."


def test_a_visitor_buys_an_esim_through_the_pages_and_only_they_see_how_to_install_it(
    trade: Trade, version: PlanVersion
) -> None:
    assert Client().get(f"/plans/{PLAN}/buy/")["Location"].startswith("/account/login/")
    hers = browser(trade, "xiaoyu")
    assert "A new eSIM" in text(hers.get(f"/plans/{PLAN}/buy/"))
    for page in (f"/plans/{PLAN}/", f"/plans/{PLAN}/buy/"):
        assert ONE_PHONE in text(hers.get(page)), page
    for other in ("/plans/be-month-60gb/", f"/cards/{trade.card('xiaoyu').id}/"):  # of these nothing tells
        assert ONE_PHONE not in text(hers.get(other)), other
    assert hers.get("/plans/be-month-60gb/buy/").status_code == 404
    to_quote = hers.post(f"/plans/{PLAN}/buy/")["Location"]
    assert "Your new eSIM" in text(hers.get(to_quote))
    assert ONE_PHONE in text(hers.get(to_quote))
    id = uuid4()
    sent = {"order": id, "quote": uuid_of(to_quote), "payment": uuid4(), "pay_with": "wallet"}
    for _ in range(2):
        assert hers.post("/orders/", sent)["Location"] == f"/orders/{id}/"
    under_way = text(hers.get(f"/orders/{id}/"))
    assert "Your new eSIM is being made" in under_way
    assert "renewed" not in under_way
    assert "a new eSIM" in text(hers.get("/orders/"))
    trade.work()
    order = Order.objects.get(id=id)
    assert is_delivered_once(trade, order)
    page = hers.get(f"/orders/{id}/")
    assert "Your new eSIM is ready" in text(page)
    assert f'href="/cards/{order.line_id}/install/"' in page.content.decode()
    assert f'href="/cards/{order.line_id}/install/"' in hers.get(f"/cards/{order.line_id}/").content.decode()
    assert ONE_PHONE in text(hers.get(f"/cards/{order.line_id}/"))

    shown = hers.get(f"/cards/{order.line_id}/install/")
    html, code = shown.content.decode(), lines_queries.esim_of(order.line_id).matching_id
    lpa = f"LPA:1$lpa.airalo.com${code}"
    assert f'<code id="esim-lpa">{lpa}</code>' in html
    assert '<code id="esim-address">lpa.airalo.com</code>' in html
    assert f'href="https://esimsetup.apple.com/esim_qrcode_provisioning?carddata={lpa}"' in html
    assert f'href="https://esimsetup.android.com/esim_qrcode_provisioning?carddata={lpa}"' in html
    assert 'role="img" aria-label="QR code that installs this eSIM"><svg' in html
    assert not re.findall(r'(?:src|data|srcset)="https?:', html)  # nothing is fetched from elsewhere
    assert "no-store" in shown["Cache-Control"]
    assert "internet.proximus.be" in text(shown)

    assert browser(trade, "emma").get(f"/cards/{order.line_id}/install/").status_code == 404
    assert Client().get(f"/cards/{order.line_id}/install/").status_code == 302
    assert hers.get(f"/cards/{trade.card('xiaoyu').id}/install/").status_code == 404  # not bought as an eSIM here


def test_a_page_of_a_refused_purchase_tells_that_there_is_no_esim(trade: Trade, version: PlanVersion) -> None:
    trade.fail("topup_disabled", endpoint="submit_order")
    order = buy(trade, version)
    trade.work()
    hers = browser(trade, "xiaoyu")
    page = hers.get(f"/orders/{order.id}/")
    assert "No eSIM, money back" in text(page)
    assert "renewed" not in text(page)
    assert f'href="/plans/{PLAN}/buy/"' in page.content.decode()
    assert hers.get(f"/orders/{order.id}/progress/").status_code == 200


def test_staff_see_an_order_without_a_card(trade: Trade, version: PlanVersion) -> None:
    trade.fail("package_gone", endpoint="submit_order")
    order = buy(trade, version)
    trade.work()
    desk = Client()
    desk.force_login(trade.shop.staff)
    for address in (
        f"/staff/renewals/order/{order.id}/change/",
        "/staff/renewals/order/",
        "/staff/renewals/quote/",
        f"/staff/renewals/quote/{order.quote_id}/change/",
        f"/staff/accounts/user/{order.customer_id}/change/",
        "/staff/activation/attempt/",
    ):
        answer = desk.get(address)
        assert answer.status_code == 200, address
    assert "a new eSIM" in desk.get(f"/staff/renewals/order/{order.id}/change/").content.decode()


# -- the secret --------------------------------------------------------------------------------------------------------


def test_the_profile_is_in_no_log_no_letter_and_no_page_but_its_own(
    trade: Trade, version: PlanVersion, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    trade.fail("timeout_after", endpoint="submit_order")
    order = buy(trade, version)
    trade.wait(days=1)
    assert is_delivered_once(trade, order)
    found = trade.order(order)
    code = lines_queries.esim_of(found.line_id).matching_id
    told = [caplog.text, *(str(fact.after) for fact in journal_of(found))]
    for letter in messaging.messages_about(order.id):
        told += [letter.subject, letter.text, letter.html]
    hers, desk = browser(trade, "xiaoyu"), browser(trade, "xiaoyu")
    desk.force_login(trade.shop.staff)
    told += [hers.get(one).content.decode() for one in (f"/orders/{order.id}/", f"/cards/{found.line_id}/", "/cards/")]
    attempt = trade.attempt(order)
    for one in (
        f"/staff/renewals/order/{order.id}/change/",
        f"/staff/lines/line/{found.line_id}/change/",
        f"/staff/activation/attempt/{attempt.id}/change/",
    ):
        told.append(desk.get(one).content.decode())
    assert len(code) > 20
    assert all(code not in one for one in told)
    (ready,) = [one for one in messaging.messages_about(order.id) if one.kind == "issued"]
    assert f"/cards/{found.line_id}/install/" in ready.text
    assert f"/cards/{found.line_id}/install/" in ready.html
    assert code not in repr(attempt)


def journal_of(order: Order):
    from xuka.journal import queries as journal

    return [*journal.facts_about(order.id), *journal.facts_about(order.line_id)]


def test_an_unpaid_purchase_waits_for_money_and_ends_without_a_card(trade: Trade, version: PlanVersion) -> None:
    trade.shop.person("visitor", language="en", money=0)
    order = trade.place(quote(trade, version, "visitor"))
    trade.work()
    visitor = browser(trade, "visitor")
    assert "Your order waits for money" in text(visitor.get(f"/orders/{order.id}/"))
    trade.shop.cards["visitor"] = trade.card("xiaoyu")  # only the currency of the wallet is read from it
    assert "€0.00" in text(visitor.get("/account/settings/"))  # a wallet, though there is no card yet
    trade.credit("visitor", Money(12_90, "EUR"))
    trade.work()
    assert trade.order(order).state == "active"
    assert [line.id for line in lines_queries.lines_of(order.customer_id)] == [trade.order(order).line_id]
