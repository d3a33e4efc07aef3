"""A coupon and points on the check page, without scripts: the price is worked out again, or it is said why not."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.journeys.renewal_world import Trade
from tests.journeys.test_discounts import FIVE, give_points, has_points, make, taken
from tests.journeys.web_world import uuid_of
from xuka.accounts import operations as accounts
from xuka.kernel.money import Money
from xuka.receipts import queries as receipts
from xuka.renewals import discounts
from xuka.renewals.models import Order, Quote


@pytest.fixture
def web(trade: Trade) -> Client:
    cache.clear()
    accounts.set_language(customer=trade.customer("xiaoyu"), language="en", now=trade.now)
    client = Client()
    client.force_login(trade.shop.people["xiaoyu"], backend=settings.AUTHENTICATION_BACKENDS[0])
    return client


def quoted(trade: Trade, web: Client) -> UUID:
    version = trade.shop.plan("be-week-3gb-day")
    return uuid_of(web.post(f"/cards/{trade.card('xiaoyu').id}/quote/", {"plan": str(version.id)})["Location"])


def less(web: Client, quote: UUID, **told: Any) -> Any:
    return web.post(f"/quotes/{quote}/less/", told)


def text(answer: Any) -> str:
    return answer.content.decode()


def test_a_coupon_and_points_lower_the_price_and_stand_on_the_receipt(trade: Trade, web: Client) -> None:
    make(trade, name="Spring sale")
    coupon = make(trade, "WELCOME5", off=FIVE)
    give_points(trade, 120)
    first = quoted(trade, web)
    page = text(web.get(f"/quotes/{first}/"))
    assert "Spring sale" in page
    assert "You have 120 points, worth €1.20." in page
    answer = less(web, first, coupon="welcome 5", points="100")
    assert answer.status_code == 302
    with CaptureQueriesContext(connection) as queries:
        page = text(web.get(answer["Location"]))
    assert len(queries) <= 10
    told = ["1 × Belgium 7 days", "Spring sale", "-€1.29", "Coupon WELCOME5", "-€5.00", "100 points spent", "€5.61"]
    assert [one for one in told if one not in page] == []
    order = {"quote": str(uuid_of(answer["Location"])), "order": str(uuid4()), "pay_with": "wallet"}
    web.post("/orders/", order)
    trade.work()
    (bought,) = Order.objects.all()
    assert (bought.state, bought.total_minor, taken(coupon)) == ("active", 5_61, 1)
    (paper,) = receipts.receipts_about(bought.id)
    assert [(line["kind"], line["amount_minor"]) for line in paper.document["lines"]] == [
        ("plan", 12_90), ("discount", -1_29), ("coupon", -5_00), ("points", -1_00),
    ]  # fmt: skip
    assert paper.document["rates"] == [
        {"rate_basis_points": 2100, "gross_minor": 5_61, "tax_minor": 97, "net_minor": 4_64}
    ]
    for page in (text(web.get(f"/receipts/{paper.id}/")), text(web.get(f"/orders/{bought.id}/"))):
        assert [one for one in ("Spring sale", "Coupon WELCOME5", "100 points spent") if one not in page] == []
    assert has_points(trade) == 20 + 5
    assert "<strong>25</strong>" in text(web.get("/account/settings/"))


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"coupon": "NONE"}, "There is no coupon of this code. Compare it letter by letter."),
        ({"coupon": "BIG"}, "This coupon counts where at least €13.00 is to be paid."),
        ({"points": "2"}, "You do not have so many points."),
        ({"points": "-1"}, "Ensure this value is greater than or equal to 0."),
        ({"coupon": "A" * 61}, "Ensure this value has at most 60 characters"),
    ],
)
def test_what_does_not_count_is_said_and_the_old_price_stays(
    trade: Trade, web: Client, told: dict[str, str], says: str
) -> None:
    make(trade, "BIG", off=FIVE, minimum=Money(13_00, "EUR"))
    give_points(trade, 1)
    quote = quoted(trade, web)
    answer = less(web, quote, **told)
    assert answer.status_code == 422
    assert says in text(answer)
    assert Quote.objects.count() == 1


def test_guessing_codes_is_stopped(trade: Trade, web: Client) -> None:
    make(trade, "REAL", off=FIVE)
    quote = quoted(trade, web)
    for _ in range(5):
        assert less(web, quote, coupon="GUESS").status_code == 422
    answer = less(web, quote, coupon="REAL")
    assert (answer.status_code, "Too many wrong codes" in text(answer)) == (422, True)


def test_a_coupon_that_was_used_up_meanwhile_gives_a_new_price_and_buys_nothing(trade: Trade, web: Client) -> None:
    coupon = make(trade, "SOON", off=FIVE)
    lower = uuid_of(less(web, quoted(trade, web), coupon="SOON")["Location"])
    discounts.stop(id=coupon.id, staff=trade.shop.staff.id, why="a mistake", now=trade.now)
    answer = web.post("/orders/", {"quote": str(lower), "order": str(uuid4()), "pay_with": "wallet"})
    assert answer.status_code == 409
    assert "The discount in this price cannot be had any more" in text(answer)
    assert not Order.objects.exists()


def test_another_person_s_quote_cannot_be_priced_again(trade: Trade, web: Client) -> None:
    quote = quoted(trade, web)
    client = Client()
    client.force_login(trade.shop.people["emma"], backend=settings.AUTHENTICATION_BACKENDS[0])
    assert less(client, quote, coupon="X").status_code == 404
