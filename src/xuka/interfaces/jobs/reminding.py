"""Reminders: who follows from which fact, and the words handed in. Each parses, makes one call, and is done."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.conf import settings

from xuka.accounts import operations as accounts
from xuka.activation import operations as activation
from xuka.interfaces.jobs import reminder_words
from xuka.kernel import ids
from xuka.kernel.outcome import Outcome, Refused
from xuka.lines import queries as lines
from xuka.messaging import operations as messaging
from xuka.messaging import queries as messaging_queries
from xuka.messaging.contract import Letter
from xuka.metering import windows
from xuka.reminders import operations as reminders
from xuka.renewals import queries as renewals

log = logging.getLogger(__name__)

# How many are told in one transaction, and how many transactions in one sweep.
AT_ONCE, ROUNDS = 2_000, 20
# Why a channel refuses for good: nobody is there any more.
GONE = "gone"


def tell(*, now: datetime) -> int:
    """Everything that is due is put into words and into the outbox; returns how many were taken."""
    messaging.drop_stale(now=now)
    told = 0
    for _ in range(ROUNDS):
        taken = reminders.tell_due(now=now, compose=_in_words, limit=AT_ONCE)
        told += taken
        if not taken:
            break
    return told


def _in_words(letters: Sequence[reminders.Letter], now: datetime) -> list[reminders.Written | None]:
    """All in words; where that fails, each by itself, so that a letter without words keeps no other waiting."""
    try:
        return list(reminder_words.compose(letters, now))
    except Exception:
        log.exception("reminders could not be put into words, one by one now")
        return [_one_in_words(letter, now) for letter in letters]


def _one_in_words(letter: reminders.Letter, now: datetime) -> reminders.Written | None:
    try:
        return reminder_words.compose([letter], now)[0]
    except Exception:
        log.exception("a reminder (%s) has no words; it is tried again", letter.items[0].kind)
        return None


def ask_to_review(*, line_id: UUID, now: datetime) -> None:
    """Ask the seller to look at a card that has used more than its plan lets pass without a look. Once a period."""
    line = lines.line(line_id)
    for mark in windows.crossed([line_id], since=now):
        if mark.name != "review" or line is None:
            continue
        card = ids.masked(line.iccid)
        messaging.queue(
            cause=ids.derived(mark.period, "review"),
            kind="staff_review",
            to=settings.SELLER_MAIL,
            language="en",
            subject=f"Card {card}: look at its use",
            text=f"Card {card} has used as much data in this period as its plan lets pass without a look. Nothing was "
            "slowed for it. Look at its use, and write to the customer where that is not fair.\n",
            now=now,
        )


def plan(*, line_id: UUID, now: datetime) -> None:
    """What is booked on this card has changed, or its carrier's end: so have its reminders. Again: changes nothing."""
    reminders.plan(line_ids=[line_id], now=now)


def plan_missing(*, now: datetime) -> int:
    """Cards with an end ahead and nothing planned get their reminders; returns how many are new. Again: none."""
    return reminders.plan_missing(now=now)


def plan_after_order(*, order_id: UUID, now: datetime) -> None:
    """An order is active: its card's reminders follow. Again: changes nothing."""
    order = renewals.order(order_id)
    if order is not None and order.line_id is not None:
        plan(line_id=order.line_id, now=now)


def plan_of_customer(*, customer: UUID, now: datetime) -> None:
    """The customer chose anew when to be left alone: what is planned moves. Again: changes nothing."""
    reminders.plan(line_ids=[line.id for line in lines.lines_of(customer)], now=now)


def hear(*, line_id: UUID, now: datetime) -> None:
    """This card passed a mark of its use. Again: changes nothing."""
    reminders.hear(line_ids=[line_id], now=now)


def put_back(*, letter: UUID, now: datetime) -> None:
    """A letter was dropped before it was sent: the truth takes its place. A letter of another sort is left alone."""
    reminders.put_back(letter=letter, now=now)


def note_failed(*, message_id: UUID, now: datetime) -> None:
    """A message failed because nobody is there any more: nothing more goes there. Again: changes nothing."""
    message = messaging_queries.message(message_id)
    if message is not None and message.error.startswith(f"{GONE}:"):
        accounts.switch_off_contact(channel=message.channel, address=message.to, now=now)


class CardTexts:
    """A channel to the card itself: a text message that its carrier sends. The address is the ICCID."""

    name = "card"

    def send(self, letter: Letter) -> Outcome[str]:
        """As the contract of channels says; ``Refused`` for a card that is not ours, or whose carrier sends none."""
        (line, *_) = lines.lines_by_iccid([letter.to]) or [None]
        if line is None or line.carrier not in settings.CARRIERS:
            return Refused("bad_address", None, "no card of ours")
        carrier = activation.carrier(line.carrier)
        if not carrier.can_text:
            return Refused("not_supported", None, line.carrier)
        return carrier.text(key=str(letter.id), iccid=letter.to, words=letter.text)
