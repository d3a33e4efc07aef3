"""The contract summary on the web: open to everybody, linked before paying, and the sold version's for ever."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client

from sandbox.carrier.app import application
from sandbox.carrier.world import World
from sandbox.transport import InProcess
from tests.journeys.web_world import DATA, Shop, open_shop, uuid_of
from xuka.activation import operations as activation
from xuka.catalogue import operations as catalogue
from xuka.catalogue.models import Plan
from xuka.interfaces import clock
from xuka.interfaces.web.paper import summary_pdf

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 13, 5, tzinfo=UTC)
WEEK, JAPAN = "be-week-3gb-day", "jp-week-3gb-day"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(now=lambda: NOW, seed=1, balance=5_000_00, limited=False)
    carrier = {
        "connector": "xuka.connectors.carriers.airalo.connector.Airalo",
        "base_url": "http://carrier.test",
        "client_id": "sandbox",
        "client_secret": "sandbox-secret",
        "transport": InProcess(application(world)),
    }
    monkeypatch.setattr(settings, "CARRIERS", {"airalo": carrier})
    monkeypatch.setattr(clock, "now", lambda: NOW)
    activation.carrier.cache_clear()
    cache.clear()
    yield world
    activation.carrier.cache_clear()


@pytest.fixture
def shop(world: World) -> Shop:
    return open_shop(now=NOW, seed_card=world.seed_card)


def dearer(tmp_path: Any) -> None:
    """The seller changes the week's price and its cap, and loads the catalogue again."""
    text = (DATA / "demo-plans.yaml").read_text()
    for name in ("markets.yaml", "networks.yaml"):
        (tmp_path / name).write_text((DATA / name).read_text())
    text = text.replace('"12.90"', '"15.90"', 1).replace("after_bytes: 3_000_000_000", "after_bytes: 2_000_000_000", 1)
    (tmp_path / "plans.yaml").write_text(text)
    catalogue.load(tmp_path, who="seller", now=NOW + timedelta(days=1))


def text_of(answer: Any) -> str:
    markup = unescape(re.sub(r"<[^>]+>", " ", answer.content.decode()))
    return re.sub(r"\s+", " ", markup)


def links(answer: Any) -> dict[str, str]:
    found = re.findall(r'<a [^>]*href="([^"]+)"[^>]*>(.*?)</a>', answer.content.decode(), re.DOTALL)
    return {re.sub(r"<[^>]+>", "", words).strip(): address for address, words in found}


# -- the page ----------------------------------------------------------------------------------------------------------


def test_everybody_reads_it_in_their_language_under_the_templates_headings(shop: Shop) -> None:
    told = {
        "zh-CN": ("zh-Hans", "合同摘要", "每期 7 天，价格 €12.90"),
        "ja-JP": ("ja", "契約概要", "1回（7日）につき€12.90"),
        "en-GB": ("en", "Contract summary", "€12.90 for each period of 7 days"),
        "fr-BE": ("fr", "Récapitulatif contractuel", "12,90 € par période de 7 jours"),
        "nl-BE": ("nl", "Samenvatting van het contract", "€ 12,90 per periode van 7 dagen"),
    }
    for language, (tag, title, price) in told.items():
        answer = Client(headers={"accept-language": language}).get(f"/plans/{WEEK}/summary/")
        page = answer.content.decode()
        assert answer.status_code == 200
        assert f'<html lang="{tag}">' in page
        assert f"<h1>{title}</h1>" in page
        assert price in text_of(answer)
        assert re.findall(r"<h(\d)", page.split("<main")[1]) == ["1", *("2" * 6)]
        assert "no-store" in answer["Cache-Control"]  # it shows who is signed in


def test_a_plan_of_japan_has_a_plan_summary(shop: Shop) -> None:
    page = text_of(Client().get(f"/plans/{JAPAN}/summary/"))
    assert "Plan summary" in page
    assert "Contract summary" not in page
    assert "EU" not in page


def test_it_is_linked_from_the_plan_and_leads_to_its_paper(shop: Shop) -> None:
    web = Client()
    assert links(web.get(f"/plans/{WEEK}/"))["Contract summary"] == f"/plans/{WEEK}/summary/"
    assert links(web.get(f"/plans/{JAPAN}/"))["Plan summary"] == f"/plans/{JAPAN}/summary/"
    paper = links(web.get(f"/plans/{WEEK}/summary/"))["Open as PDF"]
    assert paper == f"/plans/{WEEK}/summary.pdf?lang=en"
    assert web.get(paper).content == summary_pdf.pdf(shop.plan(WEEK), "en")


