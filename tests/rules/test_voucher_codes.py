"""Voucher codes and their walls: what is typed is read, what is mistyped is told apart, and value is conserved."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import errors

from xuka.accounts import operations as accounts
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger_operations
from xuka.ledger import queries as ledger
from xuka.payments import queries as payments
from xuka.payments import rules, vouchers
from xuka.payments.models import Voucher
from xuka.payments.rules import ALPHABET, MistypedCode

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DEADLINE = NOW + timedelta(days=365)
STAFF = UUID(int=7)
codes = st.randoms(use_true_random=False).map(lambda seed: rules.new_code(seed.choice))

# -- codes ---------------------------------------------------------------------------------------------------------


def is_mistyped(typed: str) -> bool:
    try:
        rules.code_of(typed)
    except MistypedCode:
        return True
    return False


@given(codes)
def test_a_code_is_read_however_it_is_typed(code: str) -> None:
    printed = rules.grouped(code)
    full_width = "".join(chr(ord(sign) + 0xFEE0) for sign in printed.lower())
    spelled = code.replace("0", "o").replace("1", "l")
    ways = [
        code, printed, printed.lower(), printed.replace("-", " "), f"  {printed}\n", full_width, spelled,
        full_width.replace("－", "ー"), printed.replace("-", "—"), full_width.replace("－", "\u3000"),
        "\u200b".join(code), " ".join(code),
    ]  # fmt: skip
    assert {rules.code_of(typed) for typed in ways} == {code}


@given(codes, st.integers(0, 15), st.sampled_from(ALPHABET))
def test_one_wrong_sign_never_makes_another_code(code: str, place: int, sign: str) -> None:
    assert is_mistyped(code[:place] + sign + code[place + 1 :]) == (code[place] != sign)


@given(codes, st.integers(0, 15), st.integers(0, 15))
def test_two_signs_exchanged_never_make_another_code(code: str, one: int, other: int) -> None:
    signs = list(code)
    signs[one], signs[other] = signs[other], signs[one]
    assert is_mistyped("".join(signs)) == ("".join(signs) != code)


@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_code_or_mistyped(typed: str) -> None:
    assert is_mistyped(typed) or len(rules.code_of(typed)) == 16


@pytest.mark.parametrize("typed", ["", "0" * 15, "0" * 17, "U" * 16, "é" * 16, "0000-0000-0000-000?", "٠" * 16])
def test_what_has_other_signs_or_another_length_is_mistyped(typed: str) -> None:
    assert is_mistyped(typed)


def test_codes_differ_and_carry_nothing_that_is_read_as_something_else() -> None:
    many = {rules.new_code(random.Random(seed).choice) for seed in range(1_000)}
    assert len(many) == 1_000
    assert not set("".join(many)) & set("ILOU")


def test_the_stored_form_depends_on_the_key_and_tells_nothing() -> None:
    code = rules.new_code(random.Random(1).choice)
    one, other = rules.code_hash(code, b"one"), rules.code_hash(code, b"other")
    assert one != other
    assert len(one) == 64
    assert code not in one.upper()


# -- the walls -----------------------------------------------------------------------------------------------------


def write(sql: str, *values: Any) -> None:
    """The statement, with every constraint looked at as if it were committed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, list(values))
        cursor.execute("set constraints all immediate")
        cursor.execute("set constraints all deferred")


def refused(sql: str, *values: Any, by: type[psycopg.Error], wall: str) -> bool:
    """Whether the database refuses this statement for this reason."""
    with pytest.raises(DatabaseError) as seen:
        write(sql, *values)
    cause = seen.value.__cause__
    assert isinstance(cause, by), repr(cause)
    assert wall in str(cause)
    return True


def insert(table: str, row: dict[str, Any]) -> tuple:
    places = ", ".join(["%s"] * len(row))
    return f"insert into payments_{table} ({', '.join(row)}) values ({places})", *row.values()


def batch(**columns: Any) -> tuple:
    row: dict[str, Any] = {
        "id": uuid4(), "value_minor": 20_00, "currency": "EUR", "number": 2, "redeem_by": DEADLINE,
        "liability_id": uuid4(), "made_by": STAFF, "made_at": NOW, "sold_at": None, "sold_to": "",
        "revoked_at": None, "revoked_why": "",
    }  # fmt: skip
    return insert("voucherbatch", row | columns)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("columns", "wall"),
    [
        ({"value_minor": 0}, "voucher_value_positive"),
        ({"value_minor": -1}, "voucher_value_positive"),
        ({"number": 0}, "voucher_batch_size"),
        ({"number": 10_001}, "voucher_batch_size"),
        ({"redeem_by": NOW}, "voucher_deadline_after_making"),
        ({"sold_at": NOW}, "voucher_sold_to_somebody"),
        ({"sold_to": "a kiosk"}, "voucher_sold_to_somebody"),
        ({"revoked_at": NOW}, "voucher_revoked_with_reason"),
    ],
)
def test_a_batch_that_makes_no_sense_is_not_stored(columns: dict[str, Any], wall: str) -> None:
    assert refused(*batch(**columns), by=errors.CheckViolation, wall=wall)


