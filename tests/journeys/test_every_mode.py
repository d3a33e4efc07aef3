"""A renewal from the quote to the receipt under every mode: what the quote says is what becomes of the card."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from tests.journeys.renewal_world import Trade
from tests.journeys.web_world import DATA
from xuka.catalogue import operations as catalogue
from xuka.interfaces.web import texts
from xuka.lines import queries as lines
from xuka.lines.models import Period
from xuka.renewals import operations as renewals
from xuka.renewals.models import Quote

WEEK = "be-week-3gb-day"
CARD_ENDS = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
BEGAN = CARD_ENDS - timedelta(days=7)


def sells(trade: Trade, folder: Path, renewal: str, starts: str = "starts: activation") -> None:
    """The week, the first plan of the file, is sold under these terms from now on; what was sold stays as it was."""
    text = (DATA / "demo-plans.yaml").read_text()
    for before, after in (
        ("renewal: {mode: add, max_ahead_days: 365}", f"renewal: {renewal}"),
        ("starts: activation", starts),
    ):
        assert before in text
        text = text.replace(before, after, 1)
    file = folder / "plans.yaml"
    file.write_text(text)
    catalogue.load(file, who="seller", now=trade.now)


def kinds(facts: list[dict[str, Any]]) -> list[str]:
    return [fact["kind"] for fact in facts]


def renewed(trade: Trade) -> tuple[Quote, Period, Period]:
    """The quote of xiaoyu's renewal, the period it brought, and the one before."""
    quote = trade.quote()
    order = trade.place(quote)
    trade.work()
    assert trade.order(order).state == "active"
    (new,) = trade.periods(order)
    (old,) = Period.objects.filter(line=trade.card("xiaoyu")).exclude(id=new.id)
    return quote, new, old


def pages_say(trade: Trade, quote: Quote, *sentences: str) -> None:
    """The pages of the quote, the card and the list of plans are there, and the quote says this."""
    client = Client()
    client.force_login(trade.shop.people["xiaoyu"])
    card = trade.card("xiaoyu").id
    for path in (f"/cards/{card}/", f"/cards/{card}/renew/", f"/plans/{WEEK}/", "/cards/"):
        assert client.get(path, headers={"accept-language": "en"}).status_code == 200, path
    with translation.override("en"):
        said = [*map(str, texts.kept(quote.kept, quote.zone)), *map(str, texts.lost(quote.lost, quote.zone))]
    for sentence in sentences:
        assert sentence in said


def test_what_is_left_of_the_time_is_lost_and_the_quote_says_until_when(trade: Trade, tmp_path: Path) -> None:
    sells(trade, tmp_path, renewal="{mode: replace}")
    quote, new, old = renewed(trade)
    assert (kinds(quote.kept), kinds(quote.lost)) == (["number"], ["time", "data"])
    assert quote.lost[0]["until"] == CARD_ENDS.isoformat()
    assert (old.span.lower, old.span.upper) == (BEGAN, new.span.lower)
    assert new.span.upper == new.span.lower + timedelta(days=7)
    pages_say(trade, quote, "The data that is left.")


def test_the_later_of_two_ends_counts(trade: Trade, tmp_path: Path) -> None:
    sells(trade, tmp_path, renewal="{mode: longest}")
    now = trade.now
    quote, new, old = renewed(trade)
    assert (kinds(quote.kept), quote.lost) == (["number", "time", "data"], [])
    assert (old.span.upper, new.span.lower) == (CARD_ENDS, CARD_ENDS)
    assert timedelta() <= new.span.upper - (now + timedelta(days=7)) < timedelta(minutes=1)
    pages_say(trade, quote)


def test_what_is_independent_runs_beside_and_shortens_nothing(trade: Trade, tmp_path: Path) -> None:
    sells(trade, tmp_path, renewal="{mode: independent}")
    quote, new, old = renewed(trade)
    assert (kinds(quote.kept), quote.lost) == (["number", "time", "data"], [])
    assert (old.track, old.span.upper) == ("main", CARD_ENDS)
    assert new.track != "main"
    assert trade.now in lines.entitlements_of([new.line_id], trade.now)[new.line_id][0].span
    pages_say(trade, quote)


def test_what_waits_for_its_first_use_starts_with_it(trade: Trade, tmp_path: Path) -> None:
    sells(trade, tmp_path, "{mode: queue}", "starts: first_use, start_by_days: 30")
    quote, new, old = renewed(trade)
    assert kinds(quote.kept) == ["number", "time", "data", "first_use"]
    assert (new.span, old.span.upper) == (None, CARD_ENDS)
    pages_say(trade, quote)


def test_a_renewal_that_comes_too_early_is_told_from_when_it_can_be_bought(trade: Trade, tmp_path: Path) -> None:
    sells(trade, tmp_path, renewal="{mode: add, opens_days: 1}")
    with pytest.raises(renewals.CannotRenew) as refused:
        trade.quote()
    assert (refused.value.code, refused.value.possible_at) == ("too_early", CARD_ENDS - timedelta(days=1))
    says = texts.cannot_renew(refused.value.code, refused.value.possible_at, "Europe/Brussels")
    assert says == "This plan cannot be bought for this card yet. It can from 3 March 2026, 13:00 on."


def test_a_quote_that_would_lose_more_by_now_is_asked_for_anew(trade: Trade, tmp_path: Path) -> None:
    """The week before was made longer meanwhile: what would be lost is not what was quoted."""
    sells(trade, tmp_path, renewal="{mode: replace}")
    quote = trade.quote()
    Period.objects.filter(line=trade.card("xiaoyu")).update(span=(BEGAN, CARD_ENDS + timedelta(days=1)))
    with pytest.raises(renewals.QuoteChanged):
        trade.place(quote)
