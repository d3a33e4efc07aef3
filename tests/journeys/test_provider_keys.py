"""Providers' keys: sealed where they lie, opened only to build a connector."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from xuka.journal import queries as journal
from xuka.payments import keys, providers
from xuka.payments.models import ProviderKeys

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "sk_test_that_nobody_shall_read"
OPTIONS = {"key": SECRET, "webhook_secret": "whsec_neither", "methods": ["card", "alipay"], "call_deadline": 7}


@pytest.fixture(autouse=True)
def _as_after_a_start() -> Iterator[None]:
    yield
    providers.provider.cache_clear()
    providers._kept.cache_clear()


def started_again() -> tuple[str, ...]:
    """The providers that a process uses which starts now."""
    providers.provider.cache_clear()
    providers._kept.cache_clear()
    return providers.installed()


def everything_stored() -> str:
    with connection.cursor() as cursor:
        cursor.execute("select convert_from(sealed, 'UTF8') || payments_providerkeys::text from payments_providerkeys")
        sealed = str(cursor.fetchall())
        cursor.execute("select journal_fact::text from journal_fact")
        return sealed + str(cursor.fetchall())


def test_keys_are_kept_sealed_and_a_connector_is_built_from_them(settings: Any) -> None:
    settings.PROVIDERS = {}
    keys.keep(name="stripe_be", connector="stripe", options=OPTIONS, who="operator", now=NOW)
    assert SECRET not in everything_stored()
    assert "whsec_neither" not in everything_stored()
    assert started_again() == ("stripe_be",)
    built = providers.provider("stripe_be")
    assert ([one.name for one in built.methods()], built.call_deadline.total_seconds()) == (["card", "alipay"], 7)
    assert keys.kept() == [("stripe_be", "stripe", True)]


def test_another_secret_opens_nothing_and_the_old_one_still_does(settings: Any) -> None:
    settings.PROVIDERS = {}
    keys.keep(name="stripe_be", connector="stripe", options=OPTIONS, who="operator", now=NOW)
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another secret"
    assert started_again() == ()
    settings.SECRET_KEY_FALLBACKS = [old]
    assert started_again() == ("stripe_be",)


def test_a_provider_that_is_off_is_not_used_and_comes_back_with_its_keys(settings: Any) -> None:
    settings.PROVIDERS = {}
    keys.keep(name="stripe_be", connector="stripe", options=OPTIONS, who="operator", now=NOW)
    for _ in range(2):
        keys.switch_off(name="stripe_be", who="operator", now=NOW)
    assert started_again() == ()
    keys.keep(name="stripe_be", connector="stripe", options=OPTIONS, who="operator", now=NOW)
    assert started_again() == ("stripe_be",)
    told = [fact.what for fact in journal.facts_about(keys._subject("stripe_be"))]
    assert told == ["provider.kept", "provider.switched_off", "provider.kept"]


@pytest.mark.parametrize(
    ("connector", "options", "says"),
    [
        ("nobody", OPTIONS, "There is no connector nobody"),
        ("stripe", {**OPTIONS, "key": SECRET.replace("sk_", "pk_")}, "begins with sk_test_"),
        ("stripe", {**OPTIONS, "colour": "blue"}, "takes other options"),
        ("stripe", {"webhook_secret": "whsec_neither"}, "takes other options"),
        ("stripe", {**OPTIONS, "methods": ["paypay"]}, "has no paypay"),
    ],
)
def test_keys_that_cannot_work_are_refused_without_being_repeated(
    connector: str, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(keys.CannotKeep, match=says) as refused:
        keys.keep(name="stripe_be", connector=connector, options=options, who="operator", now=NOW)
    assert "nobody_shall_read" not in str(refused.value)
    assert not ProviderKeys.objects.exists()


def test_the_command_reads_keys_from_its_input_and_tells_none(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.PROVIDERS = {}
    out = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(OPTIONS)))
    call_command("providers", "keep", "stripe_be", "stripe", stdout=out)
    call_command("providers", "off", "stripe_be", stdout=out)
    call_command("providers", "list", stdout=out)
    assert out.getvalue().splitlines() == [
        "stripe_be is kept; web and workers use it once they are started again.",
        "stripe_be is off once web and workers are started again.",
        "stripe_be  stripe  off",
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("no json"))
    with pytest.raises(CommandError, match="no JSON"):
        call_command("providers", "keep", "stripe_be", "stripe", stdout=out)
