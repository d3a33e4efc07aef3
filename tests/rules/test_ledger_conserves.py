"""Whatever is posted, in whatever order, however often: nothing is lost, nothing is made, nothing falls below zero."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from xuka.ledger import operations as ledger
from xuka.ledger import queries
from xuka.ledger.rules import Leg

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
UNITS = ("EUR", "JPY")
# Three that hold at most what came in, and two of the seller's own, in each unit.
LIMITED = {(unit, n): UUID(int=10 * UNITS.index(unit) + n + 1) for unit in UNITS for n in range(3)}
HOUSES = {(unit, n): UUID(int=100 + 10 * UNITS.index(unit) + n) for unit in UNITS for n in range(2)}
ACCOUNTS = [*LIMITED.items(), *HOUSES.items()]
NEVER_OPENED = UUID(int=999)


@contextmanager
def books() -> Iterator[None]:
    """Open books that are thrown away at the end."""
    with transaction.atomic():
        for (unit, _), id in ACCOUNTS:
            is_limited = id in LIMITED.values()
            ledger.open_account(id=id, kind="wallet" if is_limited else "house", unit=unit, limited=is_limited)
        yield
        transaction.set_rollback(True)


@st.composite
def legs(draw: st.DrawFn) -> Leg:
    """A transfer between two accounts of one unit; few causes and names, so that many are repeats or contradict."""
    unit = draw(st.sampled_from(UNITS))
    accounts = [id for (of, _), id in ACCOUNTS if of == unit]
    debit, credit = draw(st.permutations(accounts))[:2]
    return Leg(
        cause=UUID(int=draw(st.integers(1, 6))),
        leg=draw(st.sampled_from(["charge", "refund"])),
        debit=debit,
        credit=credit,
        unit=unit,
        amount=draw(st.integers(1, 40)),
    )


def is_other(there: Leg | None, leg: Leg) -> bool:
    return there is not None and there != leg


class Model:
    """What the books should say, kept by simple means."""

    def __init__(self) -> None:
        self.posted: dict[UUID, Leg] = {}
        self.balances: Counter[UUID] = Counter()

    def post(self, wanted: list[Leg]) -> str:
        """What the same posting should answer: how many are new, or what is raised; changes nothing if it is."""
        if any(is_other(self.posted.get(leg.id), leg) for leg in wanted):
            return "DifferentTransfer"
        fresh = [leg for leg in wanted if leg.id not in self.posted]
        after = self.balances.copy()
        for leg in fresh:
            after[leg.debit] -= leg.amount
            after[leg.credit] += leg.amount
        if any(after[id] < 0 for id in LIMITED.values()):
            return "InsufficientFunds"
        self.balances = after
        self.posted |= {leg.id: leg for leg in fresh}
        return str(len(fresh))


def posted(wanted: list[Leg]) -> str:
    try:
        return str(ledger.post(*wanted, now=NOW))
    except (ledger.InsufficientFunds, ledger.DifferentTransfer) as error:
        return type(error).__name__


def one_of_each(wanted: list[Leg]) -> list[Leg]:
    return list({leg.id: leg for leg in wanted}.values())


postings = st.lists(st.lists(legs(), min_size=1, max_size=3).map(one_of_each), max_size=12)


@settings(max_examples=80)
@given(postings)
def test_the_ledger_conserves(steps: list[list[Leg]]) -> None:
    with books():
        model = Model()
        for wanted in steps:
            assert posted(wanted) == model.post(wanted)
            held = queries.balances(LIMITED.values())
            assert held == {id: model.balances[id] for id in LIMITED.values()}
            assert min(held.values()) >= 0
        assert all(queries.balance(id) == model.balances[id] for _, id in ACCOUNTS)
        assert {unit: total.sum for unit, total in queries.totals()} == {"EUR": 0, "JPY": 0}
        assert sum(total.transfers for _, total in queries.totals()) == len(model.posted)
        assert queries.check_books() == []
        for wanted in steps:  # once more, all of it: nothing moves that had moved
            there = [leg for leg in wanted if model.posted.get(leg.id) == leg]
            if there:
                assert ledger.post(*there, now=NOW) == 0
        assert queries.check_books() == []
        assert all(queries.balance(id) == model.balances[id] for id in LIMITED.values())


def leg(name: str, debit: UUID, credit: UUID, amount: int, unit: str = "EUR") -> Leg:
    return Leg(UUID(int=1), name, debit, credit, unit, amount)


HOUSE, ONE, TWO = HOUSES["EUR", 0], LIMITED["EUR", 0], LIMITED["EUR", 1]


def test_what_is_short_moves_nothing_and_the_transaction_goes_on() -> None:
    with books():
        ledger.post(leg("credit", HOUSE, ONE, 10), now=NOW)
        with pytest.raises(ledger.InsufficientFunds):
            ledger.post(leg("a", ONE, TWO, 4), leg("b", ONE, TWO, 7), now=NOW)
        assert (queries.balance(ONE), queries.balance(TWO)) == (10, 0)
        assert ledger.post(leg("a", ONE, TWO, 4), leg("b", ONE, TWO, 6), now=NOW) == 2
        assert (queries.balance(ONE), queries.balance(TWO)) == (0, 10)


def test_what_comes_and_goes_in_one_posting_needs_no_money_before() -> None:
    with books():
        assert ledger.post(leg("in", HOUSE, ONE, 5), leg("out", ONE, TWO, 5), now=NOW) == 2
        assert (queries.balance(HOUSE), queries.balance(ONE), queries.balance(TWO)) == (-5, 0, 5)


def test_an_account_that_was_never_opened_holds_nothing() -> None:
    with books():
        with pytest.raises(ledger.InsufficientFunds):
            ledger.post(leg("a", NEVER_OPENED, ONE, 1), now=NOW)
        assert queries.balance(ONE) == 0
        assert queries.totals()[0][1].transfers == 0


@pytest.mark.parametrize(
    "other",
    [leg("a", HOUSE, ONE, 11), leg("a", HOUSE, TWO, 10), leg("a", HOUSES["EUR", 1], ONE, 10)],
    ids=["another amount", "another account credited", "another account debited"],
)
def test_the_same_name_for_something_else_is_refused_with_all_that_came_with_it(other: Leg) -> None:
    with books():
        ledger.post(leg("a", HOUSE, ONE, 10), now=NOW)
        with pytest.raises(ledger.DifferentTransfer):
            ledger.post(leg("b", HOUSE, TWO, 3), other, now=NOW)
        assert (queries.balance(ONE), queries.balance(TWO)) == (10, 0)
        assert queries.check_books() == []
