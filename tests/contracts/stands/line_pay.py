"""LINE Pay and a person in Taipei."""

from __future__ import annotations

import csv
import io
from typing import Any

from sandbox.transport import InProcess
from sandbox.wallets.line_pay import CHANNEL, SECRET, LinePayTill, line_pay
from tests.contracts.stands import Clock
from tests.contracts.stands.on_till import OnTill
from xuka.connectors.payments.line_pay.connector import LinePay
from xuka.connectors.payments.line_pay.wire import COLUMNS
from xuka.kernel.money import Money


class Stand(OnTill):
    method = "line_pay"
    monies = (Money(59900, "TWD"), Money(34950, "THB"))
    posts = False
    wire = (
        "timeout_before",
        "timeout_after",
        "drop_before",
        "drop_after",
        "error_before",
        "error_after",
        "garbage_after",
        "rate_limited",
    )
    captures = True
    cannot = ("ask again", "know refunds", "wait with refunds")

    def __init__(self) -> None:
        self.clock = Clock()
        self.till: LinePayTill = LinePayTill(now=self.clock.now)
        self.transport = InProcess(line_pay(self.till))
        self.provider = self.another()

    def another(self, **settings: Any) -> LinePay:
        given: dict[str, Any] = {
            "base_url": "http://wallet.test",
            "channel_id": CHANNEL,
            "channel_secret": SECRET,
            "markets": ("TW", "TH"),
            "transport": self.transport,
            "monotonic": self.clock.monotonic,
        }
        return LinePay(**given | settings)

    def statement(self) -> bytes:
        text = io.StringIO()
        out = csv.writer(text)
        out.writerow(COLUMNS)
        for bill in self.till.bills.values():
            if bill.paid_at is None:
                continue
            amount, currency = self.till.as_number(bill.captured, bill.captured_currency), bill.captured_currency
            out.writerow([bill.id, bill.key, "PAYMENT", bill.paid_at.isoformat(), currency, amount, "3.00"])
            for one in bill.refunds:
                back = -self.till.as_number(one.amount, currency)
                out.writerow([one.id, bill.key, "PARTIAL_REFUND", one.at.isoformat(), currency, back, "0"])
        return text.getvalue().encode()
