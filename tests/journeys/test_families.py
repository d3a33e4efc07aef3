"""Families: who is asked, what the organiser sees and renews, and that nothing is seen from the moment of leaving."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.journeys.renewal_world import BEGIN, Trade
from tests.journeys.web_world import uuid_of
from xuka.accounts import families, queries
from xuka.accounts.models import Family, Invitation, Membership, User
from xuka.interfaces.jobs import unwritten
from xuka.interfaces.web.families import SALT
from xuka.journal import queries as journal
from xuka.kernel.money import Money
from xuka.messaging.models import Message
from xuka.receipts import queries as receipts
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order

WORDS = "I agree that Emma (emma@demo.xuka.example) sees of each of my cards here: its plan, the last four digits"


@pytest.fixture(autouse=True)
def _no_limits_used(trade: Trade) -> None:
    cache.clear()


def client(trade: Trade, person: str) -> Client:
    """Somebody who is signed in and reads English."""
    browser = Client(headers={"accept-language": "en"})
    browser.force_login(trade.shop.people[person], backend=settings.AUTHENTICATION_BACKENDS[0])
    return browser


def founded(trade: Trade, person: str = "emma") -> Family:
    User.objects.update(language="en")  # one language for what is read here
    return families.found(id=uuid4(), customer=trade.customer(person), now=trade.now)


def invited(trade: Trade, person: str = "xiaoyu", by: str = "emma") -> str:
    """The link in the mail, without its host."""
    id, email = uuid4(), trade.shop.people[person].email
    answer = client(trade, by).post("/family/invite/", {"invitation": id, "email": f" {email.upper()}"})
    assert (answer.status_code, answer.headers.get("Location")) == (302, "/family/")
    letter = Message.objects.get(kind="family_invitation", cause=id)
    found = re.search(r"https?://[^/]+(/family/join/\S+)", letter.text)
    assert found, letter.text
    assert (letter.to, letter.secret) == (email, True)
    return found[1]


def agreed(trade: Trade, link: str, person: str = "xiaoyu", organiser: str = "emma"):
    return client(trade, person).post(link, {"organiser": trade.customer(organiser), "agreed": "yes"})


def together(trade: Trade, person: str = "xiaoyu") -> Membership:
    """Emma's family, with this person in it."""
    if queries.membership_of(trade.customer("emma")) is None:
        founded(trade)
    assert agreed(trade, invited(trade, person), person).status_code == 302
    member = queries.membership_of(trade.customer(person))
    assert member
    return member


def letters_to(trade: Trade, person: str) -> list[str]:
    to = trade.shop.people[person].email
    return list(Message.objects.filter(to=to).order_by("kind").values_list("kind", flat=True))


