"""Everything that writes to lines and periods."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Exists, OuterRef

from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.lines.models import Esim, Line, Period
from xuka.lines.queries import booked, span_of, timeline
from xuka.lines.rules import Placed, claim_code_hash, iccid_of, is_claim_code, lay_out, next_start, place

END_TOLERANCE = timedelta(hours=1)
# Compared against when there is no such card, so that a wrong ICCID takes as long as a wrong code.
_NO_CARD = "0" * 64


class CannotClaim(Exception):
    """No card is waiting for this ICCID and claim code. It never tells which of the two was wrong."""


@transaction.atomic
def add_to_stock(
    *, iccid: str, carrier: str, claim_code: str, plan_version: PlanVersion, who: str, now: datetime
) -> Line:
    """Add a card that a customer can claim. A card that is there already is left as it is and returned.

    Raises:
        InvalidIccid: the ICCID is not one.
    """
    iccid = iccid_of(iccid)
    there = Line.objects.filter(iccid=iccid).first()
    if there:
        return there
    market = plan_version.plan.market
    line = Line.objects.create(
        id=ids.new(),
        iccid=iccid,
        carrier=carrier,
        market=market,
        zone=market.zone,
        claim_code_hash=claim_code_hash(iccid=iccid, code=claim_code),
        plan_version=plan_version,
        created_at=now,
    )
    journal.record(what="line.added", subject=line.id, who=who, now=now)
    return line


@transaction.atomic(savepoint=False)
def issue(
    *,
    id: UUID,
    iccid: str,
    msisdn: str,
    plan_version: PlanVersion,
    owner: UUID,
    smdp_address: str,
    matching_id: str,
    confirmation_code: str,
    apple_url: str,
    apn: str,
    who: str,
    now: datetime,
) -> Line:
    """Add the card of a new eSIM that its owner has bought, with what a phone needs to install it.

    Its activation code is its claim code. The same id again changes nothing and returns the card of the first call.
    The ICCID is taken as the carrier tells it: it has been paid for.

    Args:
        msisdn, confirmation_code, apple_url, apn: "" where the carrier does not tell.
    """
    there = Line.objects.filter(id=id).first()
    if there:
        return there
    market = plan_version.plan.market
    line = Line.objects.create(
        id=id,
        iccid=iccid,
        msisdn=msisdn or None,
        carrier=plan_version.carrier,
        market=market,
        zone=market.zone,
        claim_code_hash=claim_code_hash(iccid=iccid, code=matching_id),
        owner_id=owner,
        plan_version=plan_version,
        created_at=now,
        claimed_at=now,
    )
    Esim.objects.create(
        line=line,
        smdp_address=smdp_address,
        matching_id=matching_id,
        confirmation_code=confirmation_code,
        apple_url=apple_url,
        apn=apn,
    )
    journal.record(what="line.issued", subject=line.id, who=who, after={"owner": str(owner)}, now=now)
    return line


@transaction.atomic
def claim(*, customer: UUID, iccid: str, code: str, now: datetime) -> Line:
    """Make an unclaimed card the customer's. Claiming one's own card again changes nothing.

    Raises:
        InvalidIccid: the ICCID is not one.
        CannotClaim: no such card, a wrong code, or someone else's card; always the same.
    """
    line = Line.objects.select_for_update(of=("self",)).filter(iccid=iccid_of(iccid)).first()
    right = is_claim_code(iccid=iccid_of(iccid), code=code, stored_hash=line.claim_code_hash if line else _NO_CARD)
    if line is None or not right or line.owner_id not in (None, customer):
        raise CannotClaim("No card is waiting for this number and code.")
    if line.owner_id is None:
        line.owner_id = customer
        line.claimed_at = now
        line.save(update_fields=["owner", "claimed_at"])
        journal.record(
            what="line.claimed",
            subject=line.id,
            who=f"customer:{customer}",
            before={"owner": None},
            after={"owner": str(customer)},
            now=now,
        )
    return line


def lock(line_id: UUID) -> Line:
    """The line, locked until the transaction ends; whoever changes its time holds this.

    Locks are taken in one order everywhere: order, line, ledger accounts.
    """
    return Line.objects.select_for_update(of=("self",)).select_related("market").get(id=line_id)


@transaction.atomic(savepoint=False)
def open_period(
    *,
    line_id: UUID,
    order_id: UUID,
    ordinal: int,
    plan_version: PlanVersion,
    activated_at: datetime,
    funded_at: datetime,
    carrier_ends_at: datetime | None,
    who: str,
    now: datetime,
    track: str = "main",
) -> Period:
    """Book one bought period on the line: at once when nothing runs or the policy adds, else queued.

    A period begins at the end of everything booked on its track, or when the carrier took it if that is over. The
    same order and ordinal again changes nothing and returns the period of the first call.
    """
    there = Period.objects.filter(order_id=order_id, ordinal=ordinal).first()
    if there:
        return there
    lock(line_id)
    policy = catalogue.policy(plan_version)
    periods = _on_track(line_id, track)
    placed = lay_out(map(booked, periods), activated_at)
    start = next_start(placed, activated_at)
    waits = (policy.renewal.mode == "queue" and start > activated_at) or any(p.span is None for p in periods)
    period = Period(
        id=ids.derived(order_id, f"period:{ordinal}"),
        line_id=line_id,
        track=track,
        order_id=order_id,
        ordinal=ordinal,
        plan_version=plan_version,
        funded_at=funded_at,
        zone=policy.period.zone,
        carrier_ends_at=carrier_ends_at,
    )
    if not waits:
        _start(period, place(period.id, policy.period, start, placed))
    period.save(force_insert=True)
    journal.record(what="period.opened", subject=line_id, who=who, after=_told(period), now=now)
    return period


def start_due_periods(*, now: datetime) -> int:
    """Start every queued period whose predecessor has ended, at exactly that end. Returns how many were started.

    Due means ``<= now``: a run missed for days is caught up, and calling it again changes nothing.
    """
    unfinished = Period.objects.filter(
        line=OuterRef("line"), track=OuterRef("track"), voided_at__isnull=True, span__endswith__gt=now
    )
    due = Period.objects.filter(~Exists(unfinished), span__isnull=True, voided_at__isnull=True)
    queues = due.order_by("line_id", "track").values_list("line_id", "track").distinct()
    return sum(_start_queue(line_id, track, now) for line_id, track in queues)


@transaction.atomic
def _start_queue(line_id: UUID, track: str, now: datetime) -> int:
    lock(line_id)
    periods = _on_track(line_id, track)
    by_id = {period.id: period for period in periods}
    started = 0
    for placed in lay_out(map(booked, periods), now):
        if placed.projected and placed.span.starts_at <= now:
            period = by_id[placed.id]
            _start(period, placed)
            period.save(update_fields=["span", "anchored_at"])
            journal.record(what="period.started", subject=line_id, who="clock", after=_told(period), now=now)
            started += 1
    return started


@transaction.atomic
def note_carrier_end(*, line_id: UUID, ends_at: datetime, now: datetime) -> None:
    """Keep the carrier's own end of the running period beside ours. A new difference of an hour or more is told to
    staff by the fact "line.end_differs"; the same end again changes nothing.
    """
    line = lock(line_id)
    timeline_ = timeline(line, now)
    running = timeline_.running.period if timeline_.running else None
    if running is None or running.carrier_ends_at == ends_at:
        return
    running.carrier_ends_at = ends_at
    running.save(update_fields=["carrier_ends_at"])
    ours = [entry.span.ends_at for entry in timeline_.entries if entry.span.ends_at > now]
    if all(abs(end - ends_at) >= END_TOLERANCE for end in ours):
        journal.record(
            what="line.end_differs", subject=line_id, who=f"carrier:{line.carrier}", after=_told(running), now=now
        )


def _on_track(line_id: UUID, track: str) -> list[Period]:
    rows = Period.objects.filter(line_id=line_id, track=track, voided_at__isnull=True)
    return list(rows.select_related("plan_version"))


def _start(period: Period, placed: Placed) -> None:
    """Give the period its span and its run's anchor."""
    period.span = DateTimeTZRange(placed.span.starts_at, placed.span.ends_at)
    period.anchored_at = placed.anchor.isoformat()


def _told(period: Period) -> dict[str, str | None]:
    span = span_of(period)
    return {
        "period": str(period.id),
        "order": str(period.order_id),
        "starts_at": span.starts_at.isoformat() if span else None,
        "ends_at": span.ends_at.isoformat() if span else None,
        "carrier_ends_at": period.carrier_ends_at.isoformat() if period.carrier_ends_at else None,
    }
