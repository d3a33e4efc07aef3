"""Reading lines and their time."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Case, Exists, Min, OuterRef, Q, QuerySet, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce

from xuka.accounts import queries as accounts
from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.catalogue.rules import Kind, Policy
from xuka.kernel import ids
from xuka.kernel.span import Span
from xuka.lines.models import Esim, Line, Period
from xuka.lines.rules import Booked, InvalidIccid, Lived, claim_code_hash, iccid_of, is_claim_code, lay_out


@dataclass(frozen=True, slots=True)
class Entry:
    """One period on the timeline; ``projected`` when it is queued and its span is what will be as things stand."""

    period: Period
    span: Span
    projected: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """A line's periods in order of time.

    Attributes:
        running: the entry that contains now, if any.
        valid_until: the end of the last booked period, aware UTC; None when nothing was ever booked.
        booked: the same periods in their pure form, as they are stored.
    """

    entries: tuple[Entry, ...]
    running: Entry | None
    valid_until: datetime | None
    booked: tuple[Booked, ...]

    @property
    def last_policy(self) -> Policy | None:
        """The policy of the last period of all; None when nothing was ever booked."""
        return catalogue.policy(self.entries[-1].period.plan_version) if self.entries else None


def lines_of(customer: UUID) -> list[Line]:
    """The customer's cards, the first claimed first."""
    return list(_lines().filter(owner_id=customer).order_by("claimed_at", "id"))


def line_of(customer: UUID, line_id: UUID) -> Line | None:
    """This customer's card of this id; None when there is none or it is someone else's."""
    return _lines().filter(owner_id=customer, id=line_id).first()


def lines_to_renew(customer: UUID) -> list[Line]:
    """The cards that this customer may see and renew: their own, then those of the members of their family."""
    own = Case(When(owner_id=customer, then=0), default=1)
    return list(_lines().filter(_renewable_by(customer)).order_by(own, "claimed_at", "id"))


def line_to_renew(customer: UUID, line_id: UUID) -> Line | None:
    """This card where ``customer`` may see and renew it; None when there is none, or it is nobody's business of theirs.

    Who may renew a card is decided here and nowhere else: its owner, and the organiser of its owner's family.
    """
    return _lines().filter(_renewable_by(customer), id=line_id).first()


def plain_line_to_renew(customer: UUID, line_id: UUID) -> Line | None:
    """The same card with nothing read beside it, for what is asked at every quote."""
    line = plain_line(line_id)
    return line if line and may_renew(customer, line) else None


def plain_line(line_id: UUID) -> Line | None:
    """The line of this id, whoever owns it, with nothing read beside it."""
    return next(iter(Line.objects.raw("select * from lines_line where id = %s", [line_id])), None)


def may_renew(customer: UUID, line: Line) -> bool:
    """Whether this customer may see and renew this card now, as ``line_to_renew`` says."""
    return line.owner_id == customer or Line.objects.filter(_renewable_by(customer), id=line.id).exists()


def _renewable_by(customer: UUID) -> Q:
    return Q(owner_id=customer) | Q(owner_id__in=accounts.members_in_care_of(customer))


def line(line_id: UUID) -> Line | None:
    """The line of this id, whoever owns it; None when there is none. For staff and jobs."""
    return _lines().filter(id=line_id).first()


def line_by_number(*, iccid: str = "", msisdn: str = "") -> Line | None:
    """The card of this ICCID, or the only one of this telephone number (E.164), whoever owns it; None otherwise."""
    if iccid:
        return _lines().filter(iccid=iccid).first()
    found = list(_lines().filter(msisdn__in=[msisdn, msisdn.lstrip("+")])[:2])
    return found[0] if len(found) == 1 else None


def line_by_claim_code(*, iccid: str, code: str) -> Line | None:
    """The card of this number, for whoever shows its claim code; None for a wrong code, number, or none at all."""
    try:
        number = iccid_of(iccid)
    except InvalidIccid:
        return None
    line = _lines().filter(iccid=number).first()
    stored = line.claim_code_hash if line else claim_code_hash(iccid=number, code="")
    return line if is_claim_code(iccid=number, code=code, stored_hash=stored) and code else None


def esim_of(line_id: UUID) -> Esim | None:
    """What a phone needs to install this eSIM; None for a card that was not bought here as one. A secret."""
    return Esim.objects.filter(line_id=line_id).first()


