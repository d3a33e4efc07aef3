"""The show: who one can be, faults, the clock, a worker that is killed, and the truth."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.test import Client

from sandbox.carrier.app import application
from sandbox.carrier.world import World
from sandbox.phones.app import application as phones_application
from sandbox.phones.world import World as Phones
from sandbox.transport import InProcess
from tests.journeys.web_world import Shop, open_shop, uuid_of
from xuka.activation import operations as activation
from xuka.interfaces import clock
from xuka.interfaces.web import demo
from xuka.renewals import operations as renewals

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.journeys.web_demo_urls")]


@pytest.fixture
def world(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    settings.DEMO, settings.VAR = True, tmp_path
    settings.DEMO_INBOX_URL = "http://127.0.0.1:8102"
    world = World(now=clock.now, seed=1, balance=5_000_00, limited=False)
    transport = InProcess(application(world))
    settings.CARRIERS = {
        "airalo": {
            "connector": "xuka.connectors.carriers.airalo.connector.Airalo",
            "base_url": "http://carrier.test",
            "client_id": "sandbox",
            "client_secret": "sandbox-secret",
            "transport": transport,
        }
    }
    control = httpx.Client(base_url="http://127.0.0.1", transport=transport)
    monkeypatch.setattr(demo, "_carrier", lambda: control)
    activation.carrier.cache_clear()
    yield world
    activation.carrier.cache_clear()


@pytest.fixture
def phones(world: World, monkeypatch: pytest.MonkeyPatch) -> Phones:
    phones = Phones(now=clock.now)
    control = httpx.Client(base_url="http://127.0.0.1", transport=InProcess(phones_application(phones)))
    monkeypatch.setattr(demo, "_phones", lambda: control)
    return phones


@pytest.fixture
def shop(world: World) -> Shop:
    return open_shop(now=clock.now(), seed_card=world.seed_card)


def as_xiaoyu() -> Client:
    client = Client()
    assert client.post("/demo/enter", {"person": "xiaoyu"})["Location"] == "/"
    return client


def test_one_click_signs_in_and_a_bar_says_that_no_money_moves(shop: Shop) -> None:
    page = Client().get("/demo").content.decode()
    assert all(name in page for name in ("王小雨", "佐藤", "Emma", "Staff"))
    card = as_xiaoyu().get("/").content.decode()
    assert "不会动真钱" in card
    assert 'href="http://127.0.0.1:8102"' in card
    assert Client().post("/demo/enter", {"person": "staff"})["Location"] == "/staff/"
    assert Client().post("/demo/enter", {"person": "nobody"}).status_code == 404


def test_a_fault_is_armed_for_the_next_renewal_and_taken_back(shop: Shop, world: World) -> None:
    client = as_xiaoyu()
    assert client.post("/demo/fault", {"kind": "timeout_after", "next": "/orders/"})["Location"] == "/orders/"
    assert [(fault.kind, fault.times) for fault in world.faults.waiting] == [("timeout_after", 1)]
    assert "运营商超时（已扣卡）" in client.get("/").content.decode()
    client.post("/demo/fault", {"kind": ""})
    assert world.faults.waiting == []


def test_the_clock_moves_forward_only(shop: Shop) -> None:
    client = as_xiaoyu()
    before = clock.offset()
    client.post("/demo/clock", {"by": "day"})
    client.post("/demo/clock", {"by": "century"})
    assert clock.offset() - before == timedelta(days=1)
    assert clock.now() - datetime.now(UTC) > timedelta(hours=23)


def test_a_person_says_how_the_phone_uses_data_from_now_on(shop: Shop, phones: Phones) -> None:
    client = as_xiaoyu()
    assert "demo/use" not in client.get("/").content.decode(), "no phone has her card"
    for who in ("xiaoyu", "sato"):
        phones.add(shop.cards[who].iccid, profile="ordinary")
    assert 'value="ordinary" aria-pressed="true"' in client.get("/").content.decode()
    assert client.post("/demo/use", {"use": "heavy", "next": "/orders/"})["Location"] == "/orders/"
    client.post("/demo/use", {"use": "everything"})
    Client().post("/demo/use", {"use": "silent"})
    assert [told["profile"] for told in phones.told()] == ["heavy", "ordinary"]
    assert 'value="heavy" aria-pressed="true"' in client.get("/").content.decode()


def test_the_worker_is_killed_and_nothing_else_is(shop: Shop, tmp_path: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "work"])
    (tmp_path / "worker.pid").write_text(str(worker.pid))
    client = as_xiaoyu()
    assert client.post("/demo/kill-worker").status_code == 302
    assert worker.wait(5) == -signal.SIGKILL
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "--work-for=another"])
    (tmp_path / "worker.pid").write_text(str(other.pid))
    client.post("/demo/kill-worker")
    assert other.poll() is None
    other.kill()
    other.wait(5)


def test_the_truth_shows_one_charge_one_activation_and_the_ledgers_rows(shop: Shop, world: World) -> None:
    client = as_xiaoyu()
    world.faults.set([{"kind": "timeout_after", "endpoint": "submit_topup", "times": 1}])
    line, plan, order_id = shop.cards["xiaoyu"], shop.plan("be-week-3gb-day"), uuid4()
    quote_id = uuid_of(client.post(f"/cards/{line.id}/quote/", {"plan": str(plan.id)})["Location"])
    client.post("/orders/", {"quote": str(quote_id), "order": str(order_id), "pay_with": "wallet"})
    while renewals.advance(order_id=order_id, now=clock.now()):
        pass
    page = client.get(f"/demo/orders/{order_id}")
    assert (page.context["charged"], page.context["activated"], page.context["refunded"]) == (1, 1, 0)
    assert [transfer.leg for transfer in page.context["transfers"]] == ["charge", "revenue", "tax"]
    assert "order.active" in page.content.decode()
    other = Client()
    other.post("/demo/enter", {"person": "emma"})
    assert other.get(f"/demo/orders/{order_id}").status_code == 404
