"""What a transfer is, and the ids that never change. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from xuka.kernel import ids

# The seller's own accounts have fixed ids under this name, so no look-up is needed to post to them.
SELLER = UUID("6d3c7f0a-1f4b-5e0e-9a60-7875616b6121")


@dataclass(frozen=True, slots=True)
class Leg:
    """One transfer to post: ``amount`` minor units of ``unit`` from ``debit`` to ``credit``.

    ``cause`` and ``leg`` name it for ever: the transfer's id is derived from them.
    """

    cause: UUID
    leg: str
    debit: UUID
    credit: UUID
    unit: str
    amount: int

    @property
    def id(self) -> UUID:
        return ids.derived(self.cause, self.leg)


def wallet_id(*, customer: UUID, currency: str) -> UUID:
    """The fixed id of the customer's wallet in this currency, whether it is open or not."""
    return ids.derived(customer, f"wallet:{currency}")


def points_id(customer: UUID) -> UUID:
    """The fixed id of the customer's loyalty points, whether the account is open or not."""
    return ids.derived(customer, "points")


def house_id(kind: str, unit: str) -> UUID:
    """The fixed id of the seller's own account of this kind and unit."""
    return ids.derived(SELLER, f"{kind}:{unit}")
