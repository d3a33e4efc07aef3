"""The plans, side by side and one by one: what everybody may read before buying, and what happens to bad input."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.journeys.web_world import Shop, open_shop
from xuka.catalogue.models import Network, Plan, PlanVersion
from xuka.renewals.models import Quote

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 13, 5, tzinfo=UTC)
HOSTILE = [
    "😀🚀",
    "x" * 10_000,
    "' OR 1=1; DROP TABLE orders; --",
    "\u202egnp.exe\u202c مرحبا",
    "\x00",
    "9" * 5_000,
    "-1",
]


@pytest.fixture
def shop() -> Shop:
    return open_shop(now=NOW, seed_card=lambda **card: None, with_others=True)


def plain(markup: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def text_of(answer: Any) -> str:
    return plain(answer.content.decode())


def ours(answer: Any) -> str:
    """The part of the list that is for sale."""
    return text_of(answer).split("What others offer")[0]


def never_unlimited_without_its_cap(page: str) -> bool:
    return not re.search(r"unlimited(?!: \d+(\.\d+)? [GM]B|: its cap is unknown|” means here)", page, re.IGNORECASE)


def test_everybody_reads_each_plan_with_its_cap_and_its_price_a_day(shop: Shop) -> None:
    answer = Client().get("/plans/")
    page = ours(answer)
    assert answer.status_code == 200
    assert "Sold by Xuka Demo" in page
    assert "Unlimited: 3 GB a day at full speed, then 1 Mbps Proximus · 7 days" in page
    assert "€12.90 €1.84 a day" in page
    assert "JP¥4,980 JP¥166 a day" in page
    assert never_unlimited_without_its_cap(page)
    # What others call their plans and pages: below each such name stands its cap.
    names = r"<h3>.*?</h3>|<span class=\"only-heard\">.*?</span>|<a [^>]*rel=\"noopener\">.*?</a>"
    named = re.sub(names, "", answer.content.decode())
    assert never_unlimited_without_its_cap(plain(named))


def test_what_changes_of_a_plan_is_told_at_once_and_in_each_language(shop: Shop) -> None:
    chinese = Client(headers={"accept-language": "zh-CN"})
    assert "Proximus · 7 days" in ours(Client().get("/plans/"))
    assert "Proximus · 7 天" in text_of(chinese.get("/plans/"))
    Plan.objects.filter(slug="be-week-3gb-day").update(names={"en": "A week", "zh-hans": "一周"})
    Network.objects.filter(slug="be-proximus").update(name="Proximus of Belgium")
    page = ours(Client().get("/plans/"))
    assert "A week Unlimited: 3 GB a day at full speed, then 1 Mbps Proximus of Belgium · 7 days" in page
    assert "一周 不限量：每天 3 GB 高速，之后限速 1 Mbps Proximus of Belgium · 7 天" in text_of(chinese.get("/plans/"))


def test_the_cap_is_written_as_large_as_the_word_it_explains(shop: Shop) -> None:
    page = Client().get("/plans/").content.decode().replace("\N{NO-BREAK SPACE}", " ")
    assert '<p class="cap">Unlimited: 3 GB a day at full speed, then 1 Mbps</p>' in page


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ("country=JP", {"jp-week-3gb-day", "jp-month-50gb"}),
        ("network=be-orange", {"be-month-60gb"}),
        ("length=7", {"be-week-3gb-day", "jp-week-3gb-day"}),
        ("hotspot=yes", {"be-week-3gb-day", "be-month-60gb", "jp-week-3gb-day"}),
        ("abroad=LU", {"be-week-3gb-day"}),
        ("country=JP&length=30", {"jp-month-50gb"}),
    ],
)
def test_the_list_is_narrowed_by_what_is_asked_for(shop: Shop, asked: str, left: set[str]) -> None:
    page = Client().get(f"/plans/?{asked}").content.decode()
    known = {"be-week-3gb-day", "be-month-60gb", "jp-week-3gb-day", "jp-month-50gb"}
    assert set(re.findall(r'name="plan" value="([^"]+)"', page)) & known == left


def test_nothing_that_fits_says_what_to_do(shop: Shop) -> None:
    page = text_of(Client().get("/plans/?country=JP&abroad=LU&length=7"))
    assert "No plan here is all of that. Choose “any” in one of the fields above, or look at all plans." in page


@pytest.mark.parametrize("name", ["country", "network", "length", "talk", "hotspot", "abroad"])
def test_what_cannot_be_asked_for_is_left_out_and_told(shop: Shop, name: str) -> None:
    for nasty in HOSTILE:
        answer = Client().get("/plans/", {name: nasty})
        assert answer.status_code == 200
        assert "is not known here, so it is left out." in text_of(answer)


def test_hostile_addresses_are_answered_and_change_nothing(shop: Shop) -> None:
    before = (Plan.objects.count(), PlanVersion.objects.count(), Quote.objects.count())
    web = Client()
    for nasty in HOSTILE:
        assert web.get("/plans/", {"page": nasty, nasty: nasty}).status_code == 200
        assert web.get("/plans/compare/", {"plan": nasty}).status_code == 200
        assert web.get(f"/plans/{quote(nasty)}/").status_code == 404
    assert before == (Plan.objects.count(), PlanVersion.objects.count(), Quote.objects.count())


def test_the_list_is_light_and_asks_the_database_at_most_ten_times(shop: Shop) -> None:
    web = Client()
    web.get("/plans/")
    with CaptureQueriesContext(connection) as asked:
        answer = web.get("/plans/")
    assert len(asked) <= 10, [query["sql"][:100] for query in asked]
    assert len(answer.content) < 60_000


# -- side by side ----------------------------------------------------------------------------------------------------


def side_by_side(web: Client, *slugs: str) -> dict[str, list[str]]:
    """The comparison's cells by the words of their line."""
    answer = web.get("/plans/compare/", {"plan": slugs})
    assert answer.status_code == 200
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", answer.content.decode(), re.DOTALL)
    return {
        plain(asks): [plain(cell) for cell in re.findall(r"<td>(.*?)</td>", cells, re.DOTALL)] for asks, cells in rows
    }


