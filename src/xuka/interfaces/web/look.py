"""The seller's look: a colour, a logo, and the page that shows every part of the design."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django import forms
from django.conf import settings
from django.core import checks
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_GET

from xuka.interfaces import clock
from xuka.interfaces.web import chart, formats, texts, usage
from xuka.interfaces.web.ways import Way, Ways
from xuka.kernel.money import Money
from xuka.kernel.volume import GIGABYTE
from xuka.metering.queries import Day

LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
HEX = re.compile(r"#[0-9a-fA-F]{6}")
# Text needs 4.5 : 1 (WCAG 2.2, 1.4.3); every shade here may carry text, which also covers the 3 : 1 of edges (1.4.11).
ENOUGH = 4.5


@dataclass(frozen=True, slots=True)
class Ground:
    """What lies under and beside the seller's colour, as in xuka.css: the surfaces, and the inks on the soft shade."""

    surfaces: tuple[str, ...]
    inks: tuple[str, ...]


LIGHT = Ground(surfaces=("#f5f4ef", "#ffffff", "#eeece5"), inks=("#1b2430", "#4d5866"))
DARK = Ground(surfaces=("#0f1418", "#182026", "#222c33"), inks=("#eef1ee", "#b3bdc2"))


@dataclass(frozen=True, slots=True)
class Shades:
    """The seller's colour as it is used on one ground, each as "#rrggbb"."""

    brand: str
    strong: str
    soft: str
    on_brand: str


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21, as WCAG 2.2 counts it."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@cache
def shades(colour: str) -> tuple[Shades, Shades]:
    """(on light, on dark): the hue stays, the lightness moves until everything on and around it can be read."""
    return _on_light(colour), _on_dark(colour)


def _on_light(colour: str) -> Shades:
    lightness, chroma, hue = _oklch(colour)
    soft = _mixed(0.955, min(chroma, 0.022), hue)
    under = (*LIGHT.surfaces, soft)
    steps = [lightness - step / 100 for step in range(101) if lightness - step / 100 > 0] or [0.0]
    brand = _first_readable(steps, chroma, hue, under)
    deeper = _oklch(brand)[0] - 0.08
    strong = _mixed(deeper, chroma, hue) if deeper > 0.12 else _first_readable([0.3], chroma, hue, under)
    return Shades(brand, strong, soft, "#ffffff")


def _on_dark(colour: str) -> Shades:
    lightness, chroma, hue = _oklch(colour)
    soft = _mixed(0.29, min(chroma, 0.045), hue)
    under = (*DARK.surfaces, soft)
    steps = [lightness + step / 100 for step in range(101) if lightness + step / 100 < 1] or [1.0]
    brand = _first_readable(steps, min(chroma, 0.17), hue, under)
    brighter = _oklch(brand)[0] + 0.06
    strong = _mixed(brighter if brighter < 0.98 else 0.9, min(chroma, 0.12), hue)
    return Shades(brand, strong, soft, _mixed(0.2, min(chroma, 0.04), hue))


def _first_readable(steps: list[float], chroma: float, hue: float, under: tuple[str, ...]) -> str:
    """The first lightness whose colour can be read on all of these; the last when none can."""
    mixed = ""
    for lightness in steps:
        mixed = _mixed(lightness, chroma, hue)
        if all(contrast(mixed, ground) >= ENOUGH for ground in under):
            return mixed
    return mixed


def _mixed(lightness: float, chroma: float, hue: float) -> str:
    from coloraide import Color  # slow to import, and most shops keep our colour

    return (
        Color("oklch", [lightness, chroma, hue]).fit("srgb", method="oklch-chroma").convert("srgb").to_string(hex=True)
    )


def _oklch(colour: str) -> tuple[float, float, float]:
    from coloraide import Color

    lightness, chroma, hue = Color(colour).convert("oklch").coords(nans=False)
    return lightness, chroma, hue


def _luminance(colour: str) -> float:
    def linear(part: int) -> float:
        share = part / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[at : at + 2], 16)) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# -- what is served ------------------------------------------------------------------------------------------------


