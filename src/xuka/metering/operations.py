"""Everything that writes what is known of usage."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from xuka.metering.models import Reading


def record_reading(
    *,
    line_id: UUID,
    unlimited: bool,
    remaining_bytes: int | None,
    total_bytes: int | None,
    expires_at: datetime | None,
    status: str,
    as_of: datetime,
    now: datetime,
) -> None:
    """Keep what the carrier told of a card, unless something newer is kept already. Again: changes nothing.

    An unlimited card has no volumes: a carrier's zero for it says nothing (Airalo) and is not kept.
    """
    if Reading.objects.filter(line_id=line_id, as_of__gt=as_of).exists():
        return
    Reading.objects.update_or_create(
        line_id=line_id,
        defaults={
            "unlimited": unlimited,
            "remaining_bytes": None if unlimited else remaining_bytes,
            "total_bytes": None if unlimited else total_bytes,
            "expires_at": expires_at,
            "status": status,
            "as_of": as_of,
            "asked_at": now,
        },
    )


def note_asked(*, line_id: UUID, now: datetime) -> None:
    """The carrier was asked and told nothing: keep what was known, and do not ask again too soon."""
    defaults = {"asked_at": now}
    Reading.objects.update_or_create(
        line_id=line_id, defaults=defaults, create_defaults={**defaults, "unlimited": False, "status": ""}
    )
