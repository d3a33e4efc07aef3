"""Runs the phones: ``python -m sandbox.phones --to http://127.0.0.1:8000 --source demo --secret S --port 8106``."""

from __future__ import annotations

import argparse
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from werkzeug.serving import make_server

from sandbox.clock import clock
from sandbox.phones.app import application
from sandbox.phones.ways import Push
from sandbox.phones.world import World

log = logging.getLogger("sandbox.phones")


def main() -> None:
    """Serve until stopped. Prints one line once it listens."""
    wanted = argparse.ArgumentParser(prog="sandbox.phones", description="Phones that use data and tell of it.")
    wanted.add_argument("--host", default="127.0.0.1")
    wanted.add_argument("--port", type=int, default=8106, help="0 takes any free one")
    wanted.add_argument("--to", required=True, help="the address that usage is told to, before /usage/<source>/")
    wanted.add_argument("--source", default="demo", help="the name they tell it under")
    wanted.add_argument("--secret", required=True, help="what batches are signed with")
    wanted.add_argument("--card", action="append", default=[], metavar="ICCID:profile[:zone]", help="a phone")
    wanted.add_argument("--carrier", help="the stand-in carrier whose cards are in phones too")
    wanted.add_argument("--every", type=float, default=1.0, help="seconds of real time between two sendings")
    wanted.add_argument("--clock-offset-file", type=Path, help="whole seconds that the clock was pushed forward")
    wanted.add_argument("--state", type=Path, help="JSON file that keeps phones and what was sent between runs")
    wanted.add_argument("--seed", type=int, default=0)
    asked = wanted.parse_args()
    world = World(now=clock(asked.clock_offset_file), seed=asked.seed, keep=asked.state)
    for card in asked.card:
        iccid, profile, *zone = card.split(":", 2)
        if iccid not in world.phones:
            world.add(iccid, profile=profile, zone="".join(zone))
    push = Push(httpx.Client(base_url=asked.to, timeout=30, trust_env=False), source=asked.source, secret=asked.secret)
    threading.Thread(target=_keep_sending, args=(world, push, _sims(asked.carrier), asked.every), daemon=True).start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(asked.host, asked.port, application(world), threaded=True)
    print(f"phones listens on http://{asked.host}:{server.server_port}", flush=True)
    server.serve_forever()


def _sims(url: str | None) -> Callable[[World], None]:
    """Ask the stand-in carrier which cards it has; without one, ask nobody."""
    if url is None:
        return lambda world: None
    carrier = httpx.Client(base_url=url, timeout=10, trust_env=False)
    return lambda world: world.follow(carrier.get("/control/sims").raise_for_status().json()["sims"])


def _keep_sending(world: World, push: Push, follow: Callable[[World], None], every: float) -> None:
    """What cannot be sent is sent the next time; of a failure that lasts, the first time is logged."""
    failed = ""
    while True:
        try:
            follow(world)
            world.send(push)
            failed = ""
        except httpx.HTTPError as error:
            if failed != repr(error):
                log.warning("Not sent, and tried again: %r", error)
            failed = repr(error)
        time.sleep(every)


if __name__ == "__main__":
    main()
