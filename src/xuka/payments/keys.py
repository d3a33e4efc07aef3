"""Providers' keys at rest: sealed with the shop's secret, opened only to build a connector.

What is in the database without ``SECRET_KEY`` opens no account anywhere.
"""

from __future__ import annotations

import base64
import json
import logging
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.ledger.rules import SELLER
from xuka.payments.models import ProviderKeys

log = logging.getLogger(__name__)


class CannotKeep(ValueError):
    """These keys are not kept; the sentence says why, without any of them. Nothing was changed."""


@transaction.atomic
def keep(*, name: str, connector: str, options: dict[str, Any], who: str, now: datetime) -> None:
    """Use this provider from the next start of the shop's processes on. The same name again replaces its keys.

    Args:
        name: how the shop calls it, also in the address of its webhooks: ``/webhooks/<name>/``.
        connector: one of ``settings.PROVIDER_CONNECTORS``.
        options: what the connector's constructor takes; ``call_deadline`` in seconds.

    Raises:
        CannotKeep: no such connector, or it refuses these options.
    """
    if connector not in settings.PROVIDER_CONNECTORS:
        raise CannotKeep(f"There is no connector {connector}; there are {', '.join(settings.PROVIDER_CONNECTORS)}.")
    if name in settings.PROVIDERS:
        raise CannotKeep(f"{name} is set in the environment already.")
    try:
        build(connector, options)
    except TypeError:
        raise CannotKeep(f"{connector} takes other options than these; its README lists them.") from None
    except ValueError as error:
        raise CannotKeep(str(error)) from None
    sealed = _seals().encrypt(json.dumps(options).encode())
    values = {"connector": connector, "sealed": sealed, "is_on": True, "kept_by": who, "kept_at": now}
    ProviderKeys.objects.update_or_create(name=name, defaults=values)
    told = {"name": name, "connector": connector, "options": sorted(options)}
    journal.record(what="provider.kept", subject=_subject(name), who=who, after=told, now=now)


@transaction.atomic
def switch_off(*, name: str, who: str, now: datetime) -> None:
    """Do not use this provider from the next start on; payments under way with it wait untouched.

    Again: changes nothing.

    Raises:
        CannotKeep: there is none of this name.
    """
    if not ProviderKeys.objects.filter(name=name).exists():
        raise CannotKeep(f"No keys of {name} are kept here.")
    if ProviderKeys.objects.filter(name=name, is_on=True).update(is_on=False):
        journal.record(what="provider.switched_off", subject=_subject(name), who=who, now=now)


def kept() -> list[tuple[str, str, bool]]:
    """(name, connector, whether it is used) of every provider whose keys are kept; no key is opened."""
    return list(ProviderKeys.objects.order_by("name").values_list("name", "connector", "is_on"))


def opened() -> dict[str, tuple[str, dict[str, Any]]]:
    """(connector, options) by name of those that are used; one that this shop's secret does not open is left out."""
    found = {}
    for row in ProviderKeys.objects.filter(is_on=True).order_by("kept_at", "name"):
        try:
            found[row.name] = row.connector, json.loads(_seals().decrypt(bytes(row.sealed)))
        except InvalidToken:
            log.error("the keys of %s are not opened by this shop's secret: it is not used", row.name)
    return found


def build(connector: str, options: dict[str, Any]) -> Any:
    """The connector of these options. Raises what its constructor raises."""
    wanted = dict(options)
    if "call_deadline" in wanted:
        wanted["call_deadline"] = timedelta(seconds=float(wanted["call_deadline"]))
    return import_string(settings.PROVIDER_CONNECTORS[connector])(**wanted)


def _subject(name: str) -> Any:
    return ids.derived(SELLER, f"provider:{name}")


def _seals() -> MultiFernet:
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_sealing_key(secret)) for secret in secrets])


def _sealing_key(secret: str) -> bytes:
    derived = HKDF(SHA256(), 32, salt=None, info=b"xuka.payments.keys").derive(secret.encode())
    return base64.urlsafe_b64encode(derived)
