"""Paying by card in a real browser, at the stand-in's own pages: paid, declined, asked by the bank, and left alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sandbox.payments.world import World as Payments
from tests.browser.town import CHROMIUM, DESK, PHONE, Town, Watched, code_in_the_mail

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]

WORDS = {
    "zh-CN": {
        "card": "银行卡或 Apple Pay", "order": "提交订单并付款 €12.90", "wallet": "我的钱包", "waits": "订单尚未付款",
        "on": "继续付款", "declined": "付款被拒绝", "done": "续费成功", "paid": "银行卡支付 €12.90",
    },
    "en-GB": {
        "card": "Card or Apple Pay", "order": "Order with obligation to pay €12.90", "wallet": "My wallet",
        "waits": "Your order is not paid yet", "on": "Go on with the payment", "declined": "The payment was declined",
        "done": "Your card is renewed", "paid": "€12.90 by card",
    },
}  # fmt: skip
# A folder for pictures of every stage, to look at.
PICTURES = os.environ.get("XUKA_PICTURES", "")


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def at_the_check_page(town: Town, payments: Payments, watched: Watched, who: str) -> Page:
    """Signed in, and a plan chosen."""
    page, email = watched.page, town.shop.people[who].email
    watched.also = (payments.url,)
    watched.go("/account/login/code/")
    page.fill("input[type=email]", email)
    page.press("input[type=email]", "Enter")
    page.fill("input[name=code]", code_in_the_mail(town, email))
    page.press("input[name=code]", "Enter")
    page.click(".the-card a.button")
    page.locator(".choice", has_text=re.compile("€12.90|¥4,980|￥4,980")).get_by_role("button").click()
    page.wait_for_url("**/quotes/*/")
    wish(page)
    return page


def wish(page: Page) -> None:
    """Tick that the service shall begin at once, where the law asks for that."""
    for box in page.locator("[name=begin_at_once]").all():
        box.check()


def captured(payments: Payments) -> dict[str, int]:
    return payments.captured_total()


@pytest.mark.parametrize(
    ("language", "who", "size", "scheme"),
    [("zh-CN", "xiaoyu", PHONE, "light"), ("en-GB", "emma", DESK, "dark"), ("en-GB", "emma", PHONE, "light")],
)
def test_paid_by_card_after_a_decline_and_after_going_away(
    town: Town, payments: Payments, worker: None, open_page: Callable[..., Watched], language: str, who: str,
    size: dict, scheme: str,
) -> None:  # fmt: skip
    words, watched = WORDS[language], open_page(language=language, size=size, scheme=scheme)
    page = at_the_check_page(town, payments, watched, who)
    where = f"{language}-{size['width']}"
    expect(page.get_by_role("radio", name=words["wallet"])).to_be_checked()
    page.get_by_role("radio", name=words["card"]).check()
    expect(page.locator("[name=save_card]")).not_to_be_checked()
    watched.check()
    picture(page, f"check-{where}")
    page.get_by_role("button", name=words["order"], exact=True).dblclick()
    page.wait_for_url("**/c/pay/*")
    page.locator("button[value=back]").click()
    page.wait_for_url("**/orders/*/")
    expect(page.get_by_role("heading", name=words["waits"])).to_be_visible()
    watched.check()
    picture(page, f"waiting-{where}")
    page.get_by_role("button", name=words["on"]).click()
    page.locator("button[value=decline]").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.locator("button[value=back]").click()
    expect(page.get_by_role("heading", name=words["declined"])).to_be_visible(timeout=15_000)
    watched.check()
    picture(page, f"declined-{where}")
    assert captured(payments) == {}
    page.get_by_role("button", name=words["on"]).click()
    page.locator("button[value=pay]").click()
    page.wait_for_url("**/orders/*/")
    expect(page.get_by_role("heading", name=words["done"])).to_be_visible(timeout=15_000)
    expect(page.get_by_text(words["paid"])).to_be_visible()
    watched.check()
    picture(page, f"paid-{where}")
    assert captured(payments) == {"eur": 12_90}
    assert len(payments.sessions()) == 1
    assert len(town.world.truth()) == 1


def test_the_check_page_that_comes_back_as_it_was_left_has_a_new_payment(
    town: Town, payments: Payments, worker: None, open_page: Callable[..., Watched]
) -> None:
    page = at_the_check_page(town, payments, open_page(language="en-GB", size=PHONE), "emma")
    used = page.locator("[name=payment]").input_value()
    with page.expect_navigation():  # browsers under test keep no pages: only what they would tell one is here
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(page.locator("[name=payment]")).not_to_have_value(used)


def test_a_card_is_saved_with_consent_pays_with_one_press_and_is_forgotten(
    town: Town, payments: Payments, worker: None, open_page: Callable[..., Watched]
) -> None:
    watched = open_page(language="en-GB", size=PHONE)
    page = at_the_check_page(town, payments, watched, "emma")
    expect(page.locator("[name=save_card]")).to_be_hidden()
    page.get_by_role("radio", name="Card or Apple Pay").check()
    page.get_by_role("checkbox", name=re.compile("Keep this card")).check()
    watched.check()
    page.get_by_role("button", name="Order with obligation to pay €12.90").click()
    page.locator("button[value=secure]").click()
    page.locator("button[value=approve]").click()
    page.wait_for_url("**/orders/*/")
    expect(page.get_by_role("heading", name="Your card is renewed")).to_be_visible(timeout=15_000)
    page.get_by_role("link", name="To my card").click()
    page.click(".the-card a.button")
    page.locator(".choice", has_text="€12.90").get_by_role("button").click()
    page.wait_for_url("**/quotes/*/")
    wish(page)
    page.get_by_role("radio", name=re.compile("Visa ending 4242")).check()
    expect(page.locator("[name=save_card]")).to_be_hidden()
    watched.check()
    picture(page, "saved-card")
    page.get_by_role("button", name="Order with obligation to pay €12.90").click()
    page.wait_for_url("**/orders/*/")
    expect(page.get_by_role("heading", name="Your card is renewed")).to_be_visible(timeout=15_000)
    assert captured(payments) == {"eur": 25_80}
    watched.go("/account/settings/")
    watched.check()
    page.get_by_role("button", name="Forget Visa ending 4242, 12/2029").click()
    expect(page.get_by_text("Nothing is saved.")).to_be_visible()
    watched.check()


def test_a_bank_that_refuses_in_3d_secure_leaves_the_order_waiting_and_nothing_charged(
    town: Town, payments: Payments, worker: None, open_page: Callable[..., Watched]
) -> None:
    watched = open_page(language="en-GB", size=PHONE)
    page = at_the_check_page(town, payments, watched, "emma")
    page.get_by_role("radio", name="Card or Apple Pay").check()
    page.get_by_role("button", name="Order with obligation to pay €12.90").click()
    page.locator("button[value=secure]").click()
    page.locator("button[value=refuse]").click()
    page.locator("button[value=back]").click()
    expect(page.get_by_role("heading", name="The payment was declined")).to_be_visible(timeout=15_000)
    page.get_by_text("Pay in another way", exact=True).click()
    expect(page.get_by_role("radio", name="My wallet")).to_be_checked()
    watched.check()
    picture(page, "another-way")
    page.get_by_role("button", name="Pay €12.90").click()
    expect(page.get_by_role("heading", name="Your card is renewed")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("€12.90 from your wallet")).to_be_visible()
    assert captured(payments) == {}


def test_japans_final_confirmation_in_a_browser_and_without_javascript(
    town: Town, payments: Payments, worker: None, open_page: Callable[..., Watched]
) -> None:
    watched = open_page(language="en-GB", size=PHONE, javascript=False)
    page = at_the_check_page(town, payments, watched, "sato")
    expect(page.get_by_role("heading", name="Final confirmation")).to_be_visible()
    picture(page, "final-confirmation")
    page.get_by_role("radio", name="Card or Apple Pay").check()
    page.locator("form#pay button").click()
    page.locator("button[value=pay]").click()
    page.wait_for_url("**/orders/*/")
    expect(page.get_by_role("heading", name="Your card is renewed")).to_be_visible(timeout=25_000)
    assert list(captured(payments)) == ["jpy"]
    assert not watched.wrong
