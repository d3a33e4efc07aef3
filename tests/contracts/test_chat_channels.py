"""What every messenger must do as a channel: Telegram, LINE, WeChat and Web Push, each against its stand-in."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox.chat import vapid
from sandbox.chat.app import application
from sandbox.chat.world import SERVICES, Delivered, Messengers, base64url
from sandbox.transport import InProcess
from xuka.connectors.channels.line import wire as line_wire
from xuka.connectors.channels.line.connector import Line
from xuka.connectors.channels.telegram import wire as telegram_wire
from xuka.connectors.channels.telegram.connector import Telegram
from xuka.connectors.channels.webpush import guard
from xuka.connectors.channels.webpush import wire as webpush_wire
from xuka.connectors.channels.webpush.connector import WebPush, public_key_of
from xuka.connectors.channels.wechat import wire as wechat_wire
from xuka.connectors.channels.wechat.connector import WeChat
from xuka.kernel.outcome import Done, Refused, Unknown
from xuka.messaging.contract import Channel, Letter

ID = UUID("0b7e4f52-0a0e-4c8f-9f0e-3d7b1c2a9e10")
OTHER = UUID("5e0f6a11-52c7-4a8e-8f07-11e2c0d7b6aa")
VAPID_KEY = base64url(bytes(range(1, 33)))
PUBLIC_KEY = "BFFcPW6545a5BNP-yn9U_c0MwemXvzddylFa0KbDtANfRTa-OlDzGPv5pUdZAqIhUCvvDVfgjFOyzApW8X2fk1Q"
NOW = 1_772_366_400.0
SECRETS = {
    "telegram": ["1000001:sandbox"],
    "line": ["sandbox-line"],
    "wechat": ["sandbox-wechat", "sandbox-access-1"],
    "webpush": [VAPID_KEY, "/push/browser-1"],
}
ADDRESS = {
    "telegram": "470000001",
    "line": "U" + "0123456789abcdef" * 2,
    "wechat": "oHy7A5sandboxOpenid_-0000001",
}
PUSH_HOST = "https://push.test"
PUBLIC = "203.0.114.7"


def resolved(host: str, port: int) -> list[str]:
    assert (host, port) == ("push.test", 443)
    return [PUBLIC]


class Stage:
    """One messenger, the channel that speaks to it, and a letter for somebody there."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.world = Messengers(now=lambda: NOW)
        self.wire = InProcess(application(self.world))
        self.subscription = self.world.subscribe(PUSH_HOST, server_key=PUBLIC_KEY)
        self.to = ADDRESS.get(service) or json.dumps(self.subscription)
        self.letter = Letter(
            id=ID,
            to=self.to,
            language="zh-Hans",
            subject="续卡成功 ✓",
            text="比利时卡有效至 3 月 10 日 📶\nhttps://xuka.example/l/7。\n",
        )

    def channel(self, **more: Any) -> Channel:
        return channel(self.service, "http://chat.test", **{"transport": self.wire, **more})

    def send(self, letter: Letter | None = None) -> object:
        return self.channel().send(letter or self.letter)

    def fail(self, fault: str, times: int | None = 1) -> None:
        self.world.fail(self.service, fault, times)

    @property
    def delivered(self) -> list[Delivered]:
        return self.world.delivered


def channel(service: str, base_url: str, **more: Any) -> Channel:
    match service:
        case "telegram":
            return Telegram(base_url=base_url, **{"token": "1000001:sandbox", **more})
        case "line":
            return Line(base_url=base_url, **{"token": "sandbox-line", **more})
        case "wechat":
            told = {"app_id": "wxsandbox", "secret": "sandbox-wechat", "template": "sandbox-template"}
            return WeChat(base_url=base_url, **{**told, **more})
        case _:
            told = {"private_key": VAPID_KEY, "contact": "hello@xuka.example", "lookup": resolved}
            return WebPush(**{**told, "time": lambda: NOW, **more})


@pytest.fixture(params=SERVICES)
def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(request.param)


