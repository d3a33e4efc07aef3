"""A customer is told in time, never too often, and never what is no longer true: to the outbox, and out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.journeys import renewal_world
from tests.journeys.renewal_world import BEGIN, Trade
from xuka.accounts import operations as accounts
from xuka.accounts.rules import Told
from xuka.connectors.channels.smtp.connector import Smtp
from xuka.interfaces.jobs import reminder_words, reminding
from xuka.interfaces.web import links
from xuka.journal import queries as journal
from xuka.journal.models import Fact
from xuka.kernel.outcome import Done, Outcome, Refused
from xuka.lines import operations as lines
from xuka.messaging import operations as messaging
from xuka.messaging import queries as messaging_queries
from xuka.messaging.contract import Letter
from xuka.messaging.models import Message
from xuka.metering import counting, looking
from xuka.metering import queries as metering
from xuka.metering.records import Record
from xuka.reminders import operations as reminders
from xuka.reminders import queries
from xuka.reminders.models import Reminder
from xuka.renewals.models import Order, Quote

GB = 10**9
# Xiaoyu's week, 3 GB a day in Brussels, then 1000 kbps: it ends 2 days and 3 hours after BEGIN, on Wednesday at 13:00.
END = BEGIN + timedelta(days=2, hours=3)


class Post:
    """Every channel at once; down when the test says so, and gone for some addresses."""

    def __init__(self, trade: Trade) -> None:
        self.trade = trade
        self.is_down = False
        self.gone: set[str] = set()
        self.sent: list[tuple[datetime, str, Letter]] = []

    def channel(self, name: str) -> Any:
        post = self

        class Way:
            def send(self, letter: Letter) -> Outcome[str]:
                if letter.to in post.gone:
                    return Refused("gone", None, "status 410")
                if post.is_down:
                    return Refused("unreachable", timedelta(minutes=1), "ConnectionRefusedError")
                post.sent.append((post.trade.now, name, letter))
                return Done(str(letter.id))

        return Way()


@dataclass
class Ear:
    """The shop with its reminders at work: what will follow from facts is called here by hand."""

    trade: Trade
    post: Post
    seen: int = 0

    def follow(self) -> None:
        """What reactions.py says follows from each new fact."""
        for fact in list(Fact.objects.filter(id__gt=self.seen).order_by("id")):
            self.seen = fact.id
            match fact.what:
                case "period.opened" | "period.started" | "line.end_differs":
                    reminding.plan(line_id=fact.subject, now=self.trade.now)
                case "usage.crossed":
                    reminding.hear(line_id=fact.subject, now=self.trade.now)
                case "message.stale":
                    reminding.put_back(letter=fact.subject, now=self.trade.now)
                case "message.failed":
                    reminding.note_failed(message_id=fact.subject, now=self.trade.now)
                case "user.choices_set":
                    reminding.plan_of_customer(customer=fact.subject, now=self.trade.now)

    def tick(self) -> None:
        """What the sweeper does, until nothing is left."""
        looking.look(metering.due_meters(self.trade.now), now=self.trade.now)
        goes_on = True
        while goes_on:
            self.follow()
            reminding.tell(now=self.trade.now)
            for message_id in messaging_queries.due_messages(self.trade.now):
                messaging.send(message_id=message_id, now=self.trade.now)
            goes_on = Fact.objects.filter(id__gt=self.seen).exists()

    def until(self, moment: datetime, *, every: timedelta = timedelta(hours=1)) -> None:
        """Time passes, in steps."""
        while self.trade.now < moment:
            self.tick()
            self.trade.now = min(moment, self.trade.now + every)
        self.tick()

    def use(self, volume: int, *, person: str = "xiaoyu") -> None:
        """The card's phone used so many bytes a moment ago; counted and looked at."""
        at = self.trade.now - timedelta(minutes=2)
        told: dict[str, Any] = {"up_bytes": 0, "down_bytes": volume, "network": "206-01"}
        record = Record(uuid4().hex, self.trade.card(person).iccid, at, at + timedelta(minutes=1), **told)
        counting.count(source=counting.source("network"), records=[record], now=self.trade.now)
        self.tick()

    def renew(self) -> UUID:
        """Xiaoyu's card is renewed; returns the order."""
        order = uuid4()
        lines.open_period(
            line_id=self.trade.card("xiaoyu").id, order_id=order, ordinal=0, track="main",
            plan_version=self.trade.shop.plan("be-week-3gb-day"), activated_at=self.trade.now,
            funded_at=self.trade.now, carrier_ends_at=None, who="carrier:airalo", now=self.trade.now,
        )  # fmt: skip
        return order

    def heard(self, person: str = "xiaoyu") -> list[tuple[timedelta, str]]:
        """When (after BEGIN) and which subject, of each mail that this person got about a reminder."""
        to = self.trade.shop.people[person].email
        return [(at - BEGIN, letter.subject) for at, _, letter in self.post.sent if letter.to == to]

    def states(self, person: str = "xiaoyu") -> dict[str, str]:
        rows = Reminder.objects.filter(line_id=self.trade.card(person).id).order_by("due_at")
        return {row.kind: row.state for row in rows}


