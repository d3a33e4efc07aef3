"""What follows from what: the one page. A fact's name -> the jobs that are deferred when it is recorded.

Each job is given the fact's subject. A lost job is no loss: the sweeper finds the same work by its due time.
"""

from __future__ import annotations

from collections.abc import Mapping

REACTIONS: Mapping[str, tuple[str, ...]] = {
    "order.placed": ("advance_order",),
    "order.decided": ("advance_order",),
    "order.cancelled": ("advance_order",),
    "wallet.credited": ("advance_waiting_orders",),
    "message.queued": ("send_message",),
}
