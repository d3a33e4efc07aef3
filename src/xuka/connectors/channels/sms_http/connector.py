"""Texts through an HTTP gateway in the form of Twilio's Messages resource. Keeps the deadline; decides nothing."""

from __future__ import annotations

import logging
from datetime import timedelta
from urllib.parse import quote

import httpx

from xuka.connectors.channels.sms_http import wire
from xuka.connectors.deadline import Deadline
from xuka.kernel import ids
from xuka.kernel.outcome import Outcome, Refused, Unknown
from xuka.messaging.contract import Letter

log = logging.getLogger(__name__)

FULL = Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, "too many messages are under way")


class SmsHttp:
    """One gateway that takes our texts. Safe to use from many threads.

    Args:
        base_url: without "/2010-04-01".
        sid: the account; with the token also the sign-in.
        sender: a number of the account ("+32…"), or a name it may use.
        transport: how HTTP goes out; None for the network. One that is handed in is called in the calling thread.
        deadline: the total time of one text, however slowly an answer drips.
    """

    name = "sms"

    def __init__(
        self,
        *,
        base_url: str,
        sid: str,
        token: str,
        sender: str,
        transport: httpx.BaseTransport | None = None,
        deadline: timedelta = timedelta(seconds=30),
    ) -> None:
        seconds = deadline.total_seconds()
        self._sender = sender
        self._deadline = Deadline(deadline, name="sms", inline=transport is not None, full=FULL)
        self._path = f"/2010-04-01/Accounts/{quote(sid, safe='')}/Messages.json"
        # Nothing was sent while connecting, so that ends a little earlier than the whole.
        timeout = httpx.Timeout(seconds, connect=seconds * 0.8, pool=seconds * 0.8)
        self._client = httpx.Client(base_url=base_url, auth=(sid, token), transport=transport, timeout=timeout)

    def send(self, letter: Letter) -> Outcome[str]:
        """Hand the text to the gateway; of a letter only its text goes out.

        Returns:
            ``Done(sid)`` once the gateway took it. ``Refused`` when it surely did not, being unreachable included.
            ``Unknown`` after silence, a 5xx or an answer that is not understood: the gateway has no key by which a
            second sending could be recognised.
        """
        outcome = self._deadline.keep(lambda _: self._post(letter), "send")
        log.info("text %s to %s: %s", letter.id, ids.masked(letter.to), type(outcome).__name__.lower())
        return outcome

    def _post(self, letter: Letter) -> Outcome[str]:
        form = {"To": letter.to, "From": self._sender, "Body": letter.text.strip()}
        try:
            answer = self._client.post(self._path, data=form)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, type(error).__name__)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Unknown(f"no answer after the text: {type(error).__name__}")
        try:
            body = answer.json()
        except ValueError:
            body = None
        return wire.outcome_of(answer.status_code, body, answer.headers.get("Retry-After", ""))
