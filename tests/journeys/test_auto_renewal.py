"""A card that renews itself: once an end, as its owner agreed, and never when it was renewed otherwise."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.models import Min
from django.test import Client

from tests.journeys import renewal_world
from tests.journeys.renewal_world import BEGIN, Killed, Trade
from xuka.accounts import operations as accounts
from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import Plan, PlanVersion
from xuka.interfaces.jobs import reminding, tasks
from xuka.journal import queries as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome
from xuka.lines import queries as lines_queries
from xuka.messaging import operations as messaging
from xuka.messaging import queries as messaging_queries
from xuka.messaging.contract import Letter
from xuka.messaging.models import Message
from xuka.metering import counting, looking
from xuka.metering import queries as metering
from xuka.metering.records import Record
from xuka.payments.models import Payment
from xuka.reminders.models import Reminder
from xuka.renewals import auto as autorenewal
from xuka.renewals import operations as renewals
from xuka.renewals import queries
from xuka.renewals.auto import CannotAutomate, Consent
from xuka.renewals.auto_rules import PayWith, Switch, Trigger, When
from xuka.renewals.models import AutomaticOrder, AutoRenewal, Order

GB = 10**9
# Xiaoyu's week for 12.90 ends 2 days and 3 hours after BEGIN; the wallet holds 60.00.
END = BEGIN + timedelta(days=2, hours=3)
DUE = END - timedelta(hours=24)
WEEK = timedelta(days=7)
DAY_BEFORE = Trigger(When.DATE, 24)
CONSENT = Consent("I agree.", "en")


@dataclass
class Auto:
    """Somebody whose card renews itself, in a shop at work."""

    trade: Trade
    person: str = "xiaoyu"

    @property
    def line(self) -> UUID:
        return self.trade.card(self.person).id

    def on(self, trigger: Trigger = DAY_BEFORE, *, ceiling: int = 60_00, **more: Any) -> AutoRenewal:
        version = queries.plan_to_repeat(self.trade.card(self.person), self.trade.now)
        assert version is not None
        told: dict[str, Any] = {
            "plan_version_id": version.id,
            "price": Money(version.price_minor, version.currency),
            "ceiling": Money(ceiling, version.currency),
            "pay_with": PayWith.WALLET,
            "consent": CONSENT,
        }
        return autorenewal.switch_on(
            line_id=self.line, customer=self.trade.customer(self.person), trigger=trigger,
            now=self.trade.now, **{**told, **more},
        )  # fmt: skip

    def off(self) -> None:
        autorenewal.switch_off(line_id=self.line, customer=self.trade.customer(self.person), now=self.trade.now)

    def until(self, moment: datetime) -> None:
        """Time passes; the shop works whenever something of orders or of this is due."""
        self.work()
        while (at := self._next()) and at <= moment:
            self.trade.now = max(self.trade.now, at)
            self.work()
        self.trade.now = max(self.trade.now, moment)
        self.work()

    def work(self) -> None:
        for _ in range(10):
            self.trade.work()
            reminding.tell(now=self.trade.now)
            for message_id in messaging_queries.due_messages(self.trade.now):
                messaging.send(message_id=message_id, now=self.trade.now)
            due = queries.due_auto_renewals(self.trade.now)
            if not due:
                return
            for line_id in due:
                tasks.advance_auto(str(line_id))
        pytest.fail("automatic renewal never comes to rest")

    def _next(self) -> datetime | None:
        moments = [
            AutoRenewal.objects.aggregate(at=Min("next_due_at"))["at"],
            Order.objects.aggregate(at=Min("next_step_at"))["at"],
            Payment.objects.aggregate(at=Min("next_step_at"))["at"],
            Reminder.objects.filter(state="planned", kind__startswith="auto").aggregate(at=Min("due_at"))["at"],
        ]
        return min((one for one in moments if one), default=None)

    @property
    def row(self) -> AutoRenewal:
        return AutoRenewal.objects.get(line_id=self.line)

    def orders(self) -> list[Order]:
        return list(Order.objects.filter(line_id=self.line).order_by("placed_at"))

    def end(self) -> datetime | None:
        return lines_queries.ends_of([self.line], self.trade.now)[self.line].ends_at

    def told(self, kind: str) -> list[Reminder]:
        rows = Reminder.objects.filter(line_id=self.line, kind=f"autorenewal_{kind}").exclude(state="dropped")
        return list(rows.order_by("due_at", "cause"))

    def facts(self) -> list[str]:
        found = [fact.what for fact in journal.facts_about(self.line)]
        return [what.removeprefix("autorenewal.") for what in found if what.startswith("autorenewal.")]

    def use(self, volume: int) -> None:
        at = self.trade.now - timedelta(minutes=2)
        told: dict[str, Any] = {"up_bytes": 0, "down_bytes": volume, "network": "206-01"}
        record = Record(uuid4().hex, self.trade.card(self.person).iccid, at, at + timedelta(minutes=1), **told)
        counting.count(source=counting.source("network"), records=[record], now=self.trade.now)
        looking.look(metering.due_meters(self.trade.now), now=self.trade.now)
        self.work()


class Post:
    """Every channel: it takes everything."""

    def send(self, letter: Letter) -> Outcome[str]:
        return Done(str(letter.id))


@pytest.fixture
def trade(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trade]:
    """The shop at work; its letters arrive."""
    monkeypatch.setattr(messaging, "channel", lambda name: Post())
    with renewal_world.at_work(settings, monkeypatch) as trade:
        yield trade


@pytest.fixture
def auto(trade: Trade) -> Auto:
    return Auto(trade)


def reprice(slug: str, minor: int) -> None:
    """The plan has a new version with another price."""
    new_version(slug, price_minor=minor)


def with_terms(**auto: Any) -> None:
    """The week is sold under these terms of automatic renewal."""
    slug = "be-week-3gb-day"
    new_version(slug, policy=PlanVersion.objects.get(id=catalogue_current(slug)).policy | {"auto": auto})


def new_version(slug: str, **changes: Any) -> None:
    plan = Plan.objects.get(slug=slug)
    version = PlanVersion.objects.get(id=plan.current_id)
    version.pk, version.number = uuid4(), version.number + 1
    for name, value in changes.items():
        setattr(version, name, value)
    version._state.adding = True
    version.save()
    Plan.objects.filter(slug=slug).update(current_id=version.id)


# -- it renews ---------------------------------------------------------------------------------------------------------


def test_a_card_renews_itself_from_the_wallet_once_a_period(auto: Auto) -> None:
    row = auto.on()
    assert (row.renews_end, row.next_due_at, row.consent_words) == (END, DUE, "I agree.")
    auto.until(DUE - timedelta(minutes=1))
    assert auto.orders() == []
    auto.until(DUE)
    (order,) = auto.orders()
    assert order.id == ids.derived(row.id, f"{END.isoformat()}:0")
    assert (order.state, order.total_minor, auto.trade.wallet()) == ("active", 12_90, 47_10)
    assert auto.end() == END + WEEK
    assert (auto.row.next_due_at, auto.row.last_outcome) == (DUE + WEEK, "charged")
    auto.until(DUE + WEEK)
    assert [one.state for one in auto.orders()] == ["active", "active"]
    assert (auto.trade.wallet(), auto.end()) == (34_20, END + 2 * WEEK)
    assert len(auto.trade.asked) == 2


def test_it_is_told_two_days_before_and_after(auto: Auto) -> None:
    auto.on()
    auto.until(DUE)
    first, second = auto.told("soon")
    assert first.says == {
        "price": {"minor": 12_90, "currency": "EUR"}, "pay": "wallet", "how": "date", "at": DUE.isoformat()
    }  # fmt: skip
    assert (first.not_after, second.due_at, second.not_after) == (DUE, DUE + WEEK - timedelta(days=2), DUE + WEEK)
    (order,) = auto.orders()
    assert [one.cause for one in auto.told("charged")] == [str(order.id)]
    assert auto.told("refused") == []
    assert [kind for kind, _ in auto.trade.letters(order)] == ["confirmed", "renewed"]


def test_every_change_leaves_a_fact(auto: Auto) -> None:
    auto.on()
    auto.until(DUE)
    auto.off()
    auto.off()
    assert auto.facts() == ["switched_on", "planned", "ordered", "charged", "planned", "switched_off"]
    assert (auto.row.state, auto.row.reason, auto.row.next_due_at) == ("off", "customer", None)


def test_agreed_to_anew_the_row_has_the_new_words_and_the_journal_has_both(auto: Auto) -> None:
    auto.on()
    auto.on(consent=Consent("同意。", "zh-hans"))
    agreed = [fact.after for fact in journal.facts_about(auto.line) if fact.what == "autorenewal.switched_on"]
    assert [(one["words"], one["language"]) for one in agreed] == [("I agree.", "en"), ("同意。", "zh-hans")]
    assert (auto.row.consent_words, auto.row.consent_language) == ("同意。", "zh-hans")


def test_a_server_that_was_down_for_three_weeks_catches_up_once(auto: Auto) -> None:
    auto.on()
    auto.work()
    auto.trade.sleep(weeks=3)
    auto.work()
    (order,) = auto.orders()
    assert (order.state, auto.trade.wallet()) == ("active", 47_10)
    assert auto.end() == BEGIN + timedelta(weeks=3) + WEEK
    assert auto.row.next_due_at == BEGIN + timedelta(weeks=4, hours=-24)


def test_two_at_once_place_one_order(auto: Auto) -> None:
    auto.on()
    auto.work()
    auto.trade.now = DUE
    barrier, failed = threading.Barrier(3), []

    def run() -> None:
        try:
            barrier.wait()
            autorenewal.advance(line_id=auto.line, now=DUE)
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(auto.orders()) == 1
    assert auto.trade.wallet() == 47_10
    auto.work()
    assert (auto.trade.wallet(), len(auto.trade.asked)) == (47_10, 1)


@pytest.mark.parametrize("where", ["before", "while", "after"])
def test_a_process_that_dies_between_planning_and_placing_charges_once(
    auto: Auto, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    auto.on()
    auto.work()
    auto.trade.now = DUE
    place = renewals.place

    def dies(**told: Any) -> Order:
        if where == "while":
            place(**told)
        raise Killed

    if where == "after":
        autorenewal.advance(line_id=auto.line, now=DUE)
    else:
        with monkeypatch.context() as patch:
            patch.setattr(renewals, "place", dies)
            with pytest.raises(Killed):
                autorenewal.advance(line_id=auto.line, now=DUE)
    assert len(auto.orders()) == (where == "after")
    auto.until(DUE + timedelta(hours=2))
    assert [one.state for one in auto.orders()] == ["active"]
    assert (auto.trade.wallet(), len(auto.trade.asked), auto.end()) == (47_10, 1, END + WEEK)


# -- it does not -------------------------------------------------------------------------------------------------------


def test_a_card_renewed_by_hand_meanwhile_is_not_charged_again(auto: Auto) -> None:
    auto.on()
    auto.until(DUE - timedelta(hours=1))
    by_hand = auto.trade.buy()
    auto.until(DUE + timedelta(days=1))
    assert [one.id for one in auto.orders()] == [by_hand.id]
    assert (auto.trade.wallet(), auto.row.next_due_at) == (47_10, DUE + WEEK)
    assert AutomaticOrder.objects.count() == 0
    assert [one.not_after for one in auto.told("soon")] == [DUE, DUE + WEEK]


def test_renewed_by_hand_between_the_look_and_the_charge_is_seen(auto: Auto, monkeypatch: pytest.MonkeyPatch) -> None:
    auto.on()
    auto.work()
    auto.trade.now = DUE
    quote = renewals.quote

    def slow(**told: Any) -> Any:
        offered = quote(**told)
        monkeypatch.setattr(renewals, "quote", quote)
        auto.trade.buy()
        return offered

    monkeypatch.setattr(renewals, "quote", slow)
    auto.work()
    assert (len(auto.orders()), AutomaticOrder.objects.count(), auto.trade.wallet()) == (1, 0, 47_10)


def test_an_open_order_is_waited_for(auto: Auto) -> None:
    auto.on(ceiling=60_00)
    auto.work()
    auto.trade.now = DUE
    auto.trade.go_silent()
    by_hand = auto.trade.buy()
    auto.work()
    assert [one.id for one in auto.orders()] == [by_hand.id]
    assert auto.row.next_due_at == DUE + timedelta(minutes=30)
    assert auto.row.tries == 0


def test_switched_off_a_minute_before_nothing_is_charged(auto: Auto) -> None:
    auto.on()
    auto.until(DUE - timedelta(minutes=1))
    auto.off()
    auto.until(DUE + timedelta(days=3))
    assert (auto.orders(), auto.trade.wallet()) == ([], 60_00)
    assert (auto.told("charged"), auto.told("refused")) == ([], [])
    assert Reminder.objects.filter(kind="autorenewal_soon", state="planned").count() == 0


def test_switched_off_after_the_due_moment_but_before_the_order_counts_too(auto: Auto) -> None:
    auto.on()
    auto.work()
    auto.trade.now = DUE + timedelta(minutes=5)
    auto.off()
    auto.work()
    assert auto.orders() == []


def test_switched_off_after_the_plans_deadline_it_renews_once_more_and_says_so(auto: Auto, web: Client) -> None:
    with_terms(off_days=1, off_at="23:30", hours_before=[3])
    auto.on(Trigger(When.DATE, 3))
    auto.until(END - timedelta(hours=12))
    auto.off()
    assert (auto.row.state, auto.row.last_end) == ("on", END)
    assert "it renews once more, and then it is off" in html.unescape(web.get(f"/cards/{auto.line}/").content.decode())
    auto.until(END + timedelta(days=20))
    assert ([one.total_minor for one in auto.orders()], auto.row.state) == ([12_90], "off")
    assert auto.facts().count("ends_after") == 1


def test_before_the_plans_deadline_it_is_off_at_once(auto: Auto) -> None:
    with_terms(off_days=1, off_at="23:30", hours_before=[3])
    auto.on(Trigger(When.DATE, 3))
    auto.until(END - timedelta(hours=14))  # 23:00 in Brussels, the day before
    auto.off()
    assert (auto.row.state, auto.row.last_end) == ("off", None)


def test_a_plan_that_offers_no_automatic_renewal_says_so(auto: Auto, web: Client) -> None:
    with_terms(hours_before=[], percent_left=[])
    with pytest.raises(CannotAutomate, match="trigger"):
        auto.on(Trigger(When.DATE, 24))
    assert "A card with this plan does not renew itself." in web.get(f"/cards/{auto.line}/auto/").content.decode()


def test_switched_off_while_the_carrier_is_asked_nothing_is_ordered(
    auto: Auto, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto.on()
    auto.work()
    auto.trade.now = DUE
    quote = renewals.quote

    def slow(**told: Any) -> Any:
        auto.off()
        return quote(**told)

    monkeypatch.setattr(renewals, "quote", slow)
    auto.work()
    assert (auto.orders(), auto.trade.wallet(), auto.row.state) == ([], 60_00, "off")


def test_a_mistake_of_ours_is_not_made_every_few_seconds(auto: Auto, monkeypatch: pytest.MonkeyPatch) -> None:
    auto.on()
    auto.work()
    auto.trade.now = DUE

    def wrong(**told: Any) -> Any:
        raise renewals.DifferentOrder

    monkeypatch.setattr(renewals, "place", wrong)
    with pytest.raises(renewals.DifferentOrder):
        autorenewal.advance(line_id=auto.line, now=DUE)
    assert queries.due_auto_renewals(DUE) == []
    assert queries.due_auto_renewals(DUE + timedelta(minutes=30)) == [auto.line]


def test_with_too_little_money_it_is_tried_four_times_and_told_twice(auto: Auto) -> None:
    drain(auto, 5_00)
    auto.on()
    auto.until(DUE)
    assert (auto.row.last_outcome, auto.row.next_due_at) == ("wallet_too_low", DUE + timedelta(hours=1))
    (told,) = auto.told("refused")
    assert told.says["reason"] == "wallet_too_low"
    assert told.says["next"] == (DUE + timedelta(hours=1)).isoformat()
    auto.until(DUE + timedelta(days=3))
    assert (auto.row.tries, auto.row.state, auto.row.next_due_at) == (4, "on", None)
    assert [one.says["next"] for one in auto.told("refused")][1:] == [""]
    assert (auto.orders(), auto.trade.wallet(), auto.trade.asked) == ([], 5_00, [])
    assert auto.facts().count("refused") == 4


def test_money_that_comes_is_used_at_once(auto: Auto) -> None:
    drain(auto, 5_00)
    auto.on()
    auto.until(DUE + timedelta(minutes=10))
    auto.trade.credit("xiaoyu", Money(10_00, "EUR"))
    auto.work()
    assert ([one.state for one in auto.orders()], auto.trade.wallet()) == (["active"], 2_10)


def drain(auto: Auto, leave: int) -> None:
    """Xiaoyu spends all but this much elsewhere."""
    from xuka.ledger import operations as ledger
    from xuka.ledger.rules import Leg, wallet_id

    wallet = wallet_id(customer=auto.trade.customer("xiaoyu"), currency="EUR")
    (revenue,) = ledger.houses("revenue", unit="EUR")
    ledger.post(Leg(uuid4(), "spent", wallet, revenue, "EUR", auto.trade.wallet() - leave), now=auto.trade.now)


def test_the_ceiling_of_the_month_holds(auto: Auto) -> None:
    auto.on(ceiling=20_00)
    auto.until(DUE + WEEK)
    assert ([one.state for one in auto.orders()], auto.trade.wallet()) == (["active"], 47_10)
    # On the clock of the card April begins at 22:00 UTC.
    april = datetime(2026, 3, 31, 22, 0, tzinfo=BEGIN.tzinfo)
    assert (auto.row.last_outcome, auto.row.next_due_at) == ("ceiling_reached", april)
    auto.until(april)
    assert [one.placed_at for one in auto.orders()] == [DUE, april]
    assert auto.trade.wallet() == 34_20


def test_a_ceiling_below_one_renewal_is_not_taken(auto: Auto) -> None:
    with pytest.raises(CannotAutomate) as refused:
        auto.on(ceiling=12_89)
    assert refused.value.code == "ceiling_too_low"
    assert AutoRenewal.objects.count() == 0


def test_a_changed_price_pauses_and_asks_anew(auto: Auto) -> None:
    auto.on()
    auto.until(DUE - timedelta(hours=1))
    reprice("be-week-3gb-day", 13_90)
    auto.until(DUE + timedelta(hours=20))
    assert (auto.orders(), auto.trade.wallet()) == ([], 60_00)
    assert (auto.row.state, auto.row.reason, auto.row.next_due_at) == (Switch.PAUSED, "price_changed", None)
    (told,) = auto.told("refused")
    assert (told.says["reason"], told.says["next"]) == ("price_changed", "")
    auto.on()
    assert (auto.row.price_minor, auto.row.state) == (13_90, "on")
    auto.until(DUE + timedelta(hours=21))
    assert [one.total_minor for one in auto.orders()] == [13_90]


def test_the_same_price_in_a_new_version_needs_no_new_consent(auto: Auto) -> None:
    auto.on()
    auto.work()
    reprice("be-week-3gb-day", 12_90)
    auto.until(DUE)
    (order,) = auto.orders()
    assert order.plan_version_id == catalogue_current("be-week-3gb-day")
    assert order.plan_version_id != auto.row.plan_version_id


def catalogue_current(slug: str) -> UUID:
    found = catalogue.plan_by_slug(slug)
    assert found is not None
    return found.id


def test_agreeing_to_a_price_that_has_just_changed_is_refused(auto: Auto) -> None:
    with pytest.raises(CannotAutomate) as refused:
        auto.on(price=Money(12_80, "EUR"))
    assert refused.value.code == "price_changed"


def test_a_carrier_that_refuses_gives_it_back_and_is_tried_later(auto: Auto) -> None:
    accounts.set_language(customer=auto.trade.customer("xiaoyu"), language="en", now=BEGIN)
    auto.on()
    auto.work()
    auto.trade.now = DUE
    auto.trade.fail("maintenance", times=None)
    auto.work()
    auto.until(DUE + timedelta(minutes=31))
    (first,) = auto.orders()
    assert (first.state, auto.trade.wallet(), auto.row.tries) == ("refunded", 60_00, 1)
    letter = Message.objects.get(kind="reminder_autorenewal_refused")
    assert (
        "could not renew itself for €12.90. What was paid goes back to where it came from. The carrier" in letter.text
    )
    assert "Nothing was charged" not in letter.text
    auto.trade.heal()
    auto.until(DUE + timedelta(hours=3))
    second = auto.orders()[-1]
    assert second.id == ids.derived(auto.row.id, f"{END.isoformat()}:1")
    assert ([one.state for one in auto.orders()], auto.trade.wallet()) == (["refunded", "active"], 47_10)
    assert auto.end() == END + WEEK


def test_a_try_that_took_nothing_says_so_also_after_one_that_was_paid_back(auto: Auto) -> None:
    accounts.set_language(customer=auto.trade.customer("xiaoyu"), language="en", now=BEGIN)
    auto.on()
    auto.work()
    auto.trade.now = DUE
    auto.trade.fail("maintenance", times=None)
    auto.work()
    auto.until(DUE + timedelta(minutes=31))
    drain(auto, 5_00)
    auto.until(DUE + timedelta(hours=3))
    assert (auto.row.last_outcome, len(auto.orders())) == ("wallet_too_low", 1)
    letter = Message.objects.filter(kind="reminder_autorenewal_refused").order_by("queued_at").last()
    assert letter is not None
    assert "for €12.90. Nothing was charged. There was not enough in your wallet." in letter.text


def test_an_order_that_the_customer_calls_off_is_not_placed_again(auto: Auto) -> None:
    auto.on()
    auto.work()
    auto.trade.now = DUE
    autorenewal.advance(line_id=auto.line, now=DUE)
    (order,) = auto.orders()
    renewals.cancel(order_id=order.id, customer=order.customer_id, now=DUE)
    auto.until(DUE + timedelta(days=3))
    assert ([one.state for one in auto.orders()], auto.trade.wallet()) == (["cancelled"], 60_00)
    assert (auto.row.state, auto.row.next_due_at, auto.told("refused")) == ("on", None, [])


def test_a_card_that_orders_again_and_again_is_stopped_and_the_seller_alarmed(auto: Auto) -> None:
    auto.on(ceiling=60_00)
    AutoRenewal.objects.update(number=24 * 60, next_due_at=auto.trade.now)  # a mistake of ours: always due
    auto.until(BEGIN + timedelta(hours=1))
    assert (len(auto.orders()), auto.trade.wallet()) == (2, 34_20)
    assert (auto.row.state, auto.row.reason) == ("paused", "burst")
    alarms = Message.objects.filter(kind="staff_autorenewal_burst")
    assert [one.subject for one in alarms] == [
        f"Card {ids.masked(auto.trade.card('xiaoyu').iccid)}: automatic renewal was stopped"
    ]


# -- by use, by link, and of others ------------------------------------------------------------------------------------


def month(auto: Auto) -> Auto:
    """佐藤's month: 50 GB for 4980 yen, which ends 18 days after BEGIN."""
    auto.person = "sato"
    return auto


