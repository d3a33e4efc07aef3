"""What a plan would do, asked over the API: exact times, a reason for whatever cannot be, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.journeys import web_world
from tests.journeys.web_world import Shop
from xuka.catalogue.rules import Policy
from xuka.interfaces.api import simulation
from xuka.interfaces.api.openapi import described

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEEK = "be-week-3gb-day"
POLICY = {
    "period": {"length": 1, "unit": "month", "zone": "Europe/Brussels", "starts": "activation"},
    "quota": {
        "data": {
            "tiers": [{"after_bytes": 10**9, "kbps": 0}],
            "window": "period",
            "peak": None,
            "hotspot": {"allowed": True},
            "abroad": {"allowed": False},
        }
    },
    "renewal": {"mode": "queue", "max_ahead_days": 90, "cooldown_hours": 12, "next_when_used_up": True},
}


@pytest.fixture
def shop() -> Shop:
    return web_world.open_shop(now=NOW, seed_card=lambda **card: None)


@pytest.fixture
def staff(shop: Shop) -> Client:
    client = Client()
    client.force_login(shop.staff)
    return client


@contextmanager
def nothing_written() -> Iterator[None]:
    """Whatever is asked of the database meanwhile is a question; only the count of requests is kept, in the cache."""
    with CaptureQueriesContext(connection) as sent:
        yield
    told = [query["sql"] for query in sent if '"cache"' not in query["sql"] and "SAVEPOINT" not in query["sql"]]
    assert [sql for sql in told if not sql.startswith(("SELECT", "BEGIN", "COMMIT"))] == []


def ask(client: Client, **told: Any) -> Any:
    with nothing_written():
        return client.post("/api/simulate", json.dumps(told), content_type="application/json")


def refusal(answer: Any) -> tuple[int, list[str]]:
    assert answer["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    return answer.status_code, [f"{one['pointer']}: {one['detail']}" for one in told.get("errors", [])]


def test_a_week_bought_twice_is_two_weeks_without_a_gap(shop: Shop) -> None:
    answer = ask(Client(), plan=WEEK, start="2026-03-27T10:00", then=[{"at": "2026-03-28T09:00", "does": "renew"}])
    assert answer.status_code == 200
    told = answer.json()
    assert told["zone"] == "Europe/Brussels"
    # The clocks change on the 29th: seven days of 24 hours end at 11:00 on the clock.
    first, second = ((one["starts_at"], one["ends_at"]) for one in told["periods"])
    assert first == ("2026-03-27T09:00:00Z", "2026-04-03T09:00:00Z")
    assert second == ("2026-04-03T09:00:00Z", "2026-04-10T09:00:00Z")
    bought, renewed = told["happened"]
    assert (bought["does"], bought["refused"], bought["lost"]) == ("buy", None, [])
    assert renewed["kept"] == [
        {"kind": "number"},
        {"kind": "time", "until": "2026-04-03T09:00:00+00:00"},
        {"kind": "data"},
    ]
    by_version = ask(Client(), plan=str(shop.plan(WEEK).id), start="2026-03-27T10:00")
    assert by_version.json()["periods"] == [{**told["periods"][0], "bought_by": 0}]


def test_months_end_where_the_anchor_says_and_what_waits_starts_when_the_data_is_used_up(staff: Client) -> None:
    told = ask(
        staff,
        policy=POLICY,
        start="2026-01-31T10:00",
        then=[
            {"at": "2026-01-31T11:00", "does": "renew"},
            {"at": "2026-02-01T10:00", "does": "renew"},
            {"at": "2026-02-10T10:00", "does": "use_up"},
        ],
    ).json()
    bought, too_soon, renewed, used_up = told["happened"]
    assert (bought["ends_at"], bought["renewable_again_at"]) == ("2026-02-28T09:00:00Z", "2026-01-31T21:00:00Z")
    assert (too_soon["refused"], too_soon["possible_at"]) == ("too_soon", "2026-01-31T21:00:00Z")
    # Counted from the 31st, not from the 28th.
    assert (renewed["starts_at"], renewed["ends_at"]) == ("2026-02-28T09:00:00Z", "2026-03-31T08:00:00Z")
    assert used_up["refused"] is None
    spans = [(one["starts_at"], one["ends_at"], one["would_have_ended_at"]) for one in told["periods"]]
    assert spans == [
        ("2026-01-31T09:00:00Z", "2026-02-10T09:00:00Z", "2026-02-28T09:00:00Z"),
        ("2026-02-10T09:00:00Z", "2026-03-10T09:00:00Z", None),
    ]


def test_a_card_renews_itself_when_little_is_left_until_it_is_switched_off(staff: Client) -> None:
    by_use = POLICY | {"auto": {"hours_before": [], "percent_left": [20]}}
    then = [
        {"at": "2026-01-31T11:00", "does": "switch_on"},
        {"at": "2026-02-10T10:00", "does": "look", "percent_left": 21},
        {"at": "2026-02-11T10:00", "does": "look", "percent_left": 20},
        {"at": "2026-03-01T10:00", "does": "switch_off"},
    ]
    told = ask(staff, policy=by_use, start="2026-01-31T10:00", then=then, until="2027-01-01T00:00").json()
    assert [(one["does"], one["at"], one["refused"]) for one in told["happened"]] == [
        ("buy", "2026-01-31T09:00:00Z", None),
        ("switch_on", "2026-01-31T10:00:00Z", None),
        ("look", "2026-02-10T09:00:00Z", None),
        ("look", "2026-02-11T09:00:00Z", None),
        ("renews_itself", "2026-02-11T09:00:00Z", None),
        ("switch_off", "2026-03-01T09:00:00Z", None),
    ]
    assert [(one["bought_by"], one["ends_at"]) for one in told["periods"]] == [
        (0, "2026-02-28T09:00:00Z"),
        (4, "2026-03-31T08:00:00Z"),
    ]
    assert told["renews_itself"] is False
    for_ever = ask(staff, policy=POLICY, start="2026-01-31T10:00", then=then[:1], until="2099-01-01T00:00")
    assert refusal(for_ever) == (422, ["/until: the card would renew itself more than 50 times: tell an earlier end"])


MOMENT = "/{}: write a moment as 2026-01-31T10:00, or with its offset as 2026-01-31T10:00+09:00"
YEARS = "/{}: a moment lies in the years 2000 to 2099"
NEVER_SHOWN = "/start: the clock in {} never shows this time: it jumps over it"
ORDER = "/then/0/at: it lies before what happens before it: tell events in order of time"
BOUGHT = {"plan": WEEK, "start": "2026-01-01T10:00"}
AGAIN = {"at": "2026-01-02T10:00", "does": "renew"}
REFUSED: list[tuple[dict[str, Any], int, list[str]]] = [
    ({"start": "2026-01-01T10:00"}, 422, []),
    (BOUGHT | {"policy": POLICY}, 422, []),
    (BOUGHT | {"plan": "none"}, 404, ["/plan: There is no such plan on sale, and no version of this id."]),
    ({"plan": WEEK}, 422, ["/start: this field is missing"]),
    (BOUGHT | {"gift": 1}, 422, ["/gift: there is no such field"]),
    (BOUGHT | {"start": "tomorrow"}, 422, [MOMENT.format("start")]),
    (BOUGHT | {"start": "2026-02-30T10:00"}, 422, [MOMENT.format("start")]),
    (BOUGHT | {"start": "1626-01-01T10:00"}, 422, [YEARS.format("start")]),
    (BOUGHT | {"until": "2426-01-01T10:00"}, 422, [YEARS.format("until")]),
    (BOUGHT | {"start": "2026-03-29T02:30"}, 422, [NEVER_SHOWN.format("Europe/Brussels")]),
    # Samoa left out a day when it moved over the date line.
    (BOUGHT | {"start": "2011-12-30T10:00", "zone": "Pacific/Apia"}, 422, [NEVER_SHOWN.format("Pacific/Apia")]),
    (BOUGHT | {"zone": "Mars/Base"}, 422, ["/zone: there is no time zone called 'Mars/Base'"]),
    (BOUGHT | {"start": "2026-01-03T10:00", "then": [AGAIN]}, 422, [ORDER]),
    (BOUGHT | {"then": [AGAIN | {"does": "burn"}]}, 422, [
        "/then/0/does: Input should be 'renew', 'use', 'use_up', 'start_next', 'switch_on', 'switch_off' or 'look'"
    ]),
    (BOUGHT | {"then": [AGAIN | {"percent_left": 10**30}]}, 422, [
        "/then/0/percent_left: Input should be less than or equal to 100"
    ]),
    (BOUGHT | {"then": [AGAIN] * 51}, 422, ["/then: Tuple should have at most 50 items after validation, not 51"]),
    ({"policy": POLICY, "start": "2026-01-01T10:00"}, 403, []),
]  # fmt: skip


def test_what_cannot_be_is_refused_with_its_place_and_reason(shop: Shop) -> None:
    for told, status, reasons in REFUSED:
        assert refusal(ask(Client(), **told)) == (status, reasons), told


LONG = {"period": {**POLICY["period"], "length": 4800}}
NEVER = {"renewal": {**POLICY["renewal"], "max_ahead_days": 7}}


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        (LONG, ["/policy/period: a period is at most 12 months"]),
        (NEVER, ["/policy/renewal/max_ahead_days: less than one period: it could never be bought"]),
        ({"quota": 7}, ["/policy/quota: Input should be a valid dictionary or instance of Quota"]),
    ],
)
def test_a_policy_that_cannot_be_sold_is_refused_with_its_field(
    staff: Client, change: dict[str, Any], reasons: list[str]
) -> None:
    assert refusal(ask(staff, policy=POLICY | change, start="2026-01-01T10:00")) == (422, reasons)


def test_fifty_renewals_are_as_many_as_may_be_asked(shop: Shop) -> None:
    answer = ask(Client(), plan=WEEK, start="2026-01-01T10:00", then=[AGAIN] * 50)
    assert answer.status_code == 200
    assert [one["refused"] for one in answer.json()["happened"]].count("too_far_ahead") == 0
    assert answer.json()["periods"][-1]["ends_at"] == "2026-12-24T09:00:00Z"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 20_000, "application/json", 400),
        (b'{"plan": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b'{"plan": "\\ud800", "start": "2026-01-01T10:00"}', "application/json", 422),
        (b" " * 40_000, "application/json", 413),
        (b"{}", "text/plain", 415),
    ],
)
def test_what_is_not_a_simulation_is_not_read(body: bytes, kind: str, status: int) -> None:
    with nothing_written():
        answer = Client().post("/api/simulate", body, content_type=kind)
    assert refusal(answer)[0] == status


def test_a_simulation_is_posted_and_not_too_often(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(simulation.LIMITS, "simulate", "2/m/ip")
    answer = Client().get("/api/simulate")
    assert (answer.status_code, answer["Allow"], refusal(answer)[0]) == (405, "POST", 405)
    answers = [ask(Client(), **BOUGHT | {"plan": "none"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert answers[2]["Retry-After"] == "60"


MOMENTS = some.one_of(
    some.datetimes(timezones=some.none() | some.just(UTC)).map(lambda at: at.isoformat(timespec="minutes")),
    some.integers(0, 10**6).map(lambda minutes: (NOW + timedelta(minutes=minutes)).isoformat()),
    some.text(max_size=12),
    some.none(),
)
EVENTS = some.fixed_dictionaries(
    {
        "at": MOMENTS,
        "does": some.sampled_from(
            ["renew", "use", "use_up", "start_next", "switch_on", "switch_off", "look", "buy", 1]
        ),
    },
    optional={"percent_left": some.one_of(some.integers(-1, 101), some.floats(), some.text(max_size=3))},
)


@settings(max_examples=30)
@given(
    told=some.fixed_dictionaries(
        {"start": MOMENTS},
        optional={
            "plan": some.one_of(some.just(WEEK), some.text(max_size=8)),
            "policy": some.one_of(some.just(POLICY), some.dictionaries(some.text(max_size=5), some.integers())),
            "zone": some.sampled_from(["Pacific/Apia", "Africa/Cairo", "UTC", "", "../etc"]),
            "then": some.lists(EVENTS, max_size=6),
            "until": MOMENTS,
        },
    )
)
def test_whatever_is_sent_is_answered_or_refused_and_never_breaks(staff: Client, told: dict[str, Any]) -> None:
    answer = ask(staff, **told)
    assert answer.status_code in {200, 404, 422}
    assert answer["Content-Type"] == ("application/json" if answer.status_code == 200 else "application/problem+json")


def test_the_interface_is_described_from_the_types(shop: Shop) -> None:
    told = Client().get("/api/openapi.json").json()
    assert told == json.loads(json.dumps(described()))
    assert told["openapi"] == "3.1.0"
    schemas = told["components"]["schemas"]
    assert schemas["Renewal"]["properties"]["mode"]["x-means"]["add"].startswith("the new period is booked at once")
    assert set(schemas) >= {"Simulation", "Simulated", "Problem", Policy.__name__}
    answer = ask(Client(), plan=WEEK, start="2026-01-01T10:00").json()
    simulated = schemas["Simulated"]["properties"]
    assert set(answer) == set(simulated)
    for part in ("periods", "happened"):
        assert set(answer[part][0]) == set(simulated[part]["items"]["properties"])
