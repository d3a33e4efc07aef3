"""A usage record, as any source hands it in, and why one is not counted. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

# Carriers send late: what is older has been billed, and its windows are over.
LATEST = timedelta(days=45)
# What may still come again must be known as come: a day is not forgotten before nothing of it is taken any more.
KEPT_AT_LEAST = LATEST + timedelta(days=2)
# Clocks differ a little.
AHEAD = timedelta(minutes=10)
LONGEST = timedelta(days=31)
# 20 Gbit/s, the peak of 5G (ITU-R M.2410), and a second for what rounding left out.
BYTES_A_SECOND = 2_500_000_000


class Record(NamedTuple):
    """What one line used in one stretch of time.

    Args:
        record_id: the source's own id of it, derived from the fact: the same use sent again has the same id.
        started_at, ended_at: aware.
        network: MCC-MNC ("206-01") or "" where it is not told.
        is_abroad, is_hotspot: None where the source does not tell; abroad is then decided by the network's country.
        revision: 0 as first sent; a higher one corrects the record of this id, whose start it keeps.
    """

    record_id: str
    iccid: str
    started_at: datetime
    ended_at: datetime
    up_bytes: int = 0
    down_bytes: int = 0
    network: str = ""
    is_abroad: bool | None = None
    is_hotspot: bool | None = None
    voice_seconds: int = 0
    sms: int = 0
    revision: int = 0


def sorted_out(records: Iterable[Record], now: datetime) -> tuple[list[Record], list[tuple[int, Record, str]]]:
    """The records that nothing speaks against, and the others, each with its place from 1 and the word for why not."""
    good: list[Record] = []
    bad: list[tuple[int, Record, str]] = []
    earliest, latest = now - LATEST, now + AHEAD
    for place, record in enumerate(records, start=1):
        if not _is_plainly_good(record, earliest, latest):
            why = why_rejected(record, now)
            if why is not None:
                bad.append((place, record, why))
                continue
        good.append(record)
    return good, bad


def _is_plainly_good(record: Record, earliest: datetime, latest: datetime) -> bool:
    """Whether the record is as nearly all are: seen at one glance, for there are tens of thousands a second."""
    id, iccid, started_at, ended_at, up_bytes, down_bytes, network, _, _, voice_seconds, sms, revision = record
    return (
        0 < len(id) <= 120
        and id.isalnum()
        and id.isascii()
        and len(iccid) in {19, 20}
        and iccid.isdigit()
        and iccid.isascii()
        and iccid.startswith("89")
        and started_at.tzinfo is not None
        and ended_at.tzinfo is not None
        and earliest <= started_at <= ended_at <= latest
        and ended_at - started_at <= LONGEST
        and up_bytes >= 0 <= down_bytes
        and up_bytes + down_bytes <= BYTES_A_SECOND
        and 0 == voice_seconds == sms == revision
        and _is_network(network)
    )


@lru_cache(maxsize=4096)
def _is_network(text: str) -> bool:
    return not text or re.fullmatch(r"[0-9]{3}-[0-9]{2,3}", text, flags=re.ASCII) is not None


def why_rejected(record: Record, now: datetime) -> str | None:
    """The word for why this record is not counted; None where nothing speaks against it.

    Words: ``no_record_id`` (missing, over 120 signs, or with signs that cannot be seen), ``not_an_iccid``, ``no_zone``,
    ``ends_before_start``, ``too_long`` (over 31 days), ``in_the_future`` (by more than 10 minutes), ``too_old`` (over
    45 days), ``negative``, ``absurd`` (faster than any network), ``not_a_network``. That its line is not known is found
    when it is counted: ``unknown_line``.
    """
    return next((word for word, is_wrong in _CHECKS if is_wrong(record, now)), None)


def _is_absurd(record: Record, now: datetime) -> bool:
    seconds = (record.ended_at - record.started_at).total_seconds() + 1
    return (
        record.up_bytes + record.down_bytes > seconds * BYTES_A_SECOND
        or record.voice_seconds > seconds + 60
        or record.sms > 1_000_000
        or record.revision > 1_000
    )


_CHECKS: tuple[tuple[str, Callable[[Record, datetime], bool]], ...] = (
    ("no_record_id", lambda r, now: not (0 < len(r.record_id) <= 120 and r.record_id.isprintable())),
    ("not_an_iccid", lambda r, now: re.fullmatch(r"89[0-9]{17,18}", r.iccid, flags=re.ASCII) is None),
    ("no_zone", lambda r, now: r.started_at.tzinfo is None or r.ended_at.tzinfo is None),
    ("ends_before_start", lambda r, now: r.ended_at < r.started_at),
    ("too_long", lambda r, now: r.ended_at - r.started_at > LONGEST),
    ("in_the_future", lambda r, now: r.ended_at > now + AHEAD),
    ("too_old", lambda r, now: r.started_at < now - LATEST),
    ("negative", lambda r, now: min(r.up_bytes, r.down_bytes, r.voice_seconds, r.sms, r.revision) < 0),
    ("absurd", _is_absurd),
    ("not_a_network", lambda r, now: not _is_network(r.network)),
)
