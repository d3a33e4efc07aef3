"""Jobs: parse, one call, done. What follows from what is in ``reactions.py``; what is due, the sweeper finds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from procrastinate import JobContext, RetryStrategy, builtin_tasks
from procrastinate.contrib.django import app

from xuka.activation import cancelling, throttling
from xuka.activation import operations as activation
from xuka.interfaces import clock
from xuka.interfaces.jobs import (
    autorenewing,
    deliveries,
    family_letters,
    givings,
    letters,
    papers,
    reminding,
    unwritten,
    usage,
)
from xuka.interfaces.web.recovery import forget_sign_ins
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.rules import CannotStart
from xuka.messaging import operations as messaging
from xuka.messaging import queries as messaging_queries
from xuka.metering import counting, looking, pools, windows
from xuka.metering import queries as metering_queries
from xuka.payments import events, providers, reconciliation, refunds
from xuka.payments import operations as payments
from xuka.payments import queries as payments_queries
from xuka.renewals import giving_back, points, withdrawal
from xuka.renewals import operations as renewals
from xuka.renewals import queries as renewals_queries
from xuka.renewals.rules import State
from xuka.support import recovery as recoveries

log = logging.getLogger(__name__)

# An order needs seven steps at most; more in one go is a mistake of ours, and the sweeper will come back to it.
STEPS_IN_A_ROW = 20
# A letter's own job comes back: after 2, 4, 8 … seconds, for a day. After that it is found by ``sweep_letters``.
PERSISTENT = RetryStrategy(max_attempts=17, exponential_wait=2)
BALANCE_EVERY = timedelta(minutes=5)


@app.task(name="advance_order")
def advance_order(subject: str) -> None:
    """Move an order as far as it goes."""
    _while_it_moves(renewals.advance, order_id=UUID(subject))


@app.task(name="advance_waiting_orders")
def advance_waiting_orders(subject: str) -> None:
    """Money came into a customer's wallet: the orders that wait for it go on."""
    for order_id in renewals_queries.waiting_orders(UUID(subject)):
        advance_order(str(order_id))


@app.task(name="send_message")
def send_message(subject: str) -> None:
    """Send one message of the outbox."""
    messaging.send(message_id=UUID(subject), now=clock.now())


@app.task(name="complete_recovery")
def complete_recovery(subject: str) -> None:
    """Give an account its new address, once the day has passed in which the old one could stop it."""
    recoveries.complete(id=UUID(subject), forget_sign_ins=forget_sign_ins, now=clock.now())


# The letters about an order, by the job that writes each; every one of them is written once, or comes back.
LETTERS = {
    "write_letter_confirmed": "confirmed",
    "write_letter_renewed": "renewed",
    "write_letter_failed": "failed",
    "write_letter_refunded": "refunded",
    "write_letter_returned": "returned",
}
ALARMS = {
    "alarm_staff_about_loss": "activation.carrier_loss",
    "alarm_staff_about_duplicate": "activation.duplicate",
    "alarm_staff_about_dispute": "payment.disputed",
}


def _letter_job(name: str, kind: str) -> None:
    @app.task(name=name, retry=PERSISTENT)
    def write(subject: str) -> None:
        letters.write(order_id=UUID(subject), kind=kind, now=clock.now())


def _alarm_job(name: str, what: str) -> None:
    @app.task(name=name, retry=PERSISTENT)
    def alarm(subject: str) -> None:
        letters.alarm(order_id=UUID(subject), what=what, now=clock.now())


for _name, _kind in LETTERS.items():
    _letter_job(_name, _kind)
for _name, _what in ALARMS.items():
    _alarm_job(_name, _what)


@app.task(name="write_letter_checking", retry=PERSISTENT)
def write_letter_checking(subject: str) -> None:
    """Tell the customer that a person is looking, and the seller that one is needed."""
    letters.write(order_id=UUID(subject), kind="checking", now=clock.now())
    letters.alarm(order_id=UUID(subject), what="order.needs_a_person", now=clock.now())


