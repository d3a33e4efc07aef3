"""Voucher cards: made by staff, sold outside, redeemed once into a wallet. Everything that writes them.

What is sold and not redeemed is owed: it lies in the account ``voucher_liability``. Rows are locked before ledger
accounts, a batch before its vouchers.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger
from xuka.ledger.rules import Leg
from xuka.payments import rules
from xuka.payments.models import Voucher, VoucherBatch

LIABILITY = "voucher_liability"
CLEARING = "voucher_clearing"


class CannotRedeem(Exception):
    """The code was refused and nothing was changed; ``code`` says why.

    "mistyped": no code at all. "not_valid": nobody's, or used by somebody else. "already_used": by the same customer,
    ``at`` tells when. "expired": ``at`` tells until when it could be. "revoked", "not_sold". "currency": ``value`` is
    money that this customer cannot use.
    """

    def __init__(self, code: str, *, at: datetime | None = None, value: Money | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.at = at
        self.value = value


class DifferentBatch(Exception):
    """A batch of this id exists with other terms; nothing was made."""


class CannotSell(Exception):
    """This batch cannot be declared sold: it was revoked. Nothing was changed."""


class CannotRevoke(Exception):
    """This voucher was redeemed: its money is the customer's. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Printed:
    """What goes on a card. ``code`` is told here once and kept nowhere."""

    serial: str
    code: str

    def __repr__(self) -> str:
        return f"Printed({self.serial!r})"


@sensitive_variables()
@transaction.atomic
def make(
    *, id: UUID, value: Money, number: int, redeem_by: datetime, staff: UUID, why: str, now: datetime
) -> tuple[Printed, ...]:
    """Make a batch of vouchers, which cannot be redeemed until it is declared sold.

    Args:
        id: made with the form. The same again makes nothing.
        value: of each.
        number: 1 to 10,000.
        redeem_by: the last moment at which one can be redeemed, aware UTC.

    Returns:
        What to print, in the order of serials: the only time that the codes are told. Empty when the batch was made
        before.

    Raises:
        ValueError: a value of nothing, too many, a deadline that is over, or no reason.
        DifferentBatch: this id was used for other terms.
    """
    if value.minor <= 0 or not 1 <= number <= rules.VOUCHERS_AT_MOST or redeem_by <= now or not why.strip():
        raise ValueError("A batch needs a value, 1 to 10,000 vouchers, a deadline to come and a reason.")
    terms = {
        "value_minor": value.minor,
        "currency": value.currency,
        "number": number,
        "redeem_by": redeem_by,
    }
    rest = {"liability_id": ledger.house(LIABILITY, value.currency), "made_by": staff, "made_at": now}
    batch, is_new = VoucherBatch.objects.get_or_create(id=id, defaults=terms | rest)
    if any(getattr(batch, name) != wanted for name, wanted in terms.items()):
        raise DifferentBatch("A batch of this id exists with other terms.")
    if not is_new:
        return ()
    printed = tuple(_printed(batch, ordinal) for ordinal in range(1, number + 1))
    key = _keys()[0]
    Voucher.objects.bulk_create(
        [
            Voucher(
                id=ids.derived(id, one.serial),
                batch_id=id,
                serial=one.serial,
                code_hash=rules.code_hash(rules.code_of(one.code), key),
            )
            for one in printed
        ],
        batch_size=2_000,
    )
    told = {"value_minor": value.minor, "currency": value.currency, "number": number}
    told["redeem_by_at"] = redeem_by.isoformat()
    journal.record(what="voucher.made", subject=id, who=f"staff:{staff}", why=why.strip(), after=told, now=now)
    return printed


def _printed(batch: VoucherBatch, ordinal: int) -> Printed:
    serial = f"{batch.id.hex[:8].upper()}-{ordinal:05}"
    return Printed(serial, rules.grouped(rules.new_code(secrets.choice)))


def _keys() -> list[bytes]:
    """The keys that codes are hashed with, the newest first: of the secret key, and of those it replaced."""
    known = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [bytes.fromhex(rules.code_hash("xuka.vouchers", secret.encode())) for secret in known]


