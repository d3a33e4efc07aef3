"""A customer's receipts: found, read, kept as a PDF, sent again; and nobody else's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.cache import cache
from django.test import Client

from sandbox.mail.app import application
from sandbox.mail.inbox import Inbox, Mail, Postbox
from tests.journeys.web_world import Shop, open_shop
from tests.rules.pdf_reader import read
from xuka.accounts import operations as accounts
from xuka.interfaces import clock
from xuka.interfaces.web.paper import pdf
from xuka.kernel.span import Span
from xuka.messaging import operations as messaging
from xuka.messaging import queries as messaging_queries
from xuka.messaging.models import Attachment, Message
from xuka.receipts import operations as receipts
from xuka.receipts.models import Receipt
from xuka.receipts.rules import Line, Paid

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Shop:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.setattr(clock, "now", lambda: NOW)
    cache.clear()
    return open_shop(now=NOW, seed_card=lambda **_: None)


@pytest.fixture
def inbox(settings: Any) -> Iterator[Inbox]:
    """The stand-in mail server, to which the outbox delivers."""
    inbox = Inbox(now=lambda: NOW)
    with Postbox(inbox) as postbox:
        host, port = postbox.address
        connector = "xuka.connectors.channels.smtp.connector.Smtp"
        sender = "Xuka 续卡 <hello@xuka.example>"
        settings.CHANNELS = {"email": {"connector": connector, "host": host, "port": port, "sender": sender}}
        messaging.channel.cache_clear()
        yield inbox
    messaging.channel.cache_clear()


def sold(shop: Shop, key: str = "xiaoyu", *, now: datetime = NOW, minor: int = 1290) -> Receipt:
    """A renewal of this person's card, and its receipt."""
    line = shop.cards[key]
    japan = line.market_id == "JP"
    return receipts.issue(
        cause=uuid4(),
        customer=shop.people[key].id,
        market=line.market_id,
        currency="JPY" if japan else "EUR",
        lines=[Line("plan", line.plan_version.plan.names, minor)],
        tax_basis_points=1000 if japan else 2100,
        paid_with=[Paid("wallet", minor)],
        card_last=line.iccid[-4:],
        period=Span(now, now + timedelta(days=7)),
        now=now,
    )


def signed_in(shop: Shop, key: str) -> Client:
    client = Client()
    client.force_login(shop.people[key], backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())).replace("\N{NO-BREAK SPACE}", " ")


def send(client: Client, receipt: Receipt, *, letter: UUID | None = None) -> Any:
    """Press "Send it to me by mail" on the receipt's page, as often as the same letter is named."""
    return client.post(f"/receipts/{receipt.id}/send/", {"letter": str(letter or uuid4())}, follow=True)


def deliver(at: datetime = NOW) -> None:
    """What the shop's worker does."""
    for id in messaging_queries.due_messages(at):
        messaging.send(message_id=id, now=at)


def only_mail(inbox: Inbox) -> Mail:
    (mail,) = inbox.mails
    return mail


# -- the pages ---------------------------------------------------------------------------------------------------------


def test_without_any_receipt_the_page_says_when_one_comes(shop: Shop) -> None:
    page = text_of(signed_in(shop, "emma").get("/receipts/"))
    assert "No receipts yet" in page
    assert "As soon as an order is paid" in page


def test_receipts_and_credit_notes_are_listed_the_newest_first(shop: Shop) -> None:
    first = sold(shop)
    sold(shop, now=NOW + timedelta(days=1), minor=2090)
    receipts.credit(cause=first.cause, amount_minor=500, why="goodwill", now=NOW + timedelta(days=2))
    sold(shop, "sato", minor=4980)
    page = text_of(signed_in(shop, "xiaoyu").get("/receipts/"))
    told = re.findall(r"BE-2026-(?:C-)?\d{6}|-?€\d+\.\d\d", page)
    assert told == ["BE-2026-C-000001", "-€5.00", "BE-2026-000002", "€20.90", "BE-2026-000001", "€12.90"]
    assert "退款凭证" in page
    assert "JP-2026" not in page


def test_a_receipt_is_read_on_the_page_with_all_that_it_must_say(shop: Shop) -> None:
    receipt = sold(shop, "emma")
    page = text_of(signed_in(shop, "emma").get(f"/receipts/{receipt.id}/"))
    for words in (
        "Receipt", "BE-2026-000001", "25 November 2026", "VAT number: BE 0000.000.097", "Taxable amount €10.66",
        "VAT 21% €2.24", "Total paid €12.90", "Wallet €12.90", "Emma", str(receipt.cause), "Brussels time",
    ):  # fmt: skip
        assert words in page, words


