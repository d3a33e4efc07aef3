"""The walls in the database: what no code of ours, however wrong, can write. Each try is plain SQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError
from psycopg import errors

from tests.journeys import web_world
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger
from xuka.lines.models import Line
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order, Quote

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SPAN = "[2026-03-02 09:00+00, 2026-03-09 09:00+00)"


@pytest.fixture
def shop(settings: Any) -> web_world.Shop:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return web_world.open_shop(now=NOW, seed_card=lambda **_: None)


@pytest.fixture
def line(shop: web_world.Shop) -> Line:
    """A card without any period."""
    return shop.stock(50, "be-week-3gb-day")


def write(sql: str, *values: Any) -> None:
    """The statement, with every constraint looked at as if it were committed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, list(values))
        cursor.execute("set constraints all immediate")
        cursor.execute("set constraints all deferred")


def refused(sql: str, *values: Any, by: type[psycopg.Error], wall: str) -> bool:
    """Whether the database refuses this statement, at once or when it would be committed, for this reason."""
    with pytest.raises(DatabaseError) as seen:
        write(sql, *values)
    cause = seen.value.__cause__
    assert isinstance(cause, by), repr(cause)
    assert wall in str(cause)
    return True


def book(
    line: Line, span: str | None, *, order: UUID | None = None, track: str = "main", voided: bool = False
) -> tuple:
    sql = (
        "insert into lines_period (id, line_id, track, order_id, ordinal, plan_version_id, span, funded_at,"
        " anchored_at, zone, voided_at) values (%s, %s, %s, %s, 0, %s, %s, %s, '', 'Europe/Brussels', %s)"
    )
    voided_at = NOW if voided else None
    return sql, uuid4(), line.id, track, order or uuid4(), line.plan_version_id, span, NOW, voided_at


# -- periods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        SPAN,
        "[2026-03-09 08:59:59+00, 2026-03-16 09:00+00)",
        "[2026-03-01 09:00+00, 2026-03-02 09:00:01+00)",
        "[2026-03-04 09:00+00, 2026-03-05 09:00+00)",
    ],
    ids=["the same", "a second at its end", "a second at its beginning", "inside"],
)
def test_periods_on_one_track_never_overlap(line: Line, other: str) -> None:
    write(*book(line, SPAN))
    assert refused(*book(line, other), by=errors.ExclusionViolation, wall="periods_never_overlap")


def test_periods_may_touch_run_on_another_track_or_follow_one_that_was_taken_back(line: Line) -> None:
    write(*book(line, SPAN))
    write(*book(line, "[2026-03-09 09:00+00, 2026-03-16 09:00+00)"))
    write(*book(line, SPAN, track="extra"))
    write(*book(line, SPAN, voided=True))
    write(*book(line, None))


@pytest.mark.parametrize(
    "span", ["empty", "[2026-03-02 09:00+00, 2026-03-09 09:00+00]", "(2026-03-02 09:00+00, 2026-03-09 09:00+00)"]
)
def test_a_period_is_never_empty_and_always_half_open(line: Line, span: str) -> None:
    assert refused(*book(line, span), by=errors.CheckViolation, wall="period_never_empty")


@pytest.mark.parametrize("span", ["[2026-03-02 09:00+00,)", "(,2026-03-02 09:00+00)"])
def test_a_period_has_a_beginning_and_an_end(line: Line, span: str) -> None:
    assert refused(*book(line, span), by=errors.CheckViolation, wall="period_never_empty")


def test_an_order_brings_a_period_once(line: Line) -> None:
    order = uuid4()
    write(*book(line, None, order=order))
    assert refused(*book(line, None, order=order), by=errors.UniqueViolation, wall="period_once_an_order")


# -- the ledger --------------------------------------------------------------------------------------------------------


def transfer(debit: UUID, credit: UUID, unit: str, amount: int) -> tuple:
    sql = (
        "insert into ledger_transfer (id, cause, leg, debit_id, credit_id, unit, amount, at)"
        " values (%s, %s, 'charge', %s, %s, %s, %s, %s)"
    )
    return sql, uuid4(), uuid4(), debit, credit, unit, amount, NOW


@pytest.fixture
def accounts() -> dict[str, UUID]:
    opened = {"wallet": ("EUR", True), "hold": ("EUR", True), "yen": ("JPY", True), "house": ("EUR", False)}
    return {
        kind: ledger.open_account(id=uuid4(), kind=kind, unit=unit, limited=limited)
        for kind, (unit, limited) in opened.items()
    }


def test_a_balance_never_falls_below_zero(accounts: dict[str, UUID]) -> None:
    sql = "update ledger_account set balance = balance - 1 where id = %s"
    assert refused(sql, accounts["wallet"], by=errors.CheckViolation, wall="account_balance_not_negative")


