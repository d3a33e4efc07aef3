"""What several tests in a real browser begin with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import close_old_connections, connections
from playwright.sync_api import Browser, Playwright, expect
from werkzeug.serving import make_server

from sandbox.carrier.app import application as carrier_application
from sandbox.carrier.world import World
from sandbox.mail.app import application as mail_application
from sandbox.mail.inbox import Inbox, Postbox
from sandbox.payments.app import application as payments_application
from sandbox.payments.hooks import Postman
from sandbox.payments.world import World as Payments
from sandbox.transport import InProcess
from tests.browser.town import CHROMIUM, FLAGS, Town, Watched, now

# What is right is there in a moment; a busy machine is given time before it is called wrong.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def town(monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    from tests.journeys.web_world import open_shop  # models can be imported once Django is set up
    from xuka.activation import operations as activation
    from xuka.messaging import operations as messaging

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
        shop = open_shop(now=now(), seed_card=world.seed_card, with_others=True)
        yield Town(shop, world, inbox, f"http://127.0.0.1:{page.server_port}")
    page.shutdown()
    activation.carrier.cache_clear()
    messaging.channel.cache_clear()


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
    from procrastinate.contrib.django import app
    from procrastinate.contrib.django.models import ProcrastinateJob

    from xuka.interfaces.jobs import tasks  # noqa: F401 - the worker's jobs

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


@pytest.fixture
def payments(live_server: Any, town: Town, monkeypatch: pytest.MonkeyPatch) -> Iterator[Payments]:
    """The payment service, with pages of its own for the browser and webhooks for the shop."""
    from xuka.payments import providers

    key, secret = "sk_test_a_key_for_tests", "whsec_a_secret_for_tests"
    world = Payments(now=now, seed=1, keys=(key,), webhook_secret=secret)
    server = make_server("127.0.0.1", 0, payments_application(world), threaded=True)
    world.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stripe = {
        "connector": "xuka.connectors.payments.stripe.connector.Stripe",
        "base_url": world.url,
        "key": key,
        "webhook_secret": secret,
    }
    monkeypatch.setattr(settings, "PROVIDERS", {"stripe": stripe})
    monkeypatch.setattr(settings, "SITE_URL", live_server.url)
    providers.provider.cache_clear()
    postman = Postman(world, f"{live_server.url}/webhooks/stripe/").start()
    yield world
    postman.stop()
    server.shutdown()
    providers.provider.cache_clear()
