"""The back office's part in what goes back by right: periods, vouchers, credit; each with a reason, each once."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client

from tests.journeys.renewal_world import Trade
from tests.journeys.test_giving_back import IBAN, sold
from tests.journeys.test_withdrawal import bought, withdraw
from xuka.payments import payouts, vouchers
from xuka.payments.models import Payout, Voucher
from xuka.renewals.models import GivenBack

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_limits_left_over() -> None:
    cache.clear()


@pytest.fixture
def staff(trade: Trade) -> Client:
    web = Client()
    web.force_login(trade.shop.staff, backend=settings.AUTHENTICATION_BACKENDS[0])
    return web


def posted(web: Client, page: str, **sent: Any) -> tuple[int, str]:
    answer = web.post(page, sent)
    return answer.status_code, answer.content.decode()


def test_staff_give_a_period_that_has_not_begun_back_with_a_reason(trade: Trade, staff: Client) -> None:
    before = trade.wallet()
    order = bought(trade, "xiaoyu")
    page = f"/staff/renewals/order/{order.id}/"
    assert f"{page}give-back/0/" in staff.get(f"{page}change/").content.decode()
    status, _ = posted(staff, f"{page}give-back/0/", why=" ")
    assert (status, GivenBack.objects.count()) == (400, 0)
    assert posted(staff, f"{page}give-back/3/", why="a reason")[0] == 400
    for _ in range(2):
        assert posted(staff, f"{page}give-back/0/", why="bought twice")[0] == 302
    trade.work()
    assert trade.wallet() == before
    (row,) = GivenBack.objects.all()
    assert (row.reason, row.who) == ("bought twice", f"staff:{trade.shop.staff.id}")
    assert withdraw(trade, order, person="xiaoyu").state == "already"
    assert "already" in staff.get("/staff/renewals/withdrawal/").content.decode()
    customer = Client()
    customer.force_login(trade.shop.people["xiaoyu"], backend=settings.AUTHENTICATION_BACKENDS[0])
    assert customer.post(f"{page}give-back/0/", {"why": "please"}).status_code == 404


def test_vouchers_and_credit_are_paid_back_by_hand_under_a_reference(trade: Trade, staff: Client) -> None:
    voucher, _ = sold(trade)
    page = f"/staff/payments/voucher/{voucher}/"
    assert f"{page}refund/" in staff.get(f"{page}change/").content.decode()
    assert posted(staff, f"{page}refund/", why="unwanted")[0] == 400
    assert posted(staff, f"{page}refund/", why="unwanted", reference="slip 1")[0] == 302
    assert Voucher.objects.get().refund_reference == "slip 1"
    assert "is revoked. Nothing was changed" in posted(staff, f"{page}refund/", why="again", reference="slip 2")[1]
    emma = trade.customer("emma")
    _, code = sold(trade)
    vouchers.redeem(typed=code, customer=emma, currencies={"EUR"}, now=trade.now)
    row = payouts.ask(id=uuid4(), customer=emma, currency="EUR", iban=IBAN, now=trade.now)
    page = f"/staff/payments/payout/{row.id}/"
    assert f"{page}pay/decide/" in staff.get(f"{page}change/").content.decode()
    assert "BE71096123456769" in staff.get(f"{page}pay/decide/").content.decode()
    status, said = posted(staff, f"{page}pay/decide/", why="ported")
    assert (status, Payout.objects.get().state) == (400, "asked")
    assert "transfer the rest" in said
    assert posted(staff, f"{page}pay/decide/", why="ported", reference="T-1")[0] == 302
    assert Payout.objects.get().state == "paid"
    assert posted(staff, f"{page}decline/decide/", why="too late")[0] == 400
    assert "paid" in staff.get("/staff/payments/payout/").content.decode()
    assert staff.get(f"{page}keep/decide/").status_code == 404


def test_a_customer_asks_for_their_credit_on_the_accounts_pages(trade: Trade) -> None:
    emma = Client()
    emma.force_login(trade.shop.people["emma"], backend=settings.AUTHENTICATION_BACKENDS[0])
    assert "There is nothing to pay out." in emma.get("/account/payout/").content.decode()  # only the shop's gift
    _, code = sold(trade)
    vouchers.redeem(typed=code, customer=trade.customer("emma"), currencies={"EUR"}, now=trade.now)
    sent = {"payout": str(uuid4()), "iban": IBAN, "leaves": "on"}
    for wrong in ({"iban": "BE00"}, {"leaves": ""}, {"payout": "none"}, {"iban": ""}):
        assert emma.post("/account/payout/", sent | wrong).status_code == 422
    assert not Payout.objects.exists()
    for _ in range(2):
        assert emma.post("/account/payout/", sent)["Location"] == "/account/payout/"
    assert [row.amount_minor for row in Payout.objects.all()] == [20_00]
    assert "€20.00 is being checked" in emma.get("/account/payout/").content.decode()
    assert Client().get("/account/payout/").status_code == 302
