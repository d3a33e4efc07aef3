"""Runs the stand-in of a wallet: ``python -m sandbox.wallets line_pay --port 8104 --webhook-url http://…``."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

from sandbox.clock import clock
from sandbox.wallets.alipay import AlipayTill, alipay
from sandbox.wallets.hooks import Postman
from sandbox.wallets.keys import kept
from sandbox.wallets.line_pay import LinePayTill, line_pay
from sandbox.wallets.paypal import PayPalTill, paypal
from sandbox.wallets.paypay import PayPayTill, paypay
from sandbox.wallets.wechat_pay import WechatPayTill, wechat_pay

# The till of each provider, and the application around it.
WALLETS: dict[str, tuple[Any, Any]] = {
    "alipay": (AlipayTill, alipay),
    "line_pay": (LinePayTill, line_pay),
    "paypal": (PayPalTill, paypal),
    "paypay": (PayPayTill, paypay),
    "wechat_pay": (WechatPayTill, wechat_pay),
}
# Those that sign with RSA keys, and know the shop by its own.
WITH_KEYS = frozenset({"alipay", "wechat_pay"})


def main() -> None:
    """Serve until stopped. Prints one line once it listens."""
    asked = _arguments()
    make_till, application = WALLETS[asked.name]
    more = {}
    if asked.name in WITH_KEYS:
        more = {"shop_key": kept(asked.keys, "shop").public, "keys": kept(asked.keys, asked.name)}
    till = make_till(now=clock(asked.clock_offset_file), seed=asked.seed, **more)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(asked.host, asked.port, application(till, sleep=time.sleep), threaded=True)
    till.url = (asked.public_url or f"http://{asked.host}:{server.server_port}").rstrip("/")
    if asked.webhook_url:
        Postman(till, asked.webhook_url, answer=till.answer).start()
    print(f"{asked.name} listens on http://{asked.host}:{server.server_port}", flush=True)
    server.serve_forever()


def _arguments() -> argparse.Namespace:
    wanted = argparse.ArgumentParser(prog="sandbox.wallets", description="A stand-in for a wallet's provider.")
    wanted.add_argument("name", choices=sorted(WALLETS))
    wanted.add_argument("--host", default="127.0.0.1")
    wanted.add_argument("--port", type=int, default=8104, help="0 takes any free one")
    wanted.add_argument("--public-url", help="where a browser finds the pages; the address it listens on if left out")
    wanted.add_argument("--webhook-url", help="where notices are posted; nothing is posted if left out")
    wanted.add_argument("--clock-offset-file", type=Path, help="whole seconds that the clock was pushed forward")
    wanted.add_argument("--keys", type=Path, default=Path("keys"), help="folder of RSA keys, made when missing")
    wanted.add_argument("--seed", type=int, default=0)
    return wanted.parse_args()


if __name__ == "__main__":
    main()
