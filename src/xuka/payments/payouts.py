"""Credit that is paid out when a customer leaves, with their number to another operator or for good.

Belgium since 2023 (renewal rules, R-47): the operator that is left pays the remaining prepaid credit back within four
weeks. Up to EUR 5 may be kept where the contract says so; ours does not. Credit that the seller gave is no money that
was paid in: it counts as spent first, and what is left of it is not paid out.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from stdnum import iban as ibans
from stdnum.exceptions import ValidationError

from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger
from xuka.ledger import queries as ledger_queries
from xuka.ledger.rules import Leg, wallet_id
from xuka.payments import queries, refunds, rules
from xuka.payments.models import Payment, Payout
from xuka.payments.rules import PaymentState

# Where the law gives the right: in these currencies.
CURRENCIES = ("EUR",)
WITHIN = timedelta(weeks=4)
# What the seller gave, and nobody paid in.
GIVEN = ("staff_credit",)


class CannotPayOut(Exception):
    """This is not paid out; ``code`` says why. Nothing was changed.

    Codes: "nothing" (no credit that was paid in), "currency", "iban", "asked" (one is under way already), "no_reason",
    "no_reference", "not_waiting".
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def payable(*, customer: UUID, currency: str) -> Money:
    """What of this wallet can be paid out now: its balance without what is left of credit that the seller gave."""
    wallet = wallet_id(customer=customer, currency=currency)
    came = ledger_queries.came_in(wallet)
    given = sum(came.get(kind, 0) for kind in GIVEN)
    # Of each order by itself: a card's money that came through the hold of one does not undo what another cost.
    spent = sum(max(0, -minor) for minor in ledger_queries.from_holds(wallet).values())
    balance = ledger_queries.wallet_balance(customer=customer, currency=currency).minor
    return Money(max(0, balance - max(0, given - spent)), currency)


@transaction.atomic
def ask(*, id: UUID, customer: UUID, currency: str, iban: str, now: datetime) -> Payout:
    """A customer leaves and wants the credit that they paid in. It leaves the wallet at once, and waits for staff.

    Args:
        id: made with the page. The same again changes nothing.
        iban: for what cannot go back to a card.

    Raises:
        CannotPayOut: "nothing", "currency", "iban" or "asked".
    """
    there = Payout.objects.filter(id=id, customer_id=customer).first()
    if there:
        return there
    if currency not in CURRENCIES:
        raise CannotPayOut("currency")
    try:
        account = ibans.validate(iban)
    except ValidationError:
        raise CannotPayOut("iban") from None
    if Payout.objects.filter(customer_id=customer, currency=currency, state=Payout.State.ASKED).exists():
        raise CannotPayOut("asked")
    wallet = ledger.wallet(customer=customer, currency=currency)
    ledger.lock(wallet)
    money = payable(customer=customer, currency=currency)
    if money.minor <= 0:
        raise CannotPayOut("nothing")
    row = Payout(
        id=id, customer_id=customer, account_id=ids.derived(id, "payout"), currency=currency,
        amount_minor=money.minor, iban=account, state=Payout.State.ASKED, asked_at=now, pay_by=now + WITHIN,
    )  # fmt: skip
    row.save(force_insert=True)
    ledger.open_account(id=row.account_id, kind="payout", unit=currency, limited=True)
    ledger.post(Leg(id, "payout", wallet, row.account_id, currency, money.minor), now=now)
    told = {"amount_minor": money.minor, "currency": currency}
    journal.record(what="payout.asked", subject=id, who=f"customer:{customer}", after=told, now=now)
    return row


def to_cards(payout: Payout) -> list[tuple[UUID, int]]:
    """(payment, minor units) of what can go back to the payments that filled the wallet, the newest first."""
    held = ledger_queries.from_holds(wallet_id(customer=payout.customer_id, currency=payout.currency))
    paid = Payment.objects.filter(
        account_id__in=held, customer_id=payout.customer_id, currency=payout.currency, state=PaymentState.PAID
    )
    rows = list(paid.order_by("-ended_at", "id"))
    left = []
    for row, one in zip(rows, queries.refundable(rows), strict=True):
        part = max(0, min(one.left_minor, held[row.account_id]))
        held[row.account_id] -= part
        left.append(rules.Refundable(row.id, part))
    return rules.shares(payout.amount_minor, left)


@transaction.atomic
def confirm(*, payout_id: UUID, reference: str, staff: UUID, why: str, now: datetime) -> Payout:
    """Staff have seen that the customer leaves: the cards are refunded, the rest was transferred under ``reference``.

    Again: changes nothing.

    Raises:
        CannotPayOut: "no_reason", "no_reference" (where something goes by transfer), or "not_waiting": it was declined.
    """
    if not why.strip():
        raise CannotPayOut("no_reason")
    row = Payout.objects.select_for_update().get(id=payout_id)
    if row.state == Payout.State.PAID:
        return row
    if row.state != Payout.State.ASKED:
        raise CannotPayOut("not_waiting")
    cards = refunds.give_back_to(payments=to_cards(row), cause=row.id, account=row.account_id, leg="payout", now=now)
    row.by_hand_minor = row.amount_minor - cards
    if row.by_hand_minor and not reference.strip():
        raise CannotPayOut("no_reference")
    if row.by_hand_minor:
        by_hand = ledger.house("paid_by_hand", row.currency)
        ledger.post(Leg(row.id, "payout_by_hand", row.account_id, by_hand, row.currency, row.by_hand_minor), now=now)
    told = {"amount_minor": row.amount_minor, "by_hand_minor": row.by_hand_minor, "currency": row.currency}
    _settle(row, Payout.State.PAID, staff, why, reference, told, now)
    return row


@transaction.atomic
def decline(*, payout_id: UUID, staff: UUID, why: str, now: datetime) -> Payout:
    """Staff do not pay it out, with a reason: the money is back in the wallet. Again: changes nothing.

    Raises:
        CannotPayOut: "no_reason", or "not_waiting": it was paid.
    """
    if not why.strip():
        raise CannotPayOut("no_reason")
    row = Payout.objects.select_for_update().get(id=payout_id)
    if row.state == Payout.State.DECLINED:
        return row
    if row.state != Payout.State.ASKED:
        raise CannotPayOut("not_waiting")
    wallet = ledger.wallet(customer=row.customer_id, currency=row.currency)
    ledger.post(Leg(row.id, "payout_declined", row.account_id, wallet, row.currency, row.amount_minor), now=now)
    told = {"amount_minor": row.amount_minor, "currency": row.currency}
    _settle(row, Payout.State.DECLINED, staff, why, "", told, now)
    return row


def _settle(
    row: Payout, state: Payout.State, staff: UUID, why: str, reference: str, told: dict[str, object], now: datetime
) -> None:
    row.state, row.reference, row.why, row.settled_at = state, reference.strip(), why.strip(), now
    row.save()
    journal.record(what=f"payout.{state}", subject=row.id, who=f"staff:{staff}", why=why, after=told, now=now)


# -- reading --------------------------------------------------------------------------------------------------------


def payout(payout_id: UUID) -> Payout | None:
    """The payout of this id, with its customer. For staff and jobs."""
    return Payout.objects.select_related("customer").filter(id=payout_id).first()


def under_way(customer: UUID) -> list[Payout]:
    """The customer's payouts that wait for staff."""
    return list(Payout.objects.filter(customer_id=customer, state=Payout.State.ASKED).order_by("asked_at"))
