"""The shop on the phone: its manifest, its worker, the page without a network, and the browsers inside other apps."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.translation import get_language, gettext, to_locale
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from xuka.interfaces.web import look

# -- files that never change under their address ------------------------------------------------------------------


def asset(name: str) -> str:
    """The address of a static file, with a mark of what is in it."""
    return f"{static(name)}?v={_mark(name)}"


@cache
def _mark(name: str) -> str:
    return look.mark_of(_found(name).read_bytes())


def _found(name: str) -> Path:
    return Path(str(finders.find(name)))


# -- the manifest --------------------------------------------------------------------------------------------------


@never_cache
@require_GET
def manifest(request: HttpRequest) -> HttpResponse:
    """What a phone needs to know to put the shop on its home screen."""
    told = {
        "id": "/",
        "name": look.shop_name(),
        "short_name": look.shop_name(),
        "description": gettext("See how long your card still lasts, and renew it in a minute."),
        "lang": to_locale(get_language() or "en").replace("_", "-"),
        "dir": "ltr",
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "theme_color": "#f5f4ef",
        "background_color": "#f5f4ef",
        "icons": _icons(),
    }
    return JsonResponse(told, content_type="application/manifest+json", json_dumps_params={"ensure_ascii": False})


def _icons() -> list[dict[str, str]]:
    """The seller's logo where it is a drawing, which suits every size; ours in any case."""
    ours = [("icon-192", "192x192", "any"), ("icon-512", "512x512", "any"), ("icon-maskable", "512x512", "maskable")]
    icons = [
        {"src": asset(f"xuka/{name}.png"), "sizes": sizes, "type": "image/png", "purpose": purpose}
        for name, sizes, purpose in ours
    ]
    if settings.SELLER_LOGO and look.logo_type() == "image/svg+xml":
        icons = [{"src": look.logo_address(), "sizes": "any", "type": "image/svg+xml", "purpose": "any"}, *icons]
    return icons


# -- without a network ---------------------------------------------------------------------------------------------


@never_cache
@require_GET
def worker(request: HttpRequest) -> HttpResponse:
    """The worker between the pages and the network. It changes whenever a file that it keeps does."""
    files = [asset(f"xuka/{name}") for name in ("xuka.css", "xuka.js", "icon.svg")]
    files += [address for address in (look.sheet_address(), look.logo_address()) if address]
    source = _found("xuka/worker.js").read_text()
    version = look.mark_of("".join([source, *files, *_offline_sources()]).encode())
    told = f"const VERSION = {json.dumps(version)}, FILES = {json.dumps(files)};\n{source}"
    return HttpResponse(told, content_type="text/javascript", headers={"Service-Worker-Allowed": "/"})


@cache
def _offline_sources() -> tuple[str, ...]:
    templates = Path(__file__).parent / "templates"
    return tuple((templates / name).read_text() for name in ("offline.html", "base.html"))


@never_cache
@require_GET
def offline(request: HttpRequest) -> HttpResponse:
    """What the worker shows without a network. The same for everybody: what it tells of a card the browser adds."""
    context = {"bare": True, "user": AnonymousUser(), "messages": []}
    response = render(request, "offline.html", context)
    response["Content-Language"] = get_language() or "en"
    return response


# -- on the home screen --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Words:
    """What the two systems call it, each in the language of the page."""

    ios: str
    ios_done: str
    android: str
    android_done: str


# As iOS and Chrome for Android write them, which is not for us to translate.
SYSTEM_WORDS = {
    "zh-hans": Words("添加到主屏幕", "添加", "添加到主屏幕", "安装"),
    "zh-hant": Words("加入主畫面", "加入", "加到主畫面", "安裝"),
    "ja": Words("ホーム画面に追加", "追加", "ホーム画面に追加", "インストール"),
    "en": Words("Add to Home Screen", "Add", "Add to Home screen", "Install"),
    "fr": Words("Sur l’écran d’accueil", "Ajouter", "Ajouter à l'écran d'accueil", "Installer"),
    "nl": Words("Zet op beginscherm", "Voeg toe", "Toevoegen aan startscherm", "Installeren"),
}


@require_GET
def add_to_home(request: HttpRequest) -> HttpResponse:
    """How to put the shop on the home screen."""
    return render(request, "add_to_home.html", {"words": SYSTEM_WORDS.get(get_language() or "en", SYSTEM_WORDS["en"])})


# -- browsers inside other apps ------------------------------------------------------------------------------------


def embedded_browser(user_agent: str) -> Literal["wechat", "line", ""]:
    """The app whose own browser this is: payment pages and passkeys often fail there."""
    if "MicroMessenger/" in user_agent:
        return "wechat"
    return "line" if re.search(r"\bLine/\d", user_agent) else ""


def outside_address(request: HttpRequest) -> str:
    """This page, as LINE opens it in the phone's own browser."""
    query = request.GET.copy()
    query["openExternalBrowser"] = "1"
    return f"{request.path}?{query.urlencode()}"