@app.task(name="write_letter_gift", retry=PERSISTENT)
def write_letter_gift(subject: str) -> None:
    """Tell the owner of a card that somebody gave it a renewal; nothing where the order was no gift."""
    letters.tell_owner(order_id=UUID(subject), now=clock.now())


@app.task(name="write_letter_refund_failed", retry=PERSISTENT)
def write_letter_refund_failed(subject: str) -> None:
    """Tell the customer that a refund did not arrive, and that a person sees to it."""
    letters.write_about_refund(refund_id=UUID(subject), now=clock.now())


@app.task(name="alarm_staff_about_payment", retry=PERSISTENT)
def alarm_staff_about_payment(subject: str) -> None:
    """Tell the seller that something else was captured than was asked."""
    letters.alarm_about_payment(payment_id=UUID(subject), now=clock.now())


@app.task(name="alarm_staff_about_refund", retry=PERSISTENT)
def alarm_staff_about_refund(subject: str) -> None:
    """Tell the seller that a refund failed, or that nobody hears of it."""
    letters.alarm_about_refund(refund_id=UUID(subject), now=clock.now())


@app.task(name="alarm_staff_about_settlement", retry=PERSISTENT)
def alarm_staff_about_settlement(subject: str) -> None:
    """Tell the seller that a settlement report and the books do not agree."""
    letters.alarm_about_settlement(report_id=UUID(subject), now=clock.now())


@app.task(name="alarm_staff_about_line", retry=PERSISTENT)
def alarm_staff_about_line(subject: str) -> None:
    """Tell the seller that the carrier ends a card's period at another time than we do."""
    letters.alarm_about_line(line_id=UUID(subject), now=clock.now())


@app.task(name="advance_payment")
def advance_payment(subject: str) -> None:
    """Find out what became of a payment."""
    _while_it_moves(payments.advance, payment_id=UUID(subject))


@app.task(name="advance_refund")
def advance_refund(subject: str) -> None:
    """Ask for a refund, or find out what became of it."""
    _while_it_moves(refunds.advance, refund_id=UUID(subject))


@app.task(name="digest_event")
def digest_event(subject: str) -> None:
    """Look at what a webhook is about."""
    events.digest(event_id=UUID(subject), now=clock.now())


# Jobs that wait while a shop is updated still have the old name; what they forget is swept by nobody.
@app.task(name="forget_method", aliases=["forget_card"], retry=PERSISTENT)
def forget_method(subject: str) -> None:
    """Tell the provider to forget what its owner does not want kept any more."""
    payments.forget_method_there(saved_id=UUID(subject))


# No sweep finds what these would have done: each comes back until it is done.
@app.task(name="cut_meter", retry=PERSISTENT)
def cut_meter(subject: str) -> None:
    """A line's periods changed: its use is counted in cells of the new windows, and looked at."""
    counting.lay_out(line_ids=[UUID(subject)], now=clock.now())


@app.task(name="cut_meters_of_member", retry=PERSISTENT)
def cut_meters_of_member(subject: str) -> None:
    """Somebody left a family: what they shared and used together is counted apart from then on."""
    if line_ids := pools.line_ids_of(UUID(subject)):
        counting.lay_out(line_ids=line_ids, now=clock.now())


@app.task(name="begin_use", retry=PERSISTENT)
def begin_use(subject: str) -> None:
    """A line was used of which a period waits for that: it starts with the first record since it was paid for."""
    line_id, now = UUID(subject), clock.now()
    since = lines_queries.waiting_for_use([line_id], now).get(line_id)
    used_at = metering_queries.first_use(line_id, since) if since else None
    if used_at is not None:
        lines.begin_use(line_id=line_id, used_at=used_at, who="clock", now=now)


@app.task(name="start_next_if_used_up", retry=PERSISTENT)
def start_next_if_used_up(subject: str) -> None:
    """A line has used its period's data up: the next begins, where that one's plan says so."""
    line_id, now = UUID(subject), clock.now()
    for mark in windows.crossed([line_id], since=now):
        if (mark.name, mark.number, mark.what) == ("data", 0, "100"):
            with suppress(CannotStart):
                lines.start_next_now(line_id=line_id, who="clock", now=now, because="used_up", instead_of=mark.period)


