"""Which reminders a card should have and when each is told: tables of the product's promises, and what always holds."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xuka.accounts.rules import Told
from xuka.catalogue.rules import Policy, policy_of
from xuka.kernel.span import Span
from xuka.reminders import rules
from xuka.reminders.rules import KINDS, Ending, Limit, Mark, Quiet, Wanted

END = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
PERIOD = UUID(int=7)
GB = 10**9


def policy(*, length: int = 30, unit: str = "rolling_day", **ending: Any) -> Policy:
    data: dict[str, Any] = {
        "tiers": [{"after_bytes": 3 * GB, "kbps": 1000}], "window": "period", "peak": None,
        "hotspot": {"allowed": True}, "abroad": {"allowed": False},
    }  # fmt: skip
    period = {"length": length, "unit": unit, "zone": "Europe/Brussels", "starts": "activation"}
    document = {"period": period, "quota": {"data": data}, "renewal": {"mode": "add"}, "ending": ending}
    return policy_of(document)


def ending(*, bought: timedelta = timedelta(days=30), all: tuple[datetime, ...] = (END,), **more: Any) -> Ending:
    carrier = more.pop("carrier_ends_at", None)
    return Ending(END, END - bought, policy(**more), all, carrier)


def due(wanted: tuple[Wanted, ...]) -> dict[str, timedelta]:
    return {one.kind: one.due_at - END for one in wanted}


def days(number: float) -> timedelta:
    return timedelta(days=number)


# -- from a card's time --------------------------------------------------------------------------------------------


def test_a_month_is_told_seven_three_and_one_day_and_three_hours_before_and_when_it_has_ended() -> None:
    wanted = rules.of_time(ending())
    assert due(wanted) == {
        "ends_7d": days(-7), "ends_3d": days(-3), "ends_1d": days(-1), "ends_3h": timedelta(hours=-3), "ended": days(0)
    }  # fmt: skip
    assert {one.kind: one.not_after - END for one in wanted if one.not_after} == {
        "ends_7d": days(-3), "ends_3d": days(-1), "ends_1d": timedelta(hours=-3), "ends_3h": days(0), "ended": days(3)
    }  # fmt: skip
    assert {one.cause for one in wanted} == {"end:2026-03-10T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("bought", "more", "kinds"),
    [
        (days(7), {"length": 7}, ["ends_3d", "ends_1d", "ends_3h", "ended"]),  # the 7 days were known when buying
        (days(3), {"length": 3}, ["ends_1d", "ends_3h", "ended"]),
        (days(1), {"length": 1}, ["ends_3h", "ended"]),
        (days(9), {"length": 1}, ["ends_3h", "ended"]),  # bought ahead, and still a plan of one day
        (days(9), {"length": 1, "unit": "month"}, ["ends_7d", "ends_3d", "ends_1d", "ends_3h", "ended"]),
        (timedelta(hours=2), {"length": 1}, ["ended"]),
    ],
)
def test_what_lies_before_the_purchase_is_not_told(bought: timedelta, more: dict[str, Any], kinds: list[str]) -> None:
    assert [one.kind for one in rules.of_time(ending(bought=bought, **more))] == kinds


@pytest.mark.parametrize(
    ("policy", "bought", "told"),
    [
        ({"renewable_days": 30, "number_kept": True}, days(30), days(23)),
        ({"renewable_days": 7, "number_kept": True}, days(30), days(0)),
        ({"number_kept": False}, days(30), days(-7)),  # it goes with the end
        ({"number_kept": False}, days(7), None),
        ({"renewable_days": 30}, days(30), None),  # nobody tells of the number
        ({"number_kept": True}, days(30), None),
        ({}, days(30), None),
    ],
)
def test_a_number_is_told_of_seven_days_before_it_goes(
    policy: dict[str, Any], bought: timedelta, told: timedelta | None
) -> None:
    assert due(rules.of_time(ending(bought=bought, **policy))).get("number_lost") == told


@pytest.mark.parametrize(
    ("before", "also", "told"),
    [
        (timedelta(minutes=59), (), False),
        (timedelta(hours=1), (), True),
        (days(10), (), True),
        (days(10), (END - days(10),), False),  # the running period's own end: the next one waits behind it
        (-days(1), (), False),
    ],
)
def test_an_end_of_the_carrier_an_hour_before_ours_is_told(
    before: timedelta, also: tuple[datetime, ...], told: bool
) -> None:
    found = due(rules.of_time(ending(carrier_ends_at=END - before, all=(*also, END))))
    assert ("carrier_ends_early" in found) == told
    if told:
        assert found["carrier_ends_early"] == -before - days(3)


# -- from a card's use ---------------------------------------------------------------------------------------------

WINDOW = Span(datetime(2026, 3, 2, 23, 0, tzinfo=UTC), datetime(2026, 3, 3, 23, 0, tzinfo=UTC))
AT = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)


def mark(what: str, *, name: str = "data", minute: int = 0) -> Mark:
    return Mark(PERIOD, name, 0, WINDOW, what, AT + timedelta(minutes=minute))


def limit(used: int, *, step: int = 0, window: Span = WINDOW, allowed: int | None = 3 * GB) -> Limit:
    return Limit("data", 0, PERIOD, window, used, allowed, step, 1000 if step else None)


@pytest.mark.parametrize(
    ("marks", "kinds"),
    [
        (["50"], ["used_50"]),
        (["50", "80", "95", "100"], ["used_100"]),
        (["100", "tier:2", "tier:3"], ["slower"]),
        (["80", "reset"], ["reset", "used_80"]),
    ],
)
def test_of_one_window_only_the_furthest_mark_is_told(marks: list[str], kinds: list[str]) -> None:
    wanted = rules.of_use(mark(what) for what in marks)
    assert sorted(one.kind for one in wanted) == kinds


def test_what_is_used_is_true_until_the_window_ends_and_a_new_start_for_twelve_hours() -> None:
    (used,) = rules.of_use([mark("80")])
    assert used == Wanted("used_80", f"data:0:{PERIOD}:2026-03-02T23:00:00+00:00", AT, WINDOW.ends_at)
    (reset,) = rules.of_use([mark("reset")])
    assert reset.not_after == WINDOW.ends_at + timedelta(hours=12)


@pytest.mark.parametrize(
    ("kind", "what", "now", "is_true"),
    [
        ("used_50", "50", limit(GB * 3 // 2), True),
        ("used_50", "50", limit(GB), False),  # a correction took it back
        ("used_50", "50", limit(5 * GB // 2), False),  # more is used by now
        ("used_80", "80", limit(5 * GB // 2), True),
        ("used_100", "100", limit(3 * GB, step=1), True),
        ("used_100", "100", limit(6 * GB, step=2), False),
        ("slower", "tier:2", limit(6 * GB, step=2), True),
        ("slower", "tier:2", limit(9 * GB, step=3), False),
        ("used_80", "80", limit(0, window=Span(WINDOW.ends_at, WINDOW.ends_at + days(1))), False),
        ("reset", "reset", limit(0, window=Span(WINDOW.ends_at, WINDOW.ends_at + days(1))), True),
        ("reset", "reset", limit(3 * GB, step=1, window=Span(WINDOW.ends_at, WINDOW.ends_at + days(1))), False),
        ("reset", "reset", limit(3 * GB, step=1), False),
    ],
)
def test_what_is_said_of_use_must_be_true_now(kind: str, what: str, now: Limit, is_true: bool) -> None:
    other = Limit("hotspot", 0, PERIOD, WINDOW, 0, GB, 0, None)
    assert rules.limit_meant(kind, mark(what).cause, [other, now]) == (now if is_true else None)
    assert rules.limit_meant(kind, mark(what).cause, [other]) is None


# -- when it is told -----------------------------------------------------------------------------------------------

NIGHT = Quiet(time(22), time(8), "Europe/Brussels")
STRICT = Quiet(time(22), time(8), "Europe/Brussels", urgent_at_night=False)
EVENING = datetime(2026, 3, 3, 22, 30, tzinfo=UTC)  # 23:30 in Brussels
MORNING = datetime(2026, 3, 4, 7, 0, tzinfo=UTC)  # 08:00
BEFORE = datetime(2026, 3, 3, 20, 55, tzinfo=UTC)  # 21:55
NOON = datetime(2026, 3, 3, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "due_at", "not_after", "quiet", "now", "told"),
    [
        ("ends_1d", EVENING, MORNING + days(1), None, NOON, EVENING),
        ("ends_1d", NOON, MORNING, NIGHT, NOON, NOON),
        ("ends_1d", EVENING, MORNING + days(1), NIGHT, NOON, MORNING),
        ("ends_1d", EVENING, MORNING, NIGHT, NOON, BEFORE),  # at the end of the quiet hours it is not true any more
        ("ends_1d", EVENING, MORNING, NIGHT, EVENING, None),  # too late for before
        ("used_80", EVENING, EVENING + timedelta(minutes=30), NIGHT, EVENING, None),
        ("used_100", EVENING, EVENING + timedelta(minutes=30), NIGHT, EVENING, EVENING),
        ("ends_3h", EVENING, EVENING + timedelta(hours=3), NIGHT, NOON, EVENING),
        ("ends_3h", EVENING, EVENING + timedelta(hours=3), STRICT, NOON, BEFORE),
        ("used_100", EVENING, EVENING + timedelta(minutes=30), STRICT, EVENING, None),
        ("used_100", EVENING, MORNING + days(1), STRICT, EVENING, MORNING),
        ("ended", NOON, NOON + days(3), NIGHT, NOON + days(3), None),  # nobody looked for days
        ("ended", NOON, NOON + days(3), NIGHT, NOON + timedelta(hours=2), NOON + timedelta(hours=2)),
    ],
)
def test_quiet_hours_are_kept(
    kind: str, due_at: datetime, not_after: datetime, quiet: Quiet | None, now: datetime, told: datetime | None
) -> None:
    assert rules.tell_at(Wanted(kind, "", due_at, not_after), quiet, now=now) == told


def test_the_same_time_twice_is_never_quiet() -> None:
    assert rules.quiet_of(Told(quiet_from=time(8), quiet_to=time(8)), "Asia/Tokyo") is None
    assert rules.quiet_of(Told(), "Asia/Tokyo") == Quiet(time(22), time(8), "Asia/Tokyo")


@pytest.mark.parametrize(
    ("kind", "left", "holds"),
    [
        ("ends_7d", days(7), timedelta(hours=12)),
        ("ends_1d", days(1), timedelta(hours=1)),
        ("ends_3h", timedelta(hours=3), timedelta(minutes=18)),
        ("ends_3h", timedelta(minutes=10), timedelta(minutes=1)),
        ("used_80", days(3), timedelta(hours=3)),
        ("used_100", days(3), None),
        ("ended", days(0), None),
    ],
)
def test_words_that_count_down_do_not_stay_right(kind: str, left: timedelta, holds: timedelta | None) -> None:
    assert rules.words_hold_for(kind, left) == holds


def test_a_letter_begins_with_the_most_urgent() -> None:
    kinds = ["ends_7d", "used_50", "ends_3h", "reset", "used_100"]
    assert [kinds[at] for at in rules.most_urgent_first(kinds)] == [
        "used_100",
        "ends_3h",
        "ends_7d",
        "used_50",
        "reset",
    ]
    assert sorted(known.urgency for known in KINDS.values()) == list(range(len(KINDS)))


# -- what always holds ---------------------------------------------------------------------------------------------

MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
TIMES = st.times().map(lambda at: at.replace(second=0, microsecond=0))
ZONES = st.sampled_from(["Europe/Brussels", "Asia/Tokyo", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC"])
QUIETS = st.builds(Quiet, TIMES, TIMES, ZONES, st.booleans()).filter(lambda quiet: quiet.begins != quiet.ends)
WANTED = st.builds(
    lambda kind, at, lasts: Wanted(kind, "cause", at, None if lasts is None else at + lasts),
    st.sampled_from(sorted(KINDS)),
    MOMENTS,
    st.none() | st.timedeltas(timedelta(), days(5)),
)


@given(wanted=WANTED, quiet=st.none() | QUIETS, ahead=st.timedeltas(-days(3), days(10)))
def test_nothing_is_told_when_it_is_not_true_or_in_quiet_hours(
    wanted: Wanted, quiet: Quiet | None, ahead: timedelta
) -> None:
    now = wanted.due_at - ahead
    at = rules.tell_at(wanted, quiet, now=now)
    if at is None:
        return
    assert at >= now
    assert wanted.not_after is None or at < wanted.not_after
    if quiet and not (KINDS[wanted.kind].is_urgent and quiet.urgent_at_night):
        assert rules.quiet_at(quiet, at) is None
    # It is early only when quiet hours make it so.
    assert at >= wanted.due_at or (quiet is not None and rules.quiet_at(quiet, wanted.due_at) is not None)


@given(wanted=WANTED, quiet=QUIETS, ahead=st.timedeltas(-days(3), days(10)))
def test_what_was_planned_is_still_told_then_when_it_is_looked_at_once_more(
    wanted: Wanted, quiet: Quiet, ahead: timedelta
) -> None:
    at = rules.tell_at(wanted, quiet, now=wanted.due_at - ahead)
    if at is not None:
        assert rules.tell_at(rules.moved(wanted, at), quiet, now=at) == at


@given(
    all=st.lists(st.sampled_from(["50", "80", "95", "100", "tier:2", "tier:3", "reset"]), unique=True).flatmap(
        lambda marks: st.tuples(st.just(marks), st.permutations(marks))
    )
)
def test_the_order_in_which_marks_become_known_changes_nothing(all: tuple[list[str], list[str]]) -> None:
    one, other = (rules.of_use(mark(what) for what in marks) for marks in all)
    assert one == other
    assert len({(wanted.kind, wanted.cause) for wanted in one}) == len(one)


@given(
    bought=st.timedeltas(timedelta(minutes=1), days(400)),
    length=st.integers(1, 12),
    unit=st.sampled_from(["rolling_day", "calendar_day", "month"]),
    kept=st.none() | st.booleans(),
    renewable=st.none() | st.integers(0, 60),
    carrier=st.none() | st.timedeltas(-days(2), days(20)),
)
def test_each_kind_is_asked_for_once_and_never_for_when_it_is_over(
    bought: timedelta, length: int, unit: str, kept: bool | None, renewable: int | None, carrier: timedelta | None
) -> None:
    told = ending(
        bought=bought, length=length, unit=unit, number_kept=kept, renewable_days=renewable,
        carrier_ends_at=END - carrier if carrier is not None else None,
    )  # fmt: skip
    wanted = rules.of_time(told)
    assert len({one.kind for one in wanted}) == len(wanted)
    for one in wanted:
        assert one.not_after is not None
        assert one.due_at < one.not_after
        assert one.kind == "carrier_ends_early" or one.due_at > told.bought_at


def test_every_step_towards_the_end_of_a_card_is_told_as_often_as_the_policy_says() -> None:
    stages = [{"after_days": 60, "becomes": "suspended"}, {"after_days": 90, "becomes": "gone"}]
    wanted = [one for one in rules.of_time(ending(stages=stages, warn_days=[7, 30])) if one.kind != "ended"]
    told = [(one.kind, one.due_at - END, one.not_after and one.not_after - END) for one in wanted if one.due_at > END]
    assert told == [
        ("card_stops", days(30), days(53)),
        ("card_stops", days(53), days(60)),
        ("number_lost", days(60), days(83)),
        ("number_lost", days(83), days(90)),
    ]
    assert len({one.cause for one in wanted if one.kind == "card_stops"}) == 2


# -- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh-hans", "ja", "en", "fr", "nl"])
@pytest.mark.parametrize("name", ["data", "hotspot", "abroad", "voice", "sms"])
def test_a_text_message_has_two_parts_at_most_with_the_link_in_it(
    language: str, name: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    from xuka.accounts.queries import Reach
    from xuka.interfaces.jobs import reminder_words
    from xuka.interfaces.web import links
    from xuka.reminders.operations import Item, Letter

    url = "https://cards.example.com/r/" + "x" * 46 + "/"
    monkeypatch.setattr(links, "reading", lambda **told: url)
    settings.SITE_URL = "https://cards.example.com"
    switch_off = f"{settings.SITE_URL}/cards/{PERIOD}/auto/"
    full = Limit(name, 0, PERIOD, WINDOW, 3 * GB, 3 * GB, 1, 1000)
    says = {"price": {"minor": 1290, "currency": "EUR"}, "at": END.isoformat()}
    stages = [{"after_days": 20, "becomes": "suspended"}]
    end = ending(number_kept=True, renewable_days=30, carrier_ends_at=END - days(1), stages=stages)
    who = Reach(PERIOD, "", language, "", Told(), {})
    for kind, known in KINDS.items():
        limit = full if known.group == "usage" else None
        item = Item(kind, PERIOD, PERIOD, "0014", "Europe/Brussels", {"en": "Belgium 7 days"}, end, limit, says)
        link = switch_off if kind == "autorenewal_soon" else url
        for items in ((item,), (item,) * 3):
            (text,) = reminder_words.compose([Letter(who, "sms", items)], AT)
            assert text.text.endswith(f"\n{link}")
            assert len(text.text) <= 134  # in UCS-2, two parts of 67
            (mail,) = reminder_words.compose([Letter(who, "email", items)], AT)
            assert mail.subject
            html = reminder_words.dressed(language=language, text=mail.text, unsubscribe=mail.unsubscribe)
            assert "%(" not in mail.subject + mail.text + html
            assert "@@" not in html
            assert mail.unsubscribe in html
            assert html.count("<h1") == len(items)
            assert html.count(link) == (len(items) if kind == "autorenewal_soon" else 1)
            assert mail.unsubscribe in mail.text
