"""A customer in a real browser: sign in, renew, read the mail; in Chinese and in English, on a phone and on a desk."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.core.cache import cache
from django.db import close_old_connections, connections
from playwright.sync_api import Browser, Page, Playwright, expect
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from werkzeug.serving import make_server

from sandbox.carrier.app import application as carrier_application
from sandbox.carrier.world import World
from sandbox.mail.app import application as mail_application
from sandbox.mail.inbox import Inbox, Postbox
from sandbox.transport import InProcess
from tests.journeys.web_world import Shop, open_shop
from xuka.activation import operations as activation
from xuka.interfaces.jobs import tasks  # noqa: F401 - the worker's jobs
from xuka.messaging import operations as messaging

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
# Playwright's own loop runs in this thread; Django's check for it knows nothing of that.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="Chromium is not installed"),
]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield browser
    browser.close()


@dataclass
class Town:
    """The shop, and the world around it: the carrier, the mailbox and the page that shows it."""

    shop: Shop
    world: World
    inbox: Inbox
    mailbox: str


@pytest.fixture
def town(monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    world, inbox = World(now=now, seed=1, balance=5_000_00, limited=False), Inbox(now=now)
    carrier = {
        "connector": "xuka.connectors.carriers.airalo.connector.Airalo",
        "base_url": "http://carrier.test",
        "client_id": "sandbox",
        "client_secret": "sandbox-secret",
        "transport": InProcess(carrier_application(world)),
    }
    monkeypatch.setattr(settings, "CARRIERS", {"airalo": carrier})
    page = make_server("127.0.0.1", 0, mail_application(inbox), threaded=True)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    with Postbox(inbox) as postbox:
        host, port = postbox.address
        monkeypatch.setitem(settings.CHANNELS, "email", {**settings.CHANNELS["email"], "host": host, "port": port})
        activation.carrier.cache_clear()
        messaging.channel.cache_clear()
        cache.clear()
        shop = open_shop(now=now(), seed_card=world.seed_card)
        yield Town(shop, world, inbox, f"http://127.0.0.1:{page.server_port}")
    page.shutdown()
    activation.carrier.cache_clear()
    messaging.channel.cache_clear()


@dataclass
class Watched:
    """A page that remembers what must not happen."""

    page: Page
    address: str
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda r: None if r.url.startswith(self.address) else self.wrong.append(r.url))

    def go(self, path: str) -> None:
        self.page.goto(self.address + path)

    def check(self) -> None:
        """No console error, no foreign request, nothing serious for axe, nothing wider than the screen."""
        found = Axe().run(self.page).response["violations"]
        serious = [one for one in found if one["impact"] in {"serious", "critical"}]
        assert not serious, [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious]
        width = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width <= 0, f"{self.page.url} is {width} px too wide"
        small = self.page.evaluate(
            """[...document.querySelectorAll("button, input:not([type=hidden]), select, .button, nav a, .list a")]
               .filter(e => e.offsetParent && e.type != "checkbox" && e.getBoundingClientRect().height < 43.5)
               .map(e => e.outerHTML)"""
        )
        assert not small, small
        assert not self.wrong, self.wrong


@pytest.fixture
def open_page(chromium: Browser, live_server) -> Iterator[Callable[..., Watched]]:
    contexts = []

    def opened(*, language: str, size: dict[str, int], scheme: str = "light", javascript: bool = True) -> Watched:
        context = chromium.new_context(
            locale=language, viewport=size, color_scheme=scheme, reduced_motion="reduce", java_script_enabled=javascript
        )
        contexts.append(context)
        return Watched(context.new_page(), live_server.url)

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def worker() -> Iterator[None]:
    """Does every job once, in order, in a thread of its own."""
    stop = threading.Event()

    def work() -> None:
        done = 0
        while not stop.wait(0.2):
            close_old_connections()
            for job in ProcrastinateJob.objects.filter(id__gt=done).order_by("id"):
                done = job.id
                app.tasks[job.task_name](**job.args)
        connections.close_all()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(10)


def code_in_the_mail(town: Town, email: str) -> str:
    """The newest code that arrived for this address."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for mail in reversed(town.inbox.mails):
            if email in mail.recipients and (found := re.search(r"\d{4}-\d{4}", mail.text)):
                return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no code came for {email}")


WORDS = {
    "zh-CN": {
        "send": "发送验证码", "go": "继续", "renew": "续费", "choose": "选这个套餐", "pay": "用钱包支付 €12.90 并续费",
        "done": "续费成功", "until": "有效期至", "back": "回到我的卡", "subject": "续费成功：",
    },
    "en-GB": {
        "send": "Send me a code", "go": "Continue", "renew": "Renew", "choose": "Choose this plan",
        "pay": "Pay €12.90 from my wallet and renew", "done": "Your card is renewed", "until": "valid through",
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
    expect(page.get_by_role("button", name=re.compile(words["choose"]))).to_have_count(2)
    watched.check()
    page.get_by_role("button", name=re.compile(words["choose"])).first.click()
    pay = page.get_by_role("button", name=words["pay"])
    expect(pay).to_be_visible()
    expect(page.locator(".terms").nth(1).locator("li")).to_have_count(6)
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
    for _ in range(50):
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
    page.click("form[action='/orders/'] button")
    expect(page.get_by_role("heading", name="Your card is renewed")).to_be_visible(timeout=20_000)


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