def test_the_sellers_own_accounts_keep_no_balance(accounts: dict[str, UUID]) -> None:
    sql = "update ledger_account set balance = 0 where id = %s"
    assert refused(sql, accounts["house"], by=errors.CheckViolation, wall="account_balance_not_negative")


def test_a_transfer_never_mixes_units(accounts: dict[str, UUID]) -> None:
    wallet, yen = accounts["wallet"], accounts["yen"]
    fails = {"by": errors.ForeignKeyViolation}
    assert refused(*transfer(wallet, yen, "EUR", 1), **fails, wall="transfer_credit_same_unit")
    assert refused(*transfer(yen, wallet, "EUR", 1), **fails, wall="transfer_debit_same_unit")


@pytest.mark.parametrize("amount", [0, -1])
def test_a_transfer_moves_something(accounts: dict[str, UUID], amount: int) -> None:
    sql = transfer(accounts["wallet"], accounts["hold"], "EUR", amount)
    assert refused(*sql, by=errors.CheckViolation, wall="transfer_amount_positive")


def test_a_transfer_has_two_ends(accounts: dict[str, UUID]) -> None:
    sql = transfer(accounts["wallet"], accounts["wallet"], "EUR", 1)
    assert refused(*sql, by=errors.CheckViolation, wall="transfer_two_accounts")


# -- what is only ever added -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "change"),
    [("journal_fact", "who = 'nobody'"), ("ledger_transfer", "amount = amount + 1")],
)
def test_facts_and_transfers_are_only_ever_added(shop: web_world.Shop, table: str, change: str) -> None:
    wall = f"rows of {table} are only ever added"
    assert refused(f"update {table} set {change}", by=errors.RaiseException, wall=wall)
    assert refused(f"delete from {table}", by=errors.RaiseException, wall=wall)


@pytest.mark.parametrize(
    "sql", ["update catalogue_planversion set price_minor = 1", "delete from catalogue_planversion"]
)
def test_the_terms_of_a_plan_never_change(shop: web_world.Shop, sql: str) -> None:
    assert refused(sql, by=errors.IntegrityConstraintViolation, wall="A plan version never changes")


# -- orders ------------------------------------------------------------------------------------------------------------


def quote(shop: web_world.Shop, line: Line) -> Quote:
    customer, version = shop.people["xiaoyu"], line.plan_version
    return Quote.objects.create(
        id=uuid4(), customer=customer, line=line, plan_version=version, lines=[], total_minor=12_90, tax_minor=2_24,
        tax_basis_points=2100, currency="EUR", starts_on_activation=False, starts_at=NOW, ends_at=NOW, kept=[],
        lost=[], quoted_at=NOW, expires_at=NOW + timedelta(minutes=15),
    )  # fmt: skip


def order(quote: Quote, *, state: str = "awaiting_funds", total_minor: int = 12_90, track: str = "main") -> tuple:
    sql = (
        "insert into renewals_order (id, customer_id, line_id, plan_version_id, quote_id, track, hold_id, state,"
        " currency, total_minor, tax_minor, fee_minor, pays_with, has_payments, returns, reason, placed_at, pay_by)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, 'EUR', %s, 0, 0, 'wallet', false, 0, '', %s, %s)"
    )
    return (
        sql, uuid4(), quote.customer_id, quote.line_id, quote.plan_version_id, quote.id, track, uuid4(), state,
        total_minor, NOW, NOW,
    )  # fmt: skip


@pytest.mark.parametrize("state", ["awaiting_funds", "funded", "activating", "refunding", "needs_a_person"])
def test_a_card_has_one_open_order_at_most(shop: web_world.Shop, state: str) -> None:
    line = shop.cards["xiaoyu"]
    write(*order(quote(shop, line), state=state))
    second = order(quote(shop, line))
    assert refused(*second, by=errors.UniqueViolation, wall="one_open_order_a_track")
    write(*order(quote(shop, line), track="extra"))
    write(*order(quote(shop, line), state="expired"))


def test_a_quote_is_spent_once_even_by_an_order_that_has_ended(shop: web_world.Shop) -> None:
    spent = quote(shop, shop.cards["xiaoyu"])
    write(*order(spent, state="cancelled"))
    assert refused(*order(spent), by=errors.UniqueViolation, wall="quote_id")


def test_nothing_is_sold_for_nothing(shop: web_world.Shop) -> None:
    sql = order(quote(shop, shop.cards["xiaoyu"]), total_minor=0)
    assert refused(*sql, by=errors.CheckViolation, wall="order_total_positive")


