"""The customer starts what waits before the end of what runs: what that would do, and doing it."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from xuka.activation import operations as activation
from xuka.catalogue import queries as catalogue
from xuka.catalogue.rules import Kind
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.queries import Entry, Line, Timeline
from xuka.lines.rules import CannotStart, next_up, pass_time
from xuka.metering import queries as metering
from xuka.renewals import starting_rules
from xuka.renewals.starting_rules import Start


class UnknownLine(Exception):
    """No such card, or someone else's."""


def what_starts(line: Line, now: datetime) -> tuple[Start, Timeline]:
    """What starting the next period of this card now would do, and what is booked. Changes nothing.

    Raises:
        CannotStart: its code says why: "nothing_waits", "not_its_turn", "not_by_hand" (the plan does not allow it) or
            "carrier" (the plan would, but the carrier alone begins what waits).
    """
    timeline = lines_queries.timeline(line, now)
    running = timeline.running
    # What waits is asked first, for why it cannot be started; the carrier counts only where the plan would allow it.
    start = starting_rules.start(
        track=timeline.booked, now=now, has=_has(running), left_bytes=_left(line, running, now)
    )
    if not activation.carrier(line.carrier).can_start_next:
        raise CannotStart("carrier")
    return start, timeline


def _has(running: Entry | None) -> list[Kind]:
    """What the plan that runs contains."""
    if running is None:
        return ["data"]
    quota = catalogue.policy(running.period.plan_version).quota
    found: list[Kind] = ["data"]
    if quota.voice:
        found.append("voice")
    if quota.sms:
        found.append("sms")
    return found


def _left(line: Line, running: Entry | None, now: datetime) -> int | None:
    """How much of the data of the whole period that runs is left, in bytes; None where that is not known."""
    usage = metering.usage_of(line, now=now)
    if running is None or usage.as_of is None or usage.window != running.span:
        return None
    return usage.left_bytes


class Waits(NamedTuple):
    """That something waits on a card, why it cannot be started now ("" where it can), and whether use can start it."""

    why_not: str
    when_used_up: bool


def waits(line: Line, entries: list[Entry], now: datetime) -> Waits | None:
    """What waits behind what runs on the main track of this card, asked of entries that are at hand; None: nothing."""
    main = [entry for entry in entries if entry.period.track == "main"]
    track = pass_time(tuple(lines_queries.booked(entry.period) for entry in main), now)
    first = next_up(track)
    if first is None:
        return None
    terms = next(p.renewal for p in track if p.id == first)
    if not terms.next_by_hand:
        return Waits("not_by_hand", terms.next_when_used_up)
    if any(p.span and p.span.starts_at >= now for p in track):
        return Waits("not_its_turn", terms.next_when_used_up)
    can = activation.carrier(line.carrier).can_start_next
    return Waits("" if can else "carrier", terms.next_when_used_up)


@transaction.atomic
def start_next(*, line_id: UUID, customer: UUID, starts: UUID, instead_of: UUID | None, now: datetime) -> None:
    """Start this period now, and end what runs: what is left of it is gone. Nothing is charged.

    Again, or from a second tab: changes nothing. The old spans stay in the journal.

    Args:
        starts: the period that the customer was shown to begin.
        instead_of: the period that was shown to end; None where nothing ran.

    Raises:
        UnknownLine: no such card of this customer.
        CannotStart: "changed" (another one would begin or end than was shown), "carrier", or a code of
            ``lines.rules.CannotStart``. Nothing was changed.
    """
    if lines_queries.line_of(customer, line_id) is None:
        raise UnknownLine
    line = lines.lock(line_id)
    track = pass_time(lines_queries.timeline(line, now).booked, now)
    there = next((period for period in track if period.id == starts), None)
    if there is not None and there.span is not None:
        return  # it has begun already
    if not activation.carrier(line.carrier).can_start_next:
        raise CannotStart("carrier")
    running = next((period.id for period in track if period.span and now in period.span), None)
    if running != instead_of:
        raise CannotStart("changed")
    if not lines.start_next_now(
        line_id=line_id, who=f"customer:{customer}", now=now, starts=starts, instead_of=instead_of
    ):
        raise CannotStart("changed")
