"""What staff read: states, exits, and why something cannot be done. English."""

from __future__ import annotations

from dataclasses import dataclass

# How a state looks in a list: unfold's label colours.
STATE_COLOURS = {
    "awaiting_funds": "",
    "funded": "info",
    "activating": "info",
    "active": "success",
    "refunding": "warning",
    "refunded": "warning",
    "expired": "",
    "cancelled": "",
    "needs_a_person": "danger",
    # payments
    "starting": "info",
    "open": "info",
    "processing": "info",
    "paid": "success",
    "closed": "",
    "mismatched": "danger",
    # refunds
    "pending": "info",
    "settled": "success",
    # webhook events
    "stored": "info",
    "digested": "success",
    "ignored": "",
    # attempts
    "intended": "info",
    "unknown": "warning",
    "absent": "",
    "done": "success",
    "refused": "warning",
    "abandoned": "warning",
    # messages
    "queued": "",
    "sending": "info",
    "sent": "success",
    "failed": "danger",
}


# Transfers of one transaction carry one moment; told in the order in which money moves.
_LEGS = ("captured", "charge", "revenue", "tax", "refund", "return", "asked", "confirmed", "failed")


def rank(leg: str) -> int:
    """Where a transfer stands among those of the same moment."""
    name = leg.split(":")[0]
    return _LEGS.index(name) if name in _LEGS else len(_LEGS)


# What lies in accounts of each kind.
ACCOUNT_KINDS = {
    "wallet": "A customer's money, to pay with.",
    "hold": "The money of one order, until it is earned or has gone back.",
    "revenue": "What was earned, without tax.",
    "tax": "The tax inside what was earned.",
    "staff_credit": "What staff put into wallets by hand. Its balance is below zero: it came from you.",
    "clearing": (
        "What payment providers took for you, less what they sent back. Below zero by what they owe you or have paid "
        "out to you."
    ),
    "suspense": (
        "Captured, but not what was asked: another amount or currency. It is credited to nobody until a person sends "
        "it back."
    ),
    "refunds_in_flight": "Asked back from a provider and not confirmed yet. It empties by itself.",
    "paid_by_hand": "Refunds that failed at the provider and that you paid back another way.",
    "carrier_payable": "What is owed to a carrier for a renewal that earned nothing. Below zero by that much.",
    "carrier_loss": "What such renewals cost you.",
}


def plain(code: str) -> str:
    """A stored word as people read it: "needs_a_person" -> "needs a person"."""
    return code.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Exit:
    """A way out of what waits for a person: its button, and in two sentences what it will do."""

    name: str
    button: str
    does: str
    done: str
    needs_reference: bool = False


EXITS = {
    exit.name: exit
    for exit in (
        Exit(
            "retry",
            "Ask the carrier again",
            "The carrier is asked once more to put the package on the card, with a new promise of ten minutes to the "
            "customer. If the first request was carried out after all the card may be renewed twice, at the seller's "
            "cost: look at the carrier's own pages first.",
            "The carrier is asked once more.",
        ),
        Exit(
            "adopt",
            "It was done: adopt",
            "You have seen at the carrier that the package is on the card, and give its reference. The period opens, "
            "the order's money is booked as earned, and the customer is told that the card is renewed.",
            "Adopted: the period opens and the customer is told.",
            needs_reference=True,
        ),
        Exit(
            "refund",
            "Refund",
            "The whole amount goes back to where it came from: by the payment, or into the wallet. The carrier is "
            "watched for 30 more days: if it turns out that the card was renewed, that is booked as the seller's loss "
            "and nobody is charged again.",
            "The money goes back; the carrier is watched for 30 days.",
        ),
        Exit(
            "close",
            "It was not done: close",
            "You have seen at the carrier that nothing was done. The order is cancelled, the money goes back to where "
            "it came from, and the carrier is not looked at any more.",
            "Closed: the order is cancelled and the money goes back.",
        ),
    )
}

_CANNOT_DECIDE = {
    "no_reason": "Say why: the reason is kept in the journal.",
    "no_reference": "Give the reference under which the carrier did it.",
    "not_waiting": "This order does not need a person any more. Nothing was changed.",
    "first_adopt": "A new eSIM cannot be taken over by hand: only the carrier can tell its profile. Nothing was "
    "changed; it goes on being looked for, and is delivered once the carrier shows it.",
    "being_asked": "The carrier is being asked at this moment. Nothing was changed: try again in a minute.",
}


def cannot_decide(code: str) -> str:
    """Why an exit cannot be taken, as a sentence."""
    return _CANNOT_DECIDE[code]


GIVE_BACK = Exit(
    "give_back",
    "Give it back",
    "Everything that was captured by this payment goes back to where it came from, in the currency in which it was "
    "captured. The order is not paid by it; the customer can pay anew.",
    "The money is on its way back.",
)

REFUND_EXITS = {
    exit.name: exit
    for exit in (
        Exit(
            "retry",
            "Ask the provider again",
            "The provider is asked anew to send the money back to where it came from. If the first try did arrive "
            "after all the customer has it twice, at your cost: look at the provider's own pages first.",
            "The provider is asked anew.",
        ),
        Exit(
            "to_wallet",
            "Into the wallet: the customer agreed",
            "The amount is credited to the customer's wallet here, at once and for good. Only when the customer agreed "
            "to it: they have a right to get it back the way they paid. Write when and how they agreed as the reason.",
            "The amount is in the customer's wallet.",
        ),
        Exit(
            "paid_elsewhere",
            "It was paid back another way",
            "You have sent the money back yourself, by bank transfer for example, and give its reference. The refund "
            "is settled here; nothing more is sent.",
            "Settled: it was paid back another way.",
            needs_reference=True,
        ),
    )
}

_CANNOT_DECIDE_MONEY = {
    "no_reason": _CANNOT_DECIDE["no_reason"],
    "no_reference": "Give the reference under which it was paid back.",
    "not_waiting": "This does not wait for a person any more. Nothing was changed.",
}


def cannot_decide_money(code: str) -> str:
    """Why nothing can be decided about a payment or a refund, as a sentence."""
    return _CANNOT_DECIDE_MONEY[code]


_NO_FEE = {
    "law": (
        "Belgian law forbids a fee on a way of paying: PSD2, Directive (EU) 2015/2366, art. 62(4). Nothing was changed."
    ),
    "no_permission": "Name the law, contract or scheme rule that allows this fee. Nothing was changed.",
}


def no_fee(code: str) -> str:
    """Why this fee may not be asked, as a sentence."""
    return _NO_FEE[code]
