"""Ask the carrier what is left on a card, and hand the answer to those who keep it."""

from __future__ import annotations

from datetime import datetime

from xuka.activation import operations as activation
from xuka.kernel.outcome import Done
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.queries import Line
from xuka.metering import operations as metering


def read(line: Line, *, now: datetime) -> None:
    """Read one card's usage; an answer that does not come changes nothing but the time of asking."""
    outcome = activation.read_usage(carrier_name=line.carrier, iccid=line.iccid)
    if not isinstance(outcome, Done):
        metering.note_asked(line_id=line.id, now=now)
        return
    told = outcome.value
    running = lines_queries.timeline(line, now).running
    metering.record_reading(
        line_id=line.id,
        iccid=line.iccid,
        carrier=line.carrier,
        period=running.span if running else None,
        unlimited=told.unlimited,
        remaining_bytes=told.remaining_bytes,
        total_bytes=told.total_bytes,
        expires_at=told.expires_at,
        status=told.status,
        as_of=told.as_of,
        now=now,
    )
    if told.expires_at:
        lines.note_carrier_end(line_id=line.id, ends_at=told.expires_at, now=now)
