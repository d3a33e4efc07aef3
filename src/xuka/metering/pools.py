"""Reading pools: whose data is shared with whom, and what the cards around a pool have used together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet

from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.catalogue.rules import Pool as Terms
from xuka.lines.queries import Entry, Line
from xuka.metering.models import Draw, Meter, Pool
from xuka.metering.pool_rules import Draw as Drawn

# What was drawn longer ago matters to nothing that is open now.
REMEMBERED = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Group:
    """Cards that are bound by draws, of now or before: what one uses may leave another less."""

    line_ids: frozenset[UUID]
    draws: tuple[Drawn, ...]


def groups_around(meters: Iterable[Meter], now: datetime) -> list[Group]:
    """The groups that the cards of these meters are in, whole; [] where none is in any, and then nothing is asked."""
    new, known = {meter.line_id for meter in meters if meter.is_pooled}, dict[UUID, Drawn]()
    asked: set[UUID] = set()
    while new:
        asked |= new
        rows = Draw.objects.select_related("pool__membership", "membership")
        rows = rows.filter(Q(line_id__in=new) | Q(host_id__in=new))
        known |= {row.id: Drawn(row.host_id, row.line_id, row.began_at, row.ends_at) for row in rows}
        new = {id for draw in known.values() for id in (draw.host, draw.line_id)} - asked
    return _apart([draw for draw in known.values() if draw.ends_at is None or draw.ends_at > now - REMEMBERED])


def _apart(draws: list[Drawn]) -> list[Group]:
    of: dict[UUID, set[UUID]] = {}
    for draw in draws:
        joined = of.get(draw.host, {draw.host}) | of.get(draw.line_id, {draw.line_id})
        of.update(dict.fromkeys(joined, joined))
    whole = {id(group): group for group in of.values()}
    return [
        Group(frozenset(group), tuple(sorted((d for d in draws if d.line_id in group), key=lambda d: d.starts_at)))
        for group in whole.values()
    ]


def draws_of(groups: Iterable[Group]) -> Mapping[UUID, list[Drawn]]:
    """What each card of these groups draws on, or did."""
    found: dict[UUID, list[Drawn]] = defaultdict(list)
    for group in groups:
        for draw in group.draws:
            found[draw.line_id].append(draw)
    return found


def pool(id: UUID) -> Pool | None:
    """The pool of this id, closed or not; None where there is none."""
    return Pool.objects.select_related("line__plan_version", "membership__customer").filter(id=id).first()


def pools_of(membership: UUID) -> list[Pool]:
    """What this organiser shares now, the first opened first."""
    rows = Pool.objects.select_related("line__plan_version__plan", "membership__customer")
    open_now = rows.filter(membership_id=membership, closed_at__isnull=True, membership__left_at__isnull=True)
    return list(open_now.order_by("opened_at", "id"))


def draws_now(pool_ids: Iterable[UUID]) -> list[Draw]:
    """Which cards may use of these pools now, the first that agreed first."""
    rows = _draws().filter(pool_id__in=list(pool_ids), ended_at__isnull=True).order_by("began_at", "id")
    return [row for row in rows if row.ends_at is None]


def draw_now(line_id: UUID) -> Draw | None:
    """What this card may use of another's data now; None where it is shared nothing."""
    row = _draws().filter(line_id=line_id, ended_at__isnull=True).first()
    return row if row and row.ends_at is None else None


def draws_ended(line_id: UUID, *, since: datetime) -> list[Draw]:
    """Which draws around this card were ended by hand, or with the pool, at ``since`` or later."""
    by_hand = Q(ended_at__gte=since) | Q(pool__closed_at__gte=since, ended_at__isnull=True)
    rows = _draws().filter(Q(line_id=line_id) | Q(host_id=line_id), by_hand)
    return list(rows.filter(membership__left_at__isnull=True, pool__membership__left_at__isnull=True))


def pool_now(line_id: UUID) -> Pool | None:
    """That this card's data is shared now; None where it is not."""
    rows = Pool.objects.select_related("membership__customer", "line")
    return rows.filter(line_id=line_id, closed_at__isnull=True, membership__left_at__isnull=True).first()


def shared_plan(line: Line, entries: Iterable[Entry], now: datetime) -> tuple[PlanVersion, Terms] | None:
    """The plan by which this card's data can be shared, and how: what runs or comes; None where none allows it.

    Args:
        entries: its periods on every track (``lines.entries_of``).
    """
    ahead = [entry for entry in entries if entry.span.ends_at > now]
    versions = [entry.period.plan_version for entry in sorted(ahead, key=lambda entry: entry.span.starts_at)]
    found = ((version, catalogue.policy(version).quota.data.pool) for version in versions or [line.plan_version])
    return next(((version, terms) for version, terms in found if terms), None)


def line_ids_of(membership: UUID) -> set[UUID]:
    """The cards that share or draw, or did, by this membership: their cells are cut where it ends."""
    sharing = Pool.objects.filter(membership_id=membership).values_list("line_id", flat=True)
    return {*sharing, *Draw.objects.filter(membership_id=membership).values_list("line_id", flat=True)}


def _draws() -> QuerySet[Draw]:
    return Draw.objects.select_related(
        "pool__membership__customer", "pool__line", "membership__customer", "line__market"
    )
