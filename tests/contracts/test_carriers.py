"""What every carrier connector must do, whoever it speaks to, against that carrier's stand-in."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from stdnum import luhn
from werkzeug.serving import make_server

from sandbox.carrier.app import application
from sandbox.carrier.faults import ACTS, KINDS
from sandbox.carrier.world import World
from sandbox.own_network import app as own_network
from sandbox.own_network import world as own_world
from sandbox.transport import InProcess
from xuka.activation.contract import Activation, Carrier, Offer, Reason, Usage
from xuka.connectors.carriers.airalo.connector import Airalo
from xuka.connectors.carriers.own_network.connector import OwnNetwork
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Refused, Unknown

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CARD = "8932000000000000015"
OTHER_CARD = "8932000000000000023"
METERED_CARD = "8981000000000000019"
KEY = "5f0a3c1e-9a55-4f0e-8d8c-0d2f5a7b9c11"


class Clock:
    """A clock that only moves when told, for both sides of the wire."""

    def __init__(self) -> None:
        self.at = BEGIN

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - BEGIN).total_seconds()

    def push(self, **by: float) -> None:
        self.at += timedelta(**by)


class Stand(Protocol):
    """One connector and the far side it speaks to.

    Attributes:
        refused: the faults that a carrier puts into words, and what these say.
        done_all_the_same: the faults that the caller does not notice, and how often the work is then done.
        nobody_knows: every other one. Those in ``acts`` do the work.
        buying: the endpoint at which a new eSIM is bought.
        figures: ``call_deadline``, ``absent_after`` and ``usage_every``.
        ends_at: what the carrier tells of the end of ``package`` on ``CARD``.
        abilities: ``can_throttle``, ``can_text``, ``can_start_next`` and ``can_cancel``.
    """

    clock: Clock
    package: str
    first_package: str
    cost: Money
    refused: Mapping[str, tuple[Reason, timedelta | None]]
    done_all_the_same: Mapping[str, int]
    nobody_knows: frozenset[str]
    acts: frozenset[str]
    buying: str
    figures: tuple[timedelta, timedelta, timedelta]
    ends_at: datetime | None
    abilities: tuple[bool, bool, bool, bool]

    @property
    def carrier(self) -> Carrier: ...

    def fault(self, kind: str, **more: Any) -> None: ...

    def truth(self, key: str) -> int: ...

    def take(self, *, key: str, iccid: str, package: str) -> None: ...

    def on_wire(self, hook: Callable[[], None] | None) -> None: ...


class AiraloStand:
    refused: Mapping[str, tuple[Reason, timedelta | None]] = {
        "rate_limited": (Reason.RATE_LIMITED, timedelta(seconds=30)),
        "insufficient_credit": (Reason.SELLER_OUT_OF_CREDIT, timedelta(minutes=5)),
        "maintenance": (Reason.MAINTENANCE, timedelta(minutes=1)),
        "bad_checksum": (Reason.BAD_REQUEST, None),
        "topup_disabled": (Reason.TOP_UP_DISABLED, None),
        "out_of_stock": (Reason.OUT_OF_STOCK, timedelta(minutes=1)),
        "package_gone": (Reason.OUT_OF_STOCK, None),
        "bad_request": (Reason.BAD_REQUEST, None),
        "recycled": (Reason.CARD_RECYCLED, None),
        "not_allowed": (Reason.NOT_AUTHORISED, None),
    }
    done_all_the_same: Mapping[str, int] = {"duplicate": 2, "delay": 1, "old_token": 1}
    nobody_knows: frozenset[str] = frozenset(KINDS) - refused.keys() - done_all_the_same.keys()
    acts: frozenset[str] = ACTS
    buying = "submit_order"
    figures: tuple[timedelta, timedelta, timedelta] = (
        timedelta(seconds=20),
        timedelta(minutes=2),
        timedelta(minutes=20),
    )
    ends_at: datetime | None = None
    abilities: tuple[bool, bool, bool, bool] = (False, False, False, False)

    def __init__(self) -> None:
        self.package = "belsim-7days-unlimited-topup"
        self.first_package = "belsim-7days-unlimited"
        self.cost = Money(700, "USD")
        self.clock = Clock()
        self.world = World(now=self.clock.now, limited=False)
        end = BEGIN + timedelta(days=2)
        self.world.seed_card(iccid=CARD, package=self.package, expires_at=end)
        self.world.seed_card(iccid=OTHER_CARD, package=self.package, expires_at=end)
        self.world.seed_card(
            iccid=METERED_CARD, package="nihonsim-30days-20gb-topup", expires_at=end, remaining_mb=5 * 1024
        )
        self.transport = InProcess(application(self.world))
        self.carrier = Airalo(
            base_url="http://carrier.test",
            client_id="sandbox",
            client_secret="sandbox-secret",
            transport=self.transport,
            monotonic=self.clock.monotonic,
        )

    def fault(self, kind: str, **more: Any) -> None:
        self.world.faults.set([{"kind": kind, **more}])

    def truth(self, key: str) -> int:
        return len(self.world.truth(key))

    def take(self, *, key: str, iccid: str, package: str) -> None:
        self.world.top_up(package_id=package, iccid=iccid, description=key)

    def on_wire(self, hook: Callable[[], None] | None) -> None:
        self.transport.on_wire = hook


class OwnStand:
    refused: Mapping[str, tuple[Reason, timedelta | None]] = {
        "bad-request": (Reason.BAD_REQUEST, None),
        "not-authorised": (Reason.NOT_AUTHORISED, None),
        "stale-request": (Reason.NOT_AUTHORISED, timedelta(seconds=30)),
        "out-of-credit": (Reason.SELLER_OUT_OF_CREDIT, timedelta(minutes=5)),
        "card-unknown": (Reason.CARD_UNKNOWN, None),
        "package-unknown": (Reason.PACKAGE_UNKNOWN, None),
        "key-reused": (Reason.BAD_REQUEST, None),
        "top-up-disabled": (Reason.TOP_UP_DISABLED, None),
        "out-of-stock": (Reason.OUT_OF_STOCK, timedelta(minutes=1)),
        "card-recycled": (Reason.CARD_RECYCLED, None),
        "package-gone": (Reason.OUT_OF_STOCK, None),
        "rate-limited": (Reason.RATE_LIMITED, timedelta(seconds=30)),
        "not-supported": (Reason.NOT_SUPPORTED, None),
        "period-unknown": (Reason.BAD_REQUEST, None),
        "begun": (Reason.BEGUN, None),
        "maintenance": (Reason.MAINTENANCE, timedelta(minutes=1)),
    }
    done_all_the_same: Mapping[str, int] = {"delay": 1}
    nobody_knows: frozenset[str] = frozenset(own_world.KINDS) - done_all_the_same.keys()
    acts: frozenset[str] = own_world.ACTS
    buying = "issue"
    figures: tuple[timedelta, timedelta, timedelta] = (
        timedelta(seconds=10),
        timedelta(minutes=2),
        timedelta(minutes=5),
    )
    ends_at: datetime | None = BEGIN + timedelta(days=9)
    abilities: tuple[bool, bool, bool, bool] = (True, True, True, True)

    def __init__(self) -> None:
        self.package = self.first_package = "own-7days-unlimited"
        self.cost = Money(700, "EUR")
        self.clock = Clock()
        self.phone: list[tuple[str, str]] = []
        self.world = own_world.World(
            now=self.clock.now, secret="ours", deliver=lambda to, words: self.phone.append((to, words))
        )
        end = BEGIN + timedelta(days=2)
        for iccid in (CARD, OTHER_CARD):
            self.world.seed_card(iccid=iccid, expires_at=end)
        self.world.seed_card(
            iccid=METERED_CARD, expires_at=end, unlimited=False, remaining_bytes=5 * 10**9, total_bytes=20 * 10**9
        )
        self.transport = InProcess(own_network.application(self.world))
        self.carrier = OwnNetwork(
            base_url="http://own.test",
            secret="ours",
            transport=self.transport,
            monotonic=self.clock.monotonic,
            clock=lambda: self.clock.at.timestamp(),
        )

    def fault(self, kind: str, **more: Any) -> None:
        self.world.fail({"kind": kind, "endpoint": "renew", **more})

    def truth(self, key: str) -> int:
        return len(self.world.truth(key))

    def take(self, *, key: str, iccid: str, package: str) -> None:
        self.world.put_on_anyhow(key=key, iccid=iccid, package=package)

    def on_wire(self, hook: Callable[[], None] | None) -> None:
        self.transport.on_wire = hook


STANDS: dict[str, type[AiraloStand] | type[OwnStand]] = {"airalo": AiraloStand, "own_network": OwnStand}


def each(faults: Callable[[type[AiraloStand] | type[OwnStand]], Iterable[str]]) -> pytest.MarkDecorator:
    """Every carrier with every one of these faults of its own."""
    pairs = [(name, kind) for name, stand in sorted(STANDS.items()) for kind in sorted(faults(stand))]
    return pytest.mark.parametrize(("stand", "kind"), pairs, indirect=["stand"])


of_all_kinds = each(lambda stand: {*stand.refused, *stand.nobody_knows, *stand.done_all_the_same})
of_refused = each(lambda stand: stand.refused)
of_done_all_the_same = each(lambda stand: stand.done_all_the_same)
of_unknown = each(lambda stand: stand.nobody_knows)
of_failing = each(lambda stand: {*stand.refused, *stand.nobody_knows})


@pytest.fixture(params=sorted(STANDS))
def stand(request: pytest.FixtureRequest) -> Stand:
    return STANDS[request.param]()


@pytest.fixture
def airalo() -> AiraloStand:
    return AiraloStand()


def renew(stand: Stand, key: str = KEY) -> Any:
    return stand.carrier.renew(key=key, iccid=CARD, package=stand.package)


def find(stand: Stand, key: str = KEY) -> Any:
    return stand.carrier.find(key=key, iccid=CARD, package=stand.package)


# -- the good days --------------------------------------------------------------------------------------------


def test_a_card_can_be_renewed_once_and_found(stand: Stand) -> None:
    assert find(stand) == Done(())
    done = renew(stand)
    assert isinstance(done, Done)
    assert done.value == Activation(
        reference=done.value.reference,
        key=KEY,
        iccid=CARD,
        package=stand.package,
        activated_at=BEGIN,
        ends_at=stand.ends_at,
    )
    assert find(stand) == Done((done.value,))
    assert stand.truth(KEY) == 1


def test_offers_tell_package_and_cost(stand: Stand) -> None:
    offers = stand.carrier.offers(iccid=CARD)
    assert isinstance(offers, Done)
    assert Offer(stand.package, stand.cost) in offers.value


def test_offers_for_a_card_the_carrier_does_not_know_are_refused(stand: Stand) -> None:
    refused = stand.carrier.offers(iccid="8999999999999999993")
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.CARD_UNKNOWN


def test_usage_of_an_unlimited_plan_tells_the_end_and_no_volume(stand: Stand) -> None:
    assert stand.carrier.usage(iccid=CARD) == Done(
        Usage(
            as_of=BEGIN,
            unlimited=True,
            remaining_bytes=None,
            total_bytes=None,
            expires_at=BEGIN + timedelta(days=2),
            status="ACTIVE",
        )
    )


def test_usage_of_a_metered_plan_tells_what_is_left(stand: Stand) -> None:
    used = stand.carrier.usage(iccid=METERED_CARD)
    assert isinstance(used, Done)
    assert (used.value.remaining_bytes, used.value.total_bytes) == (5_000_000_000, 20_000_000_000)


def test_a_renewal_costs_what_the_offer_said(stand: Stand) -> None:
    before = stand.carrier.balance()
    renew(stand)
    after = stand.carrier.balance()
    assert isinstance(before, Done)
    assert isinstance(after, Done)
    assert before.value - after.value == stand.cost


def test_the_figures_of_the_contract_are_told(stand: Stand) -> None:
    carrier = stand.carrier
    assert (carrier.call_deadline, carrier.absent_after, carrier.usage_every) == stand.figures
    assert (carrier.can_throttle, carrier.can_text, carrier.can_start_next, carrier.can_cancel) == stand.abilities


# -- the bad days ---------------------------------------------------------------------------------------------


@of_refused
def test_what_is_refused_did_not_happen(stand: Stand, kind: str) -> None:
    stand.fault(kind)
    outcome = renew(stand)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.retry_after) == stand.refused[kind]
    assert CARD not in outcome.detail
    assert stand.truth(KEY) == 0
    assert find(stand) == Done(())


@of_unknown
def test_what_is_unknown_is_cleared_up_by_looking(stand: Stand, kind: str) -> None:
    stand.fault(kind)
    assert isinstance(renew(stand), Unknown)
    taken = int(kind in stand.acts)
    assert stand.truth(KEY) == taken
    found = find(stand)
    assert isinstance(found, Done)
    assert len(found.value) == taken


@of_done_all_the_same
def test_what_went_wrong_unseen_is_done_and_every_activation_is_found(stand: Stand, kind: str) -> None:
    stand.fault(kind)
    done = renew(stand)
    assert isinstance(done, Done)
    times = stand.done_all_the_same[kind]
    assert stand.truth(KEY) == times
    found = find(stand)
    assert isinstance(found, Done)
    assert len(found.value) == times
    assert found.value[0] == done.value
    assert len({one.reference for one in found.value}) == times


@of_failing
def test_a_look_that_fails_is_unknown_and_never_not_found(stand: Stand, kind: str) -> None:
    renew(stand)
    stand.fault(kind, endpoint="*", times=None)
    assert isinstance(find(stand), Unknown)


@of_all_kinds
def test_no_fault_makes_a_read_fall_over(stand: Stand, kind: str) -> None:
    for read in (
        lambda: stand.carrier.offers(iccid=CARD),
        lambda: stand.carrier.usage(iccid=CARD),
        stand.carrier.balance,
    ):
        stand.fault(kind, endpoint="*", times=1)
        assert isinstance(read(), Done | Refused | Unknown)


def test_out_of_credit_is_refused_and_nothing_taken(airalo: AiraloStand) -> None:
    airalo.world.set_balance(699)
    refused = renew(airalo)
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.SELLER_OUT_OF_CREDIT
    assert airalo.carrier.balance() == Done(Money(699, "USD"))


# -- adopting only our own ------------------------------------------------------------------------------------


def test_look_alikes_are_not_adopted(stand: Stand) -> None:
    stand.take(key=f"{KEY}-2", iccid=CARD, package=stand.package)
    stand.take(key=KEY[:-1], iccid=CARD, package=stand.package)
    stand.take(key=KEY.upper(), iccid=CARD, package=stand.package)
    stand.take(key=KEY, iccid=OTHER_CARD, package=stand.package)
    stand.take(key=KEY, iccid=CARD, package=stand.package.replace("7days", "30days"))
    assert find(stand) == Done(())


def test_every_page_is_looked_through_oldest_first(stand: Stand) -> None:
    stand.take(key=KEY, iccid=CARD, package=stand.package)
    for number in range(120):
        stand.take(key=f"{KEY}-{number}", iccid=CARD, package=stand.package)
    stand.clock.push(hours=1)
    stand.take(key=KEY, iccid=CARD, package=stand.package)
    found = find(stand)
    assert isinstance(found, Done)
    assert [one.activated_at for one in found.value] == [BEGIN, BEGIN + timedelta(hours=1)]


def test_airalo_orders_that_failed_or_were_refunded_are_not_found(airalo: AiraloStand) -> None:
    done = renew(airalo)
    for status, expected in (("failed", Done(())), ("refunded", Done(())), ("completed", Done((done.value,)))):
        airalo.world.set_order_status(int(done.value.reference), status)
        assert find(airalo) == expected
    airalo.world.set_order_status(int(done.value.reference), "partially_refunded")
    assert isinstance(find(airalo), Unknown)


def test_airalo_rows_that_name_no_card_are_checked_with_the_card(airalo: AiraloStand) -> None:
    airalo.world.rows_carry_sims = False
    done = renew(airalo)
    assert find(airalo) == Done((done.value,))
    assert airalo.transport.requests[-2:] == [
        ("GET", f"/v2/orders/{done.value.reference}"),
        ("GET", f"/v2/sims/{CARD}/packages"),
    ]
    airalo.world.state.cards[CARD].history.clear()
    assert isinstance(find(airalo), Unknown)


# -- a new eSIM -------------------------------------------------------------------------------------------------


def issue(stand: Stand, key: str = KEY) -> Any:
    return stand.carrier.issue(key=key, package=stand.first_package)


def find_issued(stand: Stand, key: str = KEY) -> Any:
    return stand.carrier.find_issued(key=key, package=stand.first_package)


def test_a_new_esim_can_be_bought_once_found_and_renewed(stand: Stand) -> None:
    assert find_issued(stand) == Done(())
    before = stand.carrier.balance()
    done = issue(stand)
    assert isinstance(done, Done)
    one = done.value
    assert one == Activation(one.reference, KEY, one.iccid, stand.first_package, BEGIN, esim=one.esim)
    assert luhn.is_valid(one.iccid)
    assert (len(one.iccid), one.iccid[:2]) == (19, "89")
    assert one.esim.lpa == f"LPA:1${one.esim.smdp_address}${one.esim.matching_id}"
    assert one.esim.apple_url.endswith(f"carddata={one.esim.lpa}")
    assert find_issued(stand) == Done((one,))
    assert stand.truth(KEY) == 1
    after = stand.carrier.balance()
    assert isinstance(before, Done)
    assert isinstance(after, Done)
    assert before.value - after.value == stand.cost
    offers = stand.carrier.offers(iccid=one.iccid)
    assert isinstance(offers, Done)
    assert Offer(stand.package, stand.cost) in offers.value
    assert isinstance(stand.carrier.renew(key=f"{KEY}-2", iccid=one.iccid, package=stand.package), Done)
    assert find_issued(stand) == Done((one,))


def test_two_new_esims_are_two_cards_with_two_profiles(stand: Stand) -> None:
    first, second = issue(stand).value, issue(stand, f"{KEY}-2").value
    assert first.iccid != second.iccid
    assert first.esim.matching_id != second.esim.matching_id
    assert find_issued(stand) == Done((first,))


@of_refused
def test_a_purchase_that_is_refused_did_not_happen(stand: Stand, kind: str) -> None:
    stand.fault(kind, endpoint=stand.buying)
    outcome = issue(stand)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.retry_after) == stand.refused[kind]
    assert stand.truth(KEY) == 0
    assert find_issued(stand) == Done(())


@of_unknown
def test_a_purchase_that_is_unknown_is_cleared_up_by_looking(stand: Stand, kind: str) -> None:
    stand.fault(kind, endpoint=stand.buying)
    assert isinstance(issue(stand), Unknown)
    taken = int(kind in stand.acts)
    assert stand.truth(KEY) == taken
    found = find_issued(stand)
    assert isinstance(found, Done)
    assert len(found.value) == taken
    assert all(one.esim and one.esim.matching_id for one in found.value)


@of_done_all_the_same
def test_a_purchase_that_went_wrong_unseen_is_done_and_every_esim_is_found(stand: Stand, kind: str) -> None:
    stand.fault(kind, endpoint=stand.buying)
    done = issue(stand)
    assert isinstance(done, Done)
    found = find_issued(stand)
    assert isinstance(found, Done)
    assert found.value[0] == done.value
    assert len({one.iccid for one in found.value}) == stand.done_all_the_same[kind] == stand.truth(KEY)


@of_failing
def test_a_look_for_a_new_esim_that_fails_is_unknown(stand: Stand, kind: str) -> None:
    issue(stand)
    stand.fault(kind, endpoint="*", times=None)
    assert isinstance(find_issued(stand), Unknown)


def test_look_alikes_of_a_purchase_are_not_adopted(stand: Stand) -> None:
    for key in (f"{KEY}-2", KEY[:-1], KEY.upper()):
        issue(stand, key)
    stand.take(key=KEY, iccid=CARD, package=stand.package)
    stand.carrier.issue(key=KEY, package=stand.first_package.replace("7days", "30days"))
    assert find_issued(stand) == Done(())


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        ("test-insufficient-balance-7days-1gb", Reason.SELLER_OUT_OF_CREDIT),
        ("test-maintenance-mode-7days-1gb", Reason.MAINTENANCE),
        ("test-disabled-top-up-7days-1gb", Reason.TOP_UP_DISABLED),
        ("test-not-enough-7days-1gb", Reason.OUT_OF_STOCK),
        ("test-out-of-stock-7days-1gb", Reason.OUT_OF_STOCK),
        ("belsim-7days-unlimited-topup", Reason.PACKAGE_UNKNOWN),
        ("no-such-package", Reason.PACKAGE_UNKNOWN),
    ],
)
def test_magic_packages_cannot_be_bought_for_their_reason(airalo: AiraloStand, package: str, reason: Reason) -> None:
    refused = airalo.carrier.issue(key=KEY, package=package)
    assert isinstance(refused, Refused)
    assert refused.reason == reason
    assert airalo.truth(KEY) == 0


def test_a_stand_in_that_forgot_everything_gives_no_number_twice() -> None:
    seen = {issue(AiraloStand(), f"{KEY}-{number}").value.iccid for number in range(5)}
    assert len(seen) == 5


def test_the_log_holds_no_profile(airalo: AiraloStand, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    done = issue(airalo)
    airalo.fault("timeout_after", endpoint="submit_order")
    issue(airalo, f"{KEY}-2")
    find_issued(airalo)
    assert "issue of belsim-7days-unlimited" in caplog.text
    assert done.value.iccid not in caplog.text
    for card in airalo.world.state.cards.values():
        assert card.matching_id == "TEST" or card.matching_id not in caplog.text


# -- deadlines, threads, kills ----------------------------------------------------------------------------------


class Killed(BaseException):
    """The process dies here."""


def test_a_kill_on_the_wire_reaches_the_caller_and_the_connector_works_on(stand: Stand) -> None:
    calls = []

    def die_after_acting() -> None:
        calls.append(stand.truth(KEY))
        if calls[-1]:
            raise Killed

    stand.on_wire(die_after_acting)
    with pytest.raises(Killed):
        renew(stand)
    stand.on_wire(None)
    assert calls[-1] == 1
    found = find(stand)
    assert isinstance(found, Done)
    assert len(found.value) == 1


def test_another_worker_can_call_while_a_call_is_on_the_wire(stand: Stand) -> None:
    seen = []
    stand.on_wire(lambda: seen.append(stand.carrier.balance()))
    renew(stand)
    assert len(seen) >= 2
    assert all(isinstance(one, Done) for one in seen)
    assert stand.truth(KEY) == 1


@contextmanager
def served(world: World) -> Iterator[str]:
    """The stand-in on a real port of this machine."""
    server = make_server("127.0.0.1", 0, application(world, sleep=time.sleep), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def over_the_network(url: str, deadline: float) -> Airalo:
    return Airalo(
        base_url=url,
        client_id="sandbox",
        client_secret="sandbox-secret",
        call_deadline=timedelta(seconds=deadline),
    )


@pytest.mark.parametrize("kind", ["slow_drip", "timeout_after", "timeout_before"])
def test_a_call_really_ends_at_its_deadline_however_slowly_the_answer_drips(kind: str) -> None:
    world = AiraloStand().world
    with served(world) as url:
        carrier = over_the_network(url, 0.8)
        assert carrier.balance() == Done(Money(100_000, "USD"))
        world.faults.set([{"kind": kind, "seconds": 5}])
        began = time.monotonic()
        outcome = carrier.renew(key=KEY, iccid=CARD, package="belsim-7days-unlimited-topup")
        took = time.monotonic() - began
        assert isinstance(outcome, Unknown)
        assert 0.7 < took < 2
        assert len(world.truth(KEY)) == (kind in ACTS)


def test_over_the_network_a_card_is_renewed_and_a_broken_connection_is_unknown() -> None:
    world = AiraloStand().world
    package = "belsim-7days-unlimited-topup"
    with served(world) as url:
        carrier = over_the_network(url, 20)
        done = carrier.renew(key=KEY, iccid=CARD, package=package)
        assert isinstance(done, Done)
        assert carrier.find(key=KEY, iccid=CARD, package=package) == Done((done.value,))
        for kind in ("drop_before", "drop_after"):
            world.faults.set([{"kind": kind}])
            assert isinstance(carrier.renew(key=kind, iccid=CARD, package=package), Unknown)
            assert len(world.truth(kind)) == (kind == "drop_after")


def test_a_carrier_that_cannot_be_reached_surely_did_nothing() -> None:
    with served(AiraloStand().world) as url:
        pass
    carrier = over_the_network(url, 2)
    refused = carrier.renew(key=KEY, iccid=CARD, package="p-topup")
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.retry_after) == (Reason.MAINTENANCE, timedelta(seconds=30))
    assert isinstance(carrier.find(key=KEY, iccid=CARD, package="p-topup"), Unknown)
    assert isinstance(carrier.balance(), Unknown)


def test_a_call_that_was_given_up_before_it_was_sent_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    world = AiraloStand().world
    looked_up = threading.Event()
    look_up = socket.getaddrinfo

    def slowly(*args: Any, **more: Any) -> Any:
        time.sleep(0.6)
        try:
            return look_up(*args, **more)
        finally:
            looked_up.set()

    with served(world) as url:
        carrier = over_the_network(url, 0.3)
        assert isinstance(carrier.balance(), Done)
        monkeypatch.setattr(socket, "getaddrinfo", slowly)
        assert isinstance(carrier.renew(key=KEY, iccid=CARD, package="belsim-7days-unlimited-topup"), Unknown)
        assert looked_up.wait(5)
        time.sleep(0.2)
        assert world.truth(KEY) == []


@contextmanager
def dripping_headers(seconds: float) -> Iterator[str]:
    """A server that accepts everything and sends its headers a byte at a time."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while not over.wait(0.02):
                connection.sendall(b"x")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        ends = threading.Timer(seconds, over.set)
        ends.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ends.cancel()
            over.set()


