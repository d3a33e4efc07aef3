"""The public withdrawal function, and the wish on the check page: as somebody without a session sees them."""

from __future__ import annotations

import re
from html import unescape
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client

from tests.journeys.renewal_world import Trade
from tests.journeys.web_world import uuid_of
from xuka.messaging.models import Message
from xuka.renewals.models import ExpressWish, Order, Withdrawal

pytestmark = pytest.mark.django_db(transaction=True)

LABELS = {
    "en": ("Withdraw from the contract here", "Confirm withdrawal"),
    "fr": ("Se rétracter du contrat ici", "Confirmer la rétractation"),
    "nl": ("Hier de overeenkomst herroepen", "Herroeping bevestigen"),
    "ja": ("ここで契約を撤回する", "撤回を確定する"),
    "zh-hans": ("在此撤回合同", "确认撤回"),
}


@pytest.fixture(autouse=True)
def _no_limits_left_over() -> None:
    cache.clear()


def text(answer: object) -> str:
    body = answer.content.decode()  # type: ignore[attr-defined]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def browser(trade: Trade, person: str) -> Client:
    web = Client()
    web.force_login(trade.shop.people[person], backend=settings.AUTHENTICATION_BACKENDS[0])
    return web


def stated(trade: Trade, order: Order | None, person: str = "emma") -> dict[str, str]:
    user = trade.shop.people[person]
    number = str(order.id if order else uuid4())
    return {"withdrawal": str(uuid4()), "number": number, "name": user.name, "email": user.email}


@pytest.mark.parametrize("language", LABELS)
def test_two_steps_without_signing_in_in_each_language(trade: Trade, language: str) -> None:
    order = trade.buy("emma")
    trade.work()
    web = Client(headers={"Accept-Language": language})
    first, second = LABELS[language]
    assert first in text(web.get("/withdraw/"))
    told = stated(trade, order)
    asked = web.post("/withdraw/", told)
    assert second in text(asked)
    assert told["number"] in text(asked)
    assert not Withdrawal.objects.exists()  # a statement that is not confirmed leaves nothing
    answer = web.post("/withdraw/confirm/", told)
    assert answer["Location"] == f"/withdraw/{told['withdrawal']}/"
    assert web.get(answer["Location"]).status_code == 200
    trade.work()
    (row,) = Withdrawal.objects.all()
    assert (row.state, row.language, row.confirmed_at) == ("accepted", language, trade.now)
    received = Message.objects.get(cause=row.id, kind="withdrawal_received")
    assert (received.to, received.language) == ("emma@demo.xuka.example", language)
    assert "10:00" in received.text  # Brussels time


def test_the_answer_is_the_same_whether_there_is_such_a_contract_or_not(trade: Trade) -> None:
    order = trade.buy("emma")
    trade.work()
    pages = []
    for one in (order, None):
        web, told = Client(), stated(trade, one)
        sent = [web.post("/withdraw/", told), web.post("/withdraw/confirm/", told)]
        sent.append(web.get(sent[1]["Location"]))
        said = [
            (answer.status_code, re.sub(r"[0-9a-f-]{36}|csrf\w+\" value=\"\w+", "", answer.content.decode()))
            for answer in sent
        ]
        pages.append(said)
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": ""},
        {"name": " "},
        {"email": "nobody"},
        {"number": "x" * 61},
        {"withdrawal": "none"},
        {"name": "a\0b"},
    ],
)
def test_what_cannot_be_read_is_told_and_stores_nothing(trade: Trade, wrong: dict[str, str]) -> None:
    for page in ("/withdraw/", "/withdraw/confirm/"):
        answer = Client().post(page, stated(trade, None) | wrong)
        assert answer.status_code == 422
        assert 'class="errorlist' in answer.content.decode()
    assert not Withdrawal.objects.exists()


def test_confirming_is_limited_and_needs_the_page(trade: Trade) -> None:
    web = Client()
    codes = [web.post("/withdraw/confirm/", stated(trade, None)).status_code for _ in range(6)]
    assert codes == [302] * 5 + [429]
    assert web.get("/withdraw/confirm/")["Location"] == "/withdraw/"
    assert web.get(f"/withdraw/{uuid4()}/").status_code == 404
    assert Client(enforce_csrf_checks=True).post("/withdraw/confirm/", stated(trade, None)).status_code == 403


def test_the_wish_is_ticked_by_the_customer_and_kept_with_the_order_in_its_words(trade: Trade) -> None:
    web, line = browser(trade, "emma"), trade.card("emma")
    quote = uuid_of(web.post(f"/cards/{line.id}/quote/", {"plan": str(line.plan_version_id)})["Location"])
    page = web.get(f"/quotes/{quote}/").content.decode()
    (box,) = re.findall(r'<input type="checkbox" name="begin_at_once"[^>]*>', page)
    assert "checked" not in box
    assert "required" in box
    order = uuid4()
    web.post("/orders/", {"quote": str(quote), "order": str(order), "begin_at_once": "yes", "pay_with": "wallet"})
    wish = ExpressWish.objects.get(order_id=order)
    assert wish.words in unescape(page)
    assert (wish.version, wish.language, wish.given_at) == ("2026-1", "en", trade.now)
    trade.work()
    own = web.get(f"/orders/{order}/").content.decode()
    assert f"/withdraw/?order={order}" in own
    assert str(order) in web.get(f"/withdraw/?order={order}").content.decode()


def test_an_order_from_japan_asks_for_no_wish_and_offers_no_withdrawal(trade: Trade) -> None:
    web, line = browser(trade, "sato"), trade.card("sato")
    quote = uuid_of(web.post(f"/cards/{line.id}/quote/", {"plan": str(line.plan_version_id)})["Location"])
    assert "begin_at_once" not in web.get(f"/quotes/{quote}/").content.decode()
    order = uuid4()
    web.post("/orders/", {"quote": str(quote), "order": str(order), "begin_at_once": "yes", "pay_with": "wallet"})
    trade.work()
    assert not ExpressWish.objects.exists()
    own = web.get(f"/orders/{order}/").content.decode()
    assert "/withdraw/?order=" not in own
    assert "does not take it back" in own
    refused = web.get(f"/orders/{order}/give-back/?period=0", follow=True)
    assert "does not take it back" in text(refused)
    for nasty in ({}, {"ordinal": "x"}, {"ordinal": "7", "to": "wallet"}, {"ordinal": "0", "to": "elsewhere"}):
        assert web.post(f"/orders/{order}/give-back/", nasty)["Location"] == f"/orders/{order}/"
    assert browser(trade, "emma").get(f"/orders/{order}/give-back/?period=0").status_code == 404
