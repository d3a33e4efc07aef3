"""The pages, through the public face only: what a customer sees, and what happens to bad input."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from sandbox.carrier.app import application
from sandbox.carrier.world import World
from sandbox.transport import InProcess
from tests.journeys.web_world import Shop, iccid, open_shop, uuid_of
from xuka.activation import operations as activation
from xuka.interfaces import clock
from xuka.interfaces.jobs import letters
from xuka.ledger import queries as ledger
from xuka.messaging.models import Message
from xuka.metering import operations as metering
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order, Quote
from xuka.support.models import Ticket

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 22, 13, 5, tzinfo=UTC)


class Clock:
    """The edge's clock, held still and pushed by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def push(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    held = Clock()
    monkeypatch.setattr(clock, "now", lambda: held.now)
    return held


@pytest.fixture
def world(time: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(now=lambda: time.now, seed=1, balance=5_000_00, limited=False)
    carriers = {
        "airalo": {
            "connector": "xuka.connectors.carriers.airalo.connector.Airalo",
            "base_url": "http://carrier.test",
            "client_id": "sandbox",
            "client_secret": "sandbox-secret",
            "transport": InProcess(application(world)),
            "monotonic": lambda: (time.now - NOW).total_seconds(),
        }
    }
    monkeypatch.setattr(settings, "CARRIERS", carriers)
    activation.carrier.cache_clear()
    yield world
    activation.carrier.cache_clear()


@pytest.fixture
def shop(world: World, time: Clock) -> Shop:
    return open_shop(now=time.now, seed_card=world.seed_card)


def signed_in(shop: Shop, key: str) -> Client:
    client = Client()
    client.force_login(shop.people[key], backend=settings.AUTHENTICATION_BACKENDS[0])
    return client


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())).replace("\N{NO-BREAK SPACE}", " ")


def quoted(client: Client, shop: Shop, key: str, slug: str) -> UUID:
    """Choose a plan on the page; the quote's id."""
    answer = client.post(f"/cards/{shop.cards[key].id}/quote/", {"plan": str(shop.plan(slug).id)})
    assert answer.status_code == 302, text_of(answer)
    return uuid_of(answer["Location"])


def advance(order_id: UUID) -> None:
    while renewals.advance(order_id=order_id, now=clock.now()):
        pass


# -- the card --------------------------------------------------------------------------------------------------------


def test_after_sign_in_the_first_screen_is_the_card_with_time_left_and_one_button(shop: Shop) -> None:
    page = text_of(signed_in(shop, "xiaoyu").get("/"))
    assert "剩余时间 2 天 3 小时" in page
    assert "有效期至 2026年11月24日 17:05 （布鲁塞尔时间）" in page
    assert "不限量：每天 3 GB 高速，之后限速 1 Mbps" in page
    assert "续费" in page
    assert "0 GB" not in page


def test_the_ring_is_drawn_with_a_decimal_point_in_every_language(shop: Shop) -> None:
    client, drawn = signed_in(shop, "xiaoyu"), set()
    for language in ("zh-hans", "zh-hant", "ja", "en", "fr", "nl"):
        type(shop.people["xiaoyu"]).objects.filter(id=shop.people["xiaoyu"].id).update(language=language)
        drawn |= set(re.findall(r'stroke-dasharray="([^"]*)"', client.get("/").content.decode()))
    assert len(drawn) == 1
    assert re.fullmatch(r"\d+\.\d 100", drawn.pop())


def test_the_sign_in_pages_label_their_fields_in_our_words() -> None:
    page = text_of(Client(headers={"accept-language": "fr"}).get("/account/login/"))
    assert "Adresse e-mail Mot de passe" in page
    assert "Rester connecté sur cet appareil" in page
    assert "Adresse e-mail" in text_of(Client(headers={"accept-language": "fr"}).get("/account/login/code/"))


def test_an_expired_card_says_since_when_and_can_be_renewed(shop: Shop) -> None:
    page = text_of(signed_in(shop, "emma").get("/"))
    assert "Expired" in page
    assert "It was valid through 20 November 2026, 23:59 (Brussels time)" in page
    assert "Renew" in page


def test_without_a_card_the_page_helps_to_add_one(shop: Shop) -> None:
    shop.person("new", language="en")
    page = text_of(signed_in(shop, "new").get("/"))
    assert "No card here yet" in page
    assert "Add a card" in page