def test_headers_that_drip_end_at_the_deadline_and_given_up_calls_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xuka.connectors.deadline.CALLS_AT_ONCE", 1)
    with dripping_headers(10) as url:
        carrier = over_the_network(url, 0.3)
        began = time.monotonic()
        assert isinstance(carrier.balance(), Unknown)
        assert time.monotonic() - began < 1
        refused = carrier.renew(key=KEY, iccid=CARD, package="p-topup")
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.retry_after) == (Reason.RATE_LIMITED, timedelta(seconds=30))
        assert isinstance(carrier.find(key=KEY, iccid=CARD, package="p-topup"), Unknown)


# -- the token --------------------------------------------------------------------------------------------------


def token_calls(airalo: AiraloStand) -> int:
    return airalo.transport.requests.count(("POST", "/v2/token"))


def test_one_token_serves_a_day_and_is_renewed_after_it(airalo: AiraloStand) -> None:
    for _ in range(3):
        airalo.carrier.balance()
    assert token_calls(airalo) == 1
    airalo.clock.push(hours=22, minutes=59)
    airalo.carrier.balance()
    assert token_calls(airalo) == 1
    airalo.clock.push(minutes=2)
    assert isinstance(airalo.carrier.balance(), Done)
    assert token_calls(airalo) == 2


