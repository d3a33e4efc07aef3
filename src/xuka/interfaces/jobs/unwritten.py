"""Letters, receipts and credit notes that their jobs gave up, found by what the tables say. Read, nothing is written.

A job that writes comes back by itself for a day. What is missing later than that, or was lost with its job, is here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Case, CharField, Exists, F, OuterRef, Q, Value, When

from xuka.interfaces.jobs import family_letters, letters, papers
from xuka.journal import queries as journal
from xuka.journal.models import Fact
from xuka.messaging import queries as messaging
from xuka.messaging.models import Message
from xuka.payments import queries as payments
from xuka.payments.queries import Refund
from xuka.payments.rules import IN_FLIGHT, LOOKS_BEFORE_ALARM, RefundState
from xuka.receipts.models import Receipt
from xuka.receipts.rules import CREDIT_NOTE, RECEIPT
from xuka.renewals import auto_rules
from xuka.renewals import queries as renewals
from xuka.renewals import withdrawal as withdrawals
from xuka.renewals.models import Order
from xuka.renewals.rules import State
from xuka.renewals.withdrawal_rules import GivenState, Why

LOOKS_BACK = timedelta(days=30)
# The letter that each of these facts asks for, once an order.
LETTERS = {
    "order.funded": "confirmed",
    "order.active": "renewed",
    "order.refunded": "refunded",
    "order.expired": "failed",
    "order.cancelled": "failed",
    "order.needs_a_person": "checking",
}
# What is no news any more once the order has gone on is not told late.
NEWS_WHILE = {
    "order.funded": (State.FUNDED, State.ACTIVATING),
    "order.needs_a_person": (State.NEEDS_A_PERSON,),
}
# Letters to the seller about an order: one for each time that it happened.
ALARMS = {
    "activation.duplicate": "alarm_staff_about_duplicate",
    "activation.carrier_loss": "alarm_staff_about_loss",
    "payment.disputed": "alarm_staff_about_dispute",
}

# The letter of each of these facts, one for each subject, and the job that writes it.
SINGLE = {
    "withdrawal.confirmed": ("acknowledge_withdrawal", "withdrawal_received"),
    "withdrawal.settled": ("answer_withdrawal", "withdrawal_answer"),
    "payout.asked": ("alarm_staff_about_payout", "staff_payout_asked"),
    "payout.paid": ("tell_payout", "payout_paid"),
    "payout.declined": ("tell_payout", "payout_declined"),
}

Span = tuple[datetime, datetime]


def missing_letters(now: datetime) -> list[tuple[str, UUID]]:
    """(job, subject) of every letter that should have been written in the last 30 days and is not in the outbox.

    Ten minutes are left to the letter's own job. A letter that is there counts, whatever its address.
    """
    span = (now - LOOKS_BACK, now - papers.OWN_TIME)
    return [
        *_about_orders(span),
        *_to_members(span),
        *_to_owners(span),
        *_about_returns(span),
        *_about_refunds(span),
        *_about_periods(span),
        *_single(span),
        *_to_the_seller(span),
        *_about_settlements(span),
    ]


def missing_papers(now: datetime) -> list[UUID]:
    """Orders funded in the last 30 days without their receipt, or given back, in part too, without a credit note."""
    issued = Receipt.objects.filter(cause=OuterRef("id"))
    unreceipted = ~Exists(issued.filter(kind=RECEIPT))
    in_part = Q(state=State.ACTIVE) & ~Q(given_back=[])
    given_back = Q(state__in=[State.REFUNDED, State.CANCELLED]) | in_part
    uncredited = given_back & ~Exists(issued.filter(kind=CREDIT_NOTE))
    funded = Order.objects.filter(funded_at__range=(now - LOOKS_BACK, now - papers.OWN_TIME))
    return list(funded.filter(unreceipted | uncredited).order_by("funded_at", "id").values_list("id", flat=True))


def _about_orders(span: Span) -> list[tuple[str, UUID]]:
    kind = Case(*(When(what=what, then=Value(kind)) for what, kind in LETTERS.items()), output_field=CharField())
    # The letter that a new eSIM is active goes by a name of its own.
    also = Case(When(what="order.active", then=Value("issued")), default=Value(""), output_field=CharField())
    named = Q(kind=OuterRef("kind")) | Q(kind=OuterRef("also"))
    written = Message.objects.filter(named, cause=OuterRef("subject"))
    rows = Fact.objects.filter(what__in=LETTERS, at__range=span).annotate(kind=kind, also=also).filter(~Exists(written))
    rows = rows.exclude(what="order.cancelled", why__in=auto_rules.CALLED_OFF)
    for what, states in NEWS_WHILE.items():
        rows = rows.filter(~Q(what=what) | Exists(Order.objects.filter(id=OuterRef("subject"), state__in=states)))
    found = rows.order_by("id").values_list("kind", "subject")
    return list(dict.fromkeys((f"write_letter_{kind}", subject) for kind, subject in found))


def _to_members(span: Span) -> list[tuple[str, UUID]]:
    """Of orders for somebody else's card, whose owner was not told."""
    theirs = (
        Order.objects.filter(id=OuterRef("subject"), line__owner__isnull=False)
        .exclude(customer=F("line__owner"))
        .exclude(is_gift=True)
    )
    told = Message.objects.filter(cause=OuterRef("subject"), kind=family_letters.RENEWED)
    rows = Fact.objects.filter(Exists(theirs), ~Exists(told), what="order.active", at__range=span)
    return [("tell_member_renewed", subject) for subject in rows.order_by("id").values_list("subject", flat=True)]


