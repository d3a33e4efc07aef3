"""What follows from what: the one page. A fact's name -> the jobs that are deferred when it is recorded.

Each job is given the fact's subject. A lost job is no loss for orders and messages: the sweeper finds the same work by
its due time, and letters and receipts by what the tables say; jobs of a worker that died are done by another.
"""

from __future__ import annotations

from collections.abc import Mapping

REACTIONS: Mapping[str, tuple[str, ...]] = {
    "order.placed": ("advance_order",),
    "order.funded": ("write_letter_confirmed",),
    "order.active": ("write_letter_renewed",),
    "order.refunded": ("write_letter_refunded",),
    "order.expired": ("write_letter_failed", "advance_order"),
    "order.cancelled": ("write_letter_failed", "advance_order"),
    "order.surplus_returned": ("write_letter_returned",),
    "order.needs_a_person": ("write_letter_checking",),
    "order.decided": ("advance_order",),
    "activation.duplicate": ("alarm_staff_about_duplicate",),
    "activation.carrier_loss": ("alarm_staff_about_loss",),
    "line.end_differs": ("alarm_staff_about_line",),
    "wallet.credited": ("advance_waiting_orders",),
    "payment.confirmed": ("advance_order",),
    "payment.closed": ("advance_order",),
    "payment.closing": ("advance_payment",),
    "payment.event_stored": ("digest_event",),
    "payment.mismatched": ("alarm_staff_about_payment",),
    "payment.disputed": ("alarm_staff_about_dispute",),
    "refund.asked": ("advance_refund",),
    "refund.done": ("advance_order",),
    "refund.decided": ("advance_order",),
    "refund.failed": ("alarm_staff_about_refund", "write_letter_refund_failed"),
    "refund.stuck": ("alarm_staff_about_refund",),
    "card.forgotten": ("forget_card",),
    "message.queued": ("send_message",),
}
