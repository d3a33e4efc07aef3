"""The phones are what they say: the same life however one asks, signed when told, wrong only when asked to be."""

from __future__ import annotations

import ast
import csv
import gzip
import hashlib
import hmac
import json
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.phones import use, ways
from sandbox.phones.app import application
from sandbox.phones.mischief import Mischief, batches, due
from sandbox.phones.profiles import PROFILES
from sandbox.phones.use import Cap, Phone, Used, used
from sandbox.phones.ways import Push
from sandbox.phones.world import World

ROOT = Path(__file__).resolve().parents[2]
CARD = "8932020000000000127"
# A Monday; clocks go forward in Brussels on the 29th.
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
MONTH = timedelta(days=30)
BRUSSELS = ZoneInfo("Europe/Brussels")


def phone(profile: str = "ordinary", **more: object) -> Phone:
    return Phone(CARD, ((BEGIN, profile),), **more)  # type: ignore[arg-type]


def volume(records: list[Used]) -> int:
    return sum(record.up_bytes + record.down_bytes for record in records)


def by_day(records: list[Used], zone: ZoneInfo = BRUSSELS) -> dict[date, int]:
    days: Counter[date] = Counter()
    for record in records:
        days[record.started_at.astimezone(zone).date()] += record.up_bytes + record.down_bytes
    return dict(days)


# -- a life ----------------------------------------------------------------------------------------------------------


