"""A line's wanted speed reaches its carrier: whatever the carrier does, whoever dies, and however many work on it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError

from sandbox.own_network.app import application
from sandbox.own_network.world import PROBLEMS, World
from sandbox.transport import InProcess
from tests.journeys import web_world
from xuka.activation import operations as activation
from xuka.activation import throttling
from xuka.activation.models import Throttle
from xuka.catalogue import operations as catalogue
from xuka.catalogue import queries as catalogue_queries
from xuka.interfaces import clock
from xuka.interfaces.jobs import tasks
from xuka.journal import queries as journal
from xuka.lines import operations as lines
from xuka.lines.models import Line
from xuka.metering import counting
from xuka.metering.records import Record

BEGIN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DEADLINE = timedelta(seconds=10)
LEASE = DEADLINE + timedelta(seconds=10)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class Killed(BaseException):
    """The process died here."""


class Wire(InProcess):
    """The wire to the operator; notes when which speed was asked for and when one was read."""

    def __init__(self, network: Network) -> None:
        super().__init__(application(network.world))
        self.network = network

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        when = self.network.now - BEGIN
        if request.method == "PUT":
            self.network.asked.append((when, json.loads(request.read())["kbps"]))
        else:
            self.network.looked.append(when)
        return super().handle_request(request)


class Network:
    """An operator with its own SIMs, one line on it, and a clock that only the test moves.

    Attributes:
        asked: when, after the beginning, which speed was put on the wire.
        looked: when a speed was read.
    """

    def __init__(self) -> None:
        self.now = BEGIN
        self.world = World(now=lambda: self.now, secret="ours")
        self.asked: list[tuple[timedelta, int | None]] = []
        self.looked: list[timedelta] = []
        self.wire = Wire(self)

    def open(self) -> None:
        for name in web_world.OURS:
            catalogue.load(web_world.DATA / name, who="seller", now=self.now)
        self.line = self.stock(1, "own_network")

    def stock(self, number: int, carrier: str) -> Line:
        iccid = web_world.iccid(number)
        self.world.seed_card(iccid=iccid)
        return lines.add_to_stock(
            iccid=iccid,
            carrier=carrier,
            claim_code="CODE",
            plan_version=catalogue_queries.plans_on_sale("BE")[0],
            who="seller",
            now=self.now,
        )

    def want(self, kbps: int | None) -> bool:
        with transaction.atomic():
            return throttling.ask_for(line_id=self.line.id, kbps=kbps, now=self.now)

    def advance(self) -> bool:
        return throttling.advance(line_id=self.line.id, now=self.now)

    def reconcile(self) -> bool:
        return throttling.reconcile(line_id=self.line.id, now=self.now)

    def fail(self, kind: str, *, times: int | None = 1, endpoint: str = "speed", **more: Any) -> None:
        self.world.fail({"kind": kind, "endpoint": endpoint, "times": times, **more})

    def wait(self, length: timedelta) -> None:
        """Time passes; the sweeper works at every moment at which something is due, and at no other."""
        until = self.now + length
        while (at := self.row().next_try_at) is not None and at <= until:
            self.now = max(self.now, at)
            assert throttling.due(self.now) == [self.line.id]
            assert self.advance()
        self.now = until
        assert throttling.due(self.now) == []

    def on_wire(self, *hooks: Callable[[], None]) -> None:
        """What happens before the operator acts on the next call and after it; then no more."""
        left = list(hooks)
        self.wire.on_wire = lambda: left.pop(0)() if left else None

    def at_carrier(self) -> int | None:
        return self.world.state.cards[self.line.iccid].kbps

    def row(self) -> Throttle:
        return Throttle.objects.get(line_id=self.line.id)

    def facts(self) -> list[tuple[str, str, Any, Any]]:
        """(what, who, speed before, speed after) of everything told of the line's speed; "-" where none is told."""
        told = [one for one in journal.facts_about(self.line.id) if one.what.startswith("throttle.")]
        return [(one.what, one.who, _kbps(one.before), _kbps(one.after)) for one in told]

    def is_set(self, kbps: int | None) -> bool:
        """Whether ours and theirs are this speed, and nothing is left to do but a look in a day."""
        row = self.row()
        assert (row.is_set, row.wanted_kbps, row.set_kbps, self.at_carrier()) == (True, kbps, kbps, kbps)
        assert (row.next_try_at, row.lease_until, row.error, row.tries, row.refused_at) == (None, None, "", 0, None)
        assert row.set_at
        return row.look_at == row.set_at + DAY