@transaction.atomic
def sell(*, batch_id: UUID, to: str, staff: UUID, why: str, now: datetime) -> None:
    """Declare a batch sold: from now on its vouchers are owed, and can be redeemed. Again: changes nothing.

    Those revoked before are not sold and not owed.

    Raises:
        CannotSell: the batch was revoked.
        ValueError: nobody it was sold to, or no reason.
    """
    if not to.strip() or not why.strip():
        raise ValueError("A sale needs a buyer and a reason.")
    batch = VoucherBatch.objects.select_for_update().get(id=batch_id)
    if batch.revoked_at is not None:
        raise CannotSell("This batch was revoked.")
    if batch.sold_at is not None:
        return
    batch.sold_at, batch.sold_to = now, to.strip()[:200]
    batch.save(update_fields=["sold_at", "sold_to"])
    number = Voucher.objects.filter(batch=batch, revoked_at__isnull=True).count()
    if number:
        taken, minor = ledger.house(CLEARING, batch.currency), number * batch.value_minor
        ledger.post(Leg(batch.id, "voucher_sold", taken, batch.liability_id, batch.currency, minor), now=now)
    told = {"amount_minor": number * batch.value_minor, "currency": batch.currency, "number": number}
    journal.record(what="voucher.sold", subject=batch.id, who=f"staff:{staff}", why=why.strip(), after=told, now=now)


@sensitive_variables("typed")
def redeem(*, typed: str, customer: UUID, currencies: Collection[str], now: datetime) -> Voucher:
    """Put a voucher's value into the customer's wallet, once, whoever else tries at the same moment.

    A code is found by its keyed hash: how long a wrong one takes tells nothing about right ones.

    Args:
        typed: the code as it was typed.
        currencies: those that this customer can use.

    Returns:
        The voucher, redeemed, with its batch.

    Raises:
        CannotRedeem: with ``code``; the voucher, if there is one, is as it was.
    """
    try:
        code = rules.code_of(typed)
    except rules.MistypedCode:
        raise CannotRedeem("mistyped") from None
    return _redeem([rules.code_hash(code, key) for key in _keys()], customer, currencies, now)


@transaction.atomic
def _redeem(hashes: list[str], customer: UUID, currencies: Collection[str], now: datetime) -> Voucher:
    found = Voucher.objects.select_for_update(of=("self",)).select_related("batch").filter(code_hash__in=hashes)
    voucher = found.first()
    if voucher is None:
        raise CannotRedeem("not_valid")
    _require_open(voucher, customer, currencies, now)
    batch = voucher.batch
    leg = Leg(
        cause=voucher.id,
        leg="voucher_redeemed",
        debit=batch.liability_id,
        credit=ledger.wallet(customer=customer, currency=batch.currency),
        unit=batch.currency,
        amount=batch.value_minor,
    )
    ledger.post(leg, now=now)
    voucher.redeemed_at, voucher.redeemed_by_id, voucher.transfer_id = now, customer, leg.id
    voucher.save(update_fields=["redeemed_at", "redeemed_by", "transfer_id"])
    told = {"amount_minor": batch.value_minor, "currency": batch.currency}
    who, named = f"customer:{customer}", {"serial": voucher.serial}
    journal.record(what="voucher.redeemed", subject=batch.id, who=who, after=named | told, now=now)
    why = f"voucher {voucher.serial}"
    journal.record(what="wallet.credited", subject=customer, who=who, why=why, after=told, now=now)
    return voucher


def _require_open(voucher: Voucher, customer: UUID, currencies: Collection[str], now: datetime) -> None:
    batch = voucher.batch
    if voucher.redeemed_at is not None:
        if voucher.redeemed_by_id != customer:
            raise CannotRedeem("not_valid")
        raise CannotRedeem("already_used", at=voucher.redeemed_at)
    if voucher.revoked_at is not None:
        raise CannotRedeem("revoked")
    if batch.sold_at is None:
        raise CannotRedeem("not_sold")
    if now > batch.redeem_by:
        raise CannotRedeem("expired", at=batch.redeem_by)
    if batch.currency not in currencies:
        raise CannotRedeem("currency", value=Money(batch.value_minor, batch.currency))


