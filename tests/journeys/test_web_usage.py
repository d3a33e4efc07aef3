"""What a card's page tells of its data: exact words and figures, whose clock, and never a number nobody knows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from benchmarks.statements import recorded
from tests.journeys import usage_world, web_world
from tests.journeys.usage_world import GB, use
from tests.journeys.web_world import Shop
from xuka.activation import operations as activation
from xuka.interfaces import clock
from xuka.lines.models import Line
from xuka.renewals import operations as renewals

pytestmark = pytest.mark.django_db

# 14:20 in Brussels, 22:20 in Tokyo; Xiaoyu's week has two days left and a cap of 3 GB each day, then 1 Mbps.
NOW = datetime(2026, 11, 22, 13, 20, tzinfo=UTC)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return web_world.open_shop(now=NOW, seed_card=lambda **card: None)


@pytest.fixture
def kinds(shop: Shop, tmp_path: Path) -> Shop:
    """The shop, with plans of every kind of cap."""
    usage_world.sell_every_kind(tmp_path, now=NOW)
    return shop


def browser(shop: Shop, key: str) -> Client:
    client = Client()
    client.force_login(shop.people[key])
    return client


def page(shop: Shop, line: Line, *, language: str = "", zone: str = "") -> str:
    """The card's page in words."""
    key = next(key for key, person in shop.people.items() if person.id == line.owner_id)
    person = shop.people[key]
    if language or zone:
        told = {"language": language or person.language, "time_zone": zone}
        type(person).objects.filter(id=person.id).update(**told)
    return words(browser(shop, key).get(f"/cards/{line.id}/"))


