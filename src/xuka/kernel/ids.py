"""Identifiers. Whoever asks makes the id, and that id is the idempotency key."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable


def new() -> uuid.UUID:
    """A fresh random id."""
    return uuid.uuid4()


def derived(cause: uuid.UUID, leg: str) -> uuid.UUID:
    """The one id of this leg of this cause: calling it again gives the same id (RFC 9562, version 5)."""
    # As ``uuid.uuid5``, in two thirds of its time: asked by the thousand.
    digest = hashlib.sha1(cause.bytes + leg.encode(), usedforsecurity=False).digest()
    return uuid.UUID(bytes=digest[:16], version=5)


def listed(ids: Iterable[uuid.UUID]) -> str:
    """These ids as PostgreSQL reads an array: a thousand go to it as one text, not as a thousand values."""
    return f"{{{','.join([id.hex for id in ids])}}}"


def masked(identifier: str) -> str:
    """An ICCID, EID, MSISDN, IMEI or address as it may stand in a log: its last four characters only."""
    return "…" + identifier[-4:]
