"""What several cards use of one card's data, and what that leaves each of them. Pure.

A pool is the data of one card, its *host*, that other cards draw on. What each card uses goes through its own data
first, or through all in one order, as the plan says; what is shared is one count for all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from uuid import UUID

from xuka.metering import rules
from xuka.metering.rules import Bucket, Cell, Pooled, Usage


@dataclass(frozen=True, slots=True)
class Draw:
    """From when until when a card may use the data of its host; ``ends_at`` None is until further notice."""

    host: UUID
    line_id: UUID
    starts_at: datetime
    ends_at: datetime | None

    def is_open(self, moment: datetime) -> bool:
        """Whether it may then."""
        return self.starts_at <= moment and (self.ends_at is None or moment < self.ends_at)


Buckets = Mapping[UUID, Sequence[Bucket]]


def shared(buckets: Iterable[Bucket]) -> list[Bucket]:
    """Those of these buckets that may be shared, and have something to share."""
    return [bucket for bucket in buckets if bucket.quota.data.pool and bucket.quota.data.limits]


def cuts(draws: Iterable[Draw], buckets: Buckets) -> set[datetime]:
    """Where new cells must begin of a card that draws: where it begins and ends to, and with each shared window."""
    found: set[datetime] = set()
    for draw in draws:
        found |= {at for at in (draw.starts_at, draw.ends_at) if at}
        found |= {at for at in rules.cuts(shared(buckets[draw.host])) if draw.is_open(at)}
    return found


def in_turn(own: Sequence[Bucket], draws: Iterable[Draw], buckets: Buckets, moment: datetime) -> list[Bucket]:
    """What a card can use at this moment, in the order in which it is used up.

    A pool is data and no service: a card draws on it only while a period of its own runs.
    """
    open_own = rules.open_at(own, moment)
    drawn = [
        bucket
        for draw in draws
        if open_own and draw.is_open(moment)
        for bucket in rules.open_at(shared(buckets[draw.host]), moment)
    ]
    early = [bucket for bucket in drawn if bucket.quota.data.pool and bucket.quota.data.pool.turn == "by_priority"]
    late = [bucket for bucket in drawn if bucket not in early]
    return rules.open_at([*open_own, *early], moment) + rules.open_at(late, moment)


@dataclass(frozen=True, slots=True)
class Together:
    """The cards around a pool, with what each has and has used, and what each bucket has borne of it.

    ``drawn``: how much of a bucket each card has used, by card and bucket.
    """

    buckets: Buckets
    cells: Mapping[UUID, Sequence[Cell]]
    draws: Sequence[Draw]
    borne: dict[UUID, dict[datetime, int]] = field(default_factory=dict)
    drawn: dict[tuple[UUID, UUID], int] = field(default_factory=lambda: defaultdict(int))

    @classmethod
    def burn(cls, buckets: Buckets, cells: Mapping[UUID, Sequence[Cell]], draws: Sequence[Draw]) -> Together:
        """Count what was used through what there is: cell by cell in order of time, of equals by the card's id."""
        whole = cls(buckets, cells, draws)
        whole.borne.update((bucket.id, {}) for bucket in chain(*buckets.values()))
        every = [(cell.starts_at, line_id, cell) for line_id in buckets for cell in cells.get(line_id, ())]
        for at, line_id, cell in sorted(every, key=lambda one: one[:2]):
            for bucket, taken in rules.bear(whole.turn(line_id, at), whole.borne, cell):
                whole.drawn[line_id, bucket] += taken
        return whole

    def turn(self, line_id: UUID, moment: datetime) -> list[Bucket]:
        """What this card can use at this moment, in order."""
        own = self.buckets[line_id]
        return in_turn(own, [draw for draw in self.draws if draw.line_id == line_id], self.buckets, moment)

    def _open_now(self, line_id: UUID, now: datetime) -> list[Draw]:
        return [draw for draw in self.draws if line_id in {draw.line_id, draw.host} and draw.is_open(now)]

    def pooled(self, line_id: UUID, now: datetime) -> Pooled | None:
        """What is left of the data that this card shares, or draws on, now: of several that which serves."""
        hosts = {draw.host for draw in self._open_now(line_id, now)}
        found = [(host, bucket) for host in hosts for bucket in rules.open_at(shared(self.buckets[host]), now)]
        if not found or not rules.open_at(self.buckets[line_id], now):
            return None
        full = [one for one in found if not rules.is_spent(one[1], self.borne[one[1].id], now)]
        host, bucket = (full or found)[0]
        name = "data" if host == line_id else "shared"
        limits = rules.data_limits(bucket, self.borne[bucket.id], now)
        return Pooled(
            line_id=host,
            limits=tuple(replace(limit, name=name) for limit in limits),
            drawn_bytes=self.drawn.get((line_id, bucket.id), 0),
            ends_at=bucket.span.ends_at,
        )

    def usage(self, line_id: UUID, *, as_of: datetime | None, now: datetime) -> Usage:
        """What this card has used and has left now, as ``rules.usage``."""
        return rules.usage_as_borne(
            self.buckets[line_id], self.cells.get(line_id, ()), self.borne, self.turn(line_id, now),
            pool=self.pooled(line_id, now), as_of=as_of, now=now,
        )  # fmt: skip

    def crossings(self, line_id: UUID, *, since: datetime, now: datetime) -> frozenset[rules.Crossing]:
        """What this card has crossed, as ``rules.crossings``: of its own data, and of what it draws on now, since it
        did."""
        own, cells = self.buckets[line_id], self.cells.get(line_id, ())
        found = set(rules.crossings_as_borne(own, cells, self.borne, since=since, now=now))
        for draw in self.draws:
            if draw.line_id != line_id or not draw.is_open(now):
                continue
            for bucket in shared(self.buckets[draw.host]):
                for moment in rules.moments(bucket, max(since, draw.starts_at), now):
                    for limit in rules.data_limits(bucket, self.borne[bucket.id], moment):
                        found |= rules.crossed(replace(limit, name="shared"), bucket.span, now)
        return frozenset(found)

    def room(self, now: datetime) -> int | None:
        """How much each of the cards can use until any of them can have passed a mark of shared data; None: any."""
        hosts = {draw.host for draw in self.draws}
        open_now = [bucket for host in hosts for bucket in rules.open_at(shared(self.buckets[host]), now)]
        limits = [limit for bucket in open_now for limit in rules.data_limits(bucket, self.borne[bucket.id], now)]
        ahead = rules.ahead(limits) + [allowed * rules.MARKS[0] // 100 for allowed in rules.fresh(open_now)]
        return min(ahead) // len(self.buckets) if ahead else None
