"""Reading the use of many lines at once: the marks that were passed, and what is left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from xuka.kernel.span import Span
from xuka.metering import queries, rules
from xuka.metering.models import Crossing, Meter
from xuka.metering.rules import Usage


@dataclass(frozen=True, slots=True)
class Crossed:
    """A mark that a line passed in a window of one limit; see ``rules.Crossing``."""

    line_id: UUID
    period: UUID
    name: str
    number: int
    window: Span
    what: str
    noticed_at: datetime


def crossed(line_ids: Iterable[UUID], *, since: datetime) -> list[Crossed]:
    """Every mark that these lines passed in windows that end after ``since``, the first noticed first."""
    rows = Crossing.objects.filter(meter__line_id__in=list(line_ids), window_ends_at__gt=since)
    columns = ("meter__line_id", "period", "name", "number", "window_starts_at", "window_ends_at", "what", "noticed_at")
    return [
        Crossed(line_id, period, name, number, Span(starts_at, ends_at), what, noticed_at)
        for line_id, period, name, number, starts_at, ends_at, what, noticed_at in rows.order_by(
            "noticed_at", "id"
        ).values_list(*columns)
    ]


def usages_of(line_ids: Iterable[UUID], *, now: datetime) -> dict[UUID, Usage]:
    """What each of these lines has used and has left now, as ``queries.usage_of``.

    Those of which nobody ever told are left out.
    """
    meters = list(Meter.objects.select_related("source").filter(line_id__in=list(line_ids)))
    if not meters:
        return {}
    buckets = queries.buckets_of([meter.line_id for meter in meters], now)
    since = rules.since((bucket for of_line in buckets.values() for bucket in of_line), now)
    cells = queries.cells_of([meter.id for meter in meters], since)
    alone = {
        meter.line_id: rules.usage(buckets[meter.line_id], cells.get(meter.id, []), as_of=queries.as_of(meter), now=now)
        for meter in meters
    }
    return alone | queries.shared_usages({meter.line_id: meter for meter in meters}, now)
