"""Every form, filled with what nobody should send, in every language: words for an answer, and nothing moved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sandbox.carrier.app import application
from sandbox.carrier.world import World
from sandbox.transport import InProcess
from tests.journeys.web_world import Shop, open_shop
from xuka.activation import operations as activation
from xuka.interfaces import clock
from xuka.interfaces.web import urls
from xuka.ledger import queries as ledger
from xuka.lines.models import Line
from xuka.renewals.models import Order

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 22, 13, 5, tzinfo=UTC)
LANGUAGES = ("zh-hans", "zh-hant", "ja", "en", "fr", "nl")
HOSTILE = (
    "",
    "👩‍👩‍👧‍👦🇧🇪" * 40,
    "مرحبا بالعالم \u202e\u2066reversed",
    "很" * 200,
    "x" * 10_000,
    "'; drop table renewals_order; --",
    "<script>alert(1)</script>",
    "\x00\x1b[31m",
    "-1",
    "9" * 40,
    "2026-02-30",
    "00000000-0000-0000-0000-000000000000",
    "{{ 7*7 }}{% now %}",
)
FIELDS = (
    "iccid", "claim_code", "plan", "quote", "order", "payment", "pay_with", "method", "name", "language", "time_zone",
    "next", "email", "login", "phone", "password", "code", "subject", "message", "card", "until", "credential", "line",
)  # fmt: skip
LANG_OF = {"zh-hans": "zh-Hans", "zh-hant": "zh-Hant"}


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    world = World(now=lambda: NOW, seed=1, balance=5_000_00, limited=False)
    carrier = {
        "connector": "xuka.connectors.carriers.airalo.connector.Airalo",
        "base_url": "http://carrier.test",
        "client_id": "sandbox",
        "client_secret": "sandbox-secret",
        "transport": InProcess(application(world)),
    }
    monkeypatch.setattr(settings, "CARRIERS", {"airalo": carrier})
    activation.carrier.cache_clear()
    cache.clear()
    yield open_shop(now=NOW, seed_card=world.seed_card, with_others=True)
    activation.carrier.cache_clear()


def routes(patterns: Iterable[URLPattern | URLResolver], under: str = "") -> Iterator[str]:
    for one in patterns:
        route = under + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from routes(one.url_patterns, route)
        else:
            yield route


def paths(shop: Shop) -> list[str]:
    """Every address of the pages, about 王小雨's card, about nobody's, and about nothing."""
    filled = {"line_id": str(shop.cards["xiaoyu"].id), "slug": "be-week-3gb-day"}
    found = []
    for one in routes(urls.urlpatterns):
        found.append("/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda m: filled.get(m[1], str(uuid4())), one))
    signing = ("login/", "signup/", "login/code/", "password/reset/", "reauthenticate/", "email/", "password/change/")
    return found + [f"/account/{path}" for path in signing]


def moved() -> tuple[object, ...]:
    return Order.objects.count(), Line.objects.exclude(owner=None).count(), ledger.totals()


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_values_in_every_field_of_every_form_get_an_answer_in_words_and_move_nothing(
    shop: Shop, language: str
) -> None:
    xiaoyu = shop.people["xiaoyu"]
    type(xiaoyu).objects.filter(id=xiaoyu.id).update(language=language)
    before = moved()
    visitor, customer = (Client(headers={"accept-language": language}) for _ in range(2))
    for place, path in enumerate(paths(shop)):
        customer.force_login(xiaoyu, backend=settings.AUTHENTICATION_BACKENDS[0])
        for number, value in enumerate(HOSTILE):
            # Each value is sent to each address in two languages, by a visitor in the one, by a customer in the other.
            turn = (number + place + LANGUAGES.index(language)) % 6
            if turn % 3:
                continue
            client = customer if turn else visitor
            answer = client.post(path, dict.fromkeys(FIELDS, value))
            assert answer.status_code < 500, (path, value[:20], answer.status_code)
            if answer.status_code >= 400:
                told = f'<html lang="{LANG_OF.get(language, language)}"'
                assert told in answer.content.decode(), (path, value[:20], answer.content[:200])
    assert moved() == before


@pytest.mark.parametrize(
    "header", ["*", "zh-" * 3000, "x" * 100, "en;q=nonsense, ;;,", "\u202ear", "xx-YY,zz;q=0.1", ""]
)
def test_a_hostile_language_header_still_gets_the_page_in_a_language_of_ours(shop: Shop, header: str) -> None:
    answer = Client().get("/", HTTP_ACCEPT_LANGUAGE=header)
    assert answer.status_code == 200
    assert b'<html lang="en"' in answer.content


@given(query=st.text(max_size=200))
@examples(max_examples=40)
def test_any_text_in_an_address_gets_an_answer(shop: Shop, query: str) -> None:
    for path in ("/", "/plans/", "/plans/compare/", "/contact/"):
        keys = ("country", "network", "length", "voice", "hotspot", "abroad", "plan", "until", "card")
        assert Client().get(path, dict.fromkeys(keys, query)).status_code < 500


def test_the_addresses_walked_are_all_there_are(shop: Shop) -> None:
    assert len(paths(shop)) >= len(urls.urlpatterns)
    assert get_resolver().resolve("/plans/")