def test_several_cards_become_a_list(shop: Shop) -> None:
    shop.card("emma", 9, "be-week-3gb-day", started_at=NOW - timedelta(days=1))
    page = text_of(signed_in(shop, "emma").get("/"))
    assert "6 days left" in page
    assert "expired" in page


def test_data_left_is_shown_with_its_time_only_where_the_carrier_tells_it(shop: Shop) -> None:
    line = shop.cards["sato"]
    metering.record_reading(
        line_id=line.id, iccid=line.iccid, carrier="airalo", period=None,
        unlimited=False, remaining_bytes=12_400_000_000, total_bytes=20_000_000_000,
        expires_at=None, status="ACTIVE", as_of=NOW - timedelta(minutes=10), now=NOW,
    )  # fmt: skip
    assert "Data left 12.4 GB of 20 GB Data as of 21:55" in text_of(signed_in(shop, "sato").get("/"))
    metering.record_reading(
        line_id=line.id, iccid=line.iccid, carrier="airalo", period=None,
        unlimited=True, remaining_bytes=None, total_bytes=None,
        expires_at=None, status="ACTIVE", as_of=NOW, now=NOW,
    )  # fmt: skip
    page = text_of(signed_in(shop, "sato").get("/"))
    assert "Data left" not in page
    assert " 0 GB" not in page


def test_the_card_page_asks_the_database_at_most_nine_times(shop: Shop) -> None:
    client = signed_in(shop, "xiaoyu")
    client.get("/")
    with CaptureQueriesContext(connection) as asked:
        assert client.get("/").status_code == 200
    assert len(asked) <= 9, [query["sql"][:100] for query in asked]


# -- adding a card ---------------------------------------------------------------------------------------------------


def test_a_card_is_added_by_its_number_and_claim_code(shop: Shop) -> None:
    line = shop.stock(7, "be-week-3gb-day")
    spaced = " ".join(re.findall("....?", line.iccid))
    answer = signed_in(shop, "emma").post("/cards/add/", {"iccid": spaced, "claim_code": " code-7 "})
    assert answer.status_code == 302
    assert answer["Location"] == f"/cards/{line.id}/"


def test_an_unknown_card_a_wrong_code_and_a_foreign_card_answer_alike(shop: Shop) -> None:
    shop.stock(7, "be-week-3gb-day")
    client = signed_in(shop, "emma")
    tries = [(iccid(8), "CODE-8"), (iccid(7), "WRONG"), (shop.cards["xiaoyu"].iccid, "CODE-1")]
    answers = [client.post("/cards/add/", {"iccid": number, "claim_code": code}) for number, code in tries]
    assert [answer.status_code for answer in answers] == [422] * 3
    said = {text_of(answer).split("Add a card")[-1].split("The card number")[0] for answer in answers}
    assert len(said) == 1
    assert "No card is waiting for this number and claim code." in said.pop()


def test_a_wrong_check_digit_is_told_in_the_customers_language_and_stores_nothing(shop: Shop) -> None:
    wrong = iccid(7)[:-1] + str((int(iccid(7)[-1]) + 1) % 10)
    answer = signed_in(shop, "xiaoyu").post("/cards/add/", {"iccid": wrong, "claim_code": "CODE-7"})
    assert answer.status_code == 422
    assert "卡号不对" in text_of(answer)


def test_claim_codes_cannot_be_tried_for_ever(shop: Shop) -> None:
    cache.clear()
    client = signed_in(shop, "emma")
    codes = [client.post("/cards/add/", {"iccid": iccid(8), "claim_code": f"{n}"}).status_code for n in range(12)]
    assert codes == [422] * 10 + [429] * 2
    late = client.post("/cards/add/", {"iccid": iccid(8), "claim_code": "x"})
    assert "Too many tries" in text_of(late)


# -- renewing --------------------------------------------------------------------------------------------------------


def test_the_check_page_tells_everything_before_payment(shop: Shop) -> None:
    client = signed_in(shop, "sato")
    page = text_of(client.get(f"/quotes/{quoted(client, shop, 'sato', 'jp-week-3gb-day')}/"))
    assert "3 GB a day at full speed" in page
    assert "After 3 GB you go on at up to 1 Mbps, at no extra charge" in page
    assert "Starts afresh every day at 00:00, Shanghai time That is 01:00, Tokyo time." in page
    assert "Up to 3 Mbps at peak hours, 12:00 to 13:00 (Tokyo time)" in page
    assert "otspot" in page
    assert "Does not work in other countries" in page
    assert "Total JP¥1,980 Tax 10% inside: JP¥180" in page
    assert "My wallet JP¥20,000 is in it, JP¥18,020 is left afterwards." in page
    assert "On your card within 10 minutes after you pay; the new time begins when the present one ends, on" in page
    assert "Order with obligation to pay JP¥1,980" in page
    assert "All the time you have already paid for, through 10 December 2026, 22:05." in page


