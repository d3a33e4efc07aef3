"""Choosing what to renew with: what a day costs, what reaches a date, what changes; and the order's ring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client

from tests.journeys.web_world import Shop, open_shop, uuid_of
from xuka.accounts import operations as accounts
from xuka.activation import operations as activation
from xuka.interfaces import clock
from xuka.interfaces.web import choosing
from xuka.renewals import operations as renewals
from xuka.renewals.models import Quote

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 22, 13, 5, tzinfo=UTC)
TODAY = date(2026, 11, 22)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The demo's people, and a carrier that does everything at once. 小雨 reads English here."""
    monkeypatch.setattr(settings, "CARRIERS", {"airalo": {"connector": "benchmarks.carrier.Instant"}})
    monkeypatch.setattr(clock, "now", lambda: NOW)
    activation.carrier.cache_clear()
    shop = open_shop(now=NOW, seed_card=lambda **card: None)
    accounts.set_language(customer=shop.people["xiaoyu"].id, language="en", now=NOW)
    yield shop
    activation.carrier.cache_clear()


@pytest.fixture
def web(shop: Shop) -> Client:
    client = Client()
    client.force_login(shop.people["xiaoyu"], backend=settings.AUTHENTICATION_BACKENDS[0])
    return client


def plain(markup: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def text_of(answer: Any) -> str:
    return plain(answer.content.decode())


def renew(web: Client, shop: Shop, until: str = "") -> Any:
    answer = web.get(f"/cards/{shop.cards['xiaoyu'].id}/renew/", {"until": until} if until else {})
    assert answer.status_code == 200
    return answer


def choices(answer: Any) -> list[str]:
    return [plain(one) for one in re.findall(r"<li class=\"sheet choice.*?</li>", answer.content.decode(), re.DOTALL)]


def quoted(web: Client, shop: Shop, slug: str) -> str:
    plan = str(shop.plan(slug).id)
    return web.post(f"/cards/{shop.cards['xiaoyu'].id}/quote/", {"plan": plan})["Location"]


# -- the choices -----------------------------------------------------------------------------------------------------


def test_the_choices_are_sorted_by_price_and_tell_what_a_day_costs_and_saves(web: Client, shop: Shop) -> None:
    told = choices(renew(web, shop))
    prices = [float(re.findall(r"€(\d+\.\d\d)", one)[0]) for one in told]
    assert prices == sorted(prices)
    week, month, family = told
    assert "€34.00 €1.13 a day" in family
    assert "€12.90 €1.84 a day Unlimited: 3 GB a day at full speed, then 1 Mbps" in week
    assert "the plan you have now" in week
    assert "€29.00 €0.97 a day 47% less a day than 7 days Unlimited: 60 GB at full speed, then 512 kbps" in month


def test_the_cheapest_that_reaches_the_date_is_marked_and_the_others_say_until_when(web: Client, shop: Shop) -> None:
    week, month, family = choices(renew(web, shop, "2026-11-30"))
    assert week.startswith("Cheapest that reaches your date")
    assert "Would last" not in week + month + family
    week, month, _ = choices(renew(web, shop, "2026-12-10"))
    assert "Would last until 1 December 2026, 17:05 (Brussels time)." in week
    assert month.startswith("Cheapest that reaches your date")
    assert "Would last" not in month


def test_the_last_minute_of_the_day_counts(web: Client, shop: Shop) -> None:
    day_of_the_end = choices(renew(web, shop, "2026-12-01"))
    week = next(one for one in day_of_the_end if "the plan you have now" in one)
    assert "Would last until 1 December 2026, 17:05 (Brussels time)." in week


def test_when_none_reaches_the_longest_is_told(web: Client, shop: Shop) -> None:
    page = text_of(renew(web, shop, "2027-11-23"))
    assert "None of these reaches 23 November 2027. The longest is “" in page
    assert "Cheapest that reaches your date" not in page


@pytest.mark.parametrize(
    ("until", "says"),
    [
        ("2026-11-21", "This day is over. Choose today or a later day."),
        ("2028-01-01", "This is more than a year away. Choose an earlier day and renew again then."),
        ("tomorrow", "We could not read this date. Write year, month and day, as in 2026-12-24."),
        ("2026-02-30", "We could not read this date. Write year, month and day, as in 2026-12-24."),
    ],
)
def test_a_date_that_cannot_be_is_told(until: str, says: str) -> None:
    wanted = choosing.wanted(until, today=TODAY)
    assert wanted.day is None
    assert wanted.problem == says


def test_hostile_dates_break_nothing_and_change_nothing(web: Client, shop: Shop) -> None:
    for nasty in ("😀", "x" * 10_000, "' OR 1=1 --", "\u202e2026-12-24", "\x00", "9999-99-99", "2026-W01-1"):
        assert "We could not read this date." in text_of(renew(web, shop, nasty))
    assert not Quote.objects.exists()


def test_the_choices_speak_chinese(web: Client, shop: Shop) -> None:
    accounts.set_language(customer=shop.people["xiaoyu"].id, language="zh-hans", now=NOW)
    assert "不限量：每天 3 GB 高速，之后限速 1 Mbps" in text_of(renew(web, shop, "2026-11-30"))


# -- the check page --------------------------------------------------------------------------------------------------


def test_the_check_page_shows_the_time_before_and_after(web: Client, shop: Shop) -> None:
    answer = web.get(quoted(web, shop, "be-week-3gb-day"))
    page = text_of(answer)
    assert "Now Valid through 24 November 2026, 17:05 After this renewal Your card is then valid through" in page
    assert "1 December 2026, 17:05 (Brussels time)" in page
    # The period that runs began 117 hours ago; 51 hours of it are left, and 168 come behind it.
    drawn = answer.content.decode()
    assert re.findall(r'<rect class="(tl-[a-z]+)" x="([0-9.%]+)" y="[0-9]+" width="([0-9.%]+)"', drawn) == [
        ("tl-booked", "0.00%", "50.00%"), ("tl-new", "50.00%", "50.00%"),
    ]  # fmt: skip
    assert "This renewal : 24 November 2026, 17:05, valid through 1 December 2026, 17:05" in page
    kept, lost = page.split("You keep")[1].split("You lose")
    assert "All the time you have already paid for, through 24 November 2026, 17:05." in kept
    assert lost.startswith(" Nothing is lost.")
    assert "Before you renew Minimum spend €12.90, the price of this plan; nothing else." in page


def test_a_change_is_drawn_from_now_and_whole_where_nothing_runs() -> None:
    start, end = NOW + timedelta(days=1), NOW + timedelta(days=4)
    told = choosing.change(starts_at=start, ends_at=end, starts_on_activation=False, now=NOW)
    assert (told.now_until, told.old, told.new) == (start, 250, 750)
    later = choosing.change(starts_at=start, ends_at=end, starts_on_activation=False, now=end + timedelta(days=9))
    assert (later.old, later.new) == (0, 1000)
    fresh = choosing.change(starts_at=NOW, ends_at=end, starts_on_activation=True, now=NOW)
    assert (fresh.now_until, fresh.old, fresh.new) == (None, 0, 1000)


# -- the order -------------------------------------------------------------------------------------------------------


def test_the_ring_beside_the_steps_is_filled_by_the_poll_when_the_card_is_renewed(web: Client, shop: Shop) -> None:
    order_id = uuid4()
    quote_id = uuid_of(quoted(web, shop, "be-week-3gb-day"))
    web.post("/orders/", {"quote": str(quote_id), "order": str(order_id), "pay_with": "wallet"})
    page = web.get(f"/orders/{order_id}/").content.decode()
    steps = plain(page[page.index('<ol class="steps">') : page.index("</ol>")])
    assert steps.startswith("Paid (done)")
    assert "Activating The carrier puts the plan on your card Renewed" in steps
    assert "Time left 2 days 3 hours" in plain(page)
    poll = re.search(r'hx-get="([^"]+)"', page)
    assert poll
    while renewals.advance(order_id=order_id, now=NOW):
        pass
    part = web.get(poll[1]).content.decode()
    steps = plain(part[part.index('<ol class="steps">') : part.index("</ol>")])
    assert "Activating (done) Renewed until 1 December 2026, 17:05 (done) Brussels time" in steps
    assert "Time left 9 days 3 hours" in plain(part)
    assert "hx-get" not in part
