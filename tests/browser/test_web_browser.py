"""A customer in a real browser: sign in, renew, read the mail; in Chinese and in English, on a phone and on a desk."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.town import CHROMIUM, DESK, PHONE, Town, Watched, code_in_the_mail

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]

WORDS = {
    "zh-CN": {
        "send": "发送验证码", "go": "继续", "renew": "续费", "choose": "选这个套餐", "pay": "提交订单并付款 €12.90",
        "done": "续费成功", "until": "有效期至", "back": "回到我的卡", "subject": "续费成功：",
    },
    "en-GB": {
        "send": "Send me a code", "go": "Continue", "renew": "Renew", "choose": "Choose this plan",
        "pay": "Order with obligation to pay €12.90", "done": "Your card is renewed", "until": "valid through",
        "back": "To my card", "subject": "Your card is renewed: ",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "who", "size", "scheme"),
    [("zh-CN", "xiaoyu", PHONE, "light"), ("en-GB", "emma", DESK, "dark"), ("en-GB", "emma", PHONE, "light")],
)
def test_a_customer_signs_in_renews_and_reads_that_it_is_done(
    town: Town, worker: None, open_page: Callable[..., Watched], language: str, who: str, size: dict, scheme: str
) -> None:
    words, email = WORDS[language], town.shop.people[who].email
    watched = open_page(language=language, size=size, scheme=scheme)
    page = watched.page
    watched.go("/")
    watched.check()
    page.click(".hero a.button")
    page.fill("input[type=email]", email)
    watched.check()
    page.get_by_role("button", name=words["send"]).click()
    page.wait_for_url("**/account/login/code/confirm/")
    watched.check()
    page.fill("input[name=code]", code_in_the_mail(town, email))
    page.get_by_role("button", name=words["go"], exact=True).click()
    expect(page.locator(".ring")).to_be_visible()
    watched.check()
    page.get_by_role("link", name=words["renew"], exact=True).click()
    expect(page.get_by_role("button", name=re.compile(words["choose"]))).to_have_count(6)
    watched.check()
    page.locator(".choice", has_text="€12.90").get_by_role("button", name=re.compile(words["choose"])).click()
    pay = page.get_by_role("button", name=words["pay"])
    expect(pay).to_be_visible()
    expect(page.locator(".terms").nth(2).locator("li")).to_have_count(7)
    page.check("[name=begin_at_once]")
    watched.check()
    pay.dblclick()
    page.wait_for_url("**/orders/*/")
    expect(page.get_by_role("heading", name=words["done"])).to_be_visible(timeout=15_000)
    watched.check()
    assert len(town.world.truth()) == 1
    read_the_mail(town, page, email, words["subject"])
    page.get_by_role("link", name=words["back"]).click()
    expect(page.locator(".ring .left")).to_be_visible()
    watched.check()


def read_the_mail(town: Town, page: Page, email: str, subject: str) -> None:
    """The confirmation is in the mailbox, and its page shows it."""
    mailbox = page.context.new_page()
    mailbox.goto(f"{town.mailbox}/?to={email}")
    for _ in range(150):
        if mailbox.get_by_text(subject).count():
            break
        mailbox.wait_for_timeout(200)
        mailbox.reload()
    mailbox.get_by_text(subject).first.click()
    expect(mailbox.frame_locator("iframe").get_by_text("€12.90").first).to_be_visible()
    mailbox.close()


def test_every_other_page_is_clean_in_the_dark_too(town: Town, worker: None, open_page: Callable[..., Watched]) -> None:
    watched = open_page(language="zh-CN", size=PHONE, scheme="dark")
    for path in ("/account/login/", "/account/signup/", "/account/password/reset/", "/contact/"):
        watched.go(path)
        watched.check()
    watched.go("/account/login/code/")
    watched.page.fill("input[type=email]", "sato@demo.xuka.example")
    watched.page.press("input[type=email]", "Enter")
    watched.page.fill("input[name=code]", code_in_the_mail(town, "sato@demo.xuka.example"))
    watched.page.press("input[name=code]", "Enter")
    expect(watched.page.locator(".ring")).to_be_visible()
    for path in ("/cards/add/", "/orders/", "/account/settings/", "/account/sessions/", "/account/password/set/"):
        watched.go(path)
        watched.check()


def test_it_works_without_javascript(town: Town, worker: None, open_page: Callable[..., Watched]) -> None:
    watched = open_page(language="en-GB", size=PHONE, javascript=False)
    page = watched.page
    watched.go("/account/login/code/")
    page.fill("input[type=email]", "emma@demo.xuka.example")
    page.click("form.form button")
    page.fill("input[name=code]", code_in_the_mail(town, "emma@demo.xuka.example"))
    page.click("form.form button")
    page.click(".the-card a.button")
    page.locator(".choices button").first.click()
    page.check("[name=begin_at_once]")
    page.click("form[action='/orders/'] button")
    expect(page.get_by_role("heading", name="Your card is renewed")).to_be_visible(timeout=20_000)


def test_a_form_that_the_browser_stopped_sending_can_be_sent_again(open_page: Callable[..., Watched]) -> None:
    watched, sent = open_page(language="en-GB", size=PHONE), []
    page = watched.page

    def stop(route: Route) -> None:
        """The answer never comes: as with the browser's own Stop, the page stays."""
        sent.append(route.request)
        route.abort("aborted")

    page.clock.install()
    watched.go("/contact/")
    page.route("**/contact/", stop)
    page.fill("input[type=email]", "emma@demo.xuka.example")
    page.fill("textarea", "Hello")
    button = page.get_by_role("button", name="Send", exact=True)
    with page.expect_event("requestfailed"):
        button.click()
    expect(button).to_be_disabled()
    button.click(force=True)
    assert len(sent) == 1
    page.clock.fast_forward(10_000)
    with page.expect_event("requestfailed"):
        button.click()
    assert len(sent) == 2
    assert sent[0].post_data == sent[1].post_data


def test_the_keyboard_alone_reaches_the_content_first(town: Town, open_page: Callable[..., Watched]) -> None:
    watched = open_page(language="en-GB", size=DESK)
    watched.go("/")
    watched.page.keyboard.press("Tab")
    expect(watched.page.locator(".skip")).to_be_focused()
    watched.page.keyboard.press("Enter")
    assert watched.page.evaluate("document.activeElement.id") == "content"


def test_the_first_page_weighs_less_than_150_kilobytes(town: Town, open_page: Callable[..., Watched]) -> None:
    watched = open_page(language="zh-CN", size=PHONE)
    bodies: list[int] = []
    watched.page.on("response", lambda response: bodies.append(len(response.body())))
    watched.go("/")
    watched.page.wait_for_load_state("networkidle")
    assert 0 < sum(bodies) < 150_000
