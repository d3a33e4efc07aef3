"""Runs the SMS gateway: ``python -m sandbox.sms --port 8104 --inbox http://127.0.0.1:8102``."""

from __future__ import annotations

import argparse
import logging

import httpx
from werkzeug.serving import make_server

from sandbox.sms.app import Gateway, application


def main() -> None:
    """Serve until stopped. Prints one line once it listens."""
    wanted = argparse.ArgumentParser(prog="sandbox.sms", description="Takes texts and shows them on a phone.")
    wanted.add_argument("--host", default="127.0.0.1")
    wanted.add_argument("--port", type=int, default=8104, help="0 takes any free one")
    wanted.add_argument("--inbox", default="http://127.0.0.1:8102", help="where the phone is")
    asked = wanted.parse_args()
    inbox = httpx.Client(base_url=asked.inbox, timeout=10)

    def deliver(sender: str, to: str, text: str) -> None:
        inbox.post("/control/texts", json={"from": sender, "to": to, "text": text}).raise_for_status()

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(asked.host, asked.port, application(Gateway(deliver)), threaded=True)
    print(f"sms listens on http://{asked.host}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