def only(service: str) -> Any:
    return pytest.mark.parametrize("stage", [service], indirect=True)


# -- what all four must do ----------------------------------------------------------------------------------------

BODY = "比利时卡有效至 3 月 10 日 📶\nhttps://xuka.example/l/7。"
ARRIVED = {
    "telegram": {"chat_id": 470000001, "text": f"续卡成功 ✓\n\n{BODY}"},
    "line": {"to": ADDRESS["line"], "messages": [{"type": "text", "text": f"续卡成功 ✓\n\n{BODY}"}]},
    "wechat": {
        "touser": ADDRESS["wechat"],
        "template_id": "sandbox-template",
        "client_msg_id": ID.hex,
        "url": "https://xuka.example/l/7",
        "data": {"first": {"value": "续卡成功 ✓"}, "keyword1": {"value": "比利时卡有效至 3 月 10 日 📶 。"}},
    },
    "webpush": {"title": "续卡成功 ✓", "body": BODY, "url": "https://xuka.example/l/7", "tag": str(ID)},
}
REFERENCE = {"telegram": "1", "line": "1", "wechat": "1", "webpush": "http://push.test/message/1"}


def test_a_letter_arrives_whole(stage: Stage) -> None:
    assert stage.channel().name == stage.service
    assert stage.send() == Done(REFERENCE[stage.service])
    (message,) = stage.delivered
    assert message.service == stage.service
    assert message.body == ARRIVED[stage.service]


@pytest.mark.parametrize(("fault", "reason"), [("gone", "gone"), ("missing", "gone")])
def test_who_is_gone_is_not_written_to_again(stage: Stage, fault: str, reason: str) -> None:
    details = {
        "telegram": {"gone": "status 403", "missing": "status 400"},
        "line": {"gone": "status 400", "missing": "status 400"},
        "wechat": {"gone": "errcode 43004", "missing": "errcode 40003"},
        "webpush": {"gone": "status 410", "missing": "status 404"},
    }
    stage.fail(fault, times=None)
    assert stage.send() == Refused(reason, None, details[stage.service][fault])
    assert stage.delivered == []


def test_too_many_messages_wait_as_long_as_the_messenger_says(stage: Stage) -> None:
    outcomes = {
        "telegram": Refused("later", timedelta(seconds=90), "status 429"),
        "line": Refused("later", timedelta(minutes=1), "status 429"),
        "wechat": Refused("later", timedelta(hours=1), "errcode 45009"),
        "webpush": Refused("later", timedelta(seconds=90), "status 429"),
    }
    stage.fail("later")
    assert stage.send() == outcomes[stage.service]
    assert stage.delivered == []
    assert isinstance(stage.send(), Done)


def test_a_messenger_that_is_busy(stage: Stage) -> None:
    outcomes = {
        "telegram": Unknown("status 500"),
        "line": Unknown("status 500"),
        "wechat": Refused("later", timedelta(minutes=1), "errcode -1"),
        "webpush": Refused("later", timedelta(minutes=2), "status 503"),
    }
    stage.fail("busy")
    assert stage.send() == outcomes[stage.service]
    assert stage.delivered == []


def test_a_status_that_nobody_lists_is_unknown(stage: Stage) -> None:
    stage.fail("odd")
    assert stage.send() == Unknown("errcode 99999" if stage.service == "wechat" else "status 418")
    stage.fail("broken")
    assert stage.send() == Unknown("status 502")
    assert stage.delivered == []


def test_an_answer_that_cannot_be_read_is_unknown(stage: Stage) -> None:
    said = {
        "telegram": "status 200 without a message id",
        "line": "status 200 without a message id",
        "wechat": "status 200 without an errcode",
        "webpush": "status 307",
    }
    for fault, delivered in (("garbage", 0), ("garbage_after", 1)):
        stage.fail(fault)
        assert stage.send() == Unknown(said[stage.service])
        assert len(stage.delivered) == delivered


