"""WeChat Pay's connector in front of its stand-in, in one process."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from sandbox.transport import InProcess
from sandbox.wallets import wechat_pay as far
from sandbox.wallets.keys import pair
from sandbox.wallets.till import WIRE
from tests.contracts.stands import Clock
from tests.contracts.stands.on_till import OnTill
from xuka.connectors.payments.wechat_pay.connector import WechatPay
from xuka.kernel.money import Money
from xuka.payments.contract import Payment


class Stand(OnTill):
    method = "wechat_pay"
    monies = (Money(1999, "CNY"),)
    posts = True
    wire = tuple(WIRE)
    captures = False

    def __init__(self) -> None:
        self.clock = Clock()
        self.till: far.WechatPayTill = far.WechatPayTill(shop_key=pair("shop").public, now=self.clock.now)
        self.transport = InProcess(far.wechat_pay(self.till))
        self.provider: WechatPay = self.another()

    def another(self, **settings: Any) -> WechatPay:
        wanted = {
            "base_url": "http://wallet.test",
            "app_id": far.APP_ID,
            "merchant_id": far.MERCHANT,
            "private_key": pair("shop").private,
            "certificate_serial": far.SERIAL,
            "api_v3_key": far.API_V3_KEY,
            "platform_key": pair("wechat_pay").public,
            "platform_key_id": far.KEY_ID,
            "notify_url": "http://shop.test/webhooks/wechat_pay/",
            "transport": self.transport,
            "now": self.clock.now,
            "monotonic": self.clock.monotonic,
        }
        return WechatPay(**(wanted | settings))

    def bill_of(self, payment: Payment) -> str:
        """By what the code or the page says; else by the order's number."""
        if payment.qr:
            return payment.qr.rsplit("/", 1)[1]
        if payment.url:
            return parse_qs(urlsplit(payment.url).query)["prepay_id"][0]
        bill = self.till.by_key(payment.reference)
        assert bill is not None
        return bill.id

    def captured(self, key: str) -> dict[str, int]:
        return super().captured(key.removeprefix("xuka-"))

    def refunded(self, key: str) -> dict[str, int]:
        return super().refunded(key.removeprefix("xuka-"))

    def statement(self) -> bytes:
        return self.till.statement()
