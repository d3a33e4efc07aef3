"""SMPP 3.4 in words of ours: a text in parts, and what a status means. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from xuka.kernel.outcome import Done, Outcome, Refused, Unknown

AGAIN_AFTER = timedelta(minutes=1)
"""How long to wait after "later"; nothing in the protocol tells."""

# Why a text was not taken.
REFUSED = "refused"
LATER = "later"
UNREACHABLE = "unreachable"
BAD_ADDRESS = "bad_address"
NOT_AUTHORISED = "not_authorised"

# data_coding (SMPP 3.4 §5.2.19) and the esm_class of a part with a user data header (§5.2.12).
GSM_7, UCS_2 = 0x00, 0x08
PLAIN, WITH_HEADER = 0x00, 0x40

# GSM 03.38 §6.2.1: the basic alphabet, and what follows an escape. On this wire a septet takes an octet.
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = {"^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F, "[": 0x3C, "~": 0x3D, "]": 0x3E, "|": 0x40, "€": 0x65}
_ESCAPE = 0x1B
_GSM = {char: bytes([at]) for at, char in enumerate(_BASIC) if char != "\x1b"} | {
    char: bytes([_ESCAPE, at]) for char, at in _EXTENDED.items()
}

# Octets on this wire: of a text alone, and of one part beside its header.
_ROOM = {GSM_7: (160, 153), UCS_2: (140, 134)}
MOST_PARTS = 255

_THROTTLED, _QUEUE_FULL, _SUBMIT_FAILED = 0x58, 0x14, 0x45
_BAD_NUMBERS = {0x0B, 0x50, 0x51}
_BAD_SENDERS = {0x0A, 0x48, 0x49}
_BAD_MESSAGES = {0x01, 0x02, 0x03, 0x43, 0x61, 0x62}


class TooLong(ValueError):
    """The text needs more parts than a phone can put together."""


class Part(NamedTuple):
    """One submit_sm's worth of text."""

    data_coding: int
    esm_class: int
    octets: bytes


def parts_of(text: str, *, reference: int) -> tuple[Part, ...]:
    """The text in parts, in order; one without a header where it fits.

    Args:
        reference: 0 to 255; the same for every part, by which the phone knows that they belong together.

    Raises:
        TooLong: 255 parts are not enough.
    """
    coding = GSM_7 if all(char in _GSM for char in text) else UCS_2
    characters = [_GSM[c] if coding == GSM_7 else c.encode("utf-16-be", "replace") for c in text]
    alone, room = _ROOM[coding]
    if sum(map(len, characters)) <= alone:
        return (Part(coding, PLAIN, b"".join(characters)),)
    pieces = list(_filled(characters, room))
    if len(pieces) > MOST_PARTS:
        raise TooLong(f"The text needs {len(pieces)} parts.")
    header = bytes([0x05, 0x00, 0x03, reference, len(pieces)])
    return tuple(Part(coding, WITH_HEADER, header + bytes([n]) + piece) for n, piece in enumerate(pieces, start=1))


def _filled(characters: list[bytes], room: int) -> Iterator[bytes]:
    """Full pieces; neither an escape nor a surrogate pair is torn apart."""
    piece = b""
    for character in characters:
        if len(piece) + len(character) > room:
            yield piece
            piece = b""
        piece += character
    yield piece


def submitted(status: int, message_id: str) -> Outcome[str]:
    """What the answer to a submit_sm means (SMPP 3.4 §5.1.3)."""
    detail = f"status {status:#06x}"
    if status == 0:
        return Done(message_id)
    if status in {_THROTTLED, _QUEUE_FULL, _SUBMIT_FAILED}:
        return Refused(LATER, AGAIN_AFTER, detail)
    if status in _BAD_NUMBERS:
        return Refused(BAD_ADDRESS, None, detail)
    if status in _BAD_SENDERS:
        # The seller's setting is wrong, not the text: it goes out once that is put right.
        return Refused(NOT_AUTHORISED, AGAIN_AFTER, detail)
    if status in _BAD_MESSAGES:
        return Refused(REFUSED, None, detail)
    return Unknown(detail)


def not_bound(status: int) -> Refused:
    """The centre did not let us in: nothing was sent."""
    wrong = {0x0D, 0x0E, 0x0F}
    return Refused(NOT_AUTHORISED if status in wrong else LATER, AGAIN_AFTER, f"status {status:#06x}")


def number_of(address: str) -> str | None:
    """The digits of an E.164 number; None for text that is none."""
    digits = address.removeprefix("+")
    return digits if address != digits and digits.isascii() and digits.isdigit() and 5 <= len(digits) <= 15 else None