def test_when_the_data_is_used_up_it_renews_once(auto: Auto) -> None:
    month(auto).on(Trigger(When.USED_UP), ceiling=20_000)
    end = auto.end()
    assert end is not None
    auto.use(40 * GB)
    assert (auto.orders(), auto.told("soon")) == ([], [])
    auto.use(8 * GB)
    (soon,) = auto.told("soon")
    assert (soon.says["how"], soon.not_after, auto.orders()) == ("use", end, [])
    auto.use(2 * GB)
    assert [one.total_minor for one in auto.orders()] == [4_980]
    assert (auto.trade.wallet("sato"), auto.end()) == (20_000 - 4_980, end + timedelta(days=30))
    auto.use(5 * GB)
    auto.until(BEGIN + timedelta(days=3))
    assert len(auto.orders()) == 1


def test_by_use_an_open_order_is_waited_for_and_then_it_is_renewed(auto: Auto) -> None:
    month(auto).on(Trigger(When.USED_UP), ceiling=20_000)
    quote = auto.trade.quote("sato")
    by_hand = renewals.place(
        order_id=uuid4(), quote_id=quote.id, customer=quote.customer_id, pays_with="wallet", now=BEGIN
    )
    renewals.cancel(order_id=by_hand.id, customer=quote.customer_id, now=BEGIN)
    auto.use(49 * GB)
    AutoRenewal.objects.update(next_due_at=BEGIN)  # as after an order that was waited for
    auto.work()
    assert (auto.row.state, auto.row.next_due_at) == ("on", auto.end())
    auto.use(1 * GB)
    assert sorted(one.state for one in auto.orders()) == ["active", "cancelled"]


