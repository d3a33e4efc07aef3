"""What the law wants on the last page before an order, in each language, and which language a letter speaks."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client

from tests.journeys.payment_world import Till
from tests.journeys.web_world import uuid_of
from xuka.accounts import operations as accounts
from xuka.messaging.models import Attachment, Message

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_limits_left_over() -> None:
    cache.clear()


def words_of(body: str) -> str:
    """A page's words, without its marks."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def check_page(till: Till, person: str, language: str) -> str:
    """The check page of this person's card, in this language."""
    user, now = till.trade.shop.people[person], till.trade.now
    accounts.set_language(customer=user.id, language=language, now=now)
    web = Client()
    web.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
    line = till.trade.card(person)
    answer = web.post(f"/cards/{line.id}/quote/", {"plan": str(line.plan_version_id)})
    return web.get(f"/quotes/{uuid_of(answer['Location'])}/").content.decode()


@pytest.mark.parametrize(
    ("language", "button"),
    [
        ("zh-hans", "提交订单并付款"),
        ("ja", "注文を確定して支払う"),
        ("en", "Order with obligation to pay"),
        ("fr", "Commande avec obligation de paiement"),
        ("nl", "Bestelling met betalingsverplichting"),
    ],
)
def test_the_button_states_the_obligation_to_pay(till: Till, language: str, button: str) -> None:
    """Directive 2011/83/EU art. 8 (2); 特定商取引法 12 条の 6."""
    page = check_page(till, "xiaoyu", language)
    (form,) = re.findall(r'<form id="pay".*?</form>', page, re.S)
    (pressed,) = re.findall(r"<button.*?</button>", form, re.S)
    assert words_of(pressed).startswith(button)


def test_the_japanese_page_is_a_final_confirmation_with_its_six_items(till: Till) -> None:
    """特定商取引法 12 条の 6: 分量, 販売価格, 支払時期・方法, 引渡時期, 申込みの期間, 撤回・解除."""
    page = words_of(check_page(till, "sato", "ja"))
    assert "最終確認" in page
    items = page[page.index("最終確認") :]
    for item in ("（数量：1）", "￥4,980", "支払時期と方法", "10分以内", "自動更新", "キャンセル", "まで"):
        assert item in items, item


def test_the_belgian_page_is_no_japanese_one(till: Till) -> None:
    assert "最終確認" not in words_of(check_page(till, "xiaoyu", "ja"))


@pytest.mark.parametrize(
    ("language", "receipts"), [("ja", "領収書"), ("fr", "Reçus"), ("nl", "Betalingsbewijzen"), ("zh-hans", "收据")]
)
def test_the_letter_and_its_receipt_speak_the_customers_language(till: Till, language: str, receipts: str) -> None:
    user = till.trade.shop.people["emma"]
    accounts.set_language(customer=user.id, language=language, now=till.trade.now)
    _, payment = till.checkout("emma")
    till.world.pay(payment.reference)
    till.deliver()
    letter = Message.objects.get(to=user.email, kind="confirmed")
    assert letter.language == language
    web = Client()
    web.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
    assert receipts in words_of(web.get("/receipts/").content.decode())
    file = Attachment.objects.get(message=letter)
    assert bytes(file.content).startswith(b"%PDF-")
