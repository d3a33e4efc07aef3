"""Mailbox and number both lost: a card and its code, a person, a day's wait, and then the account has a new address."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from tests.journeys.web_world import Shop, iccid, open_shop
from xuka.accounts import operations as accounts
from xuka.accounts.models import User
from xuka.interfaces import clock
from xuka.interfaces.jobs import tasks
from xuka.interfaces.web.recovery import forget_sign_ins, stop_url
from xuka.journal.queries import facts_about
from xuka.messaging.models import Message
from xuka.support import recovery as recoveries
from xuka.support.models import Recovery

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
OLD, NEW, NUMBER = "emma@demo.xuka.example", "emma@new.example", "+32470123456"
DAY = timedelta(hours=24)


@pytest.fixture(autouse=True)
def _at_nine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    cache.clear()


@pytest.fixture
def shop() -> Shop:
    return open_shop(now=NOW, seed_card=lambda **_: None)


@pytest.fixture
def emma(shop: Shop, settings: Any) -> User:
    settings.CHANNELS = {**settings.CHANNELS, "sms": {"connector": "nothing.is.sent.in.these.tests"}}
    user = shop.people["emma"]
    EmailAddress.objects.create(user=user, email=OLD, primary=True, verified=True)
    accounts.set_phone(customer=user.id, phone=NUMBER, now=NOW)
    user.refresh_from_db()
    user.set_password("four calm grey herons")
    user.save()
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
    client.get("/account/settings/")
    return client


def asked(**other: str) -> Any:
    told = {"recovery": str(uuid4()), "iccid": iccid(3), "claim_code": "CODE-3", "email": NEW}
    return Client().post("/recover/", told | other)


def approved() -> Recovery:
    asked()
    recovery = Recovery.objects.get()
    staff = User.objects.get(is_staff=True)
    recoveries.approve(
        id=recovery.id, staff=staff.id, why="She knew both orders.", stop_url=stop_url(recovery.id), now=NOW
    )
    recovery.refresh_from_db()
    return recovery


def complete(id: UUID, now: datetime) -> bool:
    return recoveries.complete(id=id, forget_sign_ins=forget_sign_ins, now=now)


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def whats(id: UUID) -> list[str]:
    return [fact.what for fact in facts_about(id)]


def test_a_card_and_its_code_ask_for_the_account_and_change_nothing_yet(emma: User) -> None:
    assert "Get your account back" in text_of(Client().get("/account/login/code/"))
    assert asked()["Location"] == "/recover/sent/"
    recovery = Recovery.objects.get()
    assert (recovery.customer_id, recovery.new_email, recovery.state) == (emma.id, NEW, "asked")
    assert (recovery.ready_at, Message.objects.count()) == (None, 0)
    assert User.objects.get(id=emma.id).email == OLD
    assert recoveries.due(NOW + timedelta(days=365)) == [], "without a person it never happens"


@pytest.mark.parametrize(
    "other",
    [
        {"claim_code": "CODE-4"},
        {"claim_code": " "},
        {"iccid": iccid(1)},
        {"iccid": iccid(4)},
        {"iccid": iccid(77)},
        {"iccid": "8932042000000000031"},
        {"iccid": "not a number"},
    ],
)
def test_a_wrong_number_or_code_changes_nothing_and_all_answers_are_alike(
    shop: Shop, emma: User, other: dict[str, str]
) -> None:
    shop.stock(4, "be-week-3gb-day")
    answer = asked(**other)
    assert answer.status_code == 422
    if other["iccid" if "iccid" in other else "claim_code"].strip():
        assert "We found no account for this card number and claim code. Please check both." in text_of(answer)
    assert Recovery.objects.count() == 0


def test_a_card_nobody_has_claimed_and_a_closed_account_answer_like_a_wrong_code(shop: Shop, emma: User) -> None:
    shop.stock(4, "be-week-3gb-day")
    accounts.set_active(user=emma.id, active=False, who="seller", why="a test", now=NOW)
    pages = {
        re.sub(r'value="[^"]*"', "", text_of(one))
        for one in (asked(claim_code="WRONG"), asked(), asked(iccid=iccid(4), claim_code="CODE-4"))
    }
    assert len(pages) == 1
    assert Recovery.objects.count() == 0


def test_codes_cannot_be_tried_for_ever(emma: User) -> None:
    told = [asked(claim_code=f"WRONG-{n}").status_code for n in range(6)]
    assert told == [422] * 5 + [429]


def test_asking_again_for_the_same_address_is_the_same_recovery(emma: User) -> None:
    asked()
    asked()
    assert Recovery.objects.count() == 1


def test_staff_need_a_reason(shop: Shop, emma: User) -> None:
    asked()
    recovery = Recovery.objects.get()
    staff = signed_in(shop.staff)
    page = staff.get(reverse("admin:support_recovery_change", args=[recovery.id]))
    assert "Approve" in text_of(page)
    assert "emma@new.example" in text_of(staff.get(reverse("admin:support_recovery_changelist")))
    decide = reverse("admin:support_recovery_decide", args=[recovery.id, "approve"])
    assert staff.post(decide, {"why": "  "}).status_code == 400
    assert Recovery.objects.get().state == "asked"
    with pytest.raises(ValueError, match="reason"):
        recoveries.approve(id=recovery.id, staff=shop.staff.id, why=" ", stop_url="", now=NOW)
    assert staff.post(decide, {"why": "She knew both orders."}).status_code == 302
    told = Recovery.objects.get()
    assert (told.state, told.ready_at) == ("approved", NOW + DAY)
    fact = facts_about(recovery.id)[-1]
    assert (fact.what, fact.who, fact.why) == ("recovery.approved", f"staff:{shop.staff.id}", "She knew both orders.")
    assert staff.post(decide, {"why": "Once more."}).status_code == 400
    assert signed_in(emma).post(decide, {"why": "It is me."}).status_code == 404


def test_the_old_address_and_the_old_number_are_told_and_nothing_changes_before_a_day(emma: User) -> None:
    recovery = approved()
    mail, text = Message.objects.order_by("channel")
    assert (mail.to, mail.channel, mail.kind, mail.secret) == (OLD, "email", "recovery_notice", True)
    assert (text.to, text.channel, text.subject) == (NUMBER, "sms", "")
    for one in (mail, text):
        assert f"{settings.SITE_URL}/recover/stop/" in one.text
    assert recoveries.due(NOW + DAY - timedelta(microseconds=1)) == []
    assert not complete(recovery.id, NOW + DAY - timedelta(microseconds=1))
    emma.refresh_from_db()
    assert (emma.email, emma.phone, emma.check_password("four calm grey herons")) == (OLD, NUMBER, True)


def test_after_a_day_the_sweep_replaces_the_address_and_ends_every_session_exactly_once(
    emma: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    somewhere = signed_in(emma)
    recovery = approved()
    assert recoveries.due(NOW + DAY) == [recovery.id]
    monkeypatch.setattr(clock, "now", lambda: NOW + DAY)
    tasks.complete_recovery(str(recovery.id))
    emma.refresh_from_db()
    assert (emma.email, emma.phone, emma.phone_verified, emma.has_usable_password()) == (NEW, None, False, False)
    assert somewhere.get("/account/settings/").status_code == 302
    assert not EmailAddress.objects.filter(user=emma).exists()
    welcome = Message.objects.get(kind="recovery_done")
    assert (welcome.to, welcome.customer_id) == (NEW, emma.id)
    tasks.complete_recovery(str(recovery.id))
    assert not complete(recovery.id, NOW + 2 * DAY)
    assert recoveries.due(NOW + 2 * DAY) == []
    assert whats(recovery.id) == ["recovery.asked", "recovery.approved", "recovery.done"]
    assert whats(emma.id).count("user.email_replaced") == 1
    assert Message.objects.filter(kind="recovery_done").count() == 1


def test_the_new_address_signs_in_with_a_code(emma: User) -> None:
    complete(approved().id, NOW + DAY)
    client = Client()
    client.post("/account/login/code/", {"email": NEW})
    found = re.search(r"\d{4}-\d{4}", Message.objects.get(kind="login_code").text)
    assert found
    assert client.post("/account/login/code/confirm/", {"code": found[0]})["Location"] == "/"
    assert client.session["_auth_user_id"] == str(emma.id)


def test_the_old_mailbox_stops_it_with_one_click_and_the_day_passes_in_vain(emma: User) -> None:
    recovery = approved()
    link = re.search(r"/recover/stop/\S+", Message.objects.get(channel="email").text)
    assert link
    page = Client().get(link[0])
    assert "This was not me: stop it" in text_of(page)
    assert Recovery.objects.get().state == "approved", "a mail program that opens the link stops nothing"
    assert "It is stopped." in text_of(Client().post(link[0]))
    assert Recovery.objects.get().state == "stopped"
    assert "There is nothing to stop any more." in text_of(Client().post(link[0]))
    assert recoveries.due(NOW + 2 * DAY) == []
    assert not complete(recovery.id, NOW + 2 * DAY)
    emma.refresh_from_db()
    assert emma.email == OLD
    assert whats(recovery.id) == ["recovery.asked", "recovery.approved", "recovery.stopped"]
    assert Message.objects.get(kind="recovery_ended").to == NEW


@pytest.mark.parametrize("token", ["", "nonsense", "x:y:z", "00000000-0000-4000-8000-000000000000"])
def test_who_asked_cannot_make_the_link(emma: User, token: str) -> None:
    recovery = approved()
    assert Client().post(f"/recover/stop/{token or recovery.id}/").status_code == 404
    assert Recovery.objects.get().state == "approved"


def test_a_refused_recovery_is_over_and_who_asked_is_told(shop: Shop, emma: User) -> None:
    asked()
    recovery = Recovery.objects.get()
    recoveries.refuse(id=recovery.id, staff=shop.staff.id, why="He knew nothing of her.", now=NOW)
    with pytest.raises(recoveries.AlreadyDecided):
        recoveries.approve(id=recovery.id, staff=shop.staff.id, why="After all.", stop_url="", now=NOW)
    (told,) = Message.objects.all()
    assert (told.to, told.kind, told.customer_id) == (NEW, "recovery_ended", None)


def test_an_address_that_is_taken_is_not_approved_and_one_taken_meanwhile_changes_nothing(
    shop: Shop, emma: User
) -> None:
    asked(email="SATO@demo.xuka.example")
    recovery = Recovery.objects.get()
    with pytest.raises(recoveries.AddressTaken):
        recoveries.approve(id=recovery.id, staff=shop.staff.id, why="A try.", stop_url="", now=NOW)
    recoveries.refuse(id=recovery.id, staff=shop.staff.id, why="The address is another's.", now=NOW)
    asked()
    other = Recovery.objects.get(state="asked")
    recoveries.approve(id=other.id, staff=shop.staff.id, why="It is her.", stop_url=stop_url(other.id), now=NOW)
    accounts.register_user(email=NEW, language="en", now=NOW)
    assert not complete(other.id, NOW + DAY)
    other.refresh_from_db()
    emma.refresh_from_db()
    assert (other.state, emma.email) == ("refused", OLD)


def test_staff_accounts_are_not_given_away_like_this(shop: Shop, emma: User) -> None:
    User.objects.filter(id=emma.id).update(is_staff=True)
    assert asked().status_code == 422
    assert Recovery.objects.count() == 0
