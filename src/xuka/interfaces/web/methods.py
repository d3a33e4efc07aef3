"""Each way of paying in words: its name, what happens next, and how money goes back."""

from __future__ import annotations

import re
from datetime import timedelta

from django.http import HttpRequest
from django.utils.translation import gettext, ngettext

from xuka.interfaces.web import pwa


def name(method: str) -> str:
    """A way of paying in words; one that is not known here is called as it calls itself."""
    known = {
        "wallet": gettext("Wallet"),
        "card": gettext("Card or Apple Pay"),
        "alipay": gettext("Alipay"),
        "wechat_pay": gettext("WeChat Pay"),
        "paypal": "PayPal",
        "bancontact": "Bancontact",
        "paypay": "PayPay",
        "line_pay": "LINE Pay",
        "konbini": gettext("Convenience store"),
        "voucher": gettext("Voucher"),
    }
    return known.get(method, method.replace("_", " ").capitalize())


def says(method: str, *, pays_within: timedelta | None = None) -> str:
    """What follows when it is chosen, in a sentence or two."""
    told = {"name": name(method)}
    match method:
        case "card":
            return gettext(
                "On the secure page of our payment service, which opens next. We never see the card's number."
            )
        case "wechat_pay":
            return gettext("On a phone WeChat opens; on a computer you scan a code with it.")
        case "alipay":
            return gettext("On a phone Alipay opens; on a computer you scan a code with it.")
        case "line_pay":
            return gettext(
                "With a LINE Pay account of Taiwan or Thailand. LINE Pay of Japan has ended; PayPay has followed it."
            )
        case _ if pays_within:
            days = max(1, pays_within.days)
            return ngettext(
                "You get a slip and pay it at the till within %(days)s day. Your plan starts only then.",
                "You get a slip and pay it at the till within %(days)s days. Your plan starts only then.",
                days,
            ) % {"days": days}
        case _:
            return gettext("You confirm it with %(name)s, which opens next.") % told


def when(method: str, *, can_be_saved: bool) -> str:
    """When and how the money is taken: one of the facts before the button."""
    match method:
        case "wallet":
            return gettext("From your wallet, at once when you order.")
        case "card" if not can_be_saved:
            return gettext("By card, at once: it is charged when you confirm on the payment page.")
        case "card":
            return gettext(
                "By card, at once: it is charged when you confirm on the payment page, or right after you order with a "
                "saved card."
            )
        case "paypal" if can_be_saved:
            return gettext(
                "With PayPal, at once: it is charged when you confirm it there, or right after you order with a saved "
                "account."
            )
        case "konbini":
            return gettext("At the till of a convenience store, with the slip that you get after you order.")
        case _:
            return gettext("With %(name)s, at once when you confirm it there.") % {"name": name(method)}


def if_it_fails(method: str) -> str:
    """What becomes of the money when nothing can be delivered."""
    match method:
        case "wallet":
            return gettext(
                "If the carrier refuses, or it surely was not delivered, the whole amount comes back to your wallet by "
                "itself. If nobody can tell, a person looks into it. You are never charged twice."
            )
        case "card":
            return gettext(
                "If the carrier refuses, or it surely was not delivered, the whole amount goes back to your card by "
                "itself. If nobody can tell, a person looks into it. You are never charged twice."
            )
        case _:
            return gettext(
                "If the carrier refuses, or it surely was not delivered, the whole amount goes back the way you paid "
                "it, by itself. If nobody can tell, a person looks into it. You are never charged twice."
            )


def device(request: HttpRequest) -> str:
    """ "phone", where another app can be opened, or "desk", where a code is scanned with the phone."""
    return "phone" if re.search(r"Mobile|Android|iPhone", request.headers.get("User-Agent", "")) else "desk"


def inside(request: HttpRequest) -> str:
    """The app in whose browser the page is open: "wechat", "line" or ""."""
    return pwa.embedded_browser(request.headers.get("User-Agent", ""))
