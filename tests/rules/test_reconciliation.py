"""What differs between settlement reports and the books, why that probably is, and what to do: as a table."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from xuka.kernel.money import Money
from xuka.payments.contract import Settled, SettledKind
from xuka.payments.reconciliation_rules import Booked, Stand, differences, sums
from xuka.payments.rules import words_of

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
READ = {date(2026, 3, 1) + timedelta(number) for number in range(4)}  # up to two days after AT
P, R, ANOTHER = UUID(int=1), UUID(int=2), uuid4()
PRICE = Money(12_90, "EUR")
PAID = Booked(P, Stand.BOOKED, PRICE, AT, frozenset({words_of(P), "ch_1"}))
OPEN = Booked(P, Stand.UNDER_WAY, PRICE, None, frozenset({words_of(P)}))
GONE = Booked(R, Stand.BOOKED, Money(5_00, "EUR"), AT, frozenset({words_of(R), "re_1"}), P)
ON_ITS_WAY = Booked(R, Stand.UNDER_WAY, Money(5_00, "EUR"), None, frozenset({words_of(R)}), P)
FAILED = Booked(R, Stand.OVER, Money(5_00, "EUR"), None, frozenset({words_of(R), "re_1"}), P)


def row(id: str, kind: str, minor: int, currency: str = "EUR", **names: str) -> Settled:
    fee = Money(25 if kind == "payment" else 0, "EUR")
    return Settled(id, SettledKind(kind), Money(minor, currency), fee, AT, **names)


SALE = row("t1", "payment", 12_90, key=words_of(P), charge="ch_1")
BACK = row("t2", "refund", -5_00, charge="ch_1", reference="re_1")
BY_KEY = row("t2", "refund", -5_00, key=words_of(R), reference="re_1")


@pytest.mark.parametrize(
    ("rows", "payments", "refunds", "found"),
    [
        pytest.param([SALE, BACK], [PAID], [GONE], [], id="all agrees"),
        pytest.param([SALE, SALE], [PAID], [], [], id="the same row told twice is one row"),
        pytest.param([row("t1", "payment", 12_90, charge="ch_1")], [PAID], [], [], id="named by the charge alone"),
        pytest.param(
            [row("f", "fee", -1_00), row("o", "payout", -99_00)], [], [], [], id="fees and payouts are not compared"
        ),
        pytest.param([], [PAID], [], ["missing_there not_settled ask_provider 1290 None"], id="not in any report"),
        pytest.param(
            [SALE], [PAID], [GONE], ["missing_there not_settled ask_provider 500 None"], id="a refund in no report"
        ),
        pytest.param(
            [row("t9", "payment", 7_00, charge="ch_9")],
            [],
            [],
            ["missing_here not_ours find_origin None 700"],
            id="sold outside of the shop",
        ),
        pytest.param(
            [row("t9", "payment", 7_00, key=words_of(ANOTHER), charge="ch_9")],
            [],
            [],
            ["missing_here other_books find_origin None 700"],
            id="a key as ours, and not in our books",
        ),
        pytest.param([SALE], [OPEN], [], ["missing_here not_heard look_again None 1290"], id="paid, never heard"),
        pytest.param(
            [row("x", "other", -3_00)], [], [], ["missing_here other_movement find_origin None -300"], id="a correction"
        ),
        pytest.param(
            [row("t1", "payment", 12_00, charge="ch_1")],
            [PAID],
            [],
            ["another_amount moved_otherwise compare 1290 1200"],
            id="less than is booked",
        ),
        pytest.param(
            [row("t1", "payment", 12_90, "USD", charge="ch_1")],
            [PAID],
            [],
            ["another_currency moved_otherwise compare 1290 1290"],
            id="another currency",
        ),
        pytest.param(
            [SALE, row("t3", "payment", 12_90, charge="ch_1")],
            [PAID],
            [],
            ["twice_there asked_twice give_one_back 1290 2580"],
            id="taken twice",
        ),
        pytest.param(
            [SALE, BACK, row("t3", "refund", -5_00, reference="re_1")],
            [PAID],
            [GONE],
            ["twice_there asked_twice give_one_back 500 1000"],
            id="given back twice",
        ),
        pytest.param(
            [SALE, row("d", "dispute", -12_90, charge="ch_1")],
            [PAID],
            [],
            ["dispute contested answer_dispute 1290 -1290"],
            id="the bank took it back",
        ),
        pytest.param(
            [SALE, row("d", "dispute", -12_90, charge="ch_1"), row("w", "dispute", 12_90, charge="ch_1")],
            [PAID],
            [],
            [],
            id="a dispute that was won",
        ),
        pytest.param(
            [SALE, BACK],
            [PAID],
            [],
            ["refund_unknown given_back_there take_into_account None 500"],
            id="given back on the provider's pages",
        ),
        pytest.param(
            [row("t2", "refund", -5_00, reference="re_9")],
            [],
            [],
            ["refund_unknown not_ours find_origin None 500"],
            id="a refund of what is not ours",
        ),
        pytest.param([SALE, BY_KEY], [PAID], [ON_ITS_WAY], [], id="a refund that is still looked at"),
        pytest.param(
            [SALE, BACK],
            [PAID],
            [FAILED],
            ["refund_unknown thought_failed do_not_repeat None 500"],
            id="failed here, gone there",
        ),
        pytest.param(
            [SALE, BACK, row("t4", "refund", 5_00, charge="ch_1", reference="re_1")],
            [PAID],
            [GONE],
            ["refund_failed sent_back look_again 500 0"],
            id="the bank sent the refund back",
        ),
        pytest.param(
            [SALE, BACK, row("t4", "refund", 5_00, charge="ch_1", reference="re_1")],
            [PAID],
            [FAILED],
            [],
            id="sent back, and known here",
        ),
    ],
)
def test_what_differs_and_why(
    rows: list[Settled], payments: list[Booked], refunds: list[Booked], found: list[str]
) -> None:
    told = [
        f"{one.kind} {one.cause} {one.action} {one.here and one.here.minor} {one.there and one.there.minor}"
        for one in differences(rows, payments, refunds, READ)
    ]
    assert told == found


@pytest.mark.parametrize("unread", [-1, 0, 1, 2])
def test_nothing_is_missing_there_before_two_more_days_are_read(unread: int) -> None:
    """Nor when the day before was never read: it may stand there, by the provider's own clock."""
    assert differences([], [PAID], [], READ - {AT.date() + timedelta(unread)}) == []


def test_sums_tell_fees_apart_by_currency() -> None:
    rows = [SALE, BACK, row("y", "payment", 1980, "JPY"), row("o", "payout", -7_00)]
    assert sums(rows) == {
        "payment": {"EUR": 12_90, "JPY": 1980},
        "fee": {"EUR": -50},
        "refund": {"EUR": -5_00},
        "payout": {"EUR": -7_00},
    }
