"""Reading what is known of usage."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from xuka.metering.models import Reading


def latest_reading(line_id: UUID) -> Reading | None:
    """What the carrier last told of this card; None when it never did."""
    return Reading.objects.filter(line_id=line_id, as_of__isnull=False).first()


def asked_since(moment: datetime) -> set[UUID]:
    """The cards whose carrier was asked after this moment, with or without an answer."""
    return set(Reading.objects.filter(asked_at__gt=moment).values_list("line_id", flat=True))
