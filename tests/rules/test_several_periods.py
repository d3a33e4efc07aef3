"""Several periods at once, for every mode of renewal: from when to when each is, and how many are possible."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xuka.catalogue.rules import Policy, policy_of
from xuka.kernel.money import Money
from xuka.kernel.span import Span
from xuka.lines.rules import Booked, Track
from xuka.renewals import rules, several
from xuka.renewals.rules import Left, NotNow

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
GB = 1_000_000_000


def policy(mode: str = "add", period: dict[str, Any] | None = None, **renewal: Any) -> Policy:
    length = {"length": 7, "unit": "rolling_day", "zone": "Europe/Brussels", "starts": "activation"}
    data = {
        "tiers": [{"after_bytes": 3 * GB, "kbps": 0}],
        "window": "period",
        "peak": None,
        "hotspot": {"allowed": True, "cap_bytes": None},
        "abroad": {"allowed": False},
    }
    terms = {"mode": mode, "max_ahead_days": 365} | renewal
    return policy_of({"period": length | (period or {}), "quota": {"data": data}, "renewal": terms})


def runs(days: int, of: Policy) -> Track:
    """A card whose week ends in so many days."""
    start = NOW + days * DAY - 7 * DAY
    return (Booked(UUID(int=1), Span(start, start + 7 * DAY), start, of.period, renewal=of.renewal),)


def days(spans: tuple[Span, ...]) -> list[tuple[float, float]]:
    return [((one.starts_at - NOW) / DAY, (one.ends_at - NOW) / DAY) for one in spans]


def told(of: Policy, track: Track = (), count: int = 3, **more: Any) -> rules.Stacked:
    found = several.possible(track=track, policy=of, now=NOW, most=count, **more)
    assert len(found.periods) == count, found.why_no_more
    return several.together(found.periods, policy=of)


APRIL = 31 - 1 / 24  # the clock has gone to summer time by then
MONTH = {"length": 1, "unit": "month", "month_end": "clamp"}
USED = {"starts": "first_use", "start_by_days": 30}
TABLE = [
    ("added, nothing runs", "add", {}, None, [(0, 7), (7, 14), (14, 21)]),
    ("added behind two days", "add", {}, 2, [(2, 9), (9, 16), (16, 23)]),
    ("queued, nothing runs", "queue", {}, None, [(0, 7), (7, 14), (14, 21)]),
    ("queued behind two days", "queue", {}, 2, [(2, 9), (9, 16), (16, 23)]),
    ("beside each other", "independent", {}, 2, [(0, 7), (0, 7), (0, 7)]),
    ("months of one anchor", "add", MONTH, None, [(0, APRIL), (APRIL, APRIL + 30), (APRIL + 30, APRIL + 61)]),
    ("with first use, as if each were used at once", "queue", USED, None, [(0, 7), (7, 14), (14, 21)]),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "period", "left", "expected"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE])
def test_each_period_is_told_from_when_to_when(
    mode: str, period: dict[str, Any], left: int | None, expected: list[tuple[float, float]]
) -> None:
    of = policy(mode, period)
    whole = told(of, runs(left, of) if left else ())
    assert days(whole.spans) == [pytest.approx(one) for one in expected]
    assert whole.span == Span(whole.spans[0].starts_at, max(one.ends_at for one in whole.spans))


def test_periods_that_run_at_the_same_time_are_told_so_as_a_loss() -> None:
    fact = {"kind": "side_by_side", "count": 3}
    assert fact in told(policy("independent")).lost
    assert fact not in told(policy("add")).lost
    assert told(policy("independent"), count=1).lost == ()


def test_losses_are_told_once_and_what_is_kept_longer_until_the_last_end() -> None:
    of = policy("add", data="add")
    whole = told(of, runs(2, of))
    assert {"kind": "data_longer", "until": (NOW + 23 * DAY).isoformat()} in whole.kept
    days_of_day = policy("add", {"unit": "calendar_day"})
    assert told(days_of_day).lost == ({"kind": "part_of_today"},)


def test_one_period_is_told_as_ever() -> None:
    of = policy("queue")
    alone = rules.stack(track=runs(2, of), policy=of, now=NOW)
    whole = told(of, runs(2, of), count=1)
    assert (whole.span, whole.kept, whole.lost) == (alone.span, alone.kept, alone.lost)
    assert whole.spans == (alone.span,)


LIMITS = [
    ("nothing forbids it", policy("add"), None, 12, ""),
    ("replaced: the second would throw away the first", policy("replace"), None, 1, "takes_away"),
    ("replaced, and one runs", policy("replace"), 2, 1, "takes_away"),
    ("the second's data would replace the first's", policy("add", data="replace"), None, 1, "takes_away"),
    ("no further ahead than a month", policy("add", max_ahead_days=30), None, 4, "too_far_ahead"),
    ("what lies beyond is cut: whole ones", policy("add", max_ahead_days=30, beyond="cut"), None, 4, "too_far_ahead"),
    ("three may be booked, one is", policy("queue", max_stacked=3), 2, 2, "too_many"),
    ("one in a week", policy("queue", cooldown_hours=168), None, 1, "too_soon"),
    ("not earlier than three days before the end", policy("queue", opens_days=3), 2, 1, "too_early"),
]  # fmt: skip


@pytest.mark.parametrize(("of", "left", "most", "why"), [row[1:] for row in LIMITS], ids=[row[0] for row in LIMITS])
def test_no_more_can_be_bought_at_once_than_the_policy_lets_be_bought_one_by_one(
    of: Policy, left: int | None, most: int, why: str
) -> None:
    found = several.possible(track=runs(left, of) if left else (), policy=of, now=NOW)
    assert (len(found.periods), found.why_no_more) == (most, why)


def test_data_that_may_be_left_at_most_counts_what_is_bought_before() -> None:
    of = policy("add", max_left_bytes=10 * GB)
    found = several.possible(track=runs(2, of), policy=of, now=NOW, left=Left(2 * GB, 3 * GB))
    assert (len(found.periods), found.why_no_more) == (2, "too_much_left")


def test_the_longer_one_counts_and_a_second_of_the_same_length_runs_beside_it() -> None:
    whole = told(policy("longest"), count=2)
    assert days(whole.spans) == [(0, 7), (0, 7)]
    assert {"kind": "side_by_side", "count": 2} in whole.lost
    limited = several.possible(track=(), policy=policy("longest", max_stacked=2), now=NOW)
    assert (len(limited.periods), limited.why_no_more) == (2, "too_many")


def test_not_even_one_says_why() -> None:
    of = policy("add", max_ahead_days=7)
    with pytest.raises(NotNow) as refused:
        several.possible(track=runs(2, of), policy=of, now=NOW)
    assert refused.value.code == "too_far_ahead"


def test_one_could_renew_again_once_the_end_has_come_near() -> None:
    of = policy("add", max_ahead_days=30)
    assert rules.again_at(stacked=told(of, count=4), policy=of, now=NOW) == NOW + 5 * DAY


@settings(max_examples=30)
@given(st.sampled_from(["add", "queue"]), st.integers(1, 12), st.integers(0, 6))
def test_periods_bought_at_once_are_those_of_renewals_one_after_the_other(mode: str, count: int, left: int) -> None:
    of = policy(mode)
    track = runs(left, of) if left else ()
    at_once = told(of, track, count).spans
    one_by_one: list[Span] = []
    for ordinal in range(count):
        done = rules.stack(track=track, policy=of, now=NOW, id=UUID(int=100 + ordinal))
        assert done.booking is not None
        track = done.booking.track
        one_by_one.append(done.span)
    assert list(at_once) == one_by_one


@given(st.integers(1, 10**9), st.integers(1, 12), st.sampled_from([("EUR", 1), ("JPY", 1), ("TWD", 100)]))
@settings(max_examples=30)
def test_shares_add_up_and_the_first_takes_what_cannot_be_divided(
    steps: int, count: int, currency: tuple[str, int]
) -> None:
    code, step = currency
    shares = several.shares(Money(steps * step, code), count)
    assert sum(shares) == steps * step
    assert set(shares[1:]) <= {steps // count * step}
    assert shares[0] - steps // count * step == steps % count * step


@pytest.mark.parametrize(
    ("total", "shares"),
    [
        (Money(10_00, "EUR"), (3_34, 3_33, 3_33)),
        (Money(1_000, "JPY"), (334, 333, 333)),
        (Money(1_000_00, "TWD"), (334_00, 333_00, 333_00)),
        (Money(2_00, "TWD"), (2_00, 0, 0)),
        (Money(1_000_50, "TWD"), (334_50, 333_00, 333_00)),
    ],
)
def test_a_sum_in_three(total: Money, shares: tuple[int, int, int]) -> None:
    assert several.shares(total, 3) == shares
