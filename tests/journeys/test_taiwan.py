"""A customer in Taiwan: pages in Traditional Chinese, money in whole Taiwan dollars, a receipt that claims no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client

from sandbox.carrier.app import application
from sandbox.carrier.world import World
from sandbox.transport import InProcess
from tests.journeys.web_world import Shop, open_shop, uuid_of
from tests.rules.pdf_reader import read
from xuka.activation import operations as activation
from xuka.catalogue.prices import PeriodPrice
from xuka.interfaces import clock
from xuka.interfaces.jobs import letters
from xuka.interfaces.web import formats
from xuka.kernel.money import Money
from xuka.ledger import queries as ledger
from xuka.messaging.models import Attachment, Message
from xuka.receipts.models import Receipt
from xuka.renewals import discounts, giving_back
from xuka.renewals import operations as renewals
from xuka.renewals.price_rules import Discount, Request, price
from xuka.renewals.pricing import PriceWish

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 22, 13, 5, tzinfo=UTC)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    world = World(now=lambda: NOW, seed=1, balance=5_000_00, limited=False)
    carrier = {
        "connector": "xuka.connectors.carriers.airalo.connector.Airalo",
        "base_url": "http://carrier.test",
        "client_id": "sandbox",
        "client_secret": "sandbox-secret",
        "transport": InProcess(application(world)),
        "monotonic": lambda: 0.0,
    }
    monkeypatch.setattr(settings, "CARRIERS", {"airalo": carrier})
    activation.carrier.cache_clear()
    yield world
    activation.carrier.cache_clear()


@pytest.fixture
def shop(world: World) -> Shop:
    shop = open_shop(now=NOW, seed_card=world.seed_card)
    shop.person("yating", language="zh-hant", name="林雅婷", currency="TWD", money=200_000)
    shop.card("yating", 4, "tw-week-3gb-day", started_at=NOW - timedelta(days=4))
    return shop


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())).replace("\N{NO-BREAK SPACE}", " ")


def test_a_card_in_taiwan_is_renewed_from_the_wallet_and_its_receipt_is_in_traditional_chinese(
    shop: Shop, world: World
) -> None:
    client = Client()
    client.force_login(shop.people["yating"], backend=settings.AUTHENTICATION_BACKENDS[0])
    answer = client.get("/")
    assert b'<html lang="zh-Hant"' in answer.content
    card = text_of(answer)
    for words in (
        "剩餘時間 3 天", "有效期限至 2026年11月25日 21:05 （台北時間）", "吃到飽：每天 3 GB 高速，之後降速至 1 Mbps",
        "Chunghwa Telecom 中華電信", "續費",
    ):  # fmt: skip
        assert words in card, words

    line, plan = shop.cards["yating"], shop.plan("tw-week-3gb-day")
    quote = uuid_of(client.post(f"/cards/{line.id}/quote/", {"plan": str(plan.id)})["Location"])
    check = text_of(client.get(f"/quotes/{quote}/"))
    for words in (
        "台灣 7 天吃到飽 · 每天 3 GB 高速", "合計 NT$399 含稅（5%）：NT$19", "每天 00:00（台北時間）重置",
        "我的錢包 餘額 NT$2,000，支付後剩餘 NT$1,601。", "送出訂單並付款 NT$399",
    ):  # fmt: skip
        assert words in check, words

    order = uuid4()
    client.post("/orders/", {"quote": str(quote), "order": str(order), "pay_with": "wallet"})
    while renewals.advance(order_id=order, now=NOW):
        pass
    assert "續費成功" in text_of(client.get(f"/orders/{order}/"))
    assert [one.package for one in world.truth()] == ["formosim-7days-unlimited-topup"]
    assert ledger.wallet_balance(customer=shop.people["yating"].id, currency="TWD").minor == 160_100

    for kind in ("confirmed", "renewed"):
        letters.write(order_id=order, kind=kind, now=NOW)
    subjects = dict(Message.objects.filter(language="zh-hant").values_list("kind", "subject"))
    assert subjects == {
        "confirmed": "已收到訂單：台灣 7 天吃到飽 · 每天 3 GB 高速",
        "renewed": "續費成功：台灣 7 天吃到飽 · 每天 3 GB 高速",
    }
    receipt = Receipt.objects.get(cause=order)
    assert (receipt.full_number, receipt.total_minor, receipt.currency) == ("TW-2026-000001", 39_900, "TWD")
    for paper in (
        text_of(client.get(f"/receipts/{receipt.id}/")),
        read(bytes(Attachment.objects.get().content)).text.replace("\n", " ").replace("\N{NO-BREAK SPACE}", " "),
    ):
        for words in (
            "收據", "TW-2026-000001", "林雅婷", "台灣 7 天吃到飽 · 每天 3 GB 高速", "台灣營業稅稅籍登記：無", "營業稅",
            "NT$380", "NT$19", "NT$399", "實付總額", "這張憑證不是台灣的統一發票，也不另開統一發票。", "台北時間",
        ):  # fmt: skip
            assert words in paper, words


def test_what_goes_back_of_several_weeks_is_whole_dollars(shop: Shop, world: World) -> None:
    """Three weeks for NT$1,000, of which the carrier refuses the first: 334, 333 and 333."""
    discounts.make(
        id=uuid4(), name="cut", code="CUT", off=Money(197_00, "TWD"), starts_at=NOW, ends_at=NOW + timedelta(days=1),
        staff=shop.staff.id, why="a test", now=NOW,
    )  # fmt: skip
    me, line = shop.people["yating"].id, shop.cards["yating"]
    quote = renewals.quote(
        line_id=line.id, plan_version_id=line.plan_version_id, customer=me, count=3, wish=PriceWish(coupon="CUT"),
        now=NOW,
    )  # fmt: skip
    order = renewals.place(order_id=uuid4(), quote_id=quote.id, customer=me, now=NOW)
    world.faults.set([{"kind": "topup_disabled", "endpoint": "submit_topup", "times": 1}])
    while renewals.advance(order_id=order.id, now=NOW):
        pass
    order.refresh_from_db()
    assert (order.total_minor, order.given_back, order.delivered) == (1_000_00, [0], [1, 2])
    assert ledger.wallet_balance(customer=me, currency="TWD").minor == 2_000_00 - 1_000_00 + 334_00
    assert [one.price for one in giving_back.unused(order, NOW)] == [Money(333_00, "TWD")] * 2


@pytest.mark.parametrize("asked", ["zh-TW", "zh-HK,zh;q=0.8", "zh-Hant", "zh-MO"])
def test_a_browser_from_taiwan_hong_kong_or_macau_gets_traditional_chinese(shop: Shop, asked: str) -> None:
    answer = Client(headers={"accept-language": asked}).get("/")
    assert answer["Content-Language"] == "zh-hant"
    assert "卡快到期？一分鐘續上。" in text_of(answer)
    assert "繁體中文" in text_of(answer)
    assert Client(headers={"accept-language": "zh-CN"}).get("/")["Content-Language"] == "zh-hans"


def test_a_price_in_taiwan_dollars_is_whole_whatever_is_taken_off() -> None:
    coupon = Discount(kind="coupon", id=uuid4(), label="TEN", basis_points=1_000)
    asked = Request(
        prices=(PeriodPrice(1, Money(39_900, "TWD")),), currency="TWD", count=1, label="", tax_basis_points=500,
        promotions=(), coupon=coupon, points=777, points_per_minor=1,
    )  # fmt: skip
    found = price(asked)
    assert [line["amount_minor"] for line in found.lines] == [39_900, -4_000, -700]
    assert (found.total, found.tax) == (Money(35_200, "TWD"), Money(1_700, "TWD"))  # of 16.76 dollars, rounded
    assert [formats.money(Money(minor, "TWD")) for minor in (139_900, 3_329)] == ["NT$1,399", "NT$33.29"]