def is_esim(line_id: UUID) -> bool:
    """Whether this card was bought here as an eSIM."""
    with connection.cursor() as cursor:
        cursor.execute("select exists (select from lines_esim where line_id = %s)", [line_id])
        row = cursor.fetchone()
    return bool(row and row[0])


def lines_in_use(*, carrier: str) -> list[Line]:
    """Every card of this carrier that a customer has claimed."""
    return list(Line.objects.filter(owner__isnull=False, carrier=carrier).order_by("id"))


def timeline(line: Line, now: datetime, *, track: str = "main") -> Timeline:
    """What this line is entitled to on this track, past and future."""
    return timelines([line], now, track=track)[line.id]


def lived(line_ids: Iterable[UUID], now: datetime) -> dict[UUID, Lived]:
    """What each of these lines has lived through (``rules.life_of``), but for its use, which metering knows."""
    wanted = list(line_ids)
    began = dict(Line.objects.filter(id__in=wanted).values_list("id", Coalesce("claimed_at", "created_at")))
    on_main: dict[UUID, list[Period]] = defaultdict(list)
    spent: dict[UUID, list[tuple[datetime, int]]] = defaultdict(list)
    for period in Period.objects.filter(line_id__in=wanted, voided_at__isnull=True).select_related("plan_version"):
        spent[period.line_id].append((period.funded_at, period.plan_version.price_minor))
        if period.track == "main":
            on_main[period.line_id].append(period)
    ends = {id: max(one.span.ends_at for one in _entries(rows, now)) for id, rows in on_main.items()}
    return {id: Lived(at, ends.get(id), tuple(sorted(spent[id]))) for id, at in began.items()}


def beside(line: Line, *, track: str = "main") -> tuple[Booked, ...]:
    """What is booked on the line's other tracks, each with an end of its own."""
    rows = Period.objects.filter(line=line, voided_at__isnull=True).exclude(track=track)
    return tuple(booked(period) for period in rows.select_related("plan_version"))


def booked_on(line_id: UUID, now: datetime, *, track: str = "main") -> tuple[tuple[Booked, ...], Policy | None]:
    """What is booked on this track in its pure form, and the policy of the last of it; nothing else is read."""
    with connection.cursor() as cursor:
        cursor.execute(_BOOKED_ON, [line_id, track])
        rows = cursor.fetchall()
    known: dict[UUID, tuple[Booked, Policy]] = {}
    for version, id, span, funded_at, anchored_at, buckets in rows:
        policy = catalogue.policy_of_version(version)
        known[id] = _booked(policy, id, span, funded_at, anchored_at, json.loads(buckets or "{}")), policy
    track_now = tuple(period for period, _ in known.values())
    placed = lay_out(track_now, now)
    return track_now, known[placed[-1].id][1] if placed else None


def timelines(lines: Iterable[Line], now: datetime, *, track: str = "main") -> dict[UUID, Timeline]:
    """The timelines of several lines, read in one query."""
    of_line: dict[UUID, list[Period]] = defaultdict(list)
    wanted = [line.id for line in lines]
    rows = Period.objects.filter(line_id__in=wanted, track=track, voided_at__isnull=True)
    for period in rows.select_related("plan_version__plan__network"):
        of_line[period.line_id].append(period)
    return {line_id: _timeline(of_line[line_id], now) for line_id in wanted}


def entries_of(lines: Iterable[Line], now: datetime | None) -> dict[UUID, list[Entry]]:
    """The periods of several lines on every track, each track in order of time; read in one query.

    Args:
        now: for where queued periods would lie as things stand; None leaves them out.
    """
    rows = Period.objects.select_related("plan_version__plan__network")
    return _on_tracks((line.id for line in lines), now, rows)


def _on_tracks(line_ids: Iterable[UUID], now: datetime | None, rows: QuerySet[Period]) -> dict[UUID, list[Entry]]:
    on_track: dict[UUID, dict[str, list[Period]]] = {line_id: defaultdict(list) for line_id in line_ids}
    rows = rows.filter(line_id__in=list(on_track), voided_at__isnull=True)
    for period in rows if now else rows.filter(span__isnull=False):
        on_track[period.line_id][period.track].append(period)
    return {
        line_id: [entry for periods in tracks.values() for entry in _entries(periods, now or periods[0].funded_at)]
        for line_id, tracks in on_track.items()
    }


def _entries(periods: list[Period], now: datetime) -> tuple[Entry, ...]:
    by_id = {period.id: period for period in periods}
    return tuple(Entry(by_id[p.id], p.span, p.projected) for p in lay_out(map(booked, periods), now))