def test_invited_agreed_renewed_told_left_and_from_then_on_nothing_is_seen(trade: Trade) -> None:
    card = trade.card("xiaoyu")
    emma, xiaoyu = client(trade, "emma"), client(trade, "xiaoyu")
    renew, quote_page = f"/cards/{card.id}/renew/", f"/cards/{card.id}/quote/"
    assert emma.post("/family/begin/", {"family": uuid4()}).status_code == 302
    User.objects.update(language="en")
    assert emma.get(renew).status_code == 404  # not before it is agreed to
    link = invited(trade)
    assert emma.get(renew).status_code == 404
    shown = xiaoyu.get(link).content.decode()
    assert WORDS in shown
    assert "does not see my messages, my telephone number, whom I call, where I am" in shown
    assert queries.membership_of(trade.customer("xiaoyu")) is None  # reading the link answers nothing
    assert agreed(trade, link).status_code == 302
    member = queries.membership_of(trade.customer("xiaoyu"))
    assert member
    assert member.consent_words.startswith(WORDS)
    assert (member.consent_version, member.consent_language, member.joined_at) == ("family-1", "en", trade.now)

    page = emma.get("/family/").content.decode()
    assert f"card ending in {card.iccid[-4:]}" in page
    assert card.iccid not in page
    assert "5 March 2026" not in page  # ends at 12:00 on the 4th in Brussels
    assert "4 March 2026" in page
    assert renew in page
    assert emma.get(renew).status_code == 200
    # The card's own page, its profile and its switch stay its owner's.
    assert emma.get(f"/cards/{card.id}/").status_code == 404
    assert emma.get(f"/cards/{card.id}/install/").status_code == 404
    refused = emma.get(f"/cards/{card.id}/auto/")
    assert refused.status_code == 403
    assert "Only the card&#x27;s owner can switch this on" in refused.content.decode()

    before = trade.wallet("emma"), trade.wallet("xiaoyu")
    quoted = emma.post(quote_page, {"plan": card.plan_version_id})
    assert "belongs to a member of your family" in emma.get(quoted["Location"]).content.decode()
    placed = emma.post(
        "/orders/", {"order": uuid4(), "quote": uuid_of(quoted["Location"]), "payment": uuid4(), "pay_with": "wallet"}
    )
    trade.work()
    order = Order.objects.get(id=uuid_of(placed["Location"]))
    assert (order.state, order.customer_id, order.line_id) == ("active", trade.customer("emma"), card.id)
    assert (trade.wallet("emma"), trade.wallet("xiaoyu")) == (before[0] - order.total_minor, before[1])
    assert len(receipts.receipts_of(trade.customer("emma"))) == 1
    assert receipts.receipts_of(trade.customer("xiaoyu")) == []
    assert letters_to(trade, "emma") == ["confirmed", "family_joined", "renewed"]
    assert letters_to(trade, "xiaoyu") == ["family_invitation", "renewed_by_family"]
    told = Message.objects.get(kind="renewed_by_family")
    assert told.subject == "Emma (emma@demo.xuka.example) has renewed your card"
    assert f"has renewed your card ending in {card.iccid[-4:]} with" in told.text
    assert "€" not in told.text
    assert "The card of 王小雨" in Message.objects.get(kind="renewed").text
    assert "The card is now valid through" in emma.get(f"/orders/{order.id}/").content.decode()
    # What somebody else bought is not the owner's to open, and their page does not offer it.
    assert xiaoyu.get(f"/orders/{order.id}/").status_code == 404
    assert str(order.id) not in xiaoyu.get(f"/cards/{card.id}/").content.decode()

    second = emma.post(quote_page, {"plan": card.plan_version_id})["Location"]
    assert xiaoyu.post("/family/leave/").status_code == 302
    assert [emma.get(page).status_code for page in (renew, second)] == [404, 404]
    assert emma.post(quote_page, {"plan": card.plan_version_id}).status_code == 404
    late = emma.post("/orders/", {"order": uuid4(), "quote": uuid_of(second), "payment": uuid4(), "pay_with": "wallet"})
    assert (late.status_code, Order.objects.count()) == (404, 1)
    assert card.iccid[-4:] not in emma.get("/family/").content.decode()
    own_order = emma.get(f"/orders/{order.id}/").content.decode()  # what was paid stays
    assert "valid through" not in own_order
    assert renew not in own_order
    trade.work()
    assert letters_to(trade, "emma") == ["confirmed", "family_joined", "family_left", "renewed"]
    assert [fact.what for fact in journal.facts_about(member.id)] == ["family.joined", "family.left"]


def test_a_member_is_told_of_a_renewal_though_its_job_was_lost_and_only_once(trade: Trade) -> None:
    together(trade)
    card, emma = trade.card("xiaoyu"), trade.customer("emma")
    quote = renewals.quote(line_id=card.id, plan_version_id=card.plan_version_id, customer=emma, now=trade.now)
    order = trade.place(quote)
    trade.work()
    Message.objects.filter(kind="renewed_by_family").delete()
    trade.sleep(minutes=15)
    assert unwritten.missing_letters(trade.now) == [("tell_member_renewed", order.id)]
    trade.credit("emma", Money(50_00, "EUR"))
    own = trade.buy("emma")
    trade.work()
    assert trade.order(own).state == "active"
    assert not Message.objects.filter(cause=own.id, kind="renewed_by_family").exists()