def shop_name() -> str:
    """What stands at the top of every page."""
    return settings.SHOP_NAME


@cache
def _sheet(colour: str) -> str:
    light, dark = shades(colour)
    pairs = (
        ("--brand", light.brand, dark.brand),
        ("--brand-strong", light.strong, dark.strong),
        ("--brand-soft", light.soft, dark.soft),
        ("--on-brand", light.on_brand, dark.on_brand),
    )
    lines = [f"  {name}: var(--in-light, {one}) var(--in-dark, {other});" for name, one, other in pairs]
    return "\n".join([":root, [data-theme] {", *lines, "}", ""])


def sheet_address() -> str:
    """Where the seller's colours are, "" when there are none. What it names never changes."""
    return f"/look.css?v={mark_of(_sheet(settings.SELLER_COLOUR).encode())}" if settings.SELLER_COLOUR else ""


def logo_address() -> str:
    """Where the seller's logo is, "" when there is none. What it names never changes."""
    return f"/look/logo?v={mark_of(_logo(settings.SELLER_LOGO))}" if settings.SELLER_LOGO else ""


@cache
def _logo(path: str) -> bytes:
    return Path(path).read_bytes()


def mark_of(content: bytes) -> str:
    """A short name for exactly this content."""
    return hashlib.sha256(content).hexdigest()[:12]


def _for_a_year(response: HttpResponse) -> HttpResponse:
    patch_cache_control(response, public=True, max_age=31_536_000, immutable=True)
    return response


@require_GET
def sheet(request: HttpRequest) -> HttpResponse:
    """The seller's colours as a style sheet."""
    if not settings.SELLER_COLOUR:
        raise Http404
    return _for_a_year(HttpResponse(_sheet(settings.SELLER_COLOUR), content_type="text/css"))


