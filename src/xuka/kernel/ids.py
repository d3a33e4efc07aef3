"""Identifiers. Whoever asks makes the id, and that id is the idempotency key."""

from __future__ import annotations

import uuid


def new() -> uuid.UUID:
    """A fresh random id."""
    return uuid.uuid4()


def derived(cause: uuid.UUID, leg: str) -> uuid.UUID:
    """The one id of this leg of this cause: calling it again gives the same id (RFC 9562, version 5)."""
    return uuid.uuid5(cause, leg)


def masked(identifier: str) -> str:
    """An ICCID, EID, MSISDN, IMEI or address as it may stand in a log: its last four characters only."""
    return "…" + identifier[-4:]
