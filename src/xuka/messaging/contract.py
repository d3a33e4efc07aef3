"""What a message channel must offer. Pure: no Django, no clock, no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

from xuka.kernel.outcome import Outcome


class Attachment(NamedTuple):
    """A file that goes with a letter: its name in any script, its type ("application/pdf"), its bytes."""

    name: str
    mime: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """One message, ready to go.

    Args:
        id: makes the channel's own message id, so that a second sending can be recognised as the same letter.
        to: the address in the channel's form (an e-mail address, an E.164 number).
        language: BCP 47 tag of the text.
        html: the same text for people; may be empty.
        unsubscribe: an https address that ends letters like this one on a POST (RFC 8058); "" where there is none.
    """

    id: UUID
    to: str
    language: str
    subject: str
    text: str
    html: str = ""
    attachments: tuple[Attachment, ...] = ()
    unsubscribe: str = ""


class Channel(Protocol):
    """One way to reach a person."""

    name: str

    def send(self, letter: Letter) -> Outcome[str]:
        """Hand the letter over, in less than ``messaging.rules.LEASE`` in total.

        ``Done(reference)`` once the other side took it; never raises for what the world did.
        """
        ...