def test_the_same_phone_lives_the_same_life_and_another_seed_or_card_another() -> None:
    first = used(phone(), BEGIN, BEGIN + MONTH)
    use._day.cache_clear()
    use._wished.cache_clear()
    assert used(phone(), BEGIN, BEGIN + MONTH) == first
    assert used(phone(seed=1), BEGIN, BEGIN + MONTH) != first
    assert used(replace(phone(), iccid="8932020000000000341"), BEGIN, BEGIN + MONTH) != first
    assert (len(first), volume(first) // 10**6) == (3290, 24_864), "the same on every machine"


@settings(max_examples=60)
@given(
    profile=st.sampled_from(sorted(PROFILES)),
    at=st.lists(st.integers(0, 40 * 86_400), min_size=2, max_size=6, unique=True).map(sorted),
    zone=st.sampled_from(["Europe/Brussels", "Asia/Tokyo", "America/New_York"]),
    how=st.sampled_from([Mischief(), Mischief(late=0.3, latest_days=5), Mischief(corrections=0.2, late=0.1)]),
)
def test_spans_that_tile_give_records_that_tile(profile: str, at: list[int], zone: str, how: Mischief) -> None:
    one = phone(profile, zone=zone, talks=True, cap=Cap(2 * 10**9, 1000))
    cuts = [BEGIN + timedelta(seconds=second) for second in at]
    whole = due(one, cuts[0], cuts[-1], how)
    pieces = [record for begin, end in pairwise(cuts) for record in due(one, begin, end, how)]
    assert pieces == whole


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_record_is_one_that_a_network_could_tell(profile: str) -> None:
    records = used(phone(profile, talks=True), BEGIN, BEGIN + MONTH)
    assert len({record.record_id for record in records}) == len(records)
    for record in records:
        seconds = (record.ended_at - record.started_at).total_seconds()
        assert 0 < seconds <= 600
        assert BEGIN <= record.started_at < record.ended_at <= BEGIN + MONTH
        assert record.record_id.startswith(CARD)
        assert min(record.up_bytes, record.down_bytes, record.voice_seconds, record.sms) >= 0
        assert record.voice_seconds <= seconds
        assert record.is_abroad == (record.network != "206-01")


def test_profiles_differ_as_people_do() -> None:
    daily = {name: volume(used(phone(name), BEGIN, BEGIN + MONTH)) / 30 / 10**9 for name in PROFILES}
    assert daily["silent"] == 0
    assert 0.08 < daily["light"] < 0.3
    assert 0.7 < daily["ordinary"] < 1.2
    assert 5.5 < daily["heavy"] < 7.5
    light = by_day(used(phone("light"), BEGIN, BEGIN + MONTH))
    assert 1 <= 30 - len(light) <= 12, "some days are silent"
    away = {r.started_at.astimezone(BRUSSELS).date() for r in used(phone("traveller"), BEGIN, BEGIN + MONTH) if r[7]}
    assert 4 <= len(away) <= 14
    assert all(record.is_abroad for record in used(phone("abroad"), BEGIN, BEGIN + MONTH))
    assert any(record.is_hotspot for record in used(phone("heavy"), BEGIN, BEGIN + MONTH))


def test_evenings_are_busy_and_nights_are_not_in_the_phones_own_zone() -> None:
    for zone in ("Europe/Brussels", "Asia/Tokyo"):
        hours: Counter[int] = Counter()
        for record in used(phone("heavy", zone=zone), BEGIN, BEGIN + MONTH):
            hours[record.started_at.astimezone(ZoneInfo(zone)).hour] += record.up_bytes + record.down_bytes
        night, evening = sum(hours[h] for h in range(1, 5)), sum(hours[h] for h in range(18, 22))
        assert evening > 10 * night
    morning, weekend = Counter[bool](), Counter[bool]()
    for record in used(phone(), BEGIN, BEGIN + 4 * timedelta(days=7)):
        at = record.started_at.astimezone(BRUSSELS)
        weekend[at.weekday() >= 5] += record.up_bytes + record.down_bytes
        if 6 <= at.hour < 8:
            morning[at.weekday() >= 5] += 1
    assert morning[False] / 5 > morning[True] / 2
    assert weekend[True] / 2 > weekend[False] / 5


def test_a_phone_that_talks_calls_and_texts_and_a_data_card_does_not() -> None:
    talks = used(phone(talks=True), BEGIN, BEGIN + MONTH)
    assert sum(record.voice_seconds > 0 for record in talks) > 20
    assert sum(record.sms for record in talks) > 20
    assert not any(record.voice_seconds or record.sms for record in used(phone(), BEGIN, BEGIN + MONTH))


def test_a_card_that_is_slowed_uses_less_and_a_blocked_one_nothing() -> None:
    at, until = BEGIN + timedelta(days=2), BEGIN + timedelta(days=4)
    free, slow, blocked = (phone("heavy", speeds=speeds) for speeds in ((), ((at, 128),), ((at, 0), (until, None))))
    assert used(slow, BEGIN, at) == used(free, BEGIN, at) == used(blocked, BEGIN, at)
    slowed = used(slow, at, until)
    assert all(
        (r.up_bytes + r.down_bytes) <= 128 * 125 * (r.ended_at - r.started_at).total_seconds()
        for r in slowed
        if r.started_at >= at
    )
    assert 0 < volume(slowed) < volume(used(free, at, until)) / 10
    assert [r for r in used(blocked, at, until) if r.started_at >= at] == []
    assert used(blocked, until + timedelta(hours=1), BEGIN + MONTH) == used(
        free, until + timedelta(hours=1), BEGIN + MONTH
    )


def test_a_days_cap_slows_the_rest_of_the_day_and_midnight_ends_that() -> None:
    capped = by_day(used(phone("heavy", cap=Cap(3 * 10**9, 1000)), BEGIN, BEGIN + MONTH))
    free = by_day(used(phone("heavy"), BEGIN, BEGIN + MONTH))
    whole = [day for day in free if free[day] > 5 * 10**9]
    assert len(whole) > 25
    assert all(3 * 10**9 <= capped[day] < free[day] - 500 * 10**6 for day in whole), [
        (capped[day], free[day]) for day in whole
    ]


def test_a_card_uses_data_only_while_it_is_served() -> None:
    begin, end = BEGIN + timedelta(days=1), BEGIN + timedelta(days=3)
    records = used(phone(served=((begin, end),)), BEGIN, BEGIN + MONTH)
    assert begin <= records[0].started_at
    assert records[-1].started_at < end
    assert used(phone(), begin + timedelta(hours=1), end) == used(
        phone(served=((begin, end),)), begin + timedelta(hours=1), end
    )


# -- the ways out ----------------------------------------------------------------------------------------------------


@dataclass
class Heard:
    """What came by push; ``refuse`` so many times before it is taken."""

    requests: list[httpx.Request] = field(default_factory=list)
    refuse: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.refuse:
            self.refuse -= 1
            return httpx.Response(503)
        self.requests.append(request)
        return httpx.Response(202)

    @property
    def records(self) -> list[dict[str, object]]:
        return [json.loads(line) for request in self.requests for line in request.content.splitlines()]

    def push(self) -> Push:
        client = httpx.Client(base_url="http://shop.test", transport=httpx.MockTransport(self))
        return Push(client, source="demo", secret="s3cret")


def test_a_push_is_signed_by_the_second_over_its_body() -> None:
    heard, records = Heard(), used(phone(), BEGIN, BEGIN + timedelta(days=1))
    heard.push().send(records, now=BEGIN, known_until=BEGIN + timedelta(days=1))
    (request,) = heard.requests
    assert (request.method, str(request.url)) == ("POST", "http://shop.test/usage/demo/")
    second = int(BEGIN.timestamp())
    made = hmac.new(b"s3cret", f"{second}.".encode() + request.content, hashlib.sha256).hexdigest()
    assert request.headers["Xuka-Signature"] == f"t={second},v1={made}"
    assert request.headers["Xuka-Known-Until"] == "2026-03-03T00:00:00+00:00"
    first = heard.records[0]
    assert list(first) == list(Used._fields)
    assert Used(**first) == records[0]._replace(  # type: ignore[arg-type]
        started_at=records[0].started_at.isoformat(), ended_at=records[0].ended_at.isoformat()
    )


def test_a_file_holds_the_same_records_and_is_the_same_file_again(tmp_path: Path) -> None:
    records = used(phone(talks=True), BEGIN, BEGIN + timedelta(days=3))
    plain = ways.write_file(tmp_path, "usage.csv", records)
    packed = ways.write_file(tmp_path, "usage.csv.gz", records)
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    rows = list(csv.DictReader(plain.read_text().splitlines()))
    assert [row["record_id"] for row in rows] == [record.record_id for record in records]
    assert sum(int(row["down_bytes"]) for row in rows) == sum(record.down_bytes for record in records)
    again = ways.send_again(packed, "other.csv.gz")
    assert again.read_bytes() == packed.read_bytes() == ways.write_file(tmp_path, "b.csv.gz", records).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.csv.gz", "other.csv.gz", "usage.csv", "usage.csv.gz"]


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_repeated_shuffled_and_split_batches_hold_the_same_records() -> None:
    records = used(phone(), BEGIN, BEGIN + timedelta(days=5))
    assert batches(records) == [records]
    groups = batches(records, Mischief(repeat=0.3, shuffle=True, split=50))
    assert max(map(len, groups)) == 50
    every = [record for group in groups for record in group]
    assert len(every) > 1.2 * len(records)
    assert every != sorted(every)
    assert set(every) == set(records)
    assert batches([], Mischief(shuffle=True)) == []


def test_late_records_all_come_in_the_end_and_corrections_have_the_last_word() -> None:
    one, end = phone(), BEGIN + timedelta(days=10)
    how = Mischief(late=0.5, latest_days=40, corrections=0.2)
    sent = due(one, BEGIN, end + timedelta(days=41), how)
    truth = {record.record_id: record for record in used(one, BEGIN, end)}
    last: dict[str, Used] = {}
    for record in sent:
        if record.record_id in truth and record.revision >= last.get(record.record_id, record).revision:
            last[record.record_id] = record
    assert {id: record._replace(revision=0) for id, record in last.items()} == truth
    assert sum(record.revision for record in last.values()) > 0.1 * len(truth)
    in_time = [record for record in due(one, BEGIN, end, how) if record.ended_at < end]
    assert len(in_time) < 0.8 * len(truth)


# -- the process -----------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.at = BEGIN

    def now(self) -> datetime:
        return self.at


def test_a_clock_that_jumps_brings_the_day_in_order_and_a_restart_brings_nothing_twice(tmp_path: Path) -> None:
    clock, heard, keep = Clock(), Heard(), tmp_path / "phones.json"
    world = World(now=clock.now, keep=keep)
    world.add(CARD)
    assert world.send(heard.push()) == 0
    clock.at += timedelta(days=1)
    sent = world.send(heard.push())
    ends = [record["ended_at"] for record in heard.records]
    assert sent == len(ends) > 50
    assert ends == sorted(ends)
    assert heard.requests[-1].headers["Xuka-Known-Until"] == clock.at.isoformat()
    assert len([request for request in heard.requests if request.content]) == 4
    again = World(now=clock.now, keep=keep)
    assert again.send(heard.push()) == 0
    clock.at += timedelta(hours=3)
    again.send(heard.push())
    ids = [record["record_id"] for record in heard.records]
    assert ids == [record.record_id for record in used(world.phones[CARD].phone, BEGIN, clock.at)]


def test_what_was_not_taken_is_sent_again(tmp_path: Path) -> None:
    clock, heard = Clock(), Heard()
    world = World(now=clock.now)
    world.add(CARD)
    clock.at += timedelta(days=1)
    heard.refuse = 1
    with pytest.raises(httpx.HTTPStatusError):
        world.send(heard.push())
    world.send(heard.push())
    assert len(heard.records) == len(used(world.phones[CARD].phone, BEGIN, clock.at))


def test_a_new_habit_leaves_the_past_as_it_was() -> None:
    clock = Clock()
    world = World(now=clock.now)
    world.add(CARD, since=BEGIN - timedelta(days=5), then="heavy")
    clock.at += timedelta(days=2)
    before = used(world.phones[CARD].phone, BEGIN - timedelta(days=5), clock.at)
    world.add(CARD, profile="silent")
    assert used(world.phones[CARD].phone, BEGIN - timedelta(days=5), clock.at) == before
    later = used(world.phones[CARD].phone, clock.at, clock.at + MONTH)
    assert [record for record in later if record.started_at >= clock.at] == []


def test_the_carriers_cards_are_in_phones_for_as_long_as_something_is_on_them() -> None:
    clock = Clock()
    world = World(now=clock.now)
    on_it = {"activated_at": "2026-03-01 00:00:00", "expired_at": "2026-03-03 00:00:00"}
    fresh = {"iccid": "8981100000000000457", "operator": "nihonsim", "history": []}
    world.follow([{"iccid": CARD, "operator": "belsim", "history": [on_it]}, fresh])
    assert list(world.phones) == [CARD]
    clock.at += timedelta(days=3)
    assert world.told()[0]["is_served"] is False
    again = {"activated_at": "2026-03-04 00:00:00", "expired_at": "2026-03-11 00:00:00"}
    world.follow([{"iccid": CARD, "operator": "belsim", "history": [on_it, again]}, fresh | {"history": [again]}])
    clock.at += timedelta(days=1)
    assert [(one["is_served"], one["network"]) for one in world.told()] == [(True, "206-01"), (True, "440-10")]


@pytest.fixture
def control() -> FlaskClient:
    return application(World(now=lambda: BEGIN)).test_client()


def test_the_control_face_adds_slows_and_says_what_is_wrong(control: FlaskClient) -> None:
    wish = {"iccid": CARD, "profile": "ordinary", "then": "heavy", "since": "2026-02-28T00:00:00+00:00"}
    made = control.post("/control/cards", json=wish | {"cap": {"bytes": 3 * 10**9, "kbps": 1000}})
    assert (made.status_code, made.json["cards"][0]["profile"]) == (201, "heavy")  # type: ignore[index]
    slowed = control.post("/control/slow", json={"iccid": CARD, "kbps": 128}).json
    assert slowed["cards"][0]["kbps"] == 128  # type: ignore[index]
    assert control.get("/control/health").json == {"now": BEGIN.isoformat(), "phones": 1}
    assert control.post("/control/mischief", json={"repeat": 0.5}).status_code == 200
    for path, wrong in (
        ("cards", {"iccid": CARD, "profile": "astronaut"}),
        ("cards", {"profile": "light"}),
        ("cards", {"iccid": CARD, "since": "yesterday"}),
        ("slow", {"iccid": "8932020000000000341", "kbps": 1}),
        ("slow", {"iccid": CARD, "kbps": -1}),
        ("mischief", {"fire": True}),
    ):
        answer = control.post(f"/control/{path}", json=wrong)
        assert (answer.status_code, list(answer.json or {})) == (400, ["error"])
    assert control.get("/control/cards", environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code == 403


def test_the_phones_know_nothing_of_the_shop() -> None:
    for path in sorted((ROOT / "sandbox" / "phones").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] in {"xuka", "django"} for name in names), path


def test_many_records_do_not_take_long() -> None:
    """About 100 000 a second are made; this only guards against a slip."""
    cards = [replace(phone("heavy"), iccid=f"89320200000000{n:05d}") for n in range(8)]
    began = time.process_time()
    number = sum(len(used(card, BEGIN, BEGIN + MONTH)) for card in cards)
    assert number / (time.process_time() - began) > 20_000
