"""Runs the stand-in carrier: ``python -m sandbox.carrier --port 8101 --state var/carrier.json``."""

from __future__ import annotations

import argparse
import logging
import time
from email.utils import format_datetime
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

from sandbox.carrier.app import application
from sandbox.carrier.world import World
from sandbox.clock import clock


def main() -> None:
    """Serve until stopped. Prints one line once it listens."""
    wanted = argparse.ArgumentParser(prog="sandbox.carrier", description="A stand-in for a carrier's partner API.")
    wanted.add_argument("--host", default="127.0.0.1")
    wanted.add_argument("--port", type=int, default=8101, help="0 takes any free one")
    wanted.add_argument("--clock-offset-file", type=Path, help="whole seconds that the clock was pushed forward")
    wanted.add_argument("--state", type=Path, help="JSON file that keeps cards and orders between runs")
    wanted.add_argument("--seed", type=int, default=0)
    wanted.add_argument("--client-id", default="sandbox")
    wanted.add_argument("--client-secret", default="sandbox-secret")
    wanted.add_argument("--no-limits", action="store_true", help="do not keep the documented rate limits")
    asked = wanted.parse_args()
    world = World(
        now=clock(asked.clock_offset_file),
        seed=asked.seed,
        client_id=asked.client_id,
        client_secret=asked.client_secret,
        limited=not asked.no_limits,
        keep=asked.state,
    )

    class OnTheCarriersClock(WSGIRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(world.now(), usegmt=True)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(
        asked.host,
        asked.port,
        application(world, sleep=time.sleep),
        threaded=True,
        request_handler=OnTheCarriersClock,
    )
    print(f"carrier listens on http://{asked.host}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
