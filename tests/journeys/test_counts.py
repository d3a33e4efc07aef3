"""Counts, which unlike speed are the same everywhere: a renewal's commits, the queries of the page looked at most."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from benchmarks.statements import commits_in, recorded
from tests.contracts.stands import Stand
from tests.journeys.web_world import DATA, Shop, open_shop
from xuka.activation import operations as activation
from xuka.catalogue import operations as catalogue
from xuka.interfaces import clock
from xuka.interfaces.jobs import tasks
from xuka.lines import operations as lines
from xuka.metering import operations as metering
from xuka.renewals import operations as renewals
from xuka.renewals import queries as renewals_queries

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The demo's people, and a carrier that does everything at once."""
    monkeypatch.setattr(settings, "CARRIERS", {"airalo": {"connector": "benchmarks.carrier.Instant"}})
    activation.carrier.cache_clear()
    with translation.override("en"):  # a page leaves its reader's language behind
        yield open_shop(now=clock.now(), seed_card=lambda **card: None)
    activation.carrier.cache_clear()


def test_a_renewal_from_the_wallet_takes_at_most_five_commits_from_quote_to_active(shop: Shop) -> None:
    line, customer, order_id = shop.cards["xiaoyu"], shop.people["xiaoyu"].id, uuid4()
    renewals_queries.choices(line=line, now=clock.now())  # the page with the plans, seen before, has asked the carrier

    def renew() -> None:
        version = shop.plan("be-week-3gb-day")
        quote = renewals.quote(line_id=line.id, plan_version_id=version.id, customer=customer, now=clock.now())
        renewals.place(order_id=order_id, quote_id=quote.id, customer=customer, now=clock.now())
        tasks.advance_order(str(order_id))

    sent = recorded(renew)
    order = renewals_queries.order(order_id)
    assert order is not None
    assert order.state == "active"
    # The quote; the order with its money; the intention to ask the carrier; the carrier's answer with all it brings.
    assert commits_in(sent) == 4
    assert sent.count("COMMIT") == 3
    assert not [statement for statement in sent if statement.startswith("SAVEPOINT")]


def test_a_first_quote_takes_one_commit_more_for_what_the_carrier_tells(shop: Shop) -> None:
    line, customer = shop.cards["xiaoyu"], shop.people["xiaoyu"].id
    version = shop.plan("be-week-3gb-day")

    def quote() -> None:
        renewals.quote(line_id=line.id, plan_version_id=version.id, customer=customer, now=clock.now())

    assert commits_in(recorded(quote)) == 2
    assert commits_in(recorded(quote)) == 1


def test_the_card_page_takes_at_most_nine_queries(shop: Shop) -> None:
    line = shop.cards["xiaoyu"]
    metering.record_reading(
        line_id=line.id, iccid=line.iccid, carrier="airalo", period=None,
        unlimited=True, remaining_bytes=None, total_bytes=None, expires_at=None, status="ACTIVE",
        as_of=clock.now(), now=clock.now(),
    )  # fmt: skip
    browser = Client()
    browser.force_login(shop.people["xiaoyu"])
    for page in ("/", f"/cards/{line.id}/"):
        assert browser.get(page).status_code == 200
        sent = recorded(lambda page=page: browser.get(page))
        assert len(sent) <= 9, "\n".join(sent)
        assert commits_in(sent) == 0


def test_every_page_asks_the_database_at_most_ten_times(shop: Shop, stands: dict[str, Stand]) -> None:
    """Also where every provider is in use."""
    assert len(stands) >= 6
    catalogue.load(DATA / "market-plans.yaml", who="seller", now=clock.now())
    line, person = shop.cards["xiaoyu"], shop.people["xiaoyu"]
    version = shop.plan("be-week-3gb-day")
    quote = renewals.quote(line_id=line.id, plan_version_id=version.id, customer=person.id, now=clock.now())
    second = renewals.quote(line_id=line.id, plan_version_id=version.id, customer=person.id, now=clock.now())
    order = renewals.place(order_id=uuid4(), quote_id=second.id, customer=person.id, now=clock.now())
    tasks.advance_order(str(order.id))
    public = (
        "/", "/plans/", "/plans/be-week-3gb-day/", "/plans/be-week-5gb/", "/app/", "/offline/", "/recover/",
        "/contact/",
        "/plans/compare/?plan=be-week-3gb-day&plan=be-month-60gb&plan=jp-month-50gb", "/account/login/code/",
    )  # fmt: skip
    own = (
        "/", "/cards/", "/cards/add/", f"/cards/{line.id}/", f"/cards/{line.id}/renew/", f"/quotes/{quote.id}/",
        "/orders/", f"/orders/{order.id}/", "/receipts/", "/contact/", "/account/settings/", "/account/passkeys/",
        "/plans/be-week-5gb/buy/",
    )  # fmt: skip
    visitor, customer = Client(), Client()
    customer.force_login(person)
    asked: dict[str, int] = {}
    for client, pages in ((visitor, public), (customer, own)):
        for page in pages:
            client.get(page)  # what is asked once a process, or once a minute of the carrier, has been asked
            with CaptureQueriesContext(connection) as queries:
                assert client.get(page).status_code == 200, page
            asked[f"{page} {'own' if client is customer else 'public'}"] = len(queries)
    assert {page: count for page, count in asked.items() if count > 10} == {}


def test_a_quote_behind_ten_periods_takes_at_most_six_queries(shop: Shop) -> None:
    line, customer = shop.cards["sato"], shop.people["sato"].id
    for _ in range(10):
        lines.open_period(
            line_id=line.id, order_id=uuid4(), ordinal=0, plan_version=line.plan_version, activated_at=clock.now(),
            funded_at=clock.now(), carrier_ends_at=None, who="seller", now=clock.now(),
        )  # fmt: skip
    version = shop.plan("jp-month-50gb")

    def quote() -> None:
        renewals.quote(line_id=line.id, plan_version_id=version.id, customer=customer, now=clock.now())

    quote()  # the carrier has told now what it offers
    sent = [one for one in recorded(quote) if one.split()[0] not in {"BEGIN", "COMMIT"}]
    assert len(sent) <= 6, "\n".join(sent)