@app.task(name="ask_for_speed", retry=PERSISTENT)
def ask_for_speed(subject: str) -> None:
    """A line's speed class changed: its carrier is asked for that speed, where it can throttle."""
    meter = metering_queries.meter_of(UUID(subject))
    if meter is not None:
        with transaction.atomic():
            throttling.ask_for(line_id=meter.line_id, kbps=meter.kbps, now=clock.now())


@app.task(name="advance_throttle")
def advance_throttle(subject: str) -> None:
    """Carry the wished speed of a line to its carrier."""
    throttling.advance(line_id=UUID(subject), now=clock.now())


@app.task(name="compare_throttle")
def compare_throttle(subject: str) -> None:
    """See whether the carrier still has the speed that a line should have."""
    throttling.reconcile(line_id=UUID(subject), now=clock.now())


@app.periodic(cron="* * * * * */2", periodic_id="sweep")
@app.task(name="sweep", queueing_lock="sweep", pass_context=False)
def sweep(timestamp: int) -> None:
    """Find everything that is due by our own clock, whatever became of the jobs."""
    for event_id in payments_queries.undigested_events():
        _guarded(digest_event, str(event_id))
    for payment_id in payments_queries.due_payments(clock.now()):
        _guarded(advance_payment, str(payment_id))
    for refund_id in payments_queries.due_refunds(clock.now()):
        _guarded(advance_refund, str(refund_id))
    for order_id in renewals_queries.due_orders(clock.now()):
        _guarded(advance_order, str(order_id))
    for line_id in renewals_queries.due_auto_renewals(clock.now()):
        _guarded(advance_auto, str(line_id))
    for message_id in messaging_queries.due_messages(clock.now()):
        _guarded(send_message, str(message_id))
    for recovery_id in recoveries.due(clock.now()):
        _guarded(complete_recovery, str(recovery_id))
    _undo_what_is_due()
    for line_id in throttling.due(clock.now()):
        _guarded(advance_throttle, str(line_id))
    for line_id in throttling.due_looks(clock.now()):
        _guarded(compare_throttle, str(line_id))
    lines.start_due_periods(now=clock.now())
    _look_at_meters()


def _undo_what_is_due() -> None:
    """Withdrawals that were confirmed, and packages that carriers are to take back."""
    for withdrawal_id in withdrawal.due(clock.now()):
        _guarded(advance_withdrawal, str(withdrawal_id))
    for attempt_id in cancelling.due(clock.now()):
        _guarded(advance_cancellation, str(attempt_id))


def _look_at_meters() -> None:
    """Look at the meters that may have passed a mark, many at once; one that cannot be looked at stops no other."""
    due = metering_queries.due_meters(clock.now(), limit=10_000)
    for begin in range(0, len(due), 500):
        some = due[begin : begin + 500]
        try:
            looking.look(some, now=clock.now())
        except Exception:
            log.exception("looking at meters, one by one now")
            for meter_id in some:
                _guarded(look_at_meter, str(meter_id))


@app.task(name="look_at_meter")
def look_at_meter(subject: str) -> None:
    """Look at one meter: what it has crossed, and its speed class."""
    looking.look([int(subject)], now=clock.now())


@app.task(name="issue_papers")
def issue_papers(subject: str) -> None:
    """The receipt of a funded order, and the credit note when it was given back; no letter goes with them."""
    order = renewals_queries.order(UUID(subject))
    if order is not None:
        is_given_back = order.state in {State.REFUNDED, State.CANCELLED}
        papers.issue(order, is_given_back=is_given_back, now=clock.now())


# Not with every sweep: it reads a month of the journal.
@app.periodic(cron="*/10 * * * *", periodic_id="sweep_letters")
@app.task(name="sweep_letters", queueing_lock="sweep_letters", pass_context=False)
def sweep_letters(timestamp: int) -> None:
    """Write the letters and issue the receipts that their jobs gave up. Again: changes nothing."""
    for job, subject in unwritten.missing_letters(clock.now()):
        _guarded(app.tasks[job], str(subject))
    for order_id in unwritten.missing_papers(clock.now()):
        _guarded(issue_papers, str(order_id))


