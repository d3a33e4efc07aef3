"""Messages to a browser through the push service it chose. Keeps the deadline and the key; decides nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

import httpx
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_ece import ECEException
from py_vapid import Vapid02, VapidException
from pywebpush import WebPusher, WebPushException

from xuka.connectors.channels.webpush import guard, wire
from xuka.connectors.deadline import Deadline
from xuka.kernel.outcome import Outcome, Refused, Unknown
from xuka.messaging.contract import Letter

log = logging.getLogger(__name__)

FULL = Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, "too many messages are under way")

# RFC 8292 §2: at most a day; some push services refuse a whole one when their clock is behind ours.
SIGNED_FOR = timedelta(hours=12)


class WebPush:
    """Writes to any browser that subscribed with our public key. Safe to use from many threads.

    Args:
        private_key: VAPID: 32 bytes in base64url, or PKCS 8 as PEM or as DER in base64.
        contact: where a push service finds the seller: an e-mail address, "mailto:…" or "https://…".
        ttl: how long a push service keeps a message for a device that is off.
        allow_local: whether an endpoint may be plain http and on this machine, as the sandbox is; never in a shop.
        transport: how HTTP goes out; None for the network. One that is handed in is called in the calling thread.
        lookup: the addresses of a host and port; raises ``OSError`` where there are none.
        deadline: the total time of one message, looking up and connecting included, however slowly an answer drips.
        time: seconds since 1970, for the end of a signature.

    Raises:
        ValueError: the key or the contact is none.
    """

    name = "webpush"

    def __init__(
        self,
        *,
        private_key: str,
        contact: str,
        ttl: timedelta = timedelta(days=1),
        allow_local: bool = False,
        transport: httpx.BaseTransport | None = None,
        lookup: guard.Lookup = guard.addresses,
        deadline: timedelta = timedelta(seconds=30),
        time: Callable[[], float] = time.time,
    ) -> None:
        self._vapid = _key(private_key)
        self._contact = contact if contact.startswith(("mailto:", "https://")) else f"mailto:{contact}"
        self._ttl, self._allow_local, self._time = ttl, allow_local, time
        self._transport, self._seconds = transport, deadline.total_seconds()
        self._deadline = Deadline(deadline, name="push", inline=transport is not None, full=FULL)
        self._lookup = None if allow_local else lookup
        self._tls = httpx.create_ssl_context() if transport is None else True
        try:
            self._authorization("https://push.example")
        except VapidException as error:
            raise ValueError("The contact of Web Push is an e-mail address or an https address.") from error

    @property
    def public_key(self) -> str:
        """What the page gives ``pushManager.subscribe`` as ``applicationServerKey``; it is no secret."""
        return public_key_of(self._vapid)

    def send(self, letter: Letter) -> Outcome[str]:
        """Hand the message to the push service; ``letter.to`` is a subscription as the browser's JSON.

        The letter's id is topic and tag: a second sending takes the place of the first, at the push service as long as
        the device is off and on its screen after that.

        Returns:
            ``Done(the push service's own name for it)`` once it was taken. ``Refused`` when it surely was not, being
            unreachable included; its reason is "gone" when the subscription has ended, "bad_address" for an endpoint
            that is not https on a public host. ``Unknown`` after silence, a 5xx or a status that is not listed.
        """
        subscription = wire.subscription_of(letter.to)
        endpoint = self._endpoint(subscription.endpoint) if subscription else None
        if subscription is None or endpoint is None:
            return Refused(wire.BAD_ADDRESS, None, "not a subscription of a public push service")
        try:
            content = _sealed(subscription, wire.payload_of(letter))
            authorization = self._authorization(_origin(endpoint))
        except (WebPushException, ECEException, VapidException, ValueError):
            return Refused(wire.BAD_ADDRESS, None, "not a key to seal with")
        headers = {
            "Authorization": authorization,
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(int(self._ttl.total_seconds())),
            "Topic": letter.id.hex,
        }
        call = _Call(endpoint, headers, content, topic=letter.id.hex)
        client = self._client()
        try:
            outcome = self._deadline.keep(lambda _: call.post(client), "send")
        finally:
            # One connection a message, which is closed at the deadline: whoever runs the endpoint may drip for ever.
            if self._transport is None:
                client.close()
        log.info("push %s through %s: %s", letter.id, endpoint.host, type(outcome).__name__.lower())
        return outcome

    def _endpoint(self, text: str) -> httpx.URL | None:
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, UnicodeError, ValueError):
            return None
        may = {"https", "http"} if self._allow_local else {"https"}
        return url if url.scheme in may and url.host and not url.userinfo else None

    def _authorization(self, origin: str) -> str:
        claims = {"aud": origin, "sub": self._contact, "exp": int(self._time() + SIGNED_FOR.total_seconds())}
        return self._vapid.sign(claims)["Authorization"]

    def _client(self) -> httpx.Client:
        if self._transport is not None:
            return httpx.Client(transport=guard.PublicOnly(self._transport, self._lookup), timeout=self._seconds)
        # Nothing was sent while connecting, so that ends a little earlier than the whole.
        timeout = httpx.Timeout(self._seconds, connect=self._seconds * 0.8)
        # No proxy of the environment's: it would look the name up by itself, and what was checked is void.
        network = httpx.HTTPTransport(verify=self._tls, trust_env=False)
        return httpx.Client(transport=guard.PublicOnly(network, self._lookup), timeout=timeout)


class _Call:
    """One message, sealed and signed, on its way to one endpoint."""

    def __init__(self, endpoint: httpx.URL, headers: dict[str, str], content: bytes, *, topic: str) -> None:
        self._origin, self._resource = _origin(endpoint) + "/", endpoint.raw_path
        self._headers, self._content, self._topic = headers, content, topic

    def post(self, client: httpx.Client) -> Outcome[str]:
        """Send it and read the head of the answer; its body says nothing and may never end."""
        extensions = {guard.RESOURCE: self._resource}
        try:
            with client.stream(
                "POST", self._origin, headers=self._headers, content=self._content, extensions=extensions
            ) as answer:
                return wire.outcome_of(
                    answer.status_code,
                    location=answer.headers.get("Location", ""),
                    topic=self._topic,
                    retry_after=answer.headers.get("Retry-After", ""),
                )
        except guard.NotPublic:
            return Refused(wire.BAD_ADDRESS, None, "not a subscription of a public push service")
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return Refused(wire.UNREACHABLE, wire.AGAIN_AFTER, type(error).__name__)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Unknown(f"no answer after the message: {type(error).__name__}")


def public_key_of(private_key: str | Vapid02) -> str:
    """The public half in base64url, as a browser wants it. Raises ``ValueError`` for what is no key."""
    vapid = _key(private_key) if isinstance(private_key, str) else private_key
    point = vapid.private_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return wire.base64url(point)


def _key(text: str) -> Vapid02:
    try:
        if text.lstrip().startswith("-----BEGIN"):
            return Vapid02.from_pem(text.strip().encode())
        return Vapid02.from_string(text.strip())
    except Exception:
        # Not "from error": what went wrong inside may quote the key.
        raise ValueError("The private key of Web Push is 32 bytes in base64url, or PKCS 8.") from None


def _sealed(subscription: wire.Subscription, payload: bytes) -> bytes:
    keys = {"p256dh": subscription.p256dh, "auth": subscription.auth}
    return WebPusher({"endpoint": subscription.endpoint, "keys": keys}).encode(payload)["body"]


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"
