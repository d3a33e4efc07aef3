"""Reading the ledger, and proving it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.ledger.models import Account, Transfer
from xuka.ledger.rules import points_id, wallet_id


def balance(account_id: UUID) -> int:
    """Credits less debits in minor units; 0 for an account that was never opened."""
    account = Account.objects.filter(id=account_id).first()
    if account is None:
        return 0
    if account.balance is not None:
        return account.balance
    came = Transfer.objects.filter(credit_id=account_id).aggregate(total=Sum("amount"))["total"] or 0
    went = Transfer.objects.filter(debit_id=account_id).aggregate(total=Sum("amount"))["total"] or 0
    return came - went


def balances(limited_accounts: Iterable[UUID]) -> dict[UUID, int]:
    """What each of these limited accounts holds, in minor units, in one query; 0 for one never opened."""
    wanted = list(limited_accounts)
    rows = Account.objects.filter(id__in=wanted, limited=True).values_list("id", "balance")
    return dict.fromkeys(wanted, 0) | dict(rows)


def wallet_balance(*, customer: UUID, currency: str) -> Money:
    """What lies in the customer's wallet of this currency."""
    return Money(_balance(wallet_id(customer=customer, currency=currency)), currency)


def points_balance(customer: UUID) -> int:
    """How many loyalty points the customer has; those that an order holds are not among them."""
    return _balance(points_id(customer))


def _balance(limited_account: UUID) -> int:
    """Asked on every page that sells."""
    with connection.cursor() as cursor:
        cursor.execute("select balance from ledger_account where id = %s", [limited_account])
        row = cursor.fetchone()
    return row[0] if row else 0


def came_in(account_id: UUID) -> dict[str, int]:
    """What came into a wallet, less what went back, by the kind of the account on the other side; minor units."""
    net: dict[str, int] = {}
    for one in Transfer.objects.filter(credit_id=account_id).select_related("debit"):
        net[one.debit.kind] = net.get(one.debit.kind, 0) + one.amount
    for one in Transfer.objects.filter(debit_id=account_id).select_related("credit"):
        net[one.credit.kind] = net.get(one.credit.kind, 0) - one.amount
    return net


def from_holds(account_id: UUID) -> dict[UUID, int]:
    """What came into a wallet from each order's hold, less what went there; minor units, below 0 where more went."""
    net: dict[UUID, int] = {}
    for one in Transfer.objects.filter(credit_id=account_id, debit__kind="hold"):
        net[one.debit_id] = net.get(one.debit_id, 0) + one.amount
    for one in Transfer.objects.filter(debit_id=account_id, credit__kind="hold"):
        net[one.credit_id] = net.get(one.credit_id, 0) - one.amount
    return net


def full_accounts(kind: str) -> list[UUID]:
    """The limited accounts of this kind that hold something."""
    return list(Account.objects.filter(kind=kind, balance__gt=0).values_list("id", flat=True))


def statement(account_id: UUID) -> list[Transfer]:
    """Every transfer from or to this account, oldest first."""
    rows = Transfer.objects.filter(debit_id=account_id) | Transfer.objects.filter(credit_id=account_id)
    return list(rows.select_related("debit", "credit").order_by("at", "id"))


def transfers_of(cause: UUID) -> list[Transfer]:
    """Every transfer of this cause, oldest first."""
    return list(Transfer.objects.filter(cause=cause).select_related("debit", "credit").order_by("at", "id"))


@dataclass(frozen=True, slots=True)
class Total:
    """All of one unit: how many transfers and accounts, and the sum over every account, which is always 0."""

    transfers: int
    accounts: int
    sum: int


def totals() -> list[tuple[str, Total]]:
    """Each unit with its total, by name."""
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS)
        return [(unit, Total(transfers, accounts, total)) for unit, transfers, accounts, total in cursor.fetchall()]


_TOTALS = """
select a.unit,
    (select count(*) from ledger_transfer t where t.unit = a.unit),
    count(*),
    coalesce(sum((select coalesce(sum(amount), 0) from ledger_transfer t where t.credit_id = a.id)
        - (select coalesce(sum(amount), 0) from ledger_transfer t where t.debit_id = a.id)), 0)::bigint
from ledger_account a group by a.unit order by a.unit
"""
_WRONG_BALANCES = """
select a.id, a.kind, a.unit, a.balance,
    coalesce((select sum(amount) from ledger_transfer t where t.credit_id = a.id), 0)
    - coalesce((select sum(amount) from ledger_transfer t where t.debit_id = a.id), 0) as moved
from ledger_account a
where a.limited and a.balance is distinct from
    coalesce((select sum(amount) from ledger_transfer t where t.credit_id = a.id), 0)
    - coalesce((select sum(amount) from ledger_transfer t where t.debit_id = a.id), 0)
"""


def check_books() -> list[str]:
    """What is wrong with the books, one sentence each; empty when they are right.

    Proves that each running balance is the sum of its transfers, that both sides of a transfer have its unit, and
    that every transfer carries the id of its cause and leg.
    """
    return [*_wrong_balances(), *_wrong_units(), *_wrong_ids()]


def _wrong_balances() -> Iterable[str]:
    with connection.cursor() as cursor:
        cursor.execute(_WRONG_BALANCES)
        for id, kind, unit, kept, moved in cursor.fetchall():
            yield f"The {kind} {id} says {kept} {unit}, its transfers say {moved}."


def _wrong_units() -> Iterable[str]:
    for transfer in Transfer.objects.select_related("debit", "credit").iterator():
        if not transfer.debit.unit == transfer.credit.unit == transfer.unit:
            yield f"The transfer {transfer.id} mixes units."


def _wrong_ids() -> Iterable[str]:
    for transfer in Transfer.objects.iterator():
        if transfer.id != ids.derived(transfer.cause, transfer.leg):
            yield f"The transfer {transfer.id} does not carry the id of its cause and leg '{transfer.leg}'."
