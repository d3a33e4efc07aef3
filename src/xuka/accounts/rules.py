"""What an account may say of itself. Pure."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

import phonenumbers

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


class InvalidPhone(ValueError):
    """The text is not a telephone number with its country."""


def phone_of(text: str) -> str:
    """The number in E.164 ("+32470123456"), from any usual spelling that begins with + or 00.

    Raises:
        InvalidPhone: it is none that a text message could reach.
    """
    plain = text.strip()
    plain = f"+{plain[2:]}" if plain.startswith("00") else plain
    try:
        number = phonenumbers.parse(plain, None)
    except phonenumbers.NumberParseException as wrong:
        raise InvalidPhone("This is not a telephone number with its country.") from wrong
    if not phonenumbers.is_valid_number(number) or number.extension:
        raise InvalidPhone("There is no such telephone number.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def email_of(text: str) -> str:
    """The stored form of an e-mail address: trimmed and lower case, so that one person is one account."""
    return text.strip().lower()


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