def _kbps(told: dict[str, Any] | None) -> Any:
    return told["kbps"] if told else "-"


def nothing() -> None:
    pass


OWN = "carrier:own_network"


@pytest.fixture
def network(transactional_db: None, settings: Any) -> Iterator[Network]:
    network = Network()
    settings.CARRIERS = {
        "own_network": {
            "connector": "xuka.connectors.carriers.own_network.connector.OwnNetwork",
            "base_url": "http://own.test",
            "secret": "ours",
            "transport": network.wire,
            "call_deadline": DEADLINE,
            "monotonic": lambda: (network.now - BEGIN).total_seconds(),
            "clock": lambda: network.now.timestamp(),
        },
        "airalo": {
            "connector": "xuka.connectors.carriers.airalo.connector.Airalo",
            "base_url": "http://carrier.test",
            "client_id": "sandbox",
            "client_secret": "sandbox-secret",
            "transport": network.wire,
        },
    }
    activation.carrier.cache_clear()
    try:
        network.open()
        yield network
    finally:
        activation.carrier.cache_clear()


# -- the good days --------------------------------------------------------------------------------------------


def test_a_line_is_throttled_once(network: Network) -> None:
    assert network.want(512)
    assert throttling.due(network.now) == [network.line.id]
    assert (network.asked, network.at_carrier()) == ([], None)
    assert network.advance()
    assert network.is_set(512)
    assert network.facts() == [("throttle.wanted", "clock", "-", 512), ("throttle.set", OWN, "-", 512)]
    assert not network.advance()
    network.wait(30 * DAY)
    assert network.asked == [(timedelta(0), 512)]
    assert network.world.state.speeds == [(network.line.iccid, 512)]


def test_the_same_wish_again_changes_nothing(network: Network) -> None:
    network.want(512)
    network.advance()
    before = Throttle.objects.values().get()
    network.now += HOUR
    assert network.want(512)
    assert Throttle.objects.values().get() == before
    assert not network.advance()
    assert len(network.asked) == 1
    assert len(network.facts()) == 2


def test_a_line_is_slowed_blocked_and_set_free(network: Network) -> None:
    for kbps in (512, 0, None):
        network.want(kbps)
        network.advance()
        assert network.is_set(kbps)
        network.now += HOUR
    assert network.asked == [(timedelta(0), 512), (HOUR, 0), (2 * HOUR, None)]
    assert network.facts() == [
        ("throttle.wanted", "clock", "-", 512),
        ("throttle.set", OWN, "-", 512),
        ("throttle.wanted", "clock", 512, 0),
        ("throttle.set", OWN, 512, 0),
        ("throttle.wanted", "clock", 0, None),
        ("throttle.set", OWN, 0, None),
    ]


def test_a_wish_that_is_taken_back_before_anybody_worked_is_never_asked_for(network: Network) -> None:
    network.want(512)
    network.want(128)
    network.advance()
    assert network.is_set(128)
    assert network.asked == [(timedelta(0), 128)]


def test_a_wish_that_is_rolled_back_was_never_there(network: Network) -> None:
    with transaction.atomic():
        throttling.ask_for(line_id=network.line.id, kbps=512, now=network.now)
        transaction.set_rollback(True)
    assert Throttle.objects.count() == 0
    assert network.facts() == []
    assert not network.advance()
    assert network.asked == []


def test_a_carrier_that_cannot_throttle_is_never_asked(network: Network) -> None:
    line = network.stock(2, "airalo")
    with transaction.atomic():
        assert throttling.ask_for(line_id=line.id, kbps=512, now=network.now) is False
    assert Throttle.objects.count() == 0
    assert throttling.due(network.now + DAY) == []
    assert not throttling.advance(line_id=line.id, now=network.now)
    assert not throttling.reconcile(line_id=line.id, now=network.now)
    assert network.wire.requests == []
    assert [one.what for one in journal.facts_about(line.id)] == ["line.added"]


