"""Settlement reports: read, kept, held against our books. No money moves by them; what differs is for a person."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Refused
from xuka.payments import providers
from xuka.payments import reconciliation_rules as rules
from xuka.payments.contract import Reason, Settled, SettledKind
from xuka.payments.models import Payment, Refund, SettledRow, SettlementDifference, SettlementReport
from xuka.payments.reconciliation_rules import GRACE_DAYS, Action, Booked, Difference, Stand
from xuka.payments.rules import IN_FLIGHT, LIVE_STATES, PaymentState, RefundState, key_in, words_of

State = SettlementReport.State
DifferenceState = SettlementDifference.State
STATEMENT_AT_MOST_BYTES = 8 * 1024 * 1024
DAYS_IN_A_FILE = 400
# The daily job asks for so many days at least, and goes back as far as this for days on which it did not run.
DAYS_ASKED, DAYS_BACK = 3, 90
BY_ITSELF = "The reports and the books agree on it now."


class CannotTake(Exception):
    """This file is not taken; ``code`` says why: "too_large", "empty" or "too_long". Nothing was kept."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class CannotSettle(Exception):
    """This difference is not settled; ``code`` says why: "no_reason" or "not_open". Nothing was changed."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# -- reading -------------------------------------------------------------------------------------------------------


def days_due(provider: str, now: datetime) -> list[date]:
    """The days of this provider whose report is not read yet, the oldest first; the last of them is yesterday, UTC."""
    live, today = providers.provider(provider).is_live, now.astimezone(UTC).date()
    there = dict(SettlementReport.objects.filter(provider=provider, is_live=live).values_list("day", "state"))
    first = today - timedelta(DAYS_ASKED)
    first = max(min([first, *there]), today - timedelta(DAYS_BACK))  # so that no gap stays
    days = {first + timedelta(number) for number in range((today - first).days)}
    return sorted(day for day in days | there.keys() if day < today and there.get(day) != State.READ)


def reconcile(*, provider: str, day: date, now: datetime) -> SettlementReport:
    """Ask a provider what moved on a day that is over, keep it, and hold it against our books.

    What it does not tell now is written down as waiting, with the reason, and comes with ``days_due`` again. The same
    day again keeps only rows that are new. The call is made with no transaction open.
    """
    assert not transaction.get_connection().in_atomic_block, "no transaction is held across the network"
    assert day < now.astimezone(UTC).date(), "a day that is not over is not told whole"
    match providers.provider(provider).settlements(day=day):
        case Done(rows):
            return _take(provider, {day: rows}, "call", now)[0]
        case Refused(Reason.BY_FILE):
            return _not_read(provider, day, State.BY_FILE, "")
        case Refused(reason, _, detail):
            return _not_read(provider, day, State.WAITING, detail or reason)
        case unknown:
            return _not_read(provider, day, State.WAITING, unknown.why)


def take_statement(*, provider: str, content: bytes, who: str, now: datetime) -> list[SettlementReport]:
    """Keep the rows of a settlement file and hold them against our books; one report for each day, UTC, that it spans.

    The same file again, or one that overlaps with it, keeps only rows that are new.

    Args:
        who: "staff:<uuid>".

    Raises:
        CannotTake: larger than ``STATEMENT_AT_MOST_BYTES``, without any row, or of more than ``DAYS_IN_A_FILE`` days.
        contract.UnreadableStatement: not a file of this provider.
    """
    if len(content) > STATEMENT_AT_MOST_BYTES:
        raise CannotTake("too_large")
    by_day: dict[date, list[Settled]] = defaultdict(list)
    for row in providers.provider(provider).read_statement(content=content):
        by_day[row.at.astimezone(UTC).date()].append(row)
    if not by_day:
        raise CannotTake("empty")
    first, last = min(by_day), max(by_day)
    if (last - first).days >= DAYS_IN_A_FILE:
        raise CannotTake("too_long")
    days = [first + timedelta(number) for number in range((last - first).days + 1)]
    digest = hashlib.sha256(content).hexdigest()
    return _take(provider, {day: by_day[day] for day in days}, digest, now, who=who)


@transaction.atomic
def _not_read(provider: str, day: date, state: str, why: str) -> SettlementReport:
    """Why there is no report yet. One that was read stays read."""
    report = _report(provider, day)
    if report.state != State.READ:
        report.state, report.detail = state, why
        report.save(update_fields=["state", "detail"])
    return report


@transaction.atomic
def _take(
    provider: str, by_day: dict[date, Sequence[Settled]], source: str, now: datetime, *, who: str = "clock"
) -> list[SettlementReport]:
    _one_at_a_time(provider)
    reports = []
    for day, rows in by_day.items():
        report = _report(provider, day)
        SettledRow.objects.bulk_create([_row(report, one) for one in rows], ignore_conflicts=True)
        kept = [_settled(row) for row in SettledRow.objects.filter(report=report)]
        if report.state != State.READ or len(kept) != report.rows_read:
            report.state, report.detail, report.source, report.read_at = State.READ, "", source, now
            report.rows_read, report.sums = len(kept), rules.sums(kept)
            report.save()
            told = {"provider": provider, "day": day.isoformat(), "rows": len(kept), "source": source}
            journal.record(what="settlement.read", subject=report.id, who=who, after=told, now=now)
        reports.append(report)
    for report in reports:
        _compare(report, now)
    return reports


def _one_at_a_time(provider: str) -> None:
    """Two readings of one provider come after one another, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"payments.settlement:{provider}"])


