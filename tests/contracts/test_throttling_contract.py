"""What every carrier connector must do about speeds and texts, against that carrier's stand-in."""

from __future__ import annotations

import logging

import pytest

from tests.contracts.test_carriers import CARD, KEY, METERED_CARD, OTHER_CARD, AiraloStand, OwnStand
from xuka.activation.contract import Reason
from xuka.kernel.outcome import Done, Refused, Unknown

STRANGER = "8999999999999999993"
WORDS = "流量已用完:降至 512 kbit/s。Data used up."


@pytest.fixture
def own() -> OwnStand:
    return OwnStand()


def test_a_carrier_that_cannot_refuses_and_nothing_is_sent() -> None:
    stand = AiraloStand()
    refused = Refused(Reason.NOT_SUPPORTED)
    assert stand.carrier.throttle(iccid=CARD, kbps=512) == refused
    assert stand.carrier.throttle(iccid=CARD, kbps=None) == refused
    assert stand.carrier.speed(iccid=CARD) == refused
    assert stand.carrier.text(key=KEY, iccid=CARD, words=WORDS) == refused
    assert stand.transport.requests == []


# -- speeds ---------------------------------------------------------------------------------------------------


def test_a_card_begins_without_a_limit(own: OwnStand) -> None:
    assert own.carrier.speed(iccid=CARD) == Done(None)
    assert own.world.state.speeds == []


@pytest.mark.parametrize("kbps", [512, 1, 0, 2**31 - 1, None])
def test_a_speed_is_set_and_told_and_no_other_card_changes(own: OwnStand, kbps: int | None) -> None:
    assert own.carrier.throttle(iccid=OTHER_CARD, kbps=64) == Done(64)
    assert own.carrier.throttle(iccid=CARD, kbps=kbps) == Done(kbps)
    assert own.carrier.speed(iccid=CARD) == Done(kbps)
    assert own.carrier.speed(iccid=OTHER_CARD) == Done(64)
    assert own.carrier.speed(iccid=METERED_CARD) == Done(None)
    assert own.world.state.balance_minor == 100_000


def test_asking_for_a_speed_again_is_the_same_wish(own: OwnStand) -> None:
    for _ in range(3):
        assert own.carrier.throttle(iccid=CARD, kbps=512) == Done(512)
    assert own.carrier.throttle(iccid=CARD, kbps=None) == Done(None)
    assert own.carrier.speed(iccid=CARD) == Done(None)


def test_a_card_the_carrier_does_not_know_has_no_speed(own: OwnStand) -> None:
    for outcome in (own.carrier.throttle(iccid=STRANGER, kbps=512), own.carrier.speed(iccid=STRANGER)):
        assert outcome == Refused(Reason.CARD_UNKNOWN, None, "card-unknown no card …9993")
    assert own.world.state.speeds == []


@pytest.mark.parametrize("kind", sorted(OwnStand.refused))
def test_a_speed_that_is_refused_is_not_set(own: OwnStand, kind: str) -> None:
    own.fault(kind, endpoint="speed")
    refused = own.carrier.throttle(iccid=CARD, kbps=512)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.retry_after) == OwnStand.refused[kind]
    assert own.carrier.speed(iccid=CARD) == Done(None)
    assert own.world.state.speeds == []


@pytest.mark.parametrize("kind", sorted(OwnStand.nobody_knows))
def test_a_speed_that_is_unknown_is_asked_for_again(own: OwnStand, kind: str) -> None:
    own.fault(kind, endpoint="speed")
    assert isinstance(own.carrier.throttle(iccid=CARD, kbps=512), Unknown)
    assert own.world.state.cards[CARD].kbps == (512 if kind in OwnStand.acts else None)
    assert own.carrier.throttle(iccid=CARD, kbps=512) == Done(512)
    assert own.carrier.speed(iccid=CARD) == Done(512)


def test_a_late_answer_in_time_is_an_answer(own: OwnStand) -> None:
    own.fault("delay", endpoint="speed")
    assert own.carrier.throttle(iccid=CARD, kbps=512) == Done(512)


@pytest.mark.parametrize("kind", sorted({*OwnStand.refused, *OwnStand.nobody_knows}))
def test_a_speed_that_cannot_be_read_is_never_a_speed(own: OwnStand, kind: str) -> None:
    own.fault(kind, endpoint="card")
    assert isinstance(own.carrier.speed(iccid=CARD), Refused | Unknown)


# -- texts ----------------------------------------------------------------------------------------------------


def test_a_text_reaches_the_card_once_however_often_it_is_sent(own: OwnStand) -> None:
    first = own.carrier.text(key=KEY, iccid=CARD, words=WORDS)
    assert first == Done("text-1")
    assert own.carrier.text(key=KEY, iccid=CARD, words=WORDS) == first
    assert own.phone == [(CARD, WORDS)]
    assert own.carrier.text(key=f"{KEY}-2", iccid=CARD, words=WORDS) == Done("text-2")
    assert own.phone == [(CARD, WORDS)] * 2


@pytest.mark.parametrize("kind", sorted(OwnStand.nobody_knows))
def test_a_text_that_is_unknown_can_be_sent_again(own: OwnStand, kind: str) -> None:
    own.fault(kind, endpoint="text")
    assert isinstance(own.carrier.text(key=KEY, iccid=CARD, words=WORDS), Unknown)
    assert len(own.phone) == (kind in OwnStand.acts)
    assert own.carrier.text(key=KEY, iccid=CARD, words=WORDS) == Done("text-1")
    assert own.phone == [(CARD, WORDS)]


@pytest.mark.parametrize("kind", sorted(OwnStand.refused))
def test_a_text_that_is_refused_was_not_sent(own: OwnStand, kind: str) -> None:
    own.fault(kind, endpoint="text")
    refused = own.carrier.text(key=KEY, iccid=CARD, words=WORDS)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.retry_after) == OwnStand.refused[kind]
    assert own.phone == []


def test_another_text_under_the_same_key_is_refused(own: OwnStand) -> None:
    own.carrier.text(key=KEY, iccid=CARD, words=WORDS)
    for iccid, words in ((CARD, "other words"), (OTHER_CARD, WORDS)):
        refused = own.carrier.text(key=KEY, iccid=iccid, words=words)
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.retry_after) == (Reason.BAD_REQUEST, None)
    assert own.phone == [(CARD, WORDS)]


def test_the_log_holds_no_words_no_secret_and_no_whole_card_number(
    own: OwnStand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="xuka")
    own.carrier.text(key=KEY, iccid=CARD, words=WORDS)
    own.carrier.throttle(iccid=STRANGER, kbps=0)
    own.fault("card-recycled", endpoint="*", times=None)
    own.carrier.throttle(iccid=CARD, kbps=0)
    own.carrier.speed(iccid=CARD)
    assert "…0015" in caplog.text
    assert "…9993" in caplog.text
    for secret in (CARD, STRANGER, WORDS, KEY):
        assert secret not in caplog.text