def test_every_line_that_is_due_is_found_the_longest_first(network: Network) -> None:
    other = network.stock(2, "own_network")
    network.want(512)
    with transaction.atomic():
        throttling.ask_for(line_id=other.id, kbps=64, now=network.now - MINUTE)
    assert throttling.due(network.now - MINUTE) == [other.id]
    assert throttling.due(network.now) == [other.id, network.line.id]
    assert throttling.advance(line_id=other.id, now=network.now)
    assert network.at_carrier() is None
    assert throttling.due(network.now) == [network.line.id]


# -- the bad days ---------------------------------------------------------------------------------------------

BACK_OFF = [MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, DAY, DAY, DAY]
FAILING = [
    "timeout_before", "timeout_after", "error_before", "error_after", "drop_before", "drop_after", "garbage_before",
    "garbage_after", "slow_drip",
]  # fmt: skip


@pytest.mark.parametrize("kind", FAILING)
def test_what_nobody_knows_is_asked_for_again_until_it_is_set(network: Network, kind: str) -> None:
    network.want(512)
    network.fail(kind, times=2)
    network.wait(HOUR)
    assert network.asked == [(timedelta(0), 512), (MINUTE, 512), (6 * MINUTE, 512)]
    assert network.is_set(512)
    assert network.facts() == [("throttle.wanted", "clock", "-", 512), ("throttle.set", OWN, "-", 512)]


def test_it_is_never_given_up_while_the_wish_stands(network: Network) -> None:
    network.want(512)
    network.fail("error_before", times=None)
    network.wait(4 * DAY)
    moments = [when for when, _ in network.asked]
    assert [later - sooner for sooner, later in pairwise(moments)] == BACK_OFF[:7]
    row = network.row()
    assert (row.is_set, row.set_at, row.tries, row.error) == (False, None, 8, "status 500: no such answer is listed")
    assert network.facts() == [("throttle.wanted", "clock", "-", 512)]
    network.world.fail()
    network.wait(DAY)
    assert network.is_set(512)
    assert len(network.asked) == 9


@pytest.mark.parametrize(
    ("kind", "more", "first"),
    [
        ("maintenance", {}, MINUTE),
        ("rate-limited", {}, MINUTE),
        ("out-of-credit", {}, 5 * MINUTE),
        ("maintenance", {"retry_after": 7200}, 2 * HOUR),
    ],
)
def test_a_carrier_that_says_later_is_asked_later(
    network: Network, kind: str, more: dict[str, Any], first: timedelta
) -> None:
    network.want(512)
    network.fail(kind, **more)
    network.wait(3 * HOUR)
    assert network.asked == [(timedelta(0), 512), (first, 512)]
    assert network.is_set(512)
    assert [what for what, *_ in network.facts()] == ["throttle.wanted", "throttle.set"]


FINAL = sorted(PROBLEMS.keys() - {"stale-request", "out-of-credit", "out-of-stock", "rate-limited", "maintenance"})


@pytest.mark.parametrize("kind", FINAL)
def test_what_is_refused_for_good_is_told_once_and_tried_daily(network: Network, kind: str) -> None:
    network.want(512)
    network.fail(kind, times=3)
    network.wait(2 * DAY)
    assert network.asked == [(n * DAY, 512) for n in range(3)]
    row = network.row()
    assert (row.is_set, row.refused_at, row.next_try_at) == (False, BEGIN, BEGIN + 3 * DAY)
    assert f"{kind} simulated" in row.error
    refusal = ("throttle.refused", OWN, "-", 512)
    assert network.facts() == [("throttle.wanted", "clock", "-", 512), refusal]
    network.wait(DAY)
    assert network.is_set(512)
    assert network.facts()[1:] == [refusal, ("throttle.set", OWN, "-", 512)]


def test_another_wish_after_a_refusal_is_asked_for_at_once_and_told_again(network: Network) -> None:
    network.want(512)
    network.fail("card-recycled", times=None)
    network.advance()
    network.now += HOUR
    network.want(64)
    network.wait(HOUR)
    assert network.asked == [(timedelta(0), 512), (HOUR, 64)]
    assert [(what, after) for what, _, _, after in network.facts()] == [
        ("throttle.wanted", 512),
        ("throttle.refused", 512),
        ("throttle.wanted", 64),
        ("throttle.refused", 64),
    ]


# -- workers that die, and that meet --------------------------------------------------------------------------------