# The jobs about reminders, by what each is told; every one of them may come again.
REMINDERS = {
    "plan_reminders": (reminding.plan, "line_id"),
    "plan_reminders_after_order": (reminding.plan_after_order, "order_id"),
    "plan_reminders_of_customer": (reminding.plan_of_customer, "customer"),
    "hear_usage": (reminding.hear, "line_id"),
    "put_back_reminders": (reminding.put_back, "letter"),
    "note_message_failed": (reminding.note_failed, "message_id"),
}


# Those about automatic renewal; what they leave undone, the sweeper finds by its due time.
AUTO = {
    "advance_auto": (autorenewing.advance, "line_id"),
    "advance_auto_after_order": (autorenewing.advance_after_order, "order_id"),
    "advance_auto_with_money": (autorenewing.try_again_with_money, "customer"),
    "tell_auto": (autorenewing.tell, "line_id"),
    "pause_auto_of_method": (autorenewing.pause_of_method, "saved_id"),
    "alarm_staff_about_auto": (autorenewing.alarm_about_burst, "line_id"),
    "ask_staff_to_review": (reminding.ask_to_review, "line_id"),
}

# The letters about families, each written once.
FAMILIES = {
    "tell_member_renewed": (family_letters.tell_renewed, "order_id"),
    "tell_family_joined": (family_letters.tell_joined, "membership_id"),
    "tell_family_left": (family_letters.tell_left, "membership_id"),
    "tell_family_handed_over": (family_letters.tell_handed_over, "membership_id"),
    "tell_pool_ended": (family_letters.tell_pool_ended, "line_id"),
}


# Those about withdrawals and what is given back; every one of them may come again.
GIVINGS = {
    "acknowledge_withdrawal": (givings.acknowledge, "withdrawal_id"),
    "answer_withdrawal": (givings.answer, "withdrawal_id"),
    "write_letter_given_back": (givings.write_about_periods, "order_id"),
    "write_letter_not_given_back": (givings.write_about_periods, "order_id"),
    "alarm_staff_about_payout": (givings.alarm_about_payout, "payout_id"),
    "tell_payout": (givings.tell_payout, "payout_id"),
    "advance_withdrawal": (withdrawal.advance, "withdrawal_id"),
    "advance_cancellation": (cancelling.advance, "attempt_id"),
    "hear_of_cancellation": (giving_back.hear, "order_id"),
}


def _told_job(name: str, act: Callable[..., object], told: str) -> None:
    @app.task(name=name, retry=PERSISTENT)
    def do(subject: str) -> None:
        act(**{told: UUID(subject)}, now=clock.now())


for _name, (_act, _told) in (REMINDERS | AUTO | FAMILIES | GIVINGS).items():
    _told_job(_name, _act, _told)
advance_auto = app.tasks["advance_auto"]
advance_withdrawal = app.tasks["advance_withdrawal"]
advance_cancellation = app.tasks["advance_cancellation"]


@app.periodic(cron="* * * * * */2", periodic_id="tell_reminders")
@app.task(name="tell_reminders", queueing_lock="tell_reminders", pass_context=False)
def tell_reminders(timestamp: int) -> None:
    """What is due is put into words and into the outbox; what is not true any more is dropped."""
    reminding.tell(now=clock.now())


@app.periodic(cron="7 4 * * *", periodic_id="plan_missing_reminders")
@app.task(name="plan_missing_reminders", queueing_lock="plan_missing_reminders", pass_context=False)
def plan_missing_reminders(timestamp: int) -> None:
    """Every card with an end ahead has its reminders, whatever became of the jobs. Again: changes nothing."""
    reminding.plan_missing(now=clock.now())


