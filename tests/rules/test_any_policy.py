"""Whatever a policy says, wherever, and whatever is bought when: what is paid for is there, unless it was said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.rules.test_periods import periods
from tests.rules.test_plan_policy import WEEK
from xuka.catalogue import rules as catalogue
from xuka.catalogue.rules import InvalidPolicy, PlanEntry, Policy, contradictions, document_of, policy_of
from xuka.kernel.span import Span
from xuka.lines.rules import Lived, life_of, pass_time
from xuka.renewals.auto_rules import triggers
from xuka.renewals.rules import loses_what_is_paid
from xuka.renewals.simulator import Action, Simulated, simulate

ZONES = st.sampled_from(sorted(available_timezones()))
MODES = ["add", "queue", "replace", "longest", "independent"]
MONTH = {"length": 30, "unit": "rolling_day", "zone": "Asia/Tokyo", "starts": "activation"}
WHOLE = {
    "window": "period",
    "tiers": [{"after_bytes": 10**9, "kbps": 0}],
    "peak": None,
    "hotspot": {"allowed": True},
    "abroad": {"allowed": False},
}


@st.composite
def policies(draw: st.DrawFn, modes: list[str] = MODES, *, plain: bool = False) -> Policy:
    """Any policy; ``plain``: without windows and limits, so that everything can be bought."""
    zone, mode = draw(ZONES), draw(st.sampled_from(modes))
    length = draw(periods(zone)).model_dump(mode="json")
    length["starts"] = draw(st.sampled_from(["activation", "payment"]))
    if mode not in {"replace", "longest"} and not plain and draw(st.booleans()):
        length |= {"starts": "first_use", "start_by_days": draw(st.integers(1, 90))}
        length["unused"] = draw(st.sampled_from(["starts", "lapses"]))
    renewal: dict[str, Any] = {"mode": mode, "max_ahead_days": 3660}
    fates = {"add": 4, "queue": 3, "replace": 3}.get(mode, 0)
    if fates and draw(st.booleans()):
        allowed = {"queue": ["keep", "add", "carry"]}.get(mode, ["keep", "add", "replace", "carry"])
        renewal["data"] = draw(st.sampled_from(allowed))
    if mode == "queue":
        renewal |= {"next_by_hand": draw(st.booleans()), "next_when_used_up": draw(st.booleans())}
    if not plain:
        renewal |= {
            "max_ahead_days": draw(st.integers(1, 3660)),
            "beyond": draw(st.sampled_from(["refuse", "cut"])) if mode == "add" else "refuse",
            "max_stacked": draw(st.none() | st.integers(1, 5)),
            "opens_days": draw(st.none() | st.integers(0, 60)),
            "closes_hours": draw(st.integers(0, 48)),
            "cooldown_hours": draw(st.integers(0, 72)),
            "grace_days": draw(st.integers(0, 10)),
            "only_new": draw(st.sampled_from([False] * 9 + [True])),
            "closes_percent_left": draw(st.none() | st.integers(0, 99)),
        }
        if renewal.get("data") == "carry":
            renewal["carry_most_bytes"] = draw(st.none() | st.integers(0, 10**9))
    ending = {} if plain else draw(endings())
    document = {"period": length, "quota": {"data": WHOLE}, "renewal": renewal, "ending": ending}
    return policy_of(document | ({} if plain else {"auto": draw(autos())}))


@st.composite
def endings(draw: st.DrawFn) -> dict[str, Any]:
    """What becomes of a card, in up to three steps."""
    found: dict[str, Any] = {"renewable_days": draw(st.none() | st.integers(0, 90))}
    days = sorted(draw(st.sets(st.integers(1, 400), max_size=3)))
    becomes = ("incoming_only", "suspended", "gone")[-len(days) :] if days else ()
    if days:
        found["stages"] = [{"after_days": n, "becomes": to} for n, to in zip(days, becomes, strict=True)]
        found["counts_from"] = draw(st.sampled_from(["end", "purchase", "use"]))
        found["least_minor"] = draw(st.none() | st.integers(1, 3))
    return found


@st.composite
def autos(draw: st.DrawFn) -> dict[str, Any]:
    """How a card may renew itself."""
    found: dict[str, Any] = {
        "hours_before": draw(st.lists(st.integers(0, 72), unique=True, max_size=2)),
        "percent_left": draw(st.lists(st.integers(0, 50), unique=True, max_size=2)),
        "at_end_too": draw(st.booleans()),
        "retry_hours": draw(st.lists(st.integers(1, 48), max_size=2)),
    }
    if draw(st.booleans()):
        found |= {"off_days": draw(st.integers(0, 3)), "off_at": draw(st.sampled_from(["00:00", "23:30"]))}
    return found


@st.composite
def stories(draw: st.DrawFn) -> list[Action]:
    """What happens to a card, in order of time."""
    at = draw(st.datetimes(*[datetime.fromisoformat(f"{year}-01-01") for year in (2024, 2032)], timezones=st.just(UTC)))
    found: list[Action] = []
    for _ in range(draw(st.integers(1, 8))):
        does = draw(st.sampled_from(["buy", "buy", "buy", "use", "use_up", "start_next"]))
        found.append(Action(at, does))
        at += draw(st.sampled_from([timedelta(), timedelta(hours=5), timedelta(days=3), timedelta(days=40)]))
    return found


def never_overlaps(done: Simulated) -> None:
    """What the database would refuse did not happen."""
    for track in done.tracks:
        spans = sorted((period.span for period in track if period.span), key=lambda span: span.starts_at)
        for before, after in pairwise(spans):
            assert before.ends_at <= after.starts_at


@settings(max_examples=150)
@given(policy=policies(), story=stories())
def test_whatever_is_bought_periods_never_overlap_and_what_is_not_allowed_changes_nothing(
    policy: Policy, story: list[Action]
) -> None:
    done = simulate(policy, story)
    never_overlaps(done)
    bought = sum(one.stacked is not None for one in done.happened)
    there = sum(len(track) for track in done.tracks)
    assert there == bought if policy.period.unused == "starts" else there <= bought
    for number, one in enumerate(done.happened):
        if one.refused:
            rest = [action for n, action in enumerate(story) if n != number]
            again = simulate(policy, rest, until=story[-1].at)
            assert [sorted(map(_told, t)) for t in again.tracks] == [
                sorted(map(_told, t)) for t in simulate(policy, story, until=story[-1].at).tracks
            ]
            break


def _told(period: Any) -> tuple[Any, ...]:
    return (period.funded_at, str(period.span), str(period.anchor))


@settings(max_examples=150)
@given(policy=policies(["add", "queue"], plain=True), story=stories(), data=st.data())
def test_in_add_and_queue_nothing_that_is_paid_is_lost_and_no_gap_is_between(
    policy: Policy, story: list[Action], data: st.DataObject
) -> None:
    story = [action for action in story if action.does == "buy"]
    assume(story)
    done = simulate(policy, story, until=story[-1].at + timedelta(days=3660))
    assert [one.refused for one in done.happened] == [""] * len(story)
    (track,) = done.tracks
    ordered = sorted(track, key=lambda period: period.span.starts_at)  # type: ignore[union-attr]
    for before, after in pairwise(ordered):
        assert before.span is not None
        assert after.span is not None
        assert before.span.ends_at == after.span.starts_at or after.span.starts_at == after.funded_at
    for period in track:
        assert period.span
        whole = catalogue.period_of(period.policy, period.span.starts_at, anchor=period.anchor)
        assert period.span == whole, "every period has its whole length"
        assert period.bucket("data").ends_at >= period.span.ends_at or policy.renewal.data == "replace"  # type: ignore[union-attr]


@settings(max_examples=150)
@given(policy=policies(plain=True), story=stories())
def test_time_is_lost_only_where_the_quote_said_so(policy: Policy, story: list[Action]) -> None:
    done_before = simulate(policy, [])
    for number, action in enumerate(story):
        done = simulate(policy, story[: number + 1])
        lost = {fact["kind"] for one in done.happened[number:] if one.stacked for fact in one.stacked.lost}
        before, after = ({p.id: p.span for track in each.tracks for p in track} for each in (done_before, done))
        shorter = [id for id, span in before.items() if span and after[id] != span and _runs(span, action.at)]
        if shorter and action.does == "buy":
            assert "time" in lost
        if action.does == "use":
            assert not shorter
        done_before = done


def _runs(span: Span, moment: datetime) -> bool:
    return span.ends_at > moment > span.starts_at


@settings(max_examples=60)
@given(policy=policies(), story=stories(), switched=st.integers(0, 8), trigger=st.integers(0, 3))
def test_a_card_that_renews_itself_loses_nothing_and_renews_each_end_once(
    policy: Policy, story: list[Action], switched: int, trigger: int
) -> None:
    offered = triggers(policy)
    wanted = offered[trigger % len(offered)] if offered else None
    at = story[min(switched, len(story) - 1)].at
    story = sorted([*story, Action(at, "switch_on", trigger=wanted)], key=lambda action: action.at)
    done = simulate(policy, story, until=story[-1].at + timedelta(days=120))
    never_overlaps(done)
    by_itself = [one for one in done.happened if one.by_itself]
    assert all(not loses_what_is_paid(one.stacked.lost) for one in by_itself if one.stacked)
    ends = [one.stacked.span.ends_at for one in by_itself if one.stacked]
    assert len(set(ends)) == len(ends)
    assert not by_itself or offered, "nobody is charged by a plan that does not offer it"
    tries = [one.at for one in by_itself if one.refused]
    assert tries == sorted(tries)


@settings(max_examples=60)
@given(ending=endings(), spent=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3)), max_size=4))
def test_a_card_only_gets_worse_and_never_while_it_is_booked(
    ending: dict[str, Any], spent: list[tuple[int, int]]
) -> None:
    terms = policy_of({"period": MONTH, "quota": {"data": WHOLE}, "renewal": {"mode": "add"}, "ending": ending}).ending
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    end = begin + timedelta(days=30)
    lived = Lived(begin, end, [(begin + timedelta(days=day), minor) for day, minor in spent])
    lives = [life_of(terms, lived, begin + timedelta(days=day)) for day in range(0, 900, 5)]
    order = ["live", "over", "incoming_only", "suspended", "gone"]
    ranks = [order.index(life.state) for life in lives]
    assert ranks == sorted(ranks)
    assert {life.state for life in lives[:6]} == {"live"}
    for life, further in pairwise(lives):
        assert set(further.ahead) <= set(life.ahead), "what is ahead comes, and nothing else"


@settings(max_examples=100)
@given(policy=policies(), story=stories(), looks=st.lists(st.integers(0, 400), max_size=5))
def test_however_often_somebody_looks_the_same_comes_of_it(
    policy: Policy, story: list[Action], looks: list[int]
) -> None:
    begin, end = story[0].at, story[-1].at + timedelta(days=400)
    for track in simulate(policy, story).tracks:
        seen = track
        for days in sorted(looks):
            if (moment := begin + timedelta(days=days)) > story[-1].at:
                seen = pass_time(seen, moment)
        assert set(map(_told, pass_time(seen, end))) == set(map(_told, pass_time(track, end)))


@settings(max_examples=100)
@given(policy=policies())
def test_any_policy_is_the_same_after_it_was_written(policy: Policy) -> None:
    assert policy_of(document_of(policy)) == policy


def test_a_document_of_before_is_written_as_it_was() -> None:
    assert document_of(policy_of(WEEK)) == WEEK


# ---- what is refused ----------------------------------------------------------------------------------------------


def terms(period: dict[str, Any], renewal: dict[str, Any], ending: dict[str, Any] | None = None) -> dict[str, Any]:
    month = {"length": 30, "unit": "rolling_day", "zone": "Asia/Tokyo", "starts": "activation"}
    return {
        "period": month | period,
        "quota": {"data": WHOLE},
        "renewal": {"mode": "add"} | renewal,
        "ending": ending or {},
    }


NEVER = {"renewable_days": 0}
CANNOT_BE_MEANT = [
    (terms({}, {"max_ahead_days": 29}), "renewal.max_ahead_days", "less than one period: it could never be bought"),
    (
        terms({}, {"cooldown_hours": 31 * 24}, {"renewable_days": 1}),
        "renewal.cooldown_hours",
        "longer than the card can be renewed: it could never be",
    ),
    (
        terms({}, {"opens_days": 2, "closes_hours": 48}, NEVER),
        "renewal.closes_hours",
        "it closes before it opens: the card could never be renewed",
    ),
    (
        terms({}, {"max_stacked": 1}, NEVER),
        "renewal.max_stacked",
        "one at a time, and none after it: the card could never be renewed",
    ),
    (
        terms({"length": 1, "unit": "hour", "ends": "end_of_day"}, {}),
        "period.ends",
        "behind a period that ends at midnight, each of these would give away part of a day",
    ),
    (
        terms({"starts": "first_use", "start_by_days": 30}, {"mode": "replace"}),
        "renewal.mode",
        "the clock restarts at once, or with the first use: one of the two",
    ),
    (
        terms({}, {}, {"renewable_days": 91, "stages": [{"after_days": 90, "becomes": "gone"}]}),
        "ending.renewable_days",
        "the card is gone before: it could not be renewed so long",
    ),
    (
        terms({}, {}, {"number_kept": False, "stages": [{"after_days": 90, "becomes": "gone"}]}),
        "ending.number_kept",
        "the number goes with the card, in the last of the stages",
    ),
    (
        terms({}, {"opens_days": 3, "opens_percent_left": 10, "closes_percent_left": 10}),
        "renewal.closes_percent_left",
        "it closes before it opens",
    ),
]


@pytest.mark.parametrize(("document", "field", "why"), CANNOT_BE_MEANT)
def test_terms_that_cannot_be_meant_are_named_with_field_and_reason(
    document: dict[str, Any], field: str, why: str
) -> None:
    assert [(".".join(where), reason) for where, reason in contradictions(policy_of(document))] == [(field, why)]


def test_data_that_begins_anew_every_day_does_not_go_over_to_the_next_period() -> None:
    document = terms({}, {"data": "carry"})
    daily = {"window": "local_day", "resets_at": "00:00", "zone": "Asia/Tokyo"}
    document["quota"] = {"data": WHOLE | daily}
    (told,) = contradictions(policy_of(document))
    assert told == (("renewal", "data"), "only data that is counted over the whole period goes over to another")


@pytest.mark.parametrize(
    ("data", "field", "why"),
    [
        ({"cap": "none", "tiers": []}, "pool", "there is no cap, so there is nothing to share"),
        (
            {"hotspot": {"allowed": False}},
            "hotspot.allowed",
            "the data is for one device only, so no other card can use it",
        ),
        (
            {"hotspot": {"allowed": True, "cap_bytes": 10**9}},
            "hotspot.cap_bytes",
            "it is counted of one card, and the data is used by several",
        ),
        (
            {"abroad": {"allowed": True, "countries": ["KR"], "cap_bytes": 10**9}},
            "abroad.cap_bytes",
            "it is counted of one card, and the data is used by several",
        ),
    ],
)
def test_data_that_cannot_be_shared_is_refused_with_field_and_reason(
    data: dict[str, Any], field: str, why: str
) -> None:
    document = terms({}, {})
    document["quota"] = {"data": WHOLE | {"hotspot": {"allowed": True}, "pool": {"cards": 3}}}
    assert contradictions(policy_of(document)) == ()
    document["quota"] = {"data": document["quota"]["data"] | data}
    assert [(".".join(where), why) for where, why in contradictions(policy_of(document))] == [
        (f"quota.data.{field}", why)
    ]


@pytest.mark.parametrize(
    ("renewal", "why"),
    [
        ({"next_by_hand": True}, "renewal: only what waits (mode: queue) can be started early"),
        (
            {"mode": "queue", "beyond": "cut"},
            "renewal: only time that is added to what is booked (mode: add) can be cut",
        ),
        ({"mode": "queue", "data": "replace"}, "renewal: what waits finds nothing to replace when it starts"),
        ({"mode": "independent", "data": "add"}, "renewal: what runs beside another joins and replaces nothing of it"),
        ({"carry_after_hours": 24}, "renewal: carry_after_hours is told where something is carried over"),
        (
            {"opens_percent_left": 10},
            "renewal: opens_percent_left opens earlier than opens_days, which is not told",
        ),
        ({"carry_most_bytes": 1}, "renewal: carry_most_bytes is told where data is carried over"),
        ({"throttled_apps": ["video"]}, "renewal.throttled_apps: there is no such field"),
    ],
)
def test_a_renewal_that_contradicts_itself_is_refused_with_its_reason(renewal: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        policy_of(terms({}, renewal))
    assert str(refused.value) == why


REFUSED = [
    ("period.length", 0, "greater than or equal to 1"),
    ("period.length", -1, "greater than or equal to 1"),
    ("period.length", 400 * 366, "less than or equal to 8784"),
    ("period.length", 10**40, "less than or equal to 8784"),
    ("period.zone", "Pacific/Atlantis", "there is no time zone called 'Pacific/Atlantis'"),
    ("period.start_by_days", 10**9, "less than or equal to 366"),
    ("renewal.max_stacked", 0, "greater than or equal to 1"),
    ("renewal.max_stacked", 2**63, "less than or equal to 366"),
    ("renewal.max_ahead_days", 400 * 366, "less than or equal to 3660"),
    ("renewal.max_left_bytes", 10**30, "less than or equal to 1000000000000000000"),
    ("renewal.max_left_bytes", -1, "greater than or equal to 0"),
    ("ending.renewable_days", 10**9, "less than or equal to 3660"),
    ("ending.stages", [{"after_days": 0, "becomes": "gone"}], "greater than or equal to 1"),
    ("ending.counts_from", "use", "counts_from and least_minor are of stages, and there are none"),
    ("auto.hours_before", [24, 24], "each moment is named once"),
    ("auto.percent_left", [51], "less than or equal to 50"),
    ("auto.off_days", 1, "off_days and off_at are told together"),
    ("auto.retry_hours", [0], "greater than or equal to 1"),
]


@pytest.mark.parametrize(("where", "value", "why"), REFUSED)
def test_a_number_that_cannot_be_is_refused_with_its_field_and_the_reason(where: str, value: Any, why: str) -> None:
    document: dict[str, Any] = {"period": dict(MONTH), "quota": {"data": dict(WHOLE)}, "renewal": {"mode": "add"}}
    part, name = where.split(".")
    document[part] = {**document.get(part, {}), name: value}
    with pytest.raises(InvalidPolicy) as refused:
        policy_of(document)
    assert str(refused.value).startswith(part)
    assert why in str(refused.value)


def entry(**more: Any) -> dict[str, Any]:
    """A plan as a catalogue file tells it."""
    plan = {
        "slug": "jp-month", "market": "JP", "network": "jp-net", "names": {"en": "Month", "zh-hans": "月"},
        "seller": "us", "price": {"amount": 1000, "currency": "JPY"}, "carrier": "c", "package": "p",
        "cost": {"amount": 500, "currency": "JPY"}, "policy": terms({}, {}),
    }  # fmt: skip
    return plan | more


@pytest.mark.parametrize(
    ("more", "field", "why"),
    [
        ({"price": {"amount": 0, "currency": "JPY"}}, "", "a price is more than nothing"),
        ({"price": {"amount": -5, "currency": "JPY"}}, "price", "greater than or equal to 0"),
        ({"price": {"amount": "9.5", "currency": "JPY"}}, "price", "JPY has 0 decimals"),
        ({"price": {"amount": 10, "currency": "XXY"}}, "price", "is not a currency"),
        ({"price": {"amount": 10**30, "currency": "JPY"}}, "price", "less than or equal to 1000000000"),
    ],
)
def test_a_price_that_cannot_be_is_refused_with_its_field_and_the_reason(
    more: dict[str, Any], field: str, why: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        PlanEntry.model_validate(entry(**more))
    assert any(why in error["msg"] and (not field or error["loc"][0] == field) for error in refused.value.errors())


def test_a_period_on_the_day_that_apia_left_out_lasts_its_days() -> None:
    """30 December 2011 was not there: nobody is sold it."""
    apia = policy_of(terms({"length": 2, "unit": "calendar_day", "zone": "Pacific/Apia"}, {}))
    (span,) = simulate(apia, [Action(datetime(2011, 12, 29, 12, tzinfo=ZoneInfo("Pacific/Apia")))]).spans
    assert span.ends_at == datetime(2012, 1, 1, tzinfo=ZoneInfo("Pacific/Apia")).astimezone(UTC)


@pytest.mark.parametrize("field", ["apps", "throttle", "services"])
def test_a_policy_that_slows_particular_apps_cannot_be_said(field: str) -> None:
    """In the European Union all traffic is treated alike (Regulation 2015/2120, article 3)."""
    document = terms({}, {})
    document["quota"] = {"data": WHOLE | {field: [{"name": "video", "kbps": 128}]}}
    with pytest.raises(InvalidPolicy, match="there is no such field"):
        policy_of(document)