@pytest.fixture
def trade(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trade]:
    """The shop at work inside one transaction: nobody else looks, and nothing needs to be cleared away."""
    with renewal_world.at_work(settings, monkeypatch) as trade:
        yield trade


@pytest.fixture
def ear(trade: Trade, monkeypatch: pytest.MonkeyPatch) -> Ear:
    """Its reminders at work, over a post that only Xiaoyu hears from."""
    post = Post(trade)
    monkeypatch.setattr(messaging, "channel", post.channel)
    ear = Ear(trade, post)
    for person in ("sato", "emma"):
        accounts.choose(
            customer=trade.customer(person),
            told=Told(ending=frozenset(), usage=frozenset(), renewal=frozenset()),
            now=trade.now,
        )
    accounts.set_language(customer=trade.customer("xiaoyu"), language="en", now=trade.now)
    return ear


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


# -- the whole way ---------------------------------------------------------------------------------------------------


def test_a_card_that_fills_slows_resets_and_ends_is_told_of_each_once(ear: Ear) -> None:
    ear.tick()
    ear.trade.now += hours(1)
    ear.use(17 * GB // 10)
    ear.trade.now += hours(1)
    ear.use(14 * GB // 10)  # 80, 95 and 100 at once: only that it is used up is told
    ear.until(END + timedelta(days=4))
    assert ear.heard() == [
        (hours(0), "Your card ends in 2 days"),
        (hours(1), "50% of your data is used"),
        (hours(2), "Your full-speed data is used up"),
        # Midnight in Brussels is quiet: the new start is told at eight.
        (hours(22), "Full speed is back"),
        (hours(27), "Your card ends in 1 day"),
        (hours(48), "Your card ends in 3 hours"),
        (hours(51), "Your card has ended"),
    ]
    assert queries.planned_for(ear.trade.card("xiaoyu").id) == []
    texts = [letter.text for _, _, letter in ear.post.sent]
    assert "from now on at most 1\N{NO-BREAK SPACE}Mbps, until 2 March 2026, 23:59 (Brussels time)." in texts[2]
    assert "was valid through 4 March 2026, 13:00 (Brussels time) and was not renewed." in texts[-1]
    assert ear.states() == dict.fromkeys(
        ["ends_3d", "used_50", "used_100", "reset", "ends_1d", "ends_3h", "ended"], "told"
    )


def test_a_renewal_drops_what_was_planned_and_plans_the_new_end(ear: Ear) -> None:
    ear.tick()
    ear.renew()
    ear.until(END + timedelta(days=7))
    assert [subject for _, subject in ear.heard() if "card" in subject.lower()] == [
        "Your card ends in 2 days",
        "Your card ends in 7 days",
        "Your card ends in 3 days",
        "Your card ends in 1 day",
        "Your card ends in 3 hours",
        "Your card has ended",
    ]
    dropped = Reminder.objects.filter(line_id=ear.trade.card("xiaoyu").id, state="dropped")
    assert sorted(row.kind for row in dropped) == ["ended", "ends_1d", "ends_3h"]
    assert {row.cause for row in dropped} == {f"end:{END.isoformat()}"}


def test_a_letter_that_waits_when_the_card_is_renewed_is_taken_back(ear: Ear) -> None:
    ear.post.is_down = True
    ear.tick()
    (waiting,) = Message.objects.filter(kind="reminder_ends_3d")
    assert waiting.state == "queued"
    ear.renew()
    ear.tick()
    ear.post.is_down = False
    ear.until(BEGIN + hours(12))
    waiting.refresh_from_db()
    assert (waiting.state, waiting.sent_at) == ("stale", None)
    assert [s for _, s in ear.heard() if "ends in 2" in s] == []
    assert [fact.what for fact in journal.facts_about(waiting.cause)] == ["message.stale"]


def test_a_renewal_that_is_taken_back_makes_the_old_reminders_true_again(ear: Ear) -> None:
    ear.tick()
    order = ear.renew()
    ear.tick()
    assert ear.states()["ended"] == "planned"
    with connection.cursor() as cursor:
        cursor.execute("update lines_period set voided_at = now() where order_id = %s", [order])
    reminding.plan(line_id=ear.trade.card("xiaoyu").id, now=ear.trade.now)
    planned = queries.planned_for(ear.trade.card("xiaoyu").id)
    assert [(row.kind, row.due_at) for row in planned] == [
        ("ends_1d", END - timedelta(days=1)), ("ends_3h", END - hours(3)), ("ended", END)
    ]  # fmt: skip


def test_planning_again_changes_nothing(ear: Ear) -> None:
    ear.tick()
    before, line = list(Reminder.objects.order_by("id").values()), ear.trade.card("xiaoyu")
    for _ in range(2):
        assert reminders.plan(line_ids=[line.id], now=ear.trade.now) == 0
        assert reminders.hear(line_ids=[line.id], now=ear.trade.now) == 0
        ear.tick()
    assert list(Reminder.objects.order_by("id").values()) == before
    assert len(ear.post.sent) == 1


def test_cards_from_before_there_were_reminders_get_theirs_once(ear: Ear) -> None:
    for fact in ("xiaoyu", "emma", "sato"):
        reminding.plan(line_id=ear.trade.card(fact).id, now=ear.trade.now)
    before = sorted(Reminder.objects.values_list("id", "line_id", "kind", "due_at"))
    assert len({line for _, line, _, _ in before}) == 3
    Reminder.objects.all().delete()
    reminding.plan(line_id=ear.trade.card("emma").id, now=ear.trade.now)
    there = Reminder.objects.count()
    assert reminders.plan_missing(now=ear.trade.now, limit=1) == len(before) - there
    assert sorted(Reminder.objects.values_list("id", "line_id", "kind", "due_at")) == before
    assert reminders.plan_missing(now=ear.trade.now) == 0
    # What is over has nothing ahead: nobody is told of it now.
    Reminder.objects.all().delete()
    assert reminders.plan_missing(now=ear.trade.now + timedelta(days=400)) == 0


# -- mail that does not go out ---------------------------------------------------------------------------------------


def test_after_a_day_without_mail_only_the_truth_is_sent(ear: Ear) -> None:
    ear.until(BEGIN + hours(26))
    ear.post.sent.clear()
    ear.post.is_down = True
    ear.until(BEGIN + hours(50))  # "1 day" and "3 hours" came due meanwhile
    assert ear.heard() == []
    ear.post.is_down = False
    ear.trade.now += timedelta(minutes=20)
    ear.until(BEGIN + hours(56))
    # What was written meanwhile is not right any more: it is written anew.
    assert ear.heard() == [
        (hours(50) + timedelta(minutes=20), "Your card ends in 40 minutes"),
        (hours(51) + timedelta(minutes=20), "Your card has ended"),
    ]
    stale = Message.objects.filter(state="stale")
    assert {message.kind for message in stale} == {"reminder_ends_1d", "reminder_ends_3h"}
    assert all(message.sent_at is None for message in stale)
    assert Message.objects.filter(state="failed").count() == 0


def test_what_is_left_of_a_stale_letter_is_told_anew(ear: Ear) -> None:
    ear.post.is_down = True
    ear.use(17 * GB // 10)
    # Two things in one letter: that the card ends, and that half is used, which is counted anew each three hours.
    (letter,) = Message.objects.filter(kind="reminder_ends_3d")
    assert letter.subject == "Your card ends in 2 days, and 1 more"
    assert letter.not_after == BEGIN + hours(3)
    ear.until(BEGIN + hours(22))
    ear.post.is_down = False
    ear.until(BEGIN + hours(26))
    # At midnight, which is quiet, a new day began: nothing is half used any more.
    assert ear.heard() == [(hours(23), "Your card ends in 28 hours")]
    assert ear.states()["used_50"] == "dropped"


# -- not too often ---------------------------------------------------------------------------------------------------


def test_all_that_is_due_within_half_an_hour_is_one_letter_the_most_urgent_first(ear: Ear) -> None:
    ear.until(END - timedelta(days=1, minutes=20))
    ear.post.sent.clear()
    ear.use(3 * GB)  # 20 minutes before "1 day"
    (only,) = ear.post.sent
    assert only[2].subject == "Your full-speed data is used up, and 1 more"
    titles = re.findall(r"<h1[^>]*>([^<]*)</h1>", only[2].html)
    assert titles == ["Your full-speed data is used up", "Your card ends in 1 day"]
    assert (ear.states()["used_100"], ear.states()["ends_1d"]) == ("told", "merged")
    ear.until(END - hours(22))
    assert len(ear.post.sent) == 1


def test_a_letter_that_cannot_be_put_into_words_keeps_no_other_waiting_and_is_tried_again(
    ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.choose(customer=ear.trade.customer("emma"), told=Told(), now=ear.trade.now)
    wordless, write = {ear.trade.customer("xiaoyu")}, reminder_words._written

    def fails(letter: reminders.Letter, now: datetime) -> reminders.Written:
        assert letter.reach.customer not in wordless, "a mistake of ours"
        return write(letter, now)

    monkeypatch.setattr(reminder_words, "_written", fails)
    ear.tick()
    assert [subject for _, subject in ear.heard("emma")] == ["Your card has ended"]
    assert ear.heard() == []
    wordless.clear()
    ear.trade.now += hours(1) - timedelta(seconds=1)
    ear.tick()
    assert ear.heard() == []
    ear.trade.now += timedelta(seconds=1)
    ear.tick()
    assert ear.heard() == [(hours(1), "Your card ends in 2 days")]
    assert len(ear.heard("emma")) == 1


def test_in_quiet_hours_only_what_cannot_wait_is_told(ear: Ear) -> None:
    ear.tick()
    ear.trade.now = BEGIN + hours(12.9)  # 22:54 in Brussels
    ear.post.sent.clear()
    ear.use(17 * GB // 10)
    assert ear.heard() == []  # it is over at midnight, before the quiet hours are: never told
    ear.use(14 * GB // 10)
    assert [subject for _, subject in ear.heard()] == ["Your full-speed data is used up"]


def test_who_wants_no_night_at_all_is_left_alone(ear: Ear) -> None:
    accounts.choose(customer=ear.trade.customer("xiaoyu"), told=Told(urgent_at_night=False), now=ear.trade.now)
    ear.tick()
    ear.trade.now = BEGIN + hours(12.9)
    ear.post.sent.clear()
    ear.use(4 * GB)
    ear.until(BEGIN + hours(24))
    assert [subject for _, subject in ear.heard()] == ["Full speed is back"]


def test_quiet_hours_are_on_the_customers_own_clock(ear: Ear) -> None:
    told = Told(quiet_from=time(20), quiet_to=time(23))
    accounts.set_time_zone(customer=ear.trade.customer("xiaoyu"), time_zone="Asia/Shanghai", now=ear.trade.now)
    accounts.choose(customer=ear.trade.customer("xiaoyu"), told=told, now=ear.trade.now)
    ear.tick()
    planned = {row.kind: row.due_at - END for row in queries.planned_for(ear.trade.card("xiaoyu").id)}
    # The end is 20:00 in Shanghai: "1 day" and "ended" wait until 23:00, "3 hours" is at 17:00.
    assert planned == {"ends_1d": hours(-21), "ends_3h": hours(-3), "ended": hours(3)}
    assert "(Shanghai time)" in ear.post.sent[0][2].text


def test_a_card_that_changed_hands_tells_its_old_owner_nothing(ear: Ear) -> None:
    ear.tick()
    ear.post.sent.clear()
    line = ear.trade.card("xiaoyu")
    with connection.cursor() as cursor:
        cursor.execute("update lines_line set owner_id = %s where id = %s", [ear.trade.customer("emma"), line.id])
    ear.until(END + hours(2))
    assert ear.post.sent == []


# -- choices and contacts --------------------------------------------------------------------------------------------


def test_each_group_goes_over_its_own_channels(ear: Ear) -> None:
    customer = ear.trade.customer("xiaoyu")
    accounts.set_phone(customer=customer, phone="+32470123456", now=ear.trade.now)
    for channel, address in (("telegram", "424242"), ("webpush", '{"endpoint":"https://push.example/1"}')):
        accounts.add_contact(customer=customer, channel=channel, address=address, label="", now=ear.trade.now)
    told = Told(ending=frozenset({"telegram"}), usage=frozenset({"sms", "webpush", "card"}))
    accounts.choose(customer=customer, told=told, now=ear.trade.now)
    ear.tick()
    ear.use(3 * GB)
    iccid = ear.trade.card("xiaoyu").iccid
    sent = {(channel, letter.to, letter.subject) for _, channel, letter in ear.post.sent}
    assert sent == {
        ("telegram", "424242", "Your card ends in 2 days"),
        ("sms", "+32470123456", ""),
        ("webpush", '{"endpoint":"https://push.example/1"}', "Your full-speed data is used up"),
        ("card", iccid, ""),
    }
    (text,) = [letter.text for _, channel, letter in ear.post.sent if channel == "sms"]
    assert text.startswith(f"Your full-speed data is used up (card {iccid[-4:]}, until 03-02 23:59)\nhttp")


def test_a_contact_where_nobody_is_any_more_is_switched_off(ear: Ear) -> None:
    customer = ear.trade.customer("xiaoyu")
    contact = accounts.add_contact(customer=customer, channel="webpush", address="gone", label="", now=ear.trade.now)
    both = frozenset({"email", "webpush"})
    accounts.choose(customer=customer, told=Told(both, both, both), now=ear.trade.now)
    ear.post.gone.add("gone")
    ear.tick()
    contact.refresh_from_db()
    assert not contact.is_working
    (fact,) = [fact for fact in journal.facts_about(customer) if fact.what == "user.contact_gone"]
    assert fact.after == {"channel": "webpush"}
    ear.until(END + hours(1))
    assert Message.objects.filter(channel="webpush").count() == 1
    assert len(ear.heard()) == 4


def test_a_channel_somebody_else_proves_to_hold_is_theirs(ear: Ear) -> None:
    mine, other = ear.trade.customer("xiaoyu"), ear.trade.customer("emma")
    for customer in (mine, other, other):
        accounts.add_contact(customer=customer, channel="telegram", address="1", label="", now=ear.trade.now)
    facts = [(fact.what, fact.after) for who in (mine, other) for fact in journal.facts_about(who)]
    told = {"channel": "telegram"}
    assert [one for one in facts if "contact" in one[0]] == [
        ("user.contact_added", told), ("user.contact_lost", told), ("user.contact_added", told)
    ]  # fmt: skip


def test_what_is_announced_is_told_once_until_it_is_retracted(ear: Ear) -> None:
    ear.tick()
    ear.post.sent.clear()
    line = ear.trade.card("xiaoyu")
    says = {"price": {"minor": 1290, "currency": "EUR"}, "at": (BEGIN + hours(30)).isoformat()}
    for cause, kind in (("a", "autorenewal_soon"), ("a", "autorenewal_soon"), ("b", "autorenewal_refused")):
        reminders.announce(
            line_id=line.id, kind=kind, cause=cause, due_at=BEGIN + hours(1), not_after=BEGIN + hours(30),
            says=says, now=ear.trade.now,
        )  # fmt: skip
    reminders.retract(line_id=line.id, kind="autorenewal_refused", cause="b")
    ear.until(BEGIN + hours(5))
    assert ear.heard() == [(hours(1), "Your card renews itself soon")]
    assert "renews itself at 3 March 2026, 16:00 (Brussels time) for €12.90." in ear.post.sent[0][2].text


# -- links -------------------------------------------------------------------------------------------------------------


def path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def link(ear: Ear) -> str:
    line = ear.trade.card("xiaoyu")
    assert line.owner_id
    return path(links.reading(line_id=line.id, owner=line.owner_id, now=ear.trade.now))


def test_the_link_of_a_reminder_reads_and_never_pays(ear: Ear) -> None:
    ear.tick()
    (_, _, letter) = ear.post.sent[0]
    url = link(ear)
    assert url in letter.text
    assert url in letter.html
    client = Client()
    with CaptureQueriesContext(connection) as asked:
        page = client.get(url)
    said = page.content.decode()
    line = ear.trade.card("xiaoyu")
    assert page.status_code == 200
    assert f"card ending in {line.iccid[-4:]}" in said
    assert "€12.90" in said
    assert "4 March 2026, 13:00" in said
    assert f"/account/login/code/?next={url}" in said
    for secret in ("王小雨", "xiaoyu@", line.iccid):
        assert secret not in said
    assert page["X-Robots-Tag"] == "noindex, nofollow"
    assert not [q["sql"] for q in asked.captured_queries if re.match(r"(?i)\s*(insert|update|delete)", q["sql"])]
    assert client.post(url).status_code == 405
    assert "sessionid" not in client.cookies
    assert (Quote.objects.count(), Order.objects.count()) == (0, 0)


def test_the_owner_goes_from_the_link_to_the_same_renewal(ear: Ear) -> None:
    client = Client()
    client.force_login(ear.trade.shop.people["xiaoyu"], backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get(link(ear)).content.decode()
    plan = ear.trade.shop.plan("be-week-3gb-day")
    assert f'name="plan" value="{plan.id}"' in page
    answer = client.post(f"/cards/{ear.trade.card('xiaoyu').id}/quote/", {"plan": str(plan.id)})
    quote = Quote.objects.get()
    assert (answer["Location"], quote.plan_version_id) == (f"/quotes/{quote.id}/", plan.id)
    assert Order.objects.count() == 0


def test_a_link_shows_nothing_to_nobody_when_it_is_old_wrong_or_the_card_changed_hands(ear: Ear) -> None:
    url, client = link(ear), Client()
    other = Client()
    other.force_login(ear.trade.shop.people["emma"], backend="allauth.account.auth_backends.AuthenticationBackend")
    assert "another account" in other.get(url).content.decode()
    assert 'name="plan"' not in other.get(url).content.decode()
    bad = [url[:-3] + "AA/", url.replace("/r/", "/r/A"), "/r/x/", "/r/" + "A" * 46 + "/"]
    assert [client.get(one).status_code for one in bad] == [404] * 4
    line = ear.trade.card("xiaoyu")
    foreign = links.reading(line_id=line.id, owner=ear.trade.customer("emma"), now=ear.trade.now)
    assert client.get(path(foreign)).status_code == 404
    ear.trade.now += timedelta(days=29)
    assert client.get(url).status_code == 200
    ear.trade.now += timedelta(days=2)
    assert client.get(url).status_code == 404
    ear.trade.now = BEGIN
    with connection.cursor() as cursor:
        cursor.execute("update lines_line set owner_id = %s where id = %s", [ear.trade.customer("emma"), line.id])
    gone = client.get(url)
    assert gone.status_code == 404
    assert line.iccid[-4:] not in gone.content.decode()


def test_one_click_in_the_mail_program_ends_this_group_and_no_other(ear: Ear) -> None:
    ear.tick()
    (_, _, letter) = ear.post.sent[0]
    url, client = path(letter.unsubscribe), Client(enforce_csrf_checks=True)
    customer = ear.trade.customer("xiaoyu")
    asked = client.get(url)
    assert asked.status_code == 200
    assert "Receipts, refunds and what concerns your security still come" in asked.content.decode()
    assert not [fact for fact in journal.facts_about(customer) if fact.what == "user.choices_set"]
    for _ in range(2):
        assert client.post(url, {"List-Unsubscribe": "One-Click"}).status_code == 200
    (fact,) = [fact for fact in journal.facts_about(customer) if fact.what == "user.choices_set"]
    assert (fact.after or {})["ending"] == []
    assert (fact.after or {})["usage"] == ["email"]
    ear.use(3 * GB)
    ear.until(END + hours(1))
    assert [subject for _, subject in ear.heard()][1:] == ["Your full-speed data is used up", "Full speed is back"]
    assert Client().post("/u/" + "A" * 45 + "/").status_code == 404


# -- the pages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "title", "subject"),
    [
        ("en", "Reminders", "Your card ends in 2 days"),
        ("zh-hans", "提醒", "您的卡还有 2 天到期"),
        ("ja", "お知らせ", "SIMの有効期限まであと2日です"),
        ("fr", "Rappels", "Votre carte expire dans 2 jours"),
        ("nl", "Herinneringen", "Uw kaart loopt af over 2 dagen"),
    ],
)
def test_pages_and_letters_are_in_the_customers_language(ear: Ear, language: str, title: str, subject: str) -> None:
    user = ear.trade.shop.people["xiaoyu"]
    accounts.set_language(customer=user.id, language=language, now=ear.trade.now)
    ear.tick()
    (_, _, letter) = ear.post.sent[0]
    assert (letter.subject.replace("\N{NO-BREAK SPACE}", " "), letter.language) == (subject, language)
    client = Client(headers={"Accept-Language": language})
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    for url in ("/settings/notifications/", link(ear), path(letter.unsubscribe)):
        assert client.get(url).status_code == 200
        assert Client(headers={"Accept-Language": language}).get(url).status_code in {200, 302}
    assert f"<h1>{title}</h1>" in client.get("/settings/notifications/").content.decode()


def test_choices_are_a_table_that_works_without_script(ear: Ear, settings: Any) -> None:
    user = ear.trade.shop.people["xiaoyu"]
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get("/settings/notifications/").content.decode()
    assert page.count('name="told"') == 3
    assert page.count("checked") == 4
    told = {"told": ["usage:email"], "quiet_from": "21:30", "quiet_to": "07:00"}
    assert client.post("/settings/notifications/", told)["Location"] == "/settings/notifications/"
    (fact,) = [fact for fact in journal.facts_about(user.id) if fact.what == "user.choices_set"]
    assert fact.after == {
        "ending": [], "usage": ["email"], "renewal": [], "quiet": ["21:30", "07:00"], "urgent_at_night": False
    }  # fmt: skip
    for bad in ({"quiet_from": "25:00"}, {"told": ["usage:pigeon"]}, {"quiet_to": ""}):
        assert client.post("/settings/notifications/", told | bad).status_code == 422
    # Where a network sends texts to cards, the card itself is told of its use alone.
    settings.CHANNELS = {**settings.CHANNELS, "card": {}}
    page = client.get("/settings/notifications/").content.decode()
    assert re.findall(r'value="(\w+:card)"', page) == ["usage:card"]


def test_a_messenger_is_connected_by_a_code_from_the_page(ear: Ear, settings: Any) -> None:
    user = ear.trade.shop.people["xiaoyu"]
    settings.CHANNELS = {**settings.CHANNELS, "telegram": {}}
    settings.CHATS = {"telegram": {"account": "xuka_bot", "secret": "s3cret"}}
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get("/settings/notifications/").content.decode()
    (code,) = set(re.findall(r"t\.me/xuka_bot\?start=([A-Za-z0-9_-]{49})\"", page))
    message = {"message": {"chat": {"id": 424242, "type": "private"}, "text": f"/start {code}"}}

    def post(secret: str) -> int:
        headers = {"X-Telegram-Bot-Api-Secret-Token": secret}
        return (
            Client(headers=headers)
            .post("/webhooks/chat/telegram/", message, content_type="application/json")
            .status_code
        )

    assert post("wrong") == 401
    assert not [fact for fact in journal.facts_about(user.id) if "contact" in fact.what]
    assert [post("s3cret"), post("s3cret")] == [200, 200]
    facts = [fact for fact in journal.facts_about(user.id) if "contact" in fact.what]
    assert [(fact.what, fact.after) for fact in facts] == [("user.contact_added", {"channel": "telegram"})]
    ear.tick()
    chat = sorted((letter.to, letter.subject) for _, channel, letter in ear.post.sent if channel == "telegram")
    assert chat == [("424242", "Connected"), ("424242", "Your card ends in 2 days")]
    ear.trade.now += timedelta(minutes=16)
    message["message"]["chat"]["id"] = 7
    post("s3cret")
    assert len([fact for fact in journal.facts_about(user.id) if "contact" in fact.what]) == 1
    contact_id = UUID(
        re.findall(r"notifications/([0-9a-f-]{36})/remove", client.get("/settings/notifications/").content.decode())[0]
    )
    other = Client()
    other.force_login(ear.trade.shop.people["emma"], backend="allauth.account.auth_backends.AuthenticationBackend")
    other.post(f"/settings/notifications/{contact_id}/remove/")
    assert str(contact_id) in client.get("/settings/notifications/").content.decode()
    client.post(f"/settings/notifications/{contact_id}/remove/")
    assert str(contact_id) not in client.get("/settings/notifications/").content.decode()


# -- on the wire -------------------------------------------------------------------------------------------------------


def test_a_mail_program_can_end_reminders_by_itself_and_no_other_mail_offers_it(ear: Ear) -> None:
    ear.tick()
    (_, _, letter) = ear.post.sent[0]
    smtp = Smtp(host="127.0.0.1", port=25, sender="Xuka <seller@xuka.example>")
    mail = smtp._message(letter)
    assert mail["List-Unsubscribe"] == f"<{letter.unsubscribe}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    receipt = smtp._message(replace(letter, unsubscribe=""))
    assert (receipt["List-Unsubscribe"], receipt["List-Unsubscribe-Post"]) == (None, None)
    with pytest.raises(ValueError, match="not an address"):
        smtp._message(replace(letter, unsubscribe="https://x.example/>\r\nBcc: a@b.example"))


def test_a_text_to_the_card_itself_goes_by_its_carrier(ear: Ear) -> None:
    sent: list[tuple[str, str, str]] = []

    class Carrier:
        can_text = True

        def text(self, *, key: str, iccid: str, words: str) -> Outcome[str]:
            sent.append((key, iccid, words))
            return Done("sms-1")

    line = ear.trade.card("xiaoyu")
    letter = Letter(uuid4(), line.iccid, "en", "", "Your full-speed data is used up")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reminding.activation, "carrier", lambda name: Carrier())
        assert reminding.CardTexts().send(letter) == Done("sms-1")
        assert sent == [(str(letter.id), line.iccid, letter.text)]
        Carrier.can_text = False
        for to, reason in ((line.iccid, "not_supported"), ("8932042000009999993", "bad_address")):
            outcome = reminding.CardTexts().send(replace(letter, to=to))
            assert isinstance(outcome, Refused)
            assert (outcome.reason, outcome.retry_after) == (reason, None)
        assert len(sent) == 1
