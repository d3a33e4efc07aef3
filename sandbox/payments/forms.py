"""Form-encoded parameters with nested keys, and the checks that the provider makes on them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.payments.errors import invalid, missing, unknown

ZERO_DECIMAL = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"]
)

# The least that can be charged, in minor units; 50 where nothing is said.
MINIMUM = {"gbp": 30, "hkd": 400, "cny": 400, "dkk": 250, "nok": 300, "sek": 300, "twd": 2000, "krw": 700}
SIGNS = {"eur": "€", "usd": "$", "jpy": "¥", "gbp": "£", "cny": "¥", "twd": "NT$", "hkd": "HK$"}
MOST = 99_999_999


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """``a[b][0]=c`` as ``{"a": {"b": ["c"]}}``; lists are those whose keys are numbers or empty."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        head, *rest = re.findall(r"^[^\[]+|\[[^\]]*\]", name)
        steps = [head, *(one[1:-1] for one in rest)]
        place = tree
        for step in steps[:-1]:
            found = place.setdefault(_at(place, step), {})
            place = found if isinstance(found, dict) else {}
        place[_at(place, steps[-1])] = value
    return {name: _lists(value) for name, value in tree.items()}


def _at(place: Mapping[str, Any], step: str) -> str:
    return step or str(len(place))


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(name.isdecimal() for name in value):
        return [_lists(one) for _, one in sorted(value.items(), key=lambda pair: int(pair[0]))]
    return {name: _lists(one) for name, one in value.items()}


def known(sent: Mapping[str, Any], names: Iterable[str]) -> None:
    """Nothing, or the refusal of a parameter that does not exist."""
    for name in sent:
        if name not in names:
            raise unknown(name)


def integer(sent: Mapping[str, Any], name: str, param: str | None = None) -> int:
    """A required whole number of at least 0."""
    param = param or name
    if name not in sent or sent[name] == "":
        raise missing(param)
    text = str(sent[name])
    if not re.fullmatch(r"-?\d+", text):
        raise invalid(f"Invalid integer: {text}", param=param, code="parameter_invalid_integer")
    if int(text) < 0:
        raise invalid("Invalid non-negative integer", param=param, code="parameter_invalid_integer")
    return int(text)


def boolean(sent: Mapping[str, Any], name: str) -> bool:
    """False when it was not sent."""
    text = sent.get(name, "false")
    if text not in ("true", "false"):
        raise invalid(f"Invalid boolean: {text}", param=name)
    return text == "true"


def table(sent: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A nested parameter; empty when it was not sent."""
    value = sent.get(name) or {}
    if not isinstance(value, dict):
        raise invalid("Invalid object", param=name)
    return value


def metadata(sent: Mapping[str, Any], param: str = "metadata") -> dict[str, str]:
    """At most 50 pairs, names of 40 and values of 500 characters."""
    found = table(sent, "metadata")
    if len(found) > 50:
        raise invalid("Metadata can have at most 50 keys.", param=param)
    for name, value in found.items():
        if len(name) > 40 or not isinstance(value, str) or len(value) > 500:
            raise invalid(
                "Metadata names have up to 40 characters and their values, texts, up to 500.", param=f"{param}[{name}]"
            )
    return {name: value for name, value in found.items() if value != ""}


def currency(text: Any, param: str = "currency") -> str:
    """Lower case, three letters."""
    if not text:
        raise missing(param)
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z]{3}", text):
        raise invalid(f"Invalid currency: {text}", param=param)
    return text.lower()


def enough(amount: int, currency: str, *, session: bool) -> None:
    """Nothing, or the refusal of what is too little or too much to be charged."""
    least = MINIMUM.get(currency, 50)
    whose = "The Checkout Session's total amount due must add up to" if session else "Amount must be"
    param = None if session else "amount"
    if amount < least:
        raise invalid(f"{whose} at least {money(least, currency)} {currency}", code="amount_too_small", param=param)
    if amount > MOST:
        raise invalid(f"{whose} no more than {money(MOST, currency)} {currency}", code="amount_too_large", param=param)


def money(amount: int, currency: str) -> str:
    """As people read it: €12.00, ¥1,200."""
    number = f"{amount:,}" if currency in ZERO_DECIMAL else f"{amount / 100:,.2f}"
    return SIGNS.get(currency, "") + number


def web_address(sent: Mapping[str, Any], name: str, *, required: bool) -> str | None:
    """An absolute http(s) address."""
    text = sent.get(name)
    if not text:
        if required:
            raise missing(name)
        return None
    if not re.match(r"https?://[^/\s]+", str(text)):
        raise invalid(
            "Invalid URL: An explicit scheme (such as https) must be provided.", param=name, code="url_invalid"
        )
    return str(text)
