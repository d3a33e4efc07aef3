"""A voucher's code typed on a phone, with and without JavaScript: whole, clean for axe, and in the wallet."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from playwright.sync_api import expect

from tests.browser.town import CHROMIUM, DESK, Town, Watched, now

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]

PICTURES = os.environ.get("XUKA_PICTURES", "")


@pytest.mark.parametrize(
    ("language", "stored", "size", "scheme", "javascript"),
    [
        ("zh-CN", "zh-hans", {"width": 320, "height": 640}, "dark", False),
        ("fr-BE", "fr", {"width": 320, "height": 640}, "light", True),
        ("ja-JP", "ja", DESK, "light", True),
    ],
)
def test_a_code_typed_on_the_page_is_in_the_wallet(
    town: Town, open_page: Callable[..., Watched], language: str, stored: str, size: dict, scheme: str, javascript: bool
) -> None:
    from xuka.accounts import operations as accounts
    from xuka.kernel.money import Money
    from xuka.payments import vouchers

    emma, id = town.shop.people["emma"], uuid4()
    accounts.set_language(customer=emma.id, language=stored, now=now())
    terms: dict[str, Any] = {"value": Money(20_00, "EUR"), "number": 1, "redeem_by": now() + timedelta(days=9)}
    (card,) = vouchers.make(id=id, staff=town.shop.staff.id, why="for a kiosk", now=now(), **terms)
    vouchers.sell(batch_id=id, to="a kiosk", staff=town.shop.staff.id, why="paid", now=now())
    client = Client()
    client.force_login(emma)
    watched = open_page(language=language, size=size, scheme=scheme, javascript=javascript)
    session = client.cookies["sessionid"].value
    watched.page.context.add_cookies([{"name": "sessionid", "value": session, "url": watched.address}])

    def look(name: str) -> None:
        if javascript:  # axe runs in the page
            watched.check()
        wide = watched.page.locator("main").evaluate("(one) => one.scrollWidth > window.innerWidth")
        assert not wide
        if PICTURES:
            watched.page.screenshot(path=f"{PICTURES}/voucher_{language}_{name}.png", full_page=True)

    watched.go("/account/settings/")
    watched.page.locator("a[href='/voucher/']").click()
    look("empty")
    watched.page.locator("[name=voucher]").fill(card.code.lower()[:-1])
    watched.page.locator("main form .button").click()
    expect(watched.page.locator(".errorlist")).to_be_visible()
    watched.wrong = [one for one in watched.wrong if "422" not in one]
    look("mistyped")
    watched.page.locator("[name=voucher]").fill(card.code.lower().replace("-", " "))
    watched.page.locator("main form .button").click()
    expect(watched.page.locator("main dd strong")).to_contain_text("60")
    look("done")
