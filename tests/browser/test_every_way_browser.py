"""Each way to pay in a real browser, by those who use it: Alipay, WeChat Pay, Bancontact, PayPal, PayPay, LINE Pay."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from sandbox.payments.world import World as Payments
from sandbox.wallets import line_pay, paypay
from tests.browser.test_web_payments_browser import captured, wish
from tests.browser.town import CHROMIUM, DESK, PHONE, Town, Watched, code_in_the_mail, now

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]
PICTURES = os.environ.get("XUKA_PICTURES", "")
LANGUAGES = {"zh-CN": "zh-hans", "nl-BE": "nl", "fr-BE": "fr", "ja-JP": "ja", "zh-TW": "zh-hant"}
BELGIAN = ["card", "alipay", "wechat_pay", "paypal", "bancontact"]
# who, the method in their words, the order in which ways are offered, the end, how it was paid
STORIES = {
    "zh-CN alipay": (
        "xiaoyu", "支付宝", ["我的钱包", "支付宝", "微信支付", "银行卡或 Apple Pay", "PayPal", "Bancontact"],
        "续费成功", "支付宝 €12.90",
    ),
    "zh-CN wechat_pay": (
        "xiaoyu", "微信支付", ["我的钱包", "支付宝", "微信支付", "银行卡或 Apple Pay", "PayPal", "Bancontact"],
        "续费成功", "微信支付 €12.90",
    ),
    "nl-BE bancontact": (
        "emma", "Bancontact",
        ["Mijn portemonnee", "Bancontact", "Betaalkaart of Apple Pay", "PayPal", "Alipay", "WeChat Pay"],
        "Uw kaart is verlengd", "€ 12,90 met Bancontact",
    ),
    "fr-BE paypal": (
        "emma", "PayPal",
        ["Mon portefeuille", "Bancontact", "Carte bancaire ou Apple Pay", "PayPal", "Alipay", "WeChat Pay"],
        "Votre carte est renouvelée", "12,90 € avec PayPal",
    ),
    "ja-JP paypay": (
        "sato", "PayPay",
        ["ウォレット残高", "PayPay", "クレジットカード・Apple Pay"],
        "更新が完了しました", "PayPayで￥4,980",
    ),
    "zh-TW line_pay": (
        "yating", "LINE Pay", ["我的錢包", "LINE Pay", "信用卡或 Apple Pay"], "續費成功", "LINE Pay NT$399",
    ),
}  # fmt: skip


@pytest.fixture
def ways(payments: Payments, town: Town, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """The Belgian account takes all it can, and PayPay is asked directly. Returns where their pages are."""
    from xuka.payments import providers

    tills = [(paypay.PayPayTill(now=now), paypay.paypay), (line_pay.LinePayTill(now=now), line_pay.line_pay)]
    servers = []
    for till, application in tills:
        servers.append(make_server("127.0.0.1", 0, application(till), threaded=True))
        till.url = f"http://127.0.0.1:{servers[-1].server_port}"
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
    (in_japan, _), (in_taiwan, _) = tills
    stripe = settings.PROVIDERS["stripe"] | {
        "country": "BE",
        "methods": BELGIAN,
        "markets": ["BE", "JP", "TW"],
        "keeps": ["card", "paypal"],
    }
    direct = {
        "connector": "xuka.connectors.payments.paypay.connector.PayPay",
        "base_url": in_japan.url,
        "api_key": paypay.KEY,
        "api_secret": paypay.SECRET,
        "merchant_id": paypay.MERCHANT,
    }
    line = {
        "connector": "xuka.connectors.payments.line_pay.connector.LinePay",
        "base_url": in_taiwan.url,
        "channel_id": line_pay.CHANNEL,
        "channel_secret": line_pay.SECRET,
    }
    monkeypatch.setattr(settings, "PROVIDERS", {"stripe": stripe, "paypay": direct, "line_pay": line})
    providers.provider.cache_clear()
    yield payments.url, in_japan.url, in_taiwan.url
    for server in servers:
        server.shutdown()
    providers.provider.cache_clear()


def at_the_check_page(town: Town, ways: tuple[str, ...], watched: Watched, who: str, language: str) -> Page:
    """Signed in, and a plan chosen."""
    watched.also = ways
    page, customer = watched.page, town.shop.people[who]
    type(customer).objects.filter(id=customer.id).update(language=LANGUAGES[language])
    watched.go("/account/login/code/")
    page.fill("input[type=email]", customer.email)
    page.press("input[type=email]", "Enter")
    page.fill("input[name=code]", code_in_the_mail(town, customer.email))
    page.press("input[name=code]", "Enter")
    choose_again(page)
    return page


def choose_again(page: Page) -> None:
    """From the card's page to the check page."""
    page.click(".the-card a.button")
    page.locator(".choice", has_text=re.compile("12[.,]90|4,980|399")).get_by_role("button").click()
    page.wait_for_url("**/quotes/*/")
    wish(page)


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(
    ("story", "size"),
    [
        ("zh-CN alipay", PHONE),
        ("zh-CN wechat_pay", DESK),
        ("nl-BE bancontact", DESK),
        ("fr-BE paypal", PHONE),
        ("ja-JP paypay", PHONE),
        ("zh-TW line_pay", PHONE),
    ],
)
def test_a_renewal_is_paid_their_way(
    town: Town, ways: tuple[str, ...], worker: None, open_page: Callable[..., Watched], story: str, size: dict
) -> None:
    who, name, order, done, paid = STORIES[story]
    if who not in town.shop.people:
        town.shop.person(who, language="zh-hant", name="林雅婷", currency="TWD", money=200_000)
        town.shop.card(who, 4, "tw-week-3gb-day", started_at=now() - timedelta(days=4))
    watched = open_page(language=story.split()[0], size=size)
    page = at_the_check_page(town, ways, watched, who, story[:5])
    assert [one.inner_text() for one in page.locator(".way:has([name=pay_with]) strong").all()] == order
    page.get_by_role("radio", name=name).check()
    watched.check()
    picture(page, f"{story} check")
    page.locator("form#pay button.full").click()
    page.wait_for_url(re.compile(r"/c/pay/|/pay/[-\w]+$"))
    if "wechat" in story:
        expect(page.locator(".code svg")).to_be_visible()
    picture(page, f"{story} there")
    page.locator("button[value=pay]").click()
    page.wait_for_url("**/orders/*/")
    expect(page.get_by_role("heading", name=done)).to_be_visible(timeout=15_000)
    expect(page.get_by_text(paid)).to_be_visible()
    watched.check()
    picture(page, f"{story} paid")
    assert len(town.world.truth()) == 1