@pytest.mark.parametrize("acted", [False, True])
def test_a_worker_killed_between_call_and_store_is_followed_by_another(network: Network, acted: bool) -> None:
    network.want(512)

    def die() -> None:
        raise Killed

    network.on_wire(*([nothing, die] if acted else [die]))
    with pytest.raises(Killed):
        network.advance()
    assert network.at_carrier() == (512 if acted else None)
    network.on_wire()
    network.now += LEASE - timedelta(seconds=1)
    assert throttling.due(network.now) == []
    assert not network.advance()
    network.wait(HOUR)
    assert network.asked == [(timedelta(0), 512), (LEASE, 512)]
    assert network.is_set(512)
    assert network.facts() == [("throttle.wanted", "clock", "-", 512), ("throttle.set", OWN, "-", 512)]


def test_who_meets_a_live_lease_goes_away(network: Network) -> None:
    network.want(512)
    seen: list[Any] = []

    def another() -> None:
        seen.extend([network.advance(), network.reconcile(), throttling.due(network.now)])

    network.on_wire(another, another)
    assert network.advance()
    assert seen == [False, False, []] * 2
    assert network.asked == [(timedelta(0), 512)]
    assert network.looked == []
    assert network.is_set(512)


def test_two_workers_at_once_are_one_call(network: Network) -> None:
    network.want(512)
    start, one_is_through = threading.Barrier(2), threading.Event()
    # Whoever asks is held on the wire until the other has gone away.
    network.wire.on_wire = lambda: _wait_for(one_is_through)
    answers: list[bool] = []

    def work() -> None:
        try:
            start.wait(10)
            answers.append(network.advance())
        finally:
            one_is_through.set()
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == [False, True]
    assert network.asked == [(timedelta(0), 512)]
    assert network.is_set(512)


def _wait_for(event: threading.Event) -> None:
    assert event.wait(10)


def test_who_slept_through_the_lease_has_nothing_to_say(network: Network) -> None:
    network.want(512)

    def sleep_while_another_works() -> None:
        network.now += LEASE
        network.want(64)
        assert network.advance()

    network.on_wire(nothing, sleep_while_another_works)
    assert network.advance()
    row = network.row()
    assert (row.is_set, row.wanted_kbps, row.set_kbps, network.at_carrier()) == (True, 64, 64, 64)
    assert [(what, after) for what, _, _, after in network.facts()] == [
        ("throttle.wanted", 512),
        ("throttle.wanted", 64),
        ("throttle.set", 64),
    ]


