"""Four real workers and two real web servers on one order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.processes.real_shop import (
    PRICE_MINOR,
    answers,
    browser_of,
    everything_ends,
    free_port,
    open_house,
    wait_until,
)
from xuka.accounts.models import User
from xuka.interfaces import clock
from xuka.interfaces.jobs import tasks
from xuka.ledger import queries as ledger
from xuka.lines import queries as lines
from xuka.lines.models import Line
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order, Quote

pytestmark = pytest.mark.django_db(transaction=True)

CARDS = 4
WORKERS = 4


def quote_of(line: Line) -> Quote:
    assert line.owner_id
    return renewals.quote(
        line_id=line.id, plan_version_id=line.plan_version_id, customer=line.owner_id, now=clock.now()
    )


def test_everybody_at_once_is_one_order_one_charge_one_activation(tmp_path: Path, settings: Any) -> None:
    """Double clicks, two tabs, two devices, on two servers, while four workers fight for the same jobs."""
    with open_house(tmp_path, settings, deadline_seconds=5, cards=CARDS) as (house, cards):
        urls = [house.start_web(f"web {n}", free_port()) for n in range(2)]
        for n in range(WORKERS):
            house.start_worker(f"worker {n}")
        for url in urls:
            wait_until(lambda url=url: answers(url), "the web server")
        house.control("faults", [{"kind": "delay", "seconds": 0.5, "times": None}])
        buyer = User.objects.get(id=cards[0].owner_id)
        browsers = [browser_of(buyer, url) for url in (*urls, *urls)]
        shown: dict[UUID, list[tuple[UUID, UUID]]] = {}
        for line in cards:
            one, other = quote_of(line), quote_of(line)
            double, tab, device = uuid4(), uuid4(), uuid4()
            wanted = [(double, one), (double, one), (double, one), (tab, one), (device, other), (device, other)]
            shown[line.id] = rush(browsers, wanted * 2)
        orders = list(Order.objects.all())
        assert sorted(order.line_id for order in orders) == sorted(line.id for line in cards)
        everything_ends(house)
        for order in Order.objects.all():
            assert (order.state, order.reason) == ("active", "")
            assert {id for _, id in shown[order.line_id]} == {order.id}
            assert house.truth(order.id) == 1
            assert len(lines.periods_of(order.id)) == 1
            moved = sorted((one.leg, one.amount) for one in ledger.transfers_of(order.id))
            assert moved == [("charge", PRICE_MINOR), ("revenue", 10_66), ("tax", 2_24)]
        faults = house.control("faults")
        assert faults["happened"] == {"delay": CARDS}  # as many top-ups were on the wire as orders
        assert ledger.wallet_balance(customer=buyer.id, currency="EUR").minor == 0
        proved = house.run("check-books")
        assert (proved.returncode, proved.stdout.splitlines()[-1]) == (0, "The books are right.")
        second_buyer_reads(browsers[0], cards[0])


def rush(browsers: list[Any], wanted: list[tuple[UUID, Quote]]) -> list[tuple[UUID, UUID]]:
    """All at the same moment, and more jobs for the order than anybody needs: (id asked for, id shown) of each."""
    gate = threading.Barrier(len(wanted))

    def click(number: int) -> tuple[UUID, UUID]:
        id, quote = wanted[number]
        gate.wait(timeout=30)
        answer = browsers[number % len(browsers)].post(
            "/orders/", data={"order": str(id), "quote": str(quote.id), "pay_with": "wallet"}
        )
        assert answer.status_code == 302, (answer.status_code, answer.text[:500])
        return id, UUID(answer.headers["location"].split("/")[2])

    with ThreadPoolExecutor(len(wanted)) as crowd:
        shown = list(crowd.map(click, range(len(wanted))))
    for _, id in shown:
        tasks.advance_order.defer(subject=str(id))
    return shown


def second_buyer_reads(browser: Any, line: Line) -> None:
    """Another tab, a moment later, with a quote of its own id but the first one's quote."""
    order = Order.objects.get(line=line)
    answer = browser.post(
        "/orders/",
        data={"order": str(uuid4()), "quote": str(order.quote_id), "pay_with": "wallet"},
        follow_redirects=True,
    )
    assert answer.url.path == f"/orders/{order.id}/"
    assert "There was already an order for this card. This is the one; nothing was bought twice." in answer.text
    assert Order.objects.filter(line=line).count() == 1
