"""Every rule of real carriers about periods, renewals, quota and ending, by its number, as a simulated card.

Each is a policy as a document, what somebody does, and what comes of it. Rules that a policy cannot say are listed,
with the reason, in ``docs/decisions/014-what-a-policy-cannot-say.md``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from xuka.activation.rules import key_of
from xuka.catalogue.prices import PeriodPrice
from xuka.catalogue.rules import (
    InvalidPolicy,
    PlanEntry,
    Policy,
    conditions,
    document_of,
    next_reset,
    policy_of,
    window_at,
)
from xuka.kernel.money import Money
from xuka.kernel.span import Span
from xuka.lines.rules import Booked, Lived, Track, life_of
from xuka.metering.rules import MARKS, Bucket, Cell, burn, burnt, crossings, talked, usage
from xuka.payments.rules import MistypedCode, code_of, grouped, new_code
from xuka.renewals.auto_rules import Switch, Trigger, When, after_refusal, sort_of, triggers
from xuka.renewals.price_rules import Request, price
from xuka.renewals.rules import OUT_OF_SERVICE, Asked, Left, Situation, State, Step, next_step
from xuka.renewals.simulator import Action, Simulated, simulate

GB = 10**9
TOKYO, BRUSSELS = "Asia/Tokyo", "Europe/Brussels"


def policy(
    length: int,
    unit: str,
    *,
    zone: str = TOKYO,
    mode: str = "add",
    period: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    ending: dict[str, Any] | None = None,
    auto: dict[str, Any] | None = None,
    data_left: str | None = None,
    **renewal: Any,
) -> Policy:
    """A plan of 3 GB, unless the data says otherwise."""
    whole = {"window": "period", "tiers": [{"after_bytes": 3 * GB, "kbps": 0}]}
    quota = {"peak": None, "hotspot": {"allowed": True}, "abroad": {"allowed": False}} | (data or whole)
    return policy_of(
        {
            "period": {"length": length, "unit": unit, "zone": zone, "starts": "activation"} | (period or {}),
            "quota": {"data": quota},
            "renewal": {"mode": mode, "data": data_left} | renewal,
            "ending": ending or {},
            "auto": auto or {},
        }
    )


def with_fates(terms: Policy, **fates: str) -> Policy:
    document = terms.model_dump(mode="json", by_alias=True)
    document["renewal"] |= fates
    return policy_of(document)


def at(text: str, zone: str = TOKYO) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def buys(terms: Policy, *when: str, until: str = "2030-01-01", **more: Any) -> Simulated:
    """A new card on which this plan is bought at these moments, on the clock of its zone."""
    zone = terms.period.zone
    actions = [Action(datetime.fromisoformat(moment), **more) for moment in when]
    return simulate(terms, actions, zone, at(until, zone))


def spans(done: Simulated, zone: str = TOKYO) -> list[tuple[str, str]]:
    """From when until when, on the clock of the zone."""

    def clock(moment: datetime) -> str:
        return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat(timespec="minutes")

    return [(clock(span.starts_at), clock(span.ends_at)) for span in done.spans]


def kinds(facts: tuple[dict[str, Any], ...]) -> list[str]:
    return [fact["kind"] for fact in facts]


def told(done: Simulated, number: int = -1) -> tuple[list[str], list[str]]:
    """What this action kept and what it lost, as a quote says it."""
    stacked = done.happened[number].stacked
    assert stacked is not None, done.happened[number].refused
    return kinds(stacked.kept), kinds(stacked.lost)


# ---- A. how long is a period --------------------------------------------------------------------------------------


def test_r_01_rolling_hours_to_the_minute() -> None:
    done = buys(policy(7, "rolling_day", zone=BRUSSELS), "2026-03-28T16:00")
    assert spans(done, BRUSSELS) == [("2026-03-28T16:00", "2026-04-04T17:00")]
    assert done.spans[0].length == timedelta(hours=168)


@pytest.mark.parametrize(("bought", "hours"), [("2026-05-10T00:05", 47 + 55 / 60), ("2026-05-10T23:50", 24 + 10 / 60)])
def test_r_02_rolling_days_to_the_end_of_the_last_day(bought: str, hours: float) -> None:
    rounded = policy(24, "hour", period={"ends": "end_of_day"}, mode="queue")
    done = buys(rounded, bought)
    assert spans(done)[0][1] == "2026-05-12T00:00"
    assert done.spans[0].length == timedelta(hours=hours)
    assert spans(buys(rounded, bought, bought))[1] == ("2026-05-12T00:00", "2026-05-13T00:00"), "once, not each time"


@pytest.mark.parametrize("installed", ["2026-01-01T00:00", "2026-01-01T23:59"])
def test_r_03_calendar_days_count_the_day_of_the_start(installed: str) -> None:
    done = buys(policy(10, "calendar_day"), installed)
    assert spans(done) == [(installed, "2026-01-11T00:00")]
    assert told(done)[1] == ([] if installed.endswith("00:00") else ["part_of_today"])


def test_r_04_whose_midnight() -> None:
    daily = {"window": "local_day", "resets_at": "00:00", "zone": "Asia/Shanghai"}
    terms = policy(7, "calendar_day", data=daily | {"tiers": [{"after_bytes": GB, "kbps": 128}]})
    assert next_reset(terms.quota.data, at("2026-05-02T00:30")) == at("2026-05-02T01:00")


def test_r_05_the_same_day_and_minute_of_the_next_month() -> None:
    month = policy(1, "month", zone=BRUSSELS)
    assert spans(buys(month, "2026-03-08T00:35"), BRUSSELS) == [("2026-03-08T00:35", "2026-04-08T00:35")]


def test_r_06_month_ends_are_clamped_and_the_anchor_stays() -> None:
    done = buys(policy(1, "month"), *["2027-01-31T10:00"] * 3)
    assert [end for _, end in spans(done)] == ["2027-02-28T10:00", "2027-03-31T10:00", "2027-04-30T10:00"]
    sticky = buys(policy(1, "month", period={"month_end": "sticky"}), *["2027-02-28T10:00"] * 2)
    assert [end for _, end in spans(sticky)] == ["2027-03-31T10:00", "2027-04-30T10:00"]


def test_r_07_month_ends_roll_over_to_the_first() -> None:
    povo = policy(1, "month", period={"month_end": "roll", "ends": "start_of_day"})
    assert [end for _, end in spans(buys(povo, *["2027-01-31T10:00"] * 3))] == [
        "2027-03-01T00:00",
        "2027-04-01T00:00",
        "2027-05-01T00:00",
    ]
    assert spans(buys(povo, "2027-01-01T10:00"))[0][1] == "2027-02-01T00:00"


def test_r_08_fixed_cycles_of_days() -> None:
    orange = policy(28, "rolling_day", zone="Europe/Madrid", mode="replace")
    early = buys(orange, "2026-07-01T10:00", "2026-07-15T10:00")
    assert spans(early, "Europe/Madrid")[-1] == ("2026-07-15T10:00", "2026-08-12T10:00")
    rakuten = policy(31, "calendar_day")
    assert spans(buys(rakuten, "2026-07-01T15:00"))[0][1] == "2026-08-01T00:00"
    assert buys(policy(62, "rolling_day"), "2026-07-01T15:00").spans[0].length == timedelta(days=62)


def test_r_09_calendar_months() -> None:
    done = buys(policy(1, "calendar_month"), "2026-06-30T23:00")
    assert spans(done) == [("2026-06-30T23:00", "2026-07-01T00:00")]
    assert told(done)[1] == ["part_of_month"]
    assert told(buys(policy(1, "calendar_month"), "2026-07-01T00:00"))[1] == []


def test_r_10_term_and_quota_on_different_clocks() -> None:
    monthly = {"window": "calendar_month", "zone": TOKYO, "tiers": [{"after_bytes": 7 * GB, "kbps": 0}]}
    terms = policy(30, "calendar_day", data=monthly)
    term = buys(terms, "2026-04-20T00:00").spans[0]
    assert spans(buys(terms, "2026-04-20T00:00")) == [("2026-04-20T00:00", "2026-05-20T00:00")]
    april, may = (window_at(terms.quota.data, term, at(day)) for day in ("2026-04-25", "2026-05-02"))
    assert (april, may) == (Span(term.starts_at, at("2026-05-01")), Span(at("2026-05-01"), term.ends_at))


def test_r_11_what_starts_the_clock() -> None:
    waits = {"starts": "first_use", "start_by_days": 60}
    nomad = policy(7, "rolling_day", period=waits)
    bought = Action(datetime.fromisoformat("2026-01-01T00:00"))
    used = Action(datetime.fromisoformat("2026-01-20T12:00"), "use")
    assert simulate(nomad, [bought], TOKYO, at("2026-03-01")).spans == []
    assert spans(buys(nomad, "2026-01-01T00:00")) == [("2026-03-02T00:00", "2026-03-09T00:00")], "by itself on day 60"
    assert spans(simulate(nomad, [bought, used], TOKYO)) == [("2026-01-20T12:00", "2026-01-27T12:00")]
    assert told(buys(nomad, "2026-01-01T00:00"))[0] == ["number", "first_use"]
    keepgo = policy(7, "rolling_day", period=waits | {"start_by_days": 180, "unused": "lapses"})
    assert buys(keepgo, "2026-01-01T00:00").spans == [], "it lapsed"
    assert spans(simulate(keepgo, [bought, used], TOKYO)) == [("2026-01-20T12:00", "2026-01-27T12:00")]


# ---- B. buying again before the end -------------------------------------------------------------------------------


def test_r_12_time_and_balance_add_up() -> None:
    softbank = with_fates(policy(60, "rolling_day"), data="add")
    # Ten of sixty days are left.
    done = simulate(softbank, [Action(at("2026-01-01")), Action(at("2026-02-20"))], TOKYO, at("2026-02-21"))
    assert done.valid_until == at("2026-02-20") + timedelta(days=70)
    first, second = done.tracks[0]
    assert first.bucket("data") == Span(at("2026-01-01"), done.valid_until), "what is left lasts as long"
    assert second.bucket("data") == Span(at("2026-02-20"), done.valid_until), "and the new can be used at once"
    assert told(done) == (["number", "time", "data_longer"], [])


def test_r_13_a_cap_on_how_far_ahead() -> None:
    capped = policy(60, "rolling_day", max_ahead_days=360, beyond="cut")
    year = policy(330, "rolling_day")
    done = simulate(capped, [Action(at("2026-01-01"), policy=year), Action(at("2026-01-01"))], TOKYO)
    assert done.valid_until == at("2026-01-01") + timedelta(days=360)
    assert told(done)[1] == ["beyond_cap"], "told before paying"
    refusing = policy(60, "rolling_day", max_ahead_days=360)
    done = simulate(refusing, [Action(at("2026-01-01"), policy=year), Action(at("2026-01-01"))], TOKYO)
    assert (done.happened[1].refused, done.happened[1].possible_at) == ("too_far_ahead", at("2026-01-31"))
    assert done.valid_until == at("2026-01-01") + timedelta(days=330), "nothing was booked"


def test_r_13_a_cap_on_what_is_left() -> None:
    terms = policy(30, "rolling_day", max_left_bytes=5 * GB)
    for left, refused in ((2 * GB, ""), (2 * GB + 1, "too_much_left")):
        done = simulate(terms, [Action(at("2026-01-01")), Action(at("2026-01-02"), left=Left(left, 3 * GB))], TOKYO)
        assert done.happened[1].refused == refused


def test_r_14_of_two_ends_the_later() -> None:
    month, long = policy(30, "rolling_day", mode="longest"), policy(100, "rolling_day")
    start = at("2026-01-01")
    shorter = simulate(month, [Action(start, policy=long), Action(start)], TOKYO)
    assert shorter.valid_until == start + timedelta(days=100), "still 100 days"
    later = simulate(month, [Action(start, policy=long), Action(start + timedelta(days=90))], TOKYO)
    assert later.valid_until == start + timedelta(days=120)
    assert told(later) == (["number", "time", "data"], [])
    assert later.tracks[0][1].bucket("data") == Span(start + timedelta(days=90), start + timedelta(days=120))


def test_r_15_the_clock_restarts_now() -> None:
    vikings = policy(1, "month", zone=BRUSSELS, mode="replace")
    done = buys(vikings, "2026-11-08T10:00", "2026-12-01T10:00")
    assert spans(done, BRUSSELS) == [("2026-11-08T10:00", "2026-12-01T10:00"), ("2026-12-01T10:00", "2027-01-01T10:00")]
    assert told(done) == (["number"], ["time", "data"])
    stacked = done.happened[1].stacked
    assert stacked is not None
    assert stacked.lost[0]["until"] == at("2026-12-08T10:00", BRUSSELS).isoformat(), "the seven days are named"
    xox = buys(policy(1, "month", mode="replace"), "2026-06-01T00:00", "2026-06-21T00:00")
    assert spans(xox)[-1][1] == "2026-07-21T00:00"


def test_r_15_what_was_booked_further_ahead_is_not_lost() -> None:
    week, replaces = policy(7, "rolling_day"), policy(7, "rolling_day", mode="replace")
    actions = [Action(at("2026-01-01"), policy=week)] * 2 + [Action(at("2026-01-03"))]
    done = simulate(replaces, actions, TOKYO, at("2026-02-01"))
    assert spans(done) == [
        ("2026-01-01T00:00", "2026-01-03T00:00"),
        ("2026-01-03T00:00", "2026-01-10T00:00"),
        ("2026-01-10T00:00", "2026-01-17T00:00"),
    ]
    assert told(done) == (["number", "queued_behind"], ["time", "data"])


def test_r_16_independent_clocks_and_the_earliest_end_first() -> None:
    three, twenty = policy(30, "rolling_day"), policy(30, "rolling_day", mode="independent")
    done = simulate(twenty, [Action(at("2026-05-31"), policy=three), Action(at("2026-06-10"))], TOKYO)
    assert spans(done) == [("2026-05-31T00:00", "2026-06-30T00:00"), ("2026-06-10T00:00", "2026-07-10T00:00")]
    assert told(done) == (["number", "time", "data"], [])
    buckets = [Bucket(UUID(int=n), span, at("2026-05-31"), three.quota) for n, span in enumerate(done.spans)]
    cell = Cell(at("2026-06-15"), at("2026-06-15").date(), bytes=GB)
    borne = burn(buckets, [cell])
    assert borne == {UUID(int=0): {cell.starts_at: GB}, UUID(int=1): {}}


def queue_of(**more: Any) -> Policy:
    return policy(30, "rolling_day", mode="queue", **more)


def test_r_17_what_waits_starts_when_the_running_one_ends() -> None:
    done = buys(queue_of(), "2026-04-05T12:00", "2026-04-20T08:00")
    assert spans(done) == [("2026-04-05T12:00", "2026-05-05T12:00"), ("2026-05-05T12:00", "2026-06-04T12:00")]


@pytest.mark.parametrize(
    ("terms", "does", "refused", "start"),
    [
        (queue_of(), "use_up", "not_when_used_up", "2026-05-05T12:00"),  # Trip.com: it waits
        (queue_of(next_when_used_up=True), "use_up", "", "2026-05-03T12:00"),  # Textr, aloSIM
        (queue_of(next_by_hand=True), "start_next", "", "2026-05-03T12:00"),  # aloSIM: ACTIVATE
        (queue_of(), "start_next", "not_by_hand", "2026-05-05T12:00"),
    ],
)
def test_r_17_what_waits_starts_earlier_where_the_policy_says_so(
    terms: Policy, does: Any, refused: str, start: str
) -> None:
    first, second = Action(at("2026-04-05T12:00")), Action(at("2026-04-20T12:00"))
    done = simulate(terms, [first, second, Action(at("2026-05-03T12:00"), does)], TOKYO, at("2026-08-01"))
    assert done.happened[2].refused == refused
    assert spans(done)[1][0] == start
    assert spans(done)[0][1] == start, "what ran has ended"


def test_r_17_only_the_oldest_is_started() -> None:
    actions = [Action(at("2026-04-05")), Action(at("2026-04-06")), Action(at("2026-04-07"))]
    done = simulate(queue_of(next_by_hand=True), [*actions, Action(at("2026-04-08"), "start_next")], TOKYO)
    assert [period.id for period in done.tracks[0] if period.span] == [UUID(int=0), UUID(int=1)]


def test_r_18_specific_before_general_then_the_oldest() -> None:
    japan, asia = ({"window": "period", "priority": n, "tiers": [{"after_bytes": GB, "kbps": 0}]} for n in (10, 20))
    start = at("2026-05-01")
    long, short = Span(start, start + timedelta(days=30)), Span(start, start + timedelta(days=7))
    buckets = [
        Bucket(UUID(int=1), short, start, policy(7, "rolling_day", data=asia).quota),
        Bucket(UUID(int=2), long, start, policy(30, "rolling_day", data=japan).quota),
    ]
    borne = burn(buckets, [Cell(start, start.date(), bytes=GB // 2)])
    assert borne[UUID(int=2)] == {start: GB // 2}, "the country's pack, though the region's ends earlier"


def test_r_18_unlimited_then_bonus_then_paid() -> None:
    """povo: what is unlimited has the lowest number, a bonus pack the next, and what is paid for the last."""
    unlimited = {"window": "period", "priority": 10, "cap": "none"}
    bonus, paid = ({"window": "period", "priority": n, "tiers": [{"after_bytes": GB, "kbps": 0}]} for n in (20, 30))
    start = at("2026-05-01")
    spans = [Span(start, start + timedelta(days=days)) for days in (1, 30, 7)]
    buckets = [
        Bucket(UUID(int=n), span, start, policy(30, "rolling_day", data=data).quota)
        for n, (span, data) in enumerate(zip(spans, (unlimited, bonus, paid), strict=True))
    ]
    cells = [Cell(start + timedelta(days=day), start.date(), bytes=3 * GB // 4) for day in (0, 2, 3)]
    borne = [list(burn(buckets, cells)[UUID(int=n)].values()) for n in range(3)]
    assert borne == [[3 * GB // 4], [3 * GB // 4, GB // 4], [GB // 2]]


def test_r_19_different_buckets_different_fates() -> None:
    base = with_fates(policy(30, "rolling_day", zone=BRUSSELS, mode="replace"), data="add", voice="replace")
    start = at("2026-01-01", BRUSSELS)
    day = [start + timedelta(days=n) for n in (0, 20, 30, 50)]
    ten = simulate(base, [Action(day[0]), Action(day[1])], BRUSSELS)
    assert told(ten) == (["number", "data_longer"], ["time", "voice"])
    old, new = ten.tracks[0]
    assert (old.bucket("data"), old.bucket("voice")) == (Span(day[0], day[3]), Span(day[0], day[1]))
    assert (new.span, new.bucket("voice")) == (Span(day[1], day[3]), Span(day[1], day[3]))
    five = policy(10, "rolling_day", zone=BRUSSELS, mode="independent")
    done = simulate(base, [Action(day[0]), Action(day[1], policy=five)], BRUSSELS)
    assert done.tracks[0][0].bucket("data") == Span(day[0], day[2]), "EUR 5 extends nothing"


def test_r_19_calls_are_metered_by_their_own_time() -> None:
    """BASE: the new minutes replace the old, and the data that is left is kept."""
    document = document_of(policy(30, "rolling_day", zone=BRUSSELS, mode="replace", data_left="add", voice="replace"))
    document["quota"]["voice"] = {"minutes": 40, "to": "market"}
    base, start = policy_of(document), at("2026-01-01", BRUSSELS)
    again = start + timedelta(days=20)
    done = simulate(base, [Action(start), Action(again)], BRUSSELS)
    buckets = [
        Bucket(one.id, data, one.funded_at, base.quota, apart=(("voice", voice),))
        for one in done.tracks[0]
        if (data := one.bucket("data")) and (voice := one.bucket("voice"))
    ]
    cells = [
        Cell(start, start.date(), bytes=GB, voice_seconds=600),
        Cell(again, again.date(), bytes=GB, voice_seconds=60),
    ]
    seen = [usage(buckets, cells, as_of=again, now=again + timedelta(days=n)) for n in (-1, 1)]
    assert [one.limit("voice").left for one in seen if one.limit("voice")] == [1800, 2340], "30 minutes, then 39 of 40"
    assert seen[1].left_bytes == GB, "of the first data, which is used up first and is still there"
    twice = [Bucket(UUID(int=n), buckets[0].span, start, base.quota) for n in (1, 2)]
    both = talked(twice, [Cell(start, start.date(), voice_seconds=3_000)], "voice")
    assert [limit.used for limit in both] == [2_400, 600], "what runs beside each other is not counted twice"


def test_r_20_what_is_left_joins_what_is_bought() -> None:
    au = with_fates(policy(62, "rolling_day", mode="replace"), data="add")
    start = at("2026-01-01")
    early = start + timedelta(days=61)
    done = simulate(au, [Action(start), Action(early)], TOKYO)
    ends = {period.bucket("data").ends_at for period in done.tracks[0] if period.bucket("data")}  # type: ignore[union-attr]
    assert ends == {early + timedelta(days=62)}, "0.4 GB and 1 GB end together"


def carried(track: Track) -> list[tuple[int, int]]:
    """How many days after its start each period's data begins and ends."""
    start = min(period.span.starts_at for period in track if period.span)
    found = [period.bucket("data") for period in track]
    return [((b.starts_at - start).days, (b.ends_at - start).days) for b in found if b]


