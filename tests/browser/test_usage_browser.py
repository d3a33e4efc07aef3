"""A month of use on the card's page in a real browser: readable, whole and clean, on a phone and on a desk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from playwright.sync_api import expect

from tests.browser.town import CHROMIUM, DESK, PHONE, Town, Watched, now

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]

PICTURES = os.environ.get("XUKA_PICTURES", "")
NARROW = {"width": 320, "height": 640}


def look(watched: Watched, name: str) -> None:
    """Clean in light and in dark; with a picture of each where they are wanted."""
    for scheme in ("light", "dark"):
        watched.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        watched.check()
        if PICTURES:
            watched.page.screenshot(path=Path(PICTURES) / f"usage-{name}-{scheme}.png", full_page=True)


@pytest.mark.parametrize(
    ("browser_language", "language", "size", "words"),
    [
        ("zh-CN", "zh-hans", PHONE, ("剩余流量", "现在：限速 1 Mbps")),
        ("ja-JP", "ja", DESK, ("データ残量", "現在：速度制限中")),
    ],
)
def test_a_month_of_use_is_shown_whole_and_clean(
    town: Town, open_page: Callable[..., Watched], browser_language: str, language: str, size: dict,
    words: tuple[str, str],
) -> None:  # fmt: skip
    from tests.journeys import usage_world  # models can be imported once Django is set up

    person = town.shop.people["xiaoyu"]
    type(person).objects.filter(id=person.id).update(language=language)
    card = usage_world.month(town.shop, "xiaoyu", now=now())
    client = Client()
    client.force_login(person)
    watched = open_page(language=browser_language, size=size)
    session = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": watched.address}
    watched.page.context.add_cookies([session])  # type: ignore[list-item]
    watched.go(f"/cards/{card.id}/")
    expect(watched.page.locator(".usage-ring .ring")).to_contain_text(words[0])
    expect(watched.page.locator(".speed.warn")).to_contain_text(words[1])
    expect(watched.page.get_by_role("img", name="30")).to_be_visible()
    expect(watched.page.locator("g.chart-home rect")).to_have_count(24)
    look(watched, f"{language}-{size['width']}")
    watched.page.locator(".chart summary").click()
    expect(watched.page.locator(".chart-table tbody tr")).to_have_count(30)
    watched.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    look(watched, f"{language}-320")
