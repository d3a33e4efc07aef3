"""A chat becomes a way to be reached: what LINE and WeChat post, what is forged, and what comes twice."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

import pytest
from django.test import Client

from xuka.accounts import operations as accounts
from xuka.accounts import queries
from xuka.interfaces import clock
from xuka.interfaces.web import links
from xuka.messaging.models import Message

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SECRET = "s3cret"


class Post(NamedTuple):
    """What a messenger posts."""

    path: str
    body: bytes
    headers: dict[str, str]

    def send(self) -> int:
        client = Client(headers=self.headers)
        return client.post(self.path, self.body, content_type="application/octet-stream").status_code


def line(who: str, words: str, *, secret: str = SECRET) -> Post:
    """As LINE signs: the body, with the channel's secret."""
    event = {"type": "message", "source": {"type": "user", "userId": who}, "message": {"type": "text", "text": words}}
    body = json.dumps({"destination": "U0", "events": [event]}).encode()
    signed = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    return Post("/webhooks/chat/line/", body, {"X-Line-Signature": signed})


def wechat(who: str, words: str, *, secret: str = SECRET) -> Post:
    """As WeChat signs: the token, the time and a nonce; not the body."""
    body = (
        "<xml><ToUserName><![CDATA[gh_1]]></ToUserName>"
        f"<FromUserName><![CDATA[{who}]]></FromUserName><CreateTime>1</CreateTime>"
        f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{words}]]></Content><MsgId>1</MsgId></xml>"
    )
    return Post(f"/webhooks/chat/wechat/?{signed_query(secret)}", body.encode(), {})


def signed_query(secret: str = SECRET, **more: str) -> str:
    told = {"timestamp": str(int(clock.now().timestamp())), "nonce": "314"}
    signature = hashlib.sha1("".join(sorted([secret, *told.values()])).encode()).hexdigest()
    return urlencode({"signature": signature, **told, **more})


CHATS = pytest.mark.parametrize(("channel", "post"), [("line", line), ("wechat", wechat)])
MakesPost = Callable[..., Post]


@pytest.fixture(autouse=True)
def chats(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CHATS = {name: {"account": "xuka", "secret": SECRET} for name in ("line", "wechat")}
    at(monkeypatch, NOW)


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(clock, "now", lambda: moment)


def customer(name: str = "yu") -> UUID:
    told = {"name": "王小雨", "language": "en", "time_zone": ""}
    return accounts.register_user(email=f"{name}@example.com", now=NOW, **told).id


def chats_of(customer: UUID) -> list[tuple[str, str]]:
    return [(one.channel, one.address) for one in queries.contacts_of(customer)]


@CHATS
def test_a_code_from_the_page_makes_the_chat_a_contact(channel: str, post: MakesPost) -> None:
    yu = customer()
    code = links.pairing(customer=yu, now=NOW)
    assert post("U1", f"{code}\n").send() == 200
    assert chats_of(yu) == [(channel, "U1")]
    assert channel in queries.choices_of(yu).ending
    (message,) = Message.objects.all()
    assert (message.channel, message.to, message.subject) == (channel, "U1", "Connected")


@CHATS
def test_what_is_not_signed_as_the_messenger_signs_changes_nothing(channel: str, post: MakesPost) -> None:
    yu = customer()
    code = links.pairing(customer=yu, now=NOW)
    good = post("U1", code)
    forged = [
        post("U1", code, secret="another"),
        good._replace(headers={}, path=f"/webhooks/chat/{channel}/"),
        good._replace(headers={"X-Line-Signature": ""}, path=good.path.replace("signature=", "signature=0")),
    ]
    assert [one.send() for one in forged] == [401] * 3
    assert (chats_of(yu), Message.objects.count()) == ([], 0)


def test_the_words_of_another_do_not_fit_lines_signature() -> None:
    yu = customer()
    good = line("U1", links.pairing(customer=yu, now=NOW))
    assert good._replace(body=good.body.replace(b"U1", b"U2")).send() == 401
    assert chats_of(yu) == []


def test_a_signature_of_wechats_that_was_overheard_is_good_for_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    yu = customer()
    overheard = wechat("U1", "hello")
    at(monkeypatch, NOW + timedelta(minutes=6))
    code = links.pairing(customer=yu, now=clock.now())
    assert overheard._replace(body=wechat("U2", code).body).send() == 401
    assert chats_of(yu) == []
    assert wechat("U2", code).send() == 200
    assert chats_of(yu) == [("wechat", "U2")]


def test_wechat_is_answered_when_it_asks_whether_the_address_is_ours() -> None:
    asked = Client().get(f"/webhooks/chat/wechat/?{signed_query(echostr='4711')}")
    assert (asked.status_code, asked.content) == (200, b"4711")
    assert Client().get(f"/webhooks/chat/wechat/?{signed_query('another', echostr='4711')}").status_code == 401


@CHATS
def test_a_wrong_code_and_one_that_is_too_old_connect_nobody(
    channel: str, post: MakesPost, monkeypatch: pytest.MonkeyPatch
) -> None:
    yu = customer()
    code = links.pairing(customer=yu, now=NOW)
    for words in ("hello", code[:-1], f"{code[:-1]}{'A' if code[-1] != 'A' else 'B'}", "A" * 49):
        assert post("U1", words).send() == 200
    at(monkeypatch, NOW + links.PAIRS_WITHIN)
    assert post("U1", code).send() == 200
    assert chats_of(yu) == []


@CHATS
def test_a_code_is_good_once(channel: str, post: MakesPost, monkeypatch: pytest.MonkeyPatch) -> None:
    yu = customer()
    code = links.pairing(customer=yu, now=NOW)
    first = post("U1", code)
    assert [first.send(), first.send()] == [200, 200]  # the messenger tries again
    assert post("U2", code).send() == 200  # somebody looked over the shoulder
    assert (chats_of(yu), Message.objects.count()) == ([(channel, "U1")], 1)
    (contact,) = queries.contacts_of(yu)
    accounts.remove_contact(customer=yu, contact_id=contact.id, now=NOW)
    assert first.send() == 200
    assert chats_of(yu) == []
    at(monkeypatch, NOW + timedelta(minutes=1))
    assert post("U2", links.pairing(customer=yu, now=clock.now())).send() == 200
    assert chats_of(yu) == [(channel, "U2")]


def test_one_page_connects_every_messenger() -> None:
    yu = customer()
    code = links.pairing(customer=yu, now=NOW)
    assert [post("U1", code).send() for post in (line, wechat)] == [200, 200]
    assert sorted(chats_of(yu)) == [("line", "U1"), ("wechat", "U1")]


@CHATS
def test_what_is_no_message_at_all_is_taken_and_forgotten(channel: str, post: MakesPost) -> None:
    empty = post("U1", "")
    assert empty.send() == 200
    for body in (b"", b"[]", b"{", b'{"events": [1, {"message": "x"}]}', b"<xml>", b"\xff"):
        signed = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
        assert empty._replace(body=body, headers={"X-Line-Signature": signed}).send() == 200
    assert Message.objects.count() == 0
