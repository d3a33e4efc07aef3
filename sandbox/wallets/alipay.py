"""Alipay's openapi gateway: RSA2 over sorted parameters, trades that begin when somebody opens them.

As the real one: a QR code that nobody has read is no trade yet (``ACQ.TRADE_NOT_EXIST``); TRADE_CLOSED is said of what
was never paid and of what was wholly refunded; a refund that is asked again answers ``fund_change`` N; errors of the
gateway are not signed; bills are zip files with CSV in GBK.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from flask import Blueprint, Flask, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from sandbox.wallets.app import application, served, till
from sandbox.wallets.keys import Pair, pair, signer
from sandbox.wallets.till import Bill, GivenBack, Notice, Till

APP_ID, SELLER_ID = "9021000123456789", "2088102146225135"
ENDPOINT = {
    "alipay.trade.precreate": "start",
    "alipay.trade.query": "look",
    "alipay.trade.close": "close",
    "alipay.trade.refund": "refund",
    "alipay.trade.fastpay.refund.query": "look_refund",
    "alipay.data.dataservice.bill.downloadurl.query": "statement",
}
CHINA = timezone(timedelta(hours=8))


def in_china(at: datetime) -> str:
    return at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


class Refusal(Exception):
    """A code and sub_code of theirs."""

    def __init__(self, code: str, sub_code: str) -> None:
        super().__init__(sub_code)
        self.code, self.sub_code = code, sub_code


class AlipayTill(Till):
    """Alipay for one app.

    Args:
        shop_key: the shop's public key, PEM.
        keys: its own.
    """

    name = "Alipay"
    answer = "success"

    def __init__(self, *, shop_key: str, keys: Pair | None = None, **more: Any) -> None:
        super().__init__(**more)
        keys = keys or pair("alipay")
        self.shop_key: Any = load_pem_public_key(shop_key.encode())
        self.key = signer(keys.private)
        self.wrong_key = signer(pair("nobody").private)

    def charge_of(self, bill: Bill) -> str:
        return f"{self.now().astimezone(CHINA):%Y%m%d}22001{self.digits(15)}"

    def sealed(self, text: str, *, wrongly: bool = False) -> str:
        key = self.wrong_key if wrongly else self.key
        return base64.b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()

    def check(self, told: dict[str, str]) -> None:
        """Raises ``Refusal`` when the app did not sign this."""
        if told.get("app_id") != APP_ID:
            raise Refusal("40002", "isv.invalid-app-id")
        said = "&".join(f"{name}={value}" for name, value in sorted(told.items()) if name != "sign" and value)
        try:
            self.shop_key.verify(base64.b64decode(told.get("sign", "")), said.encode(), PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            raise Refusal("40002", "isv.invalid-signature") from None
        if told.get("sign_type") != "RSA2" or told.get("charset") != "utf-8" or told.get("version") != "1.0":
            raise Refusal("40002", "isv.invalid-signature-type")

    # -- orders -------------------------------------------------------------------------------------------------------

    def order(self, told: dict[str, str], asked: dict[str, str]) -> Bill:
        """The order of this number, made when it is new."""
        number = asked.get("out_trade_no", "")
        if not number or len(number) > 64 or not number.replace("_", "").isalnum() or "." not in asked["total_amount"]:
            raise Refusal("40004", "ACQ.INVALID_PARAMETER")
        amount = round(float(asked["total_amount"]) * 100)
        bill = self.by_key(number)
        if bill is None:
            expires = datetime.strptime(asked["time_expire"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
            bill = Bill(f"bax{self.digits(14)}", number, amount, "CNY", self.now(), expires.astimezone(UTC))
            bill.told = {"subject": asked["subject"], "notify_url": told.get("notify_url", "")}
            bill.told["return_url"] = told.get("return_url", "")
            self.bills[bill.id] = bill
        state = self.current(bill).state
        if state != "open":
            raise Refusal("40004", "ACQ.TRADE_HAS_SUCCESS" if state == "paid" else "ACQ.TRADE_HAS_CLOSE")
        if (amount, asked["subject"]) != (bill.amount, bill.told["subject"]):
            raise Refusal("40004", "ACQ.CONTEXT_INCONSISTENT")
        return bill

    def opened(self, bill: Bill) -> None:
        """Somebody has read the code or gone to the page: now it is a trade."""
        bill.charge = bill.charge or self.charge_of(bill)

    def trade(self, asked: dict[str, str]) -> Bill:
        for bill in self.bills.values():
            wanted = asked.get("trade_no", bill.charge), asked.get("out_trade_no", bill.key)
            if bill.charge and wanted == (bill.charge, bill.key):
                return self.current(bill)
        raise Refusal("40004", "ACQ.TRADE_NOT_EXIST")

    def done(self, method: str, told: dict[str, str], asked: dict[str, str]) -> dict[str, Any]:
        """What the method answers when it succeeds; raises ``Refusal``."""
        match method:
            case "alipay.trade.precreate":
                bill = self.order(told, asked)
                return {"out_trade_no": bill.key, "qr_code": f"{self.url}/qr/{bill.id}"}
            case "alipay.trade.query":
                return self.seen(self.trade(asked))
            case "alipay.trade.close":
                bill = self.trade(asked)
                if bill.state != "open":
                    raise Refusal("40004", "ACQ.TRADE_STATUS_ERROR")
                bill.state = "closed"
                self.tell("closed", bill)
                return {"trade_no": bill.charge, "out_trade_no": bill.key}
            case "alipay.trade.refund":
                return self.refund(self.trade(asked), asked)
            case "alipay.trade.fastpay.refund.query":
                bill = self.trade(asked)
                refund = next((one for one in bill.refunds if one.key == asked["out_request_no"]), None)
                if refund is None or refund.state != "done":
                    return {}
                return {
                    "out_request_no": refund.key,
                    "out_trade_no": bill.key,
                    "refund_amount": f"{refund.amount / 100:.2f}",
                    "refund_status": "REFUND_SUCCESS",
                    "total_amount": f"{bill.captured / 100:.2f}",
                    "trade_no": bill.charge,
                }
            case _:
                if not any(bill.paid_at for bill in self.bills.values()):
                    raise Refusal("40004", "isp.bill_not_exist")
                return {"bill_download_url": f"{self.url}/downloadBillFile.resource?fileType=csv.zip"}

    def seen(self, bill: Bill) -> dict[str, Any]:
        amount = bill.captured if bill.state == "paid" else bill.amount
        seen: dict[str, Any] = {
            "buyer_logon_id": "159****5620",
            "buyer_user_id": "2088101117955611",
            "out_trade_no": bill.key,
            "total_amount": f"{amount / 100:.2f}",
            "trade_no": bill.charge,
            "trade_status": status(bill),
        }
        if bill.state == "paid" and bill.paid_at:
            seen["send_pay_date"] = in_china(bill.paid_at)
            if bill.captured_currency != "CNY":
                seen |= {"trans_currency": bill.captured_currency, "total_amount": f"{bill.captured}.00"}
        return seen

    def refund(self, bill: Bill, asked: dict[str, str]) -> dict[str, Any]:
        amount = round(float(asked["refund_amount"]) * 100)
        before = next((one for one in bill.refunds if one.key == asked["out_request_no"]), None)
        if before and before.amount != amount:
            raise Refusal("40004", "ACQ.DISCORDANT_REPEAT_REQUEST")
        if before is None and bill.state == "paid" and bill.left == 0:
            raise Refusal("40004", "ACQ.TRADE_HAS_CLOSE")
        is_new = before is None or before.state == "failed"
        if before and is_new:
            before.state = "done"  # asked again under the same number: tried again
        refund = self.give_back(bill, key=asked["out_request_no"], amount=amount)
        if refund is None:
            raise Refusal("40004", "ACQ.REASON_TRADE_REFUND_FEE_ERR")
        moved = is_new and refund.state == "done"
        back = sum(one.amount for one in bill.refunds if one.state == "done")
        return {
            "fund_change": "Y" if moved else "N",
            "out_trade_no": bill.key,
            "refund_fee": f"{back / 100:.2f}",  # of all refunds of this trade
            "send_back_fee": f"{refund.amount / 100 if moved else 0:.2f}",
            "trade_no": bill.charge,
        }

    # -- notices and bills --------------------------------------------------------------------------------------------

    def notice(self, what: str, bill: Bill, refund: GivenBack | None, *, forged: bool, at: datetime) -> Notice | None:
        if not bill.charge or (refund and refund.state != "done"):
            return None
        told = {
            "app_id": APP_ID,
            "buyer_id": "2088101117955611",
            "charset": "utf-8",
            "gmt_create": in_china(bill.made_at),
            "notify_id": f"ac05099524730693a8b330c5ecf{self.digits(12)}",
            "notify_time": in_china(at),
            "notify_type": "trade_status_sync",
            "out_trade_no": bill.key,
            "seller_id": SELLER_ID,
            "subject": bill.told.get("subject", ""),
            "total_amount": f"{(bill.captured or bill.amount) / 100:.2f}",
            "trade_no": bill.charge,
            "trade_status": status(bill),
            "version": "1.0",
        }
        if bill.paid_at:
            told["gmt_payment"] = in_china(bill.paid_at)
        if refund:
            back = sum(one.amount for one in bill.refunds if one.state == "done")
            told |= {"gmt_refund": in_china(at) + ".123", "out_biz_no": refund.key, "refund_fee": f"{back / 100:.2f}"}
        said = "&".join(f"{name}={told[name]}" for name in sorted(told))
        told |= {"sign": self.sealed(said, wrongly=forged), "sign_type": "RSA2"}
        return urlencode(told).encode(), {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}

    def statement(self) -> bytes:
        """The bill of everything until now: a zip of two CSV files in GBK, names of files in GBK too."""
        lines = [
            "#支付宝业务明细查询",
            f"#账号：[{SELLER_ID}0156]",
            "#-----------------------------------------业务明细列表----------------------------------------",
            COLUMNS,
        ]
        for bill in self.bills.values():
            if bill.paid_at:
                lines.append(_line(bill, "交易", bill.captured, bill.paid_at))
            lines += [_line(bill, "退款", -one.amount, one.at, one.key) for one in bill.refunds if one.state == "done"]
        lines += ["#-----------------------------------------业务明细列表结束------------------------------------"]
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w") as archive:
            archive.writestr("summary.csv", "#支付宝业务汇总查询\r\n门店编号,门店名称\r\n".encode("gbk"))
            archive.writestr("detail.csv", "\r\n".join([*lines, f"#导出时间：[{in_china(self.now())}]"]).encode("gbk"))
        return whole.getvalue()


COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,"
    "订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,"
    "券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)


def _line(bill: Bill, kind: str, amount: int, at: datetime, request: str = "") -> str:
    """Numbers carry a tab, so that spreadsheets leave them alone; the fee is 0.6 %, kept with a payment only."""
    yuan = f"{amount / 100:.2f}"
    fee = f"{-amount * 6 // 1000 / 100:.2f}" if amount > 0 else "0.00"
    cells = [
        f"{bill.charge}\t",
        f"{bill.key}\t",
        kind,
        bill.told.get("subject", ""),
        in_china(bill.made_at),
        in_china(at),
    ]
    cells += [*[""] * 4, "buy***@example.com", yuan, yuan, *["0.00"] * 5, "", "0.00", "0.00", f"{request}\t", fee]
    return ",".join([*cells, "0.00", ""])


def status(bill: Bill) -> str:
    if bill.state == "paid":
        done = sum(one.amount for one in bill.refunds if one.state == "done")
        return "TRADE_CLOSED" if done >= bill.captured else "TRADE_SUCCESS"
    return "WAIT_BUYER_PAY" if bill.state == "open" else "TRADE_CLOSED"


def here() -> AlipayTill:
    there = till()
    assert isinstance(there, AlipayTill)
    return there


api = Blueprint("alipay", __name__)


@api.post("/gateway.do")
def gateway() -> Response:
    """Every call of the API."""
    told = request.form.to_dict()
    method = told.get("method", "")
    node = method.replace(".", "_") + "_response"
    try:
        here().check(told)
        if method not in ENDPOINT:
            raise Refusal("40002", "isv.invalid-method")
    except Refusal as no:
        return _json(f'{{"{node}":{json.dumps(_refused(no))}}}')

    def work() -> Response:
        try:
            asked = json.loads(told["biz_content"])
            body = {"code": "10000", "msg": "Success"} | here().done(method, told, asked)
        except (KeyError, ValueError):
            body = _refused(Refusal("40004", "ACQ.INVALID_PARAMETER"))
        except Refusal as no:
            body = _refused(no)
        return _json(json.dumps(body, ensure_ascii=False, separators=(", ", ":")))

    def busy() -> Response:
        return _json(json.dumps(_refused(Refusal("40005", "isv.app-call-limited"))))

    answer = served(ENDPOINT[method], work, busy=busy)
    wrongly = answer.headers.pop("X-Sandbox-Sign-Wrongly", "")
    if answer.mimetype == "application/json":
        text = answer.get_data(as_text=True)
        answer.set_data(f'{{"{node}":{text},"sign":"{here().sealed(text, wrongly=bool(wrongly))}"}}')
    return answer


def _refused(no: Refusal) -> dict[str, Any]:
    return {"code": no.code, "msg": "Business Failed", "sub_code": no.sub_code, "sub_msg": "失败"}


def _json(text: str) -> Response:
    return Response(text, mimetype="application/json")


@api.get("/gateway.do")
def page() -> AnyResponse | tuple[str, int]:
    """A phone's browser goes to ``alipay.trade.wap.pay``."""
    alipay, told = here(), request.args.to_dict()
    try:
        alipay.check(told)
        with alipay.lock:
            bill = alipay.order(told, json.loads(told["biz_content"]))
            alipay.opened(bill)
    except Refusal as no:
        return no.sub_code, 400
    return redirect(f"/pay/{bill.id}", 303)


@api.get("/qr/<id>")
def read(id: str) -> AnyResponse | tuple[str, int]:
    """A phone has read the QR code."""
    alipay = here()
    with alipay.lock:
        bill = alipay.bills.get(id)
        if bill is None or alipay.current(bill).state != "open":
            return "The code is over.", 410
        alipay.opened(bill)
    return redirect(f"/pay/{id}", 303)


@api.get("/downloadBillFile.resource")
def bill_file() -> Response:
    with here().lock:
        return Response(here().statement(), mimetype="application/zip")


def alipay(till: AlipayTill, *, sleep: Callable[[float], None] = lambda seconds: None) -> Flask:
    """The WSGI application around it."""
    return application(till, api, sleep=sleep)
