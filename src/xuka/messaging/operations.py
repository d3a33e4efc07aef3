"""The outbox: everything that writes to messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string

from xuka.journal import operations as journal
from xuka.kernel import ids, rows
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.messaging import contract
from xuka.messaging.contract import Channel, Letter
from xuka.messaging.models import Attachment, Message, State
from xuka.messaging.rules import LEASE, TRIES, pause_after

# A message that is out of the sender's hands: no longer due, no longer held.
_FINAL: dict[str, Any] = {"next_try_at": None, "lease_until": None}
_WORDLESS: dict[str, Any] = {"subject": "", "text": "", "html": ""}


@cache
def channel(name: str) -> Channel:
    """The connector of this name, built once per process from ``settings.CHANNELS``."""
    options = dict(settings.CHANNELS[name])
    return import_string(options.pop("connector"))(**options)


@transaction.atomic
def queue(
    *,
    cause: UUID,
    kind: str,
    to: str,
    language: str,
    subject: str,
    text: str,
    now: datetime,
    html: str = "",
    customer: UUID | None = None,
    secret: bool = False,
    channel: str = "email",
    attachments: Sequence[tuple[str, str, bytes]] = (),
    not_after: datetime | None = None,
    unsubscribe: str = "",
) -> UUID:
    """Put a message into the outbox, in the caller's transaction; it is sent soon after that commits.

    There is one message per cause, kind and address: calling it again changes nothing, whatever the words.

    Args:
        cause: the id of what it is about; for a message that may be repeated, a new id each time.
        to: an e-mail address, or for "sms" a number in E.164.
        language: BCP 47 tag of the words.
        secret: the words hold a secret (a sign-in code): they are forgotten once it is sent or given up.
        channel: "email" or "sms", a name in ``settings.CHANNELS``; a text message has no subject.
        attachments: files that go with it, each (name, type, bytes), in their order. They are kept until it is sent,
            however often it fails, and then forgotten.
        not_after: from then on it is not sent any more, for its words are not true; it ends as "stale".
        unsubscribe: see ``contract.Letter``.
        now: aware UTC.

    Returns:
        The message's id.
    """
    message, new = Message.objects.get_or_create(
        id=ids.derived(cause, f"{kind}:{to}"),
        defaults={
            "cause": cause,
            "kind": kind,
            "to": to,
            "language": language,
            # A subject is one line.
            "subject": " ".join(subject.split())[:200],
            "text": text,
            "html": html,
            "customer_id": customer,
            "secret": secret,
            "channel": channel,
            "queued_at": now,
            "next_try_at": now,
            "not_after": not_after,
            "unsubscribe": unsubscribe,
        },
    )
    if new:
        Attachment.objects.bulk_create(
            Attachment(message_id=message.id, name=name, mime=mime, content=content)
            for name, mime, content in attachments
        )
        who = f"customer:{customer}" if customer else "seller"
        journal.record(what="message.queued", subject=message.id, who=who, after={"kind": kind}, now=now)
    return message.id


class Outgoing(NamedTuple):
    """A message that is about to be stored with others; see ``queue`` for what each part is.

    Its HTML is made from its text when it is sent, by what ``settings.DRESS`` names for its kind.
    """

    cause: UUID
    kind: str
    channel: str
    to: str
    language: str
    subject: str
    text: str
    customer: UUID
    not_after: datetime | None
    unsubscribe: str


_COPY = """
copy messaging_message (id, cause, kind, channel, "to", language, subject, "text", html, customer_id, not_after,
  unsubscribe, secret, state, tries, queued_at, next_try_at, reference, error) from stdin