def test_a_worker_that_was_woken_too_late_sends_nothing(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    network.want(512)
    woken = iter([100.0, 105.1])
    monkeypatch.setattr(throttling, "time", SimpleNamespace(monotonic=lambda: next(woken)))
    assert network.advance()
    assert network.asked == []
    assert network.row().error == "the lease was too old to ask"
    monkeypatch.undo()
    network.wait(HOUR)
    assert network.asked == [(MINUTE, 512)]
    assert network.is_set(512)


# -- a wish that changes during the call ----------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("kind", [None, "timeout_after", "error_before", "card-recycled"])
def test_a_wish_that_changes_during_the_call_is_asked_for_right_after_it(
    network: Network, place: str, kind: str | None
) -> None:
    network.want(512)
    if kind:
        network.fail(kind)

    def change() -> None:
        assert network.want(64)
        assert not network.advance()

    network.on_wire(*([change] if place == "before" else [nothing, change]))
    assert network.advance()
    row = network.row()
    assert (row.is_set, row.next_try_at, row.tries, row.lease_until) == (False, network.now, 0, None)
    network.wait(HOUR)
    assert network.asked == [(timedelta(0), 512), (timedelta(0), 64)]
    assert network.is_set(64)
    told = [(what, after) for what, _, _, after in network.facts()]
    was_set = [] if kind else [("throttle.set", 512)]
    assert told == [("throttle.wanted", 512), ("throttle.wanted", 64), *was_set, ("throttle.set", 64)]


def test_a_wish_that_changes_during_a_call_waits_as_long_as_the_carrier_said(network: Network) -> None:
    network.want(512)
    network.fail("rate-limited", retry_after=90)

    def change() -> None:
        network.want(64)

    network.on_wire(change)
    network.advance()
    network.wait(HOUR)
    assert network.asked == [(timedelta(0), 512), (timedelta(seconds=90), 64)]
    assert network.is_set(64)


def test_a_wish_that_changes_while_its_worker_dies_is_asked_for_when_the_lease_ends(network: Network) -> None:
    network.want(512)

    def change_and_die() -> None:
        network.want(64)
        raise Killed

    network.on_wire(change_and_die)
    with pytest.raises(Killed):
        network.advance()
    network.on_wire()
    network.wait(HOUR)
    assert network.asked == [(timedelta(0), 512), (LEASE, 64)]
    assert network.is_set(64)


def test_a_wish_that_changes_and_changes_back_during_the_call_is_set_by_it(network: Network) -> None:
    network.want(512)

    def waver() -> None:
        network.want(64)
        network.want(512)

    network.on_wire(waver)
    network.advance()
    network.wait(HOUR)
    assert network.asked == [(timedelta(0), 512)]
    assert network.is_set(512)


# -- looking whether it is still so -------------------------------------------------------------------------------


def test_a_speed_that_was_changed_by_hand_at_the_carrier_is_found_and_set_again(network: Network) -> None:
    network.want(512)
    network.advance()
    network.world.set_by_hand(iccid=network.line.iccid, kbps=None)
    network.now += DAY
    assert throttling.due(network.now) == []
    assert throttling.due_looks(network.now) == [network.line.id]
    assert network.reconcile()
    assert network.is_set(512)
    assert throttling.due_looks(network.now) == []
    assert (network.looked, network.asked) == ([DAY], [(timedelta(0), 512), (DAY, 512)])
    assert network.facts()[2:] == [("throttle.differed", OWN, 512, None), ("throttle.set", OWN, None, 512)]


def test_a_look_at_a_speed_that_is_right_changes_nothing(network: Network) -> None:
    network.want(None)
    network.advance()
    assert throttling.due_looks(network.now + DAY - timedelta(seconds=1)) == []
    network.now += DAY
    assert not network.reconcile()
    row = network.row()
    assert (row.is_set, row.look_at, row.lease_until, row.set_at) == (True, network.now + DAY, None, BEGIN)
    assert (network.looked, len(network.asked), len(network.facts())) == ([DAY], 1, 2)


@pytest.mark.parametrize("kind", ["timeout_before", "error_after", "garbage_before", "maintenance", "card-unknown"])
def test_a_look_that_fails_changes_nothing_and_is_tried_in_an_hour(network: Network, kind: str) -> None:
    network.want(512)
    network.advance()
    network.world.set_by_hand(iccid=network.line.iccid, kbps=None)
    network.now += DAY
    network.fail(kind, endpoint="card")
    assert not network.reconcile()
    assert (network.row().is_set, len(network.facts())) == (True, 2)
    assert throttling.due_looks(network.now + HOUR - timedelta(seconds=1)) == []
    network.now += HOUR
    assert throttling.due_looks(network.now) == [network.line.id]
    assert network.reconcile()
    assert network.is_set(512)


def test_what_is_not_set_is_not_looked_at(network: Network) -> None:
    assert not network.reconcile()
    network.want(512)
    assert not network.reconcile()
    network.fail("error_before")
    network.advance()
    assert not network.reconcile()
    assert network.looked == []
    assert throttling.due_looks(network.now + 30 * DAY) == []


def test_a_speed_that_differs_and_cannot_be_set_is_tried_as_ever(network: Network) -> None:
    network.want(512)
    network.advance()
    network.world.set_by_hand(iccid=network.line.iccid, kbps=9000)
    network.fail("error_before")
    network.now += DAY
    assert network.reconcile()
    row = network.row()
    assert (row.is_set, row.set_kbps, row.next_try_at, row.look_at) == (False, 9000, network.now + MINUTE, None)
    network.wait(HOUR)
    assert network.is_set(512)


def test_a_wish_that_changes_during_a_look_is_asked_for_right_after_it(network: Network) -> None:
    network.want(512)
    network.advance()
    network.now += DAY

    def change() -> None:
        network.want(64)
        assert not network.advance()

    network.on_wire(change)
    assert not network.reconcile()
    network.wait(HOUR)
    assert network.asked == [(timedelta(0), 512), (DAY, 64)]
    assert network.is_set(64)
    assert "throttle.differed" not in [what for what, *_ in network.facts()]


def test_two_looks_at_once_are_one_look(network: Network) -> None:
    network.want(512)
    network.advance()
    network.now += DAY
    seen: list[Any] = []

    def another() -> None:
        seen.extend([network.reconcile(), network.advance(), throttling.due_looks(network.now)])

    network.on_wire(another, another)
    assert not network.reconcile()
    assert seen == [False, False, []] * 2
    assert network.looked == [DAY]
    assert len(network.asked) == 1


def test_a_worker_killed_during_a_look_leaves_the_next_look_in_an_hour(network: Network) -> None:
    network.want(512)
    network.advance()
    network.now += DAY

    def die() -> None:
        raise Killed

    network.on_wire(die)
    with pytest.raises(Killed):
        network.reconcile()
    network.on_wire()
    assert throttling.due_looks(network.now + HOUR) == [network.line.id]
    network.now += HOUR
    assert not network.reconcile()
    assert network.is_set(512) is False  # the next look is a day after this one
    assert network.row().look_at == network.now + DAY


def test_a_carrier_that_sets_another_speed_than_asked_for_is_asked_again(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network.world, "throttle", _in_steps(network))
    network.want(500)
    network.advance()
    row = network.row()
    assert (row.is_set, row.set_kbps, row.next_try_at) == (False, 512, BEGIN + MINUTE)
    assert row.error == "asked for 500 kbit/s, the carrier set 512 kbit/s"
    assert [what for what, *_ in network.facts()] == ["throttle.wanted"]


def _in_steps(network: Network) -> Callable[..., Any]:
    really = network.world.throttle
    return lambda iccid, kbps, **more: really(iccid, 512 if kbps == 500 else kbps, **more)


# -- the walls ----------------------------------------------------------------------------------------------------


def test_the_database_keeps_no_wish_that_nobody_would_find(network: Network) -> None:
    network.want(512)
    with pytest.raises(IntegrityError, match="throttle_never_lost"):
        Throttle.objects.filter(line_id=network.line.id).update(next_try_at=None)
    assert throttling.due(network.now) == [network.line.id]


# -- from use to speed -------------------------------------------------------------------------------------------------


def _work(network: Network) -> None:
    """What the worker does: look at the meters that are due, and the jobs that follow, until there are none."""
    tasks._look_at_meters()  # pyright: ignore[reportPrivateUsage]
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                "delete from procrastinate_jobs where task_name = any (%s) returning task_name, args ->> 'subject'",
                [["ask_for_speed", "advance_throttle", "cut_meter"]],
            )
            jobs = cursor.fetchall()
        if not jobs:
            return
        for name, subject in jobs:
            tasks.app.tasks[name](subject)