@app.task(name="earn_points", retry=PERSISTENT)
def earn_points(subject: str) -> None:
    """An order was delivered: its periods earn points."""
    points.earn(order_id=UUID(subject), now=clock.now())


@app.task(name="warn_about_points", retry=PERSISTENT)
def warn_about_points(subject: str) -> None:
    """Tell a customer that points which nobody touches lapse."""
    letters.warn_about_points(customer=UUID(subject), now=clock.now())


@app.periodic(cron="37 4 * * *", periodic_id="look_at_points")
@app.task(name="look_at_points", queueing_lock="look_at_points", pass_context=False)
def look_at_points(timestamp: int) -> None:
    """Points that nobody touches: their owners are told, and later they lapse. Again: changes nothing."""
    points.warn_and_lapse(now=clock.now())


@app.periodic(cron="* * * * * */10", periodic_id="read_deliveries")
@app.task(name="read_deliveries", queueing_lock="read_deliveries", pass_context=False)
def read_deliveries(timestamp: int) -> None:
    """Fetch and read the usage records that wait in folders and on senders' servers. Again: counts nothing twice."""
    deliveries.read_all(now=clock.now())


@app.periodic(cron="27 3 * * *", periodic_id="drop_old_usage")
@app.task(name="drop_old_usage", queueing_lock="drop_old_usage", pass_context=False)
def drop_old_usage(timestamp: int) -> None:
    """Usage records are kept for so many days; what was counted stays. Again: changes nothing."""
    counting.drop_old(now=clock.now(), keep=timedelta(days=settings.USAGE_RECORDS_DAYS))


# When the bills of a day in Beijing are made and PayPal's report of a day in UTC has mostly reached its end.
@app.periodic(cron="47 5 * * *", periodic_id="read_settlements")
@app.task(name="read_settlements", queueing_lock="read_settlements", pass_context=False)
def read_settlements(timestamp: int) -> None:
    """Hold every provider's settlement reports that are not read yet against the books. Again: changes nothing."""
    for name in providers.installed():
        for day in reconciliation.days_due(name, clock.now()):
            try:
                reconciliation.reconcile(provider=name, day=day, now=clock.now())
            except Exception:
                log.exception("the settlement of %s on %s; it is read tomorrow", name, day)


@app.periodic(cron="* * * * *", periodic_id="read_carriers")
@app.task(name="read_carriers", queueing_lock="read_carriers")
def read_carriers(timestamp: int) -> None:
    """Read the seller's credit and the cards' usage, no more often than each carrier allows."""
    now = clock.now()
    for name in settings.CARRIERS:
        activation.refresh_balance(carrier_name=name, now=now, fresh=BALANCE_EVERY)
        asked = metering_queries.asked_since(now - activation.carrier(name).usage_every)
        for line in lines_queries.lines_in_use(carrier=name):
            if line.id not in asked:
                usage.read(line, now=clock.now())


@app.periodic(cron="* * * * *", periodic_id="retry_stalled")
@app.task(name="retry_stalled", queueing_lock="retry_stalled", pass_context=True)
async def retry_stalled(context: JobContext, timestamp: int) -> None:
    """Jobs of a worker that died are done by another."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=30):
        await app.job_manager.retry_job(job)


@app.periodic(cron="17 3 * * *", periodic_id="forget_old_jobs")
@app.task(name="forget_old_jobs", queueing_lock="forget_old_jobs", pass_context=True)
async def forget_old_jobs(context: JobContext, timestamp: int) -> None:
    """Finished jobs are of no use after three days: the journal is the memory."""
    await builtin_tasks.remove_old_jobs(context, max_hours=72, remove_failed=True)


def _while_it_moves(advance: Callable[..., bool], **what: UUID) -> None:
    for _ in range(STEPS_IN_A_ROW):
        if not advance(**what, now=clock.now()):
            return
    log.error("%s still moves after %s steps", what, STEPS_IN_A_ROW)


def _guarded(job, subject: str) -> None:
    """One order in trouble must not keep the others waiting."""
    try:
        job(subject)
    except Exception:
        log.exception("%s %s failed; it will be swept again", job.name, subject)
