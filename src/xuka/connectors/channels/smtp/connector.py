"""E-mail over SMTP as a ``Channel``. Translates and keeps the deadline; decides nothing."""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import timedelta
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import formatdate, parseaddr

from xuka.connectors.deadline import Deadline
from xuka.kernel import ids
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.messaging.contract import Letter

log = logging.getLogger(__name__)

AGAIN_AFTER = timedelta(minutes=1)
"""How long to wait after "later", which is about how long greylisting lasts."""

# Why a letter was not taken.
REFUSED = "refused"
LATER = "later"
UNREACHABLE = "unreachable"
BAD_ADDRESS = "bad_address"
NOT_AUTHORISED = "not_authorised"


class _Policy(EmailPolicy):
    """RFC 5322, with subjects folded by the older code: Python 3.11's newer one loses a space between two pieces."""

    def fold_binary(self, name: str, value: str) -> bytes:
        if name.lower() != "subject":
            return super().fold_binary(name, value)
        if value.isascii():  # up to 998 characters may stand in a line (RFC 5322 §2.1.1); a subject has far fewer
            return f"{name}: {value}{self.linesep}".encode("ascii")
        folded = Header(str(value), "utf-8", header_name=name).encode(linesep=self.linesep)
        return f"{name}: {folded}{self.linesep}".encode("ascii")


class Smtp:
    """One mail server that takes our letters. Safe to use from many threads.

    Args:
        user: empty for a server that asks for no sign-in.
        tls: "none", "starttls" or "tls" (from the first byte on); certificates are checked.
        sender: address, or name and address, that letters come from.
        deadline: the total time of one sending, however slow the server is.
    """

    name = "email"

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str = "",
        password: str = "",
        tls: str = "none",
        sender: str,
        deadline: timedelta = timedelta(seconds=30),
    ) -> None:
        assert tls in {"none", "starttls", "tls"}, "tls is none, starttls or tls"
        self._host, self._port, self._tls = host, port, tls
        self._user, self._password = user, password
        self._sender = _address(*parseaddr(sender))
        self._deadline = Deadline(deadline, name="smtp", full=_later(UNREACHABLE, "too many letters are under way"))

    def send(self, letter: Letter) -> Outcome[str]:
        """Hand the letter to the server.

        Returns:
            ``Done(message id)`` once the server took it. ``Refused`` when it surely did not: for good after a 5xx or
            for an address that is none, to be tried again after a 4xx or when the letter could not be handed over at
            all. ``Unknown`` when the letter was sent and no answer came: it may arrive. Sent again it carries the same
            Message-ID, so that the reader's program can see that it is the same letter.
        """
        try:
            message = self._message(letter)
        except ValueError:
            return Refused(BAD_ADDRESS, None, "the address cannot be written as one")
        attempt = _Attempt(self, message)
        outcome = self._deadline.keep(attempt.run, "send", late=attempt.give_up)
        log.info("letter %s to %s: %s", letter.id, ids.masked(letter.to), type(outcome).__name__.lower())
        return outcome

    def _message(self, letter: Letter) -> EmailMessage:
        """The letter as RFC 5322 wants it. Raises ``ValueError`` for an address that is none."""
        message = EmailMessage(policy=_Policy(linesep="\r\n"))
        message["Message-ID"] = f"<{letter.id}@{self._sender.domain}>"
        # RFC 5322 wants to know when the letter left; this is the wire's own time and decides nothing.
        message["Date"] = formatdate(usegmt=True)
        message["From"] = self._sender
        message["To"] = _address("", letter.to)
        message["Subject"] = " ".join(letter.subject.split())
        # RFC 3834: nobody's holiday notice answers it.
        message["Auto-Submitted"] = "auto-generated"
        if letter.unsubscribe:
            # RFC 2369 and RFC 8058: the mail program's own button, one click and no page.
            message["List-Unsubscribe"] = _link(letter.unsubscribe)
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(letter.text)
        if letter.html:
            message.add_alternative(letter.html, subtype="html")
        for file in letter.attachments:
            maintype, _, subtype = file.mime.partition("/")
            message.add_attachment(file.content, maintype=maintype, subtype=subtype, filename=file.name)
        message["Content-Language"] = letter.language  # last: setting the content clears every Content- header
        return message