def words(answer: Any) -> str:
    assert answer.status_code == 200
    text = re.sub(r"<(svg).*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)).replace("\N{NO-BREAK SPACE}", " ")
    return text.replace("&#x27;", "'")


def test_left_and_as_of_stand_together_in_three_languages(shop: Shop) -> None:
    line = shop.cards["xiaoyu"]
    use(line, (NOW - timedelta(days=1), 2 * GB), (NOW - timedelta(hours=2), 3 * GB // 2), now=NOW)
    told = page(shop, line)
    assert "剩余流量 1.5 GB 共 3 GB 数据截至 14:20" in told
    assert "现在：全速" in told
    assert "10 小时后重置：00:00" in told
    assert "本期已用 3.5 GB" in told
    assert "剩余时间 2 天 3 小时" in told
    told = page(shop, line, language="ja")
    assert "データ残量 1.5 GB / 3 GB 14:20時点の情報" in told
    assert "10 時間後にリセット：00:00" in told
    told = page(shop, line, language="en")
    assert "Data left 1.5 GB of 3 GB Data as of 14:20" in told
    assert "Full speed now Resets in 10 hours: 00:00 Used in this period: 3.5 GB" in told


def test_where_nobody_tells_there_is_no_figure_but_the_cap_and_when_it_resets(shop: Shop) -> None:
    told = page(shop, shop.cards["xiaoyu"], language="en")
    assert "The carrier does not tell how much data is used" in told
    assert "Unlimited: 3 GB a day at full speed, then 1 Mbps" in told
    assert "Resets in 10 hours: 00:00" in told
    for unknown in (" 0 GB", " 0 MB", "Data left", "Full speed now", "Slowed", "Data as of"):
        assert unknown not in told
    assert "运营商不提供已用流量" in page(shop, shop.cards["xiaoyu"], language="zh-hans")


def test_figures_of_another_day_say_which(shop: Shop) -> None:
    line = shop.cards["xiaoyu"]
    use(line, (NOW - timedelta(days=2), GB), now=NOW - timedelta(days=2, hours=-1))
    assert "Data as of 20 November 2026, 15:20" in page(shop, line, language="en")
    # What came after is not known: it is not shown as days without use.
    assert "22 Nov not known 21 Nov not known 20 Nov 1 GB 19 Nov not known" in page(shop, line)


def test_slowed_says_why_and_when_full_speed_is_back(shop: Shop) -> None:
    line = shop.cards["xiaoyu"]
    use(line, (NOW - timedelta(hours=1), 31 * GB // 10), now=NOW)
    assert "现在：限速 1 Mbps 今天的 3 GB 已用完。 10 小时后恢复全速：00:00。" in page(shop, line)
    assert "現在：速度制限中（最大1 Mbps） 本日の3 GBを使い切りました。 10 時間後に高速に戻ります：00:00。" in page(
        shop, line, language="ja"
    )
    told = page(shop, line, language="en")
    assert "Slowed to 1 Mbps now Today's 3 GB are used up. Full speed again in 10 hours: 00:00." in told
    assert "Data left 0 GB of 3 GB" in told


def test_times_are_on_the_customers_clock_with_the_cards_own_where_it_differs(shop: Shop) -> None:
    line = shop.cards["xiaoyu"]
    use(line, (NOW - timedelta(hours=1), 31 * GB // 10), now=NOW)
    told = page(shop, line, language="en", zone="Asia/Shanghai")
    assert "Data as of 21:20" in told
    assert "Full speed again in 10 hours: 07:00 (00:00, Brussels time)." in told
    told = page(shop, line, language="zh-hans", zone="Asia/Shanghai")
    assert "10 小时后恢复全速：07:00（布鲁塞尔时间 00:00）。" in told
    # The same time on the clock needs no second name.
    assert "10 小时后恢复全速：00:00。" in page(shop, line, zone="Europe/Paris")


def test_a_plan_that_stops_is_blocked_until_it_ends(shop: Shop) -> None:
    line = shop.card("emma", 21, "be-week-5gb", started_at=NOW - timedelta(days=2))
    use(line, (NOW - timedelta(hours=1), 5 * GB), now=NOW)
    told = page(shop, line)
    assert "Blocked: no data at the moment The 5 GB of this period are used up." in told
    assert "It stays so until this period ends in 5 days: 27 November 2026, 14:20." in told
    assert "现在：已断网，无法使用流量 本期的 5 GB 已用完。" in page(shop, line, language="zh-hans")
    assert "現在：データ通信停止中 この期間の5 GBを使い切りました。" in page(shop, line, language="ja")


def test_several_limits_have_a_bar_each_and_the_strictest_is_the_ring(kinds: Shop) -> None:
    line = kinds.card("sato", 22, "jp-two-caps", started_at=NOW - timedelta(days=5))
    use(line, (NOW - timedelta(days=3), 18 * GB), (NOW - timedelta(hours=3), GB // 2), now=NOW)
    told = page(kinds, line)
    assert (
        "Unlimited: 2 GB a day at full speed, then 512 kbps; and besides 20 GB a calendar month at full speed" in told
    )
    # Today 1.5 of 2 GB are left, and this month 1.5 of 20 GB as well.
    assert "Data left 1.5 GB of 2 GB Data as of 22:20" in told
    assert "Today 1.5 GB of 2 GB left Resets in 2 hours: 00:00" in told
    assert "This month 1.5 GB of 20 GB left Resets in 8 days: 1 December 2026, 00:00" in told
    assert "Hotspot 5 GB of 5 GB left" in told
    assert "Calls 100 of 100 minutes left" in told
    assert "Full speed now Peak hours from 12:00, in 14 hours: up to 3 Mbps." in told
    use(line, (NOW - timedelta(hours=2), 2 * GB), now=NOW)
    told = page(kinds, line)
    # The month is slower than the day, and longer.
    assert "Slowed to 128 kbps now This month's 20 GB are used up. Full speed again in 8 days" in told


def test_peak_hours_say_until_when(kinds: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    noon = datetime(2026, 11, 23, 3, 30, tzinfo=UTC)  # 12:30 in Tokyo
    monkeypatch.setattr(clock, "now", lambda: noon)
    line = kinds.card("sato", 22, "jp-two-caps", started_at=NOW - timedelta(days=5))
    assert "Up to 3 Mbps now: peak hours Full speed again in 30 minutes: 13:00." in page(kinds, line)
    assert "現在：混雑時間帯のため最大3 Mbps" in page(kinds, line, language="ja")


def test_a_cap_of_days_that_slide_says_when_the_oldest_drops_out(kinds: Shop) -> None:
    line = kinds.card("emma", 23, "be-three-days", started_at=NOW - timedelta(days=5))
    use(line, (NOW - timedelta(days=2), 3 * GB), (NOW - timedelta(hours=1), 2 * GB), now=NOW)
    told = page(kinds, line)
    assert "Unlimited: 4 GB in any 3 days in a row at full speed, then 256 kbps" in told
    assert "Slowed to 256 kbps now The 4 GB for 3 days are used up." in told
    assert "The oldest day drops out of the count in 10 hours: 00:00." in told
    assert "现在：限速 256 kbps 3 天的 4 GB 已用完。" in page(kinds, line, language="zh-hans")


def test_without_a_cap_what_was_used_is_shown(kinds: Shop) -> None:
    line = kinds.card("emma", 24, "be-no-cap", started_at=NOW - timedelta(days=5))
    use(line, (NOW - timedelta(hours=1), 42 * GB // 10), now=NOW)
    told = page(kinds, line)
    assert "Used in this period 4.2 GB no cap Data as of 14:20 Full speed now" in told
    assert told.count("Used in this period") == 1


def test_the_chart_says_every_days_figure_in_a_table_too(shop: Shop) -> None:
    line = usage_world.month(shop, "xiaoyu", now=NOW)
    type(shop.people["xiaoyu"]).objects.update(language="en")
    answer = browser(shop, "xiaoyu").get(f"/cards/{line.id}/")
    told, markup = words(answer), answer.content.decode().replace("\N{NO-BREAK SPACE}", " ")
    assert "22 Nov 3.1 GB 0 MB 21 Nov 900 MB 0 MB 20 Nov 1.3 GB 0 MB" in told
    assert "13 Nov 800 MB 500 MB 12 Nov 1.8 GB 1 GB 11 Nov 3.1 GB 0 MB" in told
    assert "5 Nov 0 MB 0 MB" in told
    assert "29 Oct 1.2 GB 0 MB 28 Oct not known not known 27 Oct not known not known" in told
    assert "used at home used abroad the day's cap: 3 GB not known Every day as a table" in told
    summary = re.search(r"<desc[^>]*>(.*?)</desc>", markup)
    assert summary
    assert summary[1] == (
        "From 24 October 2026 to 22 November 2026: 39.1 GB in all. Most on 11 November 2026: 3.1 GB. "
        "Abroad: 1.5 GB of it. 5 days are not known."
    )
    abroad = re.search(r'<g class="chart-abroad">(.*?)</g>', markup)
    assert abroad
    assert abroad[1].count("<rect") == 2
    assert 'role="img"' in markup
    assert 'style="' not in markup


def test_periods_tell_what_was_used_in_each_the_running_one_first(shop: Shop) -> None:
    line = usage_world.month(shop, "xiaoyu", now=NOW)
    told = page(shop, line, language="en")
    first, second = told.index("19 November 2026, 14:20 –"), told.index("12 November 2026, 14:20 –")
    assert "7.9 GB used" in told[first:second]
    assert "9.5 GB used" in told[second:]
    assert told.index("What is booked") < first < told.index("Earlier periods") < second
    assert "Order and receipt" not in told  # these weeks were never ordered here


@pytest.mark.django_db(transaction=True)  # a carrier is never asked within a transaction
def test_a_period_that_was_ordered_here_links_to_its_order(shop: Shop, settings: Any) -> None:
    settings.CARRIERS = {"airalo": {"connector": "benchmarks.carrier.Instant"}}
    activation.carrier.cache_clear()
    line, customer = shop.cards["xiaoyu"], shop.people["xiaoyu"].id
    version = shop.plan("be-week-3gb-day")
    quote = renewals.quote(line_id=line.id, plan_version_id=version.id, customer=customer, now=NOW)
    order = renewals.place(order_id=uuid4(), quote_id=quote.id, customer=customer, now=NOW)
    while renewals.advance(order_id=order.id, now=NOW):
        pass
    markup = browser(shop, "xiaoyu").get(f"/cards/{line.id}/").content.decode()
    assert markup.count(f'href="/orders/{order.id}/">订单和收据</a>') == 1
    activation.carrier.cache_clear()


def test_the_quote_tells_every_cap(kinds: Shop, settings: Any) -> None:
    settings.CARRIERS = {"airalo": {"connector": "benchmarks.carrier.Instant"}}
    activation.carrier.cache_clear()
    line, customer = kinds.cards["sato"], kinds.people["sato"].id
    version = kinds.plan("jp-two-caps")
    quote = renewals.quote(line_id=line.id, plan_version_id=version.id, customer=customer, now=NOW)
    told = words(browser(kinds, "sato").get(f"/quotes/{quote.id}/"))
    assert "2 GB a day at full speed, then 512 kbps; and besides 20 GB a calendar month at full speed" in told
    assert "And besides: 20 GB a calendar month at full speed After 20 GB you go on at up to 128 kbps" in told
    activation.carrier.cache_clear()


def test_the_card_page_takes_at_most_ten_queries(shop: Shop) -> None:
    used, client = usage_world.month(shop, "xiaoyu", now=NOW), browser(shop, "xiaoyu")
    unused = shop.card("xiaoyu", 25, "be-week-5gb", started_at=NOW - timedelta(days=2))
    for line in (used, unused):
        client.get(f"/cards/{line.id}/")
        sent = recorded(lambda line=line: client.get(f"/cards/{line.id}/"))
        assert len(sent) <= 10, "\n".join(sent)


# --- the same for programs ----------------------------------------------------------------------------------------


def test_a_disclosure_has_its_units_in_its_names(kinds: Shop) -> None:
    version = kinds.plan("jp-two-caps")
    answer = Client().get("/api/plans/jp-two-caps/disclosure", headers={"accept-language": "ja,en;q=0.5"})
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "public, max-age=300"
    assert (answer["Vary"], answer["Content-Language"]) == ("Accept-Language", "ja")
    told = answer.json()
    assert told["plan"] == {
        "slug": "jp-two-caps", "version_id": str(version.id), "name": "日本 1日2GB・1か月20GB", "market": "JP",
        "network": "jp-docomo",
    }  # fmt: skip
    assert told["period"] == {"length": 30, "unit": "rolling_day", "zone": "Asia/Tokyo"}
    assert told["data"]["limits"] == [
        {
            "window": "local_day", "window_days": None, "resets_at": "00:00", "zone": "Asia/Tokyo",
            "full_speed_bytes": 2 * GB, "steps": [{"after_bytes": 2 * GB, "speed_kbps": 512}],
        },
        {
            "window": "calendar_month", "window_days": None, "resets_at": None, "zone": "Asia/Tokyo",
            "full_speed_bytes": 20 * GB, "steps": [{"after_bytes": 20 * GB, "speed_kbps": 128}],
        },
    ]  # fmt: skip
    assert told["data"]["peak"] == {"from": "12:00", "to": "13:00", "zone": "Asia/Tokyo", "speed_kbps": 3000}
    assert told["data"]["hotspot"] == {"is_allowed": True, "cap_bytes": 5 * GB}
    assert told["data"]["abroad"] == {"is_allowed": False, "countries": [], "cap_bytes": None}
    assert told["calls"] == {"minutes": 100, "to": "market", "is_incoming_free": True}
    assert told["texts"] is None
    assert told["sentences"]["summary"] == (
        "データ無制限：1日2 GBまで高速、超過後は最大512 kbps。さらに1か月（暦月）20 GBまで高速、超過後は最大128 kbps"
    )
    by_version = Client().get(f"/api/plans/{version.id}/disclosure")
    assert by_version["Cache-Control"] == "public, max-age=86400"
    assert by_version.json()["data"] == told["data"]


def test_a_disclosure_is_the_same_for_everybody_and_says_what_the_page_says(kinds: Shop) -> None:
    client = browser(kinds, "xiaoyu")
    client.cookies["django_language"] = "zh-hans"
    answer = client.get("/api/plans/jp-two-caps/disclosure", headers={"accept-language": "en"})
    assert answer["Vary"] == "Accept-Language"
    assert not answer.cookies
    shown = words(Client().get("/plans/jp-two-caps/", headers={"accept-language": "en"}))
    for term in answer.json()["sentences"]["terms"]:
        assert term["says"] in shown
        assert term["more"] in shown
    assert "And besides: 20 GB a calendar month at full speed" in shown
    assert "Starts afresh on the 1st of every month, Tokyo time" in shown
    compared = words(Client().get("/plans/compare/?plan=jp-two-caps", headers={"accept-language": "en"}))
    assert answer.json()["sentences"]["summary"] in compared


def test_an_unknown_plan_is_a_problem_in_json(shop: Shop) -> None:
    for plan in ("no-such-plan", str(uuid4()), "%00", "..%2Fetc", "x" * 300, "{{ 7 }}", "套餐"):
        answer = Client().get(f"/api/plans/{plan}/disclosure")
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json"), plan
        assert answer.json()["status"] == 404


def test_a_disclosure_is_only_read(shop: Shop) -> None:
    answer = Client().post("/api/plans/be-week-3gb-day/disclosure")
    assert (answer.status_code, answer["Allow"], answer.json()["status"]) == (405, "GET, HEAD", 405)
