"""WeChat Pay's API v3: signed requests, signed answers, notices that are signed and sealed (AES-256-GCM).

As the real one: an order is there from when it is asked; its time passes without closing it; closing says 204 even to
numbers that it does not know; a refund is PROCESSING when it is asked; bills are CSV with a grave accent before each
cell, and are not signed themselves: their hash is.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from flask import Blueprint, Flask, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from sandbox.wallets.app import application, served, till
from sandbox.wallets.keys import Pair, pair, signer
from sandbox.wallets.till import Bill, GivenBack, Notice, Till

APP_ID, MERCHANT, SERIAL = "wxd678efh567hg6787", "1900000109", "1DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C"
API_V3_KEY, KEY_ID = "0123456789abcdef0123456789abcdef", "PUB_KEY_ID_0119000001092026030100000000000000"
CHINA = timezone(timedelta(hours=8))


def in_china(at: datetime) -> str:
    return at.astimezone(CHINA).isoformat(timespec="seconds")


class Refusal(Exception):
    """A status and a code of theirs."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class WechatPayTill(Till):
    """WeChat Pay for one merchant.

    Args:
        shop_key: the public half of the key in the merchant's certificate, PEM.
        keys: its own.
    """

    name = "WeChat Pay"

    def __init__(self, *, shop_key: str, keys: Pair | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.shop_key: Any = load_pem_public_key(shop_key.encode())
        self.key = signer((keys or pair("wechat_pay")).private)
        self.wrong_key = signer(pair("nobody").private)

    def charge_of(self, bill: Bill) -> str:
        return f"42000{self.digits(23)}"

    def sealed(self, text: str, *, at: datetime, wrongly: bool = False) -> dict[str, str]:
        """The headers of an answer or a notice with this body."""
        stamp, nonce = str(int(at.timestamp())), f"{self.chance.getrandbits(128):032x}"
        said = f"{stamp}\n{nonce}\n{text}\n".encode()
        key = self.wrong_key if wrongly else self.key
        return {
            "Wechatpay-Timestamp": stamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": base64.b64encode(key.sign(said, PKCS1v15(), SHA256())).decode(),
            "Wechatpay-Serial": KEY_ID,
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }

    def check(self, authorization: str, said: str) -> None:
        """Raises ``Refusal`` when the merchant did not sign this: "{}" stands for the time and the nonce."""
        scheme, _, rest = authorization.partition(" ")
        told = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        text = said.format(f"{told.get('timestamp')}\n{told.get('nonce_str')}").encode()
        try:
            self.shop_key.verify(base64.b64decode(told.get("signature", "")), text, PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            raise Refusal(401, "SIGN_ERROR") from None
        if (scheme, told["mchid"], told["serial_no"]) != ("WECHATPAY2-SHA256-RSA2048", MERCHANT, SERIAL):
            raise Refusal(401, "SIGN_ERROR")

    # -- orders -------------------------------------------------------------------------------------------------------

    def order(self, asked: dict[str, Any]) -> Bill:
        """The order of this number, made when it is new."""
        number, amount = asked["out_trade_no"], asked["amount"]
        if (asked["appid"], asked["mchid"]) != (APP_ID, MERCHANT):
            raise Refusal(400, "APPID_MCHID_NOT_MATCH")
        if not re.fullmatch(r"[0-9A-Za-z_\-|*]{6,32}", number) or len(asked["description"]) > 127:
            raise Refusal(400, "PARAM_ERROR")
        if amount["currency"] != "CNY" or not isinstance(amount["total"], int) or amount["total"] < 1:
            raise Refusal(400, "PARAM_ERROR")
        bill = self.by_key(number)
        if bill is None:
            expires = datetime.fromisoformat(asked["time_expire"]).astimezone(UTC)
            bill = Bill(f"wx{self.digits(20)}", number, amount["total"], "CNY", self.now(), expires)
            bill.told = {"description": asked["description"], "notify_url": asked["notify_url"]}
            self.bills[bill.id] = bill
        if bill.state != "open":
            raise Refusal(400, "ORDERPAID" if bill.state == "paid" else "ORDER_CLOSED")
        if (amount["total"], asked["description"]) != (bill.amount, bill.told["description"]):
            raise Refusal(400, "OUT_TRADE_NO_USED")
        return bill

    def seen(self, bill: Bill) -> dict[str, Any]:
        """An order as it is looked at, and as a notice tells it."""
        refunds = [one for one in bill.refunds if one.state != "failed"]
        state = {"open": "NOTPAY", "closed": "CLOSED", "paid": "REFUND" if refunds else "SUCCESS"}[bill.state]
        seen: dict[str, Any] = {
            "amount": {"currency": "CNY", "total": bill.amount},
            "appid": APP_ID,
            "mchid": MERCHANT,
            "out_trade_no": bill.key,
            "trade_state": state,
            "trade_state_desc": state,
        }
        if bill.state == "paid" and bill.paid_at:
            currency = bill.captured_currency
            seen |= {"transaction_id": bill.charge, "trade_type": "NATIVE", "success_time": in_china(bill.paid_at)}
            seen["amount"] = {"currency": currency, "total": bill.captured, "payer_total": bill.captured}
            seen["payer"] = {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}
        return seen

    def refund(self, asked: dict[str, Any]) -> dict[str, Any]:
        key, amount = asked["out_refund_no"], asked["amount"]
        bill = next((one for one in self.bills.values() if one.charge == asked["transaction_id"]), None)
        if bill is None or not bill.charge:
            raise Refusal(404, "RESOURCE_NOT_EXISTS")
        before = next((one for one in bill.refunds if one.key == key), None)
        if amount["total"] != bill.captured or (before and before.amount != amount["refund"]):
            raise Refusal(400, "INVALID_REQUEST")
        if before is None and amount["refund"] > bill.left:
            raise Refusal(400, "INVALID_REQUEST")
        refund = self.give_back(bill, key=key, amount=amount["refund"])
        if refund is None:
            raise Refusal(403, "NOT_ENOUGH")
        return self.seen_refund(bill, refund, "SUCCESS" if before and refund.state == "done" else "PROCESSING")

    def seen_refund(self, bill: Bill, refund: GivenBack, state: str = "") -> dict[str, Any]:
        states = {"pending": "PROCESSING", "done": "SUCCESS", "failed": "ABNORMAL"}
        return {
            "amount": {"currency": "CNY", "refund": refund.amount, "total": bill.captured},
            "channel": "ORIGINAL",
            "create_time": in_china(refund.at),
            "out_refund_no": refund.key,
            "out_trade_no": bill.key,
            "refund_id": refund.id,
            "status": state or states[refund.state],
            "transaction_id": bill.charge,
            "user_received_account": "支付用户零钱",
        }

    # -- notices and bills --------------------------------------------------------------------------------------------

    def notice(self, what: str, bill: Bill, refund: GivenBack | None, *, forged: bool, at: datetime) -> Notice | None:
        if what == "closed" or (refund and refund.state == "pending"):
            return None
        if refund:
            told = self.seen_refund(bill, refund) | {"mchid": MERCHANT}
            told["refund_status"] = told.pop("status")
            kind = f"REFUND.{told['refund_status']}"
        else:
            told, kind = self.seen(bill), "TRANSACTION.SUCCESS"
        nonce, named = self.digits(12), "refund" if refund else "transaction"
        plain = json.dumps(told, ensure_ascii=False).encode()
        locked = AESGCM(API_V3_KEY.encode()).encrypt(nonce.encode(), plain, named.encode())
        sealed = {
            "algorithm": "AEAD_AES_256_GCM",
            "associated_data": named,
            "ciphertext": base64.b64encode(locked).decode(),
            "nonce": nonce,
            "original_type": named,
        }
        whole = {
            "id": f"EV-{self.digits(19)}",
            "create_time": in_china(at),
            "resource_type": "encrypt-resource",
            "event_type": kind,
            "summary": "支付成功",
            "resource": sealed,
        }
        text = json.dumps(whole, ensure_ascii=False)
        return text.encode(), self.sealed(text, at=at, wrongly=forged) | {"Content-Type": "application/json"}

    def statement(self) -> bytes:
        """The bill of everything until now: plain CSV."""
        lines = [COLUMNS]
        for bill in self.bills.values():
            if bill.paid_at:
                lines.append(_line(bill, None, bill.paid_at))
            lines += [_line(bill, one, one.at) for one in bill.refunds if one.state != "failed"]
        lines += ["总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"]
        return "\r\n".join([*lines, f"`{len(lines) - 2},`0.00,`0.00,`0.00,`0.00000,`0.00,`0.00", ""]).encode()


COLUMNS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)


def _line(bill: Bill, refund: GivenBack | None, at: datetime) -> str:
    when = f"{at.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"
    cells = [when, APP_ID, MERCHANT, "0", "", bill.charge, bill.key, "oUpF8uMu", "NATIVE"]
    if refund is None:
        paid, fee = f"{bill.captured / 100:.2f}", f"{bill.captured * 6 / 100_000:.5f}"
        cells += ["SUCCESS", "OTHERS", "CNY", paid, "0.00", "0", "0", "0.00", "0.00", "", ""]
        return ",".join(f"`{cell}" for cell in [*cells, bill.told["description"], "", fee, "0.60%", paid, "0.00", ""])
    back, fee = f"{refund.amount / 100:.2f}", f"{-refund.amount * 6 / 100_000:.5f}"
    cells += ["REFUND", "OTHERS", "CNY", "0.00", "0.00", refund.id, refund.key, back, "0.00", "ORIGINAL", "SUCCESS"]
    return ",".join(f"`{cell}" for cell in [*cells, bill.told["description"], "", fee, "0.60%", "0.00", back, ""])


def here() -> WechatPayTill:
    there = till()
    assert isinstance(there, WechatPayTill)
    return there


api = Blueprint("wechat_pay", __name__)


def _served(endpoint: str, done: Callable[[WechatPayTill], tuple[int, Any]]) -> Response:
    """One call: the merchant's signature, the fault that waits, the work, and our signature over the answer."""

    def work() -> Response:
        wechat = here()
        path = request.full_path if request.query_string else request.path
        body = request.get_data(as_text=True).replace("{", "{{").replace("}", "}}")
        try:
            wechat.check(request.headers.get("Authorization", ""), f"{request.method}\n{path}\n{{}}\n{body}\n")
            status, told = done(wechat)
        except Refusal as no:
            status, told = no.status, {"code": no.code, "message": "失败"}
        except (KeyError, TypeError, ValueError):
            status, told = 400, {"code": "PARAM_ERROR", "message": "参数错误"}
        return _json(status, told)

    answer = served(endpoint, work, busy=lambda: _json(429, {"code": "FREQUENCY_LIMITED", "message": "频率限制"}))
    wrongly = answer.headers.pop("X-Sandbox-Sign-Wrongly", "")
    if answer.mimetype == "application/json" or answer.status_code == 204:
        answer.headers.update(here().sealed(answer.get_data(as_text=True), at=here().now(), wrongly=bool(wrongly)))
    return answer


def _json(status: int, told: Any) -> Response:
    text = json.dumps(told, ensure_ascii=False) if told is not None else ""
    return Response(text, status, mimetype="application/json")


@api.post("/v3/pay/transactions/native")
def native() -> Response:
    return _served("start", lambda wechat: (200, {"code_url": f"{wechat.url}/pay/{wechat.order(_asked()).id}"}))


@api.post("/v3/pay/transactions/h5")
def h5() -> Response:
    def done(wechat: WechatPayTill) -> tuple[int, Any]:
        if not _asked()["scene_info"]["payer_client_ip"] or not _asked()["scene_info"]["h5_info"]["type"]:
            raise Refusal(400, "PARAM_ERROR")
        prepay = wechat.order(_asked()).id
        return 200, {"h5_url": f"{wechat.url}/cgi-bin/mmpayweb-bin/checkmweb?prepay_id={prepay}&package=2150917749"}

    return _served("start", done)


@api.get("/cgi-bin/mmpayweb-bin/checkmweb")
def middle_page() -> AnyResponse | tuple[str, int]:
    """Where a phone's browser is led, and from there into WeChat."""
    bill = here().bills.get(request.args.get("prepay_id", ""))
    if bill is None:
        return "There is no such order.", 404
    bill.told["return_url"] = request.args.get("redirect_url", "")
    return redirect(f"/pay/{bill.id}", 303)


@api.get("/v3/pay/transactions/out-trade-no/<number>")
def query(number: str) -> Response:
    return _served("look", lambda wechat: (200, wechat.seen(_there(wechat.by_key(number)))))


@api.get("/v3/pay/transactions/id/<number>")
def query_by_id(number: str) -> Response:
    def done(wechat: WechatPayTill) -> tuple[int, Any]:
        paid = (bill for bill in wechat.bills.values() if bill.charge == number)
        return 200, wechat.seen(_there(next(paid, None)))

    return _served("look", done)


def _there(bill: Bill | None) -> Bill:
    if request.args["mchid"] != MERCHANT or bill is None:
        raise Refusal(404, "ORDER_NOT_EXIST")
    return bill


@api.post("/v3/pay/transactions/out-trade-no/<number>/close")
def close(number: str) -> Response:
    def done(wechat: WechatPayTill) -> tuple[int, Any]:
        bill = wechat.by_key(number)
        if _asked()["mchid"] == MERCHANT and bill:
            if bill.state != "open":
                raise Refusal(400, "ORDERPAID" if bill.state == "paid" else "ORDER_CLOSED")
            bill.state = "closed"
        return 204, None

    return _served("close", done)


@api.post("/v3/refund/domestic/refunds")
def refund() -> Response:
    return _served("refund", lambda wechat: (200, wechat.refund(_asked())))


@api.get("/v3/refund/domestic/refunds/<number>")
def query_refund(number: str) -> Response:
    def done(wechat: WechatPayTill) -> tuple[int, Any]:
        for bill in wechat.bills.values():
            for one in bill.refunds:
                if one.key == number:
                    return 200, wechat.seen_refund(bill, one)
        raise Refusal(404, "RESOURCE_NOT_EXISTS")

    return _served("look_refund", done)


@api.get("/v3/bill/tradebill")
def trade_bill() -> Response:
    def done(wechat: WechatPayTill) -> tuple[int, Any]:
        if not any(bill.paid_at for bill in wechat.bills.values()):
            raise Refusal(400, "NO_STATEMENT_EXIST")
        digest = hashlib.sha1(wechat.statement(), usedforsecurity=False).hexdigest()
        address = f"{wechat.url}/v3/billdownload/file?token=AFAhEdYaSJ&tartype=gzip"
        return 200, {"download_url": address, "hash_type": "SHA1", "hash_value": digest}

    return _served("statement", done)


@api.get("/v3/billdownload/file")
def bill_file() -> Response:
    """Signed for by the merchant as every call; the file itself is not signed."""
    try:
        here().check(request.headers.get("Authorization", ""), f"GET\n{request.full_path}\n{{}}\n\n")
    except Refusal as no:
        return _json(no.status, {"code": no.code})
    return Response(gzip.compress(here().statement(), mtime=0), mimetype="text/plain")


def _asked() -> dict[str, Any]:
    return request.get_json(force=True)


def wechat_pay(till: WechatPayTill, *, sleep: Callable[[float], None] = lambda seconds: None) -> Flask:
    """The WSGI application around it."""
    return application(till, api, sleep=sleep)
