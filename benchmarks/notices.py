"""Genuine notices of every provider that posts any, signed as theirs are, each about a payment of its own.

PayPay and LINE Pay post none.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from sandbox.wallets import alipay, paypal, wechat_pay
from sandbox.wallets.keys import kept
from sandbox.wallets.till import Bill, Till
from xuka.interfaces import clock
from xuka.kernel import ids
from xuka.payments.rules import words_of


@dataclass(frozen=True, slots=True)
class Notice:
    """What is posted to ``/webhooks/{provider}/``."""

    provider: str
    body: bytes
    headers: dict[str, str]


@cache  # their ids never repeat
def _tills() -> dict[str, Till]:
    shop_key, now = kept(settings.KEYS, "shop").public, clock.now
    return {
        "paypal": paypal.PayPalTill(now=now),
        "alipay": alipay.AlipayTill(now=now, shop_key=shop_key, keys=kept(settings.KEYS, "alipay")),
        "wechat_pay": wechat_pay.WechatPayTill(now=now, shop_key=shop_key, keys=kept(settings.KEYS, "wechat_pay")),
    }


# How each of them writes our key.
_WRITTEN = {"paypal": str, "alipay": lambda key: key.replace("-", "_"), "wechat_pay": lambda key: key[len("xuka-") :]}
POSTING = ("stripe", *_WRITTEN)


def signed(payments: list[Any]) -> list[Notice]:
    """A notice that each of these was paid, by its own provider."""
    tills = _tills()
    return [
        _of_stripe(words_of(one.id)) if one.provider == "stripe" else _of(tills[one.provider], one) for one in payments
    ]


def _of(till: Till, payment: Any) -> Notice:
    now = till.now()
    bill = Bill(
        ids.new().hex, _WRITTEN[payment.provider](words_of(payment.id)), payment.amount_minor, payment.currency, now,
        now + timedelta(hours=1), state="paid", captured=payment.amount_minor, captured_currency=payment.currency,
        paid_at=now, told={"invoice_id": "", "subject": "", "description": ""},
    )  # fmt: skip
    bill.charge = till.charge_of(bill)
    notice = till.notice("paid", bill, None, forged=False, at=now)
    assert notice is not None, payment.provider
    return Notice(payment.provider, *notice)


def _of_stripe(key: str) -> Notice:
    """Of a real one's size."""
    told = {
        "id": f"evt_{ids.new().hex}", "object": "event", "api_version": "2026-10-28.endive", "created": 1_790_000_000,
        "livemode": False, "pending_webhooks": 1, "type": "checkout.session.completed",
        "data": {"object": {
            "id": f"cs_test_{ids.new().hex}", "object": "checkout.session", "client_reference_id": key,
            "livemode": False, "metadata": {"key": key}, "payment_status": "paid", "status": "complete",
            "amount_total": 1290, "currency": "eur", "custom_text": {"filler": "x" * 2_000},
        }},
    }  # fmt: skip
    body, at = json.dumps(told).encode(), int(time.time())
    made = hmac.new(settings.WEBHOOK_SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return Notice("stripe", body, {"Content-Type": "application/json", "Stripe-Signature": f"t={at},v1={made}"})


@contextmanager
def paypal_answering() -> Iterator[None]:
    """PayPal's stand-in, which is asked about each of its notices, in a process of its own."""
    port = urlsplit(settings.PAYPAL).port
    process = subprocess.Popen([sys.executable, "-m", "sandbox.wallets", "paypal", "--port", str(port)])
    try:
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)
