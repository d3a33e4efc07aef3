"""Runs the messengers: ``python -m sandbox.chat --port 8105 [--inbox http://127.0.0.1:8102]``."""

from __future__ import annotations

import argparse
import logging

import httpx
from werkzeug.serving import make_server

from sandbox.chat.app import application
from sandbox.chat.world import Delivered, Messengers


def main() -> None:
    """Serve until stopped. Prints one line once it listens."""
    wanted = argparse.ArgumentParser(prog="sandbox.chat", description="Telegram, LINE, WeChat and a push service.")
    wanted.add_argument("--host", default="127.0.0.1")
    wanted.add_argument("--port", type=int, default=8105, help="0 takes any free one")
    wanted.add_argument("--inbox", default="", help="where the phone is; without it messages are only kept")
    asked = wanted.parse_args()
    inbox = httpx.Client(base_url=asked.inbox, timeout=10)

    def deliver(message: Delivered) -> None:
        told = {"from": message.service, "to": message.to, "text": message.text}
        inbox.post("/control/texts", json=told).raise_for_status()

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    messengers = Messengers(deliver if asked.inbox else None)
    server = make_server(asked.host, asked.port, application(messengers), threaded=True)
    print(f"chat listens on http://{asked.host}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
