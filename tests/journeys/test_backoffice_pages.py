"""Who may enter the back office, what its lists show, and what cannot be done there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, reverse

from tests.journeys import backoffice_world as world
from tests.journeys.web_world import Shop, iccid
from xuka.accounts import queries as accounts
from xuka.interfaces import clock
from xuka.interfaces.backoffice.site import site
from xuka.journal import queries as journal
from xuka.journal.models import Fact
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger_operations
from xuka.ledger import queries as ledger
from xuka.ledger.models import Transfer
from xuka.ledger.rules import wallet_id
from xuka.lines import operations as lines
from xuka.lines.models import Line, Period
from xuka.messaging import operations as messaging
from xuka.messaging.models import Message
from xuka.renewals.models import Order
from xuka.support import operations as support

pytestmark = pytest.mark.django_db

LISTS = sorted(f"{model._meta.app_label}_{model._meta.model_name}" for model in site._registry)


@pytest.fixture(autouse=True)
def _carrier(settings) -> Iterator[None]:
    settings.CARRIERS = {"airalo": {"connector": "tests.journeys.backoffice_world.carrier"}}
    world.forget()
    yield
    world.forget()


@pytest.fixture
def shop() -> Shop:
    return world.open_shop(clock.now())


@pytest.fixture
def staff(shop: Shop) -> Client:
    client = Client()
    client.force_login(shop.staff)
    return client


@pytest.fixture
def customer(shop: Shop) -> Client:
    client = Client()
    client.force_login(shop.people["emma"])
    return client


def addresses(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every named address of the back office, with something in each of its gaps."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, prefix + str(pattern.pattern))
        else:
            yield pattern.name or "", prefix + str(pattern.pattern)


def filled(route: str) -> str:
    route = re.sub(r"<uuid:\w+>", str(uuid4()), route)
    route = re.sub(r"<\w+:\w+>", "refund", route)
    return "/staff/" + re.sub(r"\(\?P<url>.*", "nowhere", route).replace("^", "").replace("$", "")


ALL = sorted({filled(route) for _, route in addresses(site.get_urls())})


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_customer_reaches_no_page_at_all(customer: Client, method: str) -> None:
    assert len(ALL) > 80
    before = Fact.objects.count(), Transfer.objects.count()
    wrong = {url: r.status_code for url in ALL if (r := getattr(customer, method)(url)).status_code != 404}
    # Signing out and changing one's own password are the shop's own pages, behind the same 404 here.
    assert wrong == {}
    assert (Fact.objects.count(), Transfer.objects.count()) == before


@pytest.mark.parametrize("url", ["/staff/", "/staff/login/", "/staff/renewals/order/", "/staff/ledger/account/"])
def test_whoever_is_not_signed_in_is_sent_to_the_one_sign_in(shop: Shop, url: str) -> None:
    response = Client().get(url)
    assert response.status_code == 302
    assert urlsplit(response.url).path == reverse("account_login")
    assert parse_qs(urlsplit(response.url).query)["next"] == [url]


def test_a_password_sent_to_the_back_office_is_not_looked_at(shop: Shop) -> None:
    client = Client()
    sent = {"username": shop.staff.email, "password": "a good passphrase", "next": "/staff/"}
    assert urlsplit(client.post("/staff/login/", sent).url).path == reverse("account_login")
    assert client.get("/staff/").status_code == 302


def test_staff_who_were_shut_out_are_out_at_once(shop: Shop, staff: Client) -> None:
    assert staff.get("/staff/").status_code == 200
    shop.staff.is_active = False
    shop.staff.save()
    assert staff.get("/staff/").status_code == 302


def test_signing_out_asks_nothing_when_the_button_was_pressed(staff: Client) -> None:
    assert staff.get("/staff/logout/").url == reverse("account_logout")
    assert staff.post("/staff/logout/").status_code == 302
    assert staff.get("/staff/").status_code == 302


def test_passwords_are_changed_on_the_shops_own_page(staff: Client) -> None:
    sent = {"old_password": "a good passphrase", "new_password1": "x9-another-one", "new_password2": "x9-another-one"}
    assert staff.post("/staff/password_change/", sent).url == reverse("account_change_password")


# -- lists ---------------------------------------------------------------------------------------------------------


def fill(shop: Shop, count: int, first: int) -> None:
    """Add so many rows of everything."""
    now = clock.now()
    for number in range(first, first + count):
        shop.person(f"p{number}", language="en", money=50_00)
        line = shop.card(f"p{number}", 100 + number, "be-week-3gb-day", started_at=now - timedelta(days=2))
        order_id = world.place(line, now=now)
        person = shop.people[f"p{number}"]
        support.open_ticket(
            id=uuid4(),
            customer=person.id,
            order_id=order_id,
            email=person.email,
            text="It does not work.",
            language="en",
            seller="seller@shop.example",
            now=now,
        )


def queries(staff: Client, name: str) -> int:
    """How many statements the list of this table takes."""
    with CaptureQueriesContext(connection) as seen:
        assert staff.get(reverse(f"admin:{name}_changelist")).status_code == 200
    return len(seen)


def test_a_list_asks_no_more_of_the_database_however_long_it_is(shop: Shop, staff: Client) -> None:
    fill(shop, 2, 1)
    staff.get("/staff/")
    short = {name: queries(staff, name) for name in LISTS}
    fill(shop, 6, 10)
    assert {name: queries(staff, name) for name in LISTS} == short
    assert max(short.values()) <= 12


@pytest.mark.parametrize("asked", ["12345", "' or 1=1 --", "%", "续"])
def test_whatever_is_searched_for_is_answered(shop: Shop, staff: Client, asked: str) -> None:
    answers = {name: staff.get(reverse(f"admin:{name}_changelist"), {"q": asked}).status_code for name in LISTS}
    assert answers == dict.fromkeys(LISTS, 200)


def test_no_list_and_no_other_page_shows_a_whole_iccid(shop: Shop, staff: Client) -> None:
    fill(shop, 1, 1)
    line = shop.cards["p1"]
    seen = [staff.get(reverse(f"admin:{name}_changelist")).content.decode() for name in LISTS]
    for model, rows in ((Order, "renewals_order"), (Period, "lines_period")):
        id = model.objects.filter(line=line).values_list("id", flat=True)[0]
        seen.append(staff.get(reverse(f"admin:{rows}_change", args=[id])).content.decode())
    seen.append(staff.get(reverse("admin:accounts_user_change", args=[line.owner_id])).content.decode())
    assert not any(line.iccid in html for html in seen)
    assert any(f"…{line.iccid[-4:]}" in html for html in seen)
    assert line.iccid in staff.get(reverse("admin:lines_line_change", args=[line.id])).content.decode()


def test_each_row_has_a_page(shop: Shop, staff: Client) -> None:
    fill(shop, 1, 1)
    for model in site._registry:
        row, name = model.objects.first(), model._meta.label_lower.replace(".", "_")
        if row is not None:
            assert staff.get(reverse(f"admin:{name}_change", args=[row.pk])).status_code == 200, name
        assert staff.get(reverse(f"admin:{name}_change", args=[uuid4()])).status_code in {302, 404}, name


def test_nothing_can_be_added_changed_or_deleted_by_the_lists(shop: Shop, staff: Client) -> None:
    fill(shop, 1, 1)
    for model in site._registry:
        name = model._meta.label_lower.replace(".", "_")
        before, row = list(model.objects.order_by("pk").values()), model.objects.first()
        pk = row.pk if row else uuid4()
        sent = {"post": "yes", "state": "active", "amount": 1, "balance": 1, "why": "", "email": "x@shop.example"}
        for url in (f"admin:{name}_change", f"admin:{name}_delete"):
            assert staff.post(reverse(url, args=[pk]), sent).status_code in {200, 302, 403, 404}, name
        if name != "lines_line":
            assert staff.post(reverse(f"admin:{name}_add"), sent).status_code == 403, name
        chosen = {"action": "delete_selected", "_selected_action": [str(pk)], "post": "yes"}
        staff.post(reverse(f"admin:{name}_changelist"), chosen)
        assert list(model.objects.order_by("pk").values()) == before, name


# -- money ---------------------------------------------------------------------------------------------------------


def credit_form(staff: Client, shop: Shop) -> tuple[str, str]:
    url = reverse("admin:accounts_user_credit", args=[shop.people["emma"].id])
    found = re.search(r'name="id" value="([^"]+)"', staff.get(url).content.decode())
    assert found
    return url, found[1]


def balance(shop: Shop, currency: str = "EUR") -> int:
    return ledger.wallet_balance(customer=shop.people["emma"].id, currency=currency).minor


def test_a_double_click_credits_a_wallet_once(shop: Shop, staff: Client) -> None:
    url, id = credit_form(staff, shop)
    sent = {"id": id, "amount": "12.90", "currency": "EUR", "why": "the hotline promised it"}
    for _ in range(2):
        response = staff.post(url, sent)
        assert response.url == reverse("admin:accounts_user_change", args=[shop.people["emma"].id])
    assert balance(shop) == 40_00 + 12_90
    facts = [f for f in journal.facts_about(shop.people["emma"].id) if f.why == "the hotline promised it"]
    assert [(f.what, f.who, f.after) for f in facts] == [
        ("wallet.credited", f"staff:{shop.staff.id}", {"amount_minor": 12_90, "currency": "EUR"})
    ]
    assert credit_form(staff, shop)[1] != id


def test_the_same_form_with_another_amount_is_refused(shop: Shop, staff: Client) -> None:
    url, id = credit_form(staff, shop)
    staff.post(url, {"id": id, "amount": "1", "currency": "EUR", "why": "first"})
    response = staff.post(url, {"id": id, "amount": "2", "currency": "EUR", "why": "second"})
    assert response.status_code == 400
    assert "This form was sent before with another amount." in response.content.decode()
    assert balance(shop) == 41_00


WRONG_CREDITS: list[tuple[dict[str, str], str]] = [
    ({"why": ""}, "Say why: the reason is kept in the journal."),
    ({"why": "  "}, "Say why: the reason is kept in the journal."),
    ({"amount": "0"}, "The amount must be more than nothing."),
    ({"amount": "-5"}, "The amount must be more than nothing."),
    ({"amount": "1.005"}, "EUR has 2 decimals."),
    ({"amount": "0.5", "currency": "JPY"}, "JPY has no decimals."),
    ({"amount": "NaN"}, "Enter a number."),
    ({"amount": "ten"}, "Enter a number."),
    ({"amount": "99999999999999"}, "Ensure that there are no more than 12 digits in total."),
    ({"currency": "XXX"}, "Nothing is sold in this currency."),
    ({"id": "nonsense"}, "This form is damaged. Go back and open it again."),
]


def test_a_wrong_credit_is_told_in_a_sentence_and_moves_nothing(shop: Shop, staff: Client) -> None:
    url, id = credit_form(staff, shop)
    before = Transfer.objects.count()
    for changed, told in WRONG_CREDITS:
        response = staff.post(url, {"id": id, "amount": "5", "currency": "EUR", "why": "because"} | changed)
        assert response.status_code == 400, changed
        assert told in response.content.decode(), changed
    assert Transfer.objects.count() == before
    assert balance(shop) == 40_00


def test_yen_are_whole(shop: Shop, staff: Client) -> None:
    url, id = credit_form(staff, shop)
    staff.post(url, {"id": id, "amount": "1980", "currency": "JPY", "why": "a gift"})
    assert balance(shop, "JPY") == 1980


def test_a_statement_shows_each_transfer_with_what_was_there_after_it(shop: Shop, staff: Client) -> None:
    emma = shop.people["emma"].id
    ledger_operations.credit_wallet(
        customer=emma, money=Money(2_50, "EUR"), staff=shop.staff.id, why="more", id=uuid4(), now=clock.now()
    )
    url = reverse("admin:ledger_account_change", args=[wallet_id(customer=emma, currency="EUR")])
    rows = staff.get(url).context["statement"]["rows"]
    told = [[re.sub(r"<[^>]+>", "", str(cell)) for cell in row[1:5]] for row in rows]
    assert told == [
        ["staff_credit", "staff credit", "+€2.50", "€42.50"],
        ["staff_credit", "staff credit", "+€40.00", "€40.00"],
    ]


# -- cards, customers, messages ------------------------------------------------------------------------------------


def test_a_card_is_added_to_stock_and_claimed_with_its_code(shop: Shop, staff: Client) -> None:
    url = reverse("admin:lines_line_add")
    code = staff.get(url).context["form"].initial["claim_code"]
    assert re.fullmatch(r"[A-Z2-9]{4}(-[A-Z2-9]{4}){2}", code)
    sent = {"iccid": iccid(900), "plan_version": str(shop.plan("jp-week-3gb-day").id), "claim_code": code}
    response = staff.post(url, sent)
    line = Line.objects.get(iccid=iccid(900))
    assert response.url == reverse("admin:lines_line_change", args=[line.id])
    assert (line.market_id, line.carrier, line.owner_id) == ("JP", "airalo", None)
    assert [(f.what, f.who) for f in journal.facts_about(line.id)] == [("line.added", f"staff:{shop.staff.id}")]
    assert code not in staff.get(response.url).content.decode()
    emma = shop.people["emma"].id
    assert lines.claim(customer=emma, iccid=iccid(900), code=code, now=clock.now()).owner_id == emma


def test_a_card_that_is_there_already_stays_as_it_is(shop: Shop, staff: Client) -> None:
    card = shop.cards["emma"]
    sent = {"iccid": card.iccid, "plan_version": str(shop.plan("jp-week-3gb-day").id), "claim_code": "ANOTHER-CODE"}
    html = staff.post(reverse("admin:lines_line_add"), sent, follow=True).content.decode()
    assert "This card was there already. Nothing was changed" in html
    there = Line.objects.get(id=card.id)
    assert (there.claim_code_hash, there.plan_version_id) == (card.claim_code_hash, card.plan_version_id)


def test_what_is_no_iccid_is_not_put_into_stock(shop: Shop, staff: Client) -> None:
    before = Line.objects.count()
    for wrong in ("893204200000900000", "8932042000000000000", "abc", "٨٩٣٢٠٤٢٠٠٠٠٠٠٠٠٠٠٠٠", ""):
        sent = {"iccid": wrong, "plan_version": str(shop.plan("jp-week-3gb-day").id), "claim_code": "CODE-1234"}
        assert staff.post(reverse("admin:lines_line_add"), sent).status_code == 400, wrong
    assert Line.objects.count() == before


def test_a_customer_is_shut_out_with_a_reason_and_let_in_again(shop: Shop, staff: Client, customer: Client) -> None:
    emma = shop.people["emma"]
    url = reverse("admin:accounts_user_standing", args=[emma.id])
    assert customer.get("/orders/").status_code == 200
    assert staff.post(url, {"active": "0", "why": " "}).status_code == 400
    assert customer.get("/orders/").status_code == 200
    for _ in range(2):
        staff.post(url, {"active": "0", "why": "stolen mailbox"})
    assert customer.get("/orders/").status_code == 302
    staff.post(url, {"active": "1", "why": "mailbox is back"})
    user = accounts.user(emma.id)
    assert user
    assert user.is_active
    told = [(f.what, f.who, f.why) for f in journal.facts_about(emma.id) if f.what.endswith("activated")]
    who = f"staff:{shop.staff.id}"
    assert told == [("user.deactivated", who, "stolen mailbox"), ("user.reactivated", who, "mailbox is back")]


def test_nobody_shuts_themselves_out(shop: Shop, staff: Client) -> None:
    url = reverse("admin:accounts_user_standing", args=[shop.staff.id])
    assert staff.post(url, {"active": "0", "why": "oops"}).status_code == 404
    assert staff.get("/staff/").status_code == 200


def message(*, secret: bool = False, state: str = "failed") -> Message:
    id = messaging.queue(
        cause=uuid4(),
        kind="renewed",
        to="emma@demo.xuka.example",
        language="en",
        subject="Your code 471199",
        text="Type 471199.",
        secret=secret,
        now=clock.now() - timedelta(hours=3),
    )
    if state == "failed":
        Message.objects.filter(id=id).update(state=state, next_try_at=None, tries=5, error="mailbox full")
    return Message.objects.get(id=id)


def test_a_failed_message_is_sent_again_with_a_reason(shop: Shop, staff: Client) -> None:
    failed = message()
    url = reverse("admin:messaging_message_again", args=[failed.id])
    assert staff.post(url, {"why": ""}).status_code == 400
    failed.refresh_from_db()
    assert failed.state == "failed"
    assert staff.post(url, {"why": "mailbox was emptied"}).status_code == 302
    failed.refresh_from_db()
    assert (failed.state, failed.tries, failed.sent_at) == ("queued", 0, None)
    assert [(f.what, f.who, f.why) for f in journal.facts_about(failed.id)][-1] == (
        "message.queued",
        f"staff:{shop.staff.id}",
        "mailbox was emptied",
    )
    assert staff.post(url, {"why": "again"}).status_code == 404


def test_the_words_of_a_sign_in_mail_are_shown_to_nobody(shop: Shop, staff: Client) -> None:
    secret = message(secret=True, state="queued")
    for url in (reverse("admin:messaging_message_change", args=[secret.id]), "/staff/messaging/message/"):
        assert "471199" not in staff.get(url).content.decode()
    assert staff.get(reverse("admin:messaging_message_again", args=[secret.id])).status_code == 404


def test_what_customers_write_is_shown_as_text(shop: Shop, staff: Client) -> None:
    emma = shop.people["emma"]
    ticket = support.open_ticket(
        id=uuid4(), customer=emma.id, order_id=None, email=emma.email, text="<script>alert(1)</script>",
        language="en", seller="seller@shop.example", now=clock.now(),
    )  # fmt: skip
    pages = (
        "/staff/support/ticket/",
        f"/staff/support/ticket/{ticket.id}/change/",
        f"/staff/accounts/user/{emma.id}/change/",
    )
    for url in pages:
        html = staff.get(url).content.decode()
        assert "<script>alert(1)" not in html
        assert "&lt;script&gt;alert(1)" in html