def _use(network: Network, gigabytes: float) -> None:
    volume, at = int(gigabytes * 10**9), network.now - timedelta(hours=1)
    record = Record(f"{network.now}", network.line.iccid, at, network.now, down_bytes=volume)
    counting.count(source=counting.source("radio"), records=[record], now=network.now)


def test_a_card_that_used_its_day_up_is_slowed_at_its_carrier_and_is_fast_again_at_midnight(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: network.now)
    day_cap = next(v for v in catalogue_queries.plans_on_sale("BE") if v.plan_id == "be-week-3gb-day")
    lines.open_period(
        line_id=network.line.id, order_id=uuid4(), ordinal=0, plan_version=day_cap, activated_at=BEGIN - DAY,
        funded_at=BEGIN - DAY, carrier_ends_at=None, who="seller", now=BEGIN,
    )  # fmt: skip
    _work(network)
    assert network.asked == []

    _use(network, 2.9)
    _work(network)
    assert network.asked == []

    network.fail("timeout_after")
    network.now += HOUR
    _use(network, 0.2)
    _work(network)
    assert [kbps for _, kbps in network.asked] == [1000]
    network.wait(HOUR)
    assert [kbps for _, kbps in network.asked] == [1000, 1000]  # nobody had heard of the first
    assert network.at_carrier() == 1000
    network.now += HOUR
    _use(network, 0.2)
    _work(network)
    assert len(network.asked) == 2

    network.now = datetime(2026, 3, 2, 22, 59, 59, tzinfo=UTC)
    _work(network)
    assert network.at_carrier() == 1000
    network.now += timedelta(seconds=1)  # midnight in Brussels
    _work(network)
    assert network.at_carrier() is None
    assert [kbps for _, kbps in network.asked] == [1000, 1000, None]
