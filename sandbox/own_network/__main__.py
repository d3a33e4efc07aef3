"""Runs the stand-in operator: ``python -m sandbox.own_network --port 8105 --secret S --state var/own-network.json``."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
from werkzeug.serving import make_server

from sandbox.clock import clock
from sandbox.own_network.app import application
from sandbox.own_network.world import World


def main() -> None:
    """Serve until stopped. Prints one line once it listens."""
    wanted = argparse.ArgumentParser(prog="sandbox.own_network", description="A small operator with SIMs of its own.")
    wanted.add_argument("--host", default="127.0.0.1")
    wanted.add_argument("--port", type=int, default=8105, help="0 takes any free one")
    wanted.add_argument("--secret", required=True, help="what requests are signed with")
    wanted.add_argument("--clock-offset-file", type=Path, help="whole seconds that the clock was pushed forward")
    wanted.add_argument("--state", type=Path, help="JSON file that keeps cards and what was sold between runs")
    wanted.add_argument("--inbox", help="where the phone is that shows texts; without it they are only kept")
    asked = wanted.parse_args()
    world = World(
        now=clock(asked.clock_offset_file),
        secret=asked.secret,
        signed_now=lambda: datetime.now(UTC),
        deliver=_phone(asked.inbox) if asked.inbox else lambda to, words: None,
        keep=asked.state,
    )
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(asked.host, asked.port, application(world, sleep=time.sleep), threaded=True)
    print(f"own_network listens on http://{asked.host}:{server.server_port}", flush=True)
    server.serve_forever()


def _phone(url: str) -> Callable[[str, str], None]:
    inbox = httpx.Client(base_url=url, timeout=10)

    def deliver(to: str, words: str) -> None:
        sent = {"from": "own-network", "to": to, "text": words}
        inbox.post("/control/texts", json=sent).raise_for_status()

    return deliver


if __name__ == "__main__":
    main()
