"""What every message channel must do, whoever it speaks to, against that channel's stand-in on loopback."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from werkzeug.serving import make_server

from sandbox.mail.app import application
from sandbox.mail.inbox import FAULTS, Inbox, Postbox
from sandbox.sms.app import Gateway
from sandbox.sms.app import application as gateway_application
from sandbox.transport import InProcess
from xuka.connectors.channels.smpp.connector import Smpp
from xuka.connectors.channels.sms_http.connector import SmsHttp
from xuka.connectors.channels.smtp.connector import Smtp
from xuka.kernel.outcome import Done, Refused, Unknown
from xuka.messaging.contract import Channel, Letter

ID = UUID("0b7e4f52-0a0e-4c8f-9f0e-3d7b1c2a9e10")
MESSAGE_ID = f"<{ID}@xuka.example>"
LETTER = Letter(
    id=ID,
    to="xiaoyu@customers.example",
    language="zh-Hans",
    subject="续卡成功 ✓",
    text="您的比利时卡已续期，有效期至 3 月 10 日。\n",
    html="<p>您的<b>比利时卡</b>已续期。</p>",
)


def smtp(address: tuple[str, int], *, deadline: float = 20) -> Smtp:
    return Smtp(
        host=address[0], port=address[1], sender="Xuka 续卡 <hello@xuka.example>", deadline=timedelta(seconds=deadline)
    )


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(now=lambda: datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
def channel(inbox: Inbox) -> Iterator[Smtp]:
    with Postbox(inbox) as postbox:
        yield smtp(postbox.address)


def test_a_letter_arrives_whole(channel: Channel, inbox: Inbox) -> None:
    assert channel.send(LETTER) == Done(MESSAGE_ID)
    (mail,) = inbox.mails
    assert mail.recipients == ("xiaoyu@customers.example",)
    assert (mail.subject, mail.language) == ("续卡成功 ✓", "zh-Hans")
    assert mail.text == "您的比利时卡已续期，有效期至 3 月 10 日。\n"
    assert "<b>比利时卡</b>" in mail.html
    assert mail.sender == "Xuka 续卡 <hello@xuka.example>"
    assert mail.headers["Message-ID"] == MESSAGE_ID
    assert mail.headers["Auto-Submitted"] == "auto-generated"
    assert mail.headers["Content-Type"].startswith("multipart/alternative")
    assert mail.headers["Date"].endswith("+0000")


def test_a_letter_without_html_is_plain_text(channel: Channel, inbox: Inbox) -> None:
    plain = Letter(id=ID, to="emma@customers.example", language="en", subject="Renewed", text="Until 10 March.\n")
    assert isinstance(channel.send(plain), Done)
    assert inbox.mails[0].headers["Content-Type"].startswith("text/plain")
    assert inbox.mails[0].html == ""


def test_the_same_letter_sent_again_carries_the_same_message_id(channel: Channel, inbox: Inbox) -> None:
    channel.send(LETTER)
    channel.send(LETTER)
    assert [mail.headers["Message-ID"] for mail in inbox.mails] == [MESSAGE_ID, MESSAGE_ID]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("refused", Refused("refused", None, "status 550")),
        ("refused_after_data", Refused("refused", None, "status 554")),
        ("later", Refused("later", timedelta(minutes=1), "status 451")),
        ("later_after_data", Refused("later", timedelta(minutes=1), "status 452")),
    ],
)
def test_a_refused_letter_did_not_arrive(channel: Channel, inbox: Inbox, fault: str, outcome: Refused) -> None:
    inbox.fail(fault)
    assert channel.send(LETTER) == outcome
    assert inbox.mails == []
    assert channel.send(LETTER) == Done(MESSAGE_ID)


def test_a_connection_that_breaks_after_the_letter_is_unknown(channel: Channel, inbox: Inbox) -> None:
    inbox.fail("drop_after_data")
    assert isinstance(channel.send(LETTER), Unknown)
    assert len(inbox.mails) == 1


def test_silence_after_the_letter_is_unknown_at_the_deadline(inbox: Inbox) -> None:
    inbox.fail("silent_after_data")
    with Postbox(inbox) as postbox:
        began = time.monotonic()
        assert isinstance(smtp(postbox.address, deadline=0.6).send(LETTER), Unknown)
        assert 0.5 < time.monotonic() - began < 2
    assert len(inbox.mails) == 1


def test_silence_before_the_letter_surely_sent_nothing(inbox: Inbox) -> None:
    inbox.fail("silent_hello")
    with Postbox(inbox) as postbox:
        outcome = smtp(postbox.address, deadline=0.6).send(LETTER)
        assert isinstance(outcome, Refused)
        assert (outcome.reason, outcome.retry_after) == ("unreachable", timedelta(minutes=1))
    assert inbox.mails == []


def test_a_server_that_is_not_there_surely_got_nothing(inbox: Inbox) -> None:
    with Postbox(inbox) as postbox:
        gone = postbox.address
    assert smtp(gone).send(LETTER) == Refused("unreachable", timedelta(minutes=1), "ConnectionRefusedError")


@contextmanager
def dripping_server() -> Iterator[tuple[str, int]]:
    """A server whose greeting comes a byte at a time and never ends."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while not over.wait(0.05):
                connection.sendall(b"2")

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                drip(listener.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()
        finally:
            over.set()


def test_a_greeting_that_drips_ends_at_the_deadline() -> None:
    with dripping_server() as address:
        began = time.monotonic()
        outcome = smtp(address, deadline=0.5).send(LETTER)
        assert time.monotonic() - began < 1.5
    assert outcome == Refused("unreachable", timedelta(minutes=1), "too slow")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "@xuka.example",
        "a@",
        "a b@c.example",
        "a@b.example\r\nBcc: x@y.example",
        "小雨@c.example",
        "a@b..c",
    ],
)
def test_an_address_that_is_none_is_refused_for_good(channel: Channel, inbox: Inbox, address: str) -> None:
    letter = Letter(id=ID, to=address, language="en", subject="s", text="t")
    assert channel.send(letter) == Refused("bad_address", None, "the address cannot be written as one")
    assert inbox.mails == []


