"""What differs between a provider's settlement reports and our books, why that may be, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from xuka.kernel.money import Money
from xuka.payments.contract import Settled, SettledKind
from xuka.payments.rules import key_in

# What is booked here and stands in no report is a difference once so many days after its own are read as well.
GRACE_DAYS = 2
# Counted, not compared: nobody books them here.
SUMMED = frozenset({SettledKind.FEE, SettledKind.PAYOUT})


class Kind(StrEnum):
    """What differs."""

    MISSING_THERE = "missing_there"
    MISSING_HERE = "missing_here"
    ANOTHER_AMOUNT = "another_amount"
    ANOTHER_CURRENCY = "another_currency"
    TWICE_THERE = "twice_there"
    DISPUTE = "dispute"
    REFUND_UNKNOWN = "refund_unknown"
    REFUND_FAILED = "refund_failed"


class Cause(StrEnum):
    """Why that probably is."""

    NOT_SETTLED = "not_settled"  # we were told that the money moved, the report does not know of it
    NOT_HEARD = "not_heard"  # a payment of ours, whose end we never heard
    NOT_OURS = "not_ours"  # made outside of this shop, in the same account
    OTHER_BOOKS = "other_books"  # it bears a key as we make them, and is in no book of ours
    OTHER_MOVEMENT = "other_movement"  # neither a payment nor a refund
    MOVED_OTHERWISE = "moved_otherwise"  # changed at the provider after it was booked
    ASKED_TWICE = "asked_twice"
    CONTESTED = "contested"  # by the customer's bank
    GIVEN_BACK_THERE = "given_back_there"  # by a person, on the provider's own pages
    THOUGHT_FAILED = "thought_failed"  # it failed here, and went all the same
    SENT_BACK = "sent_back"  # by the customer's bank, after it had gone


class Action(StrEnum):
    """What to do about it."""

    ASK_PROVIDER = "ask_provider"
    LOOK_AGAIN = "look_again"  # the shop does that by itself
    FIND_ORIGIN = "find_origin"
    COMPARE = "compare"
    GIVE_ONE_BACK = "give_one_back"
    ANSWER_DISPUTE = "answer_dispute"
    TAKE_INTO_ACCOUNT = "take_into_account"
    DO_NOT_REPEAT = "do_not_repeat"


class Stand(StrEnum):
    """How a payment or refund stands in our books."""

    BOOKED = "booked"  # the money moved
    UNDER_WAY = "under_way"
    OVER = "over"  # it ended, and no money moved


@dataclass(frozen=True, slots=True)
class Booked:
    """A payment or a refund as our books have it.

    Args:
        money: what moved, of a refund too above zero; what was asked while nothing has.
        at: when that was booked, aware UTC; None while nothing has moved.
        names: how a row may name it: our keys, and the provider's charge of a payment or reference of a refund.
        payment: of a refund, the payment it belongs to.
    """

    id: UUID
    stand: Stand
    money: Money
    at: datetime | None
    names: frozenset[str]
    payment: UUID | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which report and books do not agree.

    Args:
        about: the id of our payment or refund, or how the provider names what we do not have.
        here: what moved by our books, of a refund above zero; None when nothing did.
        there: what moved by the reports, with the same sign; None when nothing did.
        payment: ours, when it is known.
        refund: ours, when it is about one.
        row: the first row that tells it, "" when none does.
    """

    kind: Kind
    cause: Cause
    action: Action
    about: str
    here: Money | None
    there: Money | None
    payment: UUID | None = None
    refund: UUID | None = None
    row: str = ""


def differences(
    rows: Iterable[Settled], payments: Sequence[Booked], refunds: Sequence[Booked], read: Collection[date]
) -> list[Difference]:
    """Everything on which they differ; of the same again, the same.

    Args:
        rows: of the reports: all those that name one of these payments or refunds, or each other.
        payments: those that the rows name, and those that were booked in the days that are looked at.
        refunds: all refunds of these payments, and those that were booked in these days.
        read: the days whose report was read. What is booked on a day counts as missing there once the reports of the
            day before, of itself, and of the ``GRACE_DAYS`` after it are read.
    """
    own_payment, own_refund = _by_name(payments), _by_name(refunds)
    groups: dict[tuple[SettledKind, str], list[Settled]] = {}
    for row in {row.id: row for row in rows if row.kind not in SUMMED}.values():
        groups.setdefault((row.kind, _about(row, own_payment, own_refund)), []).append(row)
    found = []
    for (kind, about), told in groups.items():
        payment = own_payment.get(told[0].key) or own_payment.get(told[0].charge)
        match kind:
            case SettledKind.PAYMENT:
                found.append(_payment(about, told, payment))
            case SettledKind.REFUND:
                refund = own_refund.get(told[0].reference) or own_refund.get(told[0].key)
                found.append(_refund(about, told, refund, payment))
            case SettledKind.DISPUTE:
                found.append(_dispute(about, told, payment))
            case _:
                found.append(_told(Kind.MISSING_HERE, Cause.OTHER_MOVEMENT, Action.FIND_ORIGIN, about, told))
    for kind, booked in ((SettledKind.PAYMENT, payments), (SettledKind.REFUND, refunds)):
        found += [_missing(one) for one in booked if (kind, str(one.id)) not in groups and _due(one, read)]
    return [one for one in found if one is not None]


