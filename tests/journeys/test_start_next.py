"""The customer starts what waits: told before what is lost, done once, and not where the carrier alone does it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.test import Client

from benchmarks.carrier import Instant
from tests.journeys.test_tracks import version_of
from tests.journeys.web_world import Shop, open_shop
from xuka.accounts import operations as accounts
from xuka.activation import operations as activation
from xuka.catalogue.rules import policy_of
from xuka.interfaces import clock
from xuka.journal import queries as journal
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.models import Line, Period
from xuka.lines.rules import CannotStart
from xuka.metering import operations as metering
from xuka.renewals import starting

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 22, 13, 5, tzinfo=UTC)


class OwnNetwork(Instant):
    """A network that runs no packages itself."""

    can_start_next = True


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The demo's people on a network of one's own, at a time that stands still."""
    monkeypatch.setattr(settings, "CARRIERS", {"airalo": {"connector": f"{__name__}.OwnNetwork"}})
    monkeypatch.setattr(clock, "now", lambda: NOW)
    activation.carrier.cache_clear()
    shop = open_shop(now=NOW, seed_card=lambda **card: None)
    accounts.set_language(customer=shop.people["sato"].id, language="en", now=NOW)
    yield shop
    activation.carrier.cache_clear()


def queue(shop: Shop, count: int = 2, person: str = "sato", **renewal: Any) -> list[Period]:
    """佐藤's card with a period that began twelve days ago, and so many that wait behind it, the oldest first."""
    line, now = shop.cards[person], NOW - timedelta(days=1)
    sold = line.plan_version
    policy = {**sold.policy, "renewal": {"mode": "queue", "next_by_hand": True} | renewal}
    version = version_of(sold, policy_of(policy))
    return [
        lines.open_period(
            line_id=line.id, order_id=uuid4(), ordinal=0, plan_version=version, activated_at=now,
            funded_at=now + timedelta(minutes=n), carrier_ends_at=None, who="seller", now=now,
        )
        for n in range(count)
    ]  # fmt: skip


def web_of(shop: Shop, person: str = "sato") -> Client:
    client = Client()
    client.force_login(shop.people[person], backend=settings.AUTHENTICATION_BACKENDS[0])
    return client


