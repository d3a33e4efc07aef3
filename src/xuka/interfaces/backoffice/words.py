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
_LEGS = ("charge", "revenue", "tax", "refund")


def rank(leg: str) -> int:
    """Where a transfer stands among those of the same moment."""
    return _LEGS.index(leg) if leg in _LEGS else len(_LEGS)


def plain(code: str) -> str:
    """A stored word as people read it: "needs_a_person" -> "needs a person"."""
    return code.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Exit:
    """A way out of NEEDS_A_PERSON: its button, and in two sentences what it will do."""

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
            "The whole amount goes back to the customer's wallet. The carrier is watched for 30 more days: if it "
            "turns out that the card was renewed, that is booked as the seller's loss and nobody is charged again.",
            "The money goes back; the carrier is watched for 30 days.",
        ),
        Exit(
            "close",
            "It was not done: close",
            "You have seen at the carrier that nothing was done. The order is cancelled, the money goes back to the "
            "customer's wallet, and the carrier is not looked at any more.",
            "Closed: the order is cancelled and the money goes back.",
        ),
    )
}

_CANNOT_DECIDE = {
    "no_reason": "Say why: the reason is kept in the journal.",
    "no_reference": "Give the reference under which the carrier did it.",
    "not_waiting": "This order does not need a person any more. Nothing was changed.",
    "being_asked": "The carrier is being asked at this moment. Nothing was changed: try again in a minute.",
}


def cannot_decide(code: str) -> str:
    """Why an exit cannot be taken, as a sentence."""
    return _CANNOT_DECIDE[code]
