"""What the product really sends to the database, and the same for other cards, as a script for pgbench."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID, uuid4

from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks.shop import Wish
from xuka.ledger.rules import Leg, house_id, wallet_id

# A note of the time, by the server's clock; the table is made by ``measures``.
MARK = "insert into benchmark_mark values (clock_timestamp());"
_ID = re.compile(r"\b[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\b")


def recorded(act: Callable[[], object]) -> list[str]:
    """Every statement that this sends on this thread's connection, transactions included, with its values."""
    with CaptureQueriesContext(connection) as captured:
        act()
    return [query["sql"] for query in captured.captured_queries]


def commits_in(statements: Iterable[str]) -> int:
    """How often these statements make the database wait for its disk: each COMMIT, each write outside a transaction.

    Reading outside a transaction writes nothing. A SELECT counts as a write if it defers a job.
    """
    commits, inside = 0, False
    for statement in statements:
        word = statement.split(None, 1)[0].upper()
        writes = word in {"INSERT", "UPDATE", "DELETE", "WITH"} or "procrastinate_defer" in statement
        commits += word == "COMMIT" or (writes and not inside)
        inside = word == "BEGIN" or (inside and word not in {"COMMIT", "ROLLBACK"})
    return commits


@dataclass(frozen=True, slots=True)
class Recording:
    """A list of statements whose ids can be exchanged: those of one thing bought become those of another."""

    statements: tuple[str, ...]
    known: dict[str, str]
    shared: frozenset[UUID]

    def for_other(self, known: dict[str, str]) -> list[str]:
        """The same statements about another thing; every id of which nothing is said becomes a fresh one."""
        words = {self.known[name]: value for name, value in known.items()}
        fresh: dict[UUID, UUID] = defaultdict(uuid4)
        fresh |= {id: id for id in self.shared}
        fresh |= {UUID(old): UUID(new) for old, new in words.items() if _ID.fullmatch(old)}

        def other(match: re.Match[str]) -> str:
            id = fresh[UUID(match[0])]
            return str(id) if "-" in match[0] else id.hex

        text = "\0".join(self.statements)
        for old, new in words.items():
            if not _ID.fullmatch(old):
                text = text.replace(old, new)
        return _ID.sub(other, text).split("\0")


def names_of(wish: Wish) -> dict[str, str]:
    """What tells this renewal from others, besides the ids that it makes itself."""
    card = wish.card
    wallet = wallet_id(customer=card.customer, currency="EUR")
    return {
        "customer": str(card.customer), "line": str(card.line), "wallet": str(wallet), "iccid": card.iccid,
        "quote": str(wish.quote), "order": str(wish.order),
    }  # fmt: skip


def of_renewal(wish: Wish, plan: UUID, renew: Callable[[Wish], object]) -> Recording:
    """Renew once and keep what was sent."""
    shared = frozenset({plan, *(house_id(kind, "EUR") for kind in ("revenue", "tax", "staff_credit"))})
    return Recording(tuple(recorded(lambda: renew(wish))), names_of(wish), shared)


def of_transfer(leg: Leg, post: Callable[[Leg], object]) -> Recording:
    """Post one transfer and keep what was sent."""
    return Recording(tuple(recorded(lambda: post(leg))), {"wallet": str(leg.credit)}, frozenset({leg.debit}))


def script(of_client: list[list[list[str]]], *, warm: int) -> str:
    """A pgbench script in which each client works off its own list, once, and notes when its measured part began.

    Args:
        warm: how many at the head of each list are not measured: a fresh connection knows no table yet.
    """
    lines: list[str] = []
    for client, things in enumerate(of_client):
        lines.append(f"\\if :client_id = {client}")
        for number, sent in enumerate(things):
            lines += [MARK] if number == warm else []
            lines += [" ".join(statement.split()) + ";" for statement in sent]
        lines += [MARK, "\\endif"]
    return "\n".join(lines) + "\n"