def _report(provider: str, day: date) -> SettlementReport:
    live = providers.provider(provider).is_live
    id = ids.derived(_SPACE, f"{provider}:{live}:{day}")
    row = SettlementReport(id=id, provider=provider, is_live=live, day=day, state=State.WAITING)
    SettlementReport.objects.bulk_create([row], ignore_conflicts=True)
    return SettlementReport.objects.select_for_update().get(id=id)


def _row(report: SettlementReport, one: Settled) -> SettledRow:
    return SettledRow(
        report=report,
        provider=report.provider,
        row=one.id,
        kind=one.kind,
        minor=one.money.minor,
        currency=one.money.currency,
        fee_minor=one.fee.minor,
        fee_currency=one.fee.currency,
        key=one.key[:120],  # ours are shorter; what others sold may bear a longer one
        charge=one.charge[:120],
        reference=one.reference[:200],
        at=one.at,
    )


def _settled(row: SettledRow) -> Settled:
    return Settled(
        id=row.row,
        kind=SettledKind(row.kind),
        money=Money(row.minor, row.currency),
        fee=Money(row.fee_minor, row.fee_currency),
        at=row.at,
        key=row.key,
        charge=row.charge,
        reference=row.reference,
    )


# -- comparing -----------------------------------------------------------------------------------------------------


def _compare(report: SettlementReport, now: datetime) -> None:
    """Hold everything that a report, or an open difference, is about against our books."""
    reports = SettlementReport.objects.filter(provider=report.provider, is_live=report.is_live)
    open_ones = list(SettlementDifference.objects.filter(report__in=reports, state=DifferenceState.OPEN))
    payments, refunds, rows = _concerned(report, open_ones)
    read = dict(reports.filter(state=State.READ).values_list("day", "id"))
    found = {
        _id(report, one): one
        for one in rules.differences(
            [_settled(row) for row in rows], [_paid(one) for one in payments], [_went(one) for one in refunds], read
        )
    }
    gone = [one.id for one in open_ones if one.id not in found]
    # What a person has settled since it was read stays theirs.
    SettlementDifference.objects.filter(id__in=gone, state=DifferenceState.OPEN).update(
        state=DifferenceState.RESOLVED, settled_at=now, settled_by="clock", why=BY_ITSELF
    )
    _open(report, found, {row.row: row for row in rows}, read, {one.id: one for one in [*payments, *refunds]}, now)
    _look_again(found.values(), now)


def _concerned(
    report: SettlementReport, open_ones: Iterable[SettlementDifference]
) -> tuple[list[Payment], list[Refund], list[SettledRow]]:
    """The payments and refunds that the report names or that were booked around its day, and every row about them."""
    rows = SettledRow.objects.filter(report__provider=report.provider, report__is_live=report.is_live)
    told = list(rows.filter(Q(report=report) | Q(id__in=[one.row_id for one in open_ones if one.row_id])))
    charges = {row.charge for row in told} - {""}
    references = {row.reference for row in told} - {""}
    keys = {row.key for row in told} - {""}
    days = (_midnight(report.day - timedelta(GRACE_DAYS)), _midnight(report.day + timedelta(2)))
    refunds = Refund.objects.filter(payment__provider=report.provider, payment__is_live=report.is_live)
    around = Q(done_at__gte=days[0], done_at__lt=days[1], state=RefundState.DONE) | Q(reference__in=references)
    around |= Q(id__in=[one.refund_id for one in open_ones if one.refund_id])
    payments = list(
        Payment.objects.filter(provider=report.provider, is_live=report.is_live).filter(
            Q(ended_at__gte=days[0], ended_at__lt=days[1], state__in=[PaymentState.PAID, PaymentState.MISMATCHED])
            | Q(id__in=[one.payment_id for one in open_ones if one.payment_id])
            | Q(id__in=filter(None, map(key_in, keys)))
            | Q(charge__in=charges)
            | Q(id__in=refunds.filter(around).values("payment_id"))
        )
    )
    of_them = list(refunds.filter(payment__in=payments))
    charges |= {one.charge for one in payments} - {""}
    references |= {one.reference for one in of_them} - {""}
    booked = [*map(_paid, payments), *map(_went, of_them)]
    keys = keys.union(*(one.names for one in booked))
    about = Q(charge__in=charges) | Q(reference__in=references) | Q(key__in=keys) | Q(id__in=[row.pk for row in told])
    return payments, of_them, list(rows.filter(about).order_by("at", "id"))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _paid(payment: Payment) -> Booked:
    is_booked = payment.state in {PaymentState.PAID, PaymentState.MISMATCHED}
    stand = Stand.BOOKED if is_booked else Stand.UNDER_WAY if payment.state in LIVE_STATES else Stand.OVER
    money = Money(payment.amount_minor, payment.currency)
    if payment.paid_minor is not None:
        money = Money(payment.paid_minor, payment.paid_currency)
    names = frozenset({words_of(payment.id), payment.charge} - {""})
    return Booked(payment.id, stand, money, payment.ended_at if is_booked else None, names)


