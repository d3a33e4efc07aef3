"""The interface of docs/reference/own-network.md: what is signed, what answers mean, and the stand-in that keeps it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from werkzeug.serving import make_server

from sandbox.own_network.app import application
from sandbox.own_network.world import ACTS, KINDS, PROBLEMS, World, signed
from tests.contracts.test_carriers import BEGIN, CARD, KEY, METERED_CARD, OTHER_CARD, OwnStand
from xuka.activation.contract import Reason
from xuka.connectors.carriers.own_network import wire
from xuka.connectors.carriers.own_network.connector import OwnNetwork
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Refused, Unknown

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "own-network.md"
PACKAGE = "own-7days-unlimited"


@pytest.fixture
def own() -> OwnStand:
    return OwnStand()


# -- the page ---------------------------------------------------------------------------------------------------


def test_the_example_on_the_page_is_signed_as_it_says() -> None:
    text = PAGE.read_text()
    body = re.search(r'^\{"kbps":512\}$', text, re.MULTILINE)
    told = re.search(r"^X-Signature: ([0-9a-f]{64})$", text, re.MULTILINE)
    assert body
    assert told
    example = {
        "method": "PUT",
        "target": f"/v1/cards/{CARD}/speed",
        "timestamp": "1772366400000",
        "body": body.group().encode(),
    }
    assert told.group(1) == wire.signature("correct horse battery staple", **example)
    assert told.group(1) == signed("correct horse battery staple", **example)


def test_every_problem_on_the_page_is_understood_and_can_be_made_to_happen() -> None:
    told = {}
    for row in re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", PAGE.read_text(), re.MULTILINE):
        told[row[0]] = int(row[1])
    assert told == PROBLEMS
    assert told.keys() == wire.REFUSALS.keys() == OwnStand.refused.keys()


# -- what is signed ---------------------------------------------------------------------------------------------


def test_every_part_of_a_request_is_signed() -> None:
    request: dict[str, Any] = {"method": "PUT", "target": "/v1/x?key=1", "timestamp": "1", "body": b"{}"}
    others = [{"method": "POST"}, {"target": "/v1/x?key=2"}, {"timestamp": "2"}, {"body": b"{ }"}]
    signatures = {wire.signature("ours", **{**request, **other}) for other in ({}, *others)}
    signatures.add(wire.signature("theirs", **request))
    assert len(signatures) == 6


def test_who_does_not_know_the_secret_changes_nothing(own: OwnStand) -> None:
    stranger = OwnNetwork(base_url="http://own.test", secret="guessed", transport=own.transport, clock=_at(BEGIN))
    for outcome in (
        stranger.throttle(iccid=CARD, kbps=0),
        stranger.renew(key=KEY, iccid=CARD, package=PACKAGE),
        stranger.text(key=KEY, iccid=CARD, words="hello"),
        stranger.speed(iccid=CARD),
    ):
        assert outcome == Refused(Reason.NOT_AUTHORISED, None, "not-authorised the signature does not match")
    assert own.world.state.speeds == []
    assert own.truth(KEY) == 0
    assert own.phone == []


@pytest.mark.parametrize(("seconds", "is_taken"), [(-60, True), (-61, False), (60, True), (61, False)])
def test_a_request_is_void_a_minute_after_its_time(own: OwnStand, seconds: int, is_taken: bool) -> None:
    moment = BEGIN + timedelta(seconds=seconds)
    carrier = OwnNetwork(base_url="http://own.test", secret="ours", transport=own.transport, clock=_at(moment))
    outcome = carrier.throttle(iccid=CARD, kbps=512)
    assert isinstance(outcome, Done) == is_taken
    assert own.world.state.cards[CARD].kbps == (512 if is_taken else None)
    if not is_taken:
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.retry_after) == (Reason.NOT_AUTHORISED, timedelta(seconds=30))


def test_a_speed_that_was_overtaken_on_its_way_changes_nothing(own: OwnStand) -> None:
    late = OwnNetwork(
        base_url="http://own.test", secret="ours", transport=own.transport, clock=_at(BEGIN - timedelta(seconds=1))
    )
    assert own.carrier.throttle(iccid=CARD, kbps=None) == Done(None)
    assert late.throttle(iccid=CARD, kbps=512) == Done(None)
    assert late.throttle(iccid=OTHER_CARD, kbps=512) == Done(512)
    assert own.world.state.speeds == [(CARD, None), (OTHER_CARD, 512)]


def test_an_address_below_a_path_is_signed_as_it_is_sent() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"periods": []})

    carrier = OwnNetwork(
        base_url="http://own.test/xuka/", secret="ours", transport=httpx.MockTransport(answer), clock=_at(BEGIN)
    )
    assert carrier.find(key="a b&c", iccid=CARD, package=PACKAGE) == Done(())
    (request,) = seen
    target = request.url.raw_path.decode()
    assert target.startswith("/xuka/v1/periods?key=a")
    timestamp = request.headers["X-Timestamp"]
    assert timestamp == "1772366400000"
    assert request.headers["X-Signature"] == signed("ours", method="GET", target=target, timestamp=timestamp, body=b"")


def _at(moment: datetime) -> Any:
    return moment.timestamp


# -- once by key --------------------------------------------------------------------------------------------------


def test_the_same_key_again_is_answered_as_before_and_paid_once(own: OwnStand) -> None:
    done = own.carrier.renew(key=KEY, iccid=CARD, package=PACKAGE)
    own.clock.push(hours=1)
    assert own.carrier.renew(key=KEY, iccid=CARD, package=PACKAGE) == done
    assert own.truth(KEY) == 1
    bought = own.carrier.issue(key=f"{KEY}-2", package=PACKAGE)
    assert own.carrier.issue(key=f"{KEY}-2", package=PACKAGE) == bought
    assert own.truth(f"{KEY}-2") == 1
    assert own.carrier.balance() == Done(Money(100_000 - 2 * 700, "EUR"))


def test_the_same_key_for_something_else_is_refused(own: OwnStand) -> None:
    own.carrier.renew(key=KEY, iccid=CARD, package=PACKAGE)
    for outcome in (
        own.carrier.renew(key=KEY, iccid=OTHER_CARD, package=PACKAGE),
        own.carrier.renew(key=KEY, iccid=CARD, package="own-30days-unlimited"),
        own.carrier.issue(key=KEY, package=PACKAGE),
    ):
        assert outcome == Refused(Reason.BAD_REQUEST, None, "key-reused something else was sold under this key")
    assert own.truth(KEY) == 1


@pytest.mark.parametrize("kind", sorted(OwnStand.nobody_knows))
def test_what_is_unknown_may_simply_be_asked_again(own: OwnStand, kind: str) -> None:
    own.fault(kind)
    assert isinstance(own.carrier.renew(key=KEY, iccid=CARD, package=PACKAGE), Unknown)
    assert isinstance(own.carrier.renew(key=KEY, iccid=CARD, package=PACKAGE), Done)
    assert own.truth(KEY) == 1


def test_without_credit_nothing_is_taken(own: OwnStand) -> None:
    own.world.state.balance_minor = 699
    refused = own.carrier.renew(key=KEY, iccid=CARD, package=PACKAGE)
    assert refused == Refused(Reason.SELLER_OUT_OF_CREDIT, timedelta(minutes=5), "out-of-credit 699 is too little")
    assert own.truth(KEY) == 0


# -- what an answer means -----------------------------------------------------------------------------------------

JSON = {"content-type": "application/json"}
PROBLEM = {"content-type": "application/problem+json; charset=utf-8"}
SPEED = {"iccid": CARD, "kbps": 512}
SOLD = {
    "id": "7",
    "key": KEY,
    "iccid": CARD,
    "package": PACKAGE,
    "activated_at": "2026-03-01T13:00:00+01:00",
    "ends_at": None,
}


def answer(status: int, body: Any, headers: dict[str, str] = JSON) -> wire.Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return wire.answer_of(status=status, content=content, headers=headers)


def test_times_are_told_in_utc() -> None:
    done = wire.activation_of(answer(201, SOLD), key=KEY, iccid=CARD, package=PACKAGE)
    assert isinstance(done, Done)
    assert (done.value.activated_at, done.value.ends_at) == (BEGIN, None)
    assert done.value.activated_at.tzinfo is UTC


def test_a_problem_may_say_when_to_come_back() -> None:
    told = answer(503, {"type": "maintenance"}, PROBLEM | {"retry-after": "7200"})
    assert wire.balance_of(told) == Refused(Reason.MAINTENANCE, timedelta(hours=2), "maintenance")
    told = answer(503, {"type": "maintenance"}, PROBLEM | {"retry-after": "999999999"})
    assert wire.balance_of(told) == Refused(Reason.MAINTENANCE, timedelta(days=1), "maintenance")
    told = answer(404, {"type": "card-unknown"}, PROBLEM | {"retry-after": "60"})
    assert wire.balance_of(told) == Refused(Reason.CARD_UNKNOWN, None, "card-unknown")


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (400, {"type": "something-new"}, PROBLEM),
        (400, {"type": ["bad-request"]}, PROBLEM),
        (400, {"type": "bad-request"}, JSON),
        (200, {"type": "bad-request"}, PROBLEM),
        (404, b"<html>", JSON),
        (500, {}, JSON),
        (503, {}, JSON),
        (302, SPEED, JSON),
        (404, SPEED, JSON),
        (200, [SPEED], JSON),
        (200, b"[" * 100_000, JSON),
        (200, b"", JSON),
    ],
)
def test_what_is_not_listed_is_unknown(status: int, body: Any, headers: dict[str, str]) -> None:
    assert isinstance(wire.speed_of(answer(status, body, headers), iccid=CARD), Unknown)


@pytest.mark.parametrize(
    "told",
    [
        {"iccid": OTHER_CARD, "kbps": 512},
        {"kbps": 512},
        {"iccid": CARD},
        *({"iccid": CARD, "kbps": kbps} for kbps in (-1, 1.5, True, "512", [], 2**63)),
    ],
)
def test_a_speed_is_read_exactly_or_not_at_all(told: Any) -> None:
    assert isinstance(wire.speed_of(answer(200, told), iccid=CARD), Unknown)


@pytest.mark.parametrize(
    "other",
    [
        {"key": "another"},
        {"iccid": OTHER_CARD},
        {"package": "another"},
        {"id": ""},
        {"id": 7},
        {"activated_at": "2026-03-01T13:00:00"},
        {"activated_at": None},
        {"ends_at": "soon"},
    ],
)
def test_an_answer_about_something_else_is_unknown(other: Any) -> None:
    told = answer(201, SOLD | other)
    assert isinstance(wire.activation_of(told, key=KEY, iccid=CARD, package=PACKAGE), Unknown)


@pytest.mark.parametrize(
    "esim",
    [None, {}, {"smdp_address": "a b", "matching_id": "X"}, {"smdp_address": "rsp.example.com", "matching_id": "a$b"}],
)
def test_a_new_esim_that_cannot_be_installed_is_unknown(esim: Any) -> None:
    told = answer(201, SOLD | {"esim": esim})
    assert isinstance(wire.issued_of(told, key=KEY, package=PACKAGE), Unknown)
    found = answer(200, {"esims": [SOLD | {"esim": esim}]})
    assert isinstance(wire.found_issued_of(found, key=KEY, package=PACKAGE), Unknown)


@pytest.mark.parametrize(
    ("link", "passed_on"),
    [
        ("https://esimsetup.apple.com/x?carddata=LPA:1$rsp.example.com$ABC", True),
        ("https://esimsetup.apple.com/x?carddata=LPA:1$rsp.example.com$ABD", False),
        ("https://elsewhere.example/x?carddata=LPA:1$rsp.example.com$ABC", False),
        ("javascript:alert(1)//=LPA:1$rsp.example.com$ABC", False),
    ],
)
def test_only_the_links_of_an_esim_itself_are_passed_on(link: str, passed_on: bool) -> None:
    esim = {"smdp_address": "rsp.example.com", "matching_id": "ABC", "apple_url": link}
    done = wire.issued_of(answer(201, SOLD | {"esim": esim}), key=KEY, package=PACKAGE)
    assert isinstance(done, Done)
    assert done.value.esim
    assert done.value.esim.apple_url == (link if passed_on else "")


@pytest.mark.parametrize(
    "told", [{"amount_minor": 1.5, "currency": "EUR"}, {"amount_minor": 1, "currency": "euro"}, {"amount_minor": 1}]
)
def test_an_amount_is_read_exactly_or_not_at_all(told: Any) -> None:
    assert isinstance(wire.balance_of(answer(200, told)), Unknown)


def test_a_balance_may_be_owed_but_an_offer_costs_nothing_less_than_nothing() -> None:
    assert wire.balance_of(answer(200, {"amount_minor": -500, "currency": "JPY"})) == Done(Money(-500, "JPY"))
    row = {"package": PACKAGE, "cost_minor": -1, "currency": "JPY"}
    assert isinstance(wire.offers_of(answer(200, {"offers": [row]})), Unknown)


# -- over the network ---------------------------------------------------------------------------------------------


@contextmanager
def served(world: World) -> Iterator[str]:
    """The stand-in on a real port of this machine."""
    server = make_server("127.0.0.1", 0, application(world, sleep=time.sleep), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def over_the_network(url: str, *, deadline: float = 20) -> OwnNetwork:
    return OwnNetwork(base_url=url, secret="ours", call_deadline=timedelta(seconds=deadline), clock=_at(BEGIN))


@pytest.mark.parametrize("kind", ["slow_drip", "timeout_after", "timeout_before"])
def test_a_call_really_ends_at_its_deadline_however_slowly_the_answer_drips(own: OwnStand, kind: str) -> None:
    with served(own.world) as url:
        carrier = over_the_network(url, deadline=0.8)
        assert carrier.speed(iccid=CARD) == Done(None)
        own.fault(kind, endpoint="speed", seconds=5)
        began = time.monotonic()
        outcome = carrier.throttle(iccid=CARD, kbps=512)
        took = time.monotonic() - began
        assert isinstance(outcome, Unknown)
        assert 0.7 < took < 2
        assert own.world.state.cards[CARD].kbps == (512 if kind in ACTS else None)


def test_over_the_network_a_speed_is_set_and_a_broken_connection_is_unknown(own: OwnStand) -> None:
    with served(own.world) as url:
        carrier = over_the_network(url)
        assert carrier.throttle(iccid=CARD, kbps=512) == Done(512)
        assert isinstance(carrier.find(key=KEY, iccid=CARD, package=PACKAGE), Done)
        for kind in ("drop_before", "drop_after"):
            own.fault(kind, endpoint="speed")
            assert isinstance(carrier.throttle(iccid=CARD, kbps=64), Unknown)
            assert own.world.state.cards[CARD].kbps == (64 if kind == "drop_after" else 512)


def test_an_operator_that_cannot_be_reached_surely_did_nothing(own: OwnStand) -> None:
    with served(own.world) as url:
        pass
    carrier = over_the_network(url, deadline=2)
    for outcome in (
        carrier.throttle(iccid=CARD, kbps=512),
        carrier.renew(key=KEY, iccid=CARD, package=PACKAGE),
        carrier.text(key=KEY, iccid=CARD, words="hello"),
    ):
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.retry_after) == (Reason.MAINTENANCE, timedelta(seconds=30))
    assert isinstance(carrier.speed(iccid=CARD), Unknown)
    assert isinstance(carrier.find(key=KEY, iccid=CARD, package=PACKAGE), Unknown)


# -- the stand-in -------------------------------------------------------------------------------------------------


def test_what_was_sold_set_and_sent_is_kept_between_runs(tmp_path: Path) -> None:
    keep = tmp_path / "folder" / "own.json"
    world = World(now=lambda: BEGIN, secret="ours", keep=keep)
    world.seed_card(iccid=CARD, expires_at=BEGIN, msisdn="+3225550001")
    world.put_on(key=KEY, iccid=CARD, package=PACKAGE)
    world.throttle(CARD, 512, asked_at_ms=1)
    world.text(key=KEY, iccid=CARD, words="hello")
    again = World(now=lambda: BEGIN, secret="ours", keep=keep)
    assert again.state == world.state
    assert again.put_on(key=KEY, iccid=CARD, package=PACKAGE) == world.truth(KEY)[0]
    again.reset()
    assert again.state == World(now=lambda: BEGIN, secret="ours").state


def test_the_control_face_seeds_fails_tells_and_answers_here_only(own: OwnStand) -> None:
    client = application(own.world).test_client()
    far = client.get("/control/truth", environ_base={"REMOTE_ADDR": "192.0.2.1"})
    assert far.status_code == 403
    new = "8932000000000000049"
    card = {"iccid": new, "expires_at": "2026-03-08T12:00:00+01:00", "msisdn": "+3225550001"}
    assert client.post("/control/cards", json=card).status_code == 201
    assert client.post("/control/cards", json=card | {"expires_at": "2026-03-08T12:00:00"}).status_code == 400
    assert client.post("/control/cards", json=card | {"colour": "red"}).status_code == 400
    package = {"id": "tiny", "days": 1, "volume_bytes": 10**9, "cost_minor": 90}
    assert client.post("/control/packages", json=package).status_code == 201
    assert isinstance(own.carrier.renew(key=KEY, iccid=new, package="tiny"), Done)
    assert own.carrier.text(key=KEY, iccid=new, words="hello") == Done("text-1")
    assert own.phone == [("+3225550001", "hello")]
    client.post("/control/speeds", json={"iccid": new, "kbps": 64})
    assert own.carrier.speed(iccid=new) == Done(64)
    told = client.get("/control/truth", query_string={"key": KEY}).get_json()
    assert [one["package"] for one in told["sold"]] == ["tiny"]
    assert told["cards"][new]["kbps"] == 64
    assert (told["speeds"], told["balance_minor"]) == ([], 100_000 - 90)
    assert client.post("/control/faults", json={"kind": "no such"}).status_code == 400
    faults = client.post("/control/faults", json=[{"kind": "error_before", "endpoint": "card"}]).get_json()
    assert [one["kind"] for one in faults["waiting"]] == ["error_before"]
    assert own.carrier.speed(iccid=new) == Unknown("status 500: no such answer is listed")
    assert own.carrier.speed(iccid=new) == Done(64)
    assert client.get("/control/health").get_json() == {"now": "2026-03-01T12:00:00+00:00"}
    client.post("/control/reset")
    assert own.world.state.cards == {}


def test_it_runs_as_a_process_of_its_own_on_a_clock_that_was_pushed(tmp_path: Path) -> None:
    pushed = tmp_path / "clock"
    pushed.write_text(str(40 * 86_400))
    command = [sys.executable, "-m", "sandbox.own_network", "--port", "0", "--secret", "ours"]
    command += ["--state", str(tmp_path / "own.json"), "--clock-offset-file", str(pushed)]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."})
    try:
        assert run.stdout
        url = run.stdout.readline().rsplit(maxsplit=1)[-1]
        sent = {"iccid": METERED_CARD}
        assert httpx.post(f"{url}/control/cards", json=sent, trust_env=False).status_code == 201
        carrier = OwnNetwork(base_url=url, secret="ours")
        assert carrier.throttle(iccid=METERED_CARD, kbps=0) == Done(0)
        done = carrier.renew(key=KEY, iccid=METERED_CARD, package=PACKAGE)
        assert isinstance(done, Done)
        assert done.value.activated_at > datetime.now(UTC) + timedelta(days=39)
    finally:
        run.terminate()
        run.wait(10)
        assert run.stdout
        run.stdout.close()


# -- taken back ---------------------------------------------------------------------------------------------------


def _queued(own: OwnStand) -> Any:
    """A week behind the two days that are left on the card."""
    done = own.carrier.renew(key=KEY, iccid=CARD, package=PACKAGE)
    assert isinstance(done, Done)
    return done.value


@pytest.mark.parametrize("kind", [*KINDS, *PROBLEMS])
def test_what_is_taken_back_is_taken_back_once_whatever_happens_on_the_way(own: OwnStand, kind: str) -> None:
    sold = _queued(own)
    own.fault(kind, endpoint="cancel")
    first = own.carrier.cancel(reference=sold.reference, iccid=CARD)
    if kind in PROBLEMS:
        assert isinstance(first, Refused)
        assert not own.world.truth(KEY)[0].taken_back
    else:
        assert isinstance(first, Done if kind == "delay" else Unknown)
        assert own.world.truth(KEY)[0].taken_back == (kind in ACTS)
    assert own.carrier.cancel(reference=sold.reference, iccid=CARD) == Done(None)
    assert own.carrier.find(key=KEY, iccid=CARD, package=PACKAGE) == Done(())
    assert own.carrier.balance() == Done(Money(100_000, "EUR"))
    assert own.world.card(CARD).expires_at == (BEGIN + timedelta(days=2)).isoformat()


def test_what_runs_ends_now_and_is_not_paid_back_and_another_cards_period_is_unknown(own: OwnStand) -> None:
    sold = _queued(own)
    stranger = own.carrier.cancel(reference=sold.reference, iccid=OTHER_CARD)
    assert isinstance(stranger, Refused)
    assert stranger.detail.startswith("period-unknown")
    own.clock.push(days=5)
    assert own.carrier.cancel(reference=sold.reference, iccid=CARD) == Done(None)
    assert own.world.card(CARD).expires_at == own.clock.at.isoformat()
    assert own.carrier.balance() == Done(Money(99_300, "EUR"))
