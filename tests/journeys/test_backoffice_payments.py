"""What staff see of payments, refunds and webhooks, and what they can do about them, through the pages only.

xiaoyu's card in Belgium runs for two more days; a week costs EUR 12.90. Her wallet holds EUR 60.00. The provider is a
stand-in; its webhooks arrive when the test says so.
"""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from tests.journeys.payment_world import Till
from xuka.journal import queries as journal
from xuka.messaging import queries as messaging
from xuka.payments import queries as payments
from xuka.payments.models import Event, Health, MethodFee, Payment, Refund
from xuka.renewals.models import Order

PRICE = 12_90


@pytest.fixture
def staff(till: Till) -> Client:
    client = Client()
    client.force_login(till.trade.shop.staff)
    return client


def text_of(response: Any) -> str:
    """The words of a page without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def page(row: Payment | Refund) -> str:
    """The address that the letters to the seller name."""
    return f"/staff/payments/{'payment' if isinstance(row, Payment) else 'refund'}/{row.id}/change/"


def give_back(payment: Payment) -> str:
    return reverse("admin:payments_payment_give_back", args=[payment.id])


def exit_of(refund: Refund, exit: str) -> str:
    return reverse("admin:payments_refund_decide", args=[refund.id, exit])


def paid(till: Till) -> tuple[Order, Payment]:
    """A renewal that was paid by card and is active."""
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    till.deliver()
    return order, till.payment(payment)


def mismatched(till: Till, fault: str = "wrong_amount") -> tuple[Order, Payment]:
    """A payment of which something else was captured than was asked."""
    order, payment = till.checkout()
    till.fail(fault, "pay")
    till.world.pay(payment.reference)
    till.deliver()
    return order, till.payment(payment)


def failed_refund(till: Till) -> tuple[Order, Refund]:
    """An order that the carrier refused, whose money did not arrive back at the card."""
    till.trade.fail("topup_disabled")
    till.fail("refund_fails", "refund_create")
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    till.deliver()
    (refund,) = till.refunds(order)
    assert refund.state == "failed"
    return order, refund


def stranger(till: Till) -> Event:
    """A genuine event about no payment of this shop."""
    _, payment = till.checkout()
    till.world.pay(payment.reference)
    body, _ = next(one for one in till.take() if payment.id.hex.encode() in one[0])
    body = body.replace(payment.id.hex.encode(), uuid4().hex.encode())
    assert till.post(body, till.sign(body)) == 200
    return Event.objects.get()


def decisions(order: Order) -> list[tuple[str, str, str]]:
    facts = journal.facts_about(order.id)
    return [(f.what, f.who, f.why) for f in facts if f.what in {"payment.decided", "refund.decided"}]


def shown(response: Any) -> list[Any]:
    return [row.id for row in response.context["cl"].result_list]


def figures(staff: Client) -> dict[str, int]:
    return {figure["title"]: figure["count"] for figure in staff.get("/staff/").context["figures"]}


# -- who may enter -----------------------------------------------------------------------------------------------------


def test_only_staff_sees_or_decides_about_money(till: Till) -> None:
    _, refund = failed_refund(till)
    customer = Client()
    customer.force_login(till.trade.shop.people["xiaoyu"])
    for url in (
        page(refund),
        page(refund.payment),
        exit_of(refund, "to_wallet"),
        give_back(refund.payment),
        reverse("admin:payments_methodfee_set_view"),
        "/staff/payments/event/",
    ):
        for ask in (customer.get, customer.post):
            assert ask(url, {"why": "mine"}).status_code == 404, url
        assert Client().post(url, {"why": "mine"}).status_code == 302, url
    refund.refresh_from_db()
    assert (refund.state, till.trade.wallet()) == ("failed", 60_00)


# -- reading -----------------------------------------------------------------------------------------------------------


def test_the_page_of_a_payment_tells_its_whole_story(till: Till, staff: Client) -> None:
    order, payment = paid(till)
    response = staff.get(page(payment))
    told = text_of(response)
    for part in (
        "paid", "test", "xiaoyu@demo.xuka.example", "€12.90", "card", "stripe (test)", payment.reference,
        payment.charge, f"xuka-{payment.id.hex}", "payment started", "payment confirmed",
        "captured clearing hold €12.90", "Nothing of it goes back.",
    ):  # fmt: skip
        assert part in told, part
    assert f"/staff/renewals/order/{order.id}/change/" in response.content.decode()
    assert "Give it back" not in told


def test_a_dispute_stands_on_the_page_of_its_payment(till: Till, staff: Client) -> None:
    _, payment = paid(till)
    assert "Disputed" not in text_of(staff.get(page(payment)))
    event = {
        "id": "evt_1", "object": "event", "type": "charge.dispute.created", "livemode": False,
        "created": int(till.trade.now.timestamp()),
        "data": {"object": {"id": "du_1", "object": "dispute", "payment_intent": payment.charge}},
    }  # fmt: skip
    body = json.dumps(event).encode()
    assert till.post(body, till.sign(body)) == 200
    told = text_of(staff.get(page(payment)))
    assert re.search(r"Disputed 2026-03-02 09:00\S*(?: UTC)?, du_1: answer it at the provider", told), told
    assert "payment disputed" in told


def test_the_page_of_an_order_shows_its_payments_its_refunds_and_all_their_money(till: Till, staff: Client) -> None:
    order, refund = failed_refund(till)
    response = staff.get(f"/staff/renewals/order/{order.id}/change/")
    html = response.content.decode()
    assert page(refund) in html
    assert page(refund.payment) in html
    moved = [re.sub(r"<[^>]+>", "", " ".join(map(str, row[1:]))) for row in response.context["transfers"]["rows"]]
    assert moved == [
        "captured clearing hold €12.90",
        "asked:0 hold refunds in flight €12.90",
        "failed:0 refunds in flight hold €12.90",
    ]
    told = text_of(response)
    assert "Pays with card" in told
    assert "Fee inside €0.00" in told


def test_what_waits_for_a_person_stands_first_and_is_counted_on_the_desk(till: Till, staff: Client) -> None:
    _, waiting = mismatched(till)
    till.trade.sleep(minutes=1)
    _, later = till.checkout("emma")
    assert shown(staff.get("/staff/payments/payment/")) == [waiting.id, later.id]
    assert shown(staff.get("/staff/payments/payment/?state=waiting")) == [waiting.id]
    assert shown(staff.get("/staff/payments/payment/?state=open")) == [later.id]
    told = figures(staff)
    assert (told["Payments that differ"], told["Refunds failed"], told["Unknown events"]) == (1, 0, 0)
    menu = [item for group in staff.get("/staff/").context["sidebar_navigation"] for item in group["items"]]
    assert {item["title"]: item["badge"] for item in menu if "badge" in item} == {"Payments": "1"}
    staff.post(give_back(waiting), {"why": "not what was asked"})
    assert shown(staff.get("/staff/payments/payment/?state=waiting")) == []
    assert shown(staff.get("/staff/payments/payment/")) == [later.id, waiting.id]
    assert figures(staff)["Payments that differ"] == 0


def test_refunds_that_failed_stand_before_those_that_came_later(till: Till, staff: Client) -> None:
    _, failed = failed_refund(till)
    till.trade.sleep(minutes=1)
    till.trade.fail("topup_disabled")
    order, payment = till.checkout("emma")
    till.world.pay(payment.reference)
    till.deliver()
    (done,) = till.refunds(order)
    assert done.state == "done"
    assert shown(staff.get("/staff/payments/refund/")) == [failed.id, done.id]
    assert shown(staff.get("/staff/payments/refund/?state=failed")) == [failed.id]
    assert figures(staff)["Refunds failed"] == 1


def test_money_is_found_by_its_order_its_reference_or_its_customer(till: Till, staff: Client) -> None:
    order, payment = paid(till)
    till.checkout("emma")
    for asked in (str(order.id), str(payment.id), payment.reference, payment.charge, "xiaoyu"):
        assert shown(staff.get("/staff/payments/payment/", {"q": asked})) == [payment.id]


def test_the_letters_about_money_lead_to_its_pages(till: Till, staff: Client) -> None:
    for row in (mismatched(till)[1], failed_refund_of(till, "emma")):
        (letter,) = [m for m in messaging.messages_about(row.id) if m.to == "seller@xuka.example"]
        found = re.search(r"http://127\.0\.0\.1:8000(/staff/\S+)", letter.text)
        assert found
        assert found[1] == page(row)
        assert staff.get(found[1]).status_code == 200


def failed_refund_of(till: Till, person: str) -> Refund:
    till.trade.fail("topup_disabled")
    till.fail("refund_fails", "refund_create")
    order, payment = till.checkout(person)
    till.world.pay(payment.reference)
    till.deliver()
    return till.refunds(order)[0]


def test_the_desk_tells_the_mode_of_a_provider_and_whether_it_answers(till: Till, staff: Client) -> None:
    def rows() -> list[list[str]]:
        return staff.get("/staff/").context["providers"]["rows"]

    assert rows() == [["stripe", "test", "yes"]]
    till.fail("timeout_before", "session_create", times=2)
    till.pay(till.buy())
    assert rows() == [["stripe", "test", "silent 1× in a row, offered"]]
    Health.objects.update(silences=3, down_until=till.trade.now.replace(hour=9, minute=2))
    assert rows() == [["stripe", "test", "no: silent 3× in a row, not offered until 2026-03-02 09:02:00"]]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("clearing", "What payment providers took for you, less what they sent back."),
        ("suspense", "It is credited to nobody until a person sends it back."),
        ("refunds_in_flight", "Asked back from a provider and not confirmed yet."),
        ("paid_by_hand", "What you paid back another way: refunds that failed, vouchers, credit of customers who"),
    ],
)
def test_the_books_say_what_lies_in_an_account(till: Till, staff: Client, kind: str, says: str) -> None:
    from xuka.ledger import operations

    account = operations.house(kind, "EUR")
    assert says in text_of(staff.get(reverse("admin:ledger_account_change", args=[account])))
    assert kind.replace("_", " ") in text_of(staff.get(f"/staff/ledger/account/?kind={kind}"))


# -- webhook events ----------------------------------------------------------------------------------------------------


def test_an_event_about_nobodys_payment_is_shown_and_its_words_only_on_its_own_page(
    till: Till, staff: Client, caplog: pytest.LogCaptureFixture
) -> None:
    event = stranger(till)
    of_list = staff.get("/staff/payments/event/?state=unknown")
    assert shown(of_list) == [event.id]
    assert shown(staff.get("/staff/payments/event/?state=digested")) == []
    assert figures(staff)["Unknown events"] == 1
    own = staff.get(reverse("admin:payments_event_change", args=[event.id]))
    assert "About no payment of this shop: kept, without effect." in text_of(own)
    secret = '"livemode": false' if '"livemode": false' in event.body else event.body[:60]
    assert secret in own.context["event"].body
    quoted = secret.replace('"', "&quot;")
    assert quoted in own.content.decode()
    for other in (of_list, staff.get("/staff/"), staff.get("/staff/journal/fact/")):
        assert quoted not in other.content.decode()
    assert secret not in caplog.text


# -- something else was captured ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "captured"), [("wrong_amount", "EUR"), ("wrong_currency", "")])
def test_what_differs_is_given_back_once_however_often_the_button_is_pressed(
    till: Till, staff: Client, fault: str, captured: str
) -> None:
    order, payment = mismatched(till, fault)
    told = text_of(staff.get(page(payment)))
    assert "where €12.90 was asked" in told
    assert "Give it back" in told
    unit = payment.paid_currency
    assert (unit == "EUR") == (captured == "EUR")
    assert till.balance("suspense", unit) == payment.paid_minor
    assert payments.check_books() == []

    form = staff.get(give_back(payment))
    assert form.status_code == 200
    assert "goes back to where it came from" in text_of(form)
    for _ in range(2):
        assert staff.post(give_back(payment), {"why": "not what was asked"}).url == page(payment)
    assert decisions(order) == [("payment.decided", f"staff:{till.trade.shop.staff.id}", "not what was asked")]
    assert payments.check_books() == []
    till.trade.work()
    (refund,) = till.refunds(order)
    assert (refund.state, refund.amount_minor, refund.currency) == ("done", payment.paid_minor, unit)
    assert till.balance("suspense", unit) == till.balance("clearing", unit) == 0
    assert payments.check_books() == []
    assert "mismatched, given back" in text_of(staff.get(page(payment)))
    assert "Give it back" not in text_of(staff.get(page(payment)))
    again = staff.get(give_back(payment))
    assert again.status_code == 400
    assert "This does not wait for a person any more. Nothing was changed." in text_of(again)


def test_without_a_reason_nothing_is_given_back(till: Till, staff: Client) -> None:
    order, payment = mismatched(till)
    for why in ("", "   "):
        response = staff.post(give_back(payment), {"why": why})
        assert response.status_code == 400
        assert "Say why: the reason is kept in the journal." in text_of(response)
    assert till.refunds(order) == []


def test_what_was_paid_as_asked_is_not_given_back_by_hand(till: Till, staff: Client) -> None:
    order, payment = paid(till)
    response = staff.post(give_back(payment), {"why": "a mistake"})
    assert response.status_code == 400
    assert "This does not wait for a person any more. Nothing was changed." in text_of(response)
    assert till.refunds(order) == []
    for url in (f"/staff/payments/payment/{uuid4()}/change/", "/staff/payments/payment/nonsense/change/"):
        assert staff.get(url).status_code == 404


# -- a refund that failed ----------------------------------------------------------------------------------------------


def test_the_page_of_a_failed_refund_says_what_each_way_out_does(till: Till, staff: Client) -> None:
    order, refund = failed_refund(till)
    told = text_of(staff.get(page(refund)))
    assert "This refund of €12.90 did not arrive" in told
    assert "Into the wallet only if the customer agreed to it." in told
    for fact in ("refund asked", "refund failed"):
        assert fact in told
    for exit, says in {
        "retry": "If the first try did arrive after all the customer has it twice, at your cost",
        "to_wallet": "Only when the customer agreed to it",
        "paid_elsewhere": "You have sent the money back yourself",
    }.items():
        form = staff.get(exit_of(refund, exit))
        assert form.status_code == 200
        assert says in text_of(form)
    assert staff.get(exit_of(refund, "explode")).status_code == 404
    assert decisions(order) == []
    assert payments.check_books() == []


@pytest.mark.parametrize("exit", ["retry", "to_wallet", "paid_elsewhere"])
def test_without_a_reason_a_refund_stays_as_it_is(till: Till, staff: Client, exit: str) -> None:
    order, refund = failed_refund(till)
    response = staff.post(exit_of(refund, exit), {"why": " ", "reference": "BANK-1"})
    assert response.status_code == 400
    assert "Say why: the reason is kept in the journal." in text_of(response)
    refund.refresh_from_db()
    assert (refund.state, decisions(order)) == ("failed", [])


def pressed_twice(till: Till, staff: Client, refund: Refund, exit: str, **sent: str) -> None:
    """The same form is sent twice: the first counts, the second is told so in a sentence."""
    order = Order.objects.get(id=refund.cause)
    sent = {"round": str(refund.round), "why": "the card was closed", **sent}
    assert staff.post(exit_of(refund, exit), sent).url == page(refund)
    assert payments.check_books() == []
    again = staff.post(exit_of(refund, exit), sent)
    assert again.status_code == 400
    assert "This does not wait for a person any more. Nothing was changed." in text_of(again)
    assert decisions(order) == [("refund.decided", f"staff:{till.trade.shop.staff.id}", "the card was closed")]
    till.trade.work()
    assert payments.check_books() == []


def test_a_refund_is_asked_anew_once(till: Till, staff: Client) -> None:
    order, refund = failed_refund(till)
    pressed_twice(till, staff, refund, "retry")
    refund.refresh_from_db()
    assert (refund.state, refund.round) == ("done", 1)
    assert till.trade.order(order).state == "refunded"
    assert sum(call == ("POST", "/v1/refunds") for call in till.calls) == 2
    assert till.kept(refund.payment) == till.balance("clearing") == till.trade.hold(order) == 0
    assert till.trade.wallet() == 60_00


def test_a_form_of_an_earlier_try_decides_nothing_about_a_later_one(till: Till, staff: Client) -> None:
    _, refund = failed_refund(till)
    till.fail("refund_fails", "refund_create")
    sent = {"round": "0", "why": "try again"}
    staff.post(exit_of(refund, "retry"), sent)
    till.trade.work()
    refund.refresh_from_db()
    assert (refund.state, refund.round) == ("failed", 1)
    assert staff.post(exit_of(refund, "retry"), sent).status_code == 400
    till.trade.work()
    refund.refresh_from_db()
    assert (refund.state, refund.round) == ("failed", 1)
    assert payments.check_books() == []


def test_a_failed_refund_goes_into_the_wallet_once(till: Till, staff: Client) -> None:
    order, refund = failed_refund(till)
    pressed_twice(till, staff, refund, "to_wallet")
    refund.refresh_from_db()
    assert refund.state == "settled"
    assert till.trade.order(order).state == "refunded"
    assert (till.trade.wallet(), till.trade.hold(order)) == (60_00 + PRICE, 0)
    assert sum(call == ("POST", "/v1/refunds") for call in till.calls) == 1


def test_a_refund_that_was_paid_back_elsewhere_is_settled_with_its_reference(till: Till, staff: Client) -> None:
    order, refund = failed_refund(till)
    missing = staff.post(exit_of(refund, "paid_elsewhere"), {"why": "bank transfer", "reference": " "})
    assert missing.status_code == 400
    assert "Give the reference under which it was paid back." in text_of(missing)
    pressed_twice(till, staff, refund, "paid_elsewhere", reference="BANK-77")
    refund.refresh_from_db()
    assert (refund.state, refund.detail) == ("settled", "BANK-77")
    assert till.trade.order(order).state == "refunded"
    assert (till.trade.wallet(), till.trade.hold(order), till.balance("paid_by_hand")) == (60_00, 0, PRICE)
    assert "BANK-77" in text_of(staff.get(page(refund)))


def test_a_refund_that_did_not_fail_is_not_decided_by_hand(till: Till, staff: Client) -> None:
    till.trade.fail("topup_disabled")
    till.fail("refund_pending", "refund_create")
    order, payment = till.checkout()
    till.world.pay(payment.reference)
    till.deliver()
    (refund,) = till.refunds(order)
    assert refund.state == "pending"
    assert payments.check_books() == []
    for response in (
        staff.post(exit_of(refund, "to_wallet"), {"why": "hurry"}),
        staff.get(exit_of(refund, "to_wallet")),
    ):
        assert response.status_code == 400
        assert "This does not wait for a person any more. Nothing was changed." in text_of(response)
    assert till.trade.wallet() == 60_00
    Refund.objects.update(looks=8)
    assert "The provider does not confirm this refund of €12.90" in text_of(staff.get(page(refund)))


# -- fees --------------------------------------------------------------------------------------------------------------

SET = "/staff/payments/methodfee/set/"
JP = {"market": "JP", "method": "card", "percent": "3", "permission": "Card rules of 2024, 5.2"}


def test_a_fee_is_recorded_with_what_allows_it_and_who_said_so(till: Till, staff: Client) -> None:
    for _ in range(2):
        assert staff.post(SET, JP).url == "/staff/payments/methodfee/"
    fee = MethodFee.objects.get()
    who = till.trade.shop.staff
    assert (fee.market, fee.method, fee.basis_points) == ("JP", "card", 300)
    assert (fee.permission, fee.recorded_by, fee.recorded_at) == (JP["permission"], who.id, till.trade.now)
    told = [(f.what, f.who, f.after) for f in journal.facts_about(fee.id)]
    after = {"market": "JP", "method": "card", "basis_points": 300, "permission": JP["permission"]}
    assert told == [("fee.set", f"staff:{who.id}", after)]
    for url in ("/staff/payments/methodfee/", reverse("admin:payments_methodfee_change", args=[fee.id])):
        page = text_of(staff.get(url))
        for part in ("JP", "card", "3", JP["permission"], who.email, "2026-03-02 09:00"):
            assert part in page
    assert "Set a fee" in text_of(staff.get("/staff/payments/methodfee/"))


def test_a_fee_of_nothing_takes_it_back(till: Till, staff: Client) -> None:
    staff.post(SET, JP)
    for _ in range(2):
        staff.post(SET, JP | {"percent": "0", "permission": ""})
    assert not MethodFee.objects.exists()


WRONG_FEES: list[tuple[dict[str, str], str]] = [
    ({"market": "BE"}, "Belgian law forbids a fee on a way of paying: PSD2, Directive (EU) 2015/2366, art. 62(4)."),
    ({"permission": ""}, "Name the law, contract or scheme rule that allows this fee."),
    ({"permission": "   "}, "Name the law, contract or scheme rule that allows this fee."),
    ({"percent": "10.01"}, "A fee lies between 0 and 10 percent."),
    ({"percent": "-1"}, "A fee lies between 0 and 10 percent."),
    ({"percent": "1.234"}, "Ensure that there are no more than 2 decimal places."),
    ({"percent": "NaN"}, "Enter a number."),
    ({"market": "FR"}, "Nothing is sold there."),
    ({"method": "cheque"}, "Nobody can pay like this here."),
]


def test_a_fee_that_may_not_be_asked_is_refused_in_a_sentence(till: Till, staff: Client) -> None:
    for changed, says in WRONG_FEES:
        response = staff.post(SET, JP | changed)
        assert response.status_code == 400, changed
        assert says in text_of(response), changed
    assert not MethodFee.objects.exists()


# -- commands ----------------------------------------------------------------------------------------------------------


def told_by(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def test_an_order_is_shown_with_its_payments_and_refunds(till: Till) -> None:
    order, refund = failed_refund(till)
    told = told_by("orders", "show", str(order.id))
    assert f"payment {refund.payment_id}  paid  {PRICE} EUR by card at stripe, {PRICE} EUR captured" in told
    assert f"refund {refund.id}  failed  {PRICE} EUR  bank_refused" in told
    for kinds in ("clearing -> hold", "hold -> refunds_in_flight", "refunds_in_flight -> hold"):
        assert f"{PRICE} EUR  {kinds}" in told
    assert "Waiting for a person: 1 refunds that failed." in told_by("orders", "due")


def test_what_is_due_of_money_is_listed_and_advanced_by_command(till: Till) -> None:
    _, payment = till.checkout()
    till.world.pay(payment.reference)
    till.take()
    till.trade.sleep(seconds=30)
    assert f"payment {payment.id}" in told_by("orders", "due")
    assert "1 payments, 0 refunds" in told_by("orders", "due", "--advance")
    assert till.payment(payment).state == "paid"


# -- the books ---------------------------------------------------------------------------------------------------------

BREAKS = {
    "a captured payment without its transfer": (
        "delete from ledger_transfer where leg = 'captured'",
        "The payment {payment} is paid with 1290 EUR, its transfer says nothing.",
    ),
    "a transfer whose payment was not paid": (
        "update payments_payment set state = 'open', paid_minor = null",
        "The payment {payment} is not paid with 0 , its transfer says 1290 EUR, or goes elsewhere.",
    ),
    "a payment credited to somebody else": (
        "update payments_payment set account_id = gen_random_uuid()",
        "Paid payments captured 1290 EUR, 0 EUR were credited for them.",
    ),
    "a refund that is said to be gone": (
        "update payments_refund set state = 'done'",
        "The refund {refund} of 1290 EUR is done, but 0 left its account: 0 on the way, 0 gone, 0 by hand.",
    ),
    "a refund that is said to be on its way": (
        "update payments_refund set state = 'pending'",
        "Refunds in flight holds 0 EUR, refunds on their way make 1290.",
    ),
    "a refund of more than was paid": (
        "update payments_refund set amount_minor = 1291",
        "The payment {payment} took 1290 and gives back 1291 EUR.",
    ),
}


def faults_after(sql: str) -> list[str]:
    """What the books say after what no code of ours writes, past the walls; it is undone again."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")
        cursor.execute(sql)
        faults = payments.check_books()
        told = StringIO()
        with pytest.raises(SystemExit):
            call_command("check_books", stdout=told)
        assert set(faults) <= set(told.getvalue().splitlines())
        transaction.set_rollback(True)
    return faults


def test_the_books_prove_every_captured_minor_unit(till: Till) -> None:
    _, refund = failed_refund(till)
    assert payments.check_books() == []
    assert "The books are right." in told_by("check_books")
    for fault, (sql, says) in BREAKS.items():
        assert says.format(payment=refund.payment_id, refund=refund.id) in faults_after(sql), fault
    assert payments.check_books() == []


def test_the_books_prove_that_suspense_holds_what_differs(till: Till) -> None:
    _, payment = mismatched(till)
    assert payments.check_books() == []
    faults = faults_after("update payments_payment set state = 'closed', paid_minor = null")
    assert f"Suspense holds {payment.paid_minor} EUR, payments that differ make 0." in faults