@pytest.fixture
def made(db: None) -> UUID:
    """A batch of two that is sold; of the first of them the customer is known as ``redeemed_by``."""
    id = UUID(int=500)
    vouchers.make(
        id=id, value=Money(20_00, "EUR"), number=2, redeem_by=DEADLINE, staff=STAFF, why="for a kiosk", now=NOW
    )
    vouchers.sell(batch_id=id, to="a kiosk", staff=STAFF, why="paid in cash", now=NOW)
    return id


def customer() -> UUID:
    return accounts.register_user(email="emma@demo.xuka.example", language="en", now=NOW).id


USED = "update payments_voucher set redeemed_at = %s, redeemed_by_id = %s, transfer_id = %s"


@pytest.mark.django_db
def test_a_voucher_is_redeemed_wholly_or_not_at_all(made: UUID) -> None:
    who = customer()
    for values in ((NOW, None, None), (None, who, None), (None, None, uuid4()), (NOW, who, None), (NOW, None, uuid4())):
        assert refused(USED, *values, by=errors.CheckViolation, wall="voucher_redeemed_wholly")


@pytest.mark.django_db
def test_one_transfer_is_one_vouchers(made: UUID) -> None:
    assert refused(USED, NOW, customer(), uuid4(), by=errors.UniqueViolation, wall="transfer_id")


@pytest.mark.django_db
def test_a_voucher_is_never_both_redeemed_and_revoked(made: UUID) -> None:
    sql = USED + ", revoked_at = %s where id = %s"
    one = Voucher.objects.values_list("id", flat=True)[0]
    values = (NOW, customer(), uuid4(), NOW, one)
    assert refused(sql, *values, by=errors.CheckViolation, wall="voucher_redeemed_or_revoked")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    ["redeemed_at = null, redeemed_by_id = null, transfer_id = null", "redeemed_at = now()", "code_hash = serial"],
)
def test_what_is_redeemed_stays_redeemed(made: UUID, change: str) -> None:
    one = Voucher.objects.values_list("id", flat=True)[0]
    write(USED + " where id = %s", NOW, customer(), uuid4(), one)
    wall = {"by": errors.IntegrityConstraintViolation, "wall": "A voucher is redeemed or revoked once"}
    assert refused(f"update payments_voucher set {change} where id = %s", one, **wall)
    assert refused("delete from payments_voucher where id = %s", one, **wall)


@pytest.mark.django_db
def test_what_is_revoked_stays_revoked(made: UUID) -> None:
    write("update payments_voucher set revoked_at = %s", NOW)
    wall = {"by": errors.IntegrityConstraintViolation, "wall": "A voucher is redeemed or revoked once"}
    assert refused("update payments_voucher set revoked_at = null", **wall)
    write("update payments_voucherbatch set revoked_at = %s, revoked_why = 'lost'", NOW)
    wall["wall"] = "The terms of a voucher batch never change"
    assert refused("update payments_voucherbatch set revoked_at = null, revoked_why = ''", **wall)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change", ["value_minor = 1", "currency = 'JPY'", "number = 3", "redeem_by = now()", "sold_at = null, sold_to = ''"]
)
def test_the_terms_of_a_batch_never_change(made: UUID, change: str) -> None:
    wall = {"by": errors.IntegrityConstraintViolation, "wall": "The terms of a voucher batch never change"}
    assert refused(f"update payments_voucherbatch set {change}", **wall)
    assert refused("delete from payments_voucherbatch", **wall)


@pytest.mark.django_db
@pytest.mark.parametrize("column", ["code_hash", "serial"])
def test_a_code_and_a_serial_belong_to_one_voucher(made: UUID, column: str) -> None:
    row = {"id": uuid4(), "batch_id": made, "serial": "another", "code_hash": "another", "refund_reference": ""}
    row[column] = Voucher.objects.values_list(column, flat=True)[0]
    assert refused(*insert("voucher", row), by=errors.UniqueViolation, wall=column)


# -- value ---------------------------------------------------------------------------------------------------------