def test_three_plans_side_by_side_tell_the_same_things_of_each(shop: Shop) -> None:
    told = side_by_side(Client(), "be-week-3gb-day", "be-month-60gb", "jp-week-3gb-day")
    assert told["Data"] == [
        "Unlimited: 3 GB a day at full speed, then 1 Mbps",
        "Unlimited: 60 GB at full speed, then 512 kbps",
        "Unlimited: 3 GB a day at full speed, then 1 Mbps",
    ]
    assert told["Calls"] == ["Data only: no calls and no texts"] * 3
    assert told["Busy hours"][0] == "The same speed at all hours"
    assert told["Busy hours"][2] == "Up to 3 Mbps at peak hours, 12:00 to 13:00 (Tokyo time)"
    assert told["Price"] == ["€12.90", "€29.00", "JP¥1,980"]
    assert told["Price per day"] == ["€1.84 a day", "€0.97 a day", "JP¥283 a day"]
    assert told["Earliest renewal"] == ["At once, as long as the new end is at most 365 days away."] * 3
    assert told["Coverage"] == [
        "unknown",
        "4G outdoors on 97.65 percent of the country's area, the operator said for the end of 2018",
        "The operator's own map",
    ]


def test_a_fourth_plan_is_left_out_and_told(shop: Shop) -> None:
    four = ["be-week-3gb-day", "be-month-60gb", "jp-week-3gb-day", "jp-month-50gb"]
    answer = Client().get("/plans/compare/", {"plan": four})
    assert "At most three plans fit side by side. You see the first three." in text_of(answer)
    assert answer.content.count(b'<th scope="col">') == 3
    assert never_unlimited_without_its_cap(text_of(answer))


def test_an_unknown_plan_is_left_out_and_none_at_all_says_what_to_do(shop: Shop) -> None:
    page = text_of(Client().get("/plans/compare/?plan=gone&plan=be-month-60gb"))
    assert "A plan that you asked for is not here any more; it is left out." in page
    assert "Tick up to three plans in the list" in text_of(Client().get("/plans/compare/"))


def test_no_page_promises_the_whole_country(shop: Shop) -> None:
    for path in ("/plans/", "/plans/compare/?plan=be-week-3gb-day", "/plans/jp-month-50gb/"):
        assert "whole country" not in text_of(Client().get(path)).lower()