def test_a_subject_cannot_smuggle_in_a_header(channel: Channel, inbox: Inbox) -> None:
    letter = Letter(id=ID, to="a@b.example", language="en", subject="Hello\r\nBcc: x@y.example", text="t")
    assert isinstance(channel.send(letter), Done)
    assert inbox.mails[0].recipients == ("a@b.example",)
    assert inbox.mails[0].subject == "Hello Bcc: x@y.example"
    assert "Bcc" not in inbox.mails[0].headers


# -- the page on which the letters are read -----------------------------------------------------------------------


def test_the_page_lists_letters_newest_first_in_the_readers_language(channel: Channel, inbox: Inbox) -> None:
    page = application(inbox).test_client()
    assert "还没有邮件" in page.get("/?lang=zh").text
    channel.send(LETTER)
    channel.send(Letter(id=ID, to="emma@customers.example", language="en", subject="<b>Renewed</b>", text="x"))
    listed = page.get("/", headers={"Accept-Language": "zh-CN,zh;q=0.9"}).text
    assert "收件箱" in listed
    assert listed.index("&lt;b&gt;Renewed") < listed.index("续卡成功")
    assert "Inbox" in page.get("/", headers={"Accept-Language": "fr"}).text
    assert [one["subject"] for one in page.get("/messages.json").get_json()["messages"]] == [
        "<b>Renewed</b>",
        "续卡成功 ✓",
    ]
    assert page.get("/messages.json?to=EMMA@customers.example").get_json()["count"] == 1
    assert page.get("/7").status_code == 404