def test_data_that_is_not_used_up_buys_nothing_and_switches_off(auto: Auto) -> None:
    month(auto).on(Trigger(When.PERCENT_LEFT, 20), ceiling=20_000)
    end = auto.end()
    assert end is not None
    auto.use(39 * GB)
    auto.until(end)
    assert (auto.orders(), auto.row.state, auto.row.reason) == ([], "off", "ended")
    assert auto.trade.wallet("sato") == 20_000


def test_a_days_share_is_no_trigger(auto: Auto) -> None:
    with pytest.raises(CannotAutomate) as refused:
        auto.on(Trigger(When.USED_UP))
    assert refused.value.code == "trigger"


def test_by_link_nothing_is_charged_and_the_link_comes_once(auto: Auto) -> None:
    auto.on(pay_with=PayWith.LINK)
    auto.until(END + timedelta(hours=1))
    assert (auto.orders(), auto.trade.wallet()) == ([], 60_00)
    assert [(one.says["how"], one.told_at) for one in auto.told("soon")] == [("link", DUE)]
    assert auto.facts().count("link_sent") == 1
    assert (auto.row.last_outcome, auto.row.next_due_at) == ("link_not_used", None)
    auto.trade.buy()
    auto.work()
    assert auto.row.next_due_at == auto.end() - timedelta(hours=24)  # type: ignore[operator]