# -- one plan --------------------------------------------------------------------------------------------------------


def test_one_plan_tells_its_terms_and_what_to_know_before_renewing(shop: Shop) -> None:
    page = text_of(Client().get("/plans/jp-week-3gb-day/"))
    assert "Starts afresh every day at 00:00, Shanghai time That is 01:00, Tokyo time." in page
    assert "Minimum spend JP¥1,980, the price of this plan; nothing else." in page
    assert "Earliest renewal At once, as long as the new end is at most 365 days away." in page
    assert "The new time waits and begins when the time before it ends." in page
    assert "Latest renewal" in page
    assert "What you keep Your card and its number" in page
    assert "The history of your orders and receipts." in page
    assert "Data that is not used by the end of its time." in page
    assert "Money back All of it, until we ask the carrier, which is usually seconds after you pay." in page
    assert never_unlimited_without_its_cap(page)


def test_only_a_plan_with_a_first_package_can_be_bought_new(shop: Shop) -> None:
    for version in PlanVersion.objects.all():
        page = Client().get(f"/plans/{version.plan_id}/").content.decode()
        assert (f'href="/plans/{version.plan_id}/buy/"' in page) == bool(version.first_package)


def test_a_plan_that_is_not_sold_has_no_page(shop: Shop) -> None:
    Plan.objects.filter(slug="jp-month-50gb").update(on_sale=False)
    assert Client().get("/plans/jp-month-50gb/").status_code == 404
    assert Client().get("/plans/nothing/").status_code == 404
    assert "jp-month-50gb" not in Client().get("/plans/").content.decode()


@pytest.mark.parametrize("path", ["/plans/", "/plans/compare/?plan=be-week-3gb-day", "/plans/be-week-3gb-day/"])
def test_the_pages_speak_chinese(shop: Shop, path: str) -> None:
    answer = Client(headers={"accept-language": "zh-CN"}).get(path)
    assert answer.status_code == 200
    assert b'lang="zh-Hans"' in answer.content
    assert "不限量：每天 3 GB 高速，之后限速 1 Mbps" in text_of(answer)


@pytest.mark.parametrize("path", ["/plans/", "/plans/compare/?plan=be-week-3gb-day", "/plans/be-week-3gb-day/"])
def test_nothing_on_the_pages_is_styled_or_scripted_inline(shop: Shop, path: str) -> None:
    page = Client().get(path).content
    assert not re.search(rb"<[^>]+\sstyle=|<style|\son[a-z]+=|<script>", page)


# -- what others sell ------------------------------------------------------------------------------------------------


def test_what_others_sell_is_apart_dated_with_its_source_and_cannot_be_bought(shop: Shop) -> None:
    answer = Client().get("/plans/?network=be-base")
    page = answer.content.decode()
    market = page[page.index('id="market"') :]
    words = plain(market)
    assert "We do not sell these." in words
    assert "BASE: BASE Unlimited Unlimited: 25 GB at full speed" in words
    assert "€40.00 €1.32 a day price of 2019" in words
    assert 'href="https://www.base.be/en/legal-information/conditions-monthly-plans.html"' in market
    assert "as of 2019, no longer sold" in words
    assert "buy/" not in market
    assert "<form" not in market


def test_what_a_source_does_not_tell_is_unknown(shop: Shop) -> None:
    told = side_by_side(Client(), "market.be-mv-prepaid", "be-week-3gb-day")
    assert told["Data"][0] == "data: unknown"
    assert told["Price"] == ["unknown", "€12.90"]
    assert told["Price per day"][0] == "unknown"
    assert told["Earliest renewal"][0] == "unknown"
    assert told["Busy hours"][0] == "unknown"
    assert told["Hotspot"][0] == "unknown"
    assert told["Sold by, or source"][0].endswith("as of 2024 or later, was on sale then")


def test_a_plan_of_the_market_has_no_page_of_its_own(shop: Shop) -> None:
    assert Client().get("/plans/be-mv-prepaid/").status_code == 404


def test_the_pages_of_the_market_keep_what_was_asked_for(shop: Shop) -> None:
    page = Client().get("/plans/?country=JP&page=2").content.decode()
    assert 'href="?country=JP&amp;page=1#market"' in page
    assert len(page) < 60_000