def test_from_quote_to_done_the_page_tells_each_step(shop: Shop, world: World) -> None:
    client = signed_in(shop, "xiaoyu")
    order_id = uuid4()
    quote_id = quoted(client, shop, "xiaoyu", "be-week-3gb-day")
    answer = client.post("/orders/", {"quote": str(quote_id), "order": str(order_id), "pay_with": "wallet"})
    assert answer.status_code == 302
    assert answer["Location"] == f"/orders/{order_id}/"
    page = client.get(answer["Location"])
    assert "正在续费" in text_of(page)
    assert b'hx-trigger="every 2s"' in page.content
    assert b'http-equiv="refresh"' in page.content
    same = re.search(rb'hx-get="([^"]+)"', page.content)
    assert same
    assert client.get(same[1].decode()).status_code == 204
    advance(order_id)
    done = client.get(same[1].decode())
    assert "续费成功" in text_of(done)
    assert b"hx-get" not in done.content
    assert "现在的有效期至 2026年12月1日 17:05 （布鲁塞尔时间）" in text_of(done)
    assert "已续费" in text_of(client.get("/orders/"))
    assert len(world.truth()) == 1


def test_a_queued_renewal_is_on_the_card_at_once_with_the_time_it_will_have(shop: Shop) -> None:
    client = signed_in(shop, "sato")
    order_id = uuid4()
    quote_id = quoted(client, shop, "sato", "jp-week-3gb-day")
    client.post("/orders/", {"quote": str(quote_id), "order": str(order_id), "pay_with": "wallet"})
    assert "A renewal of this card is under way." in text_of(client.get("/"))
    advance(order_id)
    page = text_of(client.get("/"))
    assert "Valid through 16 December 2026, 23:59 (Tokyo time)" in page
    assert "running 10 November 2026, 22:05 – 10 December 2026, 22:05" in page
    assert "comes next 10 December 2026, 22:05 – 16 December 2026, 23:59" in page
    asked = quoted(client, shop, "sato", "jp-week-3gb-day")
    assert "The renewal that is already waiting comes first." in text_of(client.get(f"/quotes/{asked}/"))


def test_a_double_click_a_reload_and_a_second_tab_are_one_order_and_one_charge(shop: Shop, world: World) -> None:
    client, phone = signed_in(shop, "emma"), signed_in(shop, "emma")
    first, second = (quoted(client, shop, "emma", "be-week-3gb-day") for _ in range(2))
    order_id = uuid4()
    sent = {"quote": str(first), "order": str(order_id), "pay_with": "wallet"}
    for _ in range(3):
        assert client.post("/orders/", sent)["Location"] == f"/orders/{order_id}/"
    other = phone.post("/orders/", {"quote": str(second), "order": str(uuid4()), "pay_with": "wallet"}, follow=True)
    assert other.redirect_chain[-1][0] == f"/orders/{order_id}/"
    assert "nothing was bought twice" in text_of(other)
    advance(order_id)
    assert Order.objects.count() == 1
    assert ledger.wallet_balance(customer=shop.people["emma"].id, currency="EUR").minor == 40_00 - 12_90
    assert len(world.truth()) == 1


def test_an_expired_quote_is_told_and_nothing_is_bought(shop: Shop, time: Clock) -> None:
    client = signed_in(shop, "emma")
    quote_id = quoted(client, shop, "emma", "be-week-3gb-day")
    time.push(timedelta(minutes=15))
    answer = client.post("/orders/", {"quote": str(quote_id), "order": str(uuid4()), "pay_with": "wallet"})
    assert answer.status_code == 410
    assert "This price was held for 15 minutes; that time is over." in text_of(answer)
    assert "Get a new price" in text_of(answer)
    assert Order.objects.count() == 0


