"""Jobs: parse, one call, done. What follows from what is in ``reactions.py``; what is due, the sweeper finds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from procrastinate import JobContext, RetryStrategy, builtin_tasks
from procrastinate.contrib.django import app

from xuka.activation import operations as activation
from xuka.interfaces import clock
from xuka.interfaces.jobs import letters, papers, unwritten, usage
from xuka.interfaces.web.recovery import forget_sign_ins
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.messaging import operations as messaging
from xuka.messaging import queries as messaging_queries
from xuka.metering import queries as metering_queries
from xuka.payments import events, refunds
from xuka.payments import operations as payments
from xuka.payments import queries as payments_queries
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


@app.task(name="forget_card", retry=PERSISTENT)
def forget_card(subject: str) -> None:
    """Tell the provider to forget a card."""
    payments.forget_card_there(card_id=UUID(subject))


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
    for message_id in messaging_queries.due_messages(clock.now()):
        _guarded(send_message, str(message_id))
    for recovery_id in recoveries.due(clock.now()):
        _guarded(complete_recovery, str(recovery_id))
    lines.start_due_periods(now=clock.now())


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
