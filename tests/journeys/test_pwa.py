"""The shop on the phone: the manifest, the worker's file, the page without a network, browsers inside other apps."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from xuka.interfaces.web import pwa

pytestmark = pytest.mark.django_db

WECHAT = (
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/116.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.47"
)
LINE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 Safari Line/14.3.0"


def manifest(language: str = "en") -> dict[str, Any]:
    return Client().get("/manifest.webmanifest", headers={"Accept-Language": language}).json()


def test_a_phone_is_told_all_it_needs_to_install_the_shop(settings: Any) -> None:
    settings.SHOP_NAME = "Fernweh SIM"
    told = manifest("ja-JP")
    assert (told["name"], told["short_name"], told["lang"]) == ("Fernweh SIM", "Fernweh SIM", "ja")
    assert (told["start_url"], told["scope"], told["display"]) == ("/", "/", "standalone")
    assert [(icon["sizes"], icon["purpose"]) for icon in told["icons"]] == [
        ("192x192", "any"),
        ("512x512", "any"),
        ("512x512", "maskable"),
    ]
    assert manifest("zh-CN")["lang"] == "zh-Hans"


@pytest.mark.parametrize(("name", "size"), [("192", 192), ("512", 512), ("maskable", 512), ("apple", 180)])
def test_the_icons_are_as_large_as_they_say_and_light(name: str, size: int) -> None:
    icon = Path(str(finders.find(f"xuka/icon-{name}.png"))).read_bytes()
    assert icon.startswith(b"\x89PNG")
    assert [int.from_bytes(icon[at : at + 4]) for at in (16, 20)] == [size, size]
    assert len(icon) < 6_000


def test_a_drawn_logo_of_the_seller_is_the_first_icon(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    settings.SELLER_LOGO = str(tmp_path / "logo.svg")
    first, *ours = manifest()["icons"]
    assert first["src"].startswith("/look/logo?v=")
    assert (first["sizes"], first["type"], len(ours)) == ("any", "image/svg+xml", 3)


def test_the_manifest_and_the_worker_are_asked_for_again_each_time() -> None:
    client = Client()
    for path, kind in (("/manifest.webmanifest", "application/manifest+json"), ("/worker.js", "text/javascript")):
        answer = client.get(path)
        assert (answer.status_code, answer["Content-Type"]) == (200, kind)
        assert "no-store" in answer["Cache-Control"]
    assert client.get("/worker.js")["Service-Worker-Allowed"] == "/"


def test_the_worker_keeps_the_files_of_the_pages_and_changes_with_them(settings: Any) -> None:
    def told() -> tuple[str, list[str]]:
        first = Client().get("/worker.js").content.decode().splitlines()[0]
        version, files = re.findall(r'VERSION = ("\w+"), FILES = (\[.*\]);', first)[0]
        return json.loads(version), json.loads(files)

    version, files = told()
    page = Client().get("/").content.decode()
    assert len(files) == 3
    assert all(f'"{address}"' in page for address in files)
    settings.SELLER_COLOUR = "#1a237e"
    assert told()[0] != version
    assert told()[1][-1].startswith("/look.css?v=")


def test_the_page_without_a_network_speaks_the_pages_language_and_knows_nobody() -> None:
    answer = Client().get("/offline/", headers={"Accept-Language": "fr-BE"})
    page = answer.content.decode()
    assert (answer.status_code, answer["Content-Language"]) == (200, "fr")
    assert "no-store" in answer["Cache-Control"]
    assert "csrf" not in page
    assert "data-signed" not in page


@pytest.mark.parametrize(
    ("user_agent", "app"),
    [
        (WECHAT, "wechat"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148 MicroMessenger/8.0.50(0x1)", "wechat"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/537.36 MacWechat/3.8 MicroMessenger/6.8.0(0x16080000)", "wechat"),
        (LINE, "line"),
        (
            "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/124.0 Mobile Safari/537.36 Line/14.5.1/IAB",
            "line",
        ),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) Version/17.4 Mobile/15E148 Safari/604.1", ""),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36", ""),
        ("Airline/3.0 OnLine/7", ""),
        ("Line/", ""),
        ("MicroMessenger", ""),
        ("", ""),
        ("中" * 5_000, ""),
    ],
)
def test_the_apps_whose_own_browser_this_is(user_agent: str, app: str) -> None:
    assert pwa.embedded_browser(user_agent) == app


@pytest.mark.parametrize("path", ["/account/login/", "/account/login/code/", "/account/signup/", "/app/"])
def test_inside_wechat_and_line_a_note_shows_the_way_out(path: str) -> None:
    inside = Client(headers={"User-Agent": WECHAT}).get(path).content.decode()
    assert '<b lang="zh-Hans">在浏览器打开</b>' in inside
    inside = Client(headers={"User-Agent": LINE}).get(f"{path}?next=/orders/").content.decode()
    assert '<b lang="ja">デフォルトのブラウザで開く</b>' in inside
    assert f'href="{path}?next=%2Forders%2F&amp;openExternalBrowser=1"' in inside
    assert "data-in-app" not in Client().get(path).content.decode()


@pytest.mark.parametrize(
    ("language", "ios", "android"),
    [
        ("zh-CN", "添加到主屏幕", "添加到主屏幕"),
        ("ja", "ホーム画面に追加", "ホーム画面に追加"),
        ("en", "Add to Home Screen", "Add to Home screen"),
        ("fr", "Sur l’écran d’accueil", "Ajouter à l&#x27;écran d&#x27;accueil"),
        ("nl", "Zet op beginscherm", "Toevoegen aan startscherm"),
    ],
)
def test_the_home_screen_is_explained_in_the_words_of_the_phone(language: str, ios: str, android: str) -> None:
    page = Client().get("/app/", headers={"Accept-Language": language}).content.decode()
    assert re.findall(r'<text class="drawn-words"[^>]*>([^<]*)<', page) == [ios, android]
    assert 'href="/app/"' in Client().get("/", headers={"Accept-Language": language}).content.decode()
