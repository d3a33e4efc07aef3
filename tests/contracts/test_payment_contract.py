"""What every payment connector must do, whoever it speaks to, against that provider's stand-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest

from tests.contracts.stands import BEGIN, Stand, connectors, keeps, stand_of
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.payments.contract import (
    Ask,
    Forged,
    Payment,
    PaymentState,
    Reason,
    Refund,
    RefundState,
    SettledKind,
    UnreadableStatement,
)

KEY = "xuka-5f0a3c1e9a554f0e8d8c0d2f5a7b9c11"
OTHER_KEY = "xuka-11c9b7a5f2d00c8d8e0f459a1e3c0a5f"
BACK, BACK_TOO, BACK_AGAIN = (f"xuka-{digit * 32}" for digit in "abc")
OPEN_OR_CLOSED = {PaymentState.OPEN, PaymentState.CLOSED}


@pytest.fixture(params=connectors())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def stand(name: str) -> Stand:
    return stand_of(name)


def asked(stand: Stand, **changed: Any) -> Ask:
    ask = Ask(
        key=KEY,
        method=stand.method,
        money=stand.monies[0],
        asked_at=stand.clock.now(),
        pay_by=stand.clock.now() + timedelta(hours=2),
        description="比利时 7 天无限量",
        return_url="http://shop.test/back",
        language="zh-Hans",
        client_ip="203.0.113.7",
    )
    return replace(ask, **changed)


def done(outcome: Outcome[Any]) -> Any:
    assert isinstance(outcome, Done), outcome
    return outcome.value


def start(stand: Stand, **changed: Any) -> Payment:
    return done(stand.provider.start(asked(stand, **changed)))


def look(stand: Stand, payment: Payment) -> Payment:
    return done(stand.provider.look(reference=payment.reference))


def find(stand: Stand, key: str = KEY) -> Outcome[Payment | None]:
    return stand.provider.find(key=key, asked_at=BEGIN, is_hosted=True)


def paid(stand: Stand, **changed: Any) -> Payment:
    """A payment that the person paid, captured where that is for the shop to do."""
    opened = start(stand, **changed)
    stand.pay(opened)
    return taken(stand, opened)


def taken(stand: Stand, opened: Payment) -> Payment:
    """What the person agreed to, as it is once the money was taken."""
    seen = look(stand, opened)
    if stand.captures and seen.state == PaymentState.APPROVED:
        done(stand.provider.capture(key=opened.key, reference=opened.reference, money=stand.monies[0]))
        seen = look(stand, opened)
    return seen


def closed(stand: Stand, payment: Payment) -> Payment:
    """Closed at once; or, where what nobody has opened yet cannot be closed, when its time is over."""
    seen = done(stand.provider.close(reference=payment.reference))
    if seen.state == PaymentState.OPEN:
        stand.clock.push(hours=3)
        seen = done(stand.provider.close(reference=payment.reference))
    return seen


def refund(stand: Stand, charge: str, money: Money, key: str = BACK) -> Outcome[Refund]:
    return stand.provider.refund(key=key, charge=charge, money=money)


def part_of(stand: Stand) -> Money:
    return Money(stand.monies[0].minor // 4 // 100 * 100, stand.monies[0].currency)


def arrived(stand: Stand, charge: str, key: str = BACK) -> Refund | None:
    """The refund as it is found by its key; None when the provider has none."""
    return done(stand.provider.find_refund(key=key, charge=charge))


def cannot(stand: Stand, what: str) -> bool:
    """Whether the stand declares that its provider cannot do this: see ``Stand.cannot``."""
    return what in getattr(stand, "cannot", ())


def is_lost(outcome: Outcome[Any], kind: str) -> bool:
    """Nobody knows, or it was surely not done and may come again."""
    may_come_again = isinstance(outcome, Refused) and outcome.retry_after is not None
    return may_come_again if kind == "rate_limited" else isinstance(outcome, Unknown)


# -- the good days ------------------------------------------------------------------------------------------------


def test_what_is_offered_is_told_without_a_call(stand: Stand) -> None:
    stand.on_wire(lambda: pytest.fail("a call was made"))
    offered = {method.name: method for method in stand.provider.methods()}[stand.method]
    assert offered.markets
    for money in stand.monies:
        least, most = offered.limits[money.currency]
        assert least <= money.minor <= most
    assert stand.provider.is_live is False
    assert stand.provider.call_deadline <= timedelta(seconds=60)


def test_a_person_pays_in_every_currency_and_it_is_told_to_the_minor_unit(name: str) -> None:
    for money in stand_of(name).monies:
        stand = stand_of(name)
        opened = start(stand, money=money)
        assert (opened.key, opened.state) == (KEY, PaymentState.OPEN)
        assert opened.url or opened.qr
        assert look(stand, opened).state == PaymentState.OPEN
        assert stand.captured(KEY) == {}
        stand.pay(opened)
        if stand.captures:
            assert look(stand, opened).state == PaymentState.APPROVED
            assert stand.captured(KEY) == {}
            done(stand.provider.capture(key=KEY, reference=opened.reference, money=money))
            done(stand.provider.capture(key=KEY, reference=opened.reference, money=money))
        seen = look(stand, opened)
        assert (seen.key, seen.state, seen.paid) == (KEY, PaymentState.PAID, money)
        assert seen.charge
        assert done(find(stand)).charge == seen.charge
        assert stand.captured(KEY) == {money.currency: money.minor}


def test_a_phone_is_led_somewhere_and_a_desk_shows_a_code_or_an_address(stand: Stand) -> None:
    phone = start(stand, device="phone")
    assert "://" in phone.url
    stand.pay(phone)
    assert taken(stand, phone).state == PaymentState.PAID
    desk = start(stand, key=OTHER_KEY, device="desk")
    assert desk.url.startswith("http") or desk.qr


def test_a_try_that_failed_leaves_it_open_for_another(stand: Stand) -> None:
    opened = start(stand)
    stand.decline(opened)
    assert look(stand, opened).state == PaymentState.OPEN
    stand.pay(opened)
    assert taken(stand, opened).paid == stand.monies[0]


def test_who_gives_up_has_paid_nothing(stand: Stand) -> None:
    opened = start(stand)
    stand.cancel(opened)
    assert look(stand, opened).state in OPEN_OR_CLOSED
    assert closed(stand, opened).state == PaymentState.CLOSED
    assert stand.captured(KEY) == {}


# -- one key, one payment -----------------------------------------------------------------------------------------


def test_the_same_ask_again_is_the_same_payment(stand: Stand) -> None:
    ask = asked(stand)
    first = done(stand.provider.start(ask))
    stand.clock.push(minutes=3)
    again = stand.provider.start(ask)
    if cannot(stand, "ask again"):
        assert isinstance(again, Unknown)
    else:
        second = done(again)
        assert (second.reference, second.key, second.state) == (first.reference, KEY, PaymentState.OPEN)
    assert stand.bills() == 1
    stand.pay(first)
    taken(stand, first)
    late = stand.provider.start(ask)
    assert not isinstance(late, Done) or late.value.key == KEY
    assert stand.bills() == 1
    assert stand.captured(KEY) == {stand.monies[0].currency: stand.monies[0].minor}


def test_other_keys_are_other_payments_and_what_was_never_asked_is_not_there(stand: Stand) -> None:
    first = paid(stand)
    assert find(stand, OTHER_KEY) == Done(None)
    second = start(stand, key=OTHER_KEY)
    assert second.reference != first.reference
    assert done(find(stand)).charge == first.charge
    assert look(stand, second).state == PaymentState.OPEN
    unknown = stand.provider.look(reference="nobody")
    assert isinstance(unknown, Refused)
    assert (unknown.reason, unknown.retry_after) == (Reason.UNKNOWN_PAYMENT, None)


def test_an_amount_that_is_not_offered_is_refused_and_nothing_begins(stand: Stand) -> None:
    offered = {method.name: method for method in stand.provider.methods()}[stand.method]
    money = stand.monies[0]
    for other in (
        Money(offered.limits[money.currency][1] + 1, money.currency),
        Money(offered.limits[money.currency][0] - 1, money.currency),
    ):
        refused = stand.provider.start(asked(stand, money=other))
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.retry_after) == (Reason.BAD_REQUEST, None)
    assert stand.bills() == 0


# -- the end of a payment -----------------------------------------------------------------------------------------


def test_what_is_closed_cannot_be_paid_and_closing_again_changes_nothing(stand: Stand) -> None:
    opened = start(stand)
    for _ in range(2):
        assert closed(stand, opened).state == PaymentState.CLOSED
    with suppress(LookupError):
        stand.pay(opened)
    assert look(stand, opened).state in {PaymentState.CLOSED, PaymentState.APPROVED}  # nobody will capture it
    assert stand.captured(KEY) == {}


def test_closing_what_is_paid_says_so_and_changes_nothing(stand: Stand) -> None:
    payment = paid(stand)
    seen = done(stand.provider.close(reference=payment.reference))
    assert (seen.state, seen.charge, seen.paid) == (PaymentState.PAID, payment.charge, payment.paid)
    assert stand.captured(KEY) == {stand.monies[0].currency: stand.monies[0].minor}


def test_who_pays_while_it_is_being_closed_has_paid(stand: Stand) -> None:
    opened = start(stand)

    def pay_first() -> None:
        stand.on_wire(None)
        stand.pay(opened)

    stand.on_wire(pay_first)
    seen = done(stand.provider.close(reference=opened.reference))
    if stand.captures:
        assert seen.state in {PaymentState.APPROVED, PaymentState.CLOSED}
    else:
        assert (seen.state, seen.paid) == (PaymentState.PAID, stand.monies[0])


def test_it_is_over_after_its_time_and_money_that_comes_all_the_same_is_told(stand: Stand) -> None:
    opened = start(stand)
    stand.clock.push(hours=3)
    assert done(stand.provider.close(reference=opened.reference)).state == PaymentState.CLOSED
    try:
        stand.pay_late(opened)
    except LookupError:  # there no money can come any more
        assert look(stand, opened).state == PaymentState.CLOSED
        assert stand.captured(KEY) == {}
        return
    seen = look(stand, opened)
    assert (seen.state, seen.paid) == (PaymentState.PAID, stand.monies[0])


def test_what_was_captured_is_told_and_not_what_was_asked(name: str) -> None:
    for kind in ("wrong_amount", "wrong_currency"):
        stand = stand_of(name)
        opened = start(stand)
        stand.fault(kind)
        stand.pay(opened)
        seen = taken(stand, opened)
        assert seen.state == PaymentState.PAID
        assert seen.paid is not None
        assert seen.paid != stand.monies[0]
        assert stand.captured(KEY) == {seen.paid.currency: seen.paid.minor}


# -- nobody heard the answer --------------------------------------------------------------------------------------


def test_an_ask_that_nobody_heard_of_is_found_or_asked_again_and_never_doubled(name: str) -> None:
    for kind in stand_of(name).wire:
        stand = stand_of(name)
        stand.fault(kind)
        lost = stand.provider.start(asked(stand))
        assert is_lost(lost, kind), (kind, lost)
        stand.heal()
        opened = found_or_asked_again(stand)
        if opened is None:
            continue
        assert (opened.key, opened.state) == (KEY, PaymentState.OPEN), kind
        assert stand.bills() == 1, kind
        stand.pay(opened)
        assert taken(stand, opened).paid == stand.monies[0], kind
        assert stand.captured(KEY) == {stand.monies[0].currency: stand.monies[0].minor}, kind


def found_or_asked_again(stand: Stand) -> Payment | None:
    """The payment that nobody heard of; None where the provider tells only that there is one, which nobody can pay."""
    if found := done(find(stand)):
        return found
    there = stand.bills()
    again = stand.provider.start(asked(stand))
    if cannot(stand, "ask again") and there:
        assert isinstance(again, Unknown)
        assert (stand.bills(), stand.captured(KEY)) == (1, {})
        return None
    return done(again)


class Killed(BaseException):
    """The process dies here."""


def test_a_kill_after_the_provider_acted_doubles_nothing(stand: Stand) -> None:
    def die_after_acting() -> None:
        if stand.bills():
            raise Killed

    stand.on_wire(die_after_acting)
    with pytest.raises(Killed):
        stand.provider.start(asked(stand))
    stand.on_wire(None)
    opened = found_or_asked_again(stand)
    assert opened is None or (opened.key, opened.state) == (KEY, PaymentState.OPEN)
    assert stand.bills() == 1


def test_a_look_that_fails_tells_nothing_and_never_that_it_is_not_there(name: str) -> None:
    stand = stand_of(name)
    payment = paid(stand)
    back = done(refund(stand, payment.charge, part_of(stand)))
    for kind in stand.wire:
        stand.fault(kind, times=None)
        for outcome in (
            stand.provider.look(reference=payment.reference),
            find(stand),
            stand.provider.look_refund(reference=back.reference),
            stand.provider.find_refund(key=BACK, charge=payment.charge),
        ):
            assert is_lost(outcome, kind), (kind, outcome)
        stand.heal()
    assert look(stand, payment) == payment


def test_closing_unheard_is_cleared_up_by_closing_again(name: str) -> None:
    for kind in stand_of(name).wire:
        stand = stand_of(name)
        opened = start(stand)
        stand.fault(kind)
        lost = stand.provider.close(reference=opened.reference)
        assert is_lost(lost, kind), (kind, lost)
        stand.heal()
        assert closed(stand, opened).state == PaymentState.CLOSED, kind


def test_a_capture_that_nobody_heard_of_takes_the_money_once(name: str) -> None:
    if not stand_of(name).captures:
        pytest.skip("it captures by itself")
    for kind in stand_of(name).wire:
        stand = stand_of(name)
        money = stand.monies[0]
        opened = start(stand)
        stand.pay(opened)
        stand.fault(kind)
        lost = stand.provider.capture(key=KEY, reference=opened.reference, money=money)
        assert is_lost(lost, kind), (kind, lost)
        stand.heal()
        assert taken(stand, opened).paid == money, kind
        assert stand.captured(KEY) == {money.currency: money.minor}, kind


def test_a_capture_that_is_declined_takes_nothing(stand: Stand) -> None:
    if not stand.captures:
        pytest.skip("it captures by itself")
    opened = start(stand)
    stand.pay(opened)
    stand.fault("capture_declined")
    seen = done(stand.provider.capture(key=KEY, reference=opened.reference, money=stand.monies[0]))
    assert seen.state in OPEN_OR_CLOSED
    assert seen.declined
    assert stand.captured(KEY) == {}


def test_a_refund_that_nobody_heard_of_goes_back_once(name: str) -> None:
    for kind in stand_of(name).wire:
        stand = stand_of(name)
        charge, part = paid(stand).charge, part_of(stand)
        stand.fault(kind)
        lost = refund(stand, charge, part)
        assert is_lost(lost, kind), (kind, lost)
        stand.heal()
        if cannot(stand, "know refunds"):
            found = done(stand.provider.find_refund(key=BACK, charge=charge, money=part))
            gone = {part.currency: part.minor} if found else {}
            assert stand.refunded(KEY) == gone, (kind, found)
            continue
        back = arrived(stand, charge) or done(refund(stand, charge, part))
        assert (back.key, back.money) == (BACK, part), kind
        again = refund(stand, charge, part)
        assert not isinstance(again, Done) or again.value.reference == back.reference, kind
        seen = arrived(stand, charge)
        assert seen is not None
        assert (seen.state, seen.money) == (RefundState.DONE, part), kind
        assert stand.refunded(KEY) == {part.currency: part.minor}, kind


# -- money back ---------------------------------------------------------------------------------------------------


def test_money_goes_back_in_parts_and_never_more_than_there_was(stand: Stand) -> None:
    payment, part = paid(stand), part_of(stand)
    whole, rest = stand.monies[0], stand.monies[0] - part
    first = done(refund(stand, payment.charge, part))
    assert (first.key, first.money) == (BACK, part)
    too_much = refund(stand, payment.charge, whole, BACK_TOO)
    assert isinstance(too_much, Refused)
    assert too_much.retry_after is None
    done(refund(stand, payment.charge, rest, BACK_AGAIN))
    nothing_left = refund(stand, payment.charge, part, OTHER_KEY)
    assert isinstance(nothing_left, Refused)
    assert nothing_left.retry_after is None
    assert stand.refunded(KEY) == {whole.currency: whole.minor}
    if cannot(stand, "know refunds"):
        assert done(stand.provider.look_refund(reference=first.reference)).money == part
        found = done(stand.provider.find_refund(key=BACK, charge=payment.charge, money=part))
        assert found == first
        return
    for key, money in ((BACK, part), (BACK_AGAIN, rest)):
        seen = arrived(stand, payment.charge, key)
        assert seen is not None
        assert (seen.key, seen.state, seen.money) == (key, RefundState.DONE, money)
        assert stand.provider.look_refund(reference=seen.reference) == Done(seen)
    for key in (BACK_TOO, OTHER_KEY):
        assert arrived(stand, payment.charge, key) is None
    after = look(stand, payment)
    assert (after.state, after.charge, after.paid) == (PaymentState.PAID, payment.charge, whole)


def test_a_refund_in_another_currency_moves_nothing(stand: Stand) -> None:
    charge = paid(stand).charge
    other = Money(500, "USD" if stand.monies[0].currency != "USD" else "EUR")
    stand.provider.refund(key=BACK, charge=charge, money=other)
    assert set(stand.refunded(KEY)) <= {stand.monies[0].currency}
    seen = stand.provider.find_refund(key=BACK, charge=charge)
    assert not isinstance(seen, Done) or seen.value is None or seen.value.money.currency != other.currency


def test_a_refund_that_is_refused_moves_nothing(stand: Stand) -> None:
    charge = paid(stand).charge
    stand.fault("refund_refused")
    outcome = refund(stand, charge, part_of(stand))
    if isinstance(outcome, Done):
        assert outcome.value.state == RefundState.FAILED
    else:
        assert isinstance(outcome, Refused)
        assert outcome.retry_after is None
    assert stand.refunded(KEY) == {}


@pytest.mark.parametrize("ok", [True, False])
def test_a_refund_on_its_way_is_not_done_before_it_arrives(stand: Stand, ok: bool) -> None:
    if cannot(stand, "wait with refunds"):
        pytest.skip("a refund is done or refused at once")
    if not ok and cannot(stand, "fail a refund"):
        pytest.skip("what it took, it tries until it arrives")
    charge, part = paid(stand).charge, part_of(stand)
    stand.fault("refund_pending")
    outcome = refund(stand, charge, part)
    assert not isinstance(outcome, Done) or outcome.value.state == RefundState.PENDING
    waiting = arrived(stand, charge)
    assert waiting is None or waiting.state == RefundState.PENDING
    stand.settle_refund(BACK, ok=ok)
    seen = arrived(stand, charge)
    if ok:
        assert seen is not None
        assert (seen.state, seen.money) == (RefundState.DONE, part)
        assert stand.refunded(KEY) == {part.currency: part.minor}
    else:
        assert seen is None or seen.state == RefundState.FAILED
        assert stand.refunded(KEY) == {}


# -- what is told without being asked -----------------------------------------------------------------------------


def test_a_body_that_nobody_signed_is_forged(stand: Stand) -> None:
    for body in (b"", b"{}", b"a=b", b"\xff", b'{"id": "1"}'):
        with pytest.raises(Forged):
            stand.provider.read_webhook(body=body, headers={}, now=stand.clock.now())


def test_webhooks_say_where_to_look_however_they_come(name: str) -> None:
    if not stand_of(name).posts:
        pytest.skip("it posts no webhooks")
    for kind in ("", "duplicated", "reordered", "lost"):
        stand = stand_of(name)
        opened = start(stand)
        if kind:
            stand.fault(kind)
        stand.pay(opened)
        payment = taken(stand, opened)
        done(refund(stand, payment.charge, part_of(stand)))
        told = stand.webhooks()
        events = [stand.provider.read_webhook(body=b, headers=h, now=stand.clock.now()) for b, h in told]
        assert all(event.key == KEY or payment.charge == event.charge for event in events), kind
        assert any(event.matters for event in events), kind
        if kind == "duplicated":
            assert len({event.id for event in events}) == len(events) - 1
        else:
            assert len({event.id for event in events}) == len(events)
        assert payment.paid == stand.monies[0], kind


def test_a_webhook_that_was_changed_forged_or_kept_back_is_not_believed(name: str) -> None:
    if not stand_of(name).posts:
        pytest.skip("it posts no webhooks")
    for kind in ("forged", "stale"):
        stand = stand_of(name)
        opened = start(stand)
        stand.fault(kind, times=None)
        stand.pay(opened)
        taken(stand, opened)
        body, headers = stand.webhooks()[-1]
        with pytest.raises(Forged):
            stand.provider.read_webhook(body=body, headers=headers, now=stand.clock.now())
    stand = stand_of(name)
    opened = start(stand)
    stand.pay(opened)
    body, headers = stand.webhooks()[-1]
    event = stand.provider.read_webhook(body=body, headers=headers, now=stand.clock.now())
    assert event.key == KEY
    for changed in (body[:-1], body + b"1", body.replace(b"1", b"2"), b""):
        with pytest.raises(Forged):
            stand.provider.read_webhook(body=changed, headers=headers, now=stand.clock.now())


# -- what was settled ---------------------------------------------------------------------------------------------


def test_what_was_settled_names_each_payment_and_refund_by_our_key(stand: Stand) -> None:
    payment, part = paid(stand), part_of(stand)
    done(refund(stand, payment.charge, part))
    content, day = stand.statement(), stand.clock.now().date()
    stand.clock.push(days=2)
    if content is None:
        rows = done(stand.provider.settlements(day=day))
    else:
        rows = stand.provider.read_statement(content=content)
    moved = {row.kind: row for row in rows if row.kind in {SettledKind.PAYMENT, SettledKind.REFUND}}
    came, went = moved[SettledKind.PAYMENT], moved[SettledKind.REFUND]
    assert (came.money, came.charge) == (stand.monies[0], payment.charge)
    assert (went.money, went.charge or payment.charge) == (Money(-part.minor, part.currency), payment.charge)
    assert came.key in {KEY, ""}
    assert went.key in {BACK, KEY, ""}
    assert min(came.fee.minor, went.fee.minor) >= 0
    assert len({row.id for row in rows}) == len(rows)


def test_another_file_is_no_statement(stand: Stand) -> None:
    for content in (b"", b"a,b\n1,2\n", b"\xff\xfe\x00", b"PK\x03\x04"):
        with pytest.raises(UnreadableStatement):
            stand.provider.read_statement(content=content)


# -- what is kept -------------------------------------------------------------------------------------------------


@pytest.fixture(params=[(name, method) for name in connectors() for method in keeps(name)], ids="-".join)
def keeper(request: pytest.FixtureRequest) -> Callable[[], Stand]:
    """Makes a stand of a connector that keeps what is paid with, once for each method."""
    return partial(stand_of, *request.param)


def test_a_connector_keeps_what_its_stand_names_and_nothing_else(name: str) -> None:
    for method in keeps(name) or ("",):
        offered = (stand_of(name, method) if method else stand_of(name)).provider.methods()
        assert [one.name for one in offered if one.can_be_saved] == [*filter(None, [method])]


def kept(stand: Stand) -> dict[str, str]:
    """Somebody who had kept what they paid with, as an ask names both."""
    payer = done(stand.provider.make_payer(key="xuka-payer"))
    payment = paid(stand, key=OTHER_KEY, payer=payer, save_method=True)
    assert payment.saved_method is not None
    return {"payer": payer, "saved_method": payment.saved_method.reference}


def charge(stand: Stand, what: dict[str, str], **changed: Any) -> Outcome[Payment]:
    """What is kept pays: as it begins, or as the shop captures what nobody had to approve."""
    ask = asked(stand, **what, **changed)
    begun = stand.provider.start(ask)
    if not isinstance(begun, Done) or begun.value.state != PaymentState.APPROVED:
        return begun
    return stand.provider.capture(key=ask.key, reference=begun.value.reference, money=ask.money)


def why_not(outcome: Outcome[Payment]) -> Reason | None:
    """Why nothing was taken and nothing can be any more; None when that is not what is said."""
    if isinstance(outcome, Refused) and outcome.retry_after is None:
        return Reason(outcome.reason)
    if not isinstance(outcome, Done) or outcome.value.state != PaymentState.CLOSED or not outcome.value.declined:
        return None
    if outcome.value.method_gone:
        return Reason.METHOD_GONE
    return Reason.NEEDS_CUSTOMER if outcome.value.needs_customer else Reason.DECLINED


def found(stand: Stand, key: str = KEY) -> Payment | None:
    return done(stand.provider.find(key=key, asked_at=BEGIN, is_hosted=False))


def is_untouched(stand: Stand) -> bool:
    """No money moved, there is no page to pay at, and what is found of it is over, and stays so."""
    left = found(stand)
    if left is not None:
        assert (left.state, left.url, left.paid) == (PaymentState.CLOSED, "", None)
        assert done(stand.provider.close(reference=left.reference)).state == PaymentState.CLOSED
    return stand.captured(KEY) == {}


def is_paid_once(stand: Stand, payment: Payment) -> bool:
    """Exactly what was asked, under this key, and it is found by it."""
    money = stand.monies[0]
    assert (payment.key, payment.state, payment.paid, payment.url) == (KEY, PaymentState.PAID, money, "")
    there = found(stand)
    assert there is not None
    assert (there.reference, there.charge) == (payment.reference, payment.charge)
    return stand.captured(KEY) == {money.currency: money.minor}


def test_it_is_kept_only_with_consent_and_shown_in_part(keeper: Callable[[], Stand]) -> None:
    stand = keeper()
    payer = done(stand.provider.make_payer(key="xuka-payer"))
    assert paid(stand, payer=payer).saved_method is None
    saved = paid(stand, key=OTHER_KEY, payer=payer, save_method=True).saved_method
    assert saved is not None
    assert saved.reference
    assert saved.known_by == {"card": "4242", "paypal": "b***@sandbox.test"}[stand.method]


@pytest.mark.parametrize("off_session", [False, True])
def test_what_is_kept_pays_at_once_in_every_currency_and_once_for_a_key(
    keeper: Callable[[], Stand], off_session: bool
) -> None:
    for money in keeper().monies:
        stand = keeper()
        stand.monies = (money,)
        what = kept(stand)
        payment = done(charge(stand, what, off_session=off_session))
        assert payment.saved_method is None, "it was kept before"
        assert is_paid_once(stand, payment)
        stand.clock.push(minutes=3)
        assert done(charge(stand, what, off_session=off_session)).charge == payment.charge
        assert look(stand, payment) == done(stand.provider.close(reference=payment.reference)) == payment
        assert is_paid_once(stand, payment)


def test_what_is_kept_and_has_too_little_pays_nothing_and_the_next_payment_is_another(
    keeper: Callable[[], Stand],
) -> None:
    stand = keeper()
    what = kept(stand)
    stand.fault("decline_saved")
    for _ in range(2):
        assert why_not(charge(stand, what)) == Reason.DECLINED
        assert is_untouched(stand)
    again = done(charge(stand, what, key=BACK))
    assert (again.state, again.paid) == (PaymentState.PAID, stand.monies[0])
    assert is_untouched(stand)


def test_what_is_kept_and_wants_its_owner_pays_nothing_while_nobody_is_there(keeper: Callable[[], Stand]) -> None:
    stand = keeper()
    what = kept(stand)
    stand.fault("saved_needs_3ds")
    assert why_not(charge(stand, what, off_session=True)) == Reason.NEEDS_CUSTOMER
    assert is_untouched(stand)


def test_what_is_forgotten_pays_no_more_and_forgetting_it_again_is_done(keeper: Callable[[], Stand]) -> None:
    stand = keeper()
    what = kept(stand)
    for _ in range(2):
        assert stand.provider.forget_method(reference=what["saved_method"]) == Done(None)
    assert why_not(charge(stand, what)) == Reason.METHOD_GONE
    assert is_untouched(stand)


def test_what_never_was_kept_pays_nothing(keeper: Callable[[], Stand]) -> None:
    stand = keeper()
    what = kept(stand) | {"saved_method": "pm_nobody"}
    assert why_not(charge(stand, what)) == Reason.METHOD_GONE
    assert is_untouched(stand)


def test_a_charge_that_nobody_heard_of_takes_the_money_once(keeper: Callable[[], Stand]) -> None:
    for endpoint in ("*", "charge"):
        for kind in keeper().wire:
            stand = keeper()
            what = kept(stand)
            stand.fault(kind, **({} if endpoint == "*" else {"endpoint": endpoint}))
            lost = charge(stand, what)
            assert is_lost(lost, kind), (kind, endpoint, lost)
            stand.heal()
            assert is_paid_once(stand, cleared_up(stand, what)), (kind, endpoint)


def cleared_up(stand: Stand, what: dict[str, str]) -> Payment:
    """Looked for by its key, asked again under it when it is not there, and looked at by its id before it is taken."""
    there = found(stand)
    begun = there or done(stand.provider.start(asked(stand, **what)))
    return taken(stand, begun)


def test_a_process_that_dies_at_any_moment_of_a_charge_has_charged_once_in_the_end(
    keeper: Callable[[], Stand],
) -> None:
    for moment in range(1, 20):
        stand = keeper()
        what = kept(stand)
        calls = count()

        def die(at: int = moment, calls: Iterator[int] = calls) -> None:
            if next(calls) + 1 == at:
                raise Killed

        stand.on_wire(die)
        try:
            done(charge(stand, what))
        except Killed:
            stand.on_wire(None)
            assert is_paid_once(stand, cleared_up(stand, what)), moment
        else:
            assert moment > 2, "nobody died"
            return
    pytest.fail("it never came to its end")


def test_forgetting_that_nobody_heard_of_is_done_again(keeper: Callable[[], Stand]) -> None:
    for kind in keeper().wire:
        stand = keeper()
        what = kept(stand)
        stand.fault(kind, endpoint="forget")
        lost = stand.provider.forget_method(reference=what["saved_method"])
        assert is_lost(lost, kind), (kind, lost)
        stand.heal()
        assert stand.provider.forget_method(reference=what["saved_method"]) == Done(None)
        assert why_not(charge(stand, what)) == Reason.METHOD_GONE, kind


# -- nothing is kept ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in connectors() if not keeps(name)])
def test_where_nothing_can_be_kept_nothing_is(stand: Stand) -> None:
    for outcome in (stand.provider.make_payer(key=KEY), stand.provider.forget_method(reference="nobody")):
        assert isinstance(outcome, Refused)
        assert outcome.retry_after is None
