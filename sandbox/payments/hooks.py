"""Events on their way to the shop: their signature, and the thread that posts them until somebody says 2xx."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from typing import TYPE_CHECKING, NamedTuple

import httpx

if TYPE_CHECKING:
    from sandbox.payments.world import World

# Seconds between two tries, by the sandbox's clock; then it is given up.
PAUSES = (1, 3, 10, 30, 120, 600, 3600, 6 * 3600, 24 * 3600)


class Delivery(NamedTuple):
    """One event as it is posted: ``body, signature = world.outbox.pop(0)``."""

    body: bytes
    signature: str

    @property
    def event(self) -> dict[str, object]:
        """What it tells."""
        return json.loads(self.body)


def signed(body: bytes, *, secret: str, at: int) -> str:
    """The header ``Stripe-Signature`` of this body, sent at this second."""
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


class Postman:
    """Posts what lies in the world's outbox, in a thread of its own, again and later until the answer is 2xx."""

    def __init__(self, world: World, url: str, *, every: float = 0.2) -> None:
        self.world, self.url, self.every = world, url, every
        self._tries: dict[str, int] = {}
        self._stopped = threading.Event()
        self._client = httpx.Client(timeout=20, trust_env=False)
        self._thread = threading.Thread(target=self._work, name="postman", daemon=True)

    def start(self) -> Postman:
        """Begin; returns itself."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop after what is on its way now."""
        self._stopped.set()
        self._thread.join(30)
        self._client.close()

    def _work(self) -> None:
        while not self._stopped.wait(self.every):
            for delivery in self.world.take_outbox():
                self.post(delivery)

    def post(self, delivery: Delivery) -> bool:
        """Whether the shop took it; if not, it is sent again later with a fresh signature."""
        id = str(delivery.event["id"])
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": delivery.signature,
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            taken = self._client.post(self.url, content=delivery.body, headers=headers).is_success
        except httpx.HTTPError:
            taken = False
        if taken:
            self._tries.pop(id, None)
            self.world.delivered(id)
            return True
        tries = self._tries.get(id, 0)
        if tries < len(PAUSES):
            self._tries[id] = tries + 1
            self.world.send_later(id, seconds=PAUSES[tries])
        return False
