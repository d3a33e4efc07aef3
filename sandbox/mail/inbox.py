"""An SMTP server that keeps every letter instead of delivering it, and can fail like real ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

# What can go wrong, and where in the conversation.
FAULTS: Mapping[str, str] = {
    "later": "451 when the recipient is named (greylisting)",
    "refused": "550 when the recipient is named",
    "refused_after_data": "554 after the letter was read",
    "later_after_data": "452 after the letter was read",
    "silent_after_data": "the letter is kept, but no answer comes",
    "drop_after_data": "the letter is kept, but the connection breaks",
    "silent_hello": "the server takes the connection and does not answer its EHLO",
}

# Seconds; longer than anybody waits, and over before a test's end matters.
SILENCE = 60


@dataclass(frozen=True, slots=True)
class File:
    """One file that came with a letter."""

    name: str
    mime: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """One letter as it arrived."""

    id: int
    received_at: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    date: str
    language: str
    text: str
    html: str
    headers: Mapping[str, str]
    files: tuple[File, ...] = ()

    @property
    def brief(self) -> str:
        """The first words of it."""
        return " ".join(self.text.split())[:140]


@dataclass(frozen=True, slots=True)
class Text:
    """One text message as a phone shows it."""

    received_at: str
    sender: str
    to: str
    text: str


@dataclass(slots=True)
class Inbox:
    """All letters and text messages, oldest first; safe between threads.

    ``fault`` happens ``times`` times (None: until taken back).
    """

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    mails: list[Mail] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    fault: str | None = None
    times: int | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def keep(self, content: bytes, *, sender: str, recipients: tuple[str, ...]) -> Mail:
        """Add one letter."""
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        with self.lock:
            mail = Mail(
                id=len(self.mails) + 1,
                received_at=self.now().astimezone(UTC).isoformat(timespec="seconds"),
                sender=str(message["From"] or sender),
                recipients=recipients,
                subject=str(message["Subject"] or ""),
                date=str(message["Date"] or ""),
                language=str(message["Content-Language"] or ""),
                text=_part(message, "plain"),
                html=_part(message, "html"),
                headers={name: str(value) for name, value in message.items()},
                files=tuple(_files(message)),
            )
            self.mails.append(mail)
            return mail

    def keep_text(self, sender: str, to: str, text: str) -> None:
        """Add one text message."""
        with self.lock:
            self.texts.append(Text(self.now().astimezone(UTC).isoformat(timespec="seconds"), sender, to, text))

    def texts_to(self, number: str = "") -> list[Text]:
        """Text messages to this number (all for ""), newest first."""
        with self.lock:
            return [one for one in reversed(self.texts) if number in {"", one.to}]

    def to(self, address: str = "") -> list[Mail]:
        """Letters to this address (all for ""), newest first."""
        with self.lock:
            return [
                mail
                for mail in reversed(self.mails)
                if not address or address.lower() in {one.lower() for one in mail.recipients}
            ]

    def one(self, id: int) -> Mail | None:
        """The letter of this number."""
        with self.lock:
            return self.mails[id - 1] if 0 < id <= len(self.mails) else None

    def clear(self) -> None:
        """Forget every letter and fault."""
        with self.lock:
            self.mails.clear()
            self.texts.clear()
            self.fault = self.times = None

    def fail(self, fault: str | None, times: int | None = 1) -> None:
        """Let this fault happen next; None for good weather."""
        if fault is not None and fault not in FAULTS:
            raise ValueError(f"There is no fault named {fault!r}; there are {', '.join(FAULTS)}.")
        with self.lock:
            self.fault, self.times = fault, times

    def happens(self, *faults: str) -> str | None:
        """The fault that happens now, if it is one of these; uses one of its times."""
        with self.lock:
            fault = self.fault
            if fault not in faults:
                return None
            if self.times is not None:
                self.times -= 1
                if self.times <= 0:
                    self.fault = self.times = None
            return fault

    def told(self) -> list[dict[str, Any]]:
        """Every letter as JSON, newest first; of its files the name, type and size."""
        return [
            asdict(mail) | {"files": [{"name": x.name, "mime": x.mime, "size": len(x.content)} for x in mail.files]}
            for mail in self.to()
        ]


class Postbox:
    """The SMTP side of an inbox, on a port of this machine, in threads of its own.

    Args:
        port: 0 takes any free one; ``address`` tells which.
    """

    def __init__(self, inbox: Inbox, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._controller = _Controller(_Handler(inbox), hostname=host, port=port, ready_timeout=10)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on."""
        return self._controller.hostname, self._controller.port

    def __enter__(self) -> Postbox:
        self._controller.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._controller.stop(no_assert=True)


class _Controller(Controller):
    """aiosmtpd's, which checks itself by connecting: with a port of 0 it must first learn which one it got."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]  # pyright: ignore[reportAttributeAccessIssue]
        super()._trigger_server()


class _Handler:
    """Answers in the words of aiosmtpd's handlers."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        if self.inbox.happens("silent_hello"):
            await asyncio.sleep(SILENCE)
        session.host_name = hostname
        return responses

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        match self.inbox.happens("later", "refused"):
            case "later":
                return "451 4.7.1 Greylisted, please try again later"
            case "refused":
                return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        match fault := self.inbox.happens(
            "refused_after_data", "later_after_data", "silent_after_data", "drop_after_data"
        ):
            case "refused_after_data":
                return "554 5.6.0 Message refused"
            case "later_after_data":
                return "452 4.3.1 Insufficient storage"
        assert isinstance(envelope.content, bytes)
        self.inbox.keep(
            envelope.content, sender=str(envelope.mail_from), recipients=tuple(str(to) for to in envelope.rcpt_tos)
        )
        if fault == "silent_after_data":
            await asyncio.sleep(SILENCE)
        if fault == "drop_after_data" and isinstance(server.transport, asyncio.WriteTransport):
            server.transport.abort()
        return "250 2.0.0 Kept"


def _files(message: EmailMessage) -> Iterator[File]:
    for part in message.iter_attachments():
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            yield File(part.get_filename("?"), part.get_content_type(), content)


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return ""
    content = part.get_content()
    return content.replace("\r\n", "\n") if isinstance(content, str) else ""