def text_of(answer: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def span_of(period: Period | UUID) -> Any:
    id = period if isinstance(period, UUID) else period.id
    return lines_queries.span_of(Period.objects.get(id=id))


def running(line: Line) -> Period:
    now = lines_queries.timeline(line, NOW).running
    assert now is not None
    return now.period


def hidden(page: Any) -> dict[str, str]:
    found = re.findall(r'name="(starts|instead_of)" value="([^"]*)"', page.content.decode())
    return dict(found)


def test_it_is_told_what_is_lost_and_the_oldest_starts_once_whatever_is_pressed_twice(shop: Shop) -> None:
    first, second = queue(shop)
    line, web = shop.cards["sato"], web_of(shop)
    was, address = running(line), f"/cards/{line.id}/start/"
    metering.record_reading(
        line_id=line.id, iccid=line.iccid, carrier="airalo", period=None, unlimited=False,
        remaining_bytes=12_000_000_000, total_bytes=50_000_000_000, expires_at=None, status="ACTIVE",
        as_of=NOW, now=NOW,
    )  # fmt: skip
    assert "Start the next period now" in text_of(web.get(f"/cards/{line.id}/"))
    page = web.get(address)
    told = text_of(page)
    assert "instead of lasting through 10 December 2026, 22:05" in told
    assert "valid through 22 December 2026, 22:05 (Tokyo time)" in told
    assert "21 January 2027, 22:05 instead of 8 February 2027, 22:05" in told
    kept, lost = told.split("You keep")[1].split("You lose")
    assert "What you have booked further ahead: it follows the new time." in kept
    assert "The time that is left now, through 10 December 2026, 22:05: the new time begins at once." in lost
    assert "The data that is left: 12 GB." in lost
    assert "the rest, through 10 December 2026, 22:05, is lost" in told
    assert re.findall(r'class="(tl-[a-z]+)" x="[0-9.]+%"', page.content.decode())[:4] == [
        "tl-booked", "tl-lost", "tl-new", "tl-waits",
    ]  # fmt: skip
    assert hidden(page) == {"starts": str(first.id), "instead_of": str(was.id)}
    assert span_of(first) is None, "looking starts nothing"
    for _ in range(2):  # two clicks, or a second tab that was open before
        answer = web.post(address, hidden(page))
        assert (answer.status_code, answer["Location"]) == (302, f"/cards/{line.id}/")
    assert span_of(first).starts_at == span_of(was).ends_at == NOW
    assert span_of(second) is None, "the one behind it waits"
    (cut,) = [fact for fact in journal.facts_about(line.id) if fact.what == "period.changed"]
    assert (cut.who, cut.before["ends_at"], cut.after["ends_at"]) == (
        f"customer:{shop.people['sato'].id}", "2026-12-10T13:05:00+00:00", NOW.isoformat(),
    )  # fmt: skip
    assert [fact.what for fact in journal.facts_about(line.id)].count("period.started") == 1


def test_what_has_changed_since_it_was_shown_starts_nothing(shop: Shop) -> None:
    first, second = queue(shop)
    line, web = shop.cards["sato"], web_of(shop)
    was, address = running(line), f"/cards/{line.id}/start/"
    for told in (
        {"starts": str(second.id), "instead_of": str(was.id)},  # not the oldest
        {"starts": str(first.id), "instead_of": str(uuid4())},  # another one runs
        {"starts": str(first.id), "instead_of": ""},
        {"starts": str(uuid4()), "instead_of": str(was.id)},  # nobody's period
    ):
        answer = web.post(address, told)
        assert answer.status_code == 409
        assert "Nothing was started; look at it once more." in text_of(answer)
    assert web.post(address, {"starts": "x"}).status_code == 400
    assert (span_of(first), span_of(second)) == (None, None)
    assert span_of(was).ends_at == datetime(2026, 12, 10, 13, 5, tzinfo=UTC)


def test_someone_elses_card_is_not_there(shop: Shop) -> None:
    first, _ = queue(shop)
    line, was = shop.cards["sato"], running(shop.cards["sato"])
    stranger, told = web_of(shop, "emma"), {"starts": str(first.id), "instead_of": str(was.id)}
    assert stranger.get(f"/cards/{line.id}/start/").status_code == 404
    assert stranger.post(f"/cards/{line.id}/start/", told).status_code == 404
    assert Client().post(f"/cards/{line.id}/start/", told)["Location"].startswith("/account/login/")
    with pytest.raises(starting.UnknownLine):
        starting.start_next(
            line_id=line.id, customer=shop.people["emma"].id, starts=first.id, instead_of=was.id, now=NOW
        )
    assert span_of(first) is None


def test_where_the_plan_or_the_carrier_does_not_allow_it_there_is_a_sentence_and_no_button(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, web = shop.cards["sato"], web_of(shop)

    def shown() -> str:
        page = text_of(web.get(f"/cards/{line.id}/"))
        assert "Start the next period now" not in page
        assert web.get(f"/cards/{line.id}/start/").status_code == 200
        return page

    assert "What comes next begins" not in shown(), "nothing waits"
    (waits,) = queue(shop, 1, next_by_hand=False)
    assert "begins by itself when what runs is over. Its plan cannot be started sooner." in shown()
    Period.objects.filter(id=waits.id).update(voided_at=NOW)
    (waits,) = queue(shop, 1, next_by_hand=False, next_when_used_up=True)
    assert "when what runs is over, or its data is used up." in shown()
    Period.objects.filter(id=waits.id).update(voided_at=NOW)
    (waits,) = queue(shop, 1)
    monkeypatch.setattr(OwnNetwork, "can_start_next", False)
    assert "begins by itself at the carrier, as soon as what runs is over. The carrier lets nobody" in shown()
    was = running(line)
    answer = web.post(f"/cards/{line.id}/start/", {"starts": str(waits.id), "instead_of": str(was.id)})
    assert (answer.status_code, span_of(waits)) == (409, None)
    assert "The carrier begins what waits by itself" in text_of(answer)


def test_one_whose_turn_came_by_itself_is_not_followed_by_the_next(shop: Shop) -> None:
    """The page was open while the time ran out: the one that was shown has begun, and the one behind it waits."""
    first, second = queue(shop)
    line, was = shop.cards["sato"], running(shop.cards["sato"])
    later = span_of(was).ends_at + timedelta(minutes=1)  # and the sweeper has not come by
    ask = {"line_id": line.id, "customer": shop.people["sato"].id, "starts": first.id, "instead_of": was.id}
    starting.start_next(**ask, now=later)
    lines.start_due_periods(now=later)
    assert span_of(first).starts_at == span_of(was).ends_at == datetime(2026, 12, 10, 13, 5, tzinfo=UTC)
    assert span_of(second) is None
    with pytest.raises(CannotStart, match="changed"):
        starting.start_next(**ask | {"starts": second.id}, now=later)


def test_it_is_said_when_time_that_is_bought_now_begins(shop: Shop) -> None:
    line, web = shop.cards["sato"], web_of(shop)
    queue(shop, 1)
    page = text_of(web.get(f"/cards/{line.id}/renew/"))
    assert "Bought now, it begins later: on 9 January 2027, 22:05 (Tokyo time), after what is booked." in page
    quote = web.post(f"/cards/{line.id}/quote/", {"plan": str(shop.plan("jp-month-50gb").id)})["Location"]
    assert "it begins later: on 9 January 2027, 22:05 (Tokyo time), after what is booked." in text_of(web.get(quote))
    emma = web_of(shop, "emma")
    says = "It begins as soon as the carrier has it, usually within a minute."
    assert says in text_of(emma.get(f"/cards/{shop.cards['emma'].id}/renew/"))
