"""What the tests in a real browser need: the shop with the world around it, and a page that is watched."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from sandbox.carrier.world import World
from sandbox.mail.inbox import Inbox

if TYPE_CHECKING:
    from tests.journeys.web_world import Shop

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


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Town:
    """The shop, and the world around it: the carrier, the mailbox and the page that shows it."""

    shop: Shop
    world: World
    inbox: Inbox
    mailbox: str


@dataclass
class Watched:
    """A page that remembers what must not happen; requests go to the shop, and to ``also``."""

    page: Page
    address: str
    also: tuple[str, ...] = ()
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on(
            "request", lambda r: None if r.url.startswith((self.address, *self.also)) else self.wrong.append(r.url)
        )

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
               .map(e => ["radio", "checkbox"].includes(e.type) ? e.closest("label") : e)
               .filter(e => e && e.offsetParent && e.getBoundingClientRect().height < 43.5)
               .map(e => e.outerHTML)"""
        )
        assert not small, small
        assert not self.wrong, self.wrong


def code_in_the_mail(town: Town, email: str) -> str:
    """The newest code that arrived for this address."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for mail in reversed(town.inbox.mails):
            if email in mail.recipients and (found := re.search(r"\d{4}-\d{4}", mail.text)):
                return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no code came for {email}")