def test_someone_elses_card_is_not_there(auto: Auto) -> None:
    other = auto.trade.customer("emma")
    with pytest.raises(CannotAutomate):
        autorenewal.switch_on(
            line_id=auto.line, customer=other, plan_version_id=uuid4(), price=Money(1, "EUR"),
            trigger=Trigger(When.DATE, 24), ceiling=Money(1, "EUR"), pay_with=PayWith.WALLET, consent=CONSENT,
            now=BEGIN,
        )  # fmt: skip
    auto.on()
    with pytest.raises(autorenewal.UnknownAutoRenewal):
        autorenewal.switch_off(line_id=auto.line, customer=other, now=BEGIN)
    assert auto.row.state == "on"


# -- on the pages ------------------------------------------------------------------------------------------------------


@pytest.fixture
def web(auto: Auto) -> Client:
    cache.clear()
    client = Client()
    user = auto.trade.shop.people[auto.person]
    accounts.set_language(customer=user.id, language="en", now=BEGIN)
    client.force_login(user, backend=settings.AUTHENTICATION_BACKENDS[0])
    client.cookies["django_language"] = "en"
    return client


def filled(page: str, **more: str) -> dict[str, str]:
    """The form of the page as it comes, with the box ticked."""
    found = dict(re.findall(r'<input type="hidden" name="(version|price_minor)" value="([^"]+)"', page))
    return {**found, "trigger": "date:24", "pay_with": "wallet", "ceiling": "25.80", "agreed": "yes", **more}


