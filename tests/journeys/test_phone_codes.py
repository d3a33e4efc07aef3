"""A telephone number: confirmed with a code, then a way to sign in; nobody learns whose it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client

from xuka.accounts import operations as accounts
from xuka.accounts import queries
from xuka.accounts.models import User
from xuka.accounts.rules import InvalidPhone, phone_of
from xuka.journal.queries import facts_about
from xuka.messaging.models import Message

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
NUMBER, OTHER = "+32470123456", "+819012345678"


@pytest.fixture(autouse=True)
def _texts_are_sent(settings: Any) -> None:
    settings.CHANNELS = {**settings.CHANNELS, "sms": {"connector": "nothing.is.sent.in.these.tests"}}
    settings.ACCOUNT_LOGIN_METHODS = {"email", "phone"}
    cache.clear()


def person(email: str = "emma@example.com", *, phone: str | None = None, language: str = "en") -> User:
    user = accounts.register_user(email=email, language=language, now=NOW)
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    if phone:
        accounts.set_phone(customer=user.id, phone=phone, now=NOW)
    return User.objects.get(id=user.id)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def code() -> str:
    (message,) = Message.objects.filter(kind="phone_code").order_by("-queued_at")[:1]
    found = re.search(r"\d{4}-\d{4}", message.text)
    assert found
    return found[0]


def test_a_number_is_confirmed_with_the_code_that_was_sent_to_it() -> None:
    user = person()
    client = signed_in(user)
    assert client.post("/account/phone/", {"phone": "0032 470/12.34.56"})["Location"] == "/account/phone/confirm/"
    message = Message.objects.get()
    assert (message.to, message.channel, message.secret, message.subject) == (NUMBER, "sms", True, "")
    assert queries.user_by_phone(NUMBER) is None, "nothing is stored before the code"
    assert "We have sent a code to +32470123456" in text_of(client.get("/account/phone/confirm/"))
    assert client.post("/account/phone/confirm/", {"code": code()})["Location"] == "/account/phone/"
    assert queries.user_by_phone(NUMBER) == user
    assert "The number is confirmed." in text_of(client.get("/account/phone/"))
    fact = facts_about(user.id)[-1]
    assert (fact.what, fact.before, fact.after) == ("user.phone_set", None, {"phone": "…3456"})


def test_three_wrong_codes_end_it_and_the_right_one_comes_too_late() -> None:
    client = signed_in(person())
    client.post("/account/phone/", {"phone": NUMBER})
    right = code()
    told = [client.post("/account/phone/confirm/", {"code": "0000-0000"}).status_code for _ in range(3)]
    assert told == [422, 422, 302]
    assert client.post("/account/phone/confirm/", {"code": right})["Location"] == "/account/phone/"
    assert queries.user_by_phone(NUMBER) is None


def test_what_is_no_number_gets_no_text() -> None:
    client = signed_in(person())
    for wrong in ("", "470123456", "+32", "+32 470", "hello", "+32470123456 ext. 7", "+" + "1" * 30):
        assert client.post("/account/phone/", {"phone": wrong}).status_code == 422
    assert Message.objects.count() == 0


def test_a_number_is_not_asked_again_within_half_a_minute() -> None:
    client = signed_in(person())
    assert client.post("/account/phone/", {"phone": NUMBER}).status_code == 302
    again = client.post("/account/phone/", {"phone": NUMBER})
    assert again.status_code == 429
    assert Message.objects.count() == 1


def test_somebody_elses_number_looks_like_any_other_and_can_not_be_taken() -> None:
    owner = person("li@example.com", phone=NUMBER, language="zh-hans")
    user = person()
    pages = []
    for number in (NUMBER, OTHER):
        client = signed_in(user)
        answer = client.post("/account/phone/", {"phone": number})
        page = client.get(answer["Location"])
        pages.append((answer.status_code, re.sub(r'value="[^"]+"', "", text_of(page)).replace(number, "…")))
        wrong = client.post("/account/phone/confirm/", {"code": "0000-0000"})
        pages.append((wrong.status_code, text_of(wrong).replace(number, "…")))
    assert pages[:2] == pages[2:]
    warned, asked = Message.objects.order_by("queued_at")
    assert (warned.kind, warned.to, warned.language) == ("phone_wanted", NUMBER, "zh-hans")
    assert not re.search(r"\d{4}-\d{4}", warned.text)
    assert (asked.kind, asked.to) == ("phone_code", OTHER)
    assert queries.user_by_phone(NUMBER) == owner


def test_two_accounts_that_confirm_one_number_at_once_end_with_one_owner() -> None:
    first, second = person(), person("li@example.com")
    client = signed_in(first)
    client.post("/account/phone/", {"phone": NUMBER})
    accounts.set_phone(customer=second.id, phone=NUMBER, now=NOW)
    client.post("/account/phone/confirm/", {"code": code()})
    assert queries.user_by_phone(NUMBER) == second
    with pytest.raises(accounts.PhoneTaken):
        accounts.set_phone(customer=first.id, phone=NUMBER, now=NOW)


def test_a_code_by_text_message_signs_in() -> None:
    user = person(phone=NUMBER, language="zh-hans")
    client = Client()
    assert "Get a code by text message instead" in text_of(client.get("/account/login/code/"))
    asked = client.post("/account/login/code/", {"phone": "+32 470 12 34 56"})
    assert asked["Location"] == "/account/login/code/confirm/"
    message = Message.objects.get()
    assert (message.to, message.channel, message.language, message.customer_id) == (NUMBER, "sms", "zh-hans", user.id)
    assert NUMBER in text_of(client.get("/account/login/code/confirm/"))
    assert client.post("/account/login/code/confirm/", {"code": code()})["Location"] == "/"
    assert client.session["_auth_user_id"] == str(user.id)


def test_three_wrong_codes_end_the_sign_in_by_text_message() -> None:
    person(phone=NUMBER)
    client = Client()
    client.post("/account/login/code/", {"phone": NUMBER})
    told = [client.post("/account/login/code/confirm/", {"code": "0000-0000"}).status_code for _ in range(3)]
    assert told[-1] == 302
    client.post("/account/login/code/confirm/", {"code": code()})
    assert "_auth_user_id" not in client.session


def test_known_and_unknown_numbers_cannot_be_told_apart_and_unknown_ones_get_no_text() -> None:
    person(phone=NUMBER)
    pages = []
    for number in (NUMBER, OTHER):
        answer = Client().post("/account/login/code/", {"phone": number}, follow=True)
        pages.append((answer.status_code, answer.redirect_chain, text_of(answer).replace(number, "…")))
    assert pages[0] == pages[1]
    assert [message.to for message in Message.objects.all()] == [NUMBER]


def test_a_number_gets_three_codes_a_minute_at_most() -> None:
    person(phone=NUMBER)
    told = [Client().post("/account/login/code/", {"phone": NUMBER}).status_code for _ in range(4)]
    assert told == [302, 302, 302, 429]
    assert Message.objects.count() == 3


def test_neither_address_nor_number_and_both_are_refused() -> None:
    for sent in ({}, {"email": "", "phone": ""}, {"email": "emma@example.com", "phone": NUMBER}):
        assert Client().post("/account/login/code/", sent).status_code == 422
    assert Message.objects.count() == 0


def test_a_number_is_no_name_for_the_password_form() -> None:
    user = person(phone=NUMBER)
    user.set_password("four calm grey herons")
    user.save()
    client = Client()
    assert client.post("/account/login/", {"login": NUMBER, "password": "four calm grey herons"}).status_code == 422
    sent = {"login": "emma@example.com", "password": "four calm grey herons"}
    assert client.post("/account/login/", sent)["Location"] == "/"


def test_a_removed_number_signs_nobody_in_and_a_closed_account_neither() -> None:
    user = person(phone=NUMBER)
    assert signed_in(user).post("/account/phone/remove/")["Location"] == "/account/phone/"
    Client().post("/account/login/code/", {"phone": NUMBER})
    accounts.set_phone(customer=user.id, phone=NUMBER, now=NOW)
    accounts.set_active(user=user.id, active=False, who="seller", why="a test", now=NOW)
    Client().post("/account/login/code/", {"phone": NUMBER})
    assert Message.objects.count() == 0
    assert [fact.what for fact in facts_about(user.id)][1:3] == ["user.phone_set", "user.phone_removed"]


def test_without_a_gateway_nothing_about_phones_is_shown(settings: Any) -> None:
    settings.CHANNELS = {name: told for name, told in settings.CHANNELS.items() if name != "sms"}
    settings.ACCOUNT_LOGIN_METHODS = {"email"}
    client = signed_in(person())
    assert "Mobile number" not in text_of(client.get("/account/settings/"))
    assert client.get("/account/phone/").status_code == 404
    assert "text message" not in text_of(Client().get("/account/login/code/"))
    assert Client().post("/account/login/code/", {"email": ""}).status_code == 422


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("+32 470 12 34 56", NUMBER),
        ("0032470123456", NUMBER),
        ("+32 (0)470-12.34.56", NUMBER),
        ("+81 90-1234-5678", OTHER),
        ("+86 138 0013 8000", "+8613800138000"),
    ],
)
def test_numbers_are_stored_in_one_spelling(typed: str, stored: str) -> None:
    assert phone_of(typed) == stored


@pytest.mark.parametrize("typed", ["", "12345", "+", "+999 123456789", "+32 1", "tel:hello", "+32470123456x9"])
def test_what_is_no_number_is_refused(typed: str) -> None:
    with pytest.raises(InvalidPhone):
        phone_of(typed)
