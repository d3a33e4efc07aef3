"""Failures that other systems had, told in public: calendars that slip, and renewals that charge twice.

Each test names the report that it is from. What a journey of our own already plays is listed with the name of its test.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from tests.rules.test_renewal_rules import BRUSSELS, TOKYO, at, buys, policy, spans
from xuka.activation.rules import key_of
from xuka.catalogue.rules import Period, day_start, period_of, window_at
from xuka.kernel import ids
from xuka.kernel.span import Span
from xuka.metering.rules import Bucket, Cell, burn, usage
from xuka.renewals.auto_rules import BURST, Trigger, When, after_refusal, is_due, month_of
from xuka.renewals.rules import Asked, Next, Situation, State, Step, next_step
from xuka.renewals.simulator import Action, simulate

TESTS = Path(__file__).parents[1]


def ends(policy_of_months: Any, start: str, count: int) -> list[str]:
    return [end[:10] for _, end in spans(buys(policy_of_months, *[start] * count), policy_of_months.period.zone)]


# ---- calendars ----------------------------------------------------------------------------------------------------


def test_months_are_counted_from_the_anchor_and_not_from_the_end_before() -> None:
    """polarsource/polar#10664: 31 January, 29 February, 29 March … useautumn/autumn#2115: 31 May resets on 1 July."""
    month = policy(1, "month", zone=BRUSSELS)
    assert ends(month, "2028-01-31T10:00", 4) == ["2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31"]
    assert ends(month, "2026-05-31T10:00", 1) == ["2026-06-30"]


@pytest.mark.parametrize("season", ["2026-03-29", "2026-10-25"])
def test_a_change_of_clocks_neither_loops_nor_slips_nor_depends_on_the_season_of_the_first_day(season: str) -> None:
    """killbill/killbill#743, #445, #1934, #1966, #1981: the wrong day, an endless loop, ends that follow the season."""
    first = datetime.fromisoformat(f"{season}T02:30")
    daily = policy(1, "calendar_day", zone=BRUSSELS, max_ahead_days=3660)
    done = simulate(daily, [Action(first - timedelta(days=1))] * 5, BRUSSELS)
    assert len(done.spans) == 5
    assert [end[11:] for _, end in spans(done, BRUSSELS)] == ["00:00"] * 5
    for start in ("2026-01-15T10:00", "2026-07-15T10:00"):
        month = spans(buys(policy(1, "month", zone=BRUSSELS), *[start] * 12), BRUSSELS)
        assert {end[8:] for _, end in month} == {"15T10:00"}


@pytest.mark.parametrize("months", [1, 3, 12])
@pytest.mark.parametrize("day", ["2024-02-29", "2023-01-29", "2023-01-30", "2023-01-31"])
def test_months_of_leap_days_and_of_the_last_days_tile(months: int, day: str) -> None:
    """getlago/lago-api#6173: leap day and quarters from the 29th on overlap, or leave a gap. #1840, #1567, #1569, #879,
    #1438: February in advance, the 31st, twice by time zone."""
    for zone in (BRUSSELS, TOKYO, "America/New_York"):
        done = buys(policy(months, "month", zone=zone, max_ahead_days=3660), *[f"{day}T00:30"] * 4)
        assert all(before.ends_at == after.starts_at for before, after in pairwise(done.spans))
        whole = period_of(policy(12, "month", zone=zone).period, done.spans[0].starts_at)
        if months == 3:
            assert done.spans[-1].ends_at == whole.ends_at


@pytest.mark.parametrize(
    ("month", "last"), [("2025-05-31", 30), ("2025-06-30", 30), ("2025-07-31", 31), ("2025-10-31", 30)]
)
def test_no_month_has_a_day_that_it_lacks(month: str, last: int) -> None:
    """sigscale/ocs f715c849: a table of month ends with 31 June and 30 October, and without July; and a year from 29
    February to 29 February."""
    (end,) = ends(policy(1, "month", zone="UTC"), f"{month}T00:00", 1)
    assert int(end[8:]) == last
    assert ends(policy(12, "month", zone="UTC"), "2024-02-29T00:00", 1) == ["2025-02-28"]


def test_a_month_without_the_day_is_not_skipped() -> None:
    """cgrates/cgrates#2255: months that lack the day are left out."""
    months = [end[:7] for end in ends(policy(1, "month"), "2027-01-31T10:00", 6)]
    assert months == ["2027-02", "2027-03", "2027-04", "2027-05", "2027-06", "2027-07"]


