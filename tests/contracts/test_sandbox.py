"""The stand-ins are what they say: the carrier as documented, kept between runs, controlled from here only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient

from sandbox.carrier.app import application
from sandbox.carrier.world import World, signed
from sandbox.transport import InProcess

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CARD = "8932000000000000015"
PACKAGE = "belsim-7days-unlimited-topup"
ROOT = Path(__file__).resolve().parents[2]


class Clock:
    def __init__(self) -> None:
        self.at = BEGIN

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    world = World(now=clock.now)
    world.seed_card(iccid=CARD, package=PACKAGE, expires_at=BEGIN + timedelta(days=2))
    return world


def speaking_to(world: World) -> httpx.Client:
    """A client with a token."""
    client = httpx.Client(transport=InProcess(application(world)), base_url="http://carrier.test")
    secrets = {"client_id": "sandbox", "client_secret": "sandbox-secret", "grant_type": "client_credentials"}
    token = client.post("/v2/token", data=secrets).json()["data"]["access_token"]
    client.headers["Authorization"] = f"Bearer {token}"
    return client


@pytest.fixture
def client(world: World) -> httpx.Client:
    return speaking_to(world)


def top_up(client: httpx.Client, description: str = "key", **headers: str) -> httpx.Response:
    payload = {"package_id": PACKAGE, "iccid": CARD, "description": description}
    return client.post("/v2/orders/topups", json=payload, headers=headers)


def test_a_top_up_adds_its_days_behind_those_that_are_left(client: httpx.Client, world: World) -> None:
    assert top_up(client).json()["data"]["description"] == "key"
    assert world.card(CARD).expires_at == "2026-03-10 12:00:00"
    newest = client.get(f"/v2/sims/{CARD}/packages").json()["data"][0]
    assert (newest["activated_at"], newest["expired_at"]) == ("2026-03-03T12:00:00+00:00", "2026-03-10T12:00:00+00:00")


def test_a_top_up_of_an_expired_card_begins_now(client: httpx.Client, world: World, clock: Clock) -> None:
    clock.at += timedelta(days=5)
    top_up(speaking_to(world))
    assert world.card(CARD).expires_at == "2026-03-13 12:00:00"


def test_a_form_is_taken_as_well_as_json(client: httpx.Client) -> None:
    answer = client.post("/v2/orders/topups", data={"package_id": PACKAGE, "iccid": CARD, "description": "form"})
    assert (answer.status_code, answer.json()["data"]["description"]) == (200, "form")


def test_a_signature_is_checked_when_it_is_sent(client: httpx.Client, world: World) -> None:
    payload = {"package_id": PACKAGE, "iccid": CARD, "description": "signed"}
    right = signed("sandbox-secret", payload)
    assert top_up(client, "signed", **{"airalo-signature": right}).status_code == 200
    wrong = top_up(client, "tampered", **{"airalo-signature": right})
    assert (wrong.status_code, wrong.json()["code"]) == (422, 14)
    assert world.truth("tampered") == []


def test_a_token_is_good_for_a_day(client: httpx.Client, clock: Clock) -> None:
    clock.at += timedelta(hours=23, minutes=59)
    assert client.get("/v2/balance").status_code == 200
    clock.at += timedelta(minutes=1)
    assert client.get("/v2/balance").status_code == 401


def test_a_fourth_token_within_a_minute_is_too_many(world: World, clock: Clock) -> None:
    client = httpx.Client(transport=InProcess(application(world)), base_url="http://carrier.test")
    secrets = {"client_id": "sandbox", "client_secret": "sandbox-secret", "grant_type": "client_credentials"}
    answers = [client.post("/v2/token", data=secrets) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["X-RateLimit-Remaining"] == "2"
    assert (answers[3].headers["Retry-After"], answers[3].json()) == ("60", {"message": "Too Many Attempts."})
    clock.at += timedelta(seconds=60)
    assert client.post("/v2/token", data=secrets).status_code == 200


def test_usage_is_cached_for_twenty_minutes(client: httpx.Client, clock: Clock) -> None:
    def expires() -> str:
        return client.get(f"/v2/sims/{CARD}/usage").json()["data"]["expired_at"]

    assert expires() == "2026-03-03 12:00:00"
    top_up(client)
    clock.at += timedelta(minutes=19)
    assert expires() == "2026-03-03 12:00:00"
    clock.at += timedelta(minutes=1)
    assert expires() == "2026-03-10 12:00:00"


def test_usage_of_an_unlimited_plan_is_zero_and_says_so(client: httpx.Client) -> None:
    data = client.get(f"/v2/sims/{CARD}/usage").json()["data"]
    assert (data["remaining"], data["total"], data["is_unlimited"], data["status"]) == (0, 0, True, "ACTIVE")


def test_the_description_filter_is_like_and_pages(client: httpx.Client) -> None:
    for number in range(5):
        top_up(client, f"key-{number}")
    asked: dict[str, Any] = {"filter[description]": "KEY", "limit": 2, "page": 3}
    answer = client.get("/v2/orders", params=asked).json()
    assert [row["description"] for row in answer["data"]] == ["key-0"]
    assert (answer["meta"]["last_page"], answer["meta"]["total"]) == (3, 5)
    assert "sims" not in answer["data"][0]
    assert client.get("/v2/orders", params={"limit": "many"}).json()["data"] == {
        "limit": "The limit must be an integer."
    }


def test_a_recycled_card_says_so(client: httpx.Client, world: World) -> None:
    world.seed_card(iccid=CARD, package=PACKAGE, recycled=True)
    assert top_up(client).json()["code"] == 73
    assert client.get(f"/v2/sims/{CARD}/topups").json()["code"] == 73
    assert client.get(f"/v2/sims/{CARD}/usage").json()["data"]["status"] == "RECYCLED"


@pytest.mark.parametrize(
    ("change", "code"), [({"stock": 0}, 33), ({"known": False}, 34), ({"fails": 13}, 13), ({"net": 100_001}, 11)]
)
def test_a_package_can_be_switched(client: httpx.Client, change: dict[str, Any], code: int) -> None:
    assert client.post("/control/packages", json={"id": PACKAGE, **change}).status_code == 200
    assert top_up(client).json()["code"] == code


def test_chances_repeat_with_their_seed(clock: Clock) -> None:
    def story(seed: int) -> list[int]:
        world = World(now=clock.now, seed=seed, limited=False)
        world.seed_card(iccid=CARD, package=PACKAGE)
        client = speaking_to(world)
        world.faults.set([{"kind": "maintenance", "probability": 0.5, "times": None}])
        return [top_up(client, str(number)).status_code for number in range(30)]

    assert story(1) == story(1)
    assert story(1) != story(2)
    assert {200, 422} == set(story(1))


def test_what_the_carrier_knows_outlives_it(clock: Clock, tmp_path: Path) -> None:
    kept = tmp_path / "carrier.json"
    first = World(now=clock.now, keep=kept)
    first.seed_card(iccid=CARD, package=PACKAGE, expires_at=BEGIN + timedelta(days=2))
    top_up(speaking_to(first))
    first.set_package(PACKAGE, stock=3)
    second = World(now=clock.now, keep=kept)
    assert second.state == first.state
    assert second.truth("key") == first.truth("key")
    second.reset()
    assert World(now=clock.now, keep=kept).state.cards == {}


def from_afar(app: FlaskClient) -> int:
    return app.get("/control/truth", environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code


def test_the_control_face_answers_on_loopback_only_and_never_under_v2(world: World) -> None:
    app = application(world).test_client()
    assert app.get("/control/truth").status_code == 200
    assert from_afar(app) == 403
    assert app.get("/v2/control/truth").status_code == 404


@pytest.mark.parametrize(
    "fault",
    [{"kind": "nonsense"}, {"kind": "delay", "endpoint": "nowhere"}, {"kind": "delay", "times": 0}, {"what": 1}],
)
def test_a_fault_that_does_not_exist_is_told_of(client: httpx.Client, fault: dict[str, Any]) -> None:
    answer = client.post("/control/faults", json=fault)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert client.get("/control/faults").json()["waiting"] == []


def test_a_fault_happens_as_often_as_told(client: httpx.Client) -> None:
    client.post("/control/faults", json={"kind": "out_of_stock", "times": 2})
    assert [top_up(client).status_code for _ in range(3)] == [422, 422, 200]
    told = client.get("/control/faults").json()
    assert (told["waiting"], told["happened"]) == ([], {"out_of_stock": 2})


@pytest.mark.parametrize(
    ("module", "arguments", "path"),
    [
        ("sandbox.carrier", ["--port", "0"], "/control/health"),
        ("sandbox.mail", ["--smtp-port", "0", "--http-port", "0"], "/messages.json"),
    ],
)
def test_each_stand_in_runs_as_a_process_of_its_own(
    module: str, arguments: list[str], path: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    offset = tmp_path / "clock-offset"
    offset.write_text(str(100 * 365 * 86_400))
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments, "--clock-offset-file", str(offset)],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("XUKA_")},
        stdout=subprocess.PIPE,
        text=True,
    )
    stop: Callable[[], None] = process.terminate
    request.addfinalizer(lambda: (stop(), process.wait(10), process.stdout and process.stdout.close()))
    assert process.stdout is not None
    url = process.stdout.readline().split("http://")[1].strip()
    answer = httpx.get(f"http://{url}{path}", timeout=10, trust_env=False)
    assert answer.status_code == 200
    if module == "sandbox.carrier":
        assert datetime.fromisoformat(answer.json()["now"]).year > 2120