@pytest.mark.parametrize(
    ("fault", "delivered", "why"),
    [
        ("silent", 0, "no answer after the message: ReadTimeout"),
        ("silent_after", 1, "no answer after the message: ReadTimeout"),
        ("drop_after", 1, "no answer after the message: RemoteProtocolError"),
        ("broken_after", 1, "status 502"),
    ],
)
def test_without_an_answer_nobody_knows(stage: Stage, fault: str, delivered: int, why: str) -> None:
    stage.fail(fault)
    assert stage.send() == Unknown(why)
    assert len(stage.delivered) == delivered


def test_a_second_sending_of_one_letter(stage: Stage) -> None:
    stage.fail("silent_after")
    assert isinstance(stage.send(), Unknown)
    second = stage.send()
    assert isinstance(second, Done)
    match stage.service:
        case "line" | "wechat":
            # Known as the same by the letter's id: the first message's own name, and no second message.
            assert second == Done("1")
            assert len(stage.delivered) == 1
        case "webpush":
            # The same topic at the push service, the same tag on the screen.
            assert [one.headers["topic"] for one in stage.delivered] == [ID.hex, ID.hex]
            assert [one.body["tag"] for one in stage.delivered] == [str(ID), str(ID)]
        case "telegram":
            # It has no key by which a letter could be recognised.
            assert len(stage.delivered) == 2
    assert isinstance(stage.send(replace(stage.letter, id=OTHER)), Done)
    assert len(stage.delivered) == {"line": 2, "wechat": 2, "webpush": 3, "telegram": 3}[stage.service]


def test_wrong_credentials_are_tried_again_once_they_are_put_right(stage: Stage) -> None:
    details = {"telegram": "status 401", "line": "status 401", "wechat": "errcode 42001", "webpush": "status 403"}
    stage.fail("unauthorised", times=None)
    assert stage.send() == Refused("not_authorised", timedelta(minutes=1), details[stage.service])
    assert stage.delivered == []


@pytest.mark.parametrize(
    "to", ["", "小雨", "470000001 ", "+32470000001", "emma@shop.example", "47/../x", "[]", "{}", '{"keys": 1}', "٣" * 9]
)
def test_what_is_no_address_is_refused_before_anybody_is_asked(stage: Stage, to: str) -> None:
    details = {
        "telegram": "not a chat id",
        "line": "not a LINE id",
        "wechat": "not an openid",
        "webpush": "not a subscription of a public push service",
    }
    assert stage.send(replace(stage.letter, to=to)) == Refused("bad_address", None, details[stage.service])
    assert stage.wire.requests == []


def test_neither_log_nor_repr_tells_a_secret_or_an_address(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    speaker = stage.channel()
    with caplog.at_level(0), caplog.at_level(0, "httpx"), caplog.at_level(0, "httpcore"):
        outcomes = [speaker.send(stage.letter)]
        for fault in ("unauthorised", "silent", "odd", "gone"):
            # WeChat is asked twice when its token is refused.
            stage.fail(fault, times=2 if (stage.service, fault) == ("wechat", "unauthorised") else 1)
            outcomes.append(speaker.send(stage.letter))
    assert len(stage.delivered) == 1
    told = caplog.text + repr(speaker) + repr(vars(speaker)["_client" if stage.service != "webpush" else "_vapid"])
    told += repr(outcomes)
    assert any(record.name == "httpx" for record in caplog.records)
    hidden = SECRETS[stage.service] + ([stage.to] if stage.service != "webpush" else stage_keys(stage))
    assert [secret for secret in hidden if secret in told] == []
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("xuka")]
    masked = {"telegram": "message {} to …0001", "line": "message {} to …cdef", "wechat": "message {} to …0001"}
    assert ours[0] == masked.get(stage.service, "push {} through push.test").format(ID) + ": done"
    assert [line.rsplit(" ")[-1] for line in ours] == ["done", "refused", "unknown", "unknown", "refused"]


def stage_keys(stage: Stage) -> list[str]:
    return [*stage.subscription["keys"].values(), stage.subscription["endpoint"]]


# -- over a socket ------------------------------------------------------------------------------------------------


