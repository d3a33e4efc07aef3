"""Renewals under faults, kills, doubled calls, interleaved workers and a jumping clock.

A failing seed replays exactly: ``XUKA_SEED=17 pytest tests/simulation -k every_renewal``; "2 17" are two.
``XUKA_SEEDS`` is how many seeds are run, ``XUKA_RENEWALS`` how many renewals each.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from tests.simulation.shop import Found, Shop
from xuka.activation import operations as activation
from xuka.connectors.payments.stripe.connector import Stripe
from xuka.kernel import ids
from xuka.kernel.outcome import Refused, Unknown
from xuka.ledger import rules as ledger_rules
from xuka.payments import events, refunds
from xuka.payments.rules import words_of
from xuka.renewals import auto as autorenewal
from xuka.renewals import queries as renewals_queries
from xuka.renewals import rules
from xuka.renewals.rules import Next, Situation, Step

RENEWALS = int(os.environ.get("XUKA_RENEWALS", "20"))
CHOSEN = [int(seed) for seed in os.environ.get("XUKA_SEED", "").split()]
SEEDS = CHOSEN or range(int(os.environ.get("XUKA_SEEDS", "4")))

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_renewal_ends_right_whatever_fails(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # With every fourth seed a quarter of the orders are first purchases, of all the plans there are.
    shop = Shop(seed, monkeypatch, new_esims=0.25 if seed % 4 == 3 else 0.0)
    shop.run(RENEWALS)
    assert shop.violations() == set(), shop.faults_seen
    assert len(shop.orders()) >= RENEWALS
    assert sum(shop.world.faults.happened.values()) > RENEWALS


def test_the_same_seed_does_the_same_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = []
    for _ in range(2):
        with monkeypatch.context() as patch:
            shop = Shop(7, patch)
            shop.run(8)
            prints.append(shop.fingerprint())
    assert prints[0] == prints[1]


def test_the_simulation_sees_every_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation in which nothing goes wrong, or everything, would prove nothing."""
    wanted = {"active", "refunded", "expired", "cancelled", "decided", "in part"}
    wanted |= {"active by itself", "cancelled by itself", "paid alone", "closed alone"}
    seen: set[str] = set()
    for seed in range(1000, 1006):
        with monkeypatch.context() as patch:
            shop = Shop(seed, patch)
            shop.run(25)
            seen |= {order.state for order in shop.orders()}
            seen |= shop.owners.seen()
            seen |= {"in part" for order in shop.orders() if order.delivered and order.given_back}
            seen |= {"decided" for line in shop.trace if " decided " in line}
        if wanted <= seen:
            return
    pytest.fail(f"never seen: {wanted - seen}")


# -- planted mistakes: each must be found, and for its own reason ----------------------------------------------------


def _timeout_taken_for_refusal(patch: pytest.MonkeyPatch) -> None:
    settle_ask = activation._settle_ask
    patch.setattr(
        activation,
        "_settle_ask",
        lambda attempt, outcome, now: settle_ask(
            attempt, Refused("timed_out") if isinstance(outcome, Unknown) else outcome, now
        ),
    )


def _decided(patch: pytest.MonkeyPatch, change: Callable[[datetime, Situation, Next], Next]) -> None:
    next_step = rules.next_step
    patch.setattr(rules, "next_step", lambda now, facts: change(now, facts, next_step(now, facts)))


def _no_look_before_asking_again(patch: pytest.MonkeyPatch) -> None:
    def change(now: datetime, facts: Situation, right: Next) -> Next:
        return Next(Step.ASK) if right.step == Step.LOOK and facts.state == rules.State.ACTIVATING else right

    _decided(patch, change)


def _no_lease(patch: pytest.MonkeyPatch) -> None:
    next_step = rules.next_step

    def without_lease(now: datetime, facts: Situation) -> Next:
        asked = [None if _is_on_the_wire(one, now) else one for one in facts.asked]
        return next_step(now, replace(facts, asked=tuple(asked)))

    patch.setattr(rules, "next_step", without_lease)


def _is_on_the_wire(asked: rules.Asked | None, now: datetime) -> bool:
    return asked is not None and asked.state == "intended" and bool(asked.lease_until and now < asked.lease_until)


def _random_transfer_id(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger_rules.Leg, "id", property(lambda leg: ids.new()))


def _amount_not_checked(patch: pytest.MonkeyPatch) -> None:
    def change(now: datetime, facts: Situation, right: Next) -> Next:
        unpaid = facts.state == rules.State.AWAITING_FUNDS
        return Next(Step.FUND) if unpaid and facts.hold_minor > 0 else right

    _decided(patch, change)


def _intention_written_after_the_call(patch: pytest.MonkeyPatch) -> None:
    intend = activation.intend

    def too_late(**asked: Any) -> activation.Call:
        them = activation.carrier(asked["carrier_name"])
        key = activation.key_of(cause=asked["cause"], ordinal=asked["ordinal"])
        outcome = them.renew(key=activation.words_of(key), iccid=asked["iccid"], package=asked["package"])
        return replace(intend(**asked), ask=lambda: outcome)

    patch.setattr(activation, "intend", too_late)


def _sweeper_skips_expired(patch: pytest.MonkeyPatch) -> None:
    due_orders = renewals_queries.due_orders

    def lazy(now: datetime) -> list[Any]:
        return [id for id in due_orders(now) if renewals_queries.order(id).state != "expired"]

    patch.setattr(renewals_queries, "due_orders", lazy)


def _refund_retried_under_a_new_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(refunds, "_key", lambda refund: words_of(ids.new()))


def _charged_alone_under_a_new_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(autorenewal, "_charge_of", lambda order_id: ids.new())


def _silence_of_the_provider_taken_for_a_decline(patch: pytest.MonkeyPatch) -> None:
    start = Stripe.start

    def sure(stripe: Stripe, ask: Any) -> Any:
        outcome = start(stripe, ask)
        return Refused("declined") if isinstance(outcome, Unknown) else outcome

    patch.setattr(Stripe, "start", sure)
    patch.setattr(events, "digest", lambda **_: None)


@pytest.mark.parametrize(
    ("mistake", "reason", "first"),
    [
        (_timeout_taken_for_refusal, "paid back, but active at the carrier", 0),
        (_no_look_before_asking_again, "asked again without looking", 0),
        (_no_lease, "two calls on the wire at once", 0),
        (_random_transfer_id, "the books are wrong", 1),
        (_amount_not_checked, "paid too little", 2),
        (_intention_written_after_the_call, "asked with nothing written down", 0),
        (_sweeper_skips_expired, "money is still held", 7),
        (_refund_retried_under_a_new_key, "given back is not what is booked", 3),
        (_charged_alone_under_a_new_key, "an automatic order was charged twice", 7),
        (_silence_of_the_provider_taken_for_a_decline, "captured is not what is booked", 7),
    ],
)
def test_a_planted_mistake_is_found_for_its_own_reason(
    mistake: Callable[[pytest.MonkeyPatch], None], reason: str, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``first`` is a seed that finds it within a few renewals; without it some mistakes take a minute."""
    found: set[str] = set()
    # Some need a kill at just the wrong moment.
    for seed, renewals in [(first, 12), *((seed, 25) for seed in range(14))]:
        with monkeypatch.context() as patch:
            shop = Shop(seed, patch, stop_at=reason)
            mistake(patch)
            try:
                with suppress(Exception):  # some mistakes break the shop itself; what was seen until then counts
                    shop.run(renewals)
                found |= shop.violations()
            except Found:
                return
        if reason in found:
            return
    pytest.fail(f"not found for its own reason; found: {found}")
