"""A provider's settlement report is held against the books: what differs, why, what to do, and how it ends.

The provider is the stand-in for Stripe, which tells its balance transactions. A week costs EUR 12.90.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests.journeys.payment_world import Till
from xuka.interfaces.jobs import tasks
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done
from xuka.messaging import queries as messaging
from xuka.payments import providers, reconciliation, rules
from xuka.payments.contract import Ask
from xuka.payments.models import Payment, SettledRow, SettlementDifference, SettlementReport
from xuka.payments.reconciliation_rules import Difference

STATEMENT = "/staff/payments/settlementreport/statement/"


def paid(till: Till, person: str) -> Payment:
    _, payment = till.checkout(person)
    till.world.pay(payment.reference)
    till.deliver()
    return till.payment(payment)


def sell_outside(till: Till) -> None:
    """Somebody pays at the same provider for something that this shop never sold."""
    now = till.trade.now
    ask = Ask(
        "market-stall-1", "card", Money(7_00, "EUR"), now, now + timedelta(hours=2), "tea", "http://stall.test/", "en"
    )
    started = providers.provider("stripe").start(ask)
    assert isinstance(started, Done)
    till.world.pay(started.value.reference)


def told() -> list[tuple[str, str, str, int | None, int | None, str]]:
    rows = SettlementDifference.objects.order_by("kind", "cause")
    return [(one.kind, one.cause, one.action, one.here_minor, one.there_minor, one.state) for one in rows]


def test_a_day_is_held_against_the_books(till: Till) -> None:
    day = till.trade.now.date()
    till.trade.fail("topup_disabled")
    given_back = paid(till, "xiaoyu")  # the carrier refused: the money went back to the card
    assert till.kept(given_back) == 0
    changed = paid(till, "xiaoyu")
    intent = till.world.one("payment_intent", changed.charge)
    till.world.one("charge", intent["latest_charge"])["amount_captured"] = 11_90
    _, unheard = till.checkout()
    till.world.pay(unheard.reference)
    till.take()  # its webhooks are lost
    sell_outside(till)
    till.trade.sleep(days=1)

    till.fail("timeout_before", "balance_list", times=None)
    report = reconciliation.reconcile(provider="stripe", day=day, now=till.trade.now)
    assert (report.state, report.rows_read, told()) == ("waiting", 0, [])
    till.heal()
    assert reconciliation.days_due("stripe", till.trade.now) == [day - timedelta(2), day - timedelta(1), day]
    tasks.read_settlements(0)
    report.refresh_from_db()
    assert (report.state, report.source, report.rows_read) == ("read", "call", 5)
    assert report.sums["payment"] == {"EUR": 12_90 + 11_90 + 12_90 + 7_00}
    assert report.sums["refund"] == {"EUR": -12_90}
    amount = ("another_amount", "moved_otherwise", "compare", 12_90, 11_90)
    outside = ("missing_here", "not_ours", "find_origin", None, 7_00)
    lost = ("missing_here", "not_heard", "look_again", None, 12_90)
    assert told() == [(*amount, "open"), (*lost, "open"), (*outside, "open")]

    # The same day again adds nothing.
    before = (list(SettledRow.objects.values()), list(SettlementDifference.objects.values()))
    reconciliation.reconcile(provider="stripe", day=day, now=till.trade.now)
    assert (list(SettledRow.objects.values()), list(SettlementDifference.objects.values())) == before
    assert reconciliation.days_due("stripe", till.trade.now) == []

    # The seller is told once; what was lost is looked at by itself, and the next reading closes it.
    till.trade.work()
    (letter,) = messaging.messages_about(report.id)
    assert letter.subject == f"Settlement of stripe on {day}: 3 to look at"
    assert till.payment(unheard).state == "paid"
    till.trade.sleep(days=1)
    tasks.read_settlements(0)
    till.trade.work()
    assert told() == [(*amount, "open"), (*lost, "resolved"), (*outside, "open")]
    assert len(messaging.messages_about(report.id)) == 1


def test_staff_see_what_differs_and_settle_it_with_a_reason(till: Till) -> None:
    sell_outside(till)
    till.trade.sleep(days=1)
    day = till.trade.now.date() - timedelta(1)
    report = reconciliation.reconcile(provider="stripe", day=day, now=till.trade.now)
    staff = Client()
    staff.force_login(till.trade.shop.staff)
    one = SettlementDifference.objects.get()
    page = reverse("admin:payments_settlementreport_change", args=[report.id])
    settle = reverse("admin:payments_settlementdifference_settle", args=[one.id])
    assert "1 to look at" in staff.get(reverse("admin:payments_settlementreport_changelist")).content.decode()
    assert "Made outside of this shop" in staff.get(page).content.decode()
    assert settle in staff.get(reverse("admin:payments_settlementdifference_change", args=[one.id])).content.decode()
    assert staff.post(settle, {"why": " "}).status_code == 400
    assert staff.post(settle, {"why": "The stall on the market: booked there."}).status_code == 302
    one.refresh_from_db()
    assert (one.state, one.settled_by) == ("settled", f"staff:{till.trade.shop.staff.id}")
    reconciliation.reconcile(provider="stripe", day=day, now=till.trade.now)
    assert [row[-1] for row in told()] == ["settled"]
    assert "agrees" in staff.get(reverse("admin:payments_settlementreport_changelist")).content.decode()

    def bring(content: bytes) -> tuple[int, str]:
        answer = staff.post(STATEMENT, {"provider": "stripe", "file": SimpleUploadedFile("bill.csv", content)})
        return answer.status_code, answer.content.decode()

    code, says = bring(b"a" * 100_000)  # larger than any other form may be
    assert (code, "no file is needed" in says) == (400, True)
    code, says = bring(b"a" * (8 * 1024 * 1024 + 1))
    assert (code, "larger than 8 MB" in says) == (400, True)
    assert bring(b"a" * (9 * 1024 * 1024))[0] == 413
    assert SettlementReport.objects.count() == 1


def test_what_staff_settle_while_it_is_read_again_stays_theirs(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    sell_outside(till)
    till.trade.sleep(days=1)
    now, staff = till.trade.now, till.trade.shop.staff.id
    day = now.date() - timedelta(1)
    reconciliation.reconcile(provider="stripe", day=day, now=now)
    one = SettlementDifference.objects.get()

    def settled_meanwhile(*of: object) -> list[Difference]:
        reconciliation.settle(difference_id=one.id, staff=staff, why="booked by hand", now=now)
        return []

    monkeypatch.setattr(reconciliation.rules, "differences", settled_meanwhile)
    reconciliation.reconcile(provider="stripe", day=day, now=now)
    one.refresh_from_db()
    assert (one.state, one.settled_by, one.why) == ("settled", f"staff:{staff}", "booked by hand")


def test_a_file_is_kept_once_however_often_it_is_brought(till: Till, settings) -> None:
    """LINE Pay hands out files only: its days wait for one."""
    settings.PROVIDERS |= {
        "line_pay": {
            "connector": "xuka.connectors.payments.line_pay.connector.LinePay",
            "base_url": "http://line.test",
            "channel_id": "1",
            "channel_secret": "s",
        }
    }
    now = till.trade.now
    days = reconciliation.days_due("line_pay", now)
    assert reconciliation.reconcile(provider="line_pay", day=days[0], now=now).state == "by_file"
    at = f"{days[0]}T10:00:00+09:00"
    head = "Transaction ID,Order ID,Transaction Type,Transaction Date,Currency,Amount,Fee"
    sale = f"2026030112345678910,{rules.words_of(uuid4())},PAYMENT,{at},TWD,300,9"
    for content in (f"{head}\n{sale}\n", f"{head}\n{sale}\n"):
        (report,) = reconciliation.take_statement(provider="line_pay", content=content.encode(), who="staff:x", now=now)
        assert (report.state, report.rows_read, report.day) == ("read", 1, days[0])
    assert told() == [("missing_here", "other_books", "find_origin", None, 300_00, "open")]