def test_a_paypal_account_is_saved_pays_with_one_press_renews_the_card_by_itself_and_is_forgotten(
    town: Town, payments: Payments, ways: tuple[str, ...], worker: None, open_page: Callable[..., Watched]
) -> None:
    watched = open_page(language="fr-BE", size=PHONE)
    page = at_the_check_page(town, ways, watched, "emma", "fr-BE")
    page.get_by_role("radio", name="Carte bancaire ou Apple Pay").check()
    page.locator("[name=save_card]").check()
    expect(page.locator("[name=save_paypal]")).to_be_hidden()
    page.get_by_role("radio", name="PayPal").check()
    expect(page.locator("[name=save_card]")).to_be_hidden()
    keep = page.get_by_role("checkbox", name=re.compile("Enregistrer mon compte PayPal"))
    expect(keep).not_to_be_checked()  # what was agreed to for a card is nothing for PayPal
    keep.check()
    watched.check()
    picture(page, "paypal saved check")
    page.locator("form#pay button.full").click()
    page.locator("button[value=pay]").click()
    page.wait_for_url("**/orders/*/")
    expect(page.get_by_role("heading", name="Votre carte est renouvelée")).to_be_visible(timeout=15_000)
    page.locator(".actions a.button").first.click()
    choose_again(page)
    page.get_by_role("radio", name=re.compile(r"PayPal b\*\*\*@sandbox\.test")).check()
    expect(page.locator("[name=save_paypal]")).to_be_hidden()
    watched.check()
    picture(page, "paypal saved chosen")
    page.locator("form#pay button.full").click()
    page.wait_for_url("**/orders/*/")
    expect(page.get_by_role("heading", name="Votre carte est renouvelée")).to_be_visible(timeout=15_000)
    assert captured(payments) == {"eur": 25_80}
    page.locator(".actions a.button").first.click()
    page.locator("a[href$='/auto/']").first.click()
    page.get_by_role("radio", name=re.compile(r"PayPal b\*\*\*@sandbox\.test")).check()
    page.locator("[name=agreed]").check()
    watched.check()
    picture(page, "paypal saved auto")
    page.get_by_role("button", name="Activer le renouvellement automatique").click()
    expect(page.get_by_text("avec votre compte enregistré : PayPal b***@sandbox.test")).to_be_visible()
    picture(page, "paypal saved card")
    watched.go("/account/settings/")
    picture(page, "paypal saved settings")
    page.get_by_role("button", name="Supprimer PayPal b***@sandbox.test").click()
    expect(page.get_by_text("Rien n’est enregistré.")).to_be_visible()
    watched.check()
