"""Notices on their way to the shop: the thread that posts them until the shop answers what it should."""

from __future__ import annotations

import threading
import time

import httpx

from sandbox.wallets.till import Notice, Till

# Seconds between two tries; then it is given up.
PAUSES = (1, 3, 10, 30, 120, 240)


class Postman:
    """Posts what lies in a till's outbox, in a thread of its own, again and later until it is taken.

    Args:
        answer: what the body of the shop's answer must be besides a status of 2xx; "" for anything.
    """

    def __init__(self, till: Till, url: str, *, answer: str = "", every: float = 0.2) -> None:
        self.till, self.url, self.answer, self.every = till, url, answer, every
        self._later: list[tuple[float, int, Notice]] = []
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
            due = [one for one in self._later if one[0] <= time.monotonic()]
            self._later = [one for one in self._later if one not in due]
            for tries, notice in [(0, one) for one in self.till.take_outbox()] + [one[1:] for one in due]:
                if not self.post(notice) and tries < len(PAUSES):
                    self._later.append((time.monotonic() + PAUSES[tries], tries + 1, notice))

    def post(self, notice: Notice) -> bool:
        """Whether the shop took it."""
        body, headers = notice
        try:
            heard = self._client.post(self.url, content=body, headers=headers)
        except httpx.HTTPError:
            return False
        return heard.is_success and (not self.answer or heard.text.strip() == self.answer)
