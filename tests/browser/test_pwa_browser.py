"""The shop on a phone's home screen and without a network, in a real browser; and every part of the design."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from tests.browser.town import CHROMIUM, DESK, PHONE, Town, Watched

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]


@pytest.mark.urls("tests.journeys.web_demo_urls")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_part_of_the_design_can_be_read_light_and_dark(open_page: Callable[..., Watched], scheme: str) -> None:
    watched = open_page(language="en-GB", size=DESK, scheme=scheme)
    watched.go("/demo/look")
    watched.check()
    grounds = watched.page.eval_on_selector_all(
        ".side", "sides => sides.map(side => getComputedStyle(side).backgroundColor)"
    )
    assert grounds == ["rgb(245, 244, 239)", "rgb(15, 20, 24)"]


def sign_in(town: Town, watched: Watched, who: str) -> None:
    """As this person, from the next page on."""
    client = Client()
    client.force_login(town.shop.people[who])
    session = client.cookies["sessionid"].value
    watched.page.context.add_cookies([{"name": "sessionid", "value": session, "url": watched.address}])


def wait_for_the_worker(page: Page) -> None:
    """It answers for the next page, and the page without a network is kept in this page's language."""
    ready = page.evaluate(
        """async () => {
            for (let tries = 0; tries < 100; tries += 1) {
                const kept = await caches.match("/offline/");
                const spoken = kept && kept.headers.get("Content-Language");
                const wanted = document.documentElement.lang.toLowerCase();
                const { active } = await navigator.serviceWorker.ready;
                if (active.state === "activated" && spoken === wanted) return true;
                await new Promise((go) => setTimeout(go, 100));
            }
            return false;
        }"""
    )
    assert ready


def test_the_shop_can_be_installed(open_page: Callable[..., Watched]) -> None:
    watched = open_page(language="zh-CN", size=PHONE)
    watched.go("/")
    wait_for_the_worker(watched.page)
    browser = watched.page.context.new_cdp_session(watched.page)
    assert browser.send("Page.getAppManifest")["errors"] == []
    errors = [error["errorId"] for error in browser.send("Page.getInstallabilityErrors")["installabilityErrors"]]
    assert set(errors) <= {"in-incognito"}  # as every context of a test is
    watched.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_the_phone_can_be_read(open_page: Callable[..., Watched], scheme: str) -> None:
    watched = open_page(language="ja-JP", size=PHONE, scheme=scheme)
    for path in ("/app/", "/offline/", "/"):
        watched.go(path)
        watched.check()


def test_without_a_network_the_last_known_state_of_the_card_is_shown(
    town: Town, open_page: Callable[..., Watched]
) -> None:
    watched = open_page(language="en-GB", size=PHONE)
    page = watched.page
    sign_in(town, watched, "emma")
    watched.go("/")
    plan, until = page.inner_text("h1"), page.inner_text(".until time")
    wait_for_the_worker(page)
    page.context.set_offline(True)
    watched.go("/orders/")
    expect(page.get_by_role("heading", name="There is no network")).to_be_visible()
    expect(page.locator("[data-last=plan]")).to_have_text(plan)
    expect(page.locator("[data-last=until]")).to_have_text(until)
    assert page.inner_text("[data-last=at]")
    expect(page.locator("[data-last-none]")).to_be_hidden()
    page.context.set_offline(False)
    watched.wrong.clear()  # the browser complains of the network it had not
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="There is no network")).to_be_hidden()
    watched.check()


def test_without_a_network_and_without_a_card_it_says_what_to_do(open_page: Callable[..., Watched]) -> None:
    watched = open_page(language="en-GB", size=PHONE)
    watched.go("/")
    wait_for_the_worker(watched.page)
    watched.page.context.set_offline(True)
    watched.go("/")
    expect(watched.page.locator("[data-last-none]")).to_be_visible()
    expect(watched.page.locator("[data-last-card]")).to_be_hidden()


def test_no_page_of_a_person_stays_in_the_browser_and_signing_out_clears_the_rest(
    town: Town, open_page: Callable[..., Watched]
) -> None:
    watched = open_page(language="en-GB", size=PHONE)
    page = watched.page
    sign_in(town, watched, "emma")
    for path in ("/", "/orders/", "/account/settings/"):
        watched.go(path)
    wait_for_the_worker(page)
    watched.go("/cards/")
    kept = page.evaluate(
        """async () => {
            const found = {};
            for (const name of await caches.keys()) {
                const cache = await caches.open(name);
                for (const request of await cache.keys()) {
                    found[new URL(request.url).pathname] = await (await cache.match(request)).text();
                }
            }
            return found;
        }"""
    )
    files = {"/static/xuka/xuka.css", "/static/xuka/xuka.js", "/static/xuka/icon.svg"}
    assert set(kept) == {*files, "/offline/"}
    assert town.shop.people["emma"].email not in kept["/offline/"]
    assert page.evaluate("localStorage.getItem('xuka-card')")
    watched.go("/account/settings/")
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url(f"{watched.address}/")
    assert page.evaluate("localStorage.getItem('xuka-card')") is None


def test_the_page_without_a_network_follows_a_change_of_the_language(open_page: Callable[..., Watched]) -> None:
    watched = open_page(language="en-GB", size=PHONE)
    page = watched.page
    watched.go("/")
    wait_for_the_worker(page)
    page.click(".language summary")
    page.click(".language button[value=nl]")
    page.wait_for_selector("html[lang=nl]")
    wait_for_the_worker(page)
    page.context.set_offline(True)
    watched.go("/")
    assert page.get_attribute("html", "lang") == "nl"


def test_the_page_that_asks_for_money_shows_the_way_out_of_wechat(town: Town) -> None:
    client = Client(headers={"User-Agent": "Mozilla/5.0 Mobile MicroMessenger/8.0.50"})
    client.force_login(town.shop.people["emma"])
    plan = str(town.shop.plan("be-week-3gb-day").id)
    page = client.post(f"/cards/{town.shop.cards['emma'].id}/quote/", {"plan": plan}, follow=True).content.decode()
    assert 'action="/orders/"' in page
    assert page.count('<b lang="zh-Hans">在浏览器打开</b>') == 1