def sums(rows: Iterable[Settled]) -> dict[str, dict[str, int]]:
    """What moved, by kind and currency, minor units; what the provider kept of it counts as "fee", below zero."""
    total: dict[str, dict[str, int]] = {}
    for row in rows:
        for kind, money in ((row.kind, row.money), (SettledKind.FEE, Money(-row.fee.minor, row.fee.currency))):
            if money.minor:
                of_kind = total.setdefault(kind.value, {})
                of_kind[money.currency] = of_kind.get(money.currency, 0) + money.minor
    return total


def _by_name(booked: Iterable[Booked]) -> Mapping[str, Booked]:
    return {name: one for one in booked for name in one.names if name}


def _about(row: Settled, payments: Mapping[str, Booked], refunds: Mapping[str, Booked]) -> str:
    """What a row belongs to: ours by its id, anything else as the provider names it."""
    match row.kind:
        case SettledKind.REFUND:
            names, ours = (row.reference, row.key), refunds
        case SettledKind.PAYMENT | SettledKind.DISPUTE:
            names, ours = (row.key, row.charge), payments
        case _:
            names, ours = (), payments
    own = next((ours[name] for name in names if name in ours), None)
    if own:
        return str(own.id)
    return (row.reference if row.kind == SettledKind.REFUND else row.charge if names else "") or row.id


def _payment(about: str, rows: Sequence[Settled], own: Booked | None) -> Difference | None:
    if own is None:
        is_keyed = key_in(rows[0].key) is not None
        cause = Cause.OTHER_BOOKS if is_keyed else Cause.NOT_OURS
        return _told(Kind.MISSING_HERE, cause, Action.FIND_ORIGIN, about, rows)
    if own.stand != Stand.BOOKED:
        return _told(Kind.MISSING_HERE, Cause.NOT_HEARD, Action.LOOK_AGAIN, about, rows, payment=own.id)
    return _otherwise(about, rows, own, sign=1, payment=own.id)


def _refund(about: str, rows: Sequence[Settled], own: Booked | None, payment: Booked | None) -> Difference | None:
    of = payment.id if payment else own.payment if own else None
    went = _net(rows, sign=-1)
    if own is None:
        cause, action = Cause.NOT_OURS, Action.FIND_ORIGIN
        if payment:
            cause, action = Cause.GIVEN_BACK_THERE, Action.TAKE_INTO_ACCOUNT
        return _told(Kind.REFUND_UNKNOWN, cause, action, about, rows, sign=-1, payment=of) if went.minor else None
    if own.stand == Stand.UNDER_WAY:
        return None  # it is looked at until it has ended
    said: Callable[[Kind, Cause, Action], Difference] = lambda kind, cause, action: _told(  # noqa: E731
        kind, cause, action, about, rows, own, sign=-1, payment=of, refund=own.id
    )
    if own.stand == Stand.OVER:
        return said(Kind.REFUND_UNKNOWN, Cause.THOUGHT_FAILED, Action.DO_NOT_REPEAT) if went.minor else None
    if not went.minor:
        return said(Kind.REFUND_FAILED, Cause.SENT_BACK, Action.LOOK_AGAIN)
    return _otherwise(about, rows, own, sign=-1, payment=of, refund=own.id)


def _dispute(about: str, rows: Sequence[Settled], own: Booked | None) -> Difference | None:
    if not _net(rows).minor:
        return None  # taken, and given back: it was won
    of = own.id if own else None
    return _told(Kind.DISPUTE, Cause.CONTESTED, Action.ANSWER_DISPUTE, about, rows, own, payment=of)


def _otherwise(
    about: str, rows: Sequence[Settled], own: Booked, *, sign: int, payment: UUID | None, refund: UUID | None = None
) -> Difference | None:
    """Booked here and told there: whether it is the same."""
    there = _net(rows, sign=sign)
    if there == own.money:
        return None
    kind, cause, action = Kind.ANOTHER_AMOUNT, Cause.MOVED_OTHERWISE, Action.COMPARE
    if there.currency != own.money.currency:
        kind = Kind.ANOTHER_CURRENCY
    elif len(rows) > 1 and there.minor == own.money.minor * len(rows):
        kind, cause, action = Kind.TWICE_THERE, Cause.ASKED_TWICE, Action.GIVE_ONE_BACK
    return _told(kind, cause, action, about, rows, own, sign=sign, payment=payment, refund=refund)


def _due(one: Booked, read: Collection[date]) -> bool:
    if one.stand != Stand.BOOKED or one.at is None:
        return False
    return all(one.at.date() + timedelta(days) in read for days in range(-1, GRACE_DAYS + 1))


def _missing(one: Booked) -> Difference:
    kind, cause, action = Kind.MISSING_THERE, Cause.NOT_SETTLED, Action.ASK_PROVIDER
    refund = one.id if one.payment else None
    return Difference(kind, cause, action, str(one.id), one.money, None, one.payment or one.id, refund)


def _told(
    kind: Kind,
    cause: Cause,
    action: Action,
    about: str,
    rows: Sequence[Settled],
    own: Booked | None = None,
    *,
    sign: int = 1,
    payment: UUID | None = None,
    refund: UUID | None = None,
) -> Difference:
    here = own.money if own and own.stand == Stand.BOOKED else None
    return Difference(kind, cause, action, about, here, _net(rows, sign=sign), payment, refund, rows[0].id)


def _net(rows: Sequence[Settled], *, sign: int = 1) -> Money:
    """What they move together. Rows of one thing in several currencies: the last currency's."""
    currency = rows[-1].money.currency
    return Money(sign * sum(row.money.minor for row in rows if row.money.currency == currency), currency)
