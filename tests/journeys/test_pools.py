"""Data that a family shares: agreed to, used by each card after its own, told to all, and over when one says so."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.cache import cache

from tests.journeys.renewal_world import Trade
from tests.journeys.test_families import client, together
from tests.journeys.usage_world import use
from xuka.interfaces.jobs import reminding
from xuka.journal import queries as journal
from xuka.lines import operations as lines
from xuka.messaging.models import Message
from xuka.metering import counting, looking, queries
from xuka.metering.models import Draw, Pool
from xuka.metering.rules import Usage
from xuka.reminders.models import Reminder

GB = 10**9
SHARES = "My card ending in %s uses the data that Emma (emma@demo.xuka.example) shares once its own is used up."


@pytest.fixture(autouse=True)
def _no_limits_used(trade: Trade) -> None:
    cache.clear()


def family(trade: Trade) -> None:
    """Emma has 50 GB that she may share, and used one of them; Xiaoyu, of her family, has 3 GB a day."""
    together(trade)
    plan, card = trade.shop.plan("be-month-50gb-family"), trade.card("emma")
    lines.open_period(
        line_id=card.id, order_id=uuid4(), ordinal=0, plan_version=plan, activated_at=trade.now, funded_at=trade.now,
        carrier_ends_at=None, who="seller", now=trade.now,
    )  # fmt: skip
    trade.sleep(hours=1)
    used(trade, "emma", 1)


def used(trade: Trade, person: str, gigabytes: float) -> None:
    """So much in the last minutes; everybody who may have passed a mark is looked at."""
    use(trade.card(person), (trade.now - timedelta(minutes=2), int(gigabytes * GB)), now=trade.now)
    look(trade)


def look(trade: Trade) -> None:
    trade.work()
    looking.look(queries.due_meters(trade.now), now=trade.now)
    trade.work()


def usage(trade: Trade, person: str) -> Usage:
    return queries.usage_of(trade.card(person), now=trade.now)


def shared(trade: Trade) -> Pool:
    """Emma shares, and Xiaoyu has agreed for her card."""
    family(trade)
    card = trade.card("emma")
    assert client(trade, "emma").post(f"/family/cards/{card.id}/share/", {"pool": uuid4()}).status_code == 302
    pool = Pool.objects.get()
    agree = {"draw": uuid4(), "line": trade.card("xiaoyu").id, "agreed": "yes"}
    assert client(trade, "xiaoyu").post(f"/family/pools/{pool.id}/draw/", agree).status_code == 302
    look(trade)
    return pool


def test_shared_agreed_to_used_after_ones_own_told_to_both_and_over_at_once(trade: Trade) -> None:
    family(trade)
    emma, xiaoyu, mine = client(trade, "emma"), client(trade, "xiaoyu"), trade.card("xiaoyu")
    assert "Its plan lets 3 other cards of your family use this data." in emma.get("/family/").content.decode()
    assert "Shared data" not in xiaoyu.get("/family/").content.decode()
    emma.post(f"/family/cards/{trade.card('emma').id}/share/", {"pool": uuid4()})
    pool = Pool.objects.get()
    words = SHARES % mine.iccid[-4:]
    assert words in xiaoyu.get("/family/").content.decode()
    asked = {"draw": uuid4(), "line": mine.id}
    xiaoyu.post(f"/family/pools/{pool.id}/draw/", asked)  # the box is not ticked
    assert (Draw.objects.count(), usage(trade, "xiaoyu").pool) == (0, None)
    xiaoyu.post(f"/family/pools/{pool.id}/draw/", asked | {"agreed": "yes"})
    xiaoyu.post(f"/family/pools/{pool.id}/draw/", asked | {"agreed": "yes"})
    draw = Draw.objects.get()
    assert draw.consent_words.startswith(words)
    assert (draw.consent_version, draw.consent_language, draw.began_at) == ("pool-1", "en", trade.now)

    trade.sleep(minutes=10)
    look(trade)
    used(trade, "xiaoyu", 5)  # 3 GB of her own today, 2 of Emma's
    page = xiaoyu.get(f"/cards/{mine.id}/").content.decode()
    for said in ("Shared data of Emma (emma@demo.xuka.example)", "47\xa0GB of 50\xa0GB left", "Full speed now"):
        assert said in page, said
    assert "This card has used 2\xa0GB of it." in page
    own = emma.get(f"/cards/{trade.card('emma').id}/").content.decode()
    assert "Shared with your family" in own
    assert "This card has used 1\xa0GB of it." in own
    assert trade.card("emma").iccid not in page

    used(trade, "emma", 38)  # 41 of 50 GB: Xiaoyu is told, though she used nothing
    told = Reminder.objects.filter(line_id=mine.id, cause__startswith="shared:")
    assert [one.kind for one in told] == ["used_80"]
    reminding.tell(now=trade.now)
    (letter,) = Message.objects.filter(to="xiaoyu@demo.xuka.example", text__contains="9\xa0GB of 50\xa0GB left")
    assert "80% of the data that is shared with you is used" in letter.subject + letter.text
    used(trade, "xiaoyu", 9)
    assert usage(trade, "xiaoyu").speed.kbps == 1000  # her own goes on, at its speed after the cap
    assert usage(trade, "emma").speed.kbps == 128
    assert [one.kind for one in told.order_by("due_at")] == ["used_80", "used_100"]

    xiaoyu.post("/family/leave/")
    assert usage(trade, "xiaoyu").pool is None
    trade.sleep(minutes=10)
    look(trade)
    used(trade, "xiaoyu", 7)
    assert usage(trade, "emma").limits[0].used == 50 * GB  # what was used stays counted, and no more
    assert counting.recount() == 0
    facts = [fact.what for fact in journal.facts_about(mine.id)]
    assert [what for what in facts if what.startswith("pool.")] == ["pool.drawn"]


def test_nobody_shares_what_is_not_theirs_nor_what_cannot_be_shared(trade: Trade) -> None:
    pool = shared(trade)
    trade.shop.person("nobody", language="en")
    draw, mine, hers = Draw.objects.get(), trade.card("xiaoyu"), trade.card("emma")
    for person in ("sato", "nobody"):
        other = client(trade, person)
        for page, told in (
            (f"/family/pools/{pool.id}/close/", {}),
            (f"/family/draws/{draw.id}/end/", {}),
            (f"/family/cards/{hers.id}/share/", {"pool": uuid4()}),
            (f"/family/pools/{pool.id}/draw/", {"draw": uuid4(), "line": trade.card("sato").id, "agreed": "yes"}),
        ):
            assert other.post(page, told).status_code == 404, (person, page)
    xiaoyu = client(trade, "xiaoyu")
    assert xiaoyu.post(f"/family/pools/{pool.id}/close/").status_code == 404
    assert xiaoyu.post(f"/family/cards/{mine.id}/share/", {"pool": uuid4()}).status_code == 404
    assert xiaoyu.post(f"/family/pools/{pool.id}/draw/", {"draw": "x"}).status_code == 400
    assert (Pool.objects.count(), Draw.objects.count(), Draw.objects.get().ends_at) == (1, 1, None)
    # The plan of Emma's other card is for that card alone.
    other = trade.shop.card("emma", 9, "be-month-60gb", started_at=trade.now)
    refused = client(trade, "emma").post(f"/family/cards/{other.id}/share/", {"pool": uuid4()}, follow=True)
    assert "The plan of this card does not allow sharing." in refused.content.decode()


def test_a_quote_says_for_whom_and_sharing_that_ends_is_told(trade: Trade) -> None:
    pool = shared(trade)
    emma, card = client(trade, "emma"), trade.card("emma")
    for plan, says in (
        ("be-month-50gb-family", "This is for 1 other card too, which shares its data: of 王小雨"),
        ("be-month-60gb", "The data of this plan cannot be shared: 王小雨"),
    ):
        quoted = emma.post(f"/cards/{card.id}/quote/", {"plan": trade.shop.plan(plan).id})
        assert says in emma.get(quoted["Location"]).content.decode()
    trade.sleep(minutes=10)
    assert emma.post(f"/family/pools/{pool.id}/close/").status_code == 302
    trade.sleep(minutes=10)
    used(trade, "xiaoyu", 5)
    assert (usage(trade, "xiaoyu").speed.kbps, usage(trade, "xiaoyu").pool) == (1000, None)
    assert usage(trade, "emma").left_bytes == 49 * GB
    look(trade)
    (letter,) = Message.objects.filter(kind="pool_ended")
    assert letter.subject == "The data of Emma (emma@demo.xuka.example) is not shared with your card any more"
