"""Messages from a Telegram bot. Keeps the deadline and the token; decides nothing."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass

import httpx

from xuka.connectors.channels.telegram import wire
from xuka.connectors.deadline import Deadline
from xuka.kernel import ids
from xuka.kernel.outcome import Outcome, Refused, Unknown
from xuka.messaging.contract import Letter

log = logging.getLogger(__name__)

FULL = Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, "too many messages are under way")


class Telegram:
    """One bot that writes to people who started it. Safe to use from many threads.

    Args:
        base_url: without "/bot…".
        token: of the bot; it stands in the address of a call and in no log.
        transport: how HTTP goes out; None for the network. One that is handed in is called in the calling thread.
        deadline: the total time of one message, however slowly an answer drips.
    """

    name = "telegram"

    def __init__(
        self,
        *,
        base_url: str,
        token: str,
        transport: httpx.BaseTransport | None = None,
        deadline: timedelta = timedelta(seconds=30),
    ) -> None:
        seconds = deadline.total_seconds()
        self._deadline = Deadline(deadline, name="telegram", inline=transport is not None, full=FULL)
        # Nothing was sent while connecting, so that ends a little earlier than the whole.
        timeout = httpx.Timeout(seconds, connect=seconds * 0.8, pool=seconds * 0.8)
        way_out = _WithToken(transport or _network(base_url), token)
        self._client = httpx.Client(base_url=base_url, transport=way_out, timeout=timeout)

    def send(self, letter: Letter) -> Outcome[str]:
        """Hand the message to Telegram; ``letter.to`` is a chat id.

        Returns:
            ``Done(message id)`` once Telegram took it. ``Refused`` when it surely did not, being unreachable included;
            its reason is "gone" when the person blocked the bot or there is no such chat. ``Unknown`` after silence, a
            5xx or an answer that is not understood: the Bot API has no key by which a second sending could be
            recognised.
        """
        message = wire.message_of(letter)
        if message is None:
            return Refused(wire.BAD_ADDRESS, None, "not a chat id")
        outcome = self._deadline.keep(lambda _: self._post(message), "send")
        log.info("message %s to %s: %s", letter.id, ids.masked(letter.to), type(outcome).__name__.lower())
        return outcome

    def _post(self, message: dict[str, Any]) -> Outcome[str]:
        try:
            answer = self._client.post("bot/sendMessage", json=message)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, type(error).__name__)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Unknown(f"no answer after the message: {type(error).__name__}")
        try:
            body = answer.json()
        except ValueError:
            body = None
        return wire.outcome_of(answer.status_code, body)


class _WithToken(httpx.BaseTransport):
    """Puts the token into the address underneath httpx, whose own log writes down the address of every call."""

    def __init__(self, inner: httpx.BaseTransport, token: str) -> None:
        self._inner, self._bot = inner, f"/bot{quote(token, safe=':')}/".encode()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.replace(b"/bot/", self._bot)
        url = request.url.copy_with(raw_path=path)
        return self._inner.handle_request(
            httpx.Request(
                request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
            )
        )

    def close(self) -> None:
        self._inner.close()


def _network(base_url: str) -> httpx.HTTPTransport:
    """The network, through the proxy that the environment names, as httpx does where it has no transport of ours."""
    url, told = httpx.URL(base_url), getproxies()
    proxy = "" if proxy_bypass(url.host) else told.get(url.scheme) or told.get("all", "")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    return httpx.HTTPTransport(proxy=proxy or None)
