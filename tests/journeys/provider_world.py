"""A shop that uses every payment connector there is, each in front of its stand-in; no plans, no cards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.contracts.stands import Stand, connectors, stand_of
from xuka.ledger import operations as ledger
from xuka.payments import contract, events, operations, providers
from xuka.payments.models import Event, Payment
from xuka.payments.rules import words_of

STANDS: dict[str, Stand] = {}


def of_the_stand(*, name: str) -> contract.Provider:
    """In the place of a connector's class: the one that stands in front of its stand-in."""
    return STANDS[name].provider


@contextmanager
def every_provider(settings: Any) -> Iterator[dict[str, Stand]]:
    """All connectors as this shop's providers, by name."""
    STANDS.update({name: stand_of(name) for name in connectors()})
    settings.PROVIDERS = {name: {"connector": f"{__name__}.of_the_stand", "name": name} for name in STANDS}
    providers.provider.cache_clear()
    try:
        yield STANDS
    finally:
        providers.provider.cache_clear()
        STANDS.clear()


def begun(stand: Stand, name: str, customer: UUID, account: UUID) -> Payment:
    """A payment that the person can pay, at this provider: the only one that is asked."""
    now, money = stand.clock.now(), stand.monies[0]
    (market, *_) = sorted(next(one for one in stand.provider.methods() if one.name == stand.method).markets)
    ledger.open_account(id=account, kind="hold", unit=money.currency, limited=True)
    payment = operations.begin(
        id=uuid4(), cause=uuid4(), account=account, customer=customer, market=market, money=money, method=stand.method,
        description="一周", return_url="http://shop.test/back", language="zh-Hans", pay_by=now + timedelta(hours=2),
        now=now, client_ip="203.0.113.7",
    )  # fmt: skip
    assert (payment.provider, payment.state) == (name, "open"), payment.detail
    assert payment.url or payment.qr
    return payment


def seen(payment: Payment) -> contract.Payment:
    key = words_of(payment.id)
    return contract.Payment(payment.reference, key, contract.PaymentState.OPEN, url=payment.url, qr=payment.qr)


def tell(stand: Stand, name: str, payment: Payment) -> None:
    """What the provider posts is received and digested; where it posts nothing, the person comes back."""
    now = stand.clock.now()
    for body, headers in stand.webhooks():
        events.receive(provider=name, body=body, headers=headers, now=now)
    for event in Event.objects.filter(provider=name, state=Event.State.STORED):
        events.digest(event_id=event.id, now=now)
    operations.look_now(cause=payment.cause, now=now)