def test_r_20_what_is_left_is_carried_over_once_and_only_by_a_renewal_in_time() -> None:
    uq = with_fates(policy(30, "rolling_day", mode="queue"), data="carry")
    start = at("2026-01-01")
    three = simulate(uq, [Action(start + timedelta(days=n)) for n in (0, 20, 40)], TOKYO, start + timedelta(days=80))
    assert carried(three.tracks[0]) == [(0, 60), (30, 90), (60, 90)]
    late = simulate(uq, [Action(start), Action(start + timedelta(days=31))], TOKYO)
    assert carried(late.tracks[0]) == [(0, 30), (31, 61)]


def test_r_20_a_renewal_soon_after_the_one_before_carries_nothing_over() -> None:
    document = with_fates(policy(30, "rolling_day", mode="queue"), data="carry").model_dump(mode="json", by_alias=True)
    document["renewal"]["carry_after_hours"] = 24
    start = at("2026-01-01")
    for hours, first in ((23, (0, 30)), (24, (0, 60))):
        actions = [Action(start), Action(start + timedelta(hours=hours))]
        done = simulate(policy_of(document), actions, TOKYO, start + timedelta(days=40))
        assert carried(done.tracks[0])[0] == first


def test_r_20_no_more_than_a_cap_is_carried_over() -> None:
    """U Mobile, Live.On: what is more than the cap is gone, also where its records come late."""
    terms = policy(30, "rolling_day", mode="queue", data_left="carry", carry_most_bytes=GB)
    start = at("2026-01-01")
    done = simulate(terms, [Action(start), Action(start + timedelta(days=20))], TOKYO, start + timedelta(days=31))
    (kept,) = [fact for fact in done.happened[1].stacked.kept if fact["kind"] == "data_longer"]  # type: ignore[union-attr]
    assert kept["most_bytes"] == GB, "told before paying"
    old, new = done.tracks[0]
    assert old.span
    assert old.bucket("data") == Span(start, start + timedelta(days=60))
    first, second = old.bucket("data"), new.bucket("data")
    assert first
    assert second
    buckets = [
        Bucket(old.id, first, old.funded_at, terms.quota, carried=(old.span.ends_at, GB)),
        Bucket(new.id, second, new.funded_at, terms.quota),
    ]
    later = start + timedelta(days=40)
    cells = [Cell(start, start.date(), bytes=GB), Cell(later, later.date(), bytes=2 * GB)]
    borne = burn(buckets, cells)
    assert (borne[old.id][later], borne[new.id][later]) == (GB, GB), "of the 2 GB that were left one goes over"
    left = usage(buckets, cells, as_of=later, now=later + timedelta(hours=1))
    assert (left.left_bytes, left.of_bytes) == (2 * GB, 3 * GB), "the new period's own"


