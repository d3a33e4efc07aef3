"""Template messages of a WeChat Official Account. Keeps the deadline and the token; decides nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx

from xuka.connectors.channels.wechat import wire
from xuka.connectors.deadline import Deadline
from xuka.kernel import ids
from xuka.kernel.outcome import Outcome, Refused, Unknown
from xuka.messaging.contract import Letter

log = logging.getLogger(__name__)

FULL = Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, "too many messages are under way")

# A token lives at least five minutes more when it is handed out; it is not used in its last one.
MARGIN = 60.0

FIELDS: Mapping[str, str] = MappingProxyType({"first": "subject", "keyword1": "text"})


class WeChat:
    """One Official Account that writes to its followers. Safe to use from many threads.

    Args:
        base_url: without "/cgi-bin".
        app_id: of the account; with the secret it gets an access token.
        template: the id of the template, as the account's own list of templates shows it.
        fields: what fills each of its fields, "subject" or "text".
        transport: how HTTP goes out; None for the network. One that is handed in is called in the calling thread.
        deadline: the total time of one message, its token included, however slowly an answer drips.
        monotonic: seconds that never go back, for the age of the token.
    """

    name = "wechat"

    def __init__(
        self,
        *,
        base_url: str,
        app_id: str,
        secret: str,
        template: str,
        fields: Mapping[str, str] = FIELDS,
        transport: httpx.BaseTransport | None = None,
        deadline: timedelta = timedelta(seconds=30),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        assert fields, "a template has a field"
        assert set(fields.values()) <= set(wire.PARTS), "a field is filled by the subject or by the text"
        seconds = deadline.total_seconds()
        self._monotonic = monotonic
        self._deadline = Deadline(deadline, name="wechat", inline=transport is not None, full=FULL, monotonic=monotonic)
        self._app_id, self._secret = app_id, secret
        self._template, self._fields = template, dict(fields)
        # The token and when it ends. Two threads may ask at once: they get the same one.
        self._token: tuple[str, float] | None = None
        # Nothing was sent while connecting, so that ends a little earlier than the whole.
        timeout = httpx.Timeout(seconds, connect=seconds * 0.8, pool=seconds * 0.8)
        way_out = _WithToken(transport or _network(base_url))
        self._client = httpx.Client(base_url=base_url, transport=way_out, timeout=timeout)

    def send(self, letter: Letter) -> Outcome[str]:
        """Hand the message to WeChat; ``letter.to`` is an openid.

        Within ten minutes, calling it again with the same letter sends nothing twice.

        Returns:
            ``Done(msgid)`` once WeChat took it. ``Refused`` when it surely did not, being unreachable and getting no
            token included; its reason is "gone" when the person does not follow the account. ``Unknown`` after
            silence, a 5xx or an answer that is not understood.
        """
        message = wire.message_of(letter, template=self._template, fields=self._fields)
        if message is None:
            return Refused(wire.BAD_ADDRESS, None, "not an openid")
        outcome = self._deadline.keep(lambda until: self._deliver(message, until), "send")
        log.info("message %s to %s: %s", letter.id, ids.masked(letter.to), type(outcome).__name__.lower())
        return outcome

    def _deliver(self, message: dict[str, Any], until: float) -> Outcome[str]:
        """Token and message. A token that WeChat no longer takes is renewed once: nothing was sent with it."""
        outcome: Outcome[str] = Refused(wire.NOT_AUTHORISED, wire.AGAIN_AFTER, "no token")
        for _ in range(2):
            token = self._token_now()
            if isinstance(token, Refused):
                return token
            if self._monotonic() > until:
                # Whoever asked has gone: what goes out now would be sent behind his back.
                return Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, "too slow")
            outcome = self._post(message, token)
            if not wire.is_old_token(outcome):
                return outcome
            self._forget(token)
        return outcome

    def _post(self, message: dict[str, Any], token: str) -> Outcome[str]:
        try:
            answer = self._client.post(
                "/cgi-bin/message/template/send", json=message, extensions={"access_token": token}
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, type(error).__name__)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Unknown(f"no answer after the message: {type(error).__name__}")
        return wire.outcome_of(answer.status_code, _json(answer))

    def _token_now(self) -> str | Refused:
        """The token at hand, or a fresh one."""
        kept, now = self._token, self._monotonic()
        if kept and now < kept[1]:
            return kept[0]
        # Never force_refresh, which would void the token of everybody else who uses this account.
        asked = {"grant_type": "client_credential", "appid": self._app_id, "secret": self._secret}
        try:
            answer = self._client.post("/cgi-bin/stable_token", json=asked)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, f"no token: {type(error).__name__}")
        fresh = wire.token_of(answer.status_code, _json(answer))
        if isinstance(fresh, Refused):
            return fresh
        self._token = fresh.value, now + fresh.expires_in - MARGIN
        return fresh.value

    def _forget(self, token: str) -> None:
        if self._token and self._token[0] == token:
            self._token = None


class _WithToken(httpx.BaseTransport):
    """Puts the token into the address underneath httpx, whose own log writes down the address of every call."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        extensions = dict(request.extensions)
        token, url = extensions.pop("access_token", None), request.url
        if token:
            url = url.copy_merge_params({"access_token": token})
        return self._inner.handle_request(
            httpx.Request(request.method, url, headers=request.headers, stream=request.stream, extensions=extensions)
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


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
