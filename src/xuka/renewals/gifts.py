"""A customer renews somebody else's card. The giver learns nothing of it, and a gift takes nothing from it.

The card is found by its whole number alone. What a gift's quote and order hold is what the plan would be on an empty
card: what is not stored cannot be told.
"""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

from django.db import transaction

from xuka.accounts.rules import InvalidPhone, phone_of
from xuka.lines import queries as lines_queries
from xuka.lines.queries import Line
from xuka.lines.rules import InvalidIccid, iccid_of
from xuka.renewals import operations as renewals
from xuka.renewals.models import Gift, Quote

MOST_WORDS = 120
MOST_NAME = 60
_LINK = re.compile(r"://|www\.|\bhttps?\b", re.IGNORECASE)


class InvalidNumber(ValueError):
    """The text is neither an ICCID nor a telephone number with its country."""


class OwnCard(Exception):
    """The card is the giver's own; ``line`` is it."""

    def __init__(self, line: Line) -> None:
        super().__init__("own")
        self.line = line


class CannotGive(Exception):
    """This card cannot be given this plan now. It never says why: that would tell what the card has."""


class InvalidWords(ValueError):
    """The name or the words cannot be sent; ``code``: "too_long" or "link"."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def card(*, number: str, giver: UUID) -> Line | None:
    """The card of this number, which somebody else owns; None where there is none: unknown, nobody's, or ambiguous.

    Args:
        number: a whole ICCID, or the card's telephone number with its country, in any usual spelling.

    Raises:
        InvalidNumber: it is neither.
        OwnCard: the giver owns it.
    """
    try:
        line = lines_queries.line_by_number(iccid=iccid_of(number))
    except InvalidIccid:
        try:
            line = lines_queries.line_by_number(msisdn=phone_of(number))
        except InvalidPhone as wrong:
            raise InvalidNumber("Neither an ICCID nor a telephone number.") from wrong
    if line is None or line.owner_id is None:
        return None
    if line.owner_id == giver:
        raise OwnCard(line)
    return line


def quote(
    *, number: str, plan_version_id: UUID, giver: UUID, now: datetime, giver_name: str = "", words: str = ""
) -> Quote:
    """Say what this plan costs as a gift for the card of this number, and promise it for 15 minutes.

    Args:
        giver_name, words: what the owner is told, if the giver wants that; one line each.

    Raises:
        InvalidNumber, OwnCard: as ``card``.
        InvalidWords: they are too long, or have a link in them.
        CannotGive: no such card, or not this plan, or not now, or it would take something from the card.
    """
    giver_name, words = " ".join(giver_name.split()), " ".join(words.split())
    if len(giver_name) > MOST_NAME or len(words) > MOST_WORDS:
        raise InvalidWords("too_long")
    if _LINK.search(f"{giver_name} {words}"):
        raise InvalidWords("link")
    line = card(number=number, giver=giver)
    if line is None:
        raise CannotGive
    try:
        made = renewals.quote(line_id=line.id, plan_version_id=plan_version_id, customer=giver, is_gift=True, now=now)
    except renewals.CannotRenew as error:
        raise CannotGive from error
    with transaction.atomic():
        digits = re.sub(r"\D", "", number)
        Gift.objects.create(quote=made, number_end=digits[-4:], giver_name=giver_name, words=words)
    return made


def gift_of(quote_id: UUID) -> Gift | None:
    """What belongs to a gift besides its quote; None when it is none."""
    return Gift.objects.filter(quote_id=quote_id).first()
