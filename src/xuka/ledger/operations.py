"""Double entry. Everything that writes to the ledger is here."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from xuka.journal import operations as journal
from xuka.kernel.money import Money
from xuka.ledger.models import Account, Transfer
from xuka.ledger.rules import Leg, house_id, points_id, wallet_id


class InsufficientFunds(Exception):
    """The account to be debited holds less than the amount; nothing was posted."""


class DifferentTransfer(Exception):
    """A transfer of this cause and leg exists with other content; nothing was posted."""


# One statement: lock the limited accounts that change in the order of their ids, and if none of them would go below
# zero insert the transfers and move the balances. The check constraint on the table stays the wall behind it.
_POST = """
with wanted as (
    select * from unnest(%s::uuid[], %s::uuid[], %s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::bigint[])
        as w(id, cause, leg, debit_id, credit_id, unit, amount)
), fresh as (
    select * from wanted w where not exists (select from ledger_transfer t where t.id = w.id)
), change as (
    select account, sum(amount)::bigint as amount from (
        select debit_id as account, -amount as amount from fresh union all select credit_id, amount from fresh
    ) sides group by account
), locked as materialized (
    select a.id, a.balance from ledger_account a
    where a.limited and a.id in (select account from change) order by a.id for update
), short as (
    select from locked l join change c on c.account = l.id where l.balance + c.amount < 0
    union all
    select from change c where c.amount < 0 and not exists (select from ledger_account a where a.id = c.account)
), other as (
    select from wanted w join ledger_transfer t on t.id = w.id
    where (t.debit_id, t.credit_id, t.unit, t.amount) is distinct from (w.debit_id, w.credit_id, w.unit, w.amount)
), moved as (
    insert into ledger_transfer (id, cause, leg, debit_id, credit_id, unit, amount, at)
    select id, cause, leg, debit_id, credit_id, unit, amount, %s from fresh
    where not exists (select from short) and not exists (select from other)
    on conflict (id) do nothing
    returning debit_id, credit_id, amount
), balanced as (
    update ledger_account a set balance = a.balance + m.amount
    from (
        select account, sum(amount)::bigint as amount from (
            select debit_id as account, -amount as amount from moved union all select credit_id, amount from moved
        ) sides group by account
    ) m
    where a.id = m.account and a.limited
)
select (select count(*) from moved), exists (select from short), exists (select from other)
"""


def post(*legs: Leg, now: datetime) -> int:
    """Post transfers, all or none, in one statement. Posting the same legs again changes nothing.

    Returns:
        How many of them were new.

    Raises:
        InsufficientFunds: a limited account would go below zero, or was never opened and so holds nothing; the
            caller's transaction is still good.
        DifferentTransfer: a transfer with the same cause and leg exists with other content.
    """
    columns = zip(*((x.id, x.cause, x.leg, x.debit, x.credit, x.unit, x.amount) for x in legs), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_POST, [*(list(column) for column in columns), now])
        posted, short, other = cursor.fetchone()
    if short and not other:
        raise InsufficientFunds("An account holds less than what should leave it.")
    if posted < len(legs):
        _require_same(legs)
    return posted


def _require_same(legs: tuple[Leg, ...]) -> None:
    there = Transfer.objects.in_bulk([leg.id for leg in legs])
    for leg in legs:
        row = there.get(leg.id)
        if row and (row.debit_id, row.credit_id, row.unit, row.amount) != (leg.debit, leg.credit, leg.unit, leg.amount):
            raise DifferentTransfer(f"A transfer '{leg.leg}' of {leg.cause} exists with other content.")


def open_account(*, id: UUID, kind: str, unit: str, limited: bool) -> UUID:
    """Open an account; opening it again changes nothing. Returns its id."""
    account = Account(id=id, kind=kind, unit=unit, limited=limited, balance=0 if limited else None)
    Account.objects.bulk_create([account], ignore_conflicts=True)
    return id


def lock(account_id: UUID) -> None:
    """Nobody else moves this limited account until the caller's transaction ends: for who looks before they post."""
    Account.objects.select_for_update().get(id=account_id)


def house(kind: str, unit: str) -> UUID:
    """The seller's own account of this kind and unit ("revenue", "tax", "staff_credit"…), opened when missing."""
    return houses(kind, unit=unit)[0]


def houses(*kinds: str, unit: str) -> tuple[UUID, ...]:
    """The seller's own accounts of these kinds, in their order, opened when missing; one query when none is."""
    wanted = {house_id(kind, unit): kind for kind in kinds}
    there = set(Account.objects.filter(id__in=wanted).values_list("id", flat=True))
    for id, kind in wanted.items():
        if id not in there:
            open_account(id=id, kind=kind, unit=unit, limited=False)
    return tuple(wanted)


def wallet(*, customer: UUID, currency: str) -> UUID:
    """The customer's wallet in this currency, opened when missing. Calling it again changes nothing."""
    return open_account(id=wallet_id(customer=customer, currency=currency), kind="wallet", unit=currency, limited=True)


def points(customer: UUID) -> UUID:
    """The customer's loyalty points, opened when missing. Calling it again changes nothing."""
    return open_account(id=points_id(customer), kind="points", unit="points", limited=True)


@transaction.atomic
def credit_wallet(*, customer: UUID, money: Money, staff: UUID, why: str, id: UUID, now: datetime) -> None:
    """Put the seller's money into a customer's wallet, with a reason. The same id again changes nothing.

    Raises:
        ValueError: the amount is not positive or the reason is empty.
        DifferentTransfer: this id was used for another credit.
    """
    if money.minor <= 0 or not why.strip():
        raise ValueError("A credit needs a positive amount and a reason.")
    leg = Leg(
        cause=id,
        leg="staff_credit",
        debit=house("staff_credit", money.currency),
        credit=wallet(customer=customer, currency=money.currency),
        unit=money.currency,
        amount=money.minor,
    )
    if post(leg, now=now):
        journal.record(
            what="wallet.credited",
            subject=customer,
            who=f"staff:{staff}",
            why=why,
            after={"amount_minor": money.minor, "currency": money.currency},
            now=now,
        )
