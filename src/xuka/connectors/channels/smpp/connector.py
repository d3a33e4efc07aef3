"""Texts over SMPP 3.4 as a ``Channel``. Keeps the deadline; decides nothing."""

from __future__ import annotations

import logging
import math
import socket
import ssl
import threading
import time
from contextlib import suppress
from datetime import timedelta

from smpplib import client, consts, exceptions, smpp

from xuka.connectors.channels.smpp import wire
from xuka.connectors.deadline import Deadline
from xuka.kernel import ids
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.messaging.contract import Letter

log = logging.getLogger(__name__)

# The library writes every octet it sends into its log; a sign-in code must not be among them.
_QUIET = "xuka.connectors.channels.smpp.library"
logging.getLogger(_QUIET).setLevel(logging.CRITICAL + 1)


class _Client(client.Client):
    """The library's, with certificates that are checked against the centre's name."""

    def _create_socket(self) -> socket.socket:
        raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        raw.settimeout(self.timeout)
        return self._ssl_context.wrap_socket(raw, server_hostname=self.host) if self._ssl_context else raw


class Smpp:
    """One SMS centre that takes our texts. Safe to use from many threads; each text has a connection of its own.

    Args:
        user: the system id, at most 15 characters.
        sender: up to 11 letters, or a number with its country ("+32…").
        tls: whether the connection is encrypted; certificates are checked.
        deadline: the total time of one text, every part included, however slow the centre is.
    """

    name = "sms"

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str,
        password: str,
        sender: str,
        tls: bool = False,
        deadline: timedelta = timedelta(seconds=30),
    ) -> None:
        self._host, self._port, self._user, self._password = host, port, user, password
        self._sender, self._tls = sender, tls
        self._deadline = Deadline(deadline, name="smpp", full=_later("too many texts are under way"))

    def send(self, letter: Letter) -> Outcome[str]:
        """Hand the text to the centre; of a letter only its text goes out.

        Returns:
            ``Done(message id)`` of the first part once the centre took every part. ``Refused`` when it surely took
            none. ``Unknown`` when an answer is missing, or only some of the parts were taken. Sent again, the parts
            carry the same reference.
        """
        number = wire.number_of(letter.to)
        if number is None:
            return Refused(wire.BAD_ADDRESS, None, "not an E.164 number")
        try:
            parts = wire.parts_of(letter.text.strip(), reference=letter.id.int & 0xFF)
        except wire.TooLong:
            return Refused(wire.REFUSED, None, "too long for a text")
        attempt = _Attempt(self, number, parts)
        outcome = self._deadline.keep(attempt.run, "send", late=attempt.give_up)
        log.info("text %s to %s: %s", letter.id, ids.masked(letter.to), type(outcome).__name__.lower())
        return outcome


class _Attempt:
    """One sending, in a thread that can be left behind. It knows whether a part may have gone out."""

    def __init__(self, channel: Smpp, number: str, parts: tuple[wire.Part, ...]) -> None:
        self._channel, self._number, self._parts = channel, number, parts
        self._lock = threading.Lock()
        self._handed_over = self._given_up = False
        self._client: _Client | None = None

    def give_up(self) -> Outcome[str]:
        """The deadline passed: what can be said now. Ends the connection, so nothing goes out after it."""
        with self._lock:
            self._given_up = True
            handed_over = self._handed_over
        if self._client is not None and self._client._socket is not None:
            with suppress(OSError):
                self._client._socket.shutdown(socket.SHUT_RDWR)
        return self._silence("not done within the deadline") if handed_over else _later("too slow")

    def run(self, until: float) -> Outcome[str]:
        """Everything from connecting to the centre's last word."""
        channel, left = self._channel, max(1, math.ceil(until - time.monotonic()))
        self._client = _Client(
            channel._host,
            channel._port,
            timeout=left,
            logger_name=_QUIET,
            ssl_context=ssl.create_default_context() if channel._tls else None,
            allow_unknown_opt_params=True,
        )
        try:
            self._client.connect()
            return self._converse(self._client)
        except exceptions.PDUError as error:
            status = error.args[1] if len(error.args) > 1 else None
            if self._handed_over or not isinstance(status, int):
                return self._silence("an answer that cannot be read")
            return wire.not_bound(status)
        except (OSError, ValueError, exceptions.ConnectionError) as error:
            return self._silence(type(error).__name__)
        finally:
            _hang_up(self._client)

    def _converse(self, smsc: _Client) -> Outcome[str]:
        smsc.bind_transmitter(system_id=self._channel._user, password=self._channel._password)
        taken: list[str] = []
        for part in self._parts:
            if not self._may_hand_over():
                return self._silence("too slow")
            outcome = self._submit(smsc, part)
            if not isinstance(outcome, Done):
                why = outcome.detail if isinstance(outcome, Refused) else outcome.why
                return outcome if not taken else Unknown(f"{len(taken)} of {len(self._parts)} parts taken: {why}")
            taken.append(outcome.value)
        return Done(taken[0])

    def _submit(self, smsc: _Client, part: wire.Part) -> Outcome[str]:
        numeric = self._channel._sender.startswith("+")
        asked = smsc.send_message(
            source_addr_ton=consts.SMPP_TON_INTL if numeric else consts.SMPP_TON_ALNUM,
            source_addr_npi=consts.SMPP_NPI_ISDN if numeric else consts.SMPP_NPI_UNK,
            source_addr=self._channel._sender.removeprefix("+"),
            dest_addr_ton=consts.SMPP_TON_INTL,
            dest_addr_npi=consts.SMPP_NPI_ISDN,
            destination_addr=self._number,
            data_coding=part.data_coding,
            esm_class=part.esm_class,
            short_message=part.octets,
        )
        while True:
            answer = smsc.read_pdu()
            if answer is None:
                return Unknown("an answer of no known command")
            if answer.command == "enquire_link":
                smsc._enquire_link_received(answer)
            elif answer.sequence == asked.sequence:
                id = getattr(answer, "message_id", b"") or b""
                return wire.submitted(answer.status, id.decode("ascii", "replace"))

    def _may_hand_over(self) -> bool:
        with self._lock:
            self._handed_over = self._handed_over or not self._given_up
            return not self._given_up

    def _silence(self, why: str) -> Outcome[str]:
        """No answer: unknown once a part was handed over, else it surely was not taken."""
        return Unknown(f"no answer after the text: {why}") if self._handed_over else _later(why)


def _hang_up(smsc: _Client) -> None:
    """Say goodbye without waiting for the answer: whatever it is, the text's fate is known by now."""
    if smsc._socket is not None:
        with suppress(Exception):
            smsc.send_pdu(smpp.make_pdu("unbind", client=smsc))
        smsc._socket.close()
        smsc._socket = None


def _later(why: str) -> Refused:
    return Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, why)
