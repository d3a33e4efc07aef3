"""Automatic renewal in a real browser, on a phone, in Chinese: agreed to by its owner, and ended by one button."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from django.test import Client
from playwright.sync_api import expect

from tests.browser.town import CHROMIUM, PHONE, Town, Watched
from xuka.accounts import operations as accounts
from xuka.renewals import queries as renewals

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]


def test_a_card_renews_itself_only_once_its_owner_has_ticked_the_box(
    town: Town, worker: None, open_page: Callable[..., Watched]
) -> None:
    person, card = town.shop.people["xiaoyu"], town.shop.cards["xiaoyu"]
    accounts.set_language(customer=person.id, language="zh-hans", now=town.shop.now)
    client = Client()
    client.force_login(person)
    watched = open_page(language="zh-CN", size=PHONE)
    page = watched.page
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": watched.address}
    page.context.add_cookies([session])  # pyright: ignore[reportArgumentType]
    watched.go(f"/cards/{card.id}/auto/")
    watched.check()
    box, agree = page.locator("input[name=agreed]"), page.locator("form.sheet button.full")
    assert not box.is_checked()
    page.locator("input[name=trigger]").first.check()
    page.locator("input[name=pay_with]").first.check()
    agree.click()
    assert renewals.auto_renewal(card.id) is None, "the browser asks for the box first"
    box.check()
    agree.click()
    off = page.locator("button[name=off]")
    expect(off).to_be_visible()
    watched.check()
    auto = renewals.auto_renewal(card.id)
    assert auto is not None
    assert (auto.state, auto.consent_language) == ("on", "zh-hans")
    watched.go(f"/cards/{card.id}/auto/")
    off.click()
    expect(page.locator("button[name=off]")).to_have_count(0)
    auto = renewals.auto_renewal(card.id)
    assert auto is not None
    assert auto.state == "off"
