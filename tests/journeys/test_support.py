"""A customer writes to the seller."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.utils import translation

from xuka.accounts import operations as accounts
from xuka.accounts.models import User
from xuka.catalogue import operations as catalogue
from xuka.catalogue import queries as catalogue_queries
from xuka.journal.models import Fact
from xuka.kernel import ids
from xuka.lines import operations as lines
from xuka.messaging.models import Message
from xuka.renewals.models import Order, Quote
from xuka.support import operations as support
from xuka.support import queries
from xuka.support.models import Ticket
from xuka.support.operations import DifferentTicket, InvalidTicket

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
TICKET = UUID("22222222-2222-4222-8222-222222222222")
SELLER = "seller@xuka.example"


def customer(email: str = "yu@example.com") -> User:
    return accounts.register_user(email=email, language="zh-hans", now=NOW)


def order_of(user: User) -> UUID:
    """An order of this customer, as far as a ticket needs one."""
    catalogue.load(settings.ROOT / "data", who="seller", now=NOW)
    version = catalogue_queries.plans_on_sale("BE")[0]
    line = lines.add_to_stock(
        iccid="8932020000000000010", carrier="airalo", claim_code="K", plan_version=version, who="seller", now=NOW
    )
    terms: dict[str, Any] = {"customer": user, "line": line, "plan_version": version, "currency": "EUR"}
    quote = Quote.objects.create(
        id=ids.new(),
        lines=[],
        total_minor=1290,
        tax_minor=224,
        tax_basis_points=2100,
        starts_on_activation=True,
        starts_at=NOW,
        ends_at=NOW + timedelta(days=7),
        kept=[],
        lost=[],
        quoted_at=NOW,
        expires_at=NOW,
        **terms,
    )
    order = Order.objects.create(
        id=ids.new(),
        quote=quote,
        hold_id=ids.new(),
        state="awaiting_funds",
        total_minor=1290,
        tax_minor=224,
        placed_at=NOW,
        pay_by=NOW,
        **terms,
    )
    return order.id


def opened(**changes: Any) -> Ticket:
    told = {
        "id": TICKET,
        "customer": None,
        "order_id": None,
        "email": "emma@example.com",
        "text": "My card does not work.",
        "language": "en",
        "seller": SELLER,
        "now": NOW,
    }
    return support.open_ticket(**(told | changes))


def test_a_ticket_is_stored_mailed_to_the_seller_and_told_in_the_journal() -> None:
    ticket = opened()
    assert Ticket.objects.get() == ticket
    assert (ticket.id, ticket.email, ticket.text, ticket.opened_at) == (
        TICKET,
        "emma@example.com",
        "My card does not work.",
        NOW,
    )
    mail = Message.objects.get()
    assert (mail.cause, mail.kind, mail.to, mail.state) == (TICKET, "ticket", SELLER, "queued")
    assert mail.subject == f"Ticket {TICKET}: someone writes"
    assert mail.text == (
        "Reply to: emma@example.com\n"
        "Language: en\n"
        "Order:    none\n"
        "Customer: not signed in\n"
        f"Ticket:   {TICKET}\n"
        "\n"
        "My card does not work.\n"
    )
    fact = Fact.objects.get(what="ticket.opened")
    assert (fact.subject, fact.who, fact.after) == (TICKET, "visitor", {"order": None})


def test_a_ticket_about_an_order_carries_its_number() -> None:
    yu = customer()
    order = order_of(yu)
    opened(customer=yu.id, order_id=order, email="yu@example.com", text="充值没有到账。", language="zh-hans")
    mail = Message.objects.get()
    assert mail.subject == f"Order {order}: a customer writes"
    assert f"Order:    {order}\nCustomer: {yu.id}\n" in mail.text
    assert mail.text.endswith("\n充值没有到账。\n")
    fact = Fact.objects.get(what="ticket.opened")
    assert (fact.who, fact.after) == (f"customer:{yu.id}", {"order": str(order)})
    assert [ticket.order_id for ticket in queries.tickets_of(yu.id)] == [order]


def test_the_same_ticket_sent_again_changes_nothing() -> None:
    first = opened()
    assert opened(text="  My card does not work.\r\n", now=NOW + timedelta(hours=1)) == first
    assert (Ticket.objects.count(), Message.objects.count()) == (1, 1)
    assert Fact.objects.filter(what="ticket.opened").count() == 1
    assert Ticket.objects.get().opened_at == NOW


def test_another_ticket_under_the_same_id_is_refused() -> None:
    opened()
    for change in ({"text": "Something else."}, {"email": "mallory@example.com"}):
        with pytest.raises(DifferentTicket):
            opened(**change)
    assert Ticket.objects.get().text == "My card does not work."
    assert Message.objects.count() == 1


def test_somebody_else_s_order_cannot_be_attached_nor_probed() -> None:
    order = order_of(customer())
    mallory = customer("mallory@example.com")
    sentences = set()
    for who, which in ((mallory.id, order), (mallory.id, ids.new()), (None, order)):
        with pytest.raises(InvalidTicket) as refused:
            opened(customer=who, order_id=which)
        sentences.add(str(refused.value))
    assert sentences == {"This order was not found."}
    assert (Ticket.objects.count(), Message.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"text": ""}, "Please write what we can do for you."),
        ({"text": " \r\n\t\x00 "}, "Please write what we can do for you."),
        ({"text": "x" * 4001}, "Please write at most 4000 characters."),
        ({"email": ""}, "Please give an e-mail address for the answer."),
        ({"email": "nobody"}, "Please give an e-mail address for the answer."),
        ({"email": "a@example.com\r\nBcc: b@example.com"}, "Please give an e-mail address for the answer."),
        ({"email": "a" * 64 + "@" + "b" * 60 + "." + ("c" * 60 + ".") * 3 + "com"}, "Please give an e-mail address"),
    ],
)
def test_a_ticket_that_cannot_be_is_refused_in_a_sentence(change: dict[str, str], why: str) -> None:
    with translation.override("en"), pytest.raises(InvalidTicket) as refused:
        opened(**change)
    assert str(refused.value).startswith(why)
    assert (Ticket.objects.count(), Message.objects.count(), Fact.objects.count()) == (0, 0, 0)


def test_four_thousand_characters_are_not_too_many() -> None:
    assert len(opened(text="续" * 4000).text) == 4000


def test_what_is_written_arrives_as_it_was_written() -> None:
    text = "<script>alert(1)</script>'; drop table support_ticket; --\nline two\t— 你好 🙂"
    assert opened(text=text + "\x00\x1b[31m").text == text + "[31m"
    assert text in Message.objects.get().text
    assert Message.objects.get().html == ""
