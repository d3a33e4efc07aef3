"""What an account may say of itself. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import time, timedelta
from functools import cache
from typing import Literal
from zoneinfo import available_timezones

import phonenumbers

# How many members a family has at most, beside its organiser.
MOST_MEMBERS = 10
# How long an invitation into a family can be accepted.
INVITATION_LASTS = timedelta(days=7)
# The words that a member agrees to have a version: it changes with every change of what they mean.
FAMILY_CONSENT_VERSION = "family-1"

LANGUAGES = ("zh-hans", "zh-hant", "ja", "en", "fr", "nl")

# What may be told, in the three groups that are chosen apart.
Group = Literal["ending", "usage", "renewal"]
GROUPS: tuple[Group, ...] = ("ending", "usage", "renewal")

# "card" is a text message to the card itself, where its carrier sends one.
CHANNELS = ("email", "sms", "card", "webpush", "telegram", "line", "wechat")


@dataclass(frozen=True, slots=True)
class Told:
    """What a customer wants to hear: the channels of each group, and the quiet hours on the customer's clock.

    ``quiet_from`` equal to ``quiet_to`` is never quiet; they may pass midnight.
    """

    ending: frozenset[str] = frozenset({"email"})
    usage: frozenset[str] = frozenset({"email"})
    renewal: frozenset[str] = frozenset({"email"})
    quiet_from: time = time(22)
    quiet_to: time = time(8)
    urgent_at_night: bool = True

    def channels(self, group: Group) -> frozenset[str]:
        """Over which channels this group is told."""
        return {"ending": self.ending, "usage": self.usage, "renewal": self.renewal}[group]


STANDARD = Told()


class UnknownChannel(ValueError):
    """There is no such channel."""


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


def secret_hash(secret: str) -> str:
    """How the secret of an invitation's link is kept. It is long and drawn by lot, so that one round is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()
