"""Runs the mail sandbox: ``python -m sandbox.mail --smtp-port 8125 --http-port 8102``."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from werkzeug.serving import make_server

from sandbox.clock import clock
from sandbox.mail.app import application
from sandbox.mail.inbox import Inbox, Postbox


def main() -> None:
    """Serve until stopped. Prints one line once it listens."""
    wanted = argparse.ArgumentParser(prog="sandbox.mail", description="Keeps letters and shows them on a page.")
    wanted.add_argument("--host", default="127.0.0.1")
    wanted.add_argument("--smtp-port", type=int, default=8125, help="0 takes any free one")
    wanted.add_argument("--http-port", type=int, default=8102, help="0 takes any free one")
    wanted.add_argument("--clock-offset-file", type=Path, help="whole seconds that the clock was pushed forward")
    asked = wanted.parse_args()
    inbox = Inbox(now=clock(asked.clock_offset_file))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(asked.host, asked.http_port, application(inbox), threaded=True)
    with Postbox(inbox, host=asked.host, port=asked.smtp_port) as postbox:
        host, port = postbox.address
        print(f"mail listens on smtp://{host}:{port}, shown on http://{asked.host}:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
