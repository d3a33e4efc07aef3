"""``kill -9``: of workers in the midst of a renewal, twenty times, and of a web server that was just asked to sell."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import httpx
import pytest
from django.db import connection

from tests.processes.real_shop import (
    PRICE_MINOR,
    House,
    answers,
    at_work,
    browser_of,
    everything_ends,
    free_port,
    open_house,
    wait_until,
)
from xuka.accounts.models import User
from xuka.interfaces import clock
from xuka.journal import queries as journal
from xuka.ledger import queries as ledger
from xuka.lines import queries as lines
from xuka.lines.models import Line
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order, Quote

pytestmark = pytest.mark.django_db(transaction=True)

KILLS, WORKERS, CARDS = 20, 4, 150
SEED = 20
# One worker's call takes 0.4 s to 1.2 s, or is never answered, so that most deaths find it on the wire.
TROUBLE = [
    {"kind": "topup_disabled", "probability": 0.1, "times": None},
    {"kind": "timeout_after", "probability": 0.2, "seconds": 3, "times": None},
    {"kind": "timeout_before", "probability": 0.2, "seconds": 3, "times": None},
    {"kind": "delay", "probability": 0.5, "seconds": 1.2, "times": None},
    {"kind": "delay", "seconds": 0.4, "times": None},
]


def quote_of(line: Line) -> Quote:
    assert line.owner_id
    return renewals.quote(
        line_id=line.id, plan_version_id=line.plan_version_id, customer=line.owner_id, now=clock.now()
    )


def buy(line: Line, number: int) -> UUID:
    quote = quote_of(line)
    order = renewals.place(
        order_id=UUID(int=number + 1), quote_id=quote.id, customer=quote.customer_id, now=clock.now()
    )
    return order.id


def test_twenty_workers_die_in_the_midst_and_every_order_ends_by_itself(tmp_path: Path, settings: Any) -> None:
    random = Random(SEED)
    with open_house(tmp_path, settings, deadline_seconds=1.5, cards=CARDS) as (house, cards):
        house.control("faults", TROUBLE)
        buyers = (buy(line, number) for number, line in enumerate(cards))
        killed = 0
        while killed < KILLS:
            killed += kill_in_the_midst(house, random, buyers)
        house.control("faults", [])
        house.start_worker("the last")
        everything_ends(house)
        orders = list(Order.objects.all())
        assert len(orders) >= KILLS
        for order in orders:
            assert_right(house, order)
        states = Counter(order.state for order in orders)
        assert states["active"] + states["refunded"] == len(orders)
        left = (CARDS - states["active"]) * PRICE_MINOR
        assert ledger.wallet_balance(customer=orders[0].customer_id, currency="EUR").minor == left
        proved = house.run("check-books")
        assert (proved.returncode, proved.stdout.splitlines()[-1]) == (0, "The books are right.")


def kill_in_the_midst(house: House, random: Random, buyers: Iterator[UUID]) -> int:
    """Start workers, let each get hold of an order, kill each at a moment of its own; how many died at work."""
    names = [f"worker {n}" for n in range(WORKERS)]
    latest = max(workers(), default=0)
    for name in names:
        house.start_worker(name, jobs_at_a_time=1)
    # Who is up first would else work off the orders of those that are still on their way.
    wait_until(lambda: sum(id > latest for id in workers()) == WORKERS, "every worker is up")

    def all_have_one() -> bool:
        forget_side_jobs()
        if not waiting_jobs():
            next(buyers)
        return len(at_work()) == WORKERS

    wait_until(all_have_one, "every worker has an order in hand")
    began = time.monotonic()
    for moment, name in sorted((random.uniform(0, 0.9), name) for name in names):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        house.kill(name)
    died_at_work = at_work()
    with connection.cursor() as cursor:  # what was in their hands must be found by what is due, not by their jobs
        cursor.execute(
            "delete from procrastinate_jobs where status = 'doing' and task_name in ('advance_order', 'sweep')"
        )
    return len(died_at_work)


def workers() -> list[int]:
    """Every worker that ever came up and was not missed yet; those that were killed are among them for a while."""
    with connection.cursor() as cursor:
        cursor.execute("select id from procrastinate_workers")
        return [id for (id,) in cursor.fetchall()]


def forget_side_jobs() -> None:
    """Letters, points and reminders of what is done: workers who see to them have no order in hand to die with."""
    with connection.cursor() as cursor:
        cursor.execute(
            "delete from procrastinate_jobs where status = 'todo' and task_name not in ('advance_order', 'sweep')"
        )


def waiting_jobs() -> int:
    """Orders that no worker has taken up yet."""
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from procrastinate_jobs where status = 'todo' and task_name = 'advance_order'")
        return cursor.fetchone()[0]


def assert_right(house: House, order: Order) -> None:
    """Active once and charged once, or refused by the carrier and paid back; nobody was asked."""
    is_active = order.state == "active"
    if not is_active:
        assert (order.state, order.reason) == ("refunded", "top_up_disabled")
    assert house.truth(order.id) == is_active
    assert len(lines.periods_of(order.id)) == is_active
    moved = sorted((one.leg, one.amount) for one in ledger.transfers_of(order.id))
    earned = [("revenue", 10_66), ("tax", 2_24)] if is_active else [("refund", PRICE_MINOR)]
    assert moved == [("charge", PRICE_MINOR), *earned]
    assert ledger.balance(order.hold_id) == 0
    facts = [fact.what for fact in journal.facts_about(order.id)]
    assert facts.count(f"order.{order.state}") == 1
    assert not {"order.needs_a_person", "activation.duplicate", "activation.carrier_loss"} & set(facts)


def test_a_web_server_that_dies_while_selling_has_sold_once_or_not_at_all(tmp_path: Path, settings: Any) -> None:
    random = Random(SEED)
    rounds = 6
    with open_house(tmp_path, settings, deadline_seconds=5, cards=rounds) as (house, cards):
        port = free_port()
        house.start_worker("worker")
        url = house.start_web("web", port)
        for number, line in enumerate(cards):
            wait_until(lambda: answers(f"{url}/"), "the web server")
            browser = browser_of(User.objects.get(id=line.owner_id), url)
            sent = {"order": str(UUID(int=number + 1)), "quote": str(quote_of(line).id), "pay_with": "wallet"}
            post_and_kill(house, browser, sent, after=random.uniform(0, 0.12))
            assert Order.objects.filter(line=line).count() <= 1
            house.start_web("web", port)
            wait_until(lambda: answers(f"{url}/"), "the next web server")
            for _ in range(2):
                answer = browser.post("/orders/", data=sent)
                assert (answer.status_code, answer.headers["location"]) == (302, f"/orders/{sent['order']}/")
            assert Order.objects.filter(line=line).count() == 1
        everything_ends(house)
        for order in Order.objects.all():
            assert order.state == "active"
            assert_right(house, order)
        orders = list(Order.objects.all())
        assert len(orders) == rounds
        assert ledger.wallet_balance(customer=orders[0].customer_id, currency="EUR").minor == 0


def post_and_kill(house: House, browser: httpx.Client, sent: dict[str, str], *, after: float) -> None:
    """The POST goes out; that much later its server is gone."""

    def post() -> None:
        with suppress(httpx.TransportError):
            browser.post("/orders/", data=sent)

    asking = threading.Thread(target=post)
    asking.start()
    time.sleep(after)
    house.kill("web")
    asking.join()
