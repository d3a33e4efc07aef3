"""What anybody can post to the doors of the payment providers: a refusal for an answer, and nothing moved."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest
from django.test import Client, RequestFactory
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.contracts.stands import BEGIN, Stand, connectors
from tests.contracts.test_providers import SECRET
from tests.journeys.provider_world import begun, seen
from xuka.accounts.models import User
from xuka.interfaces import clock
from xuka.interfaces.webhooks import views
from xuka.journal.models import Fact
from xuka.ledger.models import Transfer
from xuka.payments.models import Event, Payment
from xuka.payments.rules import EVENT_AT_MOST_BYTES, as_text, words_of

Notice = tuple[bytes, dict[str, str]]

# After which a genuine notice is believed no more; PayPal tries for three days, and is asked whether it is its own.
TOLERANCE = {"paypal": timedelta(days=3, minutes=5)}
FIVE_MINUTES = timedelta(minutes=5)
TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain; charset=utf-16",
    "",
)
# Those of every provider: a guess that knows the names is a better guess.
NAMES = (
    "stripe-signature", "paypal-transmission-id", "paypal-transmission-time", "paypal-transmission-sig",
    "paypal-auth-algo", "paypal-cert-url", "wechatpay-timestamp", "wechatpay-nonce", "wechatpay-signature",
    "wechatpay-serial", "wechatpay-signature-type", "content-encoding", "x-line-signature",
)  # fmt: skip
VALUES = st.one_of(
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=40),
    st.sampled_from(["t=1772366400,v1=", "1772366400", "2026-03-01T12:00:00Z", "9" * 5_000, "WECHATPAY2-SHA256"]),
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=60).map(str.encode),
    st.recursive(st.none() | st.integers(), lambda one: st.dictionaries(st.text(max_size=9), one)).map(
        lambda one: json.dumps({"id": "1", "event_type": one}).encode()
    ),
    st.sampled_from([b"[" * 60_000, b"\xff\xfe{\x00}\x00", b"\x80", b"a=%00&sign_type=RSA2&sign=%ff",
                     b'{"a": 1e999999}']),
)  # fmt: skip


class Door:
    """The doors of all providers at a moment that the test sets, with what each provider really sent."""

    def __init__(self, stands: dict[str, Stand]) -> None:
        self.now = BEGIN
        self.browser = Client(raise_request_exception=False)
        customer = User.objects.create(email="xiaoyu@shop.test").id
        self.genuine: dict[str, Notice] = {}
        for name, stand in stands.items():
            payment = begun(stand, name, customer, uuid4())
            stand.pay(seen(payment))
            if notices := stand.webhooks():
                self.genuine[name] = notices[-1]

    def post(self, name: str, body: bytes, headers: dict[str, str], kind: str = "application/json") -> int:
        meta = {f"HTTP_{header.upper().replace('-', '_')}": value for header, value in headers.items()}
        meta.pop("HTTP_CONTENT_TYPE", None)
        return self.browser.generic("POST", f"/webhooks/{name}/", body, kind, **meta).status_code

    def at(self) -> datetime:
        return self.now


@pytest.fixture
def door(stands: dict[str, Stand], monkeypatch: pytest.MonkeyPatch) -> Door:
    door = Door(stands)
    monkeypatch.setattr(clock, "now", door.at)
    return door


def everything() -> tuple[Any, ...]:
    """What a notice could change: events, payments, facts and transfers."""
    payments = list(Payment.objects.order_by("id").values())
    return Event.objects.count(), payments, Fact.objects.count(), Transfer.objects.count()


def said(body: bytes) -> object:
    """What a body says: a form may be written in several ways, and its signature too."""
    if b"sign_type=" not in body:
        return body
    return sorted(
        pair for pair in parse_qsl(body.decode(errors="replace"), keep_blank_values=True) if pair[0] != "sign"
    )


@st.composite
def attempts(draw: st.DrawFn, genuine: dict[str, Notice]) -> tuple[str, bytes, dict[str, str], str]:
    """A forgery: made up, cut off, with one bit turned, or dressed in the headers of another provider."""
    name = draw(st.sampled_from(connectors()))
    body, headers = draw(st.sampled_from(sorted(genuine.items())))[1] if name not in genuine else genuine[name]
    match draw(st.sampled_from(["made up", "made up with its headers", "cut", "turned", "dressed"])):
        case "made up":
            body, headers = draw(BODIES), draw(st.dictionaries(st.sampled_from(NAMES), VALUES))
        case "made up with its headers":
            body = draw(BODIES)
        case "cut":
            cut = body[: draw(st.integers(0, len(body) - 1))]
            assume(said(cut) != said(body))
            body = cut
        case "turned":
            at, bit = draw(st.integers(0, len(body) - 1)), draw(st.integers(0, 7))
            turned = body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]
            assume(said(turned) != said(body))
            body = turned
        case _:
            other = draw(st.sampled_from(sorted(set(genuine) - {name})))
            body, headers = draw(st.sampled_from([(body, genuine[other][1]), genuine[other]]))
            assume(name != "alipay" or body != genuine["alipay"][0])  # that one is signed in its body
    return name, body, headers, draw(st.sampled_from(TYPES))


def test_a_forgery_of_any_kind_is_refused_and_changes_nothing(door: Door) -> None:
    assert sorted(door.genuine) == ["alipay", "paypal", "stripe", "wechat_pay"]
    before = everything()
    tried = set()

    @given(attempts(door.genuine))
    @examples(max_examples=150, suppress_health_check=list(HealthCheck))
    def try_it(attempt: tuple[str, bytes, dict[str, str], str]) -> None:
        tried.add(attempt[0])
        assert door.post(*attempt) == 400, attempt

    try_it()
    assert tried == set(connectors())
    assert everything() == before


def test_a_genuine_notice_is_believed_once_and_only_while_it_is_fresh(door: Door) -> None:
    before = everything()
    for name, (body, headers) in door.genuine.items():
        for moment in (TOLERANCE.get(name, FIVE_MINUTES) + timedelta(seconds=1), -timedelta(hours=1)):
            door.now = BEGIN + moment
            assert door.post(name, body, headers) == 400, (name, moment)
    assert everything() == before
    door.now = BEGIN
    for name, notice in door.genuine.items():
        assert [door.post(name, *notice, kind) for kind in TYPES] == [200] * len(TYPES)
        assert Event.objects.filter(provider=name).count() == 1


def test_what_is_no_notice_at_all_is_turned_away(door: Door) -> None:
    before = everything()
    for name in connectors():
        body, headers = door.genuine.get(name, (b"{}", {}))
        assert door.post(name, body + b" " * EVENT_AT_MOST_BYTES, headers) == 413
        for method in ("GET", "PUT", "DELETE", "OPTIONS"):
            assert door.browser.generic(method, f"/webhooks/{name}/", body).status_code == 405
        assert door.post(name, b"", {}) == 400
    for other in ("nobody", "stripe2", "alipay-"):
        assert door.post(other, *door.genuine["stripe"]) == 404
    assert everything() == before


class Untouched:
    """A body that nobody may read."""

    def read(self, *_: Any) -> bytes:
        raise AssertionError("it was read")


def test_of_what_is_too_large_nothing_is_read(door: Door) -> None:
    for length in (str(EVENT_AT_MOST_BYTES + 1), "9" * 5_000):
        request = RequestFactory().post("/webhooks/stripe/", b"", "application/json")
        request.META["CONTENT_LENGTH"] = length
        request._stream = Untouched()  # type: ignore[attr-defined]
        assert views.receive(request, "stripe").status_code == 413
    request = RequestFactory().post("/webhooks/stripe/", b"{}", "application/json")
    request.META["CONTENT_LENGTH"] = "²"
    assert views.receive(request, "stripe").status_code == 400


def test_a_genuine_notice_in_strange_characters_is_kept_or_refused_and_breaks_nothing(door: Door) -> None:
    payment = Payment.objects.get(provider="stripe")
    told = json.loads(door.genuine["stripe"][0])

    def post(body: bytes) -> int:
        at = int(BEGIN.timestamp())
        signature = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        return door.post("stripe", body, {"stripe-signature": f"t={at},v1={signature}"})

    assert words_of(payment.id) in json.dumps(told)
    assert post(json.dumps(told | {"id": "evt_1", "more": "\0\ud800"}).encode()) == 200
    assert post(json.dumps(told | {"id": "evt_16"}).encode("utf-16")) == 400
    assert as_text(b"\xff\xfe{\0") == "\\xff\\xfe{\\x00"
    for id in ("evt_\0", "evt_\ud800", "evt_" + "x" * 200):
        assert post(json.dumps(told | {"id": id}).encode()) == 400
    assert post(json.dumps(told | {"type": "x" * 81}).encode()) == 400
    assert Event.objects.count() == 1
