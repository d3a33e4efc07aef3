"""What goes wrong between a network and whoever counts: late, again, out of order, wrong at first. Pure and seeded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from sandbox.phones.use import Phone, Used, used

LATEST = timedelta(days=44)
CORRECTED_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Mischief:
    """How records come; as they should unless something is said.

    Args:
        repeat: the share of records that are sent again with the next ones of the same batch.
        shuffle: batches are out of order.
        late: the share of records that come up to ``latest_days`` late.
        corrections: the share of records that first come with a wrong volume, and right an hour later as revision 1.
        split: no batch is larger than this.
    """

    repeat: float = 0
    shuffle: bool = False
    late: float = 0
    latest_days: float = LATEST.days
    corrections: float = 0
    split: int = 2_000
    seed: int = 0

    @property
    def keeps_back(self) -> bool:
        """Whether there are records that nobody has heard of after their end."""
        return bool(self.late or self.corrections)


GOOD = Mischief()


def due(phone: Phone, begin: datetime, end: datetime, how: Mischief = GOOD) -> list[Used]:
    """What comes from this phone in [begin, end), in the order in which it comes. Spans that tile tile here too."""
    if not how.keeps_back:
        return used(phone, begin, end)
    longest = timedelta(days=how.latest_days) + CORRECTED_AFTER
    coming = [one for record in used(phone, begin - longest, end) for one in _comes(record, how)]
    return [record for at, record in sorted(coming) if begin <= at < end]


def _comes(record: Used, how: Mischief) -> Iterator[tuple[datetime, Used]]:
    """When this record comes, and as what."""
    chance = Random(f"{how.seed}/{record.record_id}")  # noqa: S311 - repeating is the point
    at = record.ended_at
    if chance.random() < how.late:
        at += timedelta(days=chance.uniform(0, how.latest_days))
    if chance.random() < how.corrections:
        yield at, record._replace(down_bytes=record.down_bytes * 2)
        yield at + CORRECTED_AFTER, record._replace(revision=1)
    else:
        yield at, record


def batches(records: Sequence[Used], how: Mischief = GOOD) -> list[list[Used]]:
    """These records in batches, in order, or repeated and shuffled as is wished; [] for none."""
    chance = Random(f"{how.seed}/{len(records)}/{records[0].record_id if records else ''}")  # noqa: S311
    every = list(records)
    if how.repeat:
        every = [one for record in every for one in [record] * (1 + (chance.random() < how.repeat))]
    if how.shuffle:
        chance.shuffle(every)
    return [every[n : n + how.split] for n in range(0, len(every), how.split)]