"""


def queue_many(messages: Sequence[Outgoing], *, now: datetime) -> int:
    """Put many messages into the outbox in the caller's transaction, in few statements; returns how many were new.

    As ``queue``, with two differences: no job is deferred for each, for the sweeper finds them by their due time; and
    of two callers at once with the same message the later one fails.
    """
    assert transaction.get_connection().in_atomic_block, "a message belongs to the change it tells of"
    if not messages:
        return 0
    found = [(ids.derived(one.cause, f"{one.kind}:{one.to}"), one) for one in messages]
    with connection.cursor() as cursor:
        cursor.execute(
            "select id from messaging_message where id = any(%s::uuid[])", [ids.listed(id for id, _ in found)]
        )
        there = {row[0] for row in cursor.fetchall()}
        found = [(id, one) for id, one in found if id not in there] if there else found
        at = now.isoformat()
        with cursor.copy(_COPY) as copy:
            copy.write("".join([_row(id, one, at) for id, one in found]))
    new = sorted([(one.kind, id, f"customer:{one.customer}") for id, one in found], key=itemgetter(0))
    for kind, about in groupby(new, key=itemgetter(0)):
        journal.note_many("message.queued", (one[1:] for one in about), after={"kind": kind}, now=now)
    return len(found)


def _row(id: UUID, one: Outgoing, at: str) -> str:
    cause, kind, channel, to, language, subject, text, customer, not_after, unsubscribe = one
    subject, to = " ".join(subject.split())[:200], rows.escaped(to)
    until = rows.NULL if not_after is None else not_after.isoformat()
    return (
        f"{id.hex}\t{cause.hex}\t{kind}\t{channel}\t{to}\t{language}\t{rows.escaped(subject)}\t{rows.escaped(text)}\t\t"
        f"{customer.hex}\t{until}\t{rows.escaped(unsubscribe)}\tf\tqueued\t0\t{at}\t{at}\t\t\n"
    )


@transaction.atomic
def withdraw(*, causes: Iterable[UUID], why: str, now: datetime) -> int:
    """Take back the messages of these causes that nobody has begun to send: their words are not true any more.

    They end as "stale"; returns how many did. Again: changes nothing.
    """
    waiting = Message.objects.select_for_update(skip_locked=True).filter(cause__in=list(causes), state=State.QUEUED)
    return _go_stale(list(waiting.values_list("id", flat=True)), why, now)


def drop_stale(*, now: datetime, limit: int = 1_000) -> int:
    """End every message that waits and is not true any more, without asking its channel; returns how many."""
    with transaction.atomic():
        late = Message.objects.select_for_update(skip_locked=True).filter(state=State.QUEUED, not_after__lte=now)
        found = list(late.order_by("not_after").values_list("id", flat=True)[:limit])
        return _go_stale(found, "Its time was over before it could be sent.", now)


def _go_stale(message_ids: list[UUID], why: str, now: datetime) -> int:
    """The fact is about the message's cause: whoever queued it decides what is true now."""
    late = Message.objects.filter(id__in=message_ids)
    causes = dict.fromkeys(late.order_by("queued_at", "id").values_list("cause", flat=True))
    number = late.update(**_FINAL, state=State.STALE, error=why)
    journal.record_many([journal.News("message.stale", cause, "clock") for cause in causes], now=now)
    return number


def send(*, message_id: UUID, now: datetime) -> None:
    """Try a message that is due; no transaction is open while the channel is asked.

    A message that is not due (sent, failed, waiting, or held by another sender) is left alone: calling it again, or
    twice at once, sends once. One whose sender died is due again when its lease ends, under the same letter id.
    """
    message = _take(message_id, now)
    if message:
        _store(message, channel(message.channel).send(_letter(message)), now)


def _take(message_id: UUID, now: datetime) -> Message | None:
    """Take the lease and count the try; None when the message is not due."""
    with transaction.atomic(durable=True):
        message = (
            Message.objects.select_for_update(skip_locked=True).filter(id=message_id, next_try_at__lte=now).first()
        )
        if message is None:
            return None
        if message.not_after is not None and message.not_after <= now:
            _go_stale([message.id], "Its time was over before it could be sent.", now)
            return None
        if message.tries >= TRIES:
            # Its senders died each time; it must not take down one more.
            _give_up(message, "Each try ended without an outcome.", now)
            return None
        message.state, message.tries = State.SENDING, message.tries + 1
        message.lease_until = message.next_try_at = now + LEASE
        message.save(update_fields=["state", "tries", "lease_until", "next_try_at"])
        return message