def test_an_old_token_is_renewed_once_and_the_card_renewed_once(airalo: AiraloStand) -> None:
    airalo.carrier.balance()
    airalo.world.forget_tokens()
    assert isinstance(renew(airalo), Done)
    assert (token_calls(airalo), airalo.truth(KEY)) == (2, 1)


def test_a_token_that_is_never_taken_is_not_asked_for_again_and_again(airalo: AiraloStand) -> None:
    airalo.fault("old_token", endpoint="*", times=None)
    first = renew(airalo)
    assert isinstance(first, Refused)
    assert first.reason == Reason.NOT_AUTHORISED
    for _ in range(5):
        assert isinstance(renew(airalo), Refused)
    assert token_calls(airalo) == 3
    limited = renew(airalo)
    assert isinstance(limited, Refused)
    assert (limited.reason, limited.retry_after) == (Reason.RATE_LIMITED, timedelta(seconds=60))
    assert airalo.truth(KEY) == 0
    airalo.world.faults.set([])
    airalo.clock.push(seconds=61)
    airalo.world.forget_tokens()
    assert isinstance(renew(airalo), Done)


@pytest.mark.parametrize("kind", ["timeout_after", "error_before", "drop_before", "garbage_before", "maintenance"])
def test_without_a_token_nothing_is_sent_so_nothing_happened(airalo: AiraloStand, kind: str) -> None:
    airalo.fault(kind, endpoint="token")
    refused = renew(airalo)
    assert isinstance(refused, Refused)
    assert refused.retry_after is not None
    assert airalo.truth(KEY) == 0
    assert ("POST", "/v2/orders/topups") not in airalo.transport.requests