def test_a_credit_note_and_its_receipt_lead_to_each_other(shop: Shop) -> None:
    receipt = sold(shop, "emma")
    note = receipts.credit(cause=receipt.cause, amount_minor=1290, why="not_delivered", now=NOW)
    client = signed_in(shop, "emma")
    page = client.get(f"/receipts/{note.id}/")
    assert f"/receipts/{receipt.id}/" in page.content.decode()
    for words in ("Credit note", "Corrects the receipt BE-2026-000001", "Total credited -€12.90", "VAT 21% -€2.24"):
        assert words in text_of(page), words
    assert f"/receipts/{note.id}/" in client.get(f"/receipts/{receipt.id}/").content.decode()


def test_a_receipt_is_kept_as_a_pdf_in_the_language_of_the_page(shop: Shop) -> None:
    receipt = sold(shop)
    answer = signed_in(shop, "xiaoyu").get(f"/receipts/{receipt.id}.pdf")
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == ("attachment; filename*=utf-8''%E6%94%B6%E6%8D%AE%20BE-2026-000001.pdf")
    assert {"private", "no-store"} <= set(answer["Cache-Control"].split(", "))
    assert answer.content == pdf.pdf(receipt, "zh-hans")
    text = read(answer.content).text
    for words in ("收据", "BE-2026-000001", "王小雨", "增值税", "€12.90", "€2.24"):
        assert words in text, words


@pytest.mark.parametrize("where", ["/receipts/{}/", "/receipts/{}.pdf"])
def test_another_customers_receipt_is_not_there(shop: Shop, where: str) -> None:
    receipt = sold(shop, "sato", minor=4980)
    assert signed_in(shop, "sato").get(where.format(receipt.id)).status_code == 200
    assert signed_in(shop, "emma").get(where.format(receipt.id)).status_code == 404
    assert signed_in(shop, "emma").get(where.format(uuid4())).status_code == 404
    stranger = Client().get(where.format(receipt.id))
    assert (stranger.status_code, "/account" in stranger["Location"] or "login" in stranger["Location"]) == (302, True)


def test_another_customers_receipt_is_sent_to_nobody(shop: Shop) -> None:
    receipt = sold(shop, "sato", minor=4980)
    assert send(signed_in(shop, "emma"), receipt).status_code == 404
    assert signed_in(shop, "sato").get(f"/receipts/{receipt.id}/send/").status_code == 405
    assert Message.objects.count() == 0


# -- by mail -----------------------------------------------------------------------------------------------------------


def test_a_receipt_sent_again_arrives_with_the_pdf(shop: Shop, inbox: Inbox) -> None:
    receipt = sold(shop)
    page = text_of(send(signed_in(shop, "xiaoyu"), receipt))
    assert "已发往 xiaoyu@demo.xuka.example" in page
    deliver()
    mail = only_mail(inbox)
    assert mail.subject == "收据 BE-2026-000001 · " + receipt.document["lines"][0]["labels"]["zh-hans"]
    assert mail.recipients == ("xiaoyu@demo.xuka.example",)
    assert "€12.90" in mail.text
    assert "BE-2026-000001" in mail.html
    assert [(file.name, file.mime) for file in mail.files] == [("收据 BE-2026-000001.pdf", "application/pdf")]
    assert mail.files[0].content == pdf.pdf(receipt, "zh-hans")
    assert mail.headers["Content-Type"].startswith("multipart/mixed")
    assert mail.language == "zh-hans"


def test_it_goes_to_the_address_and_in_the_language_of_today(shop: Shop, inbox: Inbox) -> None:
    receipt = sold(shop)
    accounts.set_language(customer=shop.people["xiaoyu"].id, language="en", now=NOW)
    assert "On its way to xiaoyu@demo.xuka.example." in text_of(send(signed_in(shop, "xiaoyu"), receipt))
    deliver()
    assert only_mail(inbox).files[0].name == "Receipt BE-2026-000001.pdf"
    assert only_mail(inbox).subject.startswith("Receipt BE-2026-000001 · ")