def test_a_link_is_good_once_for_one_address_and_for_seven_days(trade: Trade) -> None:
    founded(trade)
    link = invited(trade)
    secret = signing.loads(link.split("/")[-2], salt=SALT)
    assert secret not in str(Invitation.objects.values())
    forged = f"/family/join/{signing.dumps(secret, key='another', salt=SALT)}/"
    unknown = f"/family/join/{signing.dumps('unknown', salt=SALT)}/"
    for person, address, status in (
        ("xiaoyu", forged, 404),
        ("xiaoyu", unknown, 404),
        ("xiaoyu", "/family/join/x/", 404),
        ("sato", link, 403),  # it came into other hands
    ):
        assert client(trade, person).get(address).status_code == status, address
        assert agreed(trade, address, person).status_code == status, address
    assert Client().get(link).status_code == 302  # signs in first
    assert client(trade, "xiaoyu").post(link, {"organiser": trade.customer("emma")}).status_code == 422  # not ticked
    assert agreed(trade, link, organiser="sato").status_code == 422  # the words named somebody else
    trade.sleep(days=7)
    assert client(trade, "xiaoyu").get(link).status_code == 410
    assert agreed(trade, link).status_code == 410
    assert queries.membership_of(trade.customer("xiaoyu")) is None

    again = invited(trade)  # takes the place of the one whose time is over
    assert agreed(trade, link).status_code == 410
    assert agreed(trade, again).status_code == 302
    assert client(trade, "xiaoyu").post("/family/leave/").status_code == 302
    assert agreed(trade, again).status_code == 410  # used
    declined = invited(trade)
    assert client(trade, "xiaoyu").post(declined, {"decline": "yes"}).status_code == 302
    assert agreed(trade, declined).status_code == 410
    taken_back = invited(trade)
    invitation = Invitation.objects.get(ended_at__isnull=True)
    assert client(trade, "sato").post(f"/family/invitations/{invitation.id}/withdraw/").status_code == 404
    assert client(trade, "emma").post(f"/family/invitations/{invitation.id}/withdraw/").status_code == 302
    assert agreed(trade, taken_back).status_code == 410
    assert Membership.objects.filter(left_at__isnull=True).count() == 1


def test_of_two_who_accept_at_once_one_joins_and_of_two_families_one_is_joined(trade: Trade) -> None:
    founded(trade)
    founded(trade, "sato")
    links = invited(trade), invited(trade, by="sato")
    secrets = [signing.loads(link.split("/")[-2], salt=SALT) for link in links]
    xiaoyu = trade.shop.people["xiaoyu"]
    said: list[str] = []
    start = threading.Barrier(3)

    def accept(secret: str, organiser: str) -> None:
        start.wait()
        try:
            families.accept(
                secret=secret, customer=xiaoyu.id, email=xiaoyu.email, organiser=trade.customer(organiser),
                words="yes", language="en", now=trade.now,
            )  # fmt: skip
            said.append(organiser)
        except families.CannotJoin as error:
            said.append(error.code)
        finally:
            connection.close()

    tried = [(secrets[0], "emma"), (secrets[0], "emma"), (secrets[1], "sato")]
    threads = [threading.Thread(target=accept, args=one) for one in tried]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Membership.objects.filter(customer=xiaoyu).count() == 1
    assert sorted(said) in [["emma", "emma", "in_a_family"], ["in_a_family", "in_a_family", "sato"]]


def test_who_organises_another_family_or_none_may_do_nothing_here(trade: Trade) -> None:
    member = together(trade)
    founded(trade, "sato")
    card = trade.card("xiaoyu")
    trade.shop.person("nobody", language="en")
    for person in ("sato", "nobody", "xiaoyu"):
        other = client(trade, person)
        for does in ("remove", "hand-over"):
            assert other.post(f"/family/members/{member.id}/{does}/").status_code == 404, (person, does)
        if person != "xiaoyu":
            assert other.get(f"/cards/{card.id}/renew/").status_code == 404
            assert card.iccid[-4:] not in other.get("/family/").content.decode()
    # Members see neither each other's cards nor the organiser's.
    assert client(trade, "xiaoyu").get(f"/cards/{trade.card('emma').id}/renew/").status_code == 404
    assert client(trade, "xiaoyu").post("/family/close/").status_code == 404
    assert (
        client(trade, "nobody").post("/family/invite/", {"invitation": uuid4(), "email": "a@b.example"}).status_code
        == 404
    )
    assert queries.membership_of(trade.customer("xiaoyu")) == member


def test_the_organiser_hands_over_or_closes_and_does_not_just_leave(trade: Trade) -> None:
    member = together(trade)
    together(trade, "sato")
    emma = client(trade, "emma")
    trade.work()
    emma.post("/family/leave/")
    assert queries.organiser_of(member.family_id).id == trade.customer("emma")
    assert emma.post(f"/family/members/{member.id}/hand-over/").status_code == 302
    assert queries.membership_of(trade.customer("emma")) is None
    assert queries.organiser_of(member.family_id).id == trade.customer("xiaoyu")
    assert emma.get(f"/cards/{trade.card('sato').id}/renew/").status_code == 404
    assert client(trade, "xiaoyu").get(f"/cards/{trade.card('sato').id}/renew/").status_code == 200
    trade.work()
    for person in ("sato", "xiaoyu"):
        assert letters_to(trade, person) == ["family_handed_over", "family_invitation"]
    assert client(trade, "xiaoyu").post("/family/close/").status_code == 302
    trade.work()
    assert letters_to(trade, "sato") == ["family_handed_over", "family_invitation", "family_left"]
    assert client(trade, "xiaoyu").get(f"/cards/{trade.card('sato').id}/renew/").status_code == 404
    assert Membership.objects.filter(left_at__isnull=True).count() == 0


