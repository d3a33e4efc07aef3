"""What a customer hears, in a real browser: the choices, the links of a reminder, and a reminder on this device."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from playwright.sync_api import BrowserContext, CDPSession, Page, expect

from tests.browser.town import CHROMIUM, DESK, PHONE, Town, Watched, now
from xuka.connectors.channels.webpush import wire
from xuka.messaging.contract import Letter

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]

PICTURES = os.environ.get("XUKA_PICTURES", "")
NARROW = {"width": 320, "height": 640}
STORED = {"zh-CN": "zh-hans", "ja-JP": "ja", "en-GB": "en"}
# 32 bytes of base64url: a key for tests alone.
KEY = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
# A browser's own subscription; the push service is nobody's.
SUBSCRIPTION = {
    "endpoint": "https://push.example/abc",
    "expirationTime": None,
    "keys": {
        "p256dh": "BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM",
        "auth": "tBHItJI5svbpez7KI4CCXg",
    },
}
# Chromium without a push service of its own cannot subscribe: the browser's answer stands in, and only that.
SUBSCRIBES = """PushManager.prototype.subscribe = async function (options) {
  const { userVisibleOnly, applicationServerKey } = options;
  sessionStorage.asked = JSON.stringify([userVisibleOnly, [...applicationServerKey]]);
  return { toJSON: () => (%s) };
};"""
# Who asks Chromium for its notifications while one is on its way can make it forget that one: so they are counted.
SHOWS_ARE_COUNTED = """() => {
  const { registration } = self;
  const show = registration.showNotification.bind(registration);
  self.shown = 0;
  registration.showNotification = async (...told) => {
    await show(...told);
    self.shown += 1;
  };
}"""
SHOWN = """async (number) => {
  for (let tries = 0; tries < 300 && self.shown < number; tries += 1) await new Promise((go) => setTimeout(go, 100));
  return self.shown;
}"""
ARE_GONE = """async () => {
  const left = async () => (await self.registration.getNotifications()).length;
  for (let tries = 0; tries < 300 && await left(); tries += 1) await new Promise((go) => setTimeout(go, 100));
  return !await left();
}"""


@pytest.fixture
def ways(town: Town, settings: Any) -> Iterator[None]:
    """Web Push and every messenger are offered."""
    from xuka.messaging import operations as messaging

    push = {
        "connector": "xuka.connectors.channels.webpush.connector.WebPush",
        "private_key": KEY,
        "contact": "a@b.example",
    }
    settings.CHANNELS = {**settings.CHANNELS, "webpush": push, "telegram": {}, "line": {}, "wechat": {}}
    settings.CHATS = {name: {"account": f"xuka-{name}", "secret": "s"} for name in ("telegram", "line", "wechat")}
    messaging.channel.cache_clear()
    yield
    messaging.channel.cache_clear()


def enter(town: Town, watched: Watched, language: str) -> None:
    """As Xiaoyu, who speaks this language."""
    from xuka.accounts import operations as accounts

    person = town.shop.people["xiaoyu"]
    accounts.set_language(customer=person.id, language=STORED[language], now=now())
    client = Client()
    client.force_login(person)
    session = client.cookies["sessionid"].value
    watched.page.context.add_cookies([{"name": "sessionid", "value": session, "url": watched.address}])


def linked(town: Town) -> tuple[str, str, str]:
    """The paths of a reminder's link to read, of the one to hear no more, and of one that is wrong."""
    from xuka.interfaces.web import links

    line = town.shop.cards["xiaoyu"]
    owner = town.shop.people["xiaoyu"].id
    read = links.reading(line_id=line.id, owner=owner, now=now())
    stop = links.unsubscribe(customer=owner, groups=frozenset({"ending", "usage"}))
    return f"/r/{read.split('/r/')[1]}", f"/u/{stop.split('/u/')[1]}", "/r/nothing/"


def look(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        ("zh-CN", [(NARROW, "light"), (NARROW, "dark"), (DESK, "light")]),
        ("ja-JP", [(PHONE, "light"), (PHONE, "dark"), (DESK, "dark")]),
    ],
)
def test_choices_and_links_are_whole_and_clean(
    town: Town, ways: None, open_page: Callable[..., Watched], language: str, shown: list[tuple[dict, str]]
) -> None:
    own, visitor = (open_page(language=language, size=PHONE) for _ in range(2))
    enter(town, own, language)
    pages = [(own, "/settings/notifications/"), *((visitor, path) for path in linked(town))]
    for at, (watched, path) in enumerate(pages):
        watched.go(path)
        assert watched.page.url == watched.address + path, "this page is theirs, not that of the sign-in"
        assert watched.page.locator("html").get_attribute("lang") == {"zh-CN": "zh-Hans", "ja-JP": "ja"}[language]
        watched.wrong = [one for one in watched.wrong if "404" not in one]
        for size, scheme in shown if at < 3 else shown[:1]:
            watched.page.set_viewport_size(size)  # pyright: ignore[reportArgumentType]
            watched.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # pyright: ignore[reportArgumentType]
            watched.check()
            look(watched.page, f"reminders-{language}-{size['width']}-{scheme}-{at}")