def test_a_changed_card_gets_a_new_quote_and_never_a_silent_change(shop: Shop) -> None:
    client = signed_in(shop, "xiaoyu")
    old = quoted(client, shop, "xiaoyu", "be-week-3gb-day")
    other = uuid4()
    client.post(
        "/orders/",
        {"quote": str(quoted(client, shop, "xiaoyu", "be-week-3gb-day")), "order": str(other), "pay_with": "wallet"},
    )
    advance(other)
    answer = client.post("/orders/", {"quote": str(old), "order": str(uuid4()), "pay_with": "wallet"})
    assert answer.status_code == 409
    assert "已为您重新报价" in text_of(answer)
    assert "2026年12月8日 17:05" in text_of(answer)
    assert Order.objects.count() == 1
    assert Quote.objects.count() == 3


def test_where_payment_cannot_be_offered_the_page_says_why_and_what_to_do(shop: Shop, world: World) -> None:
    world.set_balance(100)
    client = signed_in(shop, "emma")
    quote_id = quoted(client, shop, "emma", "be-week-3gb-day")
    page = text_of(client.get(f"/quotes/{quote_id}/"))
    assert "This plan cannot be activated right now" in page
    assert "obligation to pay" not in page
    answer = client.post("/orders/", {"quote": str(quote_id), "order": str(uuid4()), "pay_with": "wallet"})
    assert answer.status_code == 409
    assert Order.objects.count() == 0


def test_a_card_the_carrier_refuses_for_good_is_refunded_and_told_in_the_customers_words(
    shop: Shop, world: World
) -> None:
    client = signed_in(shop, "xiaoyu")
    quote_id, order_id = quoted(client, shop, "xiaoyu", "be-week-3gb-day"), uuid4()
    world.faults.set([{"kind": "recycled", "endpoint": "submit_topup", "times": 1}])
    client.post("/orders/", {"quote": str(quote_id), "order": str(order_id), "pay_with": "wallet"})
    advance(order_id)
    page = text_of(client.get(f"/orders/{order_id}/"))
    assert "未续费，已退款" in page
    assert "运营商已停用这张卡，无法续费。" in page
    assert "€12.90 已退回钱包" in page


def test_a_silent_carrier_is_told_and_after_the_promise_why_and_what_next(
    shop: Shop, world: World, time: Clock
) -> None:
    client = signed_in(shop, "emma")
    quote_id, order_id = quoted(client, shop, "emma", "be-week-3gb-day"), uuid4()
    dark = [("submit_topup", "timeout_before"), ("order_list", "timeout_before")]
    world.faults.set([{"kind": kind, "endpoint": endpoint, "times": None} for endpoint, kind in dark])
    client.post("/orders/", {"quote": str(quote_id), "order": str(order_id), "pay_with": "wallet"})
    advance(order_id)
    page = text_of(client.get(f"/orders/{order_id}/"))
    assert "The carrier did not answer. Before we ask again we look whether it went through" in page
    assert "We look again at" in page
    time.push(timedelta(minutes=11))
    advance(order_id)
    assert "This takes longer than we promised, and we are sorry." in text_of(client.get(f"/orders/{order_id}/"))
    time.push(timedelta(minutes=15))
    advance(order_id)
    page = text_of(client.get(f"/orders/{order_id}/"))
    assert "A person is checking" in page
    assert "It is decided by" in page


# -- bad input -------------------------------------------------------------------------------------------------------

NASTY = ["' OR 1=1 --", '<script>alert("x")</script>', "../../etc/passwd", "\x00", "{{ 7 }}", "9" * 60, ""]


