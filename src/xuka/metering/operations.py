"""Everything that writes what carriers tell of a card when they are asked; see ``counting`` for usage records."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from xuka.kernel.span import Span
from xuka.metering import counting, queries
from xuka.metering.models import Reading
from xuka.metering.records import LONGEST, Record


@transaction.atomic
def record_reading(
    *,
    line_id: UUID,
    iccid: str,
    carrier: str,
    period: Span | None,
    unlimited: bool,
    remaining_bytes: int | None,
    total_bytes: int | None,
    expires_at: datetime | None,
    status: str,
    as_of: datetime,
    now: datetime,
) -> None:
    """Keep what the carrier told of a card, unless something newer is kept already. Again: changes nothing.

    An unlimited card has no volumes: a carrier's zero for it says nothing (Airalo) and is not kept. Where the volumes
    are told, what was used since the reading before is counted as a record of the source "carrier-<name>"; not where
    another source sends records of this card.

    Args:
        period: the line's running period; what the first reading of a package shows was used since it began.
    """
    before = Reading.objects.select_for_update().filter(line_id=line_id).first()
    if before and before.as_of and before.as_of > as_of:
        return
    reading = Reading(
        line_id=line_id,
        unlimited=unlimited,
        remaining_bytes=None if unlimited else remaining_bytes,
        total_bytes=None if unlimited else total_bytes,
        expires_at=expires_at,
        status=status,
        as_of=as_of,
        asked_at=now,
    )
    if reading.remaining_bytes is not None and reading.total_bytes is not None:
        _count(before, reading, iccid, queries.ASKED + carrier, period, now)
    reading.save(force_insert=before is None, force_update=before is not None)


def _count(before: Reading | None, reading: Reading, iccid: str, name: str, period: Span | None, now: datetime) -> None:
    """Count what was used between two readings. Its record is named after both, so that it is counted once."""
    used, known, since = _used(reading), 0, None
    if before and before.remaining_bytes is not None and _package(before) == _package(reading):
        known, since = _used(before), before.as_of
    meter = queries.meter_of(reading.line_id)
    if used <= known or (meter and meter.source and meter.source.name != name):
        return
    assert reading.as_of is not None, "a reading that was told has its time"
    since = since or max(period.starts_at if period else reading.as_of, reading.as_of - LONGEST + timedelta(minutes=1))
    id = f"{iccid}:{_package(reading)}:{known}-{used}"
    record = Record(id, iccid, min(since, reading.as_of), reading.as_of, down_bytes=used - known)
    counting.count(source=counting.source(name), records=[record], now=now, batch="asked")


def _used(reading: Reading) -> int:
    return max(0, (reading.total_bytes or 0) - (reading.remaining_bytes or 0))


def _package(reading: Reading) -> str:
    """What tells one package of a card from the next: its end and its size."""
    return f"{reading.expires_at.isoformat() if reading.expires_at else ''}:{reading.total_bytes}"


def note_asked(*, line_id: UUID, now: datetime) -> None:
    """The carrier was asked and told nothing: keep what was known, and do not ask again too soon."""
    defaults = {"asked_at": now}
    Reading.objects.update_or_create(
        line_id=line_id, defaults=defaults, create_defaults={**defaults, "unlimited": False, "status": ""}
    )
