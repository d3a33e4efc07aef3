"""Alipay's connector in front of its stand-in, in one process."""

from __future__ import annotations

from typing import Any

import httpx

from sandbox.transport import InProcess
from sandbox.wallets import alipay as far
from sandbox.wallets.keys import pair
from sandbox.wallets.till import WIRE, Bill
from tests.contracts.stands import Clock
from tests.contracts.stands.on_till import OnTill
from xuka.connectors.payments.alipay.connector import Alipay
from xuka.kernel.money import Money
from xuka.payments.contract import Payment


class Stand(OnTill):
    method = "alipay"
    monies = (Money(1999, "CNY"),)
    posts = True
    wire = tuple(WIRE)
    captures = False

    def __init__(self) -> None:
        self.clock = Clock()
        self.till: far.AlipayTill = far.AlipayTill(shop_key=pair("shop").public, now=self.clock.now)
        app = far.alipay(self.till)
        self.transport, self.phone = InProcess(app), httpx.Client(transport=InProcess(app), follow_redirects=True)
        self.provider: Alipay = self.another()

    def another(self, **settings: Any) -> Alipay:
        wanted = {
            "base_url": "http://wallet.test/gateway.do",
            "app_id": far.APP_ID,
            "seller_id": far.SELLER_ID,
            "private_key": pair("shop").private,
            "alipay_public_key": pair("alipay").public,
            "notify_url": "http://shop.test/webhooks/alipay/",
            "transport": self.transport,
            "now": self.clock.now,
            "monotonic": self.clock.monotonic,
        }
        return Alipay(**(wanted | settings))

    def bill(self, payment: Payment) -> Bill:
        """The person's phone reads the code or opens the page, if it has not yet."""
        if link := payment.qr or payment.url:
            self.phone.get(link)
        bill = self.till.by_key(payment.key.replace("-", "_"))
        assert bill is not None
        return bill

    def bill_of(self, payment: Payment) -> str:
        return self.bill(payment).id

    def settle_refund(self, key: str, *, ok: bool) -> None:
        super().settle_refund(key.replace("-", "_"), ok=ok)

    def captured(self, key: str) -> dict[str, int]:
        return super().captured(key.replace("-", "_"))

    def refunded(self, key: str) -> dict[str, int]:
        return super().refunded(key.replace("-", "_"))

    def statement(self) -> bytes:
        return self.till.statement()
