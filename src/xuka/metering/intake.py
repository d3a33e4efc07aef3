"""Lines in, counters out: what every way in has in common, once it has split what came into lines."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import F

from xuka.metering import counting
from xuka.metering.mapping import Told
from xuka.metering.models import Rejected, Source
from xuka.metering.records import Record

_KEPT_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that was not counted, and the word for why."""

    told: Told
    reason: str


@dataclass(slots=True)
class Taken:
    """What became of the lines: how many were counted, known already, corrected; and those refused, in order."""

    counted: int = 0
    repeated: int = 0
    corrected: int = 0
    refused: list[Refused] = field(default_factory=list)

    @property
    def reasons(self) -> Tally[str]:
        """How many were refused, by reason."""
        return Tally(refused.reason for refused in self.refused)


@transaction.atomic
def take(
    *, source: Source, lines: Sequence[Told], now: datetime, known_until: datetime | None = None, keep: bool = True
) -> Taken:
    """Count what these lines tell, all in one transaction. Again: changes nothing, also of what is kept.

    Args:
        known_until: see ``counting.count``.
        keep: store what is refused; False where the caller keeps it.
    """
    taken = Taken()
    if not lines:
        counting.count(source=source, records=(), now=now, known_until=known_until)
    for begin in range(0, len(lines), counting.BATCH):
        _take_some(source, lines[begin : begin + counting.BATCH], now, known_until, taken)
    fresh = _not_kept_yet(source, taken.refused) if keep and taken.refused else taken.refused
    if keep:
        _keep(source, fresh, now)
    # ``counting.count`` has told of what it refused itself, kept already or not.
    told = sum(isinstance(refused.told.said, Record) for refused in taken.refused)
    Source.objects.filter(id=source.id).update(rejected=F("rejected") + len(fresh) - told)
    return taken


def _take_some(
    source: Source, lines: Sequence[Told], now: datetime, known_until: datetime | None, taken: Taken
) -> None:
    good = [(told, told.said) for told in lines if isinstance(told.said, Record)]
    counted = counting.count(
        source=source, records=[record for _, record in good], now=now, known_until=known_until, keep_rejected=False
    )
    taken.counted += counted.counted
    taken.repeated += counted.repeated
    taken.corrected += counted.corrected
    refused = [Refused(told, told.said) for told in lines if isinstance(told.said, str)]
    refused += [Refused(good[reject.place - 1][0], reject.reason) for reject in counted.rejected]
    if refused and counted.rejected:
        order = {id(told): at for at, told in enumerate(lines)}
        refused.sort(key=lambda one: order[id(one.told)])
    taken.refused += refused


def _not_kept_yet(source: Source, refused: Sequence[Refused]) -> list[Refused]:
    """A batch that comes again is kept once: who sends it again could not know that it had arrived."""
    of_batch = Rejected.objects.filter(
        source=source, reason__in={one.reason for one in refused}, batch__in={one.told.batch for one in refused}
    )
    there = set(of_batch.values_list("batch", "place", "reason"))
    return [one for one in refused if (one.told.batch, one.told.place, one.reason) not in there]


def _keep(source: Source, refused: Iterable[Refused], now: datetime) -> None:
    Rejected.objects.bulk_create(
        [
            Rejected(
                source=source, batch=one.told.batch[:200], place=one.told.place, reason=one.reason,
                content=readable(one.told.line), at=now,
            )
            for one in refused
        ],
        batch_size=2_000,
    )  # fmt: skip


def readable(line: str) -> str:
    """A line as a database and a file can keep it, cut to what a person would read."""
    return line[:_KEPT_CHARACTERS].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