def test_wrong_credentials_are_not_authorised() -> None:
    stand = AiraloStand()
    stand.world.client_secret = "changed"
    refused = renew(stand)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.retry_after) == (Reason.NOT_AUTHORISED, None)


def test_many_threads_ask_for_one_token(airalo: AiraloStand) -> None:
    outcomes: list[Any] = []
    threads = [threading.Thread(target=lambda: outcomes.append(airalo.carrier.balance())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [Done(Money(100_000, "USD"))] * 8
    assert token_calls(airalo) == 1


def test_the_log_holds_no_token_no_secret_and_no_whole_card_number(
    airalo: AiraloStand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="xuka")
    renew(airalo)
    airalo.fault("recycled")
    renew(airalo)
    airalo.fault("timeout_after")
    renew(airalo)
    assert "…0015" in caplog.text
    for secret in (CARD, "sandbox-secret", *airalo.world.state.tokens):
        assert secret not in caplog.text


def test_documented_limits_reach_the_caller_as_rate_limited(airalo: AiraloStand) -> None:
    airalo.world.limited = True
    outcomes = []
    for _ in range(11):
        outcomes.append(airalo.carrier.usage(iccid=CARD))
        airalo.clock.push(seconds=1)
    assert all(isinstance(one, Done) for one in outcomes[:10])
    assert outcomes[10] == Refused(Reason.RATE_LIMITED, timedelta(seconds=50), "429 Too Many Attempts")


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        ("test-insufficient-balance-7days-1gb-topup", Reason.SELLER_OUT_OF_CREDIT),
        ("test-maintenance-mode-7days-1gb-topup", Reason.MAINTENANCE),
        ("test-disabled-top-up-7days-1gb-topup", Reason.TOP_UP_DISABLED),
        ("test-not-enough-7days-1gb-topup", Reason.OUT_OF_STOCK),
        ("test-out-of-stock-7days-1gb-topup", Reason.OUT_OF_STOCK),
        ("no-such-package-topup", Reason.PACKAGE_UNKNOWN),
    ],
)
def test_magic_packages_are_refused_for_their_reason(airalo: AiraloStand, package: str, reason: Reason) -> None:
    refused = airalo.carrier.renew(key=KEY, iccid=CARD, package=package)
    assert isinstance(refused, Refused)
    assert refused.reason == reason
    assert airalo.truth(KEY) == 0