def test_a_letters_html_runs_nothing_and_asks_nobody(channel: Channel, inbox: Inbox) -> None:
    channel.send(LETTER)
    page = application(inbox).test_client()
    shown = page.get("/1?lang=zh")
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in shown.text
    assert "unsafe" not in shown.headers["Content-Security-Policy"]
    letter = page.get("/1/html")
    assert "<b>比利时卡</b>" in letter.text
    policy = letter.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-popups")
    assert "script" not in policy
    for answer in (shown, letter, page.get("/")):
        assert "http://" not in answer.text
        assert "https://" not in answer.text


def test_the_control_face_answers_on_loopback_only(inbox: Inbox) -> None:
    page = application(inbox).test_client()
    assert page.post("/control/faults", json={"kind": "later", "times": 2}).get_json()["kind"] == "later"
    assert page.post("/control/faults", json={"kind": "nonsense"}).status_code == 400
    far = page.post("/control/reset", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert (far.status_code, inbox.fault) == (403, "later")
    assert page.post("/control/reset").status_code == 200
    assert inbox.fault is None
    assert set(FAULTS) >= {"later", "refused"}


def test_a_long_subject_arrives_with_all_its_spaces(channel: Channel, inbox: Inbox) -> None:
    subject = "续费成功：比利时 7 天不限量 · 每天 3 GB 高速，之后限速 1 Mbps · 有效期至 12 月 1 日"
    channel.send(Letter(id=ID, to="emma@customers.example", language="zh-Hans", subject=subject, text="好。\n"))
    assert inbox.mails[0].subject == subject


def test_text_messages_stand_beside_the_letters_as_a_phone_shows_them(channel: Channel, inbox: Inbox) -> None:
    page = application(inbox).test_client()
    told = {"from": "Xuka", "to": "+32470000001", "text": "<b>1234</b>"}
    assert page.post("/control/texts", json=told).status_code == 200
    assert page.post("/control/texts", json=told, environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 403
    channel.send(LETTER)
    listed = page.get("/?lang=en").text
    assert "&lt;b&gt;1234&lt;/b&gt;" in listed
    assert "Xuka → +32470000001" in listed
    assert listed.index("1234") < listed.index("续卡成功")
    assert page.get("/messages.json").get_json()["count"] == 2
    (only,) = page.get("/messages.json?to=%2B32470000001").get_json()["texts"]
    assert only == {
        **{k: told[k] for k in ("to", "text")},
        "sender": "Xuka",
        "received_at": "2026-03-01T12:00:00+00:00",
    }


# -- text messages through an HTTP gateway ------------------------------------------------------------------------

TEXT = Letter(id=ID, to="+32470000001", language="zh-Hans", subject="", text="您的登录验证码：1234-5678 ✓\n")
SAID = "您的登录验证码：1234-5678 ✓"


@pytest.fixture
def gateway(inbox: Inbox) -> Gateway:
    return Gateway(inbox.keep_text)


def sms_http(gateway: Gateway, **more: Any) -> SmsHttp:
    told = {"sid": "sandbox", "token": "sandbox-token", "transport": InProcess(gateway_application(gateway)), **more}
    return SmsHttp(base_url="http://gateway.test", sender="Xuka", **told)


def heard(inbox: Inbox) -> list[tuple[str, str, str]]:
    return [(one.sender, one.to, one.text) for one in inbox.texts]


def test_the_gateway_takes_a_text(gateway: Gateway, inbox: Inbox) -> None:
    assert sms_http(gateway).send(TEXT) == Done("SM" + "0" * 31 + "1")
    assert heard(inbox) == [("Xuka", "+32470000001", SAID)]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("later", Refused("later", timedelta(seconds=90), "status 429, code 20429")),
        ("invalid", Refused("bad_address", None, "status 400, code 21211")),
        ("blocked", Refused("blocked", None, "status 400, code 21610")),
        ("broken", Unknown("status 500, code 20500")),
    ],
)
def test_a_text_the_gateway_refuses_does_not_arrive(
    gateway: Gateway, inbox: Inbox, fault: str, outcome: Refused | Unknown
) -> None:
    gateway.fail(fault)
    channel = sms_http(gateway)
    assert channel.send(TEXT) == outcome
    assert inbox.texts == []
    assert isinstance(channel.send(TEXT), Done)


