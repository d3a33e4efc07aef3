"""Everything that writes to reminders."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from xuka.accounts import queries as accounts
from xuka.accounts.queries import Reach
from xuka.catalogue.rules import Ending as EndingTerms
from xuka.kernel import ids
from xuka.lines import queries as lines
from xuka.lines.queries import Ends
from xuka.lines.rules import Lived
from xuka.messaging import operations as messaging
from xuka.messaging import queries as messaging_queries
from xuka.messaging.operations import Outgoing
from xuka.metering import queries as metering
from xuka.metering import windows
from xuka.metering.rules import Usage
from xuka.reminders import rules
from xuka.reminders.models import Reminder, State
from xuka.reminders.rules import ANNOUNCED, KINDS, OF_TIME, OF_USE, Ending, Limit, Mark, Quiet, Wanted

# -- planning ------------------------------------------------------------------------------------------------------


@transaction.atomic
def plan(*, line_ids: Iterable[UUID], now: datetime) -> int:
    """Bring what these cards' owners are to hear of their time in line with what is booked; returns how many are new.

    What is missing is planned; what is planned and no longer wanted is dropped; a letter that waits and is not true
    any more is taken back. Bulk: a few statements for any number of cards. Again: changes nothing.
    """
    ends = lines.ends_of(set(line_ids), now)
    lived = _lived(ends, now)
    reach = accounts.reach_of({end.owner for end in ends.values() if end.owner})
    rows: list[_Row] = []
    wanted: set[UUID] = set()
    for end in ends.values():
        who = reach.get(end.owner) if end.owner else None
        ending = _ending(end, lived)
        for one in rules.of_time(ending) if who and ending else ():
            id = _id(end.line_id, one)
            wanted.add(id)
            if who and (at := rules.tell_at(one, _quiet(who, end.zone), now=now)):
                rows.append(_Row(id, end.line_id, who.customer, rules.moved(one, at)))
    _drop_unwanted(list(ends), wanted, now)
    return _store(rows)


def plan_missing(*, now: datetime, limit: int = 2_000) -> int:
    """Plan for every card with an end ahead and nothing planned; returns how many reminders are new.

    Such are cards from before there were reminders, and those whose planning was lost. In batches, each a transaction
    of its own. Again: changes nothing.
    """
    new, last = 0, UUID(int=0)
    while batch := lines.lines_ahead(after=last, now=now, limit=limit):
        last = batch[-1]
        planned = Reminder.objects.filter(line_id__in=batch, state=State.PLANNED, kind__in=OF_TIME)
        if missing := set(batch) - set(planned.values_list("line_id", flat=True)):
            new += plan(line_ids=missing, now=now)
    return new


@transaction.atomic
def hear(*, line_ids: Iterable[UUID], now: datetime) -> int:
    """Plan what these cards' owners are to hear of their use, from the marks passed; returns how many are new.

    Marks of windows that are over are not told any more. Again: changes nothing.
    """
    crossed = windows.crossed(set(line_ids), since=now - rules.RESET_FOR)
    marks: dict[UUID, list[Mark]] = defaultdict(list)
    for one in crossed:
        marks[one.line_id].append(Mark(one.period, one.name, one.number, one.window, one.what, one.noticed_at))
    ends = lines.ends_of(marks, now)
    reach = accounts.reach_of({end.owner for end in ends.values() if end.owner})
    rows: list[_Row] = []
    for line_id, of_line in marks.items():
        end = ends[line_id]
        who = reach.get(end.owner) if end.owner else None
        for one in rules.of_use(of_line) if who else ():
            if who and (at := rules.tell_at(one, _quiet(who, end.zone), now=now)):
                rows.append(_Row(_id(line_id, one), line_id, who.customer, rules.moved(one, at)))
    return _store(rows)


@transaction.atomic
def announce(
    *,
    line_id: UUID,
    kind: str,
    cause: str,
    due_at: datetime,
    not_after: datetime | None,
    says: dict[str, Any],
    now: datetime,
) -> None:
    """Plan a reminder that others know of; one a card, kind and cause, however often it is announced.

    Args:
        kind: one of ``rules.ANNOUNCED``.
        cause: what makes it another one: the end that is renewed, the order.
        not_after: when it stops being true.
        says: for its words: "price" ({"minor", "currency"}), "at" (ISO 8601), "reason".
    """
    assert kind in ANNOUNCED, "the other kinds follow from what is booked and used"
    end = lines.ends_of([line_id], now)[line_id]
    who = accounts.reach_of([end.owner]).get(end.owner) if end.owner else None
    one = Wanted(kind, cause, due_at, not_after)
    if who and (at := rules.tell_at(one, _quiet(who, end.zone), now=now)):
        _store([_Row(_id(line_id, one), line_id, who.customer, rules.moved(one, at), says)])


@transaction.atomic
def retract(*, line_id: UUID, kind: str, cause: str) -> None:
    """What was announced is not true any more. What was told stays told; again: changes nothing."""
    Reminder.objects.filter(line_id=line_id, kind=kind, cause=cause, state=State.PLANNED).update(state=State.DROPPED)


@transaction.atomic
def retract_others(*, line_id: UUID, kind: str, but: str = "") -> None:
    """Nothing of this kind that was announced of this card is true any more, except of the cause ``but``."""
    others = Reminder.objects.filter(line_id=line_id, kind=kind, state=State.PLANNED).exclude(cause=but)
    others.update(state=State.DROPPED)


class _Row(NamedTuple):
    """A reminder that is about to be stored."""

    id: UUID
    line_id: UUID
    customer_id: UUID
    wanted: Wanted
    says: dict[str, Any] | None = None


# One that was dropped may become true again, when a renewal is taken back; one that was told never does.
_STORE = """
insert into reminders_reminder as r (id, line_id, customer_id, kind, cause, due_at, not_after, state, says)
select id, line_id, customer_id, kind, cause, due_at, not_after, 'planned', says
from unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[],
  %s::jsonb[]) as n (id, line_id, customer_id, kind, cause, due_at, not_after, says)
