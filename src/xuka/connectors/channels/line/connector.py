"""Push messages of a LINE Official Account. Keeps the deadline; decides nothing."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import httpx

from xuka.connectors.channels.line import wire
from xuka.connectors.deadline import Deadline
from xuka.kernel import ids
from xuka.kernel.outcome import Outcome, Refused, Unknown
from xuka.messaging.contract import Letter

log = logging.getLogger(__name__)

FULL = Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, "too many messages are under way")


class Line:
    """One LINE channel that writes to people who added it. Safe to use from many threads.

    Args:
        base_url: without "/v2".
        token: the channel access token.
        transport: how HTTP goes out; None for the network. One that is handed in is called in the calling thread.
        deadline: the total time of one message, however slowly an answer drips.
    """

    name = "line"

    def __init__(
        self,
        *,
        base_url: str,
        token: str,
        transport: httpx.BaseTransport | None = None,
        deadline: timedelta = timedelta(seconds=30),
    ) -> None:
        seconds = deadline.total_seconds()
        self._deadline = Deadline(deadline, name="line", inline=transport is not None, full=FULL)
        # Nothing was sent while connecting, so that ends a little earlier than the whole.
        timeout = httpx.Timeout(seconds, connect=seconds * 0.8, pool=seconds * 0.8)
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=base_url, headers=headers, transport=transport, timeout=timeout)

    def send(self, letter: Letter) -> Outcome[str]:
        """Hand the message to LINE; ``letter.to`` is a user id.

        The letter's id is the retry key: for 24 hours, calling it again sends nothing twice.

        Returns:
            ``Done(message id)`` once LINE took it, now or at an earlier sending. ``Refused`` when it surely did not,
            being unreachable included; its reason is "gone" when LINE knows nobody by that id. ``Unknown`` after
            silence, a 5xx or an answer that is not understood.
        """
        message = wire.message_of(letter)
        if message is None:
            return Refused(wire.BAD_ADDRESS, None, "not a LINE id")
        outcome = self._deadline.keep(lambda _: self._post(letter, message), "send")
        log.info("message %s to %s: %s", letter.id, ids.masked(letter.to), type(outcome).__name__.lower())
        return outcome

    def _post(self, letter: Letter, message: dict[str, Any]) -> Outcome[str]:
        headers = {"X-Line-Retry-Key": str(letter.id)}
        try:
            answer = self._client.post("/v2/bot/message/push", json=message, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, type(error).__name__)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Unknown(f"no answer after the message: {type(error).__name__}")
        try:
            body = answer.json()
        except ValueError:
            body = None
        retry_after = answer.headers.get("Retry-After", "")
        return wire.outcome_of(answer.status_code, body, letter_id=letter.id, retry_after=retry_after)