def test_r_16_a_pack_beside_what_runs_has_windows_and_a_most() -> None:
    pack = policy(30, "rolling_day", mode="independent", max_stacked=2, cooldown_hours=24)
    done = buys(pack, "2026-01-01T00:00", "2026-01-01T12:00", "2026-01-03T00:00", "2026-01-05T00:00")
    assert [one.refused for one in done.happened] == ["", "too_soon", "", "too_many"]
    assert done.happened[3].possible_at == at("2026-01-31"), "when the first of them is over"
    late = policy(30, "rolling_day", mode="independent", opens_days=3)
    done = buys(late, "2026-01-01T00:00", "2026-01-29T00:00", "2026-01-30T00:00")
    assert [one.refused for one in done.happened] == ["", "", "too_early"]
    assert done.happened[1].again_at == done.happened[2].possible_at == at("2026-02-25")


def test_r_23_a_plan_that_is_never_renewed_but_sold_new() -> None:
    """Keepgo: no refill, no extension at all."""
    keepgo = policy(30, "rolling_day", only_new=True)
    done = buys(keepgo, "2026-01-01T00:00", "2026-01-10T00:00", "2026-03-01T00:00")
    assert [one.refused for one in done.happened] == ["", "only_new", "only_new"]


def test_r_23_one_at_a_time() -> None:
    lyca = policy(30, "rolling_day", mode="queue", max_stacked=1)
    done = buys(lyca, "2026-01-01T00:00", "2026-01-10T00:00")
    assert (done.happened[1].refused, done.happened[1].possible_at) == ("too_many", at("2026-01-31"))
    empty = Action(at("2026-01-10"), left=Left(0, 3 * GB))
    assert simulate(lyca, [Action(at("2026-01-01")), empty], TOKYO).happened[1].refused == "", "it is used up"
    assert buys(lyca, "2026-01-01T00:00", "2026-01-31T00:00").happened[1].refused == "", "it is gone"