@require_GET
def logo(request: HttpRequest) -> HttpResponse:
    """The seller's logo. Opened by itself it may run nothing and load nothing."""
    if not settings.SELLER_LOGO:
        raise Http404
    response = HttpResponse(_logo(settings.SELLER_LOGO), content_type=logo_type())
    response["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return _for_a_year(response)


def logo_type() -> str:
    """The media type of the logo."""
    return LOGO_TYPES[Path(settings.SELLER_LOGO).suffix.lower()]


def seller_look(**_: object) -> list[checks.CheckMessage]:
    """What is wrong with the seller's colour and logo."""
    found: list[checks.CheckMessage] = []
    if settings.SELLER_COLOUR and not HEX.fullmatch(settings.SELLER_COLOUR):
        says = f"XUKA_SELLER_COLOUR is {settings.SELLER_COLOUR!r}, which is not a colour like #0b665c."
        found.append(checks.Error(says, hint="A number sign and six digits, 0 to f.", id="look.E001"))
    if settings.SELLER_LOGO:
        path = Path(settings.SELLER_LOGO)
        if path.suffix.lower() not in LOGO_TYPES or not path.is_file():
            says = f"XUKA_SELLER_LOGO is {settings.SELLER_LOGO!r}, and there is no SVG or PNG file."
            found.append(checks.Error(says, hint="The whole path of a file that ends in .svg or .png.", id="look.E002"))
    return found


# -- the design, part by part: only in the demo --------------------------------------------------------------------


class Sample(forms.Form):
    """A field of each kind."""

    card = forms.CharField(label=gettext_lazy("Card number (ICCID)"), help_text=gettext_lazy("19 or 20 digits."))
    code = forms.CharField(label=gettext_lazy("Code from the mail"))
    language = forms.ChoiceField(label=gettext_lazy("Language"), choices=settings.LANGUAGES)
    message = forms.CharField(label=gettext_lazy("Your message"), widget=forms.Textarea)
    remember = forms.BooleanField(label=gettext_lazy("Keep me signed in on this device"), required=False)


class Wrong(forms.Form):
    """A field that was refused."""

    email = forms.EmailField(label=gettext_lazy("E-mail address"))


@require_GET
def design(request: HttpRequest) -> HttpResponse:
    """Every part of the pages, light and dark side by side."""
    now = clock.now()
    context = {
        "sides": [_side("light", gettext("Light")), _side("dark", gettext("Dark"))],
        "colours": list(dict.fromkeys(re.findall(r"(--[\w-]+): var\(--in-light, #", _css()))),
        "spaces": [{"says": f"{rem:g}rem", "width": rem * 16} for rem in (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5)],
        "rings": [_ring(now, days) for days in (21, 2, 0.2)] + [{"valid_until": now}, {}],
        "parts": [100, 40, 5],
        "usages": _usages(),
        "chart": _chart(now),
        "steps": _STEPS,
        "ways": _ways(),
        "now": now,
        "later": now + timedelta(days=30),
    }
    return render(request, "demo/look.html", context)


_STEPS = [
    {"look": "done", "says": gettext_lazy("Order placed")},
    {"look": "now", "says": gettext_lazy("The carrier renews your card"), "more": gettext_lazy("Usually seconds.")},
    {"look": "held", "says": gettext_lazy("A person looks into it")},
    {"look": "bad", "says": gettext_lazy("The carrier refused")},
    {"look": "", "says": gettext_lazy("Your card is renewed")},
]


def _side(theme: str, says: str) -> dict[str, Any]:
    return {"theme": theme, "says": says, "forms": [Sample(prefix=theme), Wrong({f"{theme}-email": "?"}, prefix=theme)]}


def _ring(now: datetime, days: float) -> dict[str, Any]:
    until = now + timedelta(days=days)
    return {"valid_until": until, "left": texts.left(starts_at=until - timedelta(days=30), ends_at=until, now=now)}


def _usages() -> list[usage.Shown]:
    """At full speed with a day's and a month's cap, slowed, and blocked."""
    left, total = gettext("Data left"), gettext("of %(total)s") % {"total": formats.volume(3 * GIGABYTE)}
    speed = {"speed": formats.speed(1000)}
    full = usage.SpeedNow(gettext("Full speed now"), "good")
    slowed = usage.SpeedNow(gettext("Slowed to %(speed)s now") % speed, "warn")
    blocked = usage.SpeedNow(gettext("Blocked: no data at the moment"), "bad")
    gauges = (
        usage.Gauge(gettext("Today"), formats.volume(2 * GIGABYTE), 2, 3),
        usage.Gauge(gettext("This month"), formats.volume(20 * GIGABYTE), 20, 50),
    )
    as_of = gettext("Data as of %(at)s") % {"at": "14:20"}
    return [
        usage.Shown(usage.Ring(left, "2", "GB", total, 66.7), as_of, full, gauges=gauges),
        usage.Shown(usage.Ring(left, "0.4", "GB", total, 13.3, low=True), as_of, slowed),
        usage.Shown(usage.Ring(left, "0", "GB", total, 0.0, low=True), as_of, blocked),
    ]


def _chart(now: datetime) -> chart.Chart | None:
    """A month with unknown days, a day abroad, and one above the cap."""
    today = now.date()
    volumes = [GIGABYTE * (7 * n % 31) // 10 for n in range(30)]
    days = [
        Day(today - timedelta(days=29 - n), volume, volume // 2 if n == 20 else 0, 0, is_known=n > 3)
        for n, volume in enumerate(volumes)
    ]
    return chart.of(days, cap=3 * GIGABYTE)


def _ways() -> Ways:
    total, tax, none = Money(1290, "EUR"), Money(224, "EUR"), Money(0, "EUR")
    wallet = Way("wallet", "wallet", gettext("Wallet"), gettext("Paid at once."), total, tax, none, is_chosen=True)
    card = Way("card", "card", gettext("Card"), "Visa, Mastercard", total, tax, Money(35, "EUR"), can_be_saved=True)
    off = Way("other", "card", gettext("Card"), "", total, tax, none, why_not=gettext("Not available at the moment."))
    return Ways((wallet, card, off))


def _css() -> str:
    return (Path(__file__).parent / "static" / "xuka" / "xuka.css").read_text()
