"""What staff can do with an order, through the pages only."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from tests.journeys import backoffice_world as world
from tests.journeys.web_world import Shop
from xuka.activation import queries as activation
from xuka.activation.contract import Activation
from xuka.interfaces import clock
from xuka.journal import queries as journal
from xuka.kernel.outcome import Done
from xuka.ledger import queries as ledger
from xuka.lines.models import Period
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _carrier(settings):
    settings.CARRIERS = {"airalo": {"connector": "tests.journeys.backoffice_world.carrier"}}
    world.forget()
    yield
    world.forget()


@pytest.fixture
def shop() -> Shop:
    return world.open_shop(clock.now())


@pytest.fixture
def staff(shop: Shop) -> Client:
    client = Client()
    client.force_login(shop.staff)
    return client


@pytest.fixture
def order(shop: Shop) -> Order:
    return world.order_that_needs_a_person(shop.cards["xiaoyu"], now=clock.now())


def page(order: Order) -> str:
    return f"/staff/renewals/order/{order.id}/change/"


def exit_of(order: Order, exit: str) -> str:
    return reverse("admin:renewals_order_decide", args=[order.id, exit])


def advance(staff: Client, order: Order) -> Order:
    assert staff.post(reverse("admin:renewals_order_advance", args=[order.id])).url == page(order)
    order.refresh_from_db()
    return order


def wallet(order: Order) -> int:
    return ledger.wallet_balance(customer=order.customer_id, currency="EUR").minor


def decided(order: Order) -> list[tuple[str, str, dict | None]]:
    return [(f.who, f.why, f.after) for f in journal.facts_about(order.id) if f.what == "order.decided"]


def test_the_page_of_an_order_tells_the_whole_story(staff: Client, order: Order) -> None:
    html = staff.get(page(order)).content.decode()
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    for told in ("needs a person", "This order needs a person", "xiaoyu@demo.xuka.example", "€12.90", "decide by"):
        assert told in text
    for fact in ("order placed", "order funded", "order activating", "order needs a person"):
        assert fact in text
    assert "1×, 1× without an answer" in text
    assert "no answer" in text
    assert "carrier silent" in text
    assert "charge wallet hold €12.90" in text
    assert "No period was opened." in text
    assert order.line.iccid not in html
    assert f"…{order.line.iccid[-4:]}" in text


def test_each_way_out_says_in_words_what_will_happen(staff: Client, order: Order) -> None:
    for exit in renewals.EXITS:
        response = staff.get(exit_of(order, exit))
        assert response.status_code == 200
        does = response.context["does"]
        assert len(re.findall(r"[.:](?: |$)", does)) >= 2
        assert does in response.content.decode().replace("&#x27;", "'")
    order.refresh_from_db()
    assert order.state == "needs_a_person"


@pytest.mark.parametrize("why", ["", "   "])
def test_without_a_reason_nothing_changes(staff: Client, order: Order, why: str) -> None:
    for exit in renewals.EXITS:
        response = staff.post(exit_of(order, exit), {"why": why, "reference": "123"})
        assert response.status_code == 400
        assert "Say why: the reason is kept in the journal." in response.content.decode()
    order.refresh_from_db()
    assert order.state == "needs_a_person"
    assert decided(order) == []


def test_retry_asks_the_carrier_once_more_and_the_card_is_renewed(staff: Client, shop: Shop, order: Order) -> None:
    assert len(world.MUTE.asked) == 1
    world.MUTE.answers = lambda key, iccid, package: Done(Activation("R-1", key, iccid, package, clock.now()))
    assert staff.post(exit_of(order, "retry"), {"why": "their page shows nothing"}).url == page(order)
    assert decided(order) == [(f"staff:{shop.staff.id}", "their page shows nothing", {"exit": "retry"})]
    assert advance(staff, order).state == "active"
    assert len(world.MUTE.asked) == 2
    assert set(world.MUTE.asked) == {world.MUTE.asked[0]}
    assert Period.objects.filter(order_id=order.id).count() == 1
    assert wallet(order) == 60_00 - 12_90


def test_adopt_takes_the_carriers_reference_and_asks_nobody(staff: Client, order: Order) -> None:
    response = staff.post(exit_of(order, "adopt"), {"why": "seen on their page", "reference": "AIR-77"})
    assert response.url == page(order)
    assert advance(staff, order).state == "active"
    assert activation.attempts_of(order.id)[0].reference == "AIR-77"
    assert len(world.MUTE.asked) == 1
    assert Period.objects.filter(order_id=order.id).count() == 1
    assert "AIR-77" in staff.get(page(order)).content.decode()


def test_adopt_without_a_reference_changes_nothing(staff: Client, order: Order) -> None:
    response = staff.post(exit_of(order, "adopt"), {"why": "seen on their page", "reference": " "})
    assert response.status_code == 400
    assert "Give the reference under which the carrier did it." in response.content.decode()
    order.refresh_from_db()
    assert order.state == "needs_a_person"


def test_refund_gives_the_money_back_and_goes_on_looking_for_30_days(staff: Client, order: Order) -> None:
    before = clock.now()
    assert staff.post(exit_of(order, "refund"), {"why": "the customer waits"}).url == page(order)
    assert advance(staff, order).state == "refunded"
    assert wallet(order) == 60_00
    watched_until = activation.attempts_of(order.id)[0].watch_until
    assert watched_until is not None
    assert before + timedelta(days=30) <= watched_until <= clock.now() + timedelta(days=30)
    assert not Period.objects.filter(order_id=order.id).exists()


def test_close_cancels_the_order_and_looks_no_more(staff: Client, order: Order) -> None:
    assert staff.post(exit_of(order, "close"), {"why": "surely not done"}).url == page(order)
    assert advance(staff, order).state == "cancelled"
    assert wallet(order) == 60_00
    attempt = activation.attempts_of(order.id)[0]
    assert (attempt.state, attempt.watch_until) == ("absent", None)
    assert order.next_step_at is None


def test_a_second_decision_is_refused_in_a_sentence(staff: Client, order: Order) -> None:
    staff.post(exit_of(order, "refund"), {"why": "first"})
    for response in (staff.post(exit_of(order, "close"), {"why": "second"}), staff.get(exit_of(order, "close"))):
        assert response.status_code == 400
        assert "This order does not need a person any more. Nothing was changed." in response.content.decode()
    assert [why for _, why, _ in decided(order)] == ["first"]


def test_while_the_carrier_is_being_asked_nobody_decides(staff: Client, order: Order) -> None:
    attempt = activation.attempts_of(order.id)[0]
    type(attempt).objects.filter(id=attempt.id).update(lease_until=clock.now() + timedelta(minutes=1))
    response = staff.post(exit_of(order, "refund"), {"why": "now"})
    assert response.status_code == 400
    assert "The carrier is being asked at this moment." in response.content.decode()
    order.refresh_from_db()
    assert order.state == "needs_a_person"


def test_an_unknown_order_or_way_out_is_not_there(staff: Client, order: Order) -> None:
    assert staff.get(exit_of(order, "explode")).status_code == 404
    assert staff.get(f"/staff/renewals/order/{uuid4()}/change/").status_code == 404
    assert staff.get("/staff/renewals/order/nonsense/change/").status_code == 404
    assert staff.post(reverse("admin:renewals_order_advance", args=[uuid4()])).status_code == 404


def test_an_order_is_moved_by_a_press_of_a_button_and_never_by_a_link(staff: Client, order: Order) -> None:
    assert staff.get(reverse("admin:renewals_order_advance", args=[order.id])).status_code == 405
    html = staff.post(reverse("admin:renewals_order_advance", args=[order.id]), follow=True).content.decode()
    assert "Nothing moved: the order is still needs a person." in html


def test_orders_that_need_a_person_stand_first_and_are_counted(staff: Client, shop: Shop, order: Order) -> None:
    later = world.place(shop.cards["emma"], now=clock.now())
    response = staff.get("/staff/renewals/order/")
    assert [row.id for row in response.context["cl"].result_list] == [order.id, later]
    menu = [item for group in response.context["sidebar_navigation"] for item in group["items"]]
    assert {item["title"]: item["badge"] for item in menu if "badge" in item} == {"Orders": "1"}
    desk = staff.get("/staff/")
    assert {f["title"]: f["count"] for f in desk.context["figures"]}["Need a person"] == 1
    assert str(order.id)[:8] in desk.content.decode()
    only = staff.get("/staff/renewals/order/?state=needs_a_person")
    assert [row.id for row in only.context["cl"].result_list] == [order.id]


def test_an_order_is_found_by_id_address_or_the_last_digits_of_its_card(
    staff: Client, shop: Shop, order: Order
) -> None:
    world.place(shop.cards["emma"], now=clock.now())
    for asked in (str(order.id), "xiaoyu", order.line.iccid[-5:]):
        response = staff.get("/staff/renewals/order/", {"q": asked})
        assert [row.id for row in response.context["cl"].result_list] == [order.id]
