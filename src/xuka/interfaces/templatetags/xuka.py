"""The templates' words for what formats.py writes and texts.py says."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.conf import settings
from django.forms import BoundField
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import to_locale

from xuka.interfaces import clock
from xuka.interfaces.web import demo, formats, look, pwa, texts
from xuka.interfaces.web.paper import summary
from xuka.kernel.money import Money

register = template.Library()

# Every drawing is a path inside a 24 x 24 box.
ICONS = {
    "card": "M6 3h8l4 4v14H6z M9.5 12h5v5h-5z M12 12v5",
    "orders": "M6 3h12v18l-3-2-3 2-3-2-3 2z M9.5 8h5 M9.5 12h5",
    "help": "M4 12a8 8 0 1 1 4 6.9L4 20l1-3.6A8 8 0 0 1 4 12z M9 10h6 M9 13.5h4",
    "person": "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8z M4.5 20.5a7.5 7.5 0 0 1 15 0",
    "check": "M5 12.5l4.5 4.5L19 7.5",
    "next": "M9 5l7 7-7 7",
    "back": "M15 5l-7 7 7 7",
    "warn": "M12 4l9 16H3z M12 10v4.5 M12 17.2v.1",
    "info": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z M12 11v5.5 M12 7.6v.1",
    "cross": "M6 6l12 12 M18 6L6 18",
    "cap": "M4 16a8 8 0 1 1 16 0 M12 16l4-5",
    "slow": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z M12 7v5l3.5 2",
    "reset": "M20 12a8 8 0 1 1-2.4-5.7 M20 3.5v4h-4",
    "peak": "M4 20V14 M9.3 20V9 M14.6 20V5 M20 20v-9",
    "hotspot": "M12 18.6v.1 M8.5 15.2a5 5 0 0 1 7 0 M5.6 12a9 9 0 0 1 12.8 0 M3 8.8a13 13 0 0 1 18 0",
    "abroad": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z M3.4 9.5h17 M3.4 14.5h17 M12 3c-5 5-5 13 0 18 M12 3c5 5 5 13 0 18",
    "voice": "M6 3.5h3l1.5 4.5-2 1.5a12 12 0 0 0 6 6l1.5-2 4.5 1.5v3a2 2 0 0 1-2 2A15 15 0 0 1 4 6a2 2 0 0 1 2-2.5",
    "sms": "M4 5h16v11H9l-5 4z M8 9h8 M8 12h5",
    "clock": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z M12 7v5l3.5 2",
    "shield": "M12 3l7 2.5V11c0 4.6-3 8-7 10-4-2-7-5.4-7-10V5.5z M9 12l2.2 2.2L15.2 10",
    "mail": "M3.5 6h17v12h-17z M4 6.5l8 6.5 8-6.5",
    "key": "M8 16a4 4 0 1 1 3.5-5.9H21v3.4h-2.5V16H15v-2.5h-3.2A4 4 0 0 1 8 16z M8 12v.1",
    "plus": "M12 5v14 M5 12h14",
    "wallet": "M4 7.5h14a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2z M4 7.5l11-3.5v3.5 M16 13.5v.1",
    "bank_card": "M3.5 6h17v12.5h-17z M3.5 10.5h17 M6.5 15h4",
    "scan": "M4 4h6v6H4z M14 4h6v6h-6z M4 14h6v6H4z M14 14h3v3 M20 14v2 M14 20v-.1 M17 20h3v-1",
    "till": "M4.5 11.5V20h15v-8.5 M10 20v-4.5h4V20"
    " M3.5 9L5 4h14l1.5 5a2.83 2.83 0 0 1-5.66 0 2.83 2.83 0 0 1-5.67 0A2.83 2.83 0 0 1 3.5 9z",
    "globe": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z M3.4 9.5h17 M3.4 14.5h17 M12 3c-5 5-5 13 0 18 M12 3c5 5 5 13 0 18",
    "dots": "M6 12v.1 M12 12v.1 M18 12v.1",
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """A line drawing that screen readers skip; ``name`` is a key of ``ICONS``."""
    return format_html('<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="{}"/></svg>', ICONS[name])


for _filter in (formats.money, formats.percent, formats.city, formats.volume, formats.speed):
    register.filter(_filter.__name__, _filter)
for _tag in (
    formats.day,
    formats.clock_time,
    formats.clock_seconds,
    formats.moment,
    formats.valid_through,
    formats.place,
):
    register.simple_tag(_tag, name=_tag.__name__)


@register.simple_tag(name="money")
def money_of(minor: int, currency: str) -> str:
    """EUR 1290 -> "€12.90" in the page's language."""
    return formats.money(Money(minor, currency))


