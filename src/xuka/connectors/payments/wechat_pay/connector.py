"""WeChat Pay's API v3 as a ``Provider``, on the ``wechatpayv3`` package. Translates and keeps the deadline."""

from __future__ import annotations

import copy
import json
import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import sha1
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.type import RequestType
from wechatpayv3.utils import build_authorization

from xuka.connectors.deadline import Deadline, Heard, Lost, not_for_good
from xuka.connectors.payments.wechat_pay import wire
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.payments.contract import (
    Ask,
    Event,
    Forged,
    Method,
    Misconfigured,
    Payment,
    PaymentState,
    Reason,
    Refund,
    Settled,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

LIVE = frozenset({"api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "api.wechatpay.cn"})
NO_REFERENCE = Refused(Reason.UNKNOWN_PAYMENT, None, "no reference of ours")
NO_CARDS = Refused(Reason.BAD_REQUEST, None, "WeChat Pay keeps nothing to pay with later here")
NOT_SIGNED = "an answer that WeChat Pay has not signed"
ALGORITHM = "WECHATPAY2-SHA256-RSA2048"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class WechatPay:
    """One merchant at WeChat Pay (mainland). Safe to use from many threads.

    Args:
        base_url: of the API; money moves at WeChat's own hosts, which have no sandbox.
        app_id: an app's id ("wx…") that is bound to the merchant.
        merchant_id: the merchant's number (mchid).
        private_key: of the merchant's API certificate, PEM (PKCS#8) or its base64.
        certificate_serial: that certificate's serial number.
        api_v3_key: 32 characters, for notices.
        platform_key: WeChat Pay's public key, or one platform certificate, PEM.
        platform_key_id: "PUB_KEY_ID_…"; left out with a certificate, whose serial number it is.
        notify_url: where WeChat posts its notices; https, without a query.
        call_deadline: the total time of one call.
        markets: ISO 3166 codes of the markets to offer it in.
        transport: how HTTP goes out; None for the network. One that is handed in is called in the calling thread and
            trusted to keep the deadline.
        now: aware UTC; to know whether a day's bill is made.
        monotonic: seconds that never go back, for the deadline.

    Raises:
        Misconfigured: an id is missing, or a key cannot be read.
    """

    name = "wechat_pay"
    webhook_answer = ""
    # An order number is the payment's for ever; refunds are taken for a year.
    keys_live = timedelta(days=365)
    absent_after = timedelta(minutes=2)

    def __init__(
        self,
        *,
        base_url: str = "https://api.mch.weixin.qq.com",
        app_id: str,
        merchant_id: str,
        private_key: str,
        certificate_serial: str,
        api_v3_key: str,
        platform_key: str,
        platform_key_id: str = "",
        notify_url: str,
        call_deadline: timedelta = timedelta(seconds=20),
        markets: Iterable[str] = ("CN",),
        transport: httpx.BaseTransport | None = None,
        now: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not all((app_id, merchant_id, certificate_serial, notify_url)):
            raise Misconfigured("WeChat Pay needs an app id, a merchant id, a certificate's serial, and a notify_url.")
        if len(api_v3_key.encode()) != 32:
            raise Misconfigured("WeChat Pay's APIv3 key has 32 characters.")
        key, key_id = _platform(platform_key, platform_key_id)
        self.is_live = urlsplit(base_url).hostname in LIVE
        self.call_deadline = call_deadline
        self._app_id, self._merchant, self._key_id = app_id, merchant_id, key_id
        self._base_url, self._markets, self._now = base_url.rstrip("/"), frozenset(markets), now
        self._sdk = copy.copy(_sdk(merchant_id, private_key, certificate_serial, app_id, api_v3_key, key, key_id))
        self._sdk._notify_url = notify_url
        self._deadline = Deadline(
            call_deadline, name=self.name, inline=transport is not None, log=log, monotonic=monotonic
        )
        self._http = httpx.Client(transport=transport)

    # -- payments ---------------------------------------------------------------------------------------------------

    def methods(self) -> tuple[Method, ...]:
        """WeChat Pay, in yuan. No call is made."""
        return (Method("wechat_pay", self._markets, wire.LIMITS),)

    def start(self, ask: Ask) -> Outcome[Payment]:
        """A QR code for a desk; for a phone whose address is known a page that opens WeChat, else the code too.

        Idempotent by ``ask.key``. What was paid or closed under it is told so.
        """
        if refused := wire.refusal_of_amount(ask.money):
            return refused

        def send(sdk: WeChatPay) -> object:
            if ask.device == "phone" and ask.client_ip:
                scene = {"payer_client_ip": ask.client_ip, "h5_info": {"type": "Wap"}}
                return sdk.pay(**wire.order_asked(ask), scene_info=scene, pay_type=WeChatPayType.H5)
            return sdk.pay(**wire.order_asked(ask), pay_type=WeChatPayType.NATIVE)

        def work(until: float) -> Outcome[Payment]:
            answer = self._ask(until, send)
            if isinstance(answer, Unknown):
                return answer
            if answer.code in wire.IS_THERE:
                seen = self._look(until, wire.order_of(ask.key))
                is_open = isinstance(seen, Done) and seen.value.state == PaymentState.OPEN
                return Unknown(f"asked before, with other content: {answer.code}") if is_open else seen
            return wire.started_of(answer, ask=ask, back_to=f"&redirect_url={quote(ask.return_url, safe='')}")

        return self._deadline.keep(work, f"start {ask.key}")

    def look(self, *, reference: str) -> Outcome[Payment]:
        """The payment as it is now; its code or page is not told again. Changes nothing."""
        return self._deadline.keep(lambda until: self._look(until, reference), f"look at {ids.masked(reference)}")

    def _look(self, until: float, order: str) -> Outcome[Payment]:
        if not wire.key_of(order):
            return NO_REFERENCE
        answer = self._ask(until, lambda sdk: sdk.query(out_trade_no=order))
        if isinstance(answer, Unknown):
            return answer
        return wire.payment_of(answer, order=order, app_id=self._app_id, merchant=self._merchant)

    def find(self, *, key: str, asked_at: datetime, is_hosted: bool) -> Outcome[Payment | None]:
        """The payment of exactly this key; None when it is not there. Never refused for good."""

        def work(until: float) -> Outcome[Payment | None]:
            found = self._look(until, wire.order_of(key))
            is_absent = isinstance(found, Refused) and found.reason == Reason.UNKNOWN_PAYMENT
            return Done(None) if is_absent else found

        return not_for_good(self._deadline.keep(work, f"find {key}"))

    def close(self, *, reference: str) -> Outcome[Payment]:
        """Close the order, then look how it ended: WeChat says 204 even to numbers that it does not know.

        Closing what is closed or paid changes nothing.
        """

        def work(until: float) -> Outcome[Payment]:
            if not wire.key_of(reference):
                return NO_REFERENCE
            answer = self._ask(until, lambda sdk: sdk.close(out_trade_no=reference))
            if isinstance(answer, Unknown):
                return answer
            if answer.status != 204 and answer.code not in wire.IS_THERE:
                return wire.not_done(answer)
            seen = self._look(until, reference)
            is_open = isinstance(seen, Done) and seen.value.state == PaymentState.OPEN
            return Unknown("could not be closed, and is still open") if is_open else seen

        return self._deadline.keep(work, f"close {ids.masked(reference)}")

    def capture(self, *, key: str, reference: str, money: Money) -> Outcome[Payment]:
        """WeChat captures by itself: nothing is ever left approved, so this only looks."""
        return self.look(reference=reference)

    # -- refunds ----------------------------------------------------------------------------------------------------

    def refund(self, *, key: str, charge: str, money: Money) -> Outcome[Refund]:
        """Give money back. Idempotent by ``key``. It is pending until WeChat has moved it.

        Two calls: a refund has to say what was paid. After "too many" nobody knows whether it was taken (README.md).
        """
        if refused := wire.refusal_of_amount(money):
            return refused
        if not re.fullmatch(r"[0-9]{1,32}", charge):
            return NO_REFERENCE

        def work(until: float) -> Outcome[Refund]:
            seen = self._ask(until, lambda sdk: sdk.query(transaction_id=charge))
            total = seen if isinstance(seen, Unknown) else wire.total_of(seen, charge=charge, merchant=self._merchant)
            if not isinstance(total, Done):
                return total
            amount = {"refund": money.minor, "total": total.value.minor, "currency": money.currency}
            answer = self._ask(until, lambda sdk: sdk.refund(out_refund_no=key, amount=amount, transaction_id=charge))
            if isinstance(answer, Unknown):
                return answer
            if answer.status == 429:
                return Unknown("too many refunds at a time: perhaps taken")
            return wire.refund_of(answer, key=key, charge=charge, money=money)

        return self._deadline.keep(work, f"refund {key}")

    def look_refund(self, *, reference: str) -> Outcome[Refund]:
        """The refund as it is now. Changes nothing."""
        return self._deadline.keep(
            lambda until: self._look_refund(until, reference), f"look at refund {ids.masked(reference)}"
        )

    def find_refund(
        self, *, key: str, charge: str, money: Money | None = None, others: Collection[str] = ()
    ) -> Outcome[Refund | None]:
        """The refund of exactly this key; None when it is not there. Never refused for good."""

        def work(until: float) -> Outcome[Refund | None]:
            found = self._look_refund(until, key, charge)
            is_absent = isinstance(found, Refused) and found.reason == Reason.UNKNOWN_PAYMENT
            return Done(None) if is_absent else found

        return not_for_good(self._deadline.keep(work, f"find refund {key}"))

    def _look_refund(self, until: float, key: str, charge: str | None = None) -> Outcome[Refund]:
        if not re.fullmatch(r"xuka-[0-9a-f]{32}", key):
            return NO_REFERENCE
        answer = self._ask(until, lambda sdk: sdk.query_refund(out_refund_no=key))
        return answer if isinstance(answer, Unknown) else wire.refund_of(answer, key=key, charge=charge)

    # -- nothing is kept ----------------------------------------------------------------------------------------------

    def make_payer(self, *, key: str) -> Outcome[str]:
        """Refused: nothing can be kept here."""
        return NO_CARDS

    def forget_method(self, *, reference: str) -> Outcome[None]:
        """Refused: nothing can be kept here."""
        return NO_CARDS

    # -- notices and bills --------------------------------------------------------------------------------------------

    def read_webhook(self, *, body: bytes, headers: Mapping[str, str], now: datetime) -> Event:
        """Verify the notice, open it (AES-256-GCM) and translate. No call is made.

        Raises:
            Forged: not signed with WeChat Pay's key, more than 5 minutes from ``now``, or of another app or merchant.
        """
        stamp = headers.get("wechatpay-timestamp", "")
        if not re.fullmatch(r"[0-9]{1,12}", stamp) or not self._is_signed(headers, body):
            raise Forged("not signed with WeChat Pay's key")
        if abs(now.timestamp() - int(stamp)) > wire.SIGNATURE_TOLERANCE.total_seconds():
            raise Forged("signed too long ago, or in the future")
        try:
            told = self._sdk.callback({**headers, "wechatpay-signature-type": ALGORITHM}, body)
        except Exception:  # the SDK raises bare ones for whatever it cannot read or open
            told = None
        if not isinstance(told, dict):
            raise Forged("signed, but cannot be opened with the APIv3 key")
        return wire.event_of(told, app_id=self._app_id, merchant=self._merchant)

    def settlements(self, *, day: date) -> Outcome[Sequence[Settled]]:
        """All trades and refunds of this day in Beijing. Refused until the next morning at half past ten."""
        ready_at = datetime(day.year, day.month, day.day, tzinfo=wire.BEIJING) + wire.BILL_READY
        if (left := ready_at - self._now()) > timedelta():
            return Refused(Reason.BAD_REQUEST, left, "the bill of this day is not made yet")

        def work(until: float) -> Outcome[Sequence[Settled]]:
            answer = self._ask(until, lambda sdk: sdk.trade_bill(bill_date=day.isoformat(), tar_type="GZIP"))
            if isinstance(answer, Unknown):
                return answer
            if answer.code == "NO_STATEMENT_EXIST":
                return Done(())
            if answer.status != 200 or not isinstance(answer.body, dict):
                return wire.not_done(answer)
            address = urlsplit(str(answer.body.get("download_url")))
            path = f"{address.path}?{address.query}"
            heard = self._send(until, "GET", path, "", {})
            if isinstance(heard, Lost):
                return Unknown(heard.why)
            try:
                plain = wire.unpacked(heard.content)
                if sha1(plain, usedforsecurity=False).hexdigest() != answer.body.get("hash_value"):
                    return Unknown("a bill that is not the one that was signed for")
                return Done(wire.statement_of(plain))
            except wire.UnreadableStatement as seen:
                return Unknown(str(seen))

        return self._deadline.keep(work, f"bill of {day}")

    def read_statement(self, *, content: bytes) -> Sequence[Settled]:
        """The rows of a bill of trades (交易账单), as it is downloaded from WeChat's merchant platform or its API.

        Raises:
            UnreadableStatement: not such a file.
        """
        return wire.statement_of(content)

    # -- the wire -----------------------------------------------------------------------------------------------------

    def _ask(self, until: float, send: Callable[[WeChatPay], object]) -> wire.Answer | Unknown:
        """One call through the SDK, which knows paths and fields; it goes out by httpx, within our deadline."""
        line = _Line(self, until)
        sdk: Any = copy.copy(self._sdk)
        sdk._core = line
        send(sdk)
        heard = line.heard
        if isinstance(heard, Lost):
            return Unknown(heard.why)
        assert heard is not None
        has_said = "wechatpay-signature" in heard.headers
        if (heard.status < 300 or has_said) and not self._is_signed(heard.headers, heard.content):
            return Unknown(NOT_SIGNED if heard.status < 500 else f"status {heard.status}")
        return wire.answer_of(status=heard.status, text=heard.content.decode(errors="replace"))

    def _send(self, until: float, method: str, path: str, body: str, headers: Mapping[str, str]) -> Heard | Lost:
        core = self._sdk._core
        signed = build_authorization(path, method, self._merchant, core._cert_serial_no, core._private_key, body)
        request = self._http.build_request(
            method,
            f"{self._base_url}{path}",
            content=body or None,
            headers={
                "Accept": "application/json",
                "Authorization": signed,
                "Wechatpay-Serial": self._key_id,
                **headers,
            },
        )
        return self._deadline.exchange(self._http, request, until)

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether WeChat Pay's key signed this body; one that names another key is not even tried."""
        said = {name: headers.get(f"wechatpay-{name}", "") for name in ("timestamp", "nonce", "signature", "serial")}
        if said["serial"] != self._key_id or headers.get("wechatpay-signature-type", ALGORITHM) != ALGORITHM:
            return False
        named = {f"Wechatpay-{name.capitalize()}": value for name, value in said.items()}
        try:
            return self._sdk._core._verify_signature(named | {"Wechatpay-Signature-Type": ALGORITHM}, body.decode())
        except ValueError:  # no text, or no base64
            return False


class _Line:
    """Takes the place of the SDK's own way out (``requests``, without a total deadline) for one call."""

    def __init__(self, connector: WechatPay, until: float) -> None:
        self._connector, self._until = connector, until
        self.heard: Heard | Lost | None = None

    def request(self, path: str, method: RequestType = RequestType.GET, data: Any = None, **_: Any) -> tuple[int, str]:
        body = json.dumps(data, ensure_ascii=False) if data else ""
        headers = {"Content-Type": "application/json"} if body else {}
        self.heard = self._connector._send(self._until, method.value, path, body, headers)
        return 0, ""  # what the SDK makes of it is not looked at


def _platform(text: str, key_id: str) -> tuple[str, str]:
    """(public key as PEM, its id) of a public key or of a certificate."""
    try:
        if "CERTIFICATE" not in text:
            serialization.load_pem_public_key(text.encode())
            if not key_id:
                raise Misconfigured("WeChat Pay's public key needs its id, PUB_KEY_ID_….")
            return text, key_id
        certificate = x509.load_pem_x509_certificate(text.encode())
    except ValueError as error:
        if isinstance(error, Misconfigured):
            raise
        raise Misconfigured("WeChat Pay's platform key is neither a public key nor a certificate in PEM.") from None
    key = certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return key.decode(), f"{certificate.serial_number:X}"


@lru_cache(maxsize=4)
def _sdk(merchant: str, private: str, serial: str, app: str, api_v3_key: str, public: str, public_id: str) -> WeChatPay:
    """The SDK with these keys, read once: that checks them, which takes a tenth of a second."""
    try:
        return WeChatPay(
            WeChatPayType.NATIVE,
            merchant,
            private,
            serial,
            app,
            api_v3_key,
            public_key=public,
            public_key_id=public_id,
        )
    except Exception:  # the SDK raises bare ones, and the traceback would show the key
        raise Misconfigured("The private key of the WeChat Pay certificate cannot be read.") from None