def test_an_end_at_midnight_costs_no_further_renewal() -> None:
    """MHSanaei/3x-ui#6300: 23:59:59 here and 00:00:00 there are two ends, and a renewal too many."""
    day = policy(1, "calendar_day")
    first, second = buys(day, "2026-05-01T00:00", "2026-05-01T00:00").spans
    assert first.ends_at == second.starts_at == at("2026-05-02T00:00")
    assert at("2026-05-02T00:00") not in first, "the end itself belongs to the next"
    assert buys(day, "2026-05-01T00:00", "2026-05-02T00:00").spans[1].length == timedelta(days=1)


def test_what_is_bought_late_in_february_is_not_renewed_before_its_end() -> None:
    """Automattic/woocommerce-subscriptions-core#422: bought on 27 February 23:00, it ended on 30 March and was renewed
    on the 28th."""
    month = policy(1, "month", zone="America/New_York", mode="queue", auto={"hours_before": [0]})
    start = at("2026-02-27T23:00", "America/New_York")
    done = simulate(month, [Action(start), Action(start, "switch_on")], until=at("2026-03-28", "America/New_York"))
    (renewed,) = [one for one in done.happened if one.by_itself]
    assert renewed.at == done.spans[0].ends_at == at("2026-03-27T23:00", "America/New_York")


def test_a_day_that_the_calendar_left_out_is_not_sold_and_nothing_loops() -> None:
    """Apia had no 30 December 2011. killbill/killbill#1934: a loop over days that never come."""
    apia = Period.model_validate({"length": 1, "unit": "calendar_day", "zone": "Pacific/Apia", "starts": "activation"})
    eve = datetime(2011, 12, 29, 23, 59, tzinfo=ZoneInfo("Pacific/Apia"))
    assert period_of(apia, eve).ends_at == datetime(2011, 12, 30, 10, tzinfo=UTC)
    assert day_start(date(2011, 12, 30), "Pacific/Apia") == day_start(date(2011, 12, 31), "Pacific/Apia")


def test_what_is_used_at_the_very_instant_of_a_reset_counts_once() -> None:
    """openmeterio/openmeter#1408, #1071, #4252: counted twice, or not at all. #4845, #4846: what was left before a
    reset is not what is left after it."""
    daily = {"window": "local_day", "resets_at": "00:00", "zone": TOKYO, "tiers": [{"after_bytes": 3, "kbps": 0}]}
    terms, midnight = policy(3, "calendar_day", data=daily), at("2026-05-02")
    term = Span(at("2026-05-01"), at("2026-05-04"))
    bucket = Bucket(UUID(int=1), term, term.starts_at, terms.quota)
    assert burn([bucket], [Cell(midnight, midnight.date(), bytes=2)])[bucket.id] == {midnight: 2}
    assert window_at(terms.quota.data, term, midnight).starts_at == midnight
    cells = [Cell(term.starts_at, term.starts_at.date(), bytes=3)]
    assert usage([bucket], cells, as_of=midnight, now=midnight - timedelta(microseconds=1)).left_bytes == 0
    assert usage([bucket], cells, as_of=midnight, now=midnight).left_bytes == 3


# ---- charged or renewed twice -------------------------------------------------------------------------------------

NOW = at("2026-03-02T09:00")
PAID = Situation(State.ACTIVATING, 100, 100, 0, NOW, NOW + timedelta(minutes=10), ())
ASKED = Asked("unknown", None, 1, NOW + timedelta(seconds=20), None, is_watched=False)


def test_what_nobody_knows_is_looked_for_and_not_asked_again() -> None:
    """killbill/killbill#639, #338, #660: unknown and tried again with the same key is a second capture."""
    waiting = Situation(State.ACTIVATING, 100, 100, 0, NOW, NOW + timedelta(minutes=10), (ASKED,))
    for seconds in range(0, 40, 5):
        step = next_step(NOW + timedelta(seconds=seconds), waiting).step
        assert step in ({Step.WAIT} if seconds < 20 else {Step.LOOK}), "never ask"


def test_what_is_overdue_and_what_is_paid_at_one_instant_do_not_both_count() -> None:
    """killbill/killbill#94: the overdue check and the retry of the payment fall due together, and both cancel."""
    unpaid = Situation(State.AWAITING_FUNDS, 100, 100, 0, NOW, None, ())
    assert next_step(NOW, unpaid) == Next(Step.FUND), "what is paid at the last instant is paid"
    assert next_step(NOW, Situation(State.AWAITING_FUNDS, 100, 0, 0, NOW, None, ())) == Next(Step.EXPIRE)