@pytest.mark.parametrize("fault", ["garbage_after", "broken_after", "silent_after", "drop_after"])
def test_without_the_gateways_answer_nobody_knows(gateway: Gateway, inbox: Inbox, fault: str) -> None:
    gateway.fail(fault)
    assert isinstance(sms_http(gateway).send(TEXT), Unknown)
    assert len(inbox.texts) == 1


def test_wrong_credentials_at_the_gateway_are_tried_again_once_they_are_put_right(gateway: Gateway) -> None:
    told = sms_http(gateway, token="wrong").send(TEXT)
    assert told == Refused("not_authorised", timedelta(minutes=1), "status 401, code 20003")


def test_a_gateway_that_is_not_there_surely_got_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    channel = SmsHttp(base_url=f"http://127.0.0.1:{port}", sid="sandbox", token="t", sender="Xuka")
    assert channel.send(TEXT) == Refused("unreachable", timedelta(minutes=1), "ConnectError")


def test_a_gateway_that_drips_ends_at_the_deadline() -> None:
    with dripping_server() as (host, port):
        channel = SmsHttp(
            base_url=f"http://{host}:{port}", sid="s", token="t", sender="Xuka", deadline=timedelta(seconds=0.5)
        )
        began = time.monotonic()
        assert isinstance(channel.send(TEXT), Unknown)
        assert time.monotonic() - began < 1.5


# -- text messages over SMPP, against the centre in node ----------------------------------------------------------

CENTRE = Path(__file__).resolve().parents[2] / "sandbox" / "sms"


@dataclass
class Centre:
    """The centre's ports, and the phone that shows what it delivers."""

    port: int
    control: str
    inbox: Inbox

    def fail(self, kind: str | None, times: int = 1) -> None:
        httpx.post(f"{self.control}/control/faults", json={"kind": kind, "times": times}).raise_for_status()

    def submitted(self) -> list[dict[str, int]]:
        return httpx.get(self.control).json()["submitted"]

    def channel(self, *, deadline: float = 20, password: str = "secret", sender: str = "Xuka") -> Smpp:
        return Smpp(
            host="127.0.0.1", port=self.port, user="sandbox", password=password, sender=sender,
            deadline=timedelta(seconds=deadline),
        )  # fmt: skip


@pytest.fixture(scope="module")
def centre_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The centre with its packages; skips where node, npm or the registry is not there."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not installed: the SMS centre cannot run")
    folder = tmp_path_factory.mktemp("centre")
    for name in ("centre.js", "package.json", "package-lock.json"):
        shutil.copy(CENTRE / name, folder)
    got = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, capture_output=True, timeout=120
    )
    if got.returncode:
        pytest.skip("npm could not fetch the SMS centre's packages")
    return folder