def _letter(message: Message) -> Letter:
    return Letter(
        id=message.id,
        to=message.to,
        language=message.language,
        subject=message.subject,
        text=message.text,
        html=message.html or _dressed(message),
        attachments=tuple(
            contract.Attachment(file.name, file.mime, bytes(file.content))
            for file in Attachment.objects.filter(message_id=message.id).order_by("id")
        ),
        unsubscribe=message.unsubscribe,
    )


def _dressed(message: Message) -> str:
    """The HTML of a letter that was stored without; "" where nothing makes one."""
    dress = settings.DRESS.get(message.kind.partition("_")[0]) if message.channel == "email" else None
    if dress is None:
        return ""
    return import_string(dress)(language=message.language, text=message.text, unsubscribe=message.unsubscribe)


def _store(message: Message, outcome: Outcome[str], now: datetime) -> None:
    with transaction.atomic(durable=True):
        match outcome:
            case Done(reference):
                _sent(message, reference, now)
            case Refused(reason, timedelta() as retry_after, detail):
                # What has an end of its own waits for a channel that is out until that end, not for five tries.
                tries = message.tries if message.not_after is None else min(message.tries, TRIES - 1)
                _not_sent(message, f"{reason}: {detail}", pause_after(tries, at_least=retry_after), now)
            case Refused(reason, None, detail):
                _not_sent(message, f"{reason}: {detail}", None, now)
            case Unknown(why):
                # Asking again is safe: the letter keeps its id, by which a second copy is known as the same.
                _not_sent(message, why, pause_after(message.tries), now)


def _sent(message: Message, reference: str, now: datetime) -> None:
    """It is out, even if this sender's lease has ended and another has tried since."""
    words = _WORDLESS if message.secret else {}
    changes = _FINAL | words | {"state": State.SENT, "sent_at": now, "reference": reference[:200], "error": ""}
    if Message.objects.filter(id=message.id, sent_at__isnull=True).update(**changes):
        Attachment.objects.filter(message_id=message.id).delete()
        journal.record(what="message.sent", subject=message.id, who="clock", now=now)


def _not_sent(message: Message, why: str, pause: timedelta | None, now: datetime) -> None:
    """Wait and try again, or give up; only the sender who holds the lease may say so."""
    held = Message.objects.select_for_update().filter(id=message.id, state=State.SENDING, tries=message.tries)
    if not held.exists():
        return
    if pause is None:
        _give_up(message, why, now)
    else:
        tries = min(message.tries, TRIES - 1)
        held.update(state=State.QUEUED, tries=tries, next_try_at=now + pause, lease_until=None, error=why)


def _give_up(message: Message, why: str, now: datetime) -> None:
    words = _WORDLESS if message.secret else {}
    Message.objects.filter(id=message.id).update(**_FINAL, **words, state=State.FAILED, error=why)
    if message.secret:  # nobody can try it again
        Attachment.objects.filter(message_id=message.id).delete()
    journal.record(what="message.failed", subject=message.id, who="clock", why=why, now=now)


@transaction.atomic
def try_again(*, message_id: UUID, who: str, why: str, now: datetime) -> None:
    """Put a failed message back into the queue, by hand. One that has not failed, or was secret, is left alone."""
    failed = Message.objects.filter(id=message_id, state=State.FAILED, secret=False)
    if failed.update(state=State.QUEUED, tries=0, next_try_at=now):
        journal.record(what="message.queued", subject=message_id, who=who, why=why, now=now)