def test_a_customer_who_never_had_a_wallet_can_order_and_pay_later(shop: web_world.Shop) -> None:
    """Not a wall, but what stands before one: an account that was never opened holds nothing."""
    poor = shop.person("poor", language="en")
    line = shop.card("poor", 60, "be-week-3gb-day")
    offer = quote(shop, line)
    Quote.objects.filter(id=offer.id).update(customer=poor, starts_on_activation=True, ends_at=NOW + timedelta(days=7))
    placed = renewals.place(order_id=uuid4(), quote_id=offer.id, customer=poor.id, now=NOW)
    assert (Order.objects.get(id=placed.id).state, Money(placed.total_minor, "EUR")) == (
        "awaiting_funds",
        Money(12_90, "EUR"),
    )


# -- payments ----------------------------------------------------------------------------------------------------------


def payment(shop: web_world.Shop, *, account: UUID | None = None, **columns: Any) -> tuple:
    row: dict[str, Any] = {
        "id": uuid4(), "cause": uuid4(), "account_id": account or uuid4(), "customer_id": shop.people["xiaoyu"].id,
        "provider": "stripe", "is_live": False, "method": "card", "amount_minor": 12_90, "currency": "EUR",
        "description": "", "return_url": "", "language": "en", "pay_by": NOW, "payer": "", "save_method": False,
        "saved_method": "", "state": "open", "closing": False, "reason": "", "detail": "", "reference": "", "url": "",
        "charge": "", "paid_minor": None, "paid_currency": "", "asks": 1, "looks": 0, "asked_at": NOW,
        "absent_at": NOW, "qr": "", "device": "desk", "client_ip": "", "off_session": False,
    } | columns  # fmt: skip
    places = ", ".join(["%s"] * len(row))
    return f"insert into payments_payment ({', '.join(row)}) values ({places})", *row.values()


@pytest.mark.parametrize("state", ["starting", "open", "approved", "processing"])
def test_an_account_has_one_payment_that_can_still_be_paid(shop: web_world.Shop, state: str) -> None:
    account = uuid4()
    write(*payment(shop, account=account, state=state))
    second = payment(shop, account=account)
    assert refused(*second, by=errors.UniqueViolation, wall="one_live_payment_an_account")
    write(*payment(shop, account=account, closing=True))
    write(*payment(shop, account=account, state="closed"))


@pytest.mark.parametrize("differs", [{"paid_minor": 12_89}, {"paid_currency": "JPY"}])
def test_what_differs_from_what_was_asked_never_counts_as_paid(shop: web_world.Shop, differs: dict) -> None:
    paid = {"state": "paid", "paid_minor": 12_90, "paid_currency": "EUR"}
    assert refused(*payment(shop, **paid | differs), by=errors.CheckViolation, wall="payment_paid_as_asked")
    write(*payment(shop, **paid))


def test_only_what_was_captured_has_an_amount_that_was(shop: web_world.Shop) -> None:
    wall = {"by": errors.CheckViolation, "wall": "payment_paid_has_amount"}
    assert refused(*payment(shop, paid_minor=12_90, paid_currency="EUR"), **wall)
    assert refused(*payment(shop, state="mismatched"), **wall)


def test_the_providers_money_is_counted_once(shop: web_world.Shop) -> None:
    write(*payment(shop, reference="cs_1", charge="pi_1"))
    assert refused(*payment(shop, reference="cs_1"), by=errors.UniqueViolation, wall="payment_reference_once")
    assert refused(*payment(shop, charge="pi_1"), by=errors.UniqueViolation, wall="payment_charge_once")


def test_a_webhook_is_stored_once() -> None:
    sql = (
        "insert into payments_event (id, provider, event_id, kind, key, charge, body, state, received_at)"
        " values (%s, 'stripe', 'evt_1', 'x', '', '', '{}', 'stored', %s)"
    )
    write(sql, uuid4(), NOW)
    assert refused(sql, uuid4(), NOW, by=errors.UniqueViolation, wall="event_once")


@pytest.mark.parametrize(
    ("market", "permission", "wall"), [("BE", "a contract", "fee_not_in_belgium"), ("JP", "", "fee_has_permission")]
)
def test_a_fee_is_not_asked_where_the_law_forbids_it_nor_without_permission(
    market: str, permission: str, wall: str
) -> None:
    sql = (
        "insert into payments_methodfee (id, market, method, basis_points, permission, recorded_by, recorded_at)"
        " values (%s, %s, 'card', 150, %s, %s, %s)"
    )
    assert refused(sql, uuid4(), market, permission, uuid4(), NOW, by=errors.CheckViolation, wall=wall)