@contextmanager
def dripping_server() -> Iterator[str]:
    """A server whose answers come a byte at a time and never end."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not over.wait(0.05):
                connection.sendall(b"2")

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()


def local(stage: Stage, base_url: str, **more: Any) -> tuple[Channel, Letter]:
    """The channel to a server on this machine, and a letter for somebody there."""
    if stage.service != "webpush":
        return channel(stage.service, base_url, **more), stage.letter
    subscription = stage.subscription | {"endpoint": f"{base_url}/push/browser-1"}
    return channel("webpush", "", allow_local=True, **more), replace(stage.letter, to=json.dumps(subscription))


def test_a_messenger_that_drips_ends_at_the_deadline(stage: Stage) -> None:
    with dripping_server() as base_url:
        speaker, letter = local(stage, base_url, deadline=timedelta(seconds=0.5))
        began = time.monotonic()
        assert speaker.send(letter) == Unknown("no whole answer within 0.5 s")
        assert 0.4 < time.monotonic() - began < 1.5


def test_a_messenger_that_is_not_there_surely_got_nothing(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    speaker, letter = local(stage, f"http://127.0.0.1:{port}")
    detail = "no token: ConnectError" if stage.service == "wechat" else "ConnectError"
    assert speaker.send(letter) == Refused("unreachable", timedelta(minutes=1), detail)


@pytest.fixture(scope="module")
def process() -> Iterator[str]:
    """The messengers as a process of their own."""
    command = [sys.executable, "-m", "sandbox.chat", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        yield running.stdout.readline().split()[-1]
        running.terminate()
        running.wait(10)


def test_the_stand_in_runs_as_a_process(stage: Stage, process: str) -> None:
    browser = httpx.post(f"{process}/control/browsers", json={"server_key": PUBLIC_KEY}).json()
    more = {"time": time.time} if stage.service == "webpush" else {}
    speaker, letter = local(stage, process, **more)
    if stage.service == "webpush":
        letter = replace(letter, to=json.dumps(browser))
    assert isinstance(speaker.send(letter), Done)
    (message,) = [
        one for one in httpx.get(f"{process}/control/delivered").json()["messages"] if one["service"] == stage.service
    ]
    assert message["body"] == ARRIVED[stage.service]
    asked = {"service": stage.service, "kind": "gone"}
    assert httpx.post(f"{process}/control/faults", json=asked).json()["kind"] == "gone"
    outcome = speaker.send(letter)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.retry_after) == ("gone", None)


@pytest.mark.parametrize("stage", ["telegram", "line", "wechat"], indirect=True)
def test_a_messenger_is_reached_through_the_proxy_of_the_environment(
    stage: Stage, process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    # Only a proxy knows this name; the stand-in plays both.
    speaker = channel(stage.service, "http://chat.invalid")
    assert isinstance(speaker.send(stage.letter), Refused)
    monkeypatch.setenv("http_proxy", process)
    speaker = channel(stage.service, "http://chat.invalid")
    assert isinstance(speaker.send(replace(stage.letter, id=OTHER)), Done)


def test_a_push_does_not_go_through_a_proxy_that_would_look_the_name_up_again(
    process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, process)
    stage = Stage("webpush")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    speaker, letter = local(stage, f"http://127.0.0.1:{port}")
    assert speaker.send(letter) == Refused("unreachable", timedelta(minutes=1), "ConnectError")


def test_the_control_face_answers_on_loopback_only() -> None:
    world = Messengers()
    page = application(world).test_client()
    far = {"REMOTE_ADDR": "192.0.2.7"}
    assert page.get("/control/delivered", environ_base=far).status_code == 403
    told = {"service": "line", "kind": "gone"}
    assert page.post("/control/faults", json=told, environ_base=far).status_code == 403
    assert world.happens("line") == ""
    assert page.post("/control/faults", json={"service": "line", "kind": "nonsense"}).status_code == 400
    assert page.post("/control/faults", json={"service": "fax", "kind": "gone"}).status_code == 400


def test_every_message_is_handed_to_whoever_listens() -> None:
    heard: list[tuple[str, str, str]] = []
    world = Messengers(lambda one: heard.append((one.service, one.to, one.text)))
    speaker = channel("line", "http://chat.test", transport=InProcess(application(world)))
    letter = Letter(id=ID, to=ADDRESS["line"], language="zh-Hans", subject="", text="好。\n")
    speaker.send(letter)
    speaker.send(letter)
    assert heard == [("line", ADDRESS["line"], "好。")]


# -- Telegram -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, {"ok": False}, Unknown("status 200 without a message id")),
        (200, None, Unknown("status 200 without a message id")),
        (400, {"description": "Bad Request: message text is empty"}, Refused("bad_request", None, "status 400")),
        (400, {"description": "Bad Request: PEER_ID_INVALID"}, Refused("gone", None, "status 400")),
        (404, {"description": "Not Found"}, Refused("not_authorised", timedelta(minutes=1), "status 404")),
        (429, {"parameters": {"retry_after": 7}}, Refused("later", timedelta(seconds=7), "status 429")),
        (429, {"parameters": {"retry_after": 10**9}}, Refused("later", timedelta(hours=1), "status 429")),
        (429, {"parameters": {"retry_after": "soon"}}, Refused("later", timedelta(minutes=1), "status 429")),
        (429, None, Refused("later", timedelta(minutes=1), "status 429")),
        (409, None, Unknown("status 409")),
    ],
)
def test_what_telegram_says(status: int, body: Any, outcome: Refused | Unknown) -> None:
    assert telegram_wire.outcome_of(status, body) == outcome


@pytest.mark.parametrize("wire", [telegram_wire, line_wire])
def test_a_text_that_is_too_long_is_cut_between_characters(wire: Any) -> None:
    assert wire.shortened("续" * 5, 5) == "续" * 5
    assert wire.shortened("续" * 6, 5) == "续续续续…"
    assert wire.shortened("📶📶📶", 6) == "📶📶📶"
    assert wire.shortened("📶📶📶", 5) == "📶📶…"
    assert wire.shortened("a📶📶", 4) == "a📶…"


@only("telegram")
def test_the_longest_telegram_is_taken(stage: Stage) -> None:
    assert isinstance(stage.send(replace(stage.letter, subject="", text="📶" * 3000)), Done)
    assert stage.delivered[0].text == "📶" * 2047 + "…"


@only("telegram")
def test_a_group_is_a_negative_chat_id(stage: Stage) -> None:
    assert isinstance(stage.send(replace(stage.letter, to="-1001234567890")), Done)
    assert stage.delivered[0].body["chat_id"] == -1001234567890


# -- LINE ---------------------------------------------------------------------------------------------------------


@only("line")
def test_the_retry_key_is_the_letters_id(stage: Stage) -> None:
    stage.send()
    assert stage.delivered[0].headers["x-line-retry-key"] == str(ID)


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (409, None, Done(str(ID))),
        (400, {"message": "The request body has 1 error(s)"}, Refused("bad_request", None, "status 400")),
        (403, {"message": "Access to this API is not available"}, Refused("bad_request", None, "status 403")),
        (413, None, Refused("bad_request", None, "status 413")),
        (429, {"message": "You have reached your monthly limit."}, Refused("later", timedelta(hours=1), "status 429")),
        (200, {"sentMessages": []}, Unknown("status 200 without a message id")),
        (410, None, Unknown("status 410")),
    ],
)
def test_what_line_says(status: int, body: Any, outcome: object) -> None:
    assert line_wire.outcome_of(status, body, letter_id=ID) == outcome


# -- WeChat -------------------------------------------------------------------------------------------------------


@only("wechat")
def test_one_token_serves_until_it_ends(stage: Stage) -> None:
    now = 0.0
    speaker = stage.channel(monotonic=lambda: now)
    for at, asked in ((0.0, 1), (7139.0, 1), (7141.0, 2)):
        now = at
        assert isinstance(speaker.send(replace(stage.letter, id=UUID(int=int(at)))), Done)
        assert stage.world.tokens_given == asked


@only("wechat")
def test_a_token_that_was_voided_is_renewed_once(stage: Stage) -> None:
    speaker = stage.channel()
    assert speaker.send(stage.letter) == Done("1")
    stage.world.forget_token()
    assert speaker.send(replace(stage.letter, id=OTHER)) == Done("2")
    assert stage.world.tokens_given == 2
    stage.fail("unauthorised", times=1)
    assert speaker.send(replace(stage.letter, id=UUID(int=3))) == Done("3")
    stage.fail("unauthorised", times=None)
    refused = Refused("not_authorised", timedelta(minutes=1), "errcode 42001")
    before = len(stage.wire.requests)
    assert speaker.send(replace(stage.letter, id=UUID(int=4))) == refused
    assert [path.rsplit("/", 1)[-1] for _, path in stage.wire.requests[before:]] == ["send", "stable_token", "send"]
    assert len(stage.delivered) == 3


@only("wechat")
def test_without_a_token_nothing_was_sent(stage: Stage) -> None:
    told = stage.channel(secret="wrong").send(stage.letter)
    assert told == Refused("not_authorised", timedelta(minutes=1), "no token: errcode 40125")
    for status, body, outcome in (
        (502, None, Refused("unreachable", timedelta(minutes=1), "no token: status 502")),
        (200, {"errcode": -1}, Refused("later", timedelta(minutes=1), "no token: errcode -1")),
        (200, {"errcode": 45009}, Refused("later", timedelta(hours=1), "no token: errcode 45009")),
    ):
        assert wechat_wire.token_of(status, body) == outcome
    assert repr(wechat_wire.token_of(200, {"access_token": "s", "expires_in": 7200})) == "Token(…, 7200)"
    assert [path for _, path in stage.wire.requests] == ["/cgi-bin/stable_token"]


@only("wechat")
def test_a_message_does_not_go_out_behind_the_back_of_who_gave_up(stage: Stage) -> None:
    """The token comes late: after the deadline nothing is sent any more."""
    late = threading.Event()
    gone_out: list[str] = []

    class Late(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            gone_out.append(request.url.path)
            late.wait(10)
            return stage.wire.handle_request(request)

    speaker = WeChat(
        base_url="http://chat.test", app_id="wxsandbox", secret="sandbox-wechat", template="sandbox-template",
        deadline=timedelta(seconds=0.3),
    )  # fmt: skip
    speaker._client._transport = Late()
    assert speaker.send(stage.letter) == Unknown("no whole answer within 0.3 s")
    late.set()
    for thread in threading.enumerate():
        if thread.name == "wechat send":
            thread.join(10)
    assert gone_out == ["/cgi-bin/stable_token"]
    assert stage.delivered == []


@only("wechat")
def test_a_template_gets_what_its_fields_can_hold(stage: Stage) -> None:
    text = "您的比利时 30 天不限量卡已续期，有效期至 3 月 10 日。\n详情：https://xuka.example/l/7?a=1&b=2."
    speaker = stage.channel(fields={"thing1": "subject", "thing2": "text"})
    assert isinstance(speaker.send(replace(stage.letter, subject="", text=text)), Done)
    body = stage.delivered[0].body
    assert body["url"] == "https://xuka.example/l/7?a=1&b=2"
    assert body["data"] == {
        "thing1": {"value": "您的比利时 30 天不限量卡已续期，有…"},
        "thing2": {"value": "您的比利时 30 天不限量卡已续期，有…"},
    }
    assert isinstance(speaker.send(replace(stage.letter, id=OTHER, subject="短", text="没有链接")), Done)
    assert "url" not in stage.delivered[1].body


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, {"errcode": 0}, Unknown("errcode 0 without a msgid")),
        (200, {"errcode": 0, "msgid": 200228332}, Done("200228332")),
        (200, {"errcode": 40037}, Refused("not_authorised", timedelta(minutes=1), "errcode 40037")),
        (200, {"errcode": 47003}, Refused("bad_request", None, "errcode 47003")),
        (200, {"errcode": 45011}, Refused("later", timedelta(hours=1), "errcode 45011")),
        (429, {"errcode": 0, "msgid": 1}, Unknown("status 429")),
    ],
)
def test_what_wechat_says(status: int, body: Any, outcome: object) -> None:
    assert wechat_wire.outcome_of(status, body) == outcome


# -- Web Push -----------------------------------------------------------------------------------------------------


@only("webpush")
def test_a_push_is_signed_sealed_and_kept_for_a_device_that_is_off(stage: Stage) -> None:
    assert isinstance(stage.channel(ttl=timedelta(hours=6)).send(stage.letter), Done)
    headers = stage.delivered[0].headers
    assert (headers["ttl"], headers["topic"], headers["content-encoding"]) == ("21600", ID.hex, "aes128gcm")
    token, key = headers["authorization"].removeprefix("vapid t=").split(",k=")
    assert key == PUBLIC_KEY
    padded = token.split(".")[1] + "=="
    claims = json.loads(base64.urlsafe_b64decode(padded))
    assert claims == {"aud": PUSH_HOST, "sub": "mailto:hello@xuka.example", "exp": int(NOW) + 43_200}


@only("webpush")
def test_a_push_signed_with_another_key_is_not_taken(stage: Stage) -> None:
    other = stage.channel(private_key=base64url(bytes(range(2, 34))))
    assert other.send(stage.letter) == Refused("not_authorised", timedelta(minutes=1), "status 403")
    late = stage.channel(time=lambda: NOW - 43_201)
    assert late.send(stage.letter) == Refused("not_authorised", timedelta(minutes=1), "status 401")
    assert stage.delivered == []


@only("webpush")
def test_the_push_service_takes_no_signature_that_is_not_the_keys(stage: Stage) -> None:
    stage.send()
    signed = stage.delivered[0].headers["authorization"]
    assert vapid.checked(signed, origins={PUSH_HOST}, now=NOW)[0] == PUBLIC_KEY
    head, claims, rest = signed.split(".")
    changed = base64url(json.dumps({"aud": PUSH_HOST, "sub": "mailto:x@y.example", "exp": int(NOW) + 9}).encode())
    other = signed.replace(PUBLIC_KEY, public_key_of(base64url(bytes(range(2, 34)))))
    for forged in (f"{head}.{changed}.{rest}", other, f"{head}.{claims}", "vapid t=x,k=y", "Basic eDp5", ""):
        with pytest.raises(vapid.Refused):
            vapid.checked(forged, origins={PUSH_HOST}, now=NOW)
    with pytest.raises(vapid.Refused, match="another push service"):
        vapid.checked(signed, origins={"https://other.test"}, now=NOW)


def test_the_public_key_is_derived_from_the_private_one() -> None:
    key = ec.derive_private_key(int.from_bytes(bytes(range(1, 33)), "big"), ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert public_key_of(VAPID_KEY) == PUBLIC_KEY
    assert public_key_of(pem) == PUBLIC_KEY
    assert WebPush(private_key=pem, contact="https://xuka.example").public_key == PUBLIC_KEY


@pytest.mark.parametrize(
    ("key", "contact"), [("", "a@b.example"), ("nonsense", "a@b.example"), (VAPID_KEY, ""), (VAPID_KEY, "nobody")]
)
def test_a_wrong_key_or_contact_shows_at_the_start(key: str, contact: str) -> None:
    with pytest.raises(ValueError, match=r"of Web Push is") as error:
        WebPush(private_key=key, contact=contact)
    assert "nonsense" not in str(error.value)


@pytest.mark.parametrize("text", ["续" * 3000, '"\\' * 3000, "\x01" * 3000, "a📶" * 2000])
def test_a_text_too_long_for_one_record_is_cut(text: str) -> None:
    stage = Stage("webpush")
    assert isinstance(stage.send(replace(stage.letter, text=text)), Done)
    body = stage.delivered[0].body["body"]
    assert body.endswith("…")
    assert text.startswith(body[:-1])
    payload = webpush_wire.payload_of(replace(stage.letter, text=text))
    assert webpush_wire.LONGEST_PAYLOAD - 12 <= len(payload) <= webpush_wire.LONGEST_PAYLOAD


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.test/push/browser-1",
        "https://user:secret@push.test/push/browser-1",
        "https:///push/browser-1",
        "ftp://push.test/x",
        "file:///etc/passwd",
        "push.test/push/browser-1",
        "https://push.test/" + "x" * 2000,
        "",
    ],
)
def test_an_endpoint_that_is_none_is_refused_before_anybody_is_asked(endpoint: str) -> None:
    stage = Stage("webpush")
    to = json.dumps(stage.subscription | {"endpoint": endpoint})
    refused = Refused("bad_address", None, "not a subscription of a public push service")
    assert stage.send(replace(stage.letter, to=to)) == refused
    assert stage.wire.requests == []


INSIDE = [
    "127.0.0.1",
    "10.0.0.5",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.5",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "nonsense",
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_endpoint_in_our_own_house_is_refused(address: str) -> None:
    stage = Stage("webpush")
    refused = Refused("bad_address", None, "not a subscription of a public push service")
    for found in ([address], [PUBLIC, address]):
        assert stage.channel(lookup=lambda host, port, found=found: found).send(stage.letter) == refused
    assert stage.wire.requests == []


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1", f"::ffff:{PUBLIC}", "64:ff9b::808:808", "2002:808:808::"])
def test_a_public_address_is_public_however_it_is_written(address: str) -> None:
    assert guard.is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost", "169.254.169.254"])
def test_this_machine_is_found_however_it_is_written(host: str) -> None:
    stage = Stage("webpush")
    to = json.dumps(stage.subscription | {"endpoint": f"https://{host}/push/browser-1"})
    told = stage.channel(lookup=guard.addresses).send(replace(stage.letter, to=to))
    assert isinstance(told, Refused)
    assert told.reason == "bad_address"
    assert stage.wire.requests == []


def test_the_call_goes_to_the_address_that_was_looked_at_under_the_name_of_the_endpoint() -> None:
    stage, sent, asked = Stage("webpush"), [], []

    class Recorder(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(request)
            if request.url.host == "2606:4700::1":
                raise httpx.ConnectError("no route")
            return stage.wire.handle_request(request)

    def lookup(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["2606:4700::1", PUBLIC]

    assert isinstance(stage.channel(transport=Recorder(), lookup=lookup).send(stage.letter), Done)
    assert asked == [("push.test", 443)]
    assert [str(request.url) for request in sent] == [
        "https://[2606:4700::1]/push/browser-1",
        f"https://{PUBLIC}/push/browser-1",
    ]
    assert {request.headers["Host"] for request in sent} == {"push.test"}
    assert {request.extensions["sni_hostname"] for request in sent} == {"push.test"}


def test_a_name_that_is_not_known_surely_got_nothing() -> None:
    def nobody(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    stage = Stage("webpush")
    outcome = stage.channel(lookup=nobody).send(stage.letter)
    assert outcome == Refused("unreachable", timedelta(minutes=1), "ConnectError")
    assert stage.channel(lookup=lambda host, port: []).send(stage.letter) == outcome


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [("", ""), ("AAAA", "AAAA"), ("!" * 87, "x" * 22), (base64url(b"\x04" + b"\x07" * 64), base64url(b"a" * 16))],
)
def test_a_subscription_whose_keys_are_none_is_refused(p256dh: str, auth: str) -> None:
    stage = Stage("webpush")
    to = json.dumps(stage.subscription | {"keys": {"p256dh": p256dh, "auth": auth}})
    outcome = stage.send(replace(stage.letter, to=to))
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.retry_after) == ("bad_address", None)
    assert stage.wire.requests == []


def test_a_subscription_shows_none_of_its_keys() -> None:
    subscription = webpush_wire.subscription_of(json.dumps(Stage("webpush").subscription))
    assert repr(subscription) == "Subscription()"
