"""Several periods at once on the pages: chosen where it is possible, told one by one, and what became of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client

from tests.journeys.renewal_world import Trade
from tests.journeys.test_several_at_once import at_call, silent_second
from xuka.renewals.models import Order, Quote


@pytest.fixture
def web(trade: Trade) -> Iterator[Client]:
    cache.clear()
    client = Client()
    client.force_login(trade.shop.people["xiaoyu"], backend="allauth.account.auth_backends.AuthenticationBackend")
    client.cookies["django_language"] = "en"
    trade.shop.people["xiaoyu"].language = "en"
    trade.shop.people["xiaoyu"].save()
    return client


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())).replace("\N{NO-BREAK SPACE}", " ")


def ask(trade: Trade, web: Client, count: str) -> Any:
    """Choose a week and so many of it, as the form of the check page does."""
    line, version = trade.card("xiaoyu"), trade.shop.plan("be-week-3gb-day")
    return web.post(f"/cards/{line.id}/quote/", {"plan": version.id, "count": count}, follow=True)


def test_three_weeks_are_chosen_told_one_by_one_paid_and_seen_on_every_page(trade: Trade, web: Client) -> None:
    page = ask(trade, web, "3")
    said = text_of(page)
    assert page.status_code == 200
    assert [int(one) for one in re.findall(r'<option value="(\d+)"', page.content.decode())] == list(range(1, 13))
    assert "How many periods at once" in said
    assert re.findall(r"Period (\d): from", said) == ["1", "2", "3"]
    assert "3 × Belgium 7 days" in said
    assert "€38.70" in said
    quote = Quote.objects.get(count=3)
    order_id = uuid4()
    web.post("/orders/", {"quote": quote.id, "order": order_id, "payment": uuid4(), "pay_with": "wallet"})
    at_call(trade, 2, lambda: trade.fail("topup_disabled"))
    trade.work()
    said = text_of(web.get(f"/orders/{order_id}/"))
    assert "3 × Belgium 7 days" in said
    assert "2 of 3 periods are there" in said
    assert "2 of the 3 periods are on your card. 1 could not be delivered; its share of the price goes back" in said
    assert "€12.90 is back in your wallet." in said
    assert "Receipt (PDF)" in said
    assert "Credit note (PDF)" in said
    assert "3 × Belgium 7 days" in text_of(web.get("/orders/"))


@pytest.mark.parametrize("count", ["0", "-1", "13", "99999999999999999999", "three", "1.5"])
def test_a_number_that_cannot_be_bought_is_refused_in_a_sentence_and_nothing_is_kept(
    trade: Trade, web: Client, count: str
) -> None:
    page = ask(trade, web, count)
    assert page.status_code == 422
    assert "Choose a number of periods from 1 to 12." in text_of(page)
    assert not Quote.objects.exists()


def test_staff_see_each_period_and_decide_about_the_one_concerned(trade: Trade, client: Client) -> None:
    order = silent_second(trade)
    trade.heal()
    client.force_login(trade.shop.staff, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get(f"/staff/renewals/order/{order.id}/change/")
    said = text_of(page)
    assert "Period 2 of 3 needs a person" in said
    assert "3: 2 delivered, 1 open" in said
    for number in (1, 2, 3):
        assert f"Period {number} of 3 · airalo" in said
    decide = f"/staff/renewals/order/{order.id}/decide/close/?period=2"
    assert decide in page.content.decode()
    assert "€12.90" in text_of(client.get(decide))
    client.post(decide, {"why": "looked at the carrier's page"})
    found = Order.objects.get(id=order.id)
    assert (found.state, found.delivered, found.given_back) == ("active", [0, 2], [1])
    assert client.get(decide.replace("period=2", "period=4")).status_code == 404
