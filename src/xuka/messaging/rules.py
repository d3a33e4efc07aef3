"""When a message is tried again. Pure."""

from __future__ import annotations

from datetime import timedelta

# Longer than any channel may take for one letter, so that two senders never hold one message.
LEASE = timedelta(minutes=3)

# After the first try, the second, and so on; after the last of these tries the message has failed.
BACK_OFF = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))
TRIES = len(BACK_OFF) + 1


def pause_after(tries: int, *, at_least: timedelta = timedelta()) -> timedelta | None:
    """How long to wait after this many tries (from 1) failed; None when it was the last.

    Args:
        at_least: what the other side asked for.
    """
    return max(BACK_OFF[tries - 1], at_least) if tries < TRIES else None