def _went(refund: Refund) -> Booked:
    is_booked = refund.state == RefundState.DONE
    stand = Stand.BOOKED if is_booked else Stand.UNDER_WAY if refund.state in IN_FLIGHT else Stand.OVER
    keys = {words_of(ids.derived(refund.id, f"round:{number}")) for number in range(refund.round + 1)}
    money = Money(refund.amount_minor, refund.currency)
    names = frozenset((keys | {refund.reference}) - {""})
    return Booked(refund.id, stand, money, refund.done_at if is_booked else None, names, refund.payment_id)


def _id(report: SettlementReport, one: Difference) -> UUID:
    return ids.derived(_SPACE, f"{report.provider}:{report.is_live}:{one.kind}:{one.about}:{one.here}:{one.there}")


def _open(
    report: SettlementReport,
    found: dict[UUID, Difference],
    rows: dict[str, SettledRow],
    read: dict[date, UUID],
    booked: dict[UUID, Payment | Refund],
    now: datetime,
) -> None:
    """Write new differences down, each with the report of its day. One that a person settled stays settled."""
    there = dict(SettlementDifference.objects.filter(id__in=found).values_list("id", "state"))
    again = [id for id, state in there.items() if state == DifferenceState.RESOLVED]
    SettlementDifference.objects.filter(id__in=again).update(
        state=DifferenceState.OPEN, settled_at=None, settled_by="", why="", found_at=now
    )
    new = []
    for id, one in found.items():
        if id in there:
            continue
        row = rows.get(one.row)
        own = booked.get(one.refund or one.payment or id)
        at = own.done_at if isinstance(own, Refund) else own.ended_at if own else None
        day_of = read.get(at.astimezone(UTC).date(), report.id) if at else report.id
        here, told = one.here, one.there
        new.append(
            SettlementDifference(
                id=id,
                report_id=row.report_id if row else day_of,
                kind=one.kind,
                cause=one.cause,
                action=one.action,
                about=one.about,
                payment_id=one.payment,
                refund_id=one.refund,
                row=row,
                here_minor=here.minor if here else None,
                here_currency=here.currency if here else "",
                there_minor=told.minor if told else None,
                there_currency=told.currency if told else "",
                state=DifferenceState.OPEN,
                found_at=now,
            )
        )
    SettlementDifference.objects.bulk_create(new)
    opened = [one.report_id for one in new]
    opened += SettlementDifference.objects.filter(id__in=again).values_list("report_id", flat=True)
    for id, count in Counter(opened).items():
        journal.record(what="settlement.differs", subject=id, who="clock", after={"new": count}, now=now)


def _look_again(found: Iterable[Difference], now: datetime) -> None:
    """What the provider settled and we did not hear of is looked at there: as with a webhook, the report is a hint."""
    again = [one for one in found if one.action == Action.LOOK_AGAIN]
    payments = Payment.objects.filter(id__in=[one.payment for one in again if not one.refund])
    payments.filter(state__in=[*LIVE_STATES, PaymentState.CLOSED], lease_until__isnull=True).update(next_step_at=now)
    refunds = Refund.objects.filter(id__in=[one.refund for one in again if one.refund], lease_until__isnull=True)
    refunds.filter(state=RefundState.DONE).exclude(reference="").update(next_step_at=now)


# -- by a person ---------------------------------------------------------------------------------------------------


@transaction.atomic
def settle(*, difference_id: UUID, staff: UUID, why: str, now: datetime) -> SettlementDifference:
    """A person has seen to a difference, and says how. It does not come back as long as its amounts stay the same.

    Raises:
        CannotSettle: "no_reason" or "not_open".
    """
    if not why.strip():
        raise CannotSettle("no_reason")
    one = SettlementDifference.objects.select_for_update().filter(id=difference_id).first()
    if one is None or one.state != DifferenceState.OPEN:
        raise CannotSettle("not_open")
    one.state, one.settled_at, one.settled_by, one.why = DifferenceState.SETTLED, now, f"staff:{staff}", why
    one.save()
    told = {"difference": str(one.id), "kind": one.kind, "about": one.about}
    journal.record(what="settlement.settled", subject=one.report_id, who=f"staff:{staff}", why=why, after=told, now=now)
    return one


_SPACE = UUID("7a0f4a0e-6b0c-5a7e-8a49-7875616b6151")