on conflict (id) do update set state = 'planned', due_at = excluded.due_at, customer_id = excluded.customer_id
where r.state = 'dropped' or (r.state = 'planned' and r.due_at <> excluded.due_at)
"""


def _store(rows: Sequence[_Row]) -> int:
    if not rows:
        return 0
    columns: list[list[Any]] = [list(column) for column in zip(*(row[:3] for row in rows), strict=True)]
    columns += [list(column) for column in zip(*(row.wanted for row in rows), strict=True)]
    columns.append([json.dumps(row.says) if row.says else "{}" for row in rows])
    with connection.cursor() as cursor:
        cursor.execute(_STORE, columns)
        return cursor.rowcount


def _drop_unwanted(line_ids: list[UUID], wanted: set[UUID], now: datetime) -> None:
    """Drop what is planned and not wanted, and take back the letters that wait and tell of it."""
    there = Reminder.objects.filter(line_id__in=line_ids, kind__in=OF_TIME).exclude(state=State.DROPPED)
    planned: list[UUID] = []
    letters: set[UUID] = set()
    for id, state, letter, not_after in there.values_list("id", "state", "letter", "not_after"):
        if id in wanted:
            continue
        if state == State.PLANNED:
            planned.append(id)
        elif letter and (not_after is None or not_after > now):
            letters.add(letter)
    if planned:
        Reminder.objects.filter(id__in=planned, state=State.PLANNED).update(state=State.DROPPED)
    if letters:
        messaging.withdraw(causes=letters, why="The card was renewed before it could be sent.", now=now)


def _id(line_id: UUID, one: Wanted) -> UUID:
    return ids.derived(line_id, f"{one.kind}:{one.cause}")


def _ending(end: Ends, lived: Mapping[UUID, Lived]) -> Ending | None:
    if end.ends_at is None or end.bought_at is None:
        return None
    return Ending(end.ends_at, end.bought_at, end.policy, end.all, end.carrier_ends_at, lived.get(end.line_id))


def _lived(ends: Mapping[UUID, Ends], now: datetime) -> Mapping[UUID, Lived]:
    """What the cards have lived through whose policy goes by more than their end; few do."""
    asks = [id for id, end in ends.items() if _goes_by_more(end.policy.ending)]
    return metering.lives(asks, now) if asks else {}


def _goes_by_more(ending: EndingTerms) -> bool:
    return ending.counts_from != "end" or ending.least_minor is not None


def _quiet(who: Reach, zone: str) -> Quiet | None:
    return rules.quiet_of(who.told, who.time_zone or zone)


# -- telling -------------------------------------------------------------------------------------------------------


class Item(NamedTuple):
    """One reminder with all that its words need.

    Attributes:
        ending: where the card's time ends; None for one that never had any.
        limit: what a reminder of use is about.
        says: what was announced with it.
    """

    kind: str
    line_id: UUID
    owner: UUID
    card_last: str
    zone: str
    plan_names: dict[str, str]
    ending: Ending | None
    limit: Limit | None
    says: dict[str, Any]


class Letter(NamedTuple):
    """Something that must be put into words: the most urgent item first, all of one customer, for one channel."""

    reach: Reach
    channel: str
    items: tuple[Item, ...]


class Written(NamedTuple):
    """A letter in words; ``unsubscribe`` is "" where the channel knows none."""

    subject: str
    text: str
    unsubscribe: str


Compose = Callable[[Sequence[Letter], datetime], Sequence[Written | None]]
# One that could not be put into words stops no other, and is tried again.
WORDLESS_FOR = timedelta(hours=1)


class _Due(NamedTuple):
    """A reminder as it was taken."""

    id: UUID
    line_id: UUID
    customer_id: UUID
    wanted: Wanted
    says: str


# Moments as microseconds: they are read by the thousand.
_COLUMNS = """id, line_id, customer_id, kind, cause, (extract(epoch from due_at) * 1000000)::bigint,
  (extract(epoch from not_after) * 1000000)::bigint, says::text"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TAKE = f"""
