"""Reading what carriers have said."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from xuka.activation import rules
from xuka.activation.models import Attempt, BalanceReading, OfferReading
from xuka.activation.rules import Standing, standing
from xuka.kernel.money import Money


def standing_of(*, line_id: UUID, carrier_name: str, package: str, now: datetime) -> Standing:
    """Whether this package can be sold for this card, by the last readings of offers and of the seller's credit."""
    return standings_of(line_id=line_id, carrier_name=carrier_name, packages=[package], now=now)[package]


def standings_of(*, line_id: UUID, carrier_name: str, packages: list[str], now: datetime) -> dict[str, Standing]:
    """The same for several packages, in two queries."""
    offers = OfferReading.objects.filter(line_id=line_id).first()
    balance = BalanceReading.objects.filter(carrier=carrier_name).first()
    offered = {name: Money(*cost) for name, cost in offers.packages.items()} if offers else {}
    return {
        package: standing(
            offered_cost=offered.get(package),
            offers_reason=offers.reason if offers else "unknown",
            balance=Money(balance.amount_minor, balance.currency) if balance else None,
            balance_as_of=balance.as_of if balance else None,
            now=now,
        )
        for package in packages
    }


def standing_of_new(*, carrier_name: str, cost: Money, now: datetime) -> Standing:
    """Whether a new eSIM of this cost can be sold, by the last reading of the seller's credit."""
    balance = BalanceReading.objects.filter(carrier=carrier_name).first()
    return rules.standing_of_new(
        cost=cost,
        balance=Money(balance.amount_minor, balance.currency) if balance else None,
        balance_as_of=balance.as_of if balance else None,
        now=now,
    )


def attempts_of(cause: UUID) -> list[Attempt]:
    """Everything that was asked of carriers for this cause."""
    return list(Attempt.objects.filter(cause=cause).order_by("ordinal"))


def cost_of(*, line_id: UUID, package: str) -> Money | None:
    """What the carrier last said this package costs the seller on this card."""
    offers = OfferReading.objects.filter(line_id=line_id).first()
    cost = offers.packages.get(package) if offers else None
    return Money(*cost) if cost else None