def entitlements_of(line_ids: Iterable[UUID], now: datetime | None) -> dict[UUID, list[Entry]]:
    """As ``entries_of``, of many lines by their ids: of a period's plan version only the policy is read along."""
    return _on_tracks(line_ids, now, Period.objects.select_related("plan_version"))


def waiting_for_use(line_ids: Iterable[UUID], now: datetime) -> dict[UUID, datetime]:
    """Which of these lines have a period that starts with its first use, and nothing that runs before it on its track.

    By line: since when the oldest of them was paid for.
    """
    runs = Period.objects.filter(
        line=OuterRef("line"), track=OuterRef("track"), voided_at__isnull=True, span__endswith__gt=now
    )
    waiting = Period.objects.filter(
        ~Exists(runs), line_id__in=list(line_ids), span__isnull=True, voided_at__isnull=True,
        plan_version__policy__period__starts="first_use",
    )  # fmt: skip
    return dict(waiting.values_list("line_id").annotate(Min("funded_at")))


def lines_by_iccid(iccids: Iterable[str]) -> list[Line]:
    """The cards of these numbers, whoever owns them; those that are not ours are left out."""
    return list(Line.objects.filter(iccid__in=list(iccids)))


def iccids_of(line_ids: Iterable[UUID]) -> set[str]:
    """The numbers of these cards."""
    return set(Line.objects.filter(id__in=list(line_ids)).values_list("iccid", flat=True))


class Ends(NamedTuple):
    """A card, and where what is booked on its main track ends.

    Attributes:
        ends_at: the end of all that is booked, aware UTC; None when nothing ever was.
        bought_at: when the last of it was paid for.
        version: the plan of the last of it; the plan the card was sold with when nothing ever was booked.
        policy: that plan's.
        all: every end that lies ahead.
        carrier_ends_at: the carrier's own end of what runs now; None where nothing runs or it does not tell.
    """

    line_id: UUID
    owner: UUID | None
    iccid: str
    zone: str
    carrier: str
    version: PlanVersion
    policy: Policy
    ends_at: datetime | None = None
    bought_at: datetime | None = None
    all: tuple[datetime, ...] = ()
    carrier_ends_at: datetime | None = None