def test_no_more_is_one_click_without_signing_in(town: Town, open_page: Callable[..., Watched]) -> None:
    from xuka.accounts import queries as accounts

    watched = open_page(language="en-GB", size=PHONE)
    _, path, _ = linked(town)
    watched.go(path)
    customer = town.shop.people["xiaoyu"].id
    assert accounts.choices_of(customer).ending == {"email"}
    watched.page.get_by_role("main").get_by_role("button").click()
    expect(watched.page.get_by_role("status")).to_be_visible()
    told = accounts.choices_of(customer)
    assert (told.ending, told.usage, told.renewal) == (frozenset(), frozenset(), {"email"})
    watched.check()


def test_a_browser_subscribes_with_the_shops_key(town: Town, ways: None, open_page: Callable[..., Watched]) -> None:
    from xuka.accounts import queries as accounts
    from xuka.interfaces.web import notifications

    watched = open_page(language="en-GB", size=PHONE)
    page = watched.page
    page.context.grant_permissions(["notifications"], origin=watched.address)
    enter(town, watched, "en-GB")
    page.add_init_script(SUBSCRIBES % json.dumps(SUBSCRIPTION))
    watched.go("/settings/notifications/")
    page.get_by_role("button", name="Show reminders on this device").click()
    expect(page.get_by_text("Reminders are shown on this device from now on.")).to_be_visible()
    is_shown, key = json.loads(page.evaluate("sessionStorage.asked"))
    assert is_shown
    assert wire.base64url(bytes(key)) == notifications.push_key()
    customer = town.shop.people["xiaoyu"].id
    (contact,) = accounts.contacts_of(customer)
    kept = {name: SUBSCRIPTION[name] for name in ("endpoint", "keys")}
    assert (contact.channel, json.loads(contact.address)) == ("webpush", kept)
    assert "webpush" in accounts.choices_of(customer).ending
    watched.check()


def test_who_does_not_allow_it_is_told_so(town: Town, ways: None, open_page: Callable[..., Watched]) -> None:
    from xuka.accounts import queries as accounts

    watched = open_page(language="en-GB", size=PHONE)
    enter(town, watched, "en-GB")
    watched.page.add_init_script("Notification.requestPermission = async () => 'denied'")
    watched.go("/settings/notifications/")
    button = watched.page.get_by_role("button", name="Show reminders on this device")
    button.click()
    expect(watched.page.locator("[data-push-refused]")).to_be_visible()
    expect(button).to_be_enabled()  # who allows it after all presses it once more
    assert accounts.contacts_of(town.shop.people["xiaoyu"].id) == []
    watched.check()


def test_a_push_shows_a_reminder_that_opens_our_own_page_alone(town: Town, open_page: Callable[..., Watched]) -> None:
    watched = open_page(language="en-GB", size=PHONE)
    page, context = watched.page, watched.page.context
    context.grant_permissions(["notifications"], origin=watched.address)
    watched.go("/")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    path, _, _ = linked(town)
    words = {"language": "en", "subject": "Your card ends in 3 days"}
    ours = Letter(uuid4(), "", text=f"Nothing is booked after that.\n{watched.address}{path}", **words)
    theirs = Letter(uuid4(), "", text="Read on:\nhttps://elsewhere.example/", **words)
    (worker,) = context.service_workers
    worker.evaluate(SHOWS_ARE_COUNTED)
    browser, registration = registered(context, page)
    for number, letter in enumerate((ours, ours, theirs), 1):  # the second copy takes the first one's place
        told = {"origin": watched.address, "registrationId": registration, "data": wire.payload_of(letter).decode()}
        browser.send("ServiceWorker.deliverPushMessage", told)
        assert worker.evaluate(SHOWN, number) == number
    shown = "async () => (await self.registration.getNotifications()).map((one) => [one.title, one.body, one.data.url])"
    found = sorted(worker.evaluate(shown))
    assert [title for title, _, _ in found] == [ours.subject] * 2
    assert found[0][1:] == ["Nothing is booked after that.", f"{watched.address}{path}"]
    # A click opens what is ours; what is elsewhere becomes the first page.
    opened = """async () => {
        const opened = [];
        self.clients.openWindow = async (url) => opened.push(url);
        for (const notification of await self.registration.getNotifications()) {
            self.dispatchEvent(new NotificationEvent("notificationclick", { notification }));
        }
        return opened.sort();
    }"""
    assert worker.evaluate(opened) == ["/", f"{watched.address}{path}"]
    assert worker.evaluate(ARE_GONE)
    assert not watched.wrong, watched.wrong


def registered(context: BrowserContext, page: Page) -> tuple[CDPSession, str]:
    """The browser's own number of the page's service worker, and who can be told it."""
    found: list[str] = []
    browser = context.new_cdp_session(page)
    browser.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda told: found.extend(one["registrationId"] for one in told["registrations"]),
    )
    browser.send("ServiceWorker.enable")
    for _ in range(300):
        if found:
            break
        page.wait_for_timeout(100)
    return browser, found[-1]
