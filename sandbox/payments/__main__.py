"""Runs the stand-in payment provider: ``python -m sandbox.payments --port 8103 --webhook-url http://…``."""

from __future__ import annotations

import argparse
import logging
import time
from email.utils import format_datetime
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

from sandbox.clock import clock
from sandbox.payments.app import application
from sandbox.payments.hooks import Postman
from sandbox.payments.world import World


def main() -> None:
    """Serve until stopped. Prints one line once it listens."""
    asked = _arguments()
    world = World(
        now=clock(asked.clock_offset_file),
        seed=asked.seed,
        keys=tuple(asked.key or ["sk_test_sandbox"]),
        webhook_secret=asked.webhook_secret,
        settle_after=asked.settle_after,
        keep=asked.state,
    )

    class OnTheProvidersClock(WSGIRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(world.now(), usegmt=True)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = application(world, sleep=time.sleep)
    server = make_server(asked.host, asked.port, app, threaded=True, request_handler=OnTheProvidersClock)
    world.url = (asked.public_url or f"http://{asked.host}:{server.server_port}").rstrip("/")
    postman = Postman(world, asked.webhook_url).start() if asked.webhook_url else None
    world.on_early = postman.post if postman else None
    print(f"payments listens on http://{asked.host}:{server.server_port}", flush=True)
    server.serve_forever()


def _arguments() -> argparse.Namespace:
    wanted = argparse.ArgumentParser(prog="sandbox.payments", description="A stand-in for a payment provider.")
    wanted.add_argument("--host", default="127.0.0.1")
    wanted.add_argument("--port", type=int, default=8103, help="0 takes any free one")
    wanted.add_argument("--public-url", help="where a browser finds the pages; the address it listens on if left out")
    wanted.add_argument("--webhook-url", help="where events are posted; nothing is posted if left out")
    wanted.add_argument("--webhook-secret", default="whsec_sandbox")
    wanted.add_argument("--key", action="append", help="a secret key it knows; may be given again, also an sk_live_")
    wanted.add_argument("--settle-after", type=float, default=60, help="seconds until delayed money arrives")
    wanted.add_argument("--clock-offset-file", type=Path, help="whole seconds that the clock was pushed forward")
    wanted.add_argument("--state", type=Path, help="JSON file that keeps everything between runs")
    wanted.add_argument("--seed", type=int, default=0)
    return wanted.parse_args()


if __name__ == "__main__":
    main()