class _Attempt:
    """One sending, in a thread that can be left behind. It knows whether the letter's last byte may have gone out."""

    def __init__(self, channel: Smtp, message: EmailMessage) -> None:
        self._channel, self._message = channel, message
        self._lock = threading.Lock()
        self._handed_over = self._given_up = False
        self._wire: socket.socket | None = None

    def give_up(self) -> Outcome[str]:
        """The deadline passed: what can be said now. Ends the connection, so nothing goes out after it."""
        with self._lock:
            self._given_up = True
            handed_over = self._handed_over
        if self._wire is not None:
            with suppress(OSError):
                self._wire.shutdown(socket.SHUT_RDWR)
        return self._silence("not done within the deadline") if handed_over else _later(UNREACHABLE, "too slow")

    def run(self, until: float) -> Outcome[str]:
        """Everything from connecting to the server's last word."""
        server: smtplib.SMTP | None = None
        try:
            server = self._connected(until)
            return self._converse(server)
        except smtplib.SMTPAuthenticationError as error:
            # The seller's setting is wrong, not the letter: it goes out once that is put right.
            return _later(NOT_AUTHORISED, f"status {error.smtp_code}")
        except smtplib.SMTPResponseException as error:
            return self._answered(error.smtp_code)
        except (OSError, smtplib.SMTPException) as error:
            return self._silence(type(error).__name__)
        finally:
            _hang_up(server)

    def _connected(self, until: float) -> smtplib.SMTP:
        channel, left = self._channel, max(0.1, until - time.monotonic())
        if channel._tls == "tls":
            server = smtplib.SMTP_SSL(channel._host, channel._port, timeout=left, context=ssl.create_default_context())
        else:
            server = smtplib.SMTP(channel._host, channel._port, timeout=left)
        self._wire = server.sock
        return server

    def _converse(self, server: smtplib.SMTP) -> Outcome[str]:
        channel = self._channel
        if channel._tls == "starttls":
            server.starttls(context=ssl.create_default_context())
            self._wire = server.sock
        if channel._user:
            server.login(channel._user, channel._password)
        to = self._message["To"].addresses[0].addr_spec
        server.ehlo_or_helo_if_needed()
        for code, _ in (server.mail(channel._sender.addr_spec), server.rcpt(to)):
            if code >= 400:
                return self._answered(code)
        if not self._may_hand_over():
            return _later(UNREACHABLE, "too slow")
        code, _ = server.data(self._message.as_bytes())
        return self._answered(code)

    def _may_hand_over(self) -> bool:
        with self._lock:
            self._handed_over = not self._given_up
            return self._handed_over

    def _answered(self, code: int) -> Outcome[str]:
        """What the server's three digits mean (RFC 5321 §4.2.1)."""
        if 200 <= code < 300:
            return Done(str(self._message["Message-ID"]))
        if 400 <= code < 500:
            return _later(LATER, f"status {code}")
        if 500 <= code < 600:
            return Refused(REFUSED, None, f"status {code}")
        return self._silence(f"status {code}")

    def _silence(self, why: str) -> Outcome[str]:
        """No answer: unknown once the letter was handed over, else it surely was not taken."""
        return Unknown(f"no answer after the letter: {why}") if self._handed_over else _later(UNREACHABLE, why)


def _hang_up(server: smtplib.SMTP | None) -> None:
    """Say goodbye without waiting for the answer: whatever it is, the letter's fate is known by now."""
    if server is not None:
        with suppress(OSError, smtplib.SMTPException):
            server.putcmd("quit")
        server.close()


def _later(reason: str, detail: str) -> Refused:
    return Refused(reason, AGAIN_AFTER, detail)


def _link(url: str) -> str:
    """The address between its brackets. Raises ``ValueError`` for one that would smuggle in a header."""
    if not url.isascii() or not url.isprintable() or any(char in "<> " for char in url):
        raise ValueError("not an address")
    return f"<{url}>"


def _address(name: str, address: str) -> Address:
    """The address in its parts. Raises ``ValueError`` for one that is none, or that would smuggle in a header."""
    local, at, domain = address.rpartition("@")
    strange = any(char.isspace() or not char.isprintable() for char in address)
    if not at or not local or not local.isascii() or not domain or strange:
        raise ValueError("not an e-mail address")
    return Address(name, local, domain.encode("idna").decode())