@pytest.mark.parametrize("nasty", NASTY)
def test_sql_and_html_in_any_field_are_refused_in_words_and_store_nothing(shop: Shop, nasty: str) -> None:
    cache.clear()
    client = signed_in(shop, "emma")
    card = shop.cards["emma"].id
    answers = [
        client.post("/cards/add/", {"iccid": nasty, "claim_code": nasty}),
        client.post(f"/cards/{card}/quote/", {"plan": nasty}),
        client.post("/orders/", {"quote": nasty, "order": nasty, "pay_with": "wallet"}),
        client.post("/contact/", {"ticket": nasty, "order": nasty, "text": "help"}),
        client.post("/account/settings/", {"name": "E", "language": nasty, "time_zone": nasty}),
        client.post("/language/", {"language": nasty}),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500, answer.request
        assert b"<script>alert" not in answer.content
        assert len(text_of(answer)) > 50
    assert "did not arrive whole" in text_of(answers[3])
    assert Quote.objects.count() == Order.objects.count() == Ticket.objects.count() == 0


def test_a_form_of_a_megabyte_is_refused_unread(shop: Shop) -> None:
    client = signed_in(shop, "xiaoyu")
    for path in ("/cards/add/", "/contact/", "/account/login/", "/orders/"):
        answer = client.post(path, {"text": "x" * 1_000_000})
        assert answer.status_code == 413
    assert "内容太大了" in text_of(client.post("/contact/", {"text": "x" * 1_000_000}))


def test_foreign_ids_answer_exactly_like_unknown_ones(shop: Shop) -> None:
    emma = signed_in(shop, "emma")
    quote_id, order_id = quoted(emma, shop, "emma", "be-week-3gb-day"), uuid4()
    emma.post("/orders/", {"quote": str(quote_id), "order": str(order_id), "pay_with": "wallet"})
    thief = signed_in(shop, "sato")
    foreign = {"cards": shop.cards["emma"].id, "quotes": quote_id, "orders": order_id}
    for kind, known in foreign.items():
        told = [thief.get(f"/{kind}/{one}/") for one in (known, uuid4())]
        assert [answer.status_code for answer in told] == [404, 404]
        assert text_of(told[0]) == text_of(told[1])
    posts = [
        (f"/cards/{foreign['cards']}/quote/", {"plan": str(shop.plan("be-week-3gb-day").id)}),
        (f"/orders/{order_id}/cancel/", {}),
        ("/orders/", {"quote": str(quote_id), "order": str(uuid4()), "pay_with": "wallet"}),
    ]
    assert [thief.post(path, sent).status_code for path, sent in posts] == [404, 404, 404]
    assert thief.get(f"/orders/{order_id}/progress/").status_code == 404
    assert f"{order_id}"[:8] not in text_of(thief.get(f"/contact/?order={order_id}"))


@pytest.mark.parametrize("path", ["orders/{}/progress/", "orders/{}/pay/page/?while=open", "quotes/{}/?while=down"])
def test_a_part_of_a_page_that_was_signed_out_meanwhile_asks_to_sign_in(shop: Shop, path: str) -> None:
    answer = Client().get("/" + path.format(uuid4()), headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Refresh"], answer.has_header("Location")) == (204, "true", False)
    assert "no-store" in answer["Cache-Control"]
    assert Client().get("/" + path.format(uuid4()))["Location"].startswith("/account/login/code/?next=")


def test_a_wrong_method_an_old_page_and_a_wrong_address_have_pages_of_their_own(shop: Shop) -> None:
    client = signed_in(shop, "xiaoyu")
    wrong = client.get("/language/")
    assert (wrong.status_code, wrong["Allow"]) == (405, "POST")
    assert "打开方式不对" in text_of(wrong)
    strict = Client(enforce_csrf_checks=True)
    assert "This page was too old" in text_of(strict.post("/language/", {"language": "en"}))
    assert strict.post("/language/", {"language": "en"}).status_code == 403
    lost = client.get("/no/such/page")
    assert lost.status_code == 404
    assert "找不到这个页面" in text_of(lost)


def test_a_broken_page_says_so_without_the_database(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("xuka.interfaces.web.views.lines_queries.lines_of", broken)
    client = signed_in(shop, "xiaoyu")
    client.raise_request_exception = False
    answer = client.get("/")
    assert answer.status_code == 500
    assert "系统出了点问题" in text_of(answer)


# -- language, contact, sign-in --------------------------------------------------------------------------------------


def test_the_stored_language_wins_after_sign_in_and_the_switch_stores_it(shop: Shop) -> None:
    client = Client(headers={"accept-language": "en"})
    assert "Card running out?" in text_of(client.get("/"))
    client.force_login(shop.people["xiaoyu"], backend=settings.AUTHENTICATION_BACKENDS[0])
    answer = client.get("/")
    assert b'lang="zh-Hans"' in answer.content
    assert answer["Content-Language"] == "zh-hans"
    assert client.post("/language/", {"language": "en", "next": "/orders/"})["Location"] == "/orders/"
    shop.people["xiaoyu"].refresh_from_db()
    assert shop.people["xiaoyu"].language == "en"
    assert "Time left" in text_of(client.get("/"))
    assert client.post("/language/", {"language": "en", "next": "https://evil.example/"})["Location"] == "/"


def test_a_browser_that_speaks_chinese_is_greeted_in_chinese(shop: Shop) -> None:
    assert "给您的流量卡续费" in text_of(Client(headers={"accept-language": "zh-CN,zh;q=0.9"}).get("/"))


def test_contact_attaches_the_order_and_sending_twice_is_one_letter(shop: Shop) -> None:
    cache.clear()
    client = signed_in(shop, "emma")
    order_id = uuid4()
    client.post(
        "/orders/",
        {"quote": str(quoted(client, shop, "emma", "be-week-3gb-day")), "order": str(order_id), "pay_with": "wallet"},
    )
    page = client.get(f"/contact/?order={order_id}")
    assert f"We see which order it is about: {order_id!s:.8}" in text_of(page)
    sent = {"ticket": str(uuid4()), "order": str(order_id), "text": "Where is <b>it</b>?"}
    for _ in range(2):
        assert client.post("/contact/", sent)["Location"] == "/contact/sent/"
    letter = Message.objects.get(kind="ticket")
    assert letter.to == settings.SELLER_MAIL
    assert str(order_id) in letter.text
    assert "emma@demo.xuka.example" in letter.text


def test_a_visitor_can_write_too(shop: Shop) -> None:
    cache.clear()
    client = Client()
    sent = {"ticket": str(uuid4()), "email": "someone@example.org", "text": "Do you sell to Namur?"}
    assert client.post("/contact/", {**sent, "email": "nobody"}).status_code == 422
    assert client.post("/contact/", sent).status_code == 302
    assert "someone@example.org" in Message.objects.get(kind="ticket").text


def test_signing_up_confirms_the_address_by_a_code_in_the_pages_language(shop: Shop) -> None:
    cache.clear()
    client = Client(headers={"accept-language": "zh-CN"})
    sent = {"email": "New@Example.org", "password1": "a calm sea in winter"}
    assert client.post("/account/signup/", sent)["Location"] == "/account/confirm-email/"
    letter = Message.objects.get(to="new@example.org")
    assert letter.language == "zh-hans"
    assert letter.secret
    assert "您好" in letter.text
    code = re.search(r"\d{4}-\d{4}", letter.text)
    assert code
    assert code[0] not in letter.subject
    wrong = client.post("/account/confirm-email/", {"code": "0000-0000"})
    assert "验证码不正确" in text_of(wrong)
    assert client.post("/account/confirm-email/", {"code": code[0]}).status_code == 302
    assert "还没有添加卡" in text_of(client.get("/"))
    with_password = {"login": "new@example.org", "password": "a calm sea in winter"}
    assert Client().post("/account/login/", with_password)["Location"] == "/"


def test_a_forgotten_password_is_replaced_with_a_code(shop: Shop) -> None:
    cache.clear()
    client = Client()
    assert client.post("/account/password/reset/", {"email": "emma@demo.xuka.example"}).status_code == 302
    code = re.search(r"\d{4}-\d{4}", Message.objects.get(kind="password_reset_code").text)
    assert code
    answer = client.post("/account/password/reset/confirm/", {"code": code[0]}, follow=True)
    assert "Choose a new password" in text_of(answer)
    weak = client.post("/account/password/reset/complete/", {"password1": "12345678", "password2": "12345678"})
    assert "too common" in text_of(weak)
    words = {"password1": "four calm grey herons", "password2": "four calm grey herons"}
    assert client.post("/account/password/reset/complete/", words).status_code == 302
    shop.people["emma"].refresh_from_db()
    assert shop.people["emma"].check_password("four calm grey herons")


def test_a_code_from_the_mail_signs_in(shop: Shop) -> None:
    cache.clear()
    client = Client()
    assert client.post("/account/login/code/", {"email": "Xiaoyu@demo.xuka.example"}).status_code == 302
    letter = Message.objects.get(kind="login_code")
    assert letter.language == "zh-hans"
    code = re.search(r"\d{4}-\d{4}", letter.text)
    assert code
    answer = client.post("/account/login/code/confirm/", {"code": code[0].replace("-", "")})
    assert answer["Location"] == "/"
    assert "剩余时间" in text_of(client.get("/"))


def test_known_and_unknown_addresses_cannot_be_told_apart_by_asking_for_a_code(shop: Shop) -> None:
    cache.clear()
    told = []
    for email in ("emma@demo.xuka.example", "nobody@demo.xuka.example"):
        for path in ("/account/login/code/", "/account/password/reset/"):
            answer = Client().post(path, {"email": email}, follow=True)
            told.append((path, answer.status_code, text_of(answer).replace(email, "…")))
    assert told[:2] == told[2:]


def test_wrong_passwords_are_counted_across_processes_and_end_in_a_styled_429(shop: Shop) -> None:
    cache.clear()
    sent = {"login": "emma@demo.xuka.example", "password": "wrong"}
    # Another port in the Host header is another process, or a trick: it is the same count.
    told = [text_of(Client(HTTP_HOST=f"localhost:{port}").post("/account/login/", sent)) for port in range(8001, 8007)]
    assert "The e-mail address or the password is not right." in told[0]
    assert "Too many tries. Wait five minutes" in told[5]
    codes = [Client().post("/account/login/code/", {"email": "emma@demo.xuka.example"}).status_code for _ in range(4)]
    assert codes == [302, 302, 302, 429]
    assert Client().post("/account/login/", sent).status_code == 429
    sent["login"] = "somebody@else.example"
    last = [Client().post("/account/login/", sent) for _ in range(30)][-1]
    assert (last.status_code, "For your safety we take a short break here." in text_of(last)) == (429, True)
    assert settings.CACHES["default"]["BACKEND"].endswith("DatabaseCache")


def test_signing_out_everywhere_ends_every_session(shop: Shop) -> None:
    cache.clear()
    here, there = by_code("emma@demo.xuka.example"), by_code("emma@demo.xuka.example")
    assert "Expired" in text_of(there.get("/"))
    assert "Sign out all other devices" in text_of(here.get("/account/sessions/"))
    assert here.post("/account/sign-out-everywhere/").status_code == 302
    assert "Expired" not in text_of(there.get("/"))
    assert "Expired" not in text_of(here.get("/"))


def by_code(email: str) -> Client:
    """Signed in with a code from the mail."""
    client = Client()
    client.post("/account/login/code/", {"email": email})
    code = re.search(r"\d{4}-\d{4}", Message.objects.filter(to=email).order_by("queued_at", "id").last().text)
    assert code
    for letter in Message.objects.filter(to=email):
        letter.delete()
    assert client.post("/account/login/code/confirm/", {"code": code[0]})["Location"] == "/"
    return client


def test_staff_sign_in_where_everybody_does(shop: Shop) -> None:
    answer = Client().get("/staff/", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/account/login/")
    assert signed_in(shop, "emma").get("/staff/", follow=True).status_code == 404


# -- the demo, and what leaves the house -----------------------------------------------------------------------------


def test_the_demo_is_absent_in_production(shop: Shop) -> None:
    for path in ("/demo", "/demo/enter", f"/demo/orders/{uuid4()}"):
        assert signed_in(shop, "emma").get(path).status_code == 404


def test_no_page_asks_another_host_or_styles_itself_inline(shop: Shop) -> None:
    client = signed_in(shop, "xiaoyu")
    quote_id = quoted(client, shop, "xiaoyu", "be-month-60gb")
    for path in ("/", "/cards/add/", f"/quotes/{quote_id}/", "/orders/", "/contact/", "/account/settings/", "/nothing"):
        answer = client.get(path)
        assert not re.search(rb'(?:src|href|action)="(?:https?:)?//', answer.content), path
        assert not re.search(rb"<[^>]+\sstyle=|<style|\son[a-z]+=", answer.content), path
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert len(answer.content) < 45_000


@pytest.mark.parametrize("who", ["xiaoyu", "emma"])
@pytest.mark.parametrize("kind", ["confirmed", "renewed", "failed", "refunded", "checking"])
def test_every_letter_about_an_order_is_warm_short_and_in_the_customers_language(
    shop: Shop, who: str, kind: str
) -> None:
    client, order_id = signed_in(shop, who), uuid4()
    quote_id = quoted(client, shop, who, "be-week-3gb-day")
    client.post("/orders/", {"quote": str(quote_id), "order": str(order_id), "pay_with": "wallet"})
    letters.write(order_id=order_id, kind=kind, now=NOW)
    letter = Message.objects.get(cause=order_id, kind=kind)
    greeting = {"xiaoyu": "王小雨，您好！", "emma": "Hello Emma,"}[who]
    assert letter.text.startswith(greeting)
    assert letter.subject
    assert "€12.90" in letter.text
    assert f"{settings.SITE_URL}/orders/{order_id}/" in letter.text
    assert "{{" not in letter.text + letter.html
    assert greeting in letter.html
    assert len(letter.text) < 900
    assert ("您" in letter.text) == (who == "xiaoyu")