def test_while_one_renews_the_other_is_told_and_nothing_is_bought_twice(trade: Trade) -> None:
    together(trade)
    card, emma, xiaoyu = trade.card("xiaoyu"), trade.customer("emma"), client(trade, "xiaoyu")
    own = xiaoyu.post(f"/cards/{card.id}/quote/", {"plan": card.plan_version_id})["Location"]
    quote = renewals.quote(line_id=card.id, plan_version_id=card.plan_version_id, customer=emma, now=trade.now)
    trade.place(quote)
    assert (
        "The organiser of your family is renewing this card just now."
        in xiaoyu.get(f"/cards/{card.id}/").content.decode()
    )
    late = xiaoyu.post("/orders/", {"order": uuid4(), "quote": uuid_of(own), "payment": uuid4(), "pay_with": "wallet"})
    assert late.status_code == 409
    assert "Somebody else is renewing this card just now. Nothing was charged to you." in late.content.decode()
    assert (Order.objects.count(), trade.wallet("xiaoyu")) == (1, 60_00)


def member_row(family: UUID, customer: UUID, place: int, words: str = "yes") -> Membership:
    return Membership(
        id=uuid4(), family_id=family, customer_id=customer, place=place, joined_at=BEGIN, consent_words=words,
        consent_version="family-1",
    )  # fmt: skip


def test_the_database_itself_holds_one_family_a_customer_one_organiser_and_ten_members(trade: Trade) -> None:
    family, other = founded(trade), founded(trade, "sato")
    extra = [trade.shop.person(f"p{number}", language="en").id for number in range(12)]
    Membership.objects.bulk_create(member_row(family.id, extra[n], n + 1) for n in range(10))
    own = queries.membership_of(trade.customer("emma"))
    assert own
    walls = [
        lambda: member_row(other.id, extra[0], 1).save(force_insert=True),  # in two families
        lambda: member_row(family.id, extra[10], 0).save(force_insert=True),  # two organisers
        lambda: member_row(family.id, extra[10], 10).save(force_insert=True),  # a place twice
        lambda: member_row(family.id, extra[10], 11).save(force_insert=True),  # an eleventh member
        lambda: member_row(other.id, extra[10], 1, words="").save(force_insert=True),  # without consent
        lambda: Membership.objects.filter(id=own.id).update(left_at=trade.now, why_left="left"),  # nobody organises
        lambda: Membership.objects.filter(customer=extra[0]).update(left_at=trade.now),  # for no reason
        lambda: Family.objects.filter(id=family.id).update(closed_at=trade.now),  # closed with people in it
    ]
    for wall in walls:
        with pytest.raises(IntegrityError), transaction.atomic():
            wall()
    page = client(trade, "emma").post("/family/invite/", {"invitation": uuid4(), "email": "one@more.example"})
    assert page.status_code == 422
    assert "A family has 10 members at most, and who is invited counts." in page.content.decode()
    assert not Invitation.objects.exists()


def test_sending_the_invitation_twice_is_one_letter_and_bad_input_is_told(trade: Trade) -> None:
    founded(trade)
    emma, id = client(trade, "emma"), uuid4()
    for _ in range(2):
        emma.post("/family/invite/", {"invitation": id, "email": "friend@post.example"})
    assert Message.objects.filter(kind="family_invitation").count() == 1
    for told in (
        {},
        {"invitation": uuid4(), "email": "no"},
        {"invitation": uuid4(), "email": "emma@demo.xuka.example"},
    ):
        cache.clear()
        assert emma.post("/family/invite/", told).status_code == 422
    assert emma.post("/family/begin/", {"family": "x"}).status_code == 400
    assert (Invitation.objects.count(), Family.objects.count()) == (1, 1)


def test_the_family_page_takes_at_most_ten_queries_with_six_cards(trade: Trade) -> None:
    together(trade)
    together(trade, "sato")
    for number in range(20, 24):
        trade.shop.card("xiaoyu", number, "be-week-3gb-day", started_at=trade.now - timedelta(days=1))
    emma = client(trade, "emma")
    emma.get("/family/")
    with CaptureQueriesContext(connection) as asked:
        page = emma.get("/family/").content.decode()
    assert page.count("/renew/") == 6
    assert len(asked) <= 10