def test_a_double_click_is_one_letter_and_asking_again_is_another(shop: Shop, inbox: Inbox) -> None:
    receipt, client, letter = sold(shop), signed_in(shop, "xiaoyu"), uuid4()
    send(client, receipt, letter=letter)
    send(client, receipt, letter=letter)
    deliver()
    assert len(inbox.mails) == 1
    send(client, receipt)
    deliver()
    assert len(inbox.mails) == 2


def test_nobodys_mailbox_is_filled(shop: Shop) -> None:
    receipt, client = sold(shop), signed_in(shop, "xiaoyu")
    answers = [send(client, receipt).status_code for _ in range(8)]
    assert answers == [200] * 6 + [429] * 2
    assert Message.objects.count() == 6


def test_a_page_that_did_not_arrive_whole_sends_nothing(shop: Shop) -> None:
    receipt = sold(shop)
    assert signed_in(shop, "xiaoyu").post(f"/receipts/{receipt.id}/send/", {"letter": "x"}).status_code == 400
    assert Message.objects.count() == 0


def test_a_file_waits_with_its_letter_and_is_forgotten_once_it_is_sent(shop: Shop, inbox: Inbox) -> None:
    send(signed_in(shop, "xiaoyu"), sold(shop))
    inbox.fail("later")
    deliver()
    assert (inbox.mails, Attachment.objects.count()) == ([], 1)
    deliver(NOW + timedelta(minutes=5))
    assert [len(mail.files) for mail in inbox.mails] == [1]
    assert Attachment.objects.count() == 0


def test_a_failed_letter_tried_again_by_hand_still_has_its_file(shop: Shop, inbox: Inbox) -> None:
    receipt = sold(shop)
    send(signed_in(shop, "xiaoyu"), receipt)
    inbox.fail("refused")
    deliver()
    message = Message.objects.get()
    assert (message.state, Attachment.objects.count()) == ("failed", 1)
    messaging.try_again(message_id=message.id, who="staff:1", why="the mailbox is back", now=NOW)
    deliver()
    assert only_mail(inbox).files[0].content == pdf.pdf(receipt, "zh-hans")
    assert Attachment.objects.count() == 0


def test_a_secret_letter_that_failed_keeps_no_file(inbox: Inbox) -> None:
    inbox.fail("refused")
    messaging.queue(
        cause=uuid4(), kind="code", to="yu@shop.example", language="en", subject="Code", text="1234", secret=True,
        attachments=[("code.txt", "text/plain", b"1234")], now=NOW,
    )  # fmt: skip
    deliver()
    assert (Message.objects.get().state, Attachment.objects.count()) == ("failed", 0)


def test_files_of_any_type_and_name_arrive_whole_and_in_their_order(inbox: Inbox) -> None:
    files = [
        ("領収書 Nr. 1.pdf", "application/pdf", b"%PDF-1.4\r\n\x00\xff." * 3000),
        ("notes.txt", "text/plain", "naïve\n.\nFrom here".encode()),
    ]
    messaging.queue(
        cause=uuid4(), kind="test", to="yu@shop.example", language="en", subject="Two", text="Two files.\n",
        attachments=files, now=NOW,
    )  # fmt: skip
    deliver()
    assert [(file.name, file.mime, file.content) for file in only_mail(inbox).files] == files
    assert only_mail(inbox).text == "Two files.\n"


def test_the_stand_in_inbox_shows_a_letters_files_and_hands_them_out(shop: Shop, inbox: Inbox) -> None:
    receipt = sold(shop)
    send(signed_in(shop, "xiaoyu"), receipt)
    deliver()
    reader = application(inbox).test_client()
    page = reader.get("/1?lang=zh").text
    assert "附件" in page
    assert "收据 BE-2026-000001.pdf" in page
    file = reader.get("/1/files/0")
    assert file.data == pdf.pdf(receipt, "zh-hans")
    assert file.headers["Content-Disposition"].startswith("attachment;")
    assert "filename*=UTF-8''%E6%94%B6%E6%8D%AE%20BE-2026-000001.pdf" in file.headers["Content-Disposition"]
    assert reader.get("/1/files/1").status_code == reader.get("/2/files/0").status_code == 404
    (told,) = reader.get("/messages.json").get_json()["messages"]
    size = len(pdf.pdf(receipt, "zh-hans"))
    assert told["files"] == [{"name": "收据 BE-2026-000001.pdf", "mime": "application/pdf", "size": size}]
