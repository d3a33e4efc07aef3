"""Somebody renews another's card: by its whole number, seeing nothing of it, taking nothing from it, charged once."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client

from tests.journeys.renewal_world import Trade
from tests.journeys.test_every_mode import sells
from tests.journeys.web_world import iccid
from xuka.accounts import operations as accounts
from xuka.interfaces.jobs import unwritten
from xuka.lines import queries as lines_queries
from xuka.lines.models import Line
from xuka.messaging.models import Message
from xuka.receipts import queries as receipts
from xuka.renewals import gifts, giving_back, withdrawal
from xuka.renewals import operations as renewals
from xuka.renewals.models import Gift, Order, Quote

PLAN = "be-week-3gb-day"
# What must never reach the giver: the owner, the end of what is booked, how much is left.
PRIVATE = ("小雨", "xiaoyu", "4 March", "11 March", "valid through", "Valid through", "left on", "GB left")
UNKNOWN = "No card with this number can be renewed here. Please compare it digit by digit with the card."


def web_of(trade: Trade, person: str) -> Client:
    client = Client()
    user = trade.shop.people[person]
    accounts.set_language(customer=user.id, language="en", now=trade.now)
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
    return client


def text_of(answer: Any) -> str:
    main = answer.content.decode().split("<main", 1)[-1]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def give(trade: Trade, web: Client, **told: str) -> Any:
    number = {"number": trade.card("xiaoyu").iccid, "plan": str(trade.shop.plan(PLAN).id)}
    return web.post("/gifts/quote/", number | told)


def quoted(trade: Trade, giver: str = "emma", plan: str = PLAN) -> Quote:
    version = trade.shop.plan(plan)
    return gifts.quote(
        number=trade.card("xiaoyu").iccid, plan_version_id=version.id, giver=trade.customer(giver), now=trade.now
    )


def end_of(line: Line, trade: Trade) -> Any:
    return lines_queries.timeline(line, trade.now).valid_until


def test_a_gift_from_the_number_to_the_receipt_tells_the_giver_nothing_and_the_owner_what_was_written(
    trade: Trade,
) -> None:
    web, card, seen = web_of(trade, "emma"), trade.card("xiaoyu"), []
    before = end_of(card, trade)
    seen.append(web.post("/gifts/", {"number": f" {card.iccid[:10]} {card.iccid[10:]}"}))
    assert "Proximus" in text_of(seen[-1])
    assert "Belgium 7 days" in text_of(seen[-1])
    answer = give(trade, web, giver_name="Tante  Emma", words="<b>Gute Reise</b> & bis bald")
    assert answer.status_code == 302
    seen.append(web.get(answer["Location"]))
    page = text_of(seen[-1])
    assert f"A gift, for the card whose number ends in {card.iccid[-4:]}" in page
    assert "It begins after what is booked on the card, or at once where nothing is." in page
    assert "<b>Gute" not in seen[-1].content.decode()
    quote, order_id = Quote.objects.get(is_gift=True), str(uuid4())
    assert (quote.kept, quote.lost, quote.starts_at) == ([], [], trade.now), "nothing of the card is stored with it"
    bought = {"quote": str(quote.id), "order": order_id, "pay_with": "wallet"}
    for _ in range(2):  # sent twice
        assert web.post("/orders/", bought)["Location"] == f"/orders/{order_id}/"
    trade.work()
    order = Order.objects.get(id=order_id)
    assert (order.state, trade.wallet("emma"), trade.wallet("xiaoyu")) == ("active", 40_00 - 12_90, 60_00)
    assert end_of(card, trade) == before + timedelta(days=7)
    seen += [web.get(one) for one in (f"/orders/{order_id}/", f"/orders/{order_id}/progress/", "/orders/", "/cards/")]
    assert "Your gift has arrived" in text_of(seen[2])
    assert f"a gift, for the card whose number ends in {card.iccid[-4:]}" in text_of(seen[2])
    (receipt,) = receipts.receipts_about(order.id)
    seen.append(web.get(f"/receipts/{receipt.id}/"))
    for one in seen[:-2]:
        assert one.status_code == 200
        shown = text_of(one)
        assert [word for word in PRIVATE if word in shown] == [], shown
        assert str(card.id) not in one.content.decode(), "not even its id"
    assert web.get(f"/cards/{card.id}/").status_code == 404
    letters = {one.kind: one for one in Message.objects.filter(cause=order.id)}
    assert {kind: one.to for kind, one in letters.items()} == {
        "confirmed": "emma@demo.xuka.example",
        "renewed": "emma@demo.xuka.example",
        "gift": "xiaoyu@demo.xuka.example",
    }
    for kind in ("confirmed", "renewed"):
        assert "小雨" not in letters[kind].text
        assert str(card.id) not in letters[kind].html
        assert letters[kind].text.count(card.iccid[-4:]) == 1
    owner = letters["gift"]
    assert "Tante Emma" in owner.text
    assert "“<b>Gute Reise</b> & bis bald”" in owner.text
    assert "&lt;b&gt;Gute Reise&lt;/b&gt; &amp; bis bald" in owner.html
    assert "12" not in owner.subject
    assert "€" not in owner.text + owner.html, "what it cost is the giver's"
    own = web_of(trade, "xiaoyu").get(f"/cards/{card.id}/")
    assert "a gift" in text_of(own)
    assert order_id not in own.content.decode()
    assert web_of(trade, "xiaoyu").get(f"/orders/{order_id}/").status_code == 404


def test_unknown_foreign_and_unclaimed_numbers_sound_the_same_and_one_that_is_none_says_so(trade: Trade) -> None:
    web = web_of(trade, "emma")
    trade.shop.stock(77, PLAN)
    Line.objects.filter(id=trade.card("xiaoyu").id).update(msisdn="+32470123456")
    told = {
        number: text_of(web.post("/gifts/", {"number": number}))
        for number in (iccid(55), iccid(77), "+32 470 99 99 99", "+81 90 1234 5678")
    }
    assert {number for number, says in told.items() if UNKNOWN not in says} == set()
    assert len({says.replace(number, "") for number, says in told.items()}) == 1
    for wrong in (iccid(55)[:-1] + "0" if iccid(55)[-1] != "0" else iccid(55)[:-1] + "1", "12345", "x", iccid(55)[:12]):
        answer = web.post("/gifts/", {"number": wrong})
        assert answer.status_code == 422
        assert "This is neither a card number" in text_of(answer)
    assert "This is your own card" in text_of(web.post("/gifts/", {"number": trade.card("emma").iccid}))
    assert "Belgium 7 days" not in " ".join(told.values())
    assert Client().post("/gifts/", {"number": iccid(1)})["Location"].startswith("/account/login/")
    assert web.post("/gifts/", {"number": iccid(1)}).status_code == 200
    assert web.post("/gifts/", {"number": iccid(1)}).status_code == 429, "ten a minute, found or not"
    assert not Quote.objects.exists()


def test_the_telephone_number_finds_it_too_and_its_card_number_stays_hidden(trade: Trade) -> None:
    web, card = web_of(trade, "emma"), trade.card("xiaoyu")
    Line.objects.filter(id=card.id).update(msisdn="+32470123456")
    answer = give(trade, web, number="0032 470 12 34 56")
    page = web.get(answer["Location"])
    assert "A gift, for the card whose number ends in 3456" in text_of(page)
    assert card.iccid[-4:] not in text_of(page)
    assert "that somebody renewed the card, not who" in text_of(page)
    Line.objects.filter(id=trade.card("sato").id).update(msisdn="32470123456")
    assert UNKNOWN in text_of(give(trade, web, number="+32470123456")), "two cards of one number: neither is meant"


def test_bad_words_and_foreign_plans_are_refused_and_nothing_is_made(trade: Trade) -> None:
    web = web_of(trade, "emma")
    for told, says in (
        ({"words": "see https://bad.example"}, "Links cannot be sent with a gift."),
        ({"words": "x" * 121}, "120"),
        ({"plan": str(uuid4())}, "This plan cannot be given to this card at the moment."),
        ({"plan": str(trade.shop.plan("jp-month-50gb").id)}, "This plan cannot be given to this card at the moment."),
        ({"plan": "x"}, "This plan cannot be given to this card at the moment."),
    ):
        answer = give(trade, web, **told)
        assert answer.status_code == 422
        assert says in text_of(answer), text_of(answer)
    assert (Quote.objects.count(), Gift.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "renewal",
    [
        "{mode: replace}",
        "{mode: add, opens_days: 1}",
        "{mode: queue, max_stacked: 1}",
        "{mode: add, max_ahead_days: 8}",
    ],
)
def test_what_would_take_something_or_is_not_possible_now_is_refused_in_one_sentence(
    trade: Trade, tmp_path: Any, renewal: str
) -> None:
    """Why is not told: it would tell what the card has."""
    sells(trade, tmp_path, renewal=renewal)
    with pytest.raises(gifts.CannotGive):
        quoted(trade)
    answer = give(trade, web_of(trade, "emma"))
    assert "This plan cannot be given to this card at the moment. Nothing has been charged." in text_of(answer)
    assert "March" not in text_of(answer), "no date"
    assert not Quote.objects.exists()


def test_a_gift_and_the_owners_own_renewal_race_and_one_of_them_is_told_that_one_is_under_way(trade: Trade) -> None:
    gift, own = quoted(trade), trade.quote("xiaoyu")
    first = trade.place(gift)
    with pytest.raises(renewals.OrderedByAnother):
        trade.place(own)
    web, card = web_of(trade, "xiaoyu"), trade.card("xiaoyu")
    answer = web.post("/orders/", {"quote": str(own.id), "order": str(uuid4()), "pay_with": "wallet"})
    assert answer.status_code == 409
    assert "Somebody else is renewing this card just now. Nothing was charged to you." in text_of(answer)
    page = web.get(f"/cards/{card.id}/")
    assert "A renewal of this card is under way." in text_of(page)
    assert str(first.id) not in page.content.decode()
    trade.work()
    assert (trade.order(first).state, trade.wallet("xiaoyu"), Order.objects.count()) == ("active", 60_00, 1)
    own, gift = trade.quote("xiaoyu"), quoted(trade)
    mine = trade.place(own)
    with pytest.raises(renewals.OrderedByAnother):
        trade.place(gift)
    trade.work()
    assert (trade.order(mine).state, trade.wallet("emma")) == ("active", 40_00 - 12_90)


def test_a_gift_that_the_carrier_refuses_comes_back_to_the_giver_and_the_owner_hears_nothing(trade: Trade) -> None:
    order = trade.place(quoted(trade))
    trade.fail("topup_disabled")
    trade.work()
    assert (trade.order(order).state, trade.wallet("emma")) == ("refunded", 40_00)
    assert {kind for kind, _ in trade.letters(order)} == {"confirmed", "refunded"}
    page = text_of(web_of(trade, "emma").get(f"/orders/{order.id}/"))
    assert "The card stays as it was before." in page
    assert [word for word in PRIVATE if word in page] == []


def test_a_quote_of_a_gift_is_good_for_nobody_else_and_a_lost_letter_is_found(trade: Trade) -> None:
    quote = quoted(trade)
    for other in ("xiaoyu", "sato"):
        with pytest.raises(renewals.UnknownQuote):
            trade.place(quote, customer=trade.customer(other))
        assert web_of(trade, other).get(f"/quotes/{quote.id}/").status_code == 404
    order = trade.place(quote)
    trade.work()
    Message.objects.filter(cause=order.id, kind="gift").delete()
    assert unwritten.missing_letters(trade.now + timedelta(minutes=11)) == [("write_letter_gift", order.id)]


def test_the_giver_may_withdraw_as_everybody_may_and_learns_no_more_by_it(trade: Trade) -> None:
    """What has not begun is not offered back: that would tell what the card has."""
    card, before = trade.card("xiaoyu"), end_of(trade.card("xiaoyu"), trade)
    order = trade.place(quoted(trade))
    trade.work()
    assert (end_of(card, trade), trade.wallet("emma")) == (before + timedelta(days=7), 40_00 - 12_90)
    page = text_of(web_of(trade, "emma").get(f"/orders/{order.id}/"))
    assert "Withdraw from the contract here" in page
    assert "has not begun" not in page
    assert [word for word in PRIVATE if word in page] == []
    assert giving_back.unused(trade.order(order), trade.now) == []
    with pytest.raises(giving_back.CannotGiveBack, match="unknown"):
        giving_back.ask(
            order_id=order.id, ordinal=0, customer=trade.customer("emma"), to_wallet=True, now=trade.now
        )  # fmt: skip
    row = withdrawal.confirm(
        id=uuid4(), number=str(order.id), name="", email="emma@demo.xuka.example", language="en",
        customer=trade.customer("emma"), now=trade.now,
    )  # fmt: skip
    trade.work()
    row.refresh_from_db()
    assert (row.state, trade.wallet("emma"), end_of(card, trade)) == ("accepted", 40_00, before)
    letter = Message.objects.get(cause=row.id, kind="withdrawal_answer")
    assert [word for word in PRIVATE if word in letter.text] == []
    assert card.iccid[-4:] not in letter.text
