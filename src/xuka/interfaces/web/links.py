"""The signed links of a reminder: one to read without a password, one to hear no more. Made by the thousand, so short.

Neither holds anything personal, and neither opens an account.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

from django.conf import settings
from django.utils.crypto import constant_time_compare

from xuka.accounts.rules import GROUPS, Group
from xuka.lines import queries as lines
from xuka.lines.queries import Line

# How long a link can be read, in days.
LASTS = 30
# How long a code for a chat is good.
PAIRS_WITHIN = timedelta(minutes=15)
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
# 22 characters of base64 are 132 bits: nobody guesses them, and a text message has room for little more.
_SIGNED_BY = 22


@cache
def _key(secret: str, salt: str) -> bytes:
    return hashlib.sha256(f"xuka.links.{salt}signer{secret}".encode()).digest()


def _sign(what: str, salt: str) -> str:
    """What Django's ``Signer`` would sign it with, as far as it is needed; its key is made once."""
    signed = hmac.digest(_key(settings.SECRET_KEY, salt), what.encode(), "sha256")
    return base64.urlsafe_b64encode(signed)[:_SIGNED_BY].decode()


def reading(*, line_id: UUID, owner: UUID, now: datetime) -> str:
    """The address at which this card can be read for 30 days, while this customer owns it."""
    text = _text(line_id.bytes + (now - _EPOCH).days.to_bytes(2, "big"))
    return f"{settings.SITE_URL}/r/{text}{_sign(f'{text}:{owner.hex}', 'read')}/"


def line_read(token: str, *, now: datetime) -> Line | None:
    """The card that a reading link shows; None for one that is wrong, too old, or of a card that changed hands."""
    text, signature = token[:-_SIGNED_BY], token[-_SIGNED_BY:]
    told = _bytes(text)
    if len(told) != 18:
        return None
    made_at = _EPOCH + timedelta(days=int.from_bytes(told[16:], "big"))
    line = lines.line(UUID(bytes=told[:16]))
    if line is None or line.owner_id is None or not timedelta() <= now - made_at < timedelta(days=LASTS + 1):
        return None
    right = _sign(f"{text}:{line.owner_id.hex}", "read")
    return line if constant_time_compare(signature, right) else None


def unsubscribe(*, customer: UUID, groups: frozenset[Group]) -> str:
    """The address at which this customer hears no more of these groups; it does not end."""
    text = _text(customer.bytes + _mask(groups))
    return f"{settings.SITE_URL}/u/{text}{_sign(text, 'unsubscribe')}/"


@cache
def _mask(groups: frozenset[Group]) -> bytes:
    return bytes([sum(1 << place for place, group in enumerate(GROUPS) if group in groups)])


def unsubscribed(token: str) -> tuple[UUID, frozenset[Group]] | None:
    """Who wants to hear no more of what; None for a link that is wrong."""
    text, signature = token[:-_SIGNED_BY], token[-_SIGNED_BY:]
    told = _bytes(text)
    if len(told) != 17 or not constant_time_compare(signature, _sign(text, "unsubscribe")):
        return None
    groups: frozenset[Group] = frozenset(group for place, group in enumerate(GROUPS) if told[16] >> place & 1)
    return UUID(bytes=told[:16]), groups


# -- a chat that shall become a way to be reached ------------------------------------------------------------------


def pairing(*, customer: UUID, now: datetime) -> str:
    """A code that the customer sends from a chat, good for ``PAIRS_WITHIN``; 49 characters, Telegram takes 64."""
    text = _text(customer.bytes + int((now - _EPOCH).total_seconds()).to_bytes(4, "big"))
    return text + _sign(text, "pair")


def paired(code: str, *, now: datetime) -> tuple[UUID, datetime] | None:
    """Whose code this is and when it was made; None for one that is wrong or too old."""
    text, signature = code[:-_SIGNED_BY], code[-_SIGNED_BY:]
    told = _bytes(text)
    if len(told) != 20 or not constant_time_compare(signature, _sign(text, "pair")):
        return None
    made_at = _EPOCH + timedelta(seconds=int.from_bytes(told[16:], "big"))
    return (UUID(bytes=told[:16]), made_at) if timedelta() <= now - made_at < PAIRS_WITHIN else None


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