STEPS = st.one_of(
    st.tuples(st.just("make"), st.integers(0, 1), st.integers(1, 3)),
    st.tuples(st.just("sell"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("redeem"), st.integers(0, 1), st.integers(0, 2)),
    st.tuples(st.just("redeem"), st.integers(0, 1), st.integers(0, 2)),
    st.tuples(st.just("revoke"), st.integers(0, 1), st.integers(0, 2)),
    st.tuples(st.just("revoke_batch"), st.integers(0, 1), st.just(0)),
)
VALUES = (Money(20_00, "EUR"), Money(3_000, "JPY"))
BATCHES = (UUID(int=1 << 96), UUID(int=2 << 96))


class Shop:
    """Two batches, one customer, and beside them what simple means say should be owed and held."""

    def __init__(self, who: UUID) -> None:
        self.who = who
        self.codes: dict[int, list[str]] = {}
        self.sold: set[int] = set()
        self.revoked: set[int] = set()
        self.used: set[tuple[int, int]] = set()
        self.gone: set[tuple[int, int]] = set()

    def make(self, n: int, number: int) -> None:
        terms = {"redeem_by": DEADLINE, "staff": STAFF, "why": "for a kiosk", "now": NOW}
        if n in self.codes and len(self.codes[n]) != number:
            with pytest.raises(vouchers.DifferentBatch):
                vouchers.make(id=BATCHES[n], value=VALUES[n], number=number, **terms)
            return
        printed = vouchers.make(id=BATCHES[n], value=VALUES[n], number=number, **terms)
        assert len(printed) == (0 if n in self.codes else number)
        self.codes.setdefault(n, [one.code for one in printed])

    def sell(self, n: int, _: int) -> None:
        if n not in self.codes:
            return
        try:
            vouchers.sell(batch_id=BATCHES[n], to="a kiosk", staff=STAFF, why="paid", now=NOW)
            self.sold.add(n)
            assert n not in self.revoked
        except vouchers.CannotSell:
            assert n in self.revoked

    def redeem(self, n: int, at: int) -> None:
        if at >= len(self.codes.get(n, [])):
            return
        one = (n, at)
        why = "already_used" if one in self.used else "revoked" if one in self.gone else ""
        why = why or ("redeemed" if n in self.sold else "not_sold")
        assert self.answer(self.codes[n][at]) == why
        if why == "redeemed":
            self.used.add(one)

    def answer(self, code: str) -> str:
        try:
            vouchers.redeem(typed=code, customer=self.who, currencies={"EUR", "JPY"}, now=NOW)
        except vouchers.CannotRedeem as error:
            return error.code
        return "redeemed"

    def revoke(self, n: int, at: int) -> None:
        if at >= len(self.codes.get(n, [])):
            return
        one = Voucher.objects.filter(batch_id=BATCHES[n]).order_by("serial")[at]
        try:
            vouchers.revoke(voucher_id=one.id, staff=STAFF, why="lost", now=NOW)
            assert (n, at) not in self.used
            self.gone.add((n, at))
        except vouchers.CannotRevoke:
            assert (n, at) in self.used

    def revoke_batch(self, n: int, _: int) -> None:
        if n not in self.codes:
            return
        unused = {(n, at) for at in range(len(self.codes[n]))} - self.used - self.gone
        assert vouchers.revoke_batch(batch_id=BATCHES[n], staff=STAFF, why="lost", now=NOW) == len(unused)
        self.gone |= unused
        self.revoked.add(n)

    def owed(self, n: int) -> int:
        """What the batch owes by simple means, in minor units."""
        all_of_them = {(n, at) for at in range(len(self.codes.get(n, [])))}
        return len(all_of_them - self.used - self.gone) * VALUES[n].minor if n in self.sold else 0


@pytest.mark.django_db
@settings(max_examples=25)
@given(st.lists(STEPS, max_size=12))
def test_whatever_is_made_redeemed_and_revoked_value_is_conserved(steps: list[tuple[str, int, int]]) -> None:
    with transaction.atomic():
        shop = Shop(customer())
        for verb, n, at in steps:
            getattr(shop, verb)(n, at)
            uses = Counter(n for n, _ in shop.used)
            for n, value in enumerate(VALUES):
                unit = value.currency
                wallet = ledger.wallet_balance(customer=shop.who, currency=unit).minor
                owed = ledger.balance(ledger_operations.house("voucher_liability", unit))
                taken = ledger.balance(ledger_operations.house("voucher_clearing", unit))
                assert (wallet, owed) == (uses[n] * value.minor, shop.owed(n))
                assert wallet + owed + taken == 0
        assert ledger.check_books() == payments.check_books() == []
        transaction.set_rollback(True)
