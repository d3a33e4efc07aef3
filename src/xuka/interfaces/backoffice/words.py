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
    # withdrawals and payouts
    "confirmed": "info",
    "accepted": "success",
    "asked": "warning",
    "declined": "",
    # settlement reports and what differs in them
    "waiting": "warning",
    "by_file": "warning",
    "read": "success",
    "differs": "warning",
    "resolved": "success",
    # deliveries of usage records
    "reading": "info",
    "seen_before": "",
    "unreadable": "danger",
    # messages
    "queued": "",
    "sending": "info",
    "sent": "success",
    "failed": "danger",
}


# Transfers of one transaction carry one moment; told in the order in which money moves.
_LEGS = ("captured", "charge", "revenue", "tax", "refund", "share", "return", "asked", "confirmed", "failed")


def rank(leg: str) -> int:
    """Where a transfer stands among those of the same moment."""
    name = leg.split(":")[0]
    return _LEGS.index(name) if name in _LEGS else len(_LEGS)


# Why a settlement report and the books probably differ, and what to do about it.
SETTLEMENT_CAUSES = {
    "not_settled": "The provider told us that this money moved, and no report of these days knows of it.",
    "not_heard": "A payment of this shop that was paid there; we never heard of it.",
    "not_ours": "Made outside of this shop, in the same account at the provider.",
    "other_books": "It bears a key as this shop makes them, and is not in these books: of another shop of yours?",
    "other_movement": "Neither a payment nor a refund: a reserve, an exchange, a correction by the provider.",
    "moved_otherwise": "It was changed at the provider after it was booked here.",
    "asked_twice": "The same money moved twice there.",
    "contested": "The customer's bank took the money back.",
    "given_back_there": "Somebody gave it back on the provider's own pages.",
    "thought_failed": "It counts as failed here, and went to the customer all the same.",
    "sent_back": "The customer's bank sent it back after it had gone.",
}
SETTLEMENT_ACTIONS = {
    "ask_provider": "Look for it on the provider's own pages; when it is not there, ask them where the money is.",
    "look_again": "Nothing: the shop looks at it by itself, and the next reading closes this.",
    "find_origin": "Look on the provider's own pages who made it, and book it where it belongs.",
    "compare": "Compare it with the provider's own page of it, and put right with the customer what is too much.",
    "give_one_back": "Give one of them back on the provider's own pages.",
    "answer_dispute": "Answer the dispute on the provider's own pages.",
    "take_into_account": "Do not give it back a second time; put the order right by hand.",
    "do_not_repeat": "Do not pay it another way. If that was done already, ask the customer.",
}


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
    "paid_by_hand": "What you paid back another way: refunds that failed, vouchers, credit of customers who left.",
    "payout": "The credit of a customer who leaves, until it is paid out.",
    "carrier_payable": "What is owed to a carrier for a renewal that earned nothing. Below zero by that much.",
    "carrier_loss": "What such renewals cost you.",
    "voucher_liability": "What you owe for vouchers that were sold and not used yet.",
    "voucher_clearing": (
        "What you took for vouchers outside of this shop, less what you give back for revoked ones. Below zero by that "
        "much."
    ),
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
            "What was paid for it goes back to where it came from: by the payment, or into the wallet. The carrier is "
            "watched for 30 more days: if it turns out that the card was renewed, that is booked as the seller's loss "
            "and nobody is charged again.",
            "The money goes back; the carrier is watched for 30 days.",
        ),
        Exit(
            "close",
            "It was not done: close",
            "You have seen at the carrier that nothing was done. What was paid for it goes back to where it came from, "
            "the carrier is not looked at any more, and an order of which nothing else is left is cancelled.",
            "Closed: the money goes back.",
        ),
    )
}

_CANNOT_DECIDE = {
    "no_reason": "Say why: the reason is kept in the journal.",
    "no_reference": "Give the reference under which the carrier did it.",
    "not_waiting": "This order does not need a person any more. Nothing was changed.",
    "which": "Several periods of this order need a person: choose one on the order's page. Nothing was changed.",
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


MAKE_VOUCHERS = (
    "The codes are made now and come as a file (CSV) for the printer, this once: only a keyed hash of each is kept, "
    "and nobody can show them again. None can be redeemed before the batch is declared sold. If the file was lost, "
    "revoke the batch and make another."
)

VOUCHER_EXITS = {
    exit.name: exit
    for exit in (
        Exit(
            "sell",
            "Declare it sold",
            "From now on these vouchers can be redeemed, and their whole value is owed: it is booked as taken by you "
            "outside of this shop. Name who paid: they have the money back when an unused voucher is revoked.",
            "Sold: its vouchers can be redeemed.",
        ),
        Exit(
            "revoke",
            "Revoke what is unused",
            "No unused voucher of this batch can be redeemed any more, for good. What is owed for them goes back to "
            "you: refund it to whom they were sold to. Those that were redeemed stay as they are.",
            "Revoked: refund what was paid for the unused ones.",
        ),
    )
}

REVOKE_VOUCHER = Exit(
    "revoke",
    "Revoke this voucher",
    "It cannot be redeemed any more, for good. What is owed for it goes back to you: refund it to whom it was sold to.",
    "Revoked: refund what was paid for it.",
)


_NO_FEE = {
    "law": (
        "Belgian law forbids a fee on a way of paying: PSD2, Directive (EU) 2015/2366, art. 62(4). Nothing was changed."
    ),
    "no_permission": "Name the law, contract or scheme rule that allows this fee. Nothing was changed.",
}


def no_fee(code: str) -> str:
    """Why this fee may not be asked, as a sentence."""
    return _NO_FEE[code]


GIVE_PERIOD_BACK = (
    "The period is voided, what is queued behind it moves up, and its whole price goes back the way it was paid. A "
    "carrier that can take it back is asked to; where it cannot, what it was paid is your loss. Look there."
)


def cannot_give_back(code: str) -> str:
    """Why a period cannot be given back."""
    match code:
        case "begun":
            return "This period has begun. Only its customer can end it, by withdrawing within the days of the law."
        case "given_back":
            return "This period was given back before, or lapsed. Nothing was changed."
        case "not_active":
            return "This order is not delivered. Cancel or refund it instead."
        case "no_reason":
            return "Give a reason."
        case _:
            return "There is no such period. Nothing was changed."


def cannot_pay_out(code: str) -> str:
    """Why credit is not paid out."""
    match code:
        case "no_reference":
            return "Not all of it can go back to cards: transfer the rest, and give the reference of the transfer."
        case "no_reason":
            return "Give a reason."
        case _:
            return "This was settled before. Nothing was changed."