@pytest.mark.django_db(transaction=True)
def test_the_sold_version_is_linked_before_paying_and_from_the_order_and_stays_what_it_was(
    shop: Shop, tmp_path: Any
) -> None:
    web, sold = Client(), shop.plan(WEEK)
    web.force_login(shop.people["emma"], backend=settings.AUTHENTICATION_BACKENDS[0])
    card, address = shop.cards["emma"].id, f"/plans/versions/{sold.id}/summary/"
    answer = web.post(f"/cards/{card}/quote/", {"plan": str(sold.id)})
    quote = uuid_of(answer["Location"])
    assert links(web.get(f"/quotes/{quote}/"))["Contract summary"] == address
    order = uuid4()
    web.post("/orders/", {"order": str(order), "quote": str(quote), "payment": str(uuid4()), "pay_with": "wallet"})
    before, paper = Client().get(address), Client().get(f"/plans/versions/{sold.id}/summary.pdf?lang=nl").content

    dearer(tmp_path)
    summary_pdf._pdf.cache_clear()
    assert links(web.get(f"/orders/{order}/"))["Contract summary"] == address
    after = Client().get(address)
    assert "€12.90" in text_of(after)
    assert "3 GB a day at full speed" in text_of(after)
    assert "This version is not sold any more." in text_of(after)
    assert "This version is not sold any more." not in text_of(before)
    assert Client().get(f"/plans/versions/{sold.id}/summary.pdf?lang=nl").content == paper
    now = text_of(Client().get(f"/plans/{WEEK}/summary/"))
    assert "Version 2, of 23 November 2026" in now
    assert "€15.90 for each period" in now
    assert "2 GB a day at full speed" in now


def test_what_there_is_not_is_told_as_404(shop: Shop) -> None:
    web, sold = Client(), shop.plan(WEEK)
    for path in ("/plans/no-such-plan/summary", f"/plans/versions/{uuid4()}/summary"):
        assert web.get(f"{path}/").status_code == 404
        assert web.get(f"{path}.pdf?lang=en").status_code == 404
    assert web.get("/plans/versions/1/summary/").status_code == 404
    Plan.objects.filter(slug=WEEK).update(on_sale=False)
    assert web.get(f"/plans/{WEEK}/summary/").status_code == 404
    assert web.get(f"/plans/versions/{sold.id}/summary/").status_code == 200


# -- the paper ---------------------------------------------------------------------------------------------------------


def test_the_paper_may_be_kept_by_anybody_and_is_not_sent_twice(shop: Shop) -> None:
    web, sold = Client(), shop.plan(WEEK)
    for path, seconds in ((f"/plans/{WEEK}/summary.pdf", 300), (f"/plans/versions/{sold.id}/summary.pdf", 86_400)):
        answer = web.get(f"{path}?lang=fr")
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/pdf"
        assert answer["Content-Language"] == "fr"
        assert answer["Cache-Control"] == f"public, max-age={seconds}"
        assert not answer.cookies
        assert answer["Content-Disposition"].startswith("inline; filename")
        again = web.get(f"{path}?lang=fr", headers={"if-none-match": answer["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_paper_is_in_the_language_that_is_asked_for_whoever_asks(shop: Shop) -> None:
    chinese = Client(headers={"accept-language": "zh-CN"})
    assert b"/Lang (ja)" in chinese.get(f"/plans/{WEEK}/summary.pdf?lang=ja").content
    assert b"/Lang (zh-Hans)" in chinese.get(f"/plans/{WEEK}/summary.pdf?lang=zh-hans").content
    for unknown in ("de", "xx", "EN", "../en", "x" * 5000):
        assert chinese.get(f"/plans/{WEEK}/summary.pdf", {"lang": unknown}).status_code == 404
    sent = chinese.get(f"/plans/{WEEK}/summary.pdf")
    assert (sent.status_code, sent["Location"]) == (302, f"/plans/{WEEK}/summary.pdf?lang=zh-hans")
    assert "private" in sent["Cache-Control"]
    assert {"Accept-Language", "Cookie"} <= {one.strip() for one in sent["Vary"].split(",")}


def test_it_is_only_read(shop: Shop) -> None:
    for path in ("summary/", "summary.pdf"):
        assert Client().post(f"/plans/{WEEK}/{path}").status_code == 405
