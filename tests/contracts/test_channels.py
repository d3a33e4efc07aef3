"""What every message channel must do, whoever it speaks to, against that channel's stand-in on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from sandbox.mail.app import application
from sandbox.mail.inbox import FAULTS, Inbox, Postbox
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
