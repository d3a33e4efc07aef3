"""Where the money of an order came from and where it went, for pages and letters. Read, nothing is decided."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext

from xuka.interfaces.web import formats, methods
from xuka.kernel.money import Money
from xuka.ledger import queries as ledger
from xuka.payments import queries as payments
from xuka.renewals.models import Order
from xuka.renewals.rules import State


@dataclass(frozen=True, slots=True)
class Back:
    """Money that went back.

    Args:
        leg: "refund" for the whole of an order that was not delivered, "share:<ordinal>" for one of its periods,
            "refund:<n>" for what came in after that,
            "return:<n>" for what was not needed.
        to: "wallet", "card" or "payment" (any other way of paying).
        state: "done", "under_way", "failed" (a person sees to it) or "settled" (a person gave it back another way).
    """

    leg: str
    to: str
    minor: int
    state: str


@dataclass(frozen=True, slots=True)
class Trail:
    """What came from the wallet and by a payment, what went back, and what is still to go back; minor units.

    Args:
        method: the way of that payment, "card" or another; "" when there was none.
    """

    currency: str
    wallet_minor: int
    card_minor: int
    method: str
    back: tuple[Back, ...]
    to_come_minor: int

    @property
    def paid_minor(self) -> int:
        return self.wallet_minor + self.card_minor

    @property
    def is_moving(self) -> bool:
        """Whether something is still on its way back."""
        return self.to_come_minor > 0 or any(one.state == "under_way" for one in self.back)


_STATES = {"starting": "under_way", "pending": "under_way"}
_KEEPS_NOTHING = {State.REFUNDING, State.REFUNDED, State.EXPIRED, State.CANCELLED}


def of(order: Order) -> Trail:
    """The trail of this order's money, in one query, or three when a provider was asked."""
    moved = ledger.transfers_of(order.id)
    came = sum(one.amount for one in moved if one.leg == "charge")
    back = [Back(one.leg, "wallet", one.amount, "done") for one in moved if one.credit.kind == "wallet"]
    card, method = 0, ""
    if order.has_payments:
        paid = payments.paid_with(order.id)
        card, method = sum(minor for _, minor in paid), paid[-1][0] if paid else ""
        for one in payments.refunds_about(order.id):
            if one.leg != "mismatch":
                to = "card" if one.payment.method == "card" else "payment"
                back.append(Back(one.leg, to, one.amount_minor, _STATES.get(one.state) or one.state))
    keeps = 0 if order.state in _KEEPS_NOTHING else order.total_minor - order.given_back_minor
    to_come = came + card - keeps - sum(one.minor for one in back)
    return Trail(order.currency, came, card, method, tuple(back), max(0, to_come))


def how_paid(trail: Trail) -> str:
    """ "€12.90 by card", "€12.90 with Alipay"."""
    wallet, card = (formats.money(Money(minor, trail.currency)) for minor in (trail.wallet_minor, trail.card_minor))
    if trail.card_minor and trail.method != "card":
        told = {"wallet": wallet, "amount": card, "name": methods.name(trail.method)}
        if trail.wallet_minor:
            return gettext("%(wallet)s from your wallet, %(amount)s with %(name)s") % told
        return gettext("%(amount)s with %(name)s") % told
    if trail.wallet_minor and trail.card_minor:
        return gettext("%(wallet)s from your wallet, %(card)s by card") % {"wallet": wallet, "card": card}
    if trail.card_minor:
        return gettext("%(amount)s by card") % {"amount": card}
    return gettext("%(amount)s from your wallet") % {"amount": wallet}


def sentences(trail: Trail) -> list[str]:
    """What became of everything that went back or is to go back, a sentence each; wallet before card."""
    sums: dict[tuple[str, str], int] = {}
    for one in sorted(trail.back, key=lambda one: (one.to != "wallet", one.state)):
        sums[one.to, one.state] = sums.get((one.to, one.state), 0) + one.minor
    told = [_sentence(to, state, Money(minor, trail.currency)) for (to, state), minor in sums.items()]
    if trail.to_come_minor:
        told.append(_sentence("", "to_come", Money(trail.to_come_minor, trail.currency)))
    return told


def _sentence(to: str, state: str, money: Money) -> str:
    match to, state:
        case "wallet", _:
            says = gettext("%(amount)s is back in your wallet.")
        case "card", "done":
            says = gettext(
                "%(amount)s was sent back to your card. Banks usually show it after 5 to 10 business days, sometimes "
                "by striking out the payment."
            )
        case "card", "under_way":
            says = gettext(
                "%(amount)s is on its way back to your card. Banks usually show it after 5 to 10 business days."
            )
        case "payment", "done":
            says = gettext("%(amount)s was sent back the way you paid it. It can take a few days until you see it.")
        case "payment", "under_way":
            says = gettext("%(amount)s is on its way back, the way you paid it. That can take a few days.")
        case "payment", "failed":
            says = gettext(
                "%(amount)s could not be sent back the way you paid it. The money is not lost: a person sees to it and "
                "writes to you."
            )
        case "card", "failed":
            says = gettext(
                "%(amount)s could not be sent back to your card. The money is not lost: a person sees to it and "
                "writes to you."
            )
        case (("card" | "payment"), _):
            says = gettext("%(amount)s was given back to you in another way, as agreed with you.")
        case _:
            says = gettext("%(amount)s goes back to where it came from by itself; that takes a moment.")
    return says % {"amount": formats.money(money)}
