"""The keys of every payment connector: in no log at its loudest, in no row, in no connector's words about itself."""

from __future__ import annotations

import base64
import logging
from contextlib import suppress
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import Client

from sandbox.wallets import line_pay, paypal, paypay, wechat_pay
from sandbox.wallets.keys import pair
from tests.contracts.stands import Stand, connectors
from tests.contracts.test_providers import SECRET, TEST_KEY
from tests.journeys.provider_world import begun, seen, tell
from tests.journeys.test_no_secrets_kept import every_row
from xuka.accounts.models import User
from xuka.interfaces import clock
from xuka.payments import operations, providers, refunds
from xuka.payments.models import Event, Payment, Refund

SHOP_KEY = tuple(pair("shop").private.splitlines()[1:-1])  # no line of it
BASIC = base64.b64encode(f"{paypal.CLIENT}:{paypal.SECRET}".encode()).decode()
KEYS = {
    "alipay": SHOP_KEY,
    "line_pay": (line_pay.SECRET,),
    "paypal": (paypal.SECRET, BASIC, "Bearer "),
    "paypay": (paypay.KEY, paypay.SECRET),
    "stripe": (TEST_KEY, SECRET, "Bearer "),
    "wechat_pay": (*SHOP_KEY, wechat_pay.API_V3_KEY),
}


@pytest.fixture
def story(stands: dict[str, Stand], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything logged and stored while each is paid by, refuses, fails, gives back, posts, and is imitated."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")
    customer = User.objects.create(email="xiaoyu@shop.test").id
    browser = Client()
    for name, stand in stands.items():
        monkeypatch.setattr(clock, "now", stand.clock.now)
        payment = begun(stand, name, customer, uuid4())
        stand.decline(seen(payment))
        operations.look_now(cause=payment.cause, now=stand.clock.now())
        stand.pay(seen(payment))
        tell(stand, name, payment)
        payment.refresh_from_db()
        assert payment.state == "paid", name
        with transaction.atomic():
            refunds.give_back(
                cause=payment.cause, account=payment.account_id, leg="part", amount_minor=100, now=stand.clock.now()
            )
        refund = Refund.objects.get(payment=payment)
        for kind in stand.wire:
            stand.fault(kind)
            with suppress(operations.NotOffered):
                begin_another(stand, name, payment)
            stand.fault(kind)
            refunds.advance(refund_id=refund.id, now=stand.clock.now())
            stand.heal()
            stand.clock.push(minutes=11)
        for body, headers in [*stand.webhooks(), (b'{"card": "nonsense"}', {"stripe-signature": "t=1,v1=forged"})]:
            forged = {header: value[::-1] for header, value in headers.items() if header != "content-type"}
            answer = browser.post(f"/webhooks/{name}/", body[::-1], "application/json", headers=forged)
            assert answer.status_code == 400, name
    loud = [f"{one.getMessage()} {one.args!r} {one.exc_text}" for one in caplog.records]
    return "\n".join([caplog.text, *loud, every_row(), *(repr(providers.provider(name)) for name in stands)])


def begin_another(stand: Stand, name: str, like: Payment) -> None:
    """Another payment of the same person, whatever becomes of it."""
    with suppress(AssertionError):  # it is not open: the provider was not heard
        begun(stand, name, like.customer_id, uuid4())


def test_no_key_of_any_provider_is_kept_or_logged(story: str) -> None:
    assert set(KEYS) == set(connectors())
    assert set(Event.objects.values_list("provider", flat=True)) == {"alipay", "paypal", "stripe", "wechat_pay"}
    assert "ReadTimeout" in story  # what went wrong was logged
    found = {name for name, keys in KEYS.items() for key in keys if key in story}
    assert found == set()
