"""What a policy says becomes of a card, and what becomes of it in the database, are one and the same."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from hypothesis import given, settings

from tests.journeys import web_world
from tests.rules.test_any_policy import policies, stories, terms
from xuka.catalogue import operations as catalogue
from xuka.catalogue import queries as catalogue_queries
from xuka.catalogue.models import PlanVersion
from xuka.catalogue.operations import BadFile
from xuka.catalogue.rules import Policy, document_of, policy_of
from xuka.journal import queries as journal
from xuka.kernel import ids
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.models import Line, Period
from xuka.lines.rules import CannotStart
from xuka.metering import queries as metering
from xuka.renewals.simulator import Action, Simulated, simulate

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=False)


@pytest.fixture
def sold(db: None) -> PlanVersion:
    """A version of a plan whose policy does not matter: each test makes its own."""
    for name in web_world.OURS:
        catalogue.load(web_world.DATA / name, who="seller", now=NOW)
    return catalogue_queries.plans_on_sale("BE")[0]


def version_of(sold: PlanVersion, policy: Policy) -> PlanVersion:
    """Another version of the plan, with this policy."""
    number = PlanVersion.objects.filter(plan=sold.plan).count() + 1
    copy = {f.attname: getattr(sold, f.attname) for f in PlanVersion._meta.concrete_fields}
    copy |= {"id": uuid4(), "number": number, "policy": document_of(policy)}
    made = PlanVersion(**copy)
    made.save(force_insert=True)
    return made


def card(sold: PlanVersion) -> Line:
    return lines.add_to_stock(
        iccid=web_world.iccid(Line.objects.count() + 1), carrier="airalo", claim_code="C", plan_version=sold,
        who="seller", now=NOW,
    )  # fmt: skip


def buy(line: Line, version: PlanVersion, at: datetime, order: UUID | None = None) -> Period:
    return lines.open_period(
        line_id=line.id, order_id=order or uuid4(), ordinal=0, plan_version=version, activated_at=at, funded_at=at,
        carrier_ends_at=None, who="test", now=at,
    )  # fmt: skip


def act(line: Line, version: PlanVersion, action: Action, order: UUID) -> None:
    """The same on a real card; the clock has come by before."""
    at = action.at
    lines.start_due_periods(now=at)
    match action.does:
        case "buy":
            buy(line, version, at, order)
        case "use":
            lines.begin_use(line_id=line.id, used_at=at, who="test", now=at)
        case "use_up" | "start_next":
            because = "used_up" if action.does == "use_up" else "by_hand"
            try:
                lines.start_next_now(line_id=line.id, who="test", now=at, because=because)
            except CannotStart:
                return


def stored(line: Line) -> list[tuple[Any, ...]]:
    """Every period of the card that is not void, on whatever track."""
    rows = Period.objects.filter(line=line, voided_at__isnull=True).select_related("plan_version")
    return sorted((p.funded_at, str(p.span), str(p.anchor), p.buckets) for p in map(lines_queries.booked, rows))


def simulated(done: Simulated) -> list[tuple[Any, ...]]:
    every = [period for track in done.tracks for period in track]
    return sorted((p.funded_at, str(p.span), str(p.anchor), p.buckets) for p in every)


def tick(story: list[Action]) -> list[Action]:
    """A second between any two actions: what is bought first is first."""
    return [Action(one.at + timedelta(seconds=n), one.does) for n, one in enumerate(story)]


@settings(max_examples=60)
@given(policy=policies(), story=stories())
def test_a_real_card_does_what_the_simulator_says(sold: PlanVersion, policy: Policy, story: list[Action]) -> None:
    """A few hundred policies and what happens to a card, in PostgreSQL with its walls."""
    story = tick(story)
    done = simulate(policy, story, until=story[-1].at)
    line, version = card(sold), version_of(sold, policy)
    for action, happened in zip(story, done.happened, strict=True):
        if action.does != "buy" or happened.stacked:  # what the quote refuses is never bought
            act(line, version, action, ids.new())
    lines.start_due_periods(now=story[-1].at)
    with connection.cursor() as cursor:  # the wall that waits for the commit is asked now
        cursor.execute("set constraints all immediate")
        cursor.execute("set constraints all deferred")
    assert stored(line) == simulated(done)


def test_the_next_is_started_by_hand_once_and_the_old_span_stays_in_the_journal(sold: PlanVersion) -> None:
    line, version = card(sold), version_of(sold, policy_of(terms({}, {"mode": "queue", "next_by_hand": True})))
    first, second, third = (buy(line, version, NOW + timedelta(hours=n)) for n in range(3))
    now = NOW + timedelta(days=3)
    ask = {"line_id": line.id, "who": "customer:x", "now": now, "instead_of": first.id}
    assert lines.start_next_now(**ask)
    assert not lines.start_next_now(**ask | {"now": now + timedelta(seconds=5)}), "asked again, it is done already"
    spans = {p.id: lines_queries.span_of(p) for p in Period.objects.filter(line=line)}
    assert spans[first.id].ends_at == spans[second.id].starts_at == now
    assert spans[third.id] is None
    (cut,) = [fact for fact in journal.facts_about(line.id) if fact.what == "period.changed"]
    assert (cut.before["ends_at"], cut.after["ends_at"]) == (
        (NOW + timedelta(days=30)).isoformat(),
        now.isoformat(),
    )
    assert cut.who == "customer:x"


def test_nothing_is_started_early_that_may_not_be(sold: PlanVersion) -> None:
    line, waits = card(sold), version_of(sold, policy_of(terms({}, {"mode": "queue"})))
    ask = {"line_id": line.id, "who": "customer:x", "now": NOW + timedelta(hours=1)}
    with pytest.raises(CannotStart, match="nothing_waits"):
        lines.start_next_now(**ask)
    buy(line, waits, NOW)
    buy(line, waits, NOW)
    for because, code in (("by_hand", "not_by_hand"), ("used_up", "not_when_used_up")):
        with pytest.raises(CannotStart, match=re.escape(code)):
            lines.start_next_now(**ask, because=because)


def test_a_daily_cap_that_is_used_up_starts_nothing(sold: PlanVersion) -> None:
    """Tomorrow there is data again."""
    document = terms({}, {"mode": "queue", "next_when_used_up": True})
    document["quota"]["data"] = document["quota"]["data"] | {
        "window": "local_day", "resets_at": "00:00", "zone": "Asia/Tokyo",
    }  # fmt: skip
    line, version = card(sold), version_of(sold, policy_of(document))
    buy(line, version, NOW)
    buy(line, version, NOW)
    with pytest.raises(CannotStart, match="not_used_up"):
        lines.start_next_now(line_id=line.id, who="clock", now=NOW, because="used_up")


def test_what_lapsed_is_void_and_told(sold: PlanVersion) -> None:
    period = {"starts": "first_use", "start_by_days": 30, "unused": "lapses"}
    line, version = card(sold), version_of(sold, policy_of(terms(period, {})))
    bought = buy(line, version, NOW)
    lines.start_due_periods(now=NOW + timedelta(days=29))
    assert Period.objects.get(id=bought.id).voided_at is None
    lines.start_due_periods(now=NOW + timedelta(days=30))
    assert Period.objects.get(id=bought.id).voided_at == NOW + timedelta(days=30)
    assert [fact.what for fact in journal.facts_about(line.id)].count("period.lapsed") == 1


def test_data_that_joins_the_new_period_is_counted_as_long_as_it(sold: PlanVersion) -> None:
    line, version = card(sold), version_of(sold, policy_of(terms({}, {"mode": "replace", "data": "add"})))
    old, new = buy(line, version, NOW), buy(line, version, NOW + timedelta(days=20))
    buckets = {bucket.id: bucket.span for bucket in metering.buckets_of([line.id])[line.id]}
    end = NOW + timedelta(days=50)
    assert (buckets[old.id].starts_at, buckets[old.id].ends_at) == (NOW, end)
    assert (buckets[new.id].starts_at, buckets[new.id].ends_at) == (NOW + timedelta(days=20), end)


def test_a_plan_that_cannot_be_meant_is_refused_with_its_line(tmp_path: Any, sold: PlanVersion) -> None:
    text = (web_world.DATA / "demo-plans.yaml").read_text()
    file = tmp_path / "plans.yaml"
    file.write_text(re.sub(r"max_ahead_days: \d+", "max_ahead_days: 1", text, count=1))
    with pytest.raises(BadFile) as refused:
        catalogue.load(file, who="seller", now=NOW)
    assert "policy.renewal.max_ahead_days: less than one period: it could never be bought" in str(refused.value)
