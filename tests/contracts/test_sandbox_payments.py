"""The stand-in for the payment provider is what its official SDK expects, and fails as told.

How the SDK (stripe 16) is led here: ``StripeClient(key, base_addresses={"api": url}, http_client=…,
max_network_retries=0)``. Without ``http_client`` it speaks real HTTP through the best library it finds.
``stripe.HTTPXClient`` takes no httpx transport, so a test gives a small subclass of ``stripe.HTTPClient`` whose
``request(method, url, headers, post_data)`` returns ``(content, status, headers)``: ``Wire`` below. A broken wire must
become ``stripe.APIConnectionError``. Left alone the SDK asks up to three times by itself and sleeps in between.
``Webhook.construct_event`` compares a signature's age with the machine's clock; with a clock of one's own, check with
``WebhookSignature.verify_header(body, header, secret, tolerance=None)`` and then the ``t=`` oneself.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest
import stripe
from werkzeug.serving import WSGIRequestHandler, make_server

from sandbox.payments.app import application
from sandbox.payments.hooks import Delivery, Postman
from sandbox.payments.world import World
from sandbox.transport import InProcess

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY, LIVE, SECRET = "sk_test_sandbox", "sk_live_sandbox", "whsec_sandbox"
ROOT = Path(__file__).resolve().parents[2]


class Clock:
    def __init__(self) -> None:
        self.at = BEGIN

    def now(self) -> datetime:
        return self.at


class Wire(stripe.HTTPClient):
    """The SDK over any httpx transport."""

    name = "httpx"

    def __init__(self, transport: httpx.BaseTransport) -> None:
        super().__init__()
        self.client = httpx.Client(transport=transport)

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, *, _usage: Any = None) -> Any:
        try:
            answer = self.client.request(method, url, headers=dict(headers), content=post_data)
        except httpx.HTTPError as error:
            raise stripe.APIConnectionError(str(error), should_retry=False) from error
        return answer.content, answer.status_code, answer.headers

    def close(self) -> None:
        self.client.close()


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> World:
    return World(now=clock.now, seed=7, keys=(KEY, LIVE), webhook_secret=SECRET)


def speaking_to(world: World, key: str = KEY, app: flask.Flask | None = None) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": "http://payments.test"},
        http_client=Wire(InProcess(app or application(world))),
        max_network_retries=0,
    )


@pytest.fixture
def sdk(world: World) -> stripe.StripeClient:
    return speaking_to(world)


@pytest.fixture
def served(world: World) -> Iterator[str]:
    """The stand-in on a port of this machine."""
    server = make_server("127.0.0.1", 0, application(world), threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)
    server.server_close()


def wanted(amount: int = 1200, currency: str = "eur", **more: Any) -> dict[str, Any]:
    product = {"currency": currency, "unit_amount": amount, "product_data": {"name": "30 days"}}
    return {
        "mode": "payment",
        "line_items": [{"quantity": 1, "price_data": product}],
        "success_url": "https://shop.test/paid?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://shop.test/back",
        "client_reference_id": "key-1",
        **more,
    }


def session(sdk: stripe.StripeClient, key: str | None = None, **more: Any) -> Any:
    params: Any = wanted(**more)
    return sdk.v1.checkout.sessions.create(params, {"idempotency_key": key} if key else {})


def paid(sdk: stripe.StripeClient, world: World) -> Any:
    """The intent of a session that was paid."""
    id = session(sdk).id
    world.pay(id)
    return sdk.v1.checkout.sessions.retrieve(id, {"expand": ["payment_intent"]}).payment_intent


def saved_method(sdk: stripe.StripeClient, world: World) -> dict[str, Any]:
    """What charges a card that was saved: customer and payment method."""
    customer = sdk.v1.customers.create({"email": "mia@example.org"}).id
    id = session(sdk, customer=customer, payment_intent_data={"setup_future_usage": "off_session"}).id
    world.pay(id)
    intent: Any = sdk.v1.checkout.sessions.retrieve(id, {"expand": ["payment_intent"]}).payment_intent
    world.take_outbox()
    return {"customer": customer, "payment_method": intent.payment_method}


def charge(sdk: stripe.StripeClient, card: dict[str, Any], key: str | None = None, **more: Any) -> Any:
    params: Any = {
        "amount": 900,
        "currency": "eur",
        "confirm": True,
        "return_url": "https://shop.test/back",
        "metadata": {"key": "key-2"},
        **card,
        **more,
    }
    return sdk.v1.payment_intents.create(params, {"idempotency_key": key} if key else {})


def told(world: World) -> list[str]:
    return [str(delivery.event["type"]) for delivery in world.take_outbox()]


# -- sessions and the buyer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["real HTTP", "in process"])
def test_a_paid_session_tells_of_its_money_and_its_card(way: str, world: World, served: str) -> None:
    sdk = speaking_to(world)
    if way == "real HTTP":
        sdk = stripe.StripeClient(KEY, base_addresses={"api": served}, max_network_retries=0)
    customer = sdk.v1.customers.create({"email": "mia@example.org", "metadata": {"ours": "7"}})
    made = session(
        sdk,
        customer=customer.id,
        metadata={"order": "12"},
        payment_intent_data={"setup_future_usage": "off_session", "metadata": {"key": "key-1"}},
    )
    assert (made.status, made.payment_status, made.payment_intent, made.livemode) == ("open", "unpaid", None, False)
    assert made.url == f"http://payments.test/c/pay/{made.id}"
    world.pay(made.id, wallet="apple_pay")
    paths = ["payment_intent.payment_method", "payment_intent.latest_charge", "line_items"]
    again: Any = sdk.v1.checkout.sessions.retrieve(made.id, {"expand": paths})
    assert (again.status, again.payment_status, again.url, again.metadata.order) == ("complete", "paid", None, "12")
    intent = again.payment_intent
    assert (intent.status, intent.amount_received, intent.currency) == ("succeeded", 1200, "eur")
    assert (intent.metadata.key, intent.latest_charge.amount_captured) == ("key-1", 1200)
    card = intent.payment_method.card
    assert (card.brand, card.last4, card.exp_year, card.wallet.type) == ("visa", "4242", 2029, "apple_pay")
    assert intent.payment_method.customer == customer.id
    assert again.line_items.data[0].description == "30 days"
    assert world.truth("key-1").captured == {"eur": 1200} == world.captured_total()


def test_sessions_are_found_again_by_when_and_by_whose_they_are(
    sdk: stripe.StripeClient, world: World, clock: Clock
) -> None:
    ids = []
    for _ in range(4):
        ids.append(session(sdk).id)
        clock.at += timedelta(minutes=1)
    since = {"created": {"gte": int(BEGIN.timestamp()) + 60, "lte": int(BEGIN.timestamp()) + 180}}
    assert [one.id for one in sdk.v1.checkout.sessions.list(since).data] == [ids[3], ids[2], ids[1]]  # type: ignore[arg-type]
    page = sdk.v1.checkout.sessions.list({"limit": 2, "starting_after": ids[3]})
    assert ([one.id for one in page.data], page.has_more) == ([ids[2], ids[1]], True)
    assert [one.id for one in sdk.v1.checkout.sessions.list({"limit": 1}).auto_paging_iter()] == ids[::-1]
    world.pay(ids[1])
    intent: Any = sdk.v1.checkout.sessions.retrieve(ids[1]).payment_intent
    assert [one.id for one in sdk.v1.checkout.sessions.list({"payment_intent": intent}).data] == [ids[1]]


@pytest.mark.parametrize(
    ("more", "code", "param"),
    [
        ({"amount": 49}, "amount_too_small", None),
        ({"amount": 49, "currency": "jpy"}, "amount_too_small", None),
        ({"expires_at": int(BEGIN.timestamp()) + 1799}, None, "expires_at"),
        ({"expires_at": int(BEGIN.timestamp()) + 86_401}, None, "expires_at"),
        ({"customer": "cus_nobody"}, "resource_missing", "customer"),
        ({"success_url": "/paid"}, "url_invalid", "success_url"),
        ({"line_items": []}, "parameter_missing", "line_items"),
        ({"colour": "red"}, "parameter_unknown", "colour"),
    ],
)
def test_a_session_that_cannot_be_is_refused_in_words(
    sdk: stripe.StripeClient, world: World, more: dict[str, Any], code: str | None, param: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        session(sdk, **more)
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)
    assert world.sessions() == []


def test_yen_have_no_minor_unit(sdk: stripe.StripeClient, world: World) -> None:
    made = session(sdk, amount=50, currency="jpy", expires_at=int(BEGIN.timestamp()) + 1800)
    assert made.amount_total == 50
    world.pay(made.id)
    assert world.captured_total() == {"jpy": 50}


def test_a_declined_session_stays_open_and_can_still_be_paid(sdk: stripe.StripeClient, world: World) -> None:
    made = session(sdk)
    world.decline(made.id)
    assert told(world) == ["payment_intent.payment_failed"]
    again: Any = sdk.v1.checkout.sessions.retrieve(made.id, {"expand": ["payment_intent"]})
    assert (again.status, again.payment_intent.status) == ("open", "requires_payment_method")
    assert again.payment_intent.last_payment_error.decline_code == "generic_decline"
    assert world.captured_total() == {}
    world.pay_with_3ds(made.id)
    assert told(world) == ["payment_intent.succeeded", "checkout.session.completed"]
    assert world.truth("key-1").captured == {"eur": 1200}


def test_a_session_expires_by_hand_and_by_the_clock(sdk: stripe.StripeClient, world: World, clock: Clock) -> None:
    by_hand, by_clock = session(sdk), session(sdk)
    assert sdk.v1.checkout.sessions.expire(by_hand.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError):
        sdk.v1.checkout.sessions.expire(by_hand.id)
    clock.at += timedelta(hours=24)
    assert sdk.v1.checkout.sessions.retrieve(by_clock.id).status == "expired"
    assert told(world) == ["checkout.session.expired"] * 2


@pytest.mark.parametrize("ok", [True, False])
def test_delayed_money_arrives_or_does_not(sdk: stripe.StripeClient, world: World, ok: bool) -> None:
    made = session(sdk)
    world.delay(made.id)
    waiting: Any = sdk.v1.checkout.sessions.retrieve(made.id, {"expand": ["payment_intent"]})
    assert (waiting.status, waiting.payment_status) == ("complete", "unpaid")
    assert waiting.payment_intent.status == "processing"
    assert told(world) == ["checkout.session.completed"]
    world.settle_delayed(made.id, ok=ok)
    world.settle_delayed(made.id, ok=not ok)
    assert sdk.v1.checkout.sessions.retrieve(made.id).payment_status == ("paid" if ok else "unpaid")
    assert told(world) == [
        "payment_intent.succeeded" if ok else "payment_intent.payment_failed",
        f"checkout.session.async_payment_{'succeeded' if ok else 'failed'}",
    ]
    assert world.captured_total() == ({"eur": 1200} if ok else {})


# -- the pages ----------------------------------------------------------------------------------------------------


def browser(world: World) -> httpx.Client:
    return httpx.Client(transport=InProcess(application(world)), base_url="http://payments.test")


def test_the_page_asks_for_no_card_and_says_what_it_is(sdk: stripe.StripeClient, world: World) -> None:
    page = browser(world).get(session(sdk, locale="zh").url)
    assert '<html lang="zh-Hans">' in page.text
    assert "替身" in page.text
    assert "€12.00" in page.text
    english = browser(world).get(session(sdk).url, params={"lang": "en"}).text
    assert "stand-in" in english
    assert "Pay with test card ending 4242" in english
    assert not re.search(r"<(input|select|textarea|script)", english)
    assert not re.search(r"(src|href)=\"(https?:)?//", english)
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert browser(world).get("/static/pay.css").status_code == 200


@pytest.mark.parametrize(
    ("do", "goes_to", "status"),
    [
        ("pay", "https://shop.test/paid?session={id}", "paid"),
        ("wallet", "https://shop.test/paid?session={id}", "paid"),
        ("later", "https://shop.test/paid?session={id}", "unpaid"),
        ("back", "https://shop.test/back", "unpaid"),
        ("decline", "/c/pay/{id}?lang=en", "unpaid"),
    ],
)
def test_every_button_leads_where_it_says(
    sdk: stripe.StripeClient, world: World, do: str, goes_to: str, status: str
) -> None:
    made = session(sdk)
    answer = browser(world).post(f"/c/pay/{made.id}?lang=en", data={"do": do})
    assert (answer.status_code, answer.headers["Location"]) == (303, goes_to.format(id=made.id))
    assert sdk.v1.checkout.sessions.retrieve(made.id).payment_status == status
    if do == "decline":
        assert "declined" in browser(world).get(answer.headers["Location"]).text


def test_the_banks_page_approves_refuses_or_is_left(sdk: stripe.StripeClient, world: World) -> None:
    made, page = session(sdk), browser(world)
    asked = page.post(f"/c/pay/{made.id}", data={"do": "secure"}).headers["Location"]
    assert 'value="approve"' in page.get(asked).text
    for do in ("leave", "refuse"):
        assert page.post(asked, data={"do": do}).headers["Location"] == f"/c/pay/{made.id}"
    assert world.captured_total() == {}
    page.post(f"/c/pay/{made.id}", data={"do": "secure"})
    approved = page.post(asked, data={"do": "approve"})
    assert approved.headers["Location"] == f"https://shop.test/paid?session={made.id}"
    page.post(asked, data={"do": "approve"})
    page.post(f"/c/pay/{made.id}", data={"do": "pay"})
    assert world.captured_total() == {"eur": 1200}


# -- saved cards --------------------------------------------------------------------------------------------------


def test_a_saved_card_is_charged_once_for_a_key(sdk: stripe.StripeClient, world: World) -> None:
    card = saved_method(sdk, world)
    first, second = charge(sdk, card, key="once"), charge(sdk, card, key="once")
    assert (first.status, second.id) == ("succeeded", first.id)
    assert first.last_response.headers.get("Idempotent-Replayed") is None
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert world.truth("key-2").captured == {"eur": 900}


def test_a_declined_saved_card_tells_of_its_intent(sdk: stripe.StripeClient, world: World) -> None:
    card = saved_method(sdk, world)
    world.faults.set([{"kind": "decline_saved"}])
    ids = set()
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            charge(sdk, card, key="declined")
        error: Any = declined.value.error
        assert (declined.value.http_status, error.code, error.decline_code) == (402, "card_declined", "generic_decline")
        assert error.payment_intent.status == "requires_payment_method"
        ids.add(error.payment_intent.id)
    assert len(ids) == 1
    assert world.truth("key-2").captured == {}
    assert told(world) == ["payment_intent.payment_failed"]


@pytest.mark.parametrize(("do", "status"), [("approve", "succeeded"), ("refuse", "failed")])
def test_a_saved_cards_bank_may_ask_its_holder(sdk: stripe.StripeClient, world: World, do: str, status: str) -> None:
    card = saved_method(sdk, world)
    world.faults.set([{"kind": "saved_needs_3ds"}])
    intent = charge(sdk, card)
    assert intent.status == "requires_action"
    asked = intent.next_action.redirect_to_url
    assert (asked.url, asked.return_url) == (f"http://payments.test/3ds/{intent.id}", "https://shop.test/back")
    back = browser(world).post(asked.url, data={"do": do}).headers["Location"]
    assert back.startswith(f"https://shop.test/back?payment_intent={intent.id}&")
    assert back.endswith(f"redirect_status={status}")
    assert world.truth("key-2").captured == ({"eur": 900} if do == "approve" else {})


def test_nobody_is_asked_when_nobody_is_there(sdk: stripe.StripeClient, world: World) -> None:
    card = saved_method(sdk, world)
    world.faults.set([{"kind": "saved_needs_3ds"}])
    with pytest.raises(stripe.CardError) as declined:
        charge(sdk, card, off_session=True)
    assert declined.value.code == "authentication_required"


def test_a_detached_card_and_somebody_elses_are_not_charged(sdk: stripe.StripeClient, world: World) -> None:
    card = saved_method(sdk, world)
    other = sdk.v1.customers.create({}).id
    with pytest.raises(stripe.InvalidRequestError):
        charge(sdk, {**card, "customer": other})
    assert sdk.v1.payment_methods.detach(card["payment_method"]).customer is None
    with pytest.raises(stripe.InvalidRequestError):
        charge(sdk, card)
    assert world.truth("key-2").captures == []


def test_an_intent_can_be_confirmed_and_canceled_in_its_time_only(sdk: stripe.StripeClient, world: World) -> None:
    card = saved_method(sdk, world)
    params: Any = {"amount": 900, "currency": "eur", **card}
    intent = sdk.v1.payment_intents.create(params)
    assert intent.status == "requires_confirmation"
    back: Any = {"return_url": "https://shop.test/back"}
    assert sdk.v1.payment_intents.confirm(intent.id, back).status == "succeeded"
    for too_late in (sdk.v1.payment_intents.confirm, sdk.v1.payment_intents.cancel):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            too_late(intent.id)
        assert refused.value.code == "payment_intent_unexpected_state"
    world.take_outbox()
    other = sdk.v1.payment_intents.create({"amount": 900, "currency": "eur"})
    assert sdk.v1.payment_intents.cancel(other.id).status == "canceled"
    assert told(world) == ["payment_intent.canceled"]


# -- keys ---------------------------------------------------------------------------------------------------------


def test_a_key_is_for_one_content_and_one_day(sdk: stripe.StripeClient, world: World, clock: Clock) -> None:
    first = session(sdk, key="k")
    with pytest.raises(stripe.IdempotencyError):
        session(sdk, key="k", amount=1300)
    with pytest.raises(stripe.IdempotencyError):
        sdk.v1.customers.create({}, {"idempotency_key": "k"})
    clock.at += timedelta(hours=24) - timedelta(seconds=1)
    assert session(sdk, key="k").id == first.id
    clock.at += timedelta(seconds=1)
    assert session(sdk, key="k").id != first.id


def test_a_key_that_is_being_worked_on_is_refused(world: World) -> None:
    statuses = []

    def meanwhile(seconds: float) -> None:
        with pytest.raises(stripe.APIError) as refused:
            session(other, key="k")
        statuses.append(refused.value.http_status)

    app = application(world, sleep=meanwhile)
    sdk, other = speaking_to(world, app=app), speaking_to(world, app=app)
    world.faults.set([{"kind": "delay", "endpoint": "session_create"}])
    made = session(sdk, key="k")
    assert (statuses, session(other, key="k").id) == ([409], made.id)


def test_a_refused_parameter_does_not_use_up_the_key(sdk: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        session(sdk, key="k", amount=1)
    assert session(sdk, key="k").status == "open"


def test_each_key_opens_its_own_mode_only(world: World) -> None:
    test, live = speaking_to(world), speaking_to(world, LIVE)
    made = session(live)
    assert (made.livemode, made.id[:8]) == (True, "cs_live_")
    assert test.v1.checkout.sessions.list({}).data == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        test.v1.checkout.sessions.retrieve(made.id)
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.AuthenticationError):
        speaking_to(world, "sk_test_unknown").v1.checkout.sessions.list({})
    basic = browser(world).get("/v1/checkout/sessions", auth=(LIVE, "")).json()
    assert [one["id"] for one in basic["data"]] == [made.id]


# -- refunds ------------------------------------------------------------------------------------------------------


def test_no_more_is_given_back_than_was_taken(sdk: stripe.StripeClient, world: World) -> None:
    intent = paid(sdk, world)
    world.take_outbox()
    first: Any = sdk.v1.refunds.create({"payment_intent": intent.id, "amount": 500, "metadata": {"key": "r-1"}})
    assert (first.status, first.amount, first.currency, first.charge) == ("succeeded", 500, "eur", intent.latest_charge)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sdk.v1.refunds.create({"payment_intent": intent.id, "amount": 701})
    assert refused.value.user_message == "Refund amount (€7.01) is greater than unrefunded amount on charge (€7.00)"
    second = sdk.v1.refunds.create({"payment_intent": intent.id})
    assert second.amount == 700
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sdk.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"
    listed = sdk.v1.refunds.list({"payment_intent": intent.id}).data
    assert [one.id for one in listed] == [second.id, first.id]
    assert told(world) == ["refund.created", "charge.refunded"] * 2
    assert world.truth("key-1").refunded == {"eur": 1200} == world.refunded_total()
    assert [one.id for one in world.truth("r-1").refunds] == [first.id]


def test_a_refund_may_wait_fail_at_once_or_fail_later(sdk: stripe.StripeClient, world: World, clock: Clock) -> None:
    intent = paid(sdk, world)
    world.take_outbox()
    kinds = [{"kind": "refund_pending"}, {"kind": "refund_fails"}, {"kind": "refund_fails_later", "seconds": 3600}]
    world.faults.set(kinds)
    pending, failed, later = (sdk.v1.refunds.create({"payment_intent": intent.id, "amount": 100}) for _ in range(3))
    assert [pending.status, failed.status, later.status] == ["pending", "failed", "succeeded"]
    assert world.refunded_total() == {"eur": 100}
    assert told(world) == [
        *("refund.created", "charge.refunded"),
        *("refund.created", "refund.failed"),
        *("refund.created", "charge.refunded"),
    ]
    world.settle_refund(pending.id)
    clock.at += timedelta(hours=1)
    assert sdk.v1.refunds.retrieve(later.id).status == "failed"
    assert told(world) == ["refund.updated", "refund.updated", "refund.failed"]
    world.fail_refund(pending.id)
    assert world.refunded_total() == {}
    assert sdk.v1.refunds.create({"payment_intent": intent.id}).amount == 1200


# -- bad days -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "error", "done"),
    [
        ("timeout_before", stripe.APIConnectionError, False),
        ("timeout_after", stripe.APIConnectionError, True),
        ("drop_before", stripe.APIConnectionError, False),
        ("drop_after", stripe.APIConnectionError, True),
        ("error_before", stripe.APIError, False),
        ("error_after", stripe.APIError, True),
        ("garbage_after", stripe.APIError, True),
        ("rate_limited", stripe.RateLimitError, False),
    ],
)
def test_a_broken_call_moves_money_or_not_as_told_and_never_twice(
    sdk: stripe.StripeClient, world: World, kind: str, error: type[Exception], done: bool
) -> None:
    card = saved_method(sdk, world)
    world.faults.set([{"kind": kind, "endpoint": "intent_create", "status": 503}])
    with pytest.raises(error):
        charge(sdk, card, key="k")
    assert world.truth("key-2").captured == ({"eur": 900} if done else {})
    again = charge(sdk, card, key="k")
    assert again.status == "succeeded"
    assert [one.payment_intent for one in world.truth("key-2").captures] == [again.id]


@pytest.mark.parametrize(("kind", "done"), [("error_before", False), ("error_after", True)])
def test_the_providers_own_failure_is_repeated_for_its_key(
    sdk: stripe.StripeClient, world: World, kind: str, done: bool
) -> None:
    card = saved_method(sdk, world)
    world.faults.set([{"kind": kind, "endpoint": "intent_create"}])
    for _ in range(3):
        with pytest.raises(stripe.APIError) as failed:
            charge(sdk, card, key="k")
        assert failed.value.http_status == 500
    assert world.truth("key-2").captured == ({"eur": 900} if done else {})
    listed = sdk.v1.payment_intents.list({"customer": card["customer"]}).data
    assert ("key-2" in {one.metadata.to_dict().get("key") for one in listed}) == done


def test_real_connections_break_too(world: World, served: str) -> None:
    sdk = stripe.StripeClient(KEY, base_addresses={"api": served}, max_network_retries=0)
    world.faults.set([{"kind": "drop_after", "endpoint": "session_create"}])
    with pytest.raises(stripe.APIConnectionError):
        session(sdk, key="k")
    assert session(sdk, key="k").id == world.sessions()[0]["id"]
    assert len(world.sessions()) == 1


def test_the_money_that_comes_may_not_be_what_was_asked(sdk: stripe.StripeClient, world: World) -> None:
    world.faults.set([{"kind": "wrong_amount", "endpoint": "pay"}])
    assert paid(sdk, world).amount_received == 1080
    world.faults.set([{"kind": "wrong_currency"}])
    assert paid(sdk, world).currency == "usd"
    assert world.truth("key-1").captured == {"eur": 1080, "usd": 1200}


def test_chances_and_ids_repeat_with_their_seed(clock: Clock) -> None:
    def story(seed: int) -> list[str]:
        world = World(now=clock.now, seed=seed)
        sdk, seen = speaking_to(world), []
        world.faults.set([{"kind": "error_before", "probability": 0.5, "times": None}])
        for _ in range(30):
            try:
                seen.append(session(sdk).id)
            except stripe.APIError as error:
                seen.append(str(error.http_status))
        return seen

    assert story(1) == story(1)
    assert story(1) != story(2)
    assert 0 < story(1).count("500") < 30


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "nonsense"},
        {"kind": "delay", "endpoint": "nowhere"},
        {"kind": "refund_fails", "endpoint": "session_create"},
        {"kind": "delay", "times": 0},
        {"what": 1},
    ],
)
def test_a_fault_that_does_not_exist_is_told_of(world: World, fault: dict[str, Any]) -> None:
    answer = browser(world).post("/control/faults", json=fault)
    assert (answer.status_code, bool(answer.json()["error"])) == (400, True)
    assert world.faults.waiting == []


# -- webhooks -----------------------------------------------------------------------------------------------------


def valid(delivery: Delivery) -> bool:
    try:
        return stripe.WebhookSignature.verify_header(delivery.body, delivery.signature, SECRET, tolerance=None)
    except stripe.SignatureVerificationError:
        return False


def test_an_event_is_signed_as_the_sdk_checks_it(sdk: stripe.StripeClient, world: World) -> None:
    intent = paid(sdk, world)
    body, signature = world.outbox.pop(0)
    assert signature.startswith(f"t={int(BEGIN.timestamp())},v1=")
    event: Any = stripe.Webhook.construct_event(body, signature, SECRET, tolerance=10**10)
    assert (event.type, event.data.object.id, event.livemode) == ("payment_intent.succeeded", intent.id, False)
    assert json.loads(world.outbox[0].body)["type"] == "checkout.session.completed"
    assert sdk.v1.events.retrieve(event.id).id == event.id


def test_webhooks_go_every_way_they_can_go_wrong(sdk: stripe.StripeClient, world: World, clock: Clock) -> None:
    def sent(kind: str) -> list[Delivery]:
        world.faults.set([{"kind": kind, "endpoint": "checkout.session.completed"}])
        paid(sdk, world)
        return world.take_outbox()

    types = ["payment_intent.succeeded", "checkout.session.completed"]
    assert [one.event["type"] for one in sent("duplicated")] == [*types, types[1]]
    assert [one.event["type"] for one in sent("reordered")] == types[::-1]
    assert [one.event["type"] for one in sent("lost")] == types[:1]
    assert [valid(one) for one in sent("forged")] == [True, False]
    stale = sent("stale")[1]
    assert valid(stale)
    assert stale.signature.startswith(f"t={int(BEGIN.timestamp()) - 3600},")
    assert [one.event["type"] for one in sent("delayed")] == types[:1]
    clock.at += timedelta(hours=1)
    assert told(world) == types[1:]


def test_an_event_can_arrive_before_the_call_that_caused_it_is_answered(sdk: stripe.StripeClient, world: World) -> None:
    card = saved_method(sdk, world)
    heard: list[str] = []

    def hears(delivery: Delivery) -> None:
        # The shop looks at once, while its own call is still on the wire.
        event: Any = delivery.event
        heard.append(speaking_to(world).v1.payment_intents.retrieve(event["data"]["object"]["id"]).status)

    world.on_early = hears
    world.faults.set([{"kind": "early"}, {"kind": "timeout_after", "endpoint": "intent_create"}])
    with pytest.raises(stripe.APIConnectionError):
        charge(sdk, card)
    assert (heard, told(world)) == (["succeeded"], [])


def test_an_event_that_is_not_taken_is_sent_again_later(sdk: stripe.StripeClient, world: World, clock: Clock) -> None:
    answers, seen = [500, 200], []
    shop = flask.Flask("shop")

    @shop.post("/hook")
    def hook() -> tuple[str, int]:
        seen.append(valid(Delivery(flask.request.get_data(), flask.request.headers["Stripe-Signature"])))
        return "", answers.pop(0)

    server = make_server("127.0.0.1", 0, shop, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    postman = Postman(world, f"http://127.0.0.1:{server.server_port}/hook")
    sdk.v1.checkout.sessions.expire(session(sdk).id)
    first = world.take_outbox()
    assert [postman.post(one) for one in first] == [False]
    assert world.outbox == []
    clock.at += timedelta(seconds=1)
    again = world.take_outbox()
    assert [postman.post(one) for one in again] == [True]
    assert first[0].event["id"] == again[0].event["id"]
    assert (seen, sdk.v1.events.list({}).data[0].pending_webhooks) == ([True, True], 0)
    server.shutdown()
    thread.join(10)
    server.server_close()


# -- the process --------------------------------------------------------------------------------------------------


def test_what_the_provider_knows_outlives_it(clock: Clock, tmp_path: Path) -> None:
    kept = tmp_path / "payments.json"
    first = World(now=clock.now, keep=kept)
    intent = paid(speaking_to(first), first)
    made = session(speaking_to(first), key="k")
    second = World(now=clock.now, keep=kept)
    assert second.truth("key-1") == first.truth("key-1")
    sdk = speaking_to(second)
    assert session(sdk, key="k").id == made.id
    assert sdk.v1.payment_intents.retrieve(intent.id).status == "succeeded"
    assert told(second) == ["payment_intent.succeeded", "checkout.session.completed"]
    assert session(sdk).id not in {intent.id, made.id}
    second.reset()
    assert World(now=clock.now, keep=kept).sessions() == []


def test_the_control_face_answers_on_loopback_only(sdk: stripe.StripeClient, world: World) -> None:
    made, here = session(sdk), browser(world)
    assert here.post(f"/control/sessions/{made.id}/delay").json()["status"] == "complete"
    assert here.post(f"/control/sessions/{made.id}/settle").json()["payment_status"] == "paid"
    refund = sdk.v1.refunds.create({"payment_intent": world.truth("key-1").captures[0].payment_intent})
    assert here.post(f"/control/refunds/{refund.id}/fail").json()["status"] == "failed"
    truth = here.get("/control/truth", params={"key": "key-1"}).json()
    assert (truth["captured"], truth["refunded"]) == ({"eur": 1200}, {})
    assert here.get("/control/sessions").json()["sessions"][0]["id"] == made.id
    app = application(world).test_client()
    assert app.get("/control/truth", environ_base={"REMOTE_ADDR": "192.0.2.7"}).status_code == 403
    assert app.get("/v1/control/truth").status_code == 404


def test_it_runs_as_a_process_of_its_own_and_posts_its_events(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    came, shop = threading.Event(), flask.Flask("shop")
    shop.add_url_rule("/hook", "hook", lambda: (came.set(), "")[1], methods=["POST"])
    server = make_server("127.0.0.1", 0, shop, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    request.addfinalizer(lambda: (server.shutdown(), server.server_close()))
    offset = tmp_path / "clock-offset"
    offset.write_text(str(100 * 365 * 86_400))
    arguments = ["--port", "0", "--webhook-url", f"http://127.0.0.1:{server.server_port}/hook", "--key", KEY]
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.payments", *arguments, "--clock-offset-file", str(offset)],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("XUKA_")},
        stdout=subprocess.PIPE,
        text=True,
    )
    stop: Callable[[], None] = process.terminate
    request.addfinalizer(lambda: (stop(), process.wait(10), process.stdout and process.stdout.close()))
    assert process.stdout is not None
    url = "http://" + process.stdout.readline().split("http://")[1].strip()
    sdk = stripe.StripeClient(KEY, base_addresses={"api": url}, max_network_retries=0)
    made = session(sdk)
    assert datetime.fromtimestamp(made.created, UTC).year > 2120
    assert made.url.startswith(f"{url}/c/pay/")
    sdk.v1.checkout.sessions.expire(made.id)
    assert came.wait(20)