@transaction.atomic
def revoke(*, voucher_id: UUID, staff: UUID, why: str, now: datetime) -> None:
    """Take one unused voucher out of use; what is owed for it goes back to the seller, to be refunded.

    Calling it again changes nothing.

    Raises:
        CannotRevoke: it was redeemed.
        ValueError: no reason.
    """
    if not why.strip():
        raise ValueError("A voucher is revoked with a reason.")
    batch = VoucherBatch.objects.select_for_update().get(vouchers__id=voucher_id)
    voucher = Voucher.objects.select_for_update().get(id=voucher_id)
    if voucher.redeemed_at is not None:
        raise CannotRevoke("This voucher was redeemed.")
    if voucher.revoked_at is not None:
        return
    voucher.revoked_at = now
    voucher.save(update_fields=["revoked_at"])
    _owe_no_more(batch, "voucher_revoked", cause=voucher.id, number=1, now=now)
    told = {"serial": voucher.serial} | _given_back(batch, 1)
    journal.record(what="voucher.revoked", subject=batch.id, who=f"staff:{staff}", why=why.strip(), after=told, now=now)


class CannotRefund(Exception):
    """This voucher is not refunded; ``code`` says why: "redeemed", "revoked" or "not_sold". Nothing was changed."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@transaction.atomic
def refund(*, voucher_id: UUID, reference: str, staff: UUID, why: str, now: datetime) -> None:
    """Pay the value of one sold and unused voucher back to who has it; from now on it cannot be redeemed.

    It is booked as paid by hand, under its reference, also when its days to be redeemed are over. Again under the same
    reference: changes nothing.

    Args:
        reference: of the payment: a bank transfer, the till's slip.

    Raises:
        CannotRefund: with its code.
        ValueError: no reason, or no reference.
    """
    if not why.strip() or not reference.strip():
        raise ValueError("A voucher is refunded with a reason and the reference of the payment.")
    batch = VoucherBatch.objects.select_for_update().get(vouchers__id=voucher_id)
    voucher = Voucher.objects.select_for_update().get(id=voucher_id)
    if voucher.refund_reference == reference.strip():
        return
    if voucher.redeemed_at is not None or voucher.revoked_at is not None:
        raise CannotRefund("redeemed" if voucher.redeemed_at else "revoked")
    if batch.sold_at is None:
        raise CannotRefund("not_sold")
    voucher.revoked_at, voucher.refund_reference = now, reference.strip()
    voucher.save(update_fields=["revoked_at", "refund_reference"])
    paid = ledger.house("paid_by_hand", batch.currency)
    leg = Leg(voucher.id, "voucher_refunded", batch.liability_id, paid, batch.currency, batch.value_minor)
    ledger.post(leg, now=now)
    told = {"serial": voucher.serial, "reference": reference.strip()} | _given_back(batch, 1)
    who = f"staff:{staff}"
    journal.record(what="voucher.refunded", subject=batch.id, who=who, why=why.strip(), after=told, now=now)


@transaction.atomic
def revoke_batch(*, batch_id: UUID, staff: UUID, why: str, now: datetime) -> int:
    """Take every unused voucher of a batch out of use; what is owed for them goes back to the seller.

    Returns:
        How many were revoked; 0 when the batch had been revoked before, which changes nothing.

    Raises:
        ValueError: no reason.
    """
    if not why.strip():
        raise ValueError("A batch is revoked with a reason.")
    batch = VoucherBatch.objects.select_for_update().get(id=batch_id)
    if batch.revoked_at is not None:
        return 0
    batch.revoked_at, batch.revoked_why = now, why.strip()
    batch.save(update_fields=["revoked_at", "revoked_why"])
    # One statement that waits for whoever redeems one of them, and leaves that one alone.
    unused = Voucher.objects.filter(batch=batch, redeemed_at__isnull=True, revoked_at__isnull=True)
    number = unused.update(revoked_at=now)
    _owe_no_more(batch, "vouchers_revoked", cause=batch.id, number=number, now=now)
    told = {"number": number} | _given_back(batch, number)
    journal.record(what="voucher.revoked", subject=batch.id, who=f"staff:{staff}", why=why.strip(), after=told, now=now)
    return number


def _owe_no_more(batch: VoucherBatch, leg: str, *, cause: UUID, number: int, now: datetime) -> None:
    if batch.sold_at is not None and number:
        taken, minor = ledger.house(CLEARING, batch.currency), number * batch.value_minor
        ledger.post(Leg(cause, leg, batch.liability_id, taken, batch.currency, minor), now=now)


def _given_back(batch: VoucherBatch, number: int) -> dict[str, object]:
    return {"amount_minor": number * batch.value_minor if batch.sold_at else 0, "currency": batch.currency}
