"""The connectors, and what their silences leave behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from xuka.kernel.outcome import Outcome, Unknown
from xuka.payments import keys
from xuka.payments.contract import Provider
from xuka.payments.models import Health
from xuka.payments.rules import LEASE_MARGIN, down_for


@cache
def provider(name: str) -> Provider:
    """The connector of this name, built once per process from ``settings.PROVIDERS`` or from the keys that are kept."""
    if name not in settings.PROVIDERS:
        return keys.build(*_kept()[name])
    options = dict(settings.PROVIDERS[name])
    return import_string(options.pop("connector"))(**options)


def installed() -> tuple[str, ...]:
    """The names of the providers that this shop uses."""
    return (*settings.PROVIDERS, *_kept())


@cache
def _kept() -> dict[str, tuple[str, dict[str, Any]]]:
    """Read once per process: keys change seldom, and pages are read often."""
    return keys.opened()


def is_installed(name: str, *, live: bool) -> bool:
    """Whether this shop uses the provider in this mode now. What was begun in the other mode waits untouched."""
    return name in installed() and provider(name).is_live == live


@dataclass(frozen=True, slots=True)
class Call:
    """A question that is ready to be sent while its lease lives."""

    provider: str
    ask: Callable[[], Outcome]
    lease_until: datetime
    not_after: float


def prepare(name: str, ask: Callable[[], Outcome], lease_until: datetime) -> Call:
    """The call to make once the lease is committed. It may begin so late only that it ends within the lease."""
    return Call(name, ask, lease_until, time.monotonic() + LEASE_MARGIN.total_seconds() / 2)


def lease_end(name: str, now: datetime) -> datetime:
    """Until when a call that begins now is surely over, aware UTC."""
    return now + provider(name).call_deadline + LEASE_MARGIN


def absent_from(name: str, lease_until: datetime) -> datetime:
    """From when on what is not found was surely never taken."""
    return lease_until + provider(name).absent_after


def send(call: Call) -> Outcome:
    """Send the question, with no transaction open. A process that slept through its lease sends nothing."""
    assert not transaction.get_connection().in_atomic_block, "no transaction is held across the network"
    if time.monotonic() > call.not_after:
        return Unknown("the lease was too old to ask")
    return call.ask()


def heard(name: str, outcome: Outcome, now: datetime) -> None:
    """Remember whether the provider answered, in the caller's transaction. One that is silent is not offered."""
    if not isinstance(outcome, Unknown):
        Health.objects.filter(provider=name, silences__gt=0).update(silences=0, down_until=None)
        return
    Health.objects.bulk_create([Health(provider=name)], ignore_conflicts=True)
    health = Health.objects.select_for_update().get(provider=name)
    health.silences = min(health.silences + 1, 1_000)
    pause: timedelta | None = down_for(health.silences)
    health.down_until = now + pause if pause else None
    health.save()
