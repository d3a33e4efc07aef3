"""Jobs: parse, one call, done. What follows from what is in ``reactions.py``; what is due, the sweeper finds."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from procrastinate import JobContext, RetryStrategy, builtin_tasks
from procrastinate.contrib.django import app

from xuka.activation import operations as activation
from xuka.interfaces import clock
from xuka.interfaces.jobs import letters, usage
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.messaging import operations as messaging
from xuka.messaging import queries as messaging_queries
from xuka.metering import queries as metering_queries
from xuka.renewals import operations as renewals
from xuka.renewals import queries as renewals_queries

log = logging.getLogger(__name__)

# An order needs seven steps at most; more in one go is a mistake of ours, and the sweeper will come back to it.
STEPS_IN_A_ROW = 20
# Nothing sweeps for letters that were never written, so the job itself comes back: after 2, 4, 8 … seconds, for a day.
PERSISTENT = RetryStrategy(max_attempts=17, exponential_wait=2)
BALANCE_EVERY = timedelta(minutes=5)


@app.task(name="advance_order")
def advance_order(subject: str) -> None:
    """Move an order as far as it goes."""
    for _ in range(STEPS_IN_A_ROW):
        if not renewals.advance(order_id=UUID(subject), now=clock.now()):
            return
    log.error("order %s still moves after %s steps", subject, STEPS_IN_A_ROW)


@app.task(name="advance_waiting_orders")
def advance_waiting_orders(subject: str) -> None:
    """Money came into a customer's wallet: the orders that wait for it go on."""
    for order_id in renewals_queries.waiting_orders(UUID(subject)):
        advance_order(str(order_id))


@app.task(name="send_message")
def send_message(subject: str) -> None:
    """Send one message of the outbox."""
    messaging.send(message_id=UUID(subject), now=clock.now())


@app.task(name="write_letter_confirmed", retry=PERSISTENT)
def write_letter_confirmed(subject: str) -> None:
    """Tell the customer that the order is paid and under way."""
    letters.write(order_id=UUID(subject), kind="confirmed", now=clock.now())


@app.task(name="write_letter_renewed", retry=PERSISTENT)
def write_letter_renewed(subject: str) -> None:
    """Tell the customer that the card is renewed."""
    letters.write(order_id=UUID(subject), kind="renewed", now=clock.now())


@app.task(name="write_letter_failed", retry=PERSISTENT)
def write_letter_failed(subject: str) -> None:
    """Tell the customer that the order ended without a renewal."""
    letters.write(order_id=UUID(subject), kind="failed", now=clock.now())


@app.task(name="write_letter_refunded", retry=PERSISTENT)
def write_letter_refunded(subject: str) -> None:
    """Tell the customer that the money is back."""
    letters.write(order_id=UUID(subject), kind="refunded", now=clock.now())


@app.task(name="write_letter_checking", retry=PERSISTENT)
def write_letter_checking(subject: str) -> None:
    """Tell the customer that a person is looking, and the seller that one is needed."""
    letters.write(order_id=UUID(subject), kind="checking", now=clock.now())
    letters.alarm(order_id=UUID(subject), what="order.needs_a_person", now=clock.now())


@app.task(name="alarm_staff_about_loss", retry=PERSISTENT)
def alarm_staff_about_loss(subject: str) -> None:
    """Tell the seller that a carrier took something nobody pays for."""
    letters.alarm(order_id=UUID(subject), what="activation.carrier_loss", now=clock.now())


@app.task(name="alarm_staff_about_duplicate", retry=PERSISTENT)
def alarm_staff_about_duplicate(subject: str) -> None:
    """Tell the seller that a carrier took one renewal more than once."""
    letters.alarm(order_id=UUID(subject), what="activation.duplicate", now=clock.now())


@app.task(name="alarm_staff_about_line", retry=PERSISTENT)
def alarm_staff_about_line(subject: str) -> None:
    """Tell the seller that the carrier ends a card's period at another time than we do."""
    letters.alarm_about_line(line_id=UUID(subject), now=clock.now())


@app.periodic(cron="* * * * * */2", periodic_id="sweep")
@app.task(name="sweep", queueing_lock="sweep", pass_context=False)
def sweep(timestamp: int) -> None:
    """Find everything that is due by our own clock, whatever became of the jobs: orders, messages, queued periods."""
    for order_id in renewals_queries.due_orders(clock.now()):
        _guarded(advance_order, str(order_id))
    for message_id in messaging_queries.due_messages(clock.now()):
        _guarded(send_message, str(message_id))
    lines.start_due_periods(now=clock.now())


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


def _guarded(job, subject: str) -> None:
    """One order in trouble must not keep the others waiting."""
    try:
        job(subject)
    except Exception:
        log.exception("%s %s failed; it will be swept again", job.name, subject)