def test_keys_come_from_what_is_meant_and_never_from_the_clock() -> None:
    """flexprice/flexprice#2690, #1400; getlago/lago-api#4795: two batches of one hour. mozilla/fxa#13755: a new key
    a page."""
    order = UUID(int=7)
    assert key_of(cause=order, ordinal=0) == key_of(cause=order, ordinal=0) != key_of(cause=order, ordinal=1)
    assert ids.derived(order, "auto") == ids.derived(order, "auto")


def test_a_missed_day_of_the_clock_loses_no_renewal() -> None:
    """BillRun/system, autorenew: due only within [today, tomorrow), so that a missed day is a renewal lost for ever."""
    ends_at = NOW + timedelta(days=30)
    for late in (0, 1, 21, 400):
        now = ends_at - timedelta(hours=24) + timedelta(days=late)
        assert is_due(Trigger(When.DATE, 24), ends_at=ends_at, packs=1, used_percent=0, now=now)


def test_what_is_declined_is_tried_later_and_later_and_then_given_up() -> None:
    """getlago/lago-api#6176: a declined top-up fires every few seconds for days. #6103: it ran for weeks. #5177: one
    charge for each step."""
    auto = policy(30, "rolling_day").auto
    told = [after_refusal("wallet_too_low", terms=auto, tries=n, now=NOW, zone=TOKYO).next_at for n in (1, 2, 3, 4)]
    assert told == [NOW + timedelta(hours=hours) for hours in (1, 6, 24)] + [None]
    ceiling = after_refusal("ceiling_reached", terms=auto, tries=1, now=NOW, zone=TOKYO).next_at
    assert ceiling == month_of(NOW, TOKYO).ends_at
    assert BURST == 2


def test_renewed_by_hand_the_automatic_renewal_of_that_end_is_gone() -> None:
    """restrictcontentpro/restrict-content-pro#1393: it failed, was renewed by hand, then the old try went through."""
    terms = policy(30, "rolling_day", mode="queue")
    actions = [Action(NOW), Action(NOW, "switch_on"), Action(NOW + timedelta(days=28))]
    done = simulate(terms, actions, until=NOW + timedelta(days=58))
    assert [one.at for one in done.happened if one.by_itself] == []
    assert len(simulate(terms, actions, until=NOW + timedelta(days=60)).spans) == 3, "the next end is renewed, once"


# What a journey plays against the real database and the sandbox: the report, and the test.
PLAYED = {
    "FOSSBilling/FOSSBilling#3106": (
        "test_auto_renewal.py",
        "test_two_at_once_place_one_order",
    ),
    "getlago/lago-api#5870": (
        "test_renewal_faults.py",
        "test_the_same_id_with_other_content_is_refused",
    ),
    "getlago/lago-api#6177": (
        "test_auto_renewal.py",
        "test_when_the_data_is_used_up_it_renews_once",
    ),
    "getlago/lago-api#5495": (
        "test_payment_faults.py",
        "test_a_refund_asked_by_many_at_once_is_one",
    ),
    "getlago/lago-api#5980": (
        "test_vouchers.py",
        "test_two_at_once_are_one",
    ),
    "getlago/lago-api#4945": (
        "test_renewal_faults.py",
        "test_one_wallet_pays_one_of_two_orders",
    ),
    "killbill/killbill#1832": (
        "test_payment_faults.py",
        "test_money_that_the_bank_has_not_decided_on_is_waited_for",
    ),
    "Automattic/woocommerce-payments#4788": (
        "test_auto_renewal.py",
        "test_two_at_once_place_one_order",
    ),
    "fossasia/eventyay#1924": (
        "test_payment_faults.py",
        "test_a_webhook_twice_late_and_out_of_order_has_one_effect",
    ),
    "pretix/pretix#6396": (
        "test_vouchers.py",
        "test_what_is_revoked_while_it_is_being_redeemed_is_either",
    ),
    "keygen-sh/keygen-api#322": (
        "test_payment_faults.py",
        "test_two_tabs_that_press_at_the_same_moment_open_one_page",
    ),
}


@pytest.mark.parametrize("report", sorted(PLAYED))
def test_what_a_journey_plays_is_there(report: str) -> None:
    file, name = PLAYED[report]
    assert re.search(rf"^def {name}\(", (TESTS / "journeys" / file).read_text(), re.MULTILINE), report