@register.simple_tag
def machine_time(moment: datetime) -> str:
    """ISO 8601 in UTC, for ``<time datetime>``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@register.filter
def plan_name(version) -> str:
    """The plan's name in the page's language."""
    return texts.plan_name(version)


@register.filter
def network_name(version) -> str:
    """The network's name, as it writes itself."""
    return version.plan.network.name


@register.filter
def cap_words(version) -> str:
    """What "unlimited" means in one line: "3 GB a day at full speed, then 1 Mbps"."""
    return texts.cap(version)


@register.filter
def terms_title(version) -> str:
    """The heading above the terms."""
    return texts.terms_title(version)


@register.filter
def terms(version) -> list[texts.Term]:
    """The lines that must be on screen before paying."""
    return texts.terms(version)


@register.simple_tag
def summary_title(version) -> str:
    """What the summary of this version is called: that of European law, or of the plan."""
    return summary.title(version.plan.market_id)


@register.filter
def ends_with(iccid: str) -> str:
    """A card as its owner recognises it: its last four digits."""
    return iccid[-4:]


@register.filter
def in_fours(iccid: str) -> str:
    """The digits in groups of four, as they are printed."""
    return " ".join(iccid[at : at + 4] for at in range(0, len(iccid), 4))


@register.simple_tag
def field(bound: BoundField) -> SafeString:
    """One field of any form, in our words: label, control, hint and errors tied together for screen readers."""
    texts.put_in_our_words(bound)
    return mark_safe(render_to_string("components/field.html", {"field": bound}))  # noqa: S308 - our own template escapes


@register.simple_tag
def languages() -> list[tuple[str, str]]:
    """(code, name as its speakers write it) of every language of the pages."""
    return list(settings.LANGUAGES)


@register.filter
def bcp47(code: str) -> str:
    """A language's code as HTML wants it: "zh-hans" -> "zh-Hans"."""
    return to_locale(code).replace("_", "-")


@register.simple_tag
def seller() -> str:
    """The shop's name."""
    return settings.SELLER_NAME


@register.simple_tag
def shop_name() -> str:
    """What stands at the top of every page."""
    return look.shop_name()


@register.simple_tag
def seller_sheet() -> str:
    """The address of the seller's colours, if there are any."""
    return look.sheet_address()


@register.simple_tag
def seller_logo() -> str:
    """The address of the seller's logo, if there is one."""
    return look.logo_address()


@register.simple_tag
def asset(name: str) -> str:
    """The address of a static file that browsers may keep for ever: it changes with the file."""
    return pwa.asset(name)


@register.simple_tag
def right_now() -> datetime:
    """The moment at which the page is made."""
    return clock.now()


@register.simple_tag(takes_context=True)
def embedded_browser(context: template.Context) -> str:
    """The app whose own browser shows this page, "" for a browser of its own."""
    request: HttpRequest | None = context.get("request")
    return pwa.embedded_browser(request.headers.get("User-Agent", "")) if request else ""


@register.simple_tag(takes_context=True)
def outside_address(context: template.Context) -> str:
    """This page, for the phone's own browser."""
    return pwa.outside_address(context["request"])


@register.simple_tag
def is_demo() -> bool:
    """Whether no money moves here."""
    return settings.DEMO


@register.simple_tag(takes_context=True)
def demo_bar(context: template.Context) -> dict[str, object]:
    """What the demo's bar shows; only asked for in the demo."""
    return demo.bar(context.get("user"))


@register.filter
def way_icon(kind: str) -> str:
    """The drawing for a kind of way to pay: what one has in one's hand."""
    apps = dict.fromkeys(("alipay", "wechat_pay", "paypay", "line_pay"), "scan")
    return {"wallet": "wallet", "paypal": "person", "konbini": "till", **apps}.get(kind, "bank_card")


@register.filter
def refusal(reason: str) -> str:
    """Why the carrier did not renew the card, in the customer's words."""
    return texts.refusal(reason)


@register.filter
def account_kind(kind: str) -> str:
    """What lies in an account of the ledger, in a word or two."""
    return texts.account_kind(kind)


@register.filter
def device(user_agent: str) -> str:
    """A browser as its owner would call it."""
    return texts.device(user_agent)
