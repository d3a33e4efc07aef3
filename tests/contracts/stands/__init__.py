"""One stand for each payment connector: the connector, the far side it speaks to, and the person who pays there.

A file named as the connector's package, with a class ``Stand``, is found by itself; a connector without one fails the
suite.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import xuka.connectors.payments
from xuka.kernel.money import Money
from xuka.payments.contract import Payment, Provider

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


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
    """What the suite needs of one connector.

    Attributes:
        method: the method that is asked for.
        monies: amounts to pay, one in each currency that it takes.
        posts: whether it posts webhooks.
        wire: the faults of ``sandbox.wallets.till.WIRE`` that can happen to it.
        captures: whether an approved payment waits to be captured.
        keeps: the methods with which something can be kept, each a stand of its own; left out where nothing is.
        cannot: what its provider cannot do, by nature; left out where it can do all of it. "ask again": the same ask
            again tells only that there is a first. "know refunds": refunds keep no key of the shop. "wait with
            refunds": they are done or refused at once. "fail a refund": what it took it tries until it arrives.
    """

    clock: Clock
    provider: Provider
    method: str
    monies: tuple[Money, ...]
    posts: bool
    wire: tuple[str, ...]
    captures: bool

    def another(self, **settings: Any) -> Provider:
        """Another connector to the same far side, with other settings."""
        ...

    def fault(self, kind: str, **more: Any) -> None:
        """One fault waits to happen; ``heal`` takes all back."""
        ...

    def heal(self) -> None: ...

    def pay(self, payment: Payment) -> None:
        """The person pays, or agrees to pay, on the provider's page or with the QR code."""
        ...

    def decline(self, payment: Payment) -> None:
        """Their try fails; they can try again."""
        ...

    def cancel(self, payment: Payment) -> None:
        """They give up for good."""
        ...

    def pay_late(self, payment: Payment) -> None:
        """Money comes although nothing could be paid any more."""
        ...

    def settle_refund(self, key: str, *, ok: bool) -> None:
        """A refund on its way arrives, or does not."""
        ...

    def captured(self, key: str) -> dict[str, int]:
        """What really moved, minor units by currency."""
        ...

    def refunded(self, key: str) -> dict[str, int]:
        """What really went back of the payment of this key."""
        ...

    def bills(self) -> int:
        """How many payments were ever begun there."""
        ...

    def on_wire(self, hook: Callable[[], None] | None) -> None:
        """Called while a call is on the wire, before the far side acts and after."""
        ...

    def webhooks(self) -> list[tuple[bytes, dict[str, str]]]:
        """What waits to be posted, oldest first, header names in lower case; it waits no longer."""
        ...

    def statement(self) -> bytes | None:
        """The settlement file of everything until now; None where it is told by a call."""
        ...


def connectors() -> list[str]:
    """The names of every payment connector there is."""
    return sorted(one.name for one in pkgutil.iter_modules(xuka.connectors.payments.__path__) if one.ispkg)


def stand_of(name: str, *method: str) -> Stand:
    """A fresh stand of this connector, of its usual method unless another of its ``keeps`` is named."""
    return _stand(name)(*method)


def keeps(name: str) -> tuple[str, ...]:
    """The methods with which something can be kept at this connector."""
    return getattr(_stand(name), "keeps", ())


def _stand(name: str) -> Callable[..., Stand]:
    return importlib.import_module(f"tests.contracts.stands.{name}").Stand
