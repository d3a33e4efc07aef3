"""Every page, light and dark, on a phone of 320 px, at 200 % zoom and on a desk: whole, and clean for axe."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from tests.browser.town import CHROMIUM, DESK, PHONE, Town, Watched
from xuka.accounts import families

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]

# A folder for pictures of every page, to look at.
PICTURES = os.environ.get("XUKA_PICTURES", "")
# 1280 px at 200 % zoom is a viewport of 640.
NARROW, ZOOMED = {"width": 320, "height": 640}, {"width": 640, "height": 400}
PUBLIC = (
    "/", "/plans/", "/plans/?country=BE&voice=yes", "/plans/be-week-3gb-day/",
    "/plans/be-week-3gb-day/summary/",
    "/plans/compare/?plan=be-week-3gb-day&plan=be-month-60gb&plan=jp-month-50gb", "/app/", "/offline/", "/recover/",
    "/account/login/", "/account/login/code/", "/account/signup/", "/account/password/reset/", "/contact/",
    "/withdraw/", "/no-such-page/",
)  # fmt: skip
LANGUAGES = ("zh-CN", "ja-JP", "en-GB", "fr-BE", "nl-BE", "zh-TW")


def own_pages(town: Town, who: str) -> tuple[str, ...]:
    card = town.shop.cards[who].id
    return (
        "/", "/cards/", "/cards/add/", f"/cards/{card}/", f"/cards/{card}/renew/",
        f"/cards/{card}/renew/?until=2027-01-15", "/orders/", "/receipts/", "/contact/", "/account/settings/",
        "/settings/notifications/", "/family/", f"/cards/{card}/auto/", "/gifts/", "/account/payout/", "/voucher/",
    )  # fmt: skip


def look_after(town: Town, who: str, whose: str) -> None:
    """The one sees and renews the other's card from now on, as agreed; a further person is invited."""
    organiser, member, now = town.shop.people[who], town.shop.people[whose], town.shop.now
    families.found(id=uuid4(), customer=organiser.id, now=now)
    families.invite(id=uuid4(), organiser=organiser.id, email="grandmother@post.example", now=now)
    _, secret = families.invite(id=uuid4(), organiser=organiser.id, email=member.email, now=now)
    told = {"email": member.email, "organiser": organiser.id, "words": "I agree.", "language": "en"}
    families.accept(secret=secret, customer=member.id, **told, now=now)


def enter(town: Town, watched: Watched, who: str) -> None:
    """As this person, from the next page on."""
    client = Client()
    client.force_login(town.shop.people[who])
    session = client.cookies["sessionid"].value
    watched.page.context.add_cookies([{"name": "sessionid", "value": session, "url": watched.address}])
    watched.go("/")
    expect(watched.page.locator(".ring")).to_be_visible()


def check(watched: Watched, size: dict) -> None:
    """Whole and clean; on a phone in light and in dark."""
    watched.check()
    if size == PHONE:
        for scheme in ("light", "dark"):
            watched.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            watched.check()


def look(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name.strip('/').replace('/', '_') or 'home'}.png", full_page=True)


@pytest.mark.parametrize(
    ("language", "size", "scheme"),
    [
        ("en-GB", NARROW, "light"),
        ("zh-CN", PHONE, "dark"),
        pytest.param("nl-BE", ZOOMED, "dark", marks=pytest.mark.soak),
        pytest.param("ja-JP", DESK, "light", marks=pytest.mark.soak),
    ],
)
def test_public_pages_are_whole_and_clean(
    town: Town, open_page: Callable[..., Watched], language: str, size: dict, scheme: str
) -> None:
    watched = open_page(language=language, size=size, scheme=scheme)
    for path in PUBLIC:
        watched.go(path)
        watched.wrong = [one for one in watched.wrong if "404" not in one]
        check(watched, size)


@pytest.mark.parametrize(
    ("language", "who", "size", "scheme"),
    [
        ("zh-CN", "xiaoyu", NARROW, "dark"),
        pytest.param("en-GB", "sato", ZOOMED, "light", marks=pytest.mark.soak),
        pytest.param("en-GB", "emma", DESK, "dark", marks=pytest.mark.soak),
        ("en-GB", "emma", PHONE, "light"),
    ],
)
def test_pages_of_ones_own_are_whole_and_clean(
    town: Town, worker: None, open_page: Callable[..., Watched], language: str, who: str, size: dict, scheme: str
) -> None:
    watched = open_page(language=language, size=size, scheme=scheme)
    enter(town, watched, who)
    if who == "emma":
        look_after(town, "emma", "xiaoyu")
    for path in own_pages(town, who):
        watched.go(path)
        assert watched.page.url.startswith(watched.address + path), "this page is theirs, not that of the sign-in"
        check(watched, size)
    watched.go(f"/cards/{town.shop.cards[who].id}/renew/")
    watched.page.locator(".choices form button").first.click()
    watched.page.wait_for_url("**/quotes/*/")
    check(watched, size)


@pytest.mark.skipif(not PICTURES, reason="pictures are taken when XUKA_PICTURES names a folder")
@pytest.mark.parametrize("language", LANGUAGES)
def test_pictures_of_every_page(town: Town, worker: None, open_page: Callable[..., Watched], language: str) -> None:
    for size, name in ((PHONE, "phone"), (DESK, "desk")):
        visitor = open_page(language=language, size=size)
        for path in PUBLIC:
            visitor.go(path)
            look(visitor.page, f"{language}-{name}-{path}")
        person = town.shop.people["xiaoyu"]
        stored = {"zh-CN": "zh-hans", "ja-JP": "ja", "en-GB": "en", "fr-BE": "fr", "nl-BE": "nl", "zh-TW": "zh-hant"}[
            language
        ]
        type(person).objects.filter(id=person.id).update(language=stored)
        watched = open_page(language=language, size=size)
        enter(town, watched, "xiaoyu")
        for path in own_pages(town, "xiaoyu"):
            watched.go(path)
            look(watched.page, f"{language}-{name}-own-{path.split('/')[-2] if path != '/' else 'home'}")
        watched.go(f"/cards/{town.shop.cards['xiaoyu'].id}/renew/")
        watched.page.locator(".choices form button").first.click()
        watched.page.wait_for_url("**/quotes/*/")
        look(watched.page, f"{language}-{name}-check")