def ends_of(line_ids: Iterable[UUID], now: datetime) -> dict[UUID, Ends]:
    """Where each of these lines ends; for many lines at once, in three queries, however many periods they have."""
    wanted = ids.listed(line_ids)
    columns = ("id", "owner_id", "iccid", "zone", "carrier", "plan_version_id")
    cards = list(Line.objects.filter(id__in=RawSQL("select unnest(%s::uuid[])", [wanted])).values_list(*columns))
    of_line: dict[UUID, list[tuple[Any, ...]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_MAIN_PERIODS, [wanted])
        for line_id, *period in cursor.fetchall():
            of_line[line_id].append(tuple(period))
    sold = {sold_with for *_, sold_with in cards} | {told[5] for periods in of_line.values() for told in periods}
    read = PlanVersion.objects.select_related("plan").in_bulk(sold)
    versions = {id: (version, catalogue.policy(version)) for id, version in read.items()}
    return {card[0]: _ends(card[:5], versions[card[5]], of_line.get(card[0], []), versions, now) for card in cards}


def lines_ahead(*, after: UUID, now: datetime, limit: int) -> list[UUID]:
    """Owned cards with something booked that is not over yet, by their ids beyond ``after``, in order: to go through
    all of them in batches."""
    booked = Period.objects.filter(line_id=OuterRef("id"), track="main", voided_at__isnull=True)
    booked = booked.filter(Q(span__isnull=True) | Q(span__endswith__gt=now))
    found = Line.objects.filter(Exists(booked), id__gt=after, owner__isnull=False)
    return list(found.order_by("id").values_list("id", flat=True)[:limit])


# Moments as microseconds: read by the thousand, they cost a tenth of what times of the database's own type do.
_MAIN_PERIODS = """
select line_id, id, (extract(epoch from lower(span)) * 1000000)::bigint,
  (extract(epoch from upper(span)) * 1000000)::bigint, (extract(epoch from funded_at) * 1000000)::bigint, anchored_at,
  plan_version_id, (extract(epoch from carrier_ends_at) * 1000000)::bigint
from lines_period where line_id = any(%s::uuid[]) and track = 'main' and voided_at is null
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


@lru_cache(maxsize=1_024)
def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _ends(
    card: tuple[UUID, UUID | None, str, str, str],
    sold_with: tuple[PlanVersion, Policy],
    periods: list[tuple[Any, ...]],
    versions: Mapping[UUID, tuple[PlanVersion, Policy]],
    now: datetime,
) -> Ends:
    if not periods:
        return Ends(*card, *sold_with)
    if any(period[1] is None for period in periods):  # only a queue must be laid out
        periods = _laid_out(periods, versions, now)
    at = _microseconds(now)
    last = max(periods, key=itemgetter(2)) if len(periods) > 1 else periods[0]
    ends = tuple([_moment(end) for end in sorted([period[2] for period in periods]) if end > at])
    carrier_ends_at = next((period[6] for period in periods if period[1] <= at < period[2]), None)
    return Ends(
        *card, *versions[last[5]], _moment(last[2]), _moment(last[3]), ends,
        None if carrier_ends_at is None else _moment(carrier_ends_at),
    )  # fmt: skip


def _laid_out(
    periods: list[tuple[Any, ...]], versions: Mapping[UUID, tuple[PlanVersion, Policy]], now: datetime
) -> list[tuple[Any, ...]]:
    """The same, those that are queued with the span that they will have as things stand."""
    known = [
        Booked(
            id, None if starts is None else Span(_moment(starts), _moment(ends)), _moment(funded),
            versions[version][1].period, datetime.fromisoformat(anchor) if anchor else None,
        )
        for id, starts, ends, funded, anchor, version, _ in periods
    ]  # fmt: skip
    spans = {placed.id: placed.span for placed in lay_out(known, now)}
    return [
        (one[0], _microseconds(spans[one[0]].starts_at), _microseconds(spans[one[0]].ends_at), *one[3:])
        for one in periods
    ]


def _timeline(periods: list[Period], now: datetime) -> Timeline:
    by_id = {period.id: period for period in periods}
    known = tuple(map(booked, periods))
    entries = tuple(Entry(by_id[p.id], p.span, p.projected) for p in lay_out(known, now))
    return Timeline(
        entries=entries,
        running=next((entry for entry in entries if now in entry.span), None),
        valid_until=entries[-1].span.ends_at if entries else None,
        booked=known,
    )


def periods_of(order_id: UUID) -> list[Period]:
    """The periods that an order brought, those that were taken back included."""
    return list(Period.objects.filter(order_id=order_id).order_by("ordinal"))


def booked(period: Period) -> Booked:
    """The pure form of a stored period."""
    return _booked(catalogue.policy(period.plan_version), *(getattr(period, column) for column in _BOOKED))


_BOOKED = ("id", "span", "funded_at", "anchored_at", "buckets")
# Asked at every quote, so in SQL of its own.
_BOOKED_ON = f"""
select plan_version_id, {", ".join(_BOOKED)} from lines_period
where line_id = %s and track = %s and voided_at is null
"""  # noqa: S608 - our own constants


def _booked(policy: Policy, id: UUID, span: Any, funded_at: datetime, anchored_at: str, buckets: Any) -> Booked:
    anchor = datetime.fromisoformat(anchored_at) if anchored_at else None
    return Booked(id, _span(span), funded_at, policy.period, anchor, policy.renewal, _buckets(buckets))


def _buckets(stored: Mapping[Kind, tuple[str, str]] | None) -> dict[Kind, Span]:
    return {
        kind: Span(datetime.fromisoformat(begin), datetime.fromisoformat(end))
        for kind, (begin, end) in (stored or {}).items()
    }


def bucket_of(entry: Entry, kind: Kind) -> Span:
    """When what the period contains of this can be used; where it lies as things stand, while it is queued."""
    return _buckets(entry.period.buckets).get(kind, entry.span) if entry.period.buckets else entry.span


def span_of(period: Period) -> Span | None:
    """When the period runs; None while it is queued."""
    return _span(period.span)


def _span(stored: Any) -> Span | None:
    if stored is None or stored.lower is None or stored.upper is None:
        return None
    return Span(stored.lower, stored.upper)


def _lines():
    """Cards with their ``is_esim``: bought here as an eSIM, and installed from here."""
    is_esim = Exists(Esim.objects.filter(line=OuterRef("pk")))
    return Line.objects.select_related("market", "plan_version__plan__network").annotate(is_esim=is_esim)
