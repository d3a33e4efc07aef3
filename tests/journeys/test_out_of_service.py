"""A card that is suspended, recycled, of nobody identified, or foreign: its quotes say so and what can be done."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from tests.journeys import renewal_world
from tests.journeys.renewal_world import Trade
from tests.rules.test_any_policy import WHOLE
from xuka.catalogue.models import Plan, PlanVersion
from xuka.interfaces.web import texts
from xuka.journal import queries as journal
from xuka.kernel import ids
from xuka.lines import operations as lines
from xuka.lines.models import Standing
from xuka.messaging.models import Message
from xuka.metering import counting, looking
from xuka.metering import queries as metering
from xuka.metering.records import Record
from xuka.reminders.models import Reminder
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order


@pytest.fixture
def trade(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trade]:
    with renewal_world.at_work(settings, monkeypatch) as trade:
        yield trade


def put(trade: Trade, standing: Standing) -> None:
    line = trade.card("xiaoyu")
    lines.set_standing(line_id=line.id, standing=standing, who="staff:x", why="told so", now=trade.now)


def test_nothing_is_sold_for_a_card_that_is_not_in_service_and_its_quote_says_why(trade: Trade) -> None:
    before = trade.quote()
    for standing, word in (
        (Standing.SUSPENDED, "card_suspended"),
        (Standing.UNIDENTIFIED, "card_unidentified"),
        (Standing.RECYCLED, "card_recycled"),
    ):
        put(trade, standing)
        quote = trade.quote()
        assert (quote.why_not, quote.payment_offered) == (word, False)
        for refused in (quote, before):  # also what was quoted while it was in service
            with pytest.raises(renewals.PaymentNotOffered, match=word):
                trade.place(refused, id=uuid4())
    assert (Order.objects.count(), trade.wallet()) == (0, 60_00)
    put(trade, Standing.IN_SERVICE)
    put(trade, Standing.IN_SERVICE)
    assert trade.place(trade.quote()).state == "funded"
    told = [fact.after for fact in journal.facts_about(trade.card("xiaoyu").id) if fact.what == "line.standing_set"]
    assert [one["standing"] for one in told if one] == ["suspended", "unidentified", "recycled", "in_service"]


def test_a_plan_of_another_market_is_told_so(trade: Trade) -> None:
    with pytest.raises(renewals.CannotRenew, match="other_market"):
        trade.quote("xiaoyu", trade.card("sato").plan_version.plan_id)


def test_a_card_that_lives_by_its_use_is_gone_so_long_after_it(trade: Trade) -> None:
    stages = {"stages": [{"after_days": 60, "becomes": "gone"}], "counts_from": "use", "warn_days": [30, 7]}
    plan = Plan.objects.get(slug="be-week-3gb-day")
    version = PlanVersion.objects.get(id=plan.current_id)
    version.pk, version.number, version.policy = uuid4(), version.number + 1, version.policy | {"ending": stages}
    version._state.adding = True
    version.save()
    Plan.objects.filter(slug=plan.slug).update(current_id=version.id)
    bought, line = trade.now, trade.card("xiaoyu")
    trade.buy()
    trade.work()
    warned = Reminder.objects.filter(line=line, kind="number_lost", state="planned").order_by("due_at")
    assert [one.due_at for one in warned] == [bought + timedelta(days=n) for n in (30, 53)]
    trade.now = bought + timedelta(days=50)
    used = {"up_bytes": 0, "down_bytes": 1, "network": "206-01"}
    record = Record("r1", line.iccid, trade.now, trade.now + timedelta(minutes=1), **used)
    counting.count(source=counting.source("network"), records=[record], now=trade.now + timedelta(minutes=2))
    trade.now = bought + timedelta(days=109)
    assert trade.quote("xiaoyu").payment_offered
    trade.now = bought + timedelta(days=111)
    with pytest.raises(renewals.CannotRenew, match="too_late"):
        trade.quote("xiaoyu")


def test_a_soft_limit_asks_staff_to_look_once_and_tells_the_customer_nothing(trade: Trade) -> None:
    plan = Plan.objects.get(slug="be-week-3gb-day")
    version = PlanVersion.objects.get(id=plan.current_id)
    quota = {"data": {**WHOLE, "tiers": [], "cap": "none", "review_bytes": 1_000}}
    version.pk, version.number, version.policy = uuid4(), version.number + 1, version.policy | {"quota": quota}
    version._state.adding = True
    version.save()
    Plan.objects.filter(slug=plan.slug).update(current_id=version.id)
    trade.buy()
    trade.work()
    trade.now += timedelta(days=4)
    line = trade.card("xiaoyu")
    for name, volume in (("r1", 600), ("r2", 600), ("r3", 600)):
        at = trade.now
        record = Record(name, line.iccid, at, at, up_bytes=0, down_bytes=volume, network="206-01")
        counting.count(source=counting.source("network"), records=[record], now=at)
        looking.look(metering.due_meters(at), now=at)
        trade.work()
        trade.now += timedelta(minutes=5)
    asked = Message.objects.filter(kind="staff_review")
    assert [one.subject for one in asked] == [f"Card {ids.masked(line.iccid)}: look at its use"]
    assert not Reminder.objects.filter(line=line, kind__startswith="used").exists()


@pytest.mark.parametrize("language", ["en", "zh-hans", "ja", "fr", "nl"])
def test_each_reason_says_what_can_be_done_instead(language: str) -> None:
    codes = ("card_suspended", "card_unidentified", "card_recycled")
    with translation.override(language):
        said = [texts.why_not(code) for code in codes]
        refusals = [texts.cannot_renew(code, None, "Asia/Tokyo") for code in ("other_market", "too_late", "only_new")]
    assert all(one and one.says and one.todo for one in said)
    assert len({one.says for one in said if one} | set(refusals)) == 6
    assert all("eSIM" in one for one in refusals), "the way out is named"


def test_staff_set_the_standing_with_a_reason(trade: Trade) -> None:
    line, client = trade.card("xiaoyu"), Client()
    client.force_login(trade.shop.staff)
    page = reverse("admin:lines_line_standing", args=[line.id])
    assert client.post(page, {"standing": "suspended", "why": ""}).status_code == 400
    line.refresh_from_db()
    assert line.standing == "in_service", "without a reason nothing is changed"
    assert client.post(page, {"standing": "suspended", "why": "the carrier said so"}).status_code == 302
    assert "suspended by the carrier" in client.get(reverse("admin:lines_line_change", args=[line.id])).content.decode()
    customer = Client()
    customer.force_login(trade.shop.people["xiaoyu"])
    told = html.unescape(customer.get(f"/cards/{line.id}/renew/").content.decode())
    assert "这张卡目前处于停机状态" in told
