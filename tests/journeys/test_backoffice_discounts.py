"""Staff make and stop promotions and coupons; everything that makes no sense is refused with a sentence."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client

from tests.journeys.renewal_world import Trade
from xuka.journal import queries as journal
from xuka.renewals.models import Discount

MADE = "/staff/renewals/discount/"


@pytest.fixture
def desk(trade: Trade) -> Client:
    client = Client()
    client.force_login(trade.shop.staff, backend=settings.AUTHENTICATION_BACKENDS[0])
    return client


def form(**told: str) -> dict[str, str]:
    return {
        "id": str(uuid4()), "name": "Spring", "code": "", "percent": "", "off": "", "minimum": "", "currency": "",
        "starts_on": "2026-03-01", "ends_on": "2026-03-31", "market": "", "plans": "", "most": "", "most_each": "1",
        "why": "the season",
    } | told  # fmt: skip


def test_a_coupon_is_made_once_shown_and_stopped(trade: Trade, desk: Client) -> None:
    told = form(code="spring 5", off="5.00", minimum="10", currency="EUR", market="BE", most="100")
    for _ in range(2):
        answer = desk.post(f"{MADE}make/", told)
        assert answer.status_code == 302
    (made,) = Discount.objects.all()
    assert (made.code, made.off_minor, made.minimum_minor, made.currency) == ("SPRING5", 5_00, 10_00, "EUR")
    assert (made.markets, made.most, made.most_each, str(made.ends_at.date())) == (["BE"], 100, 1, "2026-04-01")
    assert "SPRING5" in desk.get(MADE).content.decode()
    page = desk.get(f"{MADE}{made.id}/change/").content.decode()
    assert [one for one in ("SPRING5", "€5.00", "€10.00", "the season") if one not in page] == []
    assert desk.get(f"{MADE}{made.id}/stop/now/").status_code == 200
    assert desk.post(f"{MADE}{made.id}/stop/now/", {"why": ""}).status_code == 400
    assert desk.post(f"{MADE}{made.id}/stop/now/", {"why": "a mistake"}).status_code == 302
    assert Discount.objects.get().stopped_at == trade.now
    assert [fact.what for fact in journal.facts_about(made.id)] == ["discount.made", "discount.stopped"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "one of the two"),
        ({"percent": "10", "off": "5", "currency": "EUR"}, "one of the two"),
        ({"percent": "101"}, "less than or equal to 100"),
        ({"off": "5"}, "Choose the currency"),
        ({"off": "5.50", "currency": "JPY"}, "JPY has 0 decimals."),
        ({"percent": "10", "ends_on": "2026-02-28"}, "It ends before it starts."),
        ({"percent": "10", "plans": "no-such-plan"}, "There is no plan no-such-plan on sale."),
        ({"percent": "10", "code": "a!"}, "Enter a valid value"),
        ({"percent": "10", "why": ""}, "eason"),
    ],
)
def test_what_makes_no_sense_is_refused(desk: Client, wrong: dict[str, str], says: str) -> None:
    answer = desk.post(f"{MADE}make/", form(**wrong))
    assert (answer.status_code, says in answer.content.decode()) == (400, True)
    assert not Discount.objects.exists()


def test_only_staff_come_here(trade: Trade) -> None:
    client = Client()
    client.force_login(trade.shop.people["emma"], backend=settings.AUTHENTICATION_BACKENDS[0])
    told: Any = form(percent="10")
    assert client.post(f"{MADE}make/", told).status_code in {302, 403, 404}
    assert not Discount.objects.exists()