@pytest.fixture
def centre(centre_folder: Path) -> Iterator[Centre]:
    inbox = Inbox(now=lambda: datetime(2026, 3, 1, 12, tzinfo=UTC))
    page = make_server("127.0.0.1", 0, application(inbox), threaded=True)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    command = ["node", "centre.js", "--port", "0", "--until-stdin-ends", "--inbox", f"http://127.0.0.1:{page.port}"]
    with subprocess.Popen(command, cwd=centre_folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout
        assert running.stdin
        told = json.loads(running.stdout.readline())
        yield Centre(told["smpp"], f"http://127.0.0.1:{told['control']}", inbox)
        running.stdin.close()
        running.wait(10)
    page.shutdown()


def said(text: str) -> Letter:
    return Letter(id=ID, to="+32470000001", language="en", subject="", text=text)


@pytest.mark.parametrize(
    ("text", "codings"),
    [
        ("Your code is 1234-5678. Never tell it.", [(0, 0x00)]),
        ("Price: 12 € [net] {a} ~ ^ | \\ §", [(0, 0x00)]),
        ("x" * 160, [(0, 0x00)]),
        ("x" * 161, [(0, 0x40)] * 2),
        ("€" * 100, [(0, 0x40)] * 2),
        (SAID, [(8, 0x00)]),
        ("续" * 70, [(8, 0x00)]),
        ("续" * 71, [(8, 0x40)] * 2),
        ("📶" * 80, [(8, 0x40)] * 3),
    ],
)
def test_a_text_arrives_whole_in_as_few_parts_as_can_be(
    centre: Centre, text: str, codings: list[tuple[int, int]]
) -> None:
    assert centre.channel().send(said(text)) == Done("centre-1")
    assert heard(centre.inbox) == [("Xuka", "+32470000001", text)]
    assert [(part["data_coding"], part["esm_class"]) for part in centre.submitted()] == codings


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("throttled", Refused("later", timedelta(minutes=1), "status 0x0058")),
        ("queue_full", Refused("later", timedelta(minutes=1), "status 0x0014")),
        ("bad_number", Refused("bad_address", None, "status 0x000b")),
        ("refused_bind", Refused("later", timedelta(minutes=1), "status 0x0005")),
        ("odd", Unknown("status 0x03ff")),
    ],
)
def test_a_text_the_centre_refuses_does_not_arrive(centre: Centre, fault: str, outcome: Refused | Unknown) -> None:
    centre.fail(fault)
    assert centre.channel().send(TEXT) == outcome
    assert centre.inbox.texts == []
    assert isinstance(centre.channel().send(TEXT), Done)


def test_a_text_of_which_one_part_was_refused_is_unknown(centre: Centre) -> None:
    centre.fail("throttled_second")
    assert centre.channel().send(said("x" * 400)) == Unknown("1 of 3 parts taken: status 0x0058")
    assert centre.inbox.texts == []


def test_a_centre_that_breaks_off_or_stays_silent_after_a_text_leaves_it_unknown(centre: Centre) -> None:
    centre.fail("drop")
    assert isinstance(centre.channel().send(TEXT), Unknown)
    centre.fail("silent")
    began = time.monotonic()
    assert isinstance(centre.channel(deadline=0.8).send(TEXT), Unknown)
    assert time.monotonic() - began < 2
    assert len(centre.inbox.texts) == 2


def test_a_centre_that_stays_silent_before_a_text_surely_sent_nothing(centre: Centre) -> None:
    centre.fail("silent_bind")
    outcome = centre.channel(deadline=0.8).send(TEXT)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.retry_after) == ("unreachable", timedelta(minutes=1))
    assert centre.inbox.texts == []


def test_wrong_credentials_at_the_centre_are_tried_again_once_they_are_put_right(centre: Centre) -> None:
    told = centre.channel(password="wrong").send(TEXT)
    assert told == Refused("not_authorised", timedelta(minutes=1), "status 0x000e")


def test_the_log_holds_neither_the_number_nor_the_text(centre: Centre, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(0):
        centre.channel(sender="+3225550100").send(TEXT)
    assert heard(centre.inbox) == [("3225550100", "+32470000001", SAID)]
    ours = [record.getMessage() for record in caplog.records if "smpp" in record.name]
    assert ours == [f"text {ID} to …0001: done"]


@pytest.mark.parametrize("number", ["", "32470000001", "+", "+32 470", "emma@shop.example", "+3247000000199999999"])
def test_what_is_no_number_is_refused_before_anybody_is_asked(number: str) -> None:
    letter = Letter(id=ID, to=number, language="en", subject="", text="t")
    channel = Smpp(host="127.0.0.1", port=1, user="u", password="p", sender="Xuka")
    assert channel.send(letter) == Refused("bad_address", None, "not an E.164 number")


def test_a_centre_that_is_not_there_surely_got_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    outcome = Smpp(host="127.0.0.1", port=port, user="u", password="p", sender="Xuka").send(TEXT)
    assert outcome == Refused("unreachable", timedelta(minutes=1), "ConnectionError")
