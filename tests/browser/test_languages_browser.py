"""Renewals in Japanese, French and Dutch, a first eSIM in Japanese, names that nobody designs for: in a browser."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.town import CHROMIUM, DESK, PHONE, Town, Watched, code_in_the_mail

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]

WORDS = {
    "ja": ("ja-JP", "更新する", "注文を確定して支払う", "更新が完了しました"),
    "fr": ("fr-BE", "Renouveler", "Commande avec obligation de paiement", "Votre carte est renouvelée"),
    "nl": ("nl-BE", "Verlengen", "Bestelling met betalingsverplichting", "Uw kaart is verlengd"),
}


def enter(town: Town, watched: Watched, who: str, language: str) -> Page:
    """Signed in by the code in the mail, as someone who reads this language."""
    page, person = watched.page, town.shop.people[who]
    type(person).objects.filter(id=person.id).update(language=language)
    watched.go("/account/login/code/")
    page.fill("input[type=email]", person.email)
    page.press("input[type=email]", "Enter")
    page.fill("input[name=code]", code_in_the_mail(town, person.email))
    page.press("input[name=code]", "Enter")
    expect(page.locator(".ring")).to_be_visible()
    return page


def wish(page: Page) -> None:
    """Tick that the service shall begin at once, where the law asks for that."""
    for box in page.locator("[name=begin_at_once]").all():
        box.check()


@pytest.mark.parametrize(("language", "size"), [("ja", PHONE), ("fr", DESK), ("nl", PHONE)])
def test_a_card_is_renewed_in_every_other_language(
    town: Town, worker: None, open_page: Callable[..., Watched], language: str, size: dict
) -> None:
    locale, renew, order, done = WORDS[language]
    watched = open_page(language=locale, size=size)
    page = enter(town, watched, "emma", language)
    watched.check()
    page.get_by_role("link", name=renew, exact=True).click()
    watched.check()
    page.locator(".choice", has_text="12,90" if language != "ja" else "12.90").get_by_role("button").click()
    page.wait_for_url("**/quotes/*/")
    watched.check()
    page.wait_for_url("**/quotes/*/")
    wish(page)
    page.get_by_role("button", name=order).click()
    page.wait_for_url("**/orders/*/")
    expect(page.get_by_role("heading", name=done)).to_be_visible(timeout=15_000)
    watched.check()
    assert page.locator("html").get_attribute("lang") == language
    assert len(town.world.truth()) == 1


def test_a_first_esim_is_bought_and_installed_in_japanese(
    town: Town, worker: None, open_page: Callable[..., Watched]
) -> None:
    watched = open_page(language="ja-JP", size=PHONE)
    page = enter(town, watched, "sato", "ja")
    watched.go("/plans/jp-week-5gb/")
    watched.check()
    page.get_by_role("link", name="購入").first.click()
    watched.check()
    page.locator("main form button.full").first.click()
    page.wait_for_url("**/quotes/*/")
    watched.check()
    page.wait_for_url("**/quotes/*/")
    wish(page)
    page.get_by_role("button", name="注文を確定して支払う").dblclick()
    page.wait_for_url("**/orders/*/")
    install = page.get_by_role("link", name="eSIMのインストール")
    expect(install.first).to_be_visible(timeout=15_000)
    watched.check()
    install.first.click()
    page.wait_for_url("**/cards/*/install/")
    expect(page.locator(".esim-qr svg")).to_be_visible()
    expect(page.locator("#esim-lpa")).to_contain_text("LPA:1$")
    apple = page.locator(".esim-one-tap a").first.get_attribute("href")
    assert apple
    assert apple.startswith("https://esimsetup.apple.com/esim_qrcode_provisioning?carddata=LPA:1$")
    watched.check()
    assert len(town.world.truth()) == 1


@pytest.mark.parametrize("name", ["王" * 120, "مريم \u202eعلي", "👩‍👩‍👧‍👦" * 10, "Donaudampfschifffahrt" * 5])
def test_a_name_that_is_long_runs_the_other_way_or_is_all_emoji_breaks_no_page(
    town: Town, worker: None, open_page: Callable[..., Watched], name: str
) -> None:
    watched = open_page(language="en-GB", size={"width": 320, "height": 640})
    person = town.shop.people["emma"]
    type(person).objects.filter(id=person.id).update(name=name)
    enter(town, watched, "emma", "en")
    for path in ("/", "/account/settings/", "/orders/", "/contact/"):
        watched.go(path)
        watched.check()


def test_on_a_slow_network_the_button_that_pays_is_there_before_the_script_and_pays_once(
    town: Town, worker: None, open_page: Callable[..., Watched]
) -> None:
    watched = open_page(language="en-GB", size=PHONE)
    page = enter(town, watched, "emma", "en")
    wire = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 20_000}
    wire.send("Network.emulateNetworkConditions", slow)
    page.get_by_role("link", name="Renew", exact=True).click()
    page.locator(".choice", has_text="€12.90").get_by_role("button").click()
    page.wait_for_url("**/quotes/*/", wait_until="commit")
    page.locator("[name=begin_at_once]").check()
    page.get_by_role("button", name="Order with obligation to pay").dblclick()
    page.wait_for_url("**/orders/*/", wait_until="commit")
    expect(page.get_by_role("heading", name="Your card is renewed")).to_be_visible(timeout=20_000)
    assert len(town.world.truth()) == 1
    assert not watched.wrong
