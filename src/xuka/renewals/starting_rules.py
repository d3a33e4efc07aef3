"""What it would do to start at once what waits. Pure; it follows the very step that a card then takes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from xuka.catalogue.rules import KINDS, Kind
from xuka.kernel.span import Span
from xuka.lines.rules import Booked, Track, lay_out, next_up, pass_time, start_next
from xuka.renewals.rules import lost_at_the_edges


@dataclass(frozen=True, slots=True)
class Start:
    """What starting what waits would do.

    Attributes:
        starts: the period that would begin, the oldest that waits.
        instead_of: the one that runs and would end; None where nothing runs.
        span: when the one that begins would run.
        kept, lost: facts in words of the catalogue of texts, as in a quote.
        after: the track as it would then be.
        until, until_now: the end of all that is booked, as it would be and as it is; aware UTC.
    """

    starts: UUID
    instead_of: UUID | None
    span: Span
    kept: tuple[dict[str, Any], ...]
    lost: tuple[dict[str, Any], ...]
    after: Track
    until: datetime
    until_now: datetime


def start(*, track: Track, now: datetime, has: Collection[Kind] = ("data",), left_bytes: int | None = None) -> Start:
    """What starting the next period by hand would do now.

    Args:
        has: what the period that runs contains.
        left_bytes: of its data; None where that is not known, or comes again tomorrow.

    Raises:
        CannotStart: as ``lines.rules.start_next``.
    """
    track = pass_time(track, now)
    after = {period.id: period for period in start_next(track, now, "by_hand")}
    starts = next_up(track)
    assert starts is not None, "else it could not be started"
    begun = after[starts]
    assert begun.span is not None, "it has begun"
    running = next((p for p in track if p.span and now in p.span), None)
    kept, lost = _fates(running, after[running.id], now, has, left_bytes) if running else ([], [])
    waits = sum(period.span is None for period in after.values())
    if waits:
        kept.append({"kind": "queued_behind", "count": waits})
    return Start(
        starts=starts,
        instead_of=running.id if running else None,
        span=begun.span,
        kept=({"kind": "number"}, *kept),
        lost=(*lost, *lost_at_the_edges(begun, begun.span, now, runs=False)),
        after=tuple(after.values()),
        until=lay_out(after.values(), now)[-1].span.ends_at,
        until_now=lay_out(track, now)[-1].span.ends_at,
    )


Facts = list[dict[str, Any]]


def _fates(
    was: Booked, then: Booked, now: datetime, has: Collection[Kind], left_bytes: int | None
) -> tuple[Facts, Facts]:
    """What becomes of the time that runs, and of what is in it."""
    assert was.span is not None, "it runs"
    kept: Facts = []
    lost: Facts = [{"kind": "time", "until": was.span.ends_at.isoformat()}]
    for kind in KINDS:
        before, after = was.bucket(kind), then.bucket(kind)
        if kind not in has or before is None or after is None or before.ends_at <= now:
            continue
        if after.ends_at > now:
            kept.append({"kind": f"{kind}_longer", "until": after.ends_at.isoformat()})
        else:
            lost.append({"kind": kind} | ({"left_bytes": left_bytes} if kind == "data" and left_bytes else {}))
    return kept, lost