# ---- C. windows ---------------------------------------------------------------------------------------------------


def test_r_27_before_the_end_or_never() -> None:
    mobal = policy(30, "rolling_day", ending={"renewable_days": 0, "number_kept": False})
    assert buys(mobal, "2026-01-01T00:00", "2026-01-31T00:00").happened[1].refused == ""
    assert buys(mobal, "2026-01-01T00:00", "2026-01-31T00:01").happened[1].refused == "too_late"
    holafly = policy(30, "rolling_day", closes_hours=24)
    assert buys(holafly, "2026-01-01T00:00", "2026-01-29T23:59").happened[1].refused == ""
    closed = buys(holafly, "2026-01-01T00:00", "2026-01-30T00:00").happened[1]
    assert (closed.refused, closed.possible_at) == ("closed", at("2026-01-31"))


def test_r_27_not_once_nothing_is_left() -> None:
    """Nomad: an add-on only while there is data."""
    nomad = policy(30, "rolling_day", mode="queue", closes_percent_left=0)
    for left, refused in ((1, ""), (0, "too_little_left")):
        low = Action(at("2026-01-10"), left=Left(left, 3 * GB))
        assert simulate(nomad, [Action(at("2026-01-01")), low], TOKYO).happened[1].refused == refused


def test_r_27_not_earlier_than_some_days_before_the_end_unless_little_is_left() -> None:
    terms = policy(30, "rolling_day", opens_days=5, opens_percent_left=10)
    early = buys(terms, "2026-01-01T00:00", "2026-01-25T23:59").happened
    assert (early[1].refused, early[1].possible_at) == ("too_early", at("2026-01-26"))
    assert early[0].again_at == at("2026-01-26"), "and the renewal before had told it"
    assert buys(terms, "2026-01-01T00:00", "2026-01-26T00:00").happened[1].refused == ""
    for left, refused in ((3 * GB // 10, ""), (3 * GB // 10 + 1, "too_early")):
        low = Action(at("2026-01-10"), left=Left(left, 3 * GB))
        assert simulate(terms, [Action(at("2026-01-01")), low], TOKYO).happened[1].refused == refused


def test_r_20_a_cooldown_between_two_renewals() -> None:
    terms = policy(30, "rolling_day", cooldown_hours=24)
    soon = buys(terms, "2026-01-01T00:00", "2026-01-01T23:59", "2026-01-02T00:00").happened
    assert [one.refused for one in soon] == ["", "too_soon", ""]
    assert soon[1].possible_at == soon[0].again_at == at("2026-01-02")


# ---- D. renewing by itself, and after the end -----------------------------------------------------------------------


def test_r_30_in_days_of_grace_the_new_time_is_counted_from_the_end() -> None:
    terms = policy(30, "rolling_day", grace_days=5)
    paid_late = buys(terms, "2026-01-01T00:00", "2026-02-03T00:00")
    assert spans(paid_late)[1] == ("2026-01-31T00:00", "2026-03-02T00:00")
    assert told(paid_late)[1] == ["since_end"]
    too_late = buys(terms, "2026-01-01T00:00", "2026-02-06T00:00")
    assert spans(too_late)[1] == ("2026-02-06T00:00", "2026-03-08T00:00")


def itself(terms: Policy, *more: Action, until: str, trigger: Trigger | None = None) -> list[tuple[datetime, str]]:
    """What a card bought and switched on on 1 January does by itself: when, and why not."""
    start = [Action(at("2026-01-01")), Action(at("2026-01-01"), "switch_on", trigger=trigger)]
    done = simulate(terms, [*start, *more], TOKYO, at(until))
    return [(one.at, one.refused) for one in done.happened if one.by_itself]


def test_r_25_switched_off_after_the_deadline_it_renews_once_more() -> None:
    """povo: by 23:30 of the day before."""
    povo = policy(30, "rolling_day", mode="queue", auto={"hours_before": [0], "off_days": 1, "off_at": "23:30"})
    end = at("2026-01-31")
    for when, renewed in (("2026-01-30T23:29", []), ("2026-01-30T23:30", [(end, "")])):
        assert itself(povo, Action(at(when), "switch_off"), until="2026-03-10") == renewed
    plain = policy(30, "rolling_day", mode="queue", auto={"hours_before": [0]})
    assert itself(plain, Action(end - timedelta(seconds=1), "switch_off"), until="2026-03-10") == []


def test_r_29_triggers_by_date() -> None:
    terms = policy(30, "rolling_day", mode="queue", auto={"hours_before": [24, 72]})
    assert itself(terms, until="2026-03-01") == [(at("2026-01-30"), ""), (at("2026-03-01"), "")]
    other = Trigger(When.DATE, 72)
    assert itself(terms, until="2026-02-01", trigger=other) == [(at("2026-01-28"), "")]
    assert itself(terms, until="2026-02-01", trigger=Trigger(When.DATE, 3)) == [], "it is not offered"


def test_r_29_what_runs_beside_renews_an_end_once() -> None:
    """The end stays where it was, and nobody pays for it a second time."""
    beside = policy(30, "rolling_day", mode="independent", auto={"hours_before": [24]})
    assert itself(beside, until="2026-03-01") == [(at("2026-01-30"), "")]


def test_r_29_triggers_by_use() -> None:
    """Airalo buys at a tenth, and what is bought starts when the data is used up."""
    auto = {"hours_before": [], "percent_left": [10]}
    airalo = policy(7, "rolling_day", mode="queue", next_when_used_up=True, auto=auto)
    look = [Action(at("2026-01-03"), "look", left=Left(left, 100)) for left in (11, 10)]
    assert itself(airalo, *look, until="2026-01-07") == [(at("2026-01-03"), "")]
    ends = Action(at("2026-01-07"), "look", left=Left(30, 100))
    assert itself(airalo, ends, until="2026-02-01") == [], "its time ended with 30 per cent left"
    start = [Action(at("2026-01-01")), Action(at("2026-01-01"), "switch_on"), ends]
    assert simulate(airalo, start, TOKYO, at("2026-01-07")).renews_itself
    assert not simulate(airalo, start, TOKYO, at("2026-01-08")).renews_itself, "and the switch turned itself off"


def test_r_29_when_the_data_of_all_packs_is_used_up_or_at_the_end() -> None:
    """povo: also at the end; and not while another pack has data left."""
    auto = {"hours_before": [], "percent_left": [0], "at_end_too": True}
    povo = policy(30, "rolling_day", mode="independent", auto=auto)
    twenty = Action(at("2026-01-05"), policy=policy(30, "rolling_day", mode="independent"))
    used_up = Action(at("2026-01-10"), "use_up")
    assert itself(povo, used_up, until="2026-01-11") == [(at("2026-01-10"), "")]
    assert itself(povo, twenty, used_up, until="2026-01-11") == []
    assert itself(povo, until="2026-02-01") == [(at("2026-01-31"), "")]


def test_r_30_a_refusal_is_tried_again_as_the_policy_says_and_then_given_up() -> None:
    auto = {"hours_before": [48], "retry_hours": [2, 3]}
    refuses = policy(30, "rolling_day", max_ahead_days=30, auto=auto)
    tries = itself(refuses, until="2026-02-01")
    first = at("2026-01-29")
    # The policy allows it from the end on: no try comes before that.
    assert tries == [(first, "too_far_ahead"), (at("2026-01-31"), "")]
    never = policy(30, "rolling_day", mode="queue", max_left_bytes=0, auto=auto)
    start = [Action(at("2026-01-01")), Action(at("2026-01-02"), "switch_on")]
    done = simulate(never, start, TOKYO, at("2026-02-01"))
    assert [one.at for one in done.happened if one.by_itself] == [first], "nobody told what is left: it is not refused"
    verdicts = [
        after_refusal("carrier_silent", terms=refuses.auto, tries=n, now=first, zone=TOKYO).next_at for n in (1, 2, 3)
    ]
    assert verdicts == [first + timedelta(hours=2), first + timedelta(hours=3), None]


def test_r_33_nothing_renews_itself_that_nobody_switched_on() -> None:
    """giffgaff and povo switch it on at the purchase, Airalo does not: here it is the customer alone."""
    terms = policy(30, "rolling_day", mode="queue")
    done = simulate(terms, [Action(at("2026-01-01"))], TOKYO, at("2027-01-01"))
    assert (len(done.happened), done.renews_itself) == (1, False)
    assert triggers(terms)[0] == Trigger(When.DATE, 24), "what is proposed to whoever switches it on"
    assert triggers(policy(30, "rolling_day", auto={"hours_before": [], "percent_left": []})) == (), "not offered"
    with pytest.raises(InvalidPolicy, match=r"auto\.default: there is no such field"):
        policy(30, "rolling_day", auto={"default": "on"})


# ---- what is true of every plan: orders, payments, prices ----------------------------------------------------------

UNPAID = Situation(State.AWAITING_FUNDS, 100, 0, 0, at("2026-01-01T10:00"), None, ())


def test_r_28_an_order_that_nobody_pays_ends() -> None:
    """TABIeSIM: cancelled when it is not paid in time."""
    assert next_step(at("2026-01-01T09:59"), UNPAID).step == Step.WAIT
    assert next_step(at("2026-01-01T10:00"), UNPAID).step == Step.EXPIRE


def test_r_31_what_is_paid_twice_is_one_renewal_and_the_rest_goes_back() -> None:
    twice = replace(UNPAID, hold_minor=200)
    assert next_step(at("2026-01-01T09:00"), twice).step == Step.RETURN, "first what is not needed, then the order"
    assert next_step(at("2026-01-01T09:00"), replace(UNPAID, hold_minor=100)).step == Step.FUND
    order = UUID(int=5)
    assert key_of(cause=order, ordinal=0) == key_of(cause=order, ordinal=0), "the carrier sees one key, however often"


def test_r_32_a_small_sum_that_only_shows_a_card_works_buys_nothing_and_goes_back() -> None:
    """Mobal: 100 yen that are never captured."""
    small = replace(UNPAID, hold_minor=1)
    assert next_step(at("2026-01-01T09:00"), small).step == Step.WAIT
    ended = replace(small, state=State.EXPIRED)
    assert next_step(at("2026-01-01T11:00"), ended).step == Step.RETURN


def test_r_45_a_number_that_is_gone_is_never_renewed() -> None:
    """Numbers come back to others after a time in quarantine: whoever had it pays nothing for it any more."""
    terms = policy(30, "rolling_day", ending={"stages": [{"after_days": 90, "becomes": "gone"}]})
    done = buys(terms, "2026-01-01T00:00", "2026-05-01T00:00")
    assert done.happened[1].refused == "too_late"
    assert (OUT_OF_SERVICE["recycled"], sort_of("card_recycled")) == ("card_recycled", "never")


def test_r_46_whoever_must_be_identified_first_pays_nothing_before() -> None:
    """Belgium. With the database: ``test_out_of_service.py``."""
    assert OUT_OF_SERVICE["unidentified"] == "card_unidentified"


def test_r_47_money_back_until_the_carrier_was_asked_and_when_it_refuses() -> None:
    assert conditions(policy(30, "rolling_day")).refunds == ("until_asked", "refused")
    asked = Asked("refused", None, 0, None, None, is_watched=False)
    refused = replace(UNPAID, state=State.ACTIVATING, hold_minor=100, promised_by=at("2026-01-02"), asked=(asked,))
    assert next_step(at("2026-01-01T10:00"), refused).step == Step.GIVE_BACK


def test_r_48_a_voucher_code_with_a_slip_is_no_code_and_a_good_one_is_read_however_it_is_typed() -> None:
    """Its deadline, and that it counts once: ``test_vouchers.py``, with the database."""
    code = new_code(lambda signs: signs[7])
    assert code_of(f" {grouped(code).lower()} ") == code
    wrong = ("0" if code[0] != "0" else "1") + code[1:]
    with pytest.raises(MistypedCode):
        code_of(wrong)


def test_r_49_several_periods_at_once_for_less() -> None:
    """povo: three passes of a day for 660 and not 990; Lyca: 16 a month for twelve, and not 20."""
    passes = [PeriodPrice(1, Money(330, "JPY")), PeriodPrice(3, Money(660, "JPY"))]
    told = [price(Request(passes, "JPY", "pass", 1_000, count=count)).total.minor for count in (1, 2, 3)]
    assert told == [330, 660, 660]


def test_r_51_the_most_that_is_spent_by_itself_in_a_month_and_the_marks_that_are_told() -> None:
    """JIM: told at 80 and 100 per cent, and no more than a limit that the customer sets."""
    assert {80, 100} < set(MARKS)
    now = at("2026-01-15")
    verdict = after_refusal("ceiling_reached", terms=policy(30, "rolling_day").auto, tries=1, now=now, zone=TOKYO)
    assert (verdict.switch, verdict.next_at) == (Switch.ON, at("2026-02-01"))


def test_r_52_one_plan_renews_an_old_card_and_comes_with_a_new_one() -> None:
    """DT One: with an ICCID it is a top-up, without one a new profile."""
    entry = {
        "slug": "jp-week", "market": "JP", "network": "jp-net", "names": {"en": "Week", "zh-hans": "周"},
        "seller": "us", "price": {"amount": 1000, "currency": "JPY"},
        "carrier": "c", "cost": {"amount": 500, "currency": "JPY"},
        "policy": document_of(policy(7, "rolling_day")),
    }  # fmt: skip
    both = PlanEntry.model_validate(entry | {"package": "topup-7", "first_package": "new-7"})
    assert (both.package, both.first_package) == ("topup-7", "new-7")
    only_new = entry | {"policy": document_of(policy(7, "rolling_day", only_new=True)), "package": ""}
    assert PlanEntry.model_validate(only_new | {"first_package": "new-7"}).package == ""
    for wrong, why in ((entry | {"package": ""}, "names its package"), (only_new, "names its first_package")):
        with pytest.raises(ValidationError, match=why):
            PlanEntry.model_validate(wrong)


# ---- E. unlimited, fair use and reset -----------------------------------------------------------------------------


def test_r_34_a_daily_quota_begins_anew_at_local_midnight() -> None:
    daily = {
        "window": "local_day",
        "resets_at": "00:00",
        "zone": TOKYO,
        "tiers": [{"after_bytes": 3 * GB, "kbps": 1000}],
    }
    terms = policy(7, "calendar_day", data=daily)
    span = buys(terms, "2026-05-01T10:00").spans[0]
    bucket = Bucket(UUID(int=1), span, span.starts_at, terms.quota)
    cells = [Cell(span.starts_at, span.starts_at.date(), bytes=3 * GB)]
    slow = usage([bucket], cells, as_of=span.starts_at, now=at("2026-05-01T23:59"))
    assert (slow.speed.kbps, slow.speed.until) == (1000, at("2026-05-02"))
    assert usage([bucket], cells, as_of=span.starts_at, now=at("2026-05-02")).speed.kbps is None


def test_r_36_a_threshold_then_slow_then_blocked() -> None:
    steps = [{"after_bytes": 170 * GB, "kbps": 512}, {"after_bytes": 220 * GB, "kbps": 0}]
    terms = policy(1, "month", zone=BRUSSELS, data={"window": "period", "tiers": steps})
    span = buys(terms, "2026-05-01T10:00").spans[0]
    bucket = Bucket(UUID(int=1), span, span.starts_at, terms.quota)
    for used, step in ((1699 * GB // 10, 0), (1701 * GB // 10, 1), (220 * GB, 2)):
        (limit,) = burnt(bucket, {span.starts_at: used}, [], span.starts_at)
        assert limit.step == step


def test_r_38_a_soft_limit_that_a_person_looks_at_slows_nothing() -> None:
    """Proximus Premium: above 100 GB a check, and no automatic slow-down."""
    soft = {"window": "period", "cap": "none", "review_bytes": 100 * GB}
    terms = policy(30, "rolling_day", data=soft)
    span = buys(terms, "2026-05-01T00:00").spans[0]
    bucket = Bucket(UUID(int=1), span, span.starts_at, terms.quota)
    for used, told in ((100 * GB - 1, set()), (100 * GB, {("review", "100")})):
        cells = [Cell(span.starts_at, span.starts_at.date(), bytes=used)]
        found = crossings([bucket], cells, since=span.starts_at, now=span.starts_at + timedelta(days=1))
        assert {(one.name, one.what) for one in found} == told
        assert usage([bucket], cells, as_of=span.starts_at, now=span.starts_at).speed.kbps is None


def test_r_39_so_many_days_in_a_row_abroad() -> None:
    """ahamo: 15 days from the first use abroad, used or not; then 128 kbps, until it is used at home."""
    abroad = {"allowed": True, "countries": ["KR"], "stay": {"days": 15, "kbps": 128, "zone": TOKYO}}
    plain = {"window": "period", "tiers": [{"after_bytes": 20 * GB, "kbps": 1000}]}
    terms = policy(1, "calendar_month", data=plain | {"abroad": abroad})
    months = [Span(at("2026-05-01"), at("2026-06-01")), Span(at("2026-06-01"), at("2026-07-01"))]
    buckets = [Bucket(UUID(int=n), span, span.starts_at, terms.quota) for n, span in enumerate(months)]
    first = at("2026-05-20T18:00")
    there = Cell(first, first.date(), bytes=GB, abroad_bytes=GB)

    def speed(moment: str, *more: Cell) -> tuple[int | None, str]:
        found = usage(buckets, [there, *more], as_of=first, now=at(moment))
        assert found.stay_ends_at in {at("2026-06-04"), None}
        return found.speed.kbps, found.speed.why

    assert speed("2026-06-03T23:59") == (None, "full"), "the 15th day, and another month"
    assert speed("2026-06-04T00:00") == (128, "stay")
    home = Cell(at("2026-06-05"), at("2026-06-05").date(), bytes=1)
    assert speed("2026-06-05T12:00", home) == (None, "full")


def test_r_54_a_gigabyte_every_thirty_days_from_the_start() -> None:
    """Holafly: by days from the installation, not by the calendar."""
    holafly = policy(90, "rolling_day", data={"window": "day", "days": 30, "tiers": [{"after_bytes": GB, "kbps": 0}]})
    term = buys(holafly, "2026-02-20T10:00").spans[0]
    windows = [window_at(holafly.quota.data, term, term.starts_at + timedelta(days=n)) for n in (0, 29, 30, 89)]
    starts = [(window.starts_at - term.starts_at).days for window in windows]
    assert starts == [0, 0, 30, 60]
    assert {window.length for window in windows} == {timedelta(days=30)}


# ---- F. the end of life -------------------------------------------------------------------------------------------


def test_r_40_the_bundle_and_the_number_have_their_own_lives() -> None:
    """A month of bundle, and a card that lives a year longer."""
    base = policy(30, "rolling_day", ending={"renewable_days": 365, "number_kept": True})
    done = buys(base, "2026-01-01T00:00", "2027-01-31T00:00", "2028-03-02T00:01")
    assert [one.refused for one in done.happened] == ["", "", "too_late"]
    facts = conditions(base)
    assert (facts.renewable_days, facts.number_kept) == (365, True)


def days_of_life(ending: dict[str, Any], lived: Lived, until: int = 800) -> dict[str, int]:
    """On which day after 1 January 2026 a card becomes what."""
    terms = policy(30, "rolling_day", ending=ending).ending
    start = at("2026-01-01")
    seen: dict[str, int] = {}
    for day in range(until):
        seen.setdefault(life_of(terms, lived, start + timedelta(days=day)).state, day)
    return seen


def test_r_40_a_bundle_of_a_month_and_a_card_of_a_year_without_a_purchase() -> None:
    """Mobile Vikings, BASE."""
    start = at("2026-01-01")
    ending = {"stages": [{"after_days": 365, "becomes": "gone"}], "counts_from": "purchase"}
    once = Lived(start, start + timedelta(days=30), [(start, 15_00)])
    assert days_of_life(ending, once) == {"live": 0, "over": 30, "gone": 365}
    again = Lived(start, start + timedelta(days=130), [(start, 15_00), (start + timedelta(days=100), 15_00)])
    assert days_of_life(ending, again) == {"live": 0, "over": 130, "gone": 465}
    ahead = Lived(start, start + timedelta(days=400), [(start, 180_00)])
    assert days_of_life(ending, ahead) == {"live": 0, "gone": 400}, "never while something runs"


def test_r_40_an_unpaid_card_goes_step_by_step() -> None:
    """Mobile Vikings: two weeks late incoming only, a month late nothing, three months late the number is deleted."""
    steps = [(14, "incoming_only"), (30, "suspended"), (90, "gone")]
    ending = {"stages": [{"after_days": days, "becomes": becomes} for days, becomes in steps]}
    lived = Lived(at("2026-01-01"), at("2026-01-31"))
    found = {"live": 0, "over": 30, "incoming_only": 44, "suspended": 60, "gone": 120}
    assert days_of_life(ending, lived) == found
    life = life_of(policy(30, "rolling_day", ending=ending).ending, lived, at("2026-01-31"))
    assert life.renewable_until == at("2026-01-31") + timedelta(days=90)


def test_r_41_a_card_that_nobody_uses_dies_with_two_warnings() -> None:
    """Carrefour: six months without use; a month and a week before it is told."""
    ending = {"stages": [{"after_days": 180, "becomes": "gone"}], "counts_from": "use", "warn_days": [30, 7]}
    start = at("2026-01-01")
    assert days_of_life(ending, Lived(start, start))["gone"] == 180
    used = Lived(start, start, used_at=start + timedelta(days=50))
    assert days_of_life(ending, used)["gone"] == 230, "every use begins the count anew"
    warned = life_of(policy(30, "rolling_day", ending=ending).ending, used, start).warnings((30, 7))
    assert [((tell - start).days, (goes - start).days, state) for tell, goes, state in warned] == [
        (200, 230, "gone"),
        (223, 230, "gone"),
    ]


@pytest.mark.parametrize(("spent", "suspended"), [(300, 211), (661, 211 + 60)])
def test_r_42_a_card_on_which_too_little_is_spent_is_suspended_and_then_gone(spent: int, suspended: int) -> None:
    """povo: 180 days after the last topping ended (31 January), unless more than 660 yen were spent since."""
    steps = [{"after_days": 180, "becomes": "suspended"}, {"after_days": 210, "becomes": "gone"}]
    ending = {"stages": steps, "least_minor": 661, "warn_days": [10]}
    ended = at("2026-02-01")  # the midnight after the last day
    lived = Lived(at("2026-01-01"), ended, [(at("2026-01-01"), 2_700), (ended + timedelta(days=60), spent)])
    found = days_of_life(ending, lived)
    assert (found["suspended"], found["gone"]) == (suspended, suspended + 30)
    assert at("2026-01-01") + timedelta(days=211) == at("2026-07-31"), "the 181st day"
    free = Lived(lived.began_at, ended, [(ended + timedelta(days=60), 0)])
    assert days_of_life(ending | {"least_minor": 1}, free)["suspended"] == 211, "free codes do not count"


def test_r_44_time_runs_whatever_the_card_does() -> None:
    done = simulate(policy(30, "rolling_day"), [Action(at("2026-01-01")), Action(at("2026-01-15"), "use")], TOKYO)
    assert spans(done) == [("2026-01-01T00:00", "2026-01-31T00:00")]


def test_a_simulated_card_knows_no_other_card() -> None:
    empty = simulate(policy(1, "month"), [])
    assert (empty.happened, empty.tracks, empty.valid_until) == ((), ((),), None)
    assert Booked(UUID(int=1), None, at("2026-01-01"), policy(1, "month").period).bucket("data") is None


# Those of the reference list; what is missing between them was never given out.
RULES = {*range(1, 21), 23, 25, *range(27, 35), 36, *range(38, 43), *range(44, 53), 54}


def test_every_rule_has_a_test_or_a_reason() -> None:
    tested = {int(name.split("_")[2]) for name in globals() if name.startswith("test_r_")}
    page = (Path(__file__).parents[2] / "docs" / "decisions" / "014-what-a-policy-cannot-say.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| R-")]
    reasons: set[int] = set()
    for row in rows:
        numbers = [int(number) for number in re.findall(r"R-(\d+)", row)]
        reasons |= set(range(numbers[0], numbers[1] + 1)) if " to " in row else set(numbers)
    assert tested | reasons >= RULES
    assert tested <= RULES
