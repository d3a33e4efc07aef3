"""What an account may say of itself. Pure."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

LANGUAGES = ("zh-hans", "ja", "en", "fr", "nl")


class InvalidTimeZone(ValueError):
    """The text is not the IANA name of a time zone."""


class InvalidLanguage(ValueError):
    """Xuka does not speak this language."""


def time_zone_of(text: str) -> str:
    """The IANA time zone named by the text ("Asia/Tokyo"); "" means none was chosen.

    Raises:
        InvalidTimeZone: there is none of this name.
    """
    if text and text not in _time_zones():
        raise InvalidTimeZone(f"There is no time zone called {text!r}.")
    return text


def language_of(text: str) -> str:
    """The language's tag as it is stored, lower case ("zh-hans", "ja").

    Raises:
        InvalidLanguage: Xuka does not speak it.
    """
    tag = text.lower()
    if tag not in LANGUAGES:
        raise InvalidLanguage(f"Xuka does not speak {text!r}.")
    return tag


def email_of(text: str) -> str:
    """The stored form of an e-mail address: trimmed and lower case, so that one person is one account."""
    return text.strip().lower()


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
