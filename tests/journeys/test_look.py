"""The seller's look: any colour can be read, and the logo takes the place of our mark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from xuka.interfaces.web import look

pytestmark = pytest.mark.django_db

CSS = Path(look.__file__).parent / "static/xuka/xuka.css"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>'


@given(st.integers(0, 0xFFFFFF))
@example(0x000000)
@example(0xFFFFFF)
@example(0xFFFF00)
@example(0x0000FF)
@example(0x808080)
@hypothesis_settings(max_examples=150)
def test_any_colour_of_a_seller_can_be_read(number: int) -> None:
    for shades, ground in zip(look.shades(f"#{number:06x}"), (look.LIGHT, look.DARK), strict=True):
        pairs = [(text, under) for text in (shades.brand, shades.strong) for under in (*ground.surfaces, shades.soft)]
        pairs += [(shades.on_brand, under) for under in (shades.brand, shades.strong)]
        pairs += [(ink, shades.soft) for ink in ground.inks]
        for text, under in pairs:
            assert look.contrast(text, under) >= 4.5, (text, under)


def test_the_contrast_is_the_one_of_wcag() -> None:
    assert look.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert look.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert look.contrast("#0b665c", "#0b665c") == 1


def test_the_grounds_are_those_of_the_style_sheet() -> None:
    told = dict(re.findall(r"(--[\w-]+): (var\(--in-light, #\w+\) var\(--in-dark, #\w+\));", CSS.read_text()))
    for at, ground in enumerate((look.LIGHT, look.DARK)):
        of = {name: re.findall(r"#\w+", value)[at] for name, value in told.items()}
        assert ground.surfaces == (of["--paper"], of["--sheet"], of["--sunken"])
        assert ground.inks == (of["--ink"], of["--ink-soft"])


def test_a_colour_that_can_be_read_already_stays_as_it_is() -> None:
    assert look.shades("#0b665c")[0].brand == "#0b665c"


def test_a_shop_without_a_colour_has_no_sheet_of_its_own() -> None:
    client = Client()
    assert "look.css" not in client.get("/").content.decode()
    assert client.get("/look.css").status_code == 404
    assert client.get("/look/logo").status_code == 404


def test_the_sellers_colour_comes_as_a_sheet_that_is_kept_for_a_year(settings: Any) -> None:
    settings.SELLER_COLOUR = "#ffd400"
    client = Client()
    (address,) = re.findall(r'href="(/look\.css\?v=\w+)"', client.get("/").content.decode())
    sheet = client.get(address)
    assert sheet["Content-Type"] == "text/css"
    assert "max-age=31536000" in sheet["Cache-Control"]
    assert "--on-brand: var(--in-light, #ffffff)" in sheet.content.decode()
    settings.SELLER_COLOUR = "#1a237e"
    assert address not in client.get("/").content.decode()


def test_the_sellers_logo_takes_the_place_of_our_mark(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_text(SVG)
    settings.SELLER_LOGO, settings.SHOP_NAME = str(tmp_path / "logo.svg"), "Fernweh SIM"
    client = Client()
    page = client.get("/").content.decode()
    (address, *_) = re.findall(r'src="(/look/logo\?v=\w+)"', page)
    assert "brand-card" not in page
    assert "<span>Fernweh SIM</span>" in page
    logo = client.get(address)
    assert (logo["Content-Type"], logo.content.decode()) == ("image/svg+xml", SVG)
    assert "sandbox" in logo["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("SELLER_COLOUR", "green", "look.E001"),
        ("SELLER_COLOUR", "#0b6", "look.E001"),
        ("SELLER_LOGO", "/nowhere/logo.svg", "look.E002"),
        ("SELLER_LOGO", __file__, "look.E002"),
    ],
)
def test_a_wrong_look_is_told_at_the_start(settings: Any, name: str, value: str, code: str) -> None:
    assert look.seller_look() == []
    setattr(settings, name, value)
    (found,) = look.seller_look()
    assert found.id == code
    assert value in found.msg


def test_the_designs_page_shows_every_part_twice(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.journeys.web_demo_urls"
    page = Client().get("/demo/look").content.decode()
    parts = "type colours spacing buttons notes tags rings usage chart timeline steps prices progress fields ways"
    parts += " empty error"
    for part in parts.split():
        assert page.count(f'data-part="{part}"') == 2, part
    assert page.count(">--on-brand<") == page.count('aria-invalid="true"') == 2
    assert 'style="' not in page


def test_the_designs_page_is_the_demos_alone() -> None:
    assert Client().get("/demo/look").status_code == 404


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ("zh-CN,zh;q=0.9", "zh-Hans"),
        ("zh-TW", "zh-Hant"),
        ("zh-HK", "zh-Hant"),
        ("zh", "zh-Hans"),
        ("ja-JP,ja;q=0.9,en;q=0.8", "ja"),
        ("fr-BE", "fr"),
        ("nl-BE,nl;q=0.8", "nl"),
        ("de-DE,fr;q=0.5", "fr"),
        ("de-DE", "en"),
        ("", "en"),
        ("*", "en"),
        ("x" * 100_000, "en"),
        ("ja," * 50_000, "ja"),
        ("zh-" + "a" * 9_000, "en"),
        ("fr;q=nan, ;;;,=,\\x00'\"<script>", "en"),
        ("../../etc/passwd", "en"),
        ("中文", "en"),
    ],
)
def test_the_first_page_speaks_the_browsers_language(asked: str, spoken: str) -> None:
    page = Client().get("/", headers={"Accept-Language": asked})
    assert page.status_code == 200
    assert f'<html lang="{spoken}">' in page.content.decode()


def test_the_first_view_is_small() -> None:
    client = Client()
    page = client.get("/").content
    files = re.findall(r'(?:href|src)="/static/([^"?]+)', page.decode())
    assert {"xuka/xuka.css", "xuka/xuka.js", "xuka/icon.svg"} <= set(files)
    found = [finders.find(name) for name in files if not name.endswith(".png")]
    assert len(page) + sum(Path(str(path)).stat().st_size for path in found) < 60_000


def test_the_first_page_leads_to_signing_in_and_to_the_plans() -> None:
    page = Client().get("/", headers={"Accept-Language": "en"}).content.decode()
    assert "<h1>Card running out? Renewed in a minute.</h1>" in page
    assert re.findall(r'<a class="button[ \w]*" href="([^"]+)"', page) == ["/account/login/code/", "/plans/"]
    assert "2 days left" in page
