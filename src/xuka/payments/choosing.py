"""In which order the ways to pay are offered. Pure."""

from __future__ import annotations

from collections.abc import Sequence

# What people who read a language mostly pay with, the likeliest first; a method that is named nowhere comes last.
# Alipay and WeChat Pay: 90 % of mobile payments in China; PayPay: Japan's largest wallet; Bancontact: most of Belgium's
# online payments; LINE Pay: Taiwan.
_BY_LANGUAGE = {
    "zh-hans": ("alipay", "wechat_pay", "card", "paypal"),
    "zh-hant": ("line_pay", "card", "alipay", "wechat_pay", "paypal"),
    "ja": ("paypay", "card", "konbini", "paypal", "line_pay"),
    "nl": ("bancontact", "card", "paypal"),
    "fr": ("bancontact", "card", "paypal"),
}
_OTHERWISE = ("card", "paypal", "bancontact", "paypay", "alipay", "wechat_pay", "line_pay", "konbini")
# What an app's own browser does not open, or opens best.
_NOT_INSIDE = {"wechat": {"alipay"}}
_BEST_INSIDE = {"wechat": "wechat_pay", "line": "line_pay"}


def ranked(methods: Sequence[str], *, language: str, inside: str = "", last_used: str = "") -> list[str]:
    """The methods, the likeliest first: the app's own, what was used last, then what people of that language use.

    Args:
        methods: what is offered here and now: market and amount have decided that already.
        language: BCP 47 tag of the page.
        inside: the app in whose browser the page is open, "wechat" or "line"; "" in a browser of its own.
        last_used: the method that this customer paid with last.
    """
    likely = (*_BY_LANGUAGE.get(language.lower(), ()), *_OTHERWISE)

    def place(method: str) -> tuple[bool, bool, bool, int]:
        known = likely.index(method) if method in likely else len(likely)
        is_shut = method in _NOT_INSIDE.get(inside, ())
        return (is_shut, method != _BEST_INSIDE.get(inside), method != last_used, known)

    return sorted(methods, key=place)
