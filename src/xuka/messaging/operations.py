"""The outbox: everything that writes to messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from xuka.journal import operations as journal
from xuka.kernel import ids
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
        html=message.html,
        attachments=tuple(
            contract.Attachment(file.name, file.mime, bytes(file.content))
            for file in Attachment.objects.filter(message_id=message.id).order_by("id")
        ),
    )


def _store(message: Message, outcome: Outcome[str], now: datetime) -> None:
    with transaction.atomic(durable=True):
        match outcome:
            case Done(reference):
                _sent(message, reference, now)
            case Refused(reason, timedelta() as retry_after, detail):
                _not_sent(message, f"{reason}: {detail}", pause_after(message.tries, at_least=retry_after), now)
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
        held.update(state=State.QUEUED, next_try_at=now + pause, lease_until=None, error=why)


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