def _to_owners(span: Span) -> list[tuple[str, UUID]]:
    """Of cards that were given a renewal."""
    written = Message.objects.filter(kind="gift", cause=OuterRef("id"))
    given = Order.objects.filter(is_gift=True, state=State.ACTIVE, ended_at__range=span, line__owner__isnull=False)
    return [
        ("write_letter_gift", id) for id in given.filter(~Exists(written)).order_by("id").values_list("id", flat=True)
    ]


def _about_returns(span: Span) -> list[tuple[str, UUID]]:
    orders = filter(None, map(renewals.order, _subjects("order.surplus_returned", span)))
    return [
        ("write_letter_returned", order.id)
        for order in orders
        if not letters.is_told_with_the_end(order) and not messaging.messages_about(letters.cause_of_return(order))
    ]


def _single(span: Span) -> list[tuple[str, UUID]]:
    return [
        (job, subject)
        for what, (job, kind) in SINGLE.items()
        for subject in _subjects(what, span)
        if not _is_written(subject, kind)
    ]


def _about_periods(span: Span) -> list[tuple[str, UUID]]:
    """Of periods that were given back, or not; those that were withdrawn from are told with the answer to that."""
    found: list[tuple[str, UUID]] = []
    for what, kind in (("order.given_back", "given_back"), ("order.give_back_refused", "not_given_back")):
        for order_id in _subjects(what, span):
            rows = [row for row in withdrawals.given_back(order_id) if row.why != Why.WITHDRAWN]
            told = [row for row in rows if (row.state == GivenState.DONE) == (kind == "given_back")]
            if any(row.state != GivenState.ASKED and not _is_written(row.id, kind) for row in told):
                found.append((f"write_letter_{kind}", order_id))
    return found


def _about_refunds(span: Span) -> list[tuple[str, UUID]]:
    """Of refunds that still have failed, or of which still nobody hears."""
    found: list[tuple[str, UUID]] = []
    for refund in filter(None, map(payments.refund, _subjects("refund.failed", span))):
        if refund.state == RefundState.FAILED:
            if not messaging.messages_about(letters.cause_of_failure(refund)):
                found.append(("write_letter_refund_failed", refund.id))
            if not _seller_knows(refund, RefundState.FAILED):
                found.append(("alarm_staff_about_refund", refund.id))
    for refund in filter(None, map(payments.refund, _subjects("refund.stuck", span))):
        is_silent = refund.state in IN_FLIGHT and refund.looks >= LOOKS_BEFORE_ALARM
        if is_silent and not _seller_knows(refund, *IN_FLIGHT):
            found.append(("alarm_staff_about_refund", refund.id))
    return found


def _seller_knows(refund: Refund, *states: RefundState) -> bool:
    return any(_is_written(refund.id, f"staff_refund_{state}_{refund.round}") for state in states)


def _to_the_seller(span: Span) -> list[tuple[str, UUID]]:
    found = [
        (job, subject)
        for what, job in ALARMS.items()
        for subject in _subjects(what, span)
        if not _is_written(subject, f"staff_{what}_{_times(what, subject)}")
    ]
    what = "payment.mismatched"
    unknown = [one for one in _subjects(what, span) if not _is_written(one, "staff_payment_mismatched")]
    return [*found, *(("alarm_staff_about_payment", subject) for subject in unknown)]


def _about_settlements(span: Span) -> list[tuple[str, UUID]]:
    """Of reports on which something still is open."""
    what = "settlement.differs"
    return [
        ("alarm_staff_about_settlement", report)
        for report in _subjects(what, span)
        if not _is_written(report, f"staff_{what}_{_times(what, report)}") and payments.open_differences(report)
    ]


def _subjects(what: str, span: Span) -> list[UUID]:
    """What these facts are about, each once, the oldest first."""
    return list(
        dict.fromkeys(Fact.objects.filter(what=what, at__range=span).order_by("id").values_list("subject", flat=True))
    )


def _times(what: str, subject: UUID) -> int:
    return sum(fact.what == what for fact in journal.facts_about(subject))


def _is_written(cause: UUID, kind: str) -> bool:
    return any(one.kind == kind for one in messaging.messages_about(cause))