select {_COLUMNS} from reminders_reminder where state = 'planned' and due_at <= %s
order by due_at limit %s for update skip locked
"""  # noqa: S608 - our own constants
_TAKE_ALONG = f"""
select {_COLUMNS} from reminders_reminder where state = 'planned' and customer_id = any(%s::uuid[]) and due_at <= %s
  and id <> all(%s::uuid[])
order by due_at for update skip locked
"""  # noqa: S608


@transaction.atomic
def tell_due(*, now: datetime, compose: Compose, limit: int = 2_000) -> int:
    """Tell what is due: each is looked at once more, put into words and into the outbox; returns how many were taken.

    What is not true any more is dropped, and the truth about its card is planned in its place. All that a customer is
    due to hear within ``rules.TOGETHER`` goes into one letter a channel. What has come to lie in quiet hours waits.
    Several may call it at once: nothing is told twice.

    Args:
        compose: puts letters into words; None for one that it cannot. It must not write.
        limit: how many are taken, those due longest first, before what goes along with them.
    """
    taken = _take(now, limit)
    if not taken:
        return 0
    known = _Known.read(taken, now)
    ready, waits, untrue = _sorted(taken, known, now)
    letters, dropped = _gathered(ready, known)
    written = compose([letter for letter, _, _ in letters], now) if letters else ()
    wordless = [told for told, words in zip(letters, written, strict=True) if words is None]
    if wordless:
        waits += [(row.id, now + WORDLESS_FOR) for _, _, rows in wordless for row in rows]
        letters = [told for told, words in zip(letters, written, strict=True) if words is not None]
    leg = f"letter:{now.isoformat()}"
    # All messages of one telling have one cause; the same reminder, told anew, has another.
    causes = [ids.derived(rows[0].id, leg) for _, _, rows in letters]
    whole = zip(letters, [words for words in written if words], causes, strict=True)
    messaging.queue_many([_outgoing(told, words, cause, now) for told, words, cause in whole], now=now)
    _note(_letters_of(letters, causes), untrue | dropped, waits, now)
    if stale := {one.line_id for one in taken if one.id in untrue}:
        plan(line_ids=stale, now=now)
    return len(taken)


def _take(now: datetime, limit: int) -> list[_Due]:
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [now, limit])
        rows = cursor.fetchall()
        if rows:
            of, there = ids.listed({row[2] for row in rows}), ids.listed(row[0] for row in rows)
            cursor.execute(_TAKE_ALONG, [of, now + rules.TOGETHER, there])
            rows += cursor.fetchall()
    return [
        _Due(id, line_id, customer_id, Wanted(kind, cause, _moment(due_at), not_after and _moment(not_after)), says)
        for id, line_id, customer_id, kind, cause, due_at, not_after, says in rows
    ]


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


@dataclass(frozen=True, slots=True)
class _Known:
    """The truth about the cards of what was taken."""

    ends: dict[UUID, Ends]
    lived: Mapping[UUID, Lived]
    reach: dict[UUID, Reach]
    usage: dict[UUID, Usage]

    @classmethod
    def read(cls, taken: Sequence[_Due], now: datetime) -> _Known:
        ends = lines.ends_of({one.line_id for one in taken}, now)
        used = {one.line_id for one in taken if one.wanted.kind in OF_USE}
        return cls(
            ends=ends,
            lived=_lived(ends, now),
            reach=accounts.reach_of({one.customer_id for one in taken}),
            usage=windows.usages_of(used, now=now) if used else {},
        )

    def item(self, one: _Due) -> tuple[Item, Reach] | None:
        """The reminder as it is true now, and who hears it; None when it is not true."""
        end, who = self.ends.get(one.line_id), self.reach.get(one.customer_id)
        if end is None or who is None or end.owner != one.customer_id:
            return None
        kind, cause, limit, ending = one.wanted.kind, one.wanted.cause, None, _ending(end, self.lived)
        if kind in OF_TIME:
            asked = rules.all_of_time(kind, ending) if ending else ()
            if cause not in [wanted.cause for wanted in asked]:
                return None
        if kind in OF_USE:
            usage = self.usage.get(one.line_id)
            limit = rules.limit_meant(kind, cause, _limits(usage)) if usage else None
            if limit is None:
                return None
        says = json.loads(one.says) if one.says != "{}" else {}
        names = end.version.plan.names
        return Item(kind, one.line_id, one.customer_id, end.iccid[-4:], end.zone, names, ending, limit, says), who


def _limits(usage: Usage) -> list[Limit]:
    return [
        Limit(
            burnt.name, burnt.number, burnt.bucket, burnt.window, burnt.used, burnt.allowed, burnt.step,
            burnt.tiers[burnt.step - 1].kbps if burnt.step else None,
        )
        for burnt in (*usage.limits, *(usage.pool.limits if usage.pool else ()))
    ]  # fmt: skip


_Ready = list[tuple[_Due, Item, Reach]]


def _sorted(
    taken: Sequence[_Due], known: _Known, now: datetime
) -> tuple[_Ready, list[tuple[UUID, datetime]], set[UUID]]:
    """What can be told now, what waits until when, and what is not true any more."""
    ready: _Ready = []
    waits: list[tuple[UUID, datetime]] = []
    untrue: set[UUID] = set()
    for one in taken:
        is_due = one.wanted.due_at <= now
        found = known.item(one)
        if found is None:
            untrue.add(one.id)
            continue
        item, who = found
        quiet = _quiet(who, item.zone)
        at = rules.tell_at(rules.moved(one.wanted, now), quiet, now=now)
        if at == now:
            ready.append((one, item, who))
        elif is_due and at is None:
            untrue.add(one.id)
        elif is_due and at is not None:
            waits.append((one.id, at))
    return ready, waits, untrue


_Told = tuple[Letter, str, tuple[_Due, ...]]


def _gathered(ready: _Ready, known: _Known) -> tuple[list[_Told], set[UUID]]:
    """One letter for each customer and channel, with its address; and what the customer chose not to hear at all."""
    of_customer: dict[UUID, _Ready] = defaultdict(list)
    for triple in ready:
        of_customer[triple[0].customer_id].append(triple)
    letters: list[_Told] = []
    unheard: set[UUID] = set()
    for pairs in of_customer.values():
        who, left = pairs[0][2], pairs
        for channel, address, heard in _ways(who, _most_urgent_first(pairs), known):
            rows, items, _ = zip(*heard, strict=True)
            letters.append((Letter(who, channel, items), address, rows))
            left = [pair for pair in left if pair not in heard] if len(heard) < len(left) else []
        unheard.update([one.id for one, _, _ in left])
    return letters, unheard


def _most_urgent_first(pairs: _Ready) -> _Ready:
    if len(pairs) == 1:
        return pairs
    return [pairs[at] for at in rules.most_urgent_first([one.wanted.kind for one, _, _ in pairs])]


def _ways(who: Reach, pairs: _Ready, known: _Known) -> Iterable[tuple[str, str, _Ready]]:
    """Channel, address and what goes there."""
    for channel, addresses in who.addresses.items():
        heard = [pair for pair in pairs if channel in who.told.channels(KINDS[pair[0].wanted.kind].group)]
        for address in addresses if heard else ():
            yield channel, address, heard
    if "card" in who.told.usage:  # to the card itself, and only that it is used up
        for pair in pairs:
            if pair[0].wanted.kind == "used_100":
                yield "card", known.ends[pair[0].line_id].iccid, [pair]


def _outgoing(told: _Told, words: Written, cause: UUID, now: datetime) -> Outgoing:
    letter, address, rows = told
    return Outgoing(
        cause=cause,
        kind=f"reminder_{rows[0].wanted.kind}",
        channel=letter.channel,
        to=address,
        language=letter.reach.language,
        subject=words.subject,
        text=words.text,
        customer=letter.reach.customer,
        not_after=_earliest([_right_until(one, row, now) for one, row in zip(letter.items, rows, strict=True)]),
        unsubscribe=words.unsubscribe,
    )


def _right_until(item: Item, row: _Due, now: datetime) -> datetime | None:
    """When these words are not right any more: a letter that waits longer is written anew."""
    left = item.ending.ends_at - now if item.ending else rules.TOGETHER
    holds, until = rules.words_hold_for(item.kind, left), row.wanted.not_after
    if holds is None:
        return until
    return now + holds if until is None else min(until, now + holds)


def _earliest(moments: Sequence[datetime | None]) -> datetime | None:
    return moments[0] if len(moments) == 1 else min([moment for moment in moments if moment], default=None)


def _letters_of(letters: Sequence[_Told], causes: Sequence[UUID]) -> dict[UUID, tuple[UUID, str]]:
    """Of each reminder that was told: by which letter, and whether it was the first there."""
    found: dict[UUID, tuple[UUID, str]] = {}
    for (_, _, rows), letter in zip(letters, causes, strict=True):
        found.setdefault(rows[0].id, (letter, "told"))
        for row in rows[1:]:
            found.setdefault(row.id, (letter, "merged"))
    return found


_NOTE_TOLD = """
update reminders_reminder r set state = n.state, told_at = %s, letter = n.letter
from unnest(%s::uuid[], %s::uuid[], %s::text[]) as n (id, letter, state) where r.id = n.id
"""
_NOTE_WAIT = """
update reminders_reminder r set due_at = n.at from unnest(%s::uuid[], %s::timestamptz[]) as n (id, at) where r.id = n.id
"""


def _note(
    told: dict[UUID, tuple[UUID, str]], dropped: set[UUID], waits: list[tuple[UUID, datetime]], now: datetime
) -> None:
    with connection.cursor() as cursor:
        if told:
            letters, states = ids.listed(of for of, _ in told.values()), ",".join([state for _, state in told.values()])
            cursor.execute(_NOTE_TOLD, [now, ids.listed(told), letters, f"{{{states}}}"])
        if waits:
            cursor.execute(_NOTE_WAIT, [[id for id, _ in waits], [at for _, at in waits]])
    if dropped:
        Reminder.objects.filter(id__in=dropped).update(state=State.DROPPED)


@transaction.atomic
def put_back(*, letter: UUID, now: datetime) -> None:
    """A letter was never sent and is not true any more: what it told is to be told anew, as far as that is true.

    Where one of its messages did arrive, nothing is told twice. A letter that is nobody's, or again: changes nothing.
    """
    if any(message.sent_at for message in messaging_queries.messages_about(letter)):
        return
    rows = Reminder.objects.select_for_update().filter(letter=letter)
    line_ids = set(rows.values_list("line_id", flat=True))
    if line_ids:
        rows.update(state=State.PLANNED, letter=None, told_at=None, due_at=now)
        plan(line_ids=line_ids, now=now)