def test_it_is_agreed_to_on_the_page_and_ended_there(auto: Auto, web: Client) -> None:
    url = f"/cards/{auto.line}/auto/"
    assert "Off. The card ends when its time is over" in web.get(f"/cards/{auto.line}/").content.decode()
    page = web.get(url).content.decode()
    assert "It is off until you switch it on here." in page
    (box,) = re.findall(r'<input type="checkbox" name="agreed"[^>]*>', page)
    assert "checked" not in box
    assert web.post(url, filled(page))["Location"] == f"/cards/{auto.line}/"
    assert "It is off" not in web.get(url).content.decode()
    row = auto.row
    assert (row.state, row.number, row.ceiling_minor, row.next_due_at) == ("on", 24, 25_80, DUE)
    assert row.consent_words in page.replace("&#x27;", "'")
    assert (row.consent_language, row.consent_version) == ("en", "2026-3")
    card = web.get(f"/cards/{auto.line}/").content.decode()
    for told in ("3 March 2026, 13:00", "for €12.90 each time", "from your wallet", "€25.80"):
        assert told in card, told
    assert web.post(url, {"off": "yes"})["Location"] == f"/cards/{auto.line}/"
    assert auto.row.state == "off"


@pytest.mark.parametrize(
    "wrong",
    [
        {"agreed": ""}, {"ceiling": "12.89"}, {"ceiling": "NaN"}, {"ceiling": "99999999"}, {"trigger": "used_up:0"},
        {"trigger": "date:25"}, {"pay_with": "card"}, {"price_minor": "1280"}, {"version": str(UUID(int=1))},
    ],
    ids=lambda wrong: "-".join(next(iter(wrong.items()))),
)  # fmt: skip
def test_what_was_not_agreed_to_switches_nothing_on(auto: Auto, web: Client, wrong: dict[str, str]) -> None:
    url = f"/cards/{auto.line}/auto/"
    answer = web.post(url, filled(web.get(url).content.decode(), **wrong))
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert AutoRenewal.objects.count() == 0


def test_the_page_of_someone_elses_card_is_not_there(auto: Auto, web: Client) -> None:
    other = auto.trade.card("emma").id
    assert web.get(f"/cards/{other}/auto/").status_code == 404
    assert web.post(f"/cards/{other}/auto/", {"off": "yes"}).status_code == 404


def test_the_letter_before_it_leads_to_where_it_is_switched_off(auto: Auto, web: Client) -> None:
    auto.on()
    auto.until(BEGIN + timedelta(hours=1))
    told = Message.objects.get(kind="reminder_autorenewal_soon")
    assert f"/cards/{auto.line}/auto/\n" in told.text
    assert "renews itself at 3 March 2026, 13:00 (Brussels time) for €12.90." in told.text


def test_a_refusal_is_told_with_why_and_when_again(auto: Auto, web: Client) -> None:
    drain(auto, 5_00)
    auto.on()
    auto.until(DUE)
    told = Message.objects.get(kind="reminder_autorenewal_refused")
    assert (
        "could not renew itself for €12.90. Nothing was charged. There was not enough in your wallet. "
        "We try again at 3 March 2026, 14:00 (Brussels time). You can renew it yourself at any time; "
        "what is booked ends at 4 March 2026, 13:00 (Brussels time)."
    ) in told.text
