"""Sharing a card's data in a family: its organiser opens a pool, each card's owner agrees, and either can end it.

Who leaves the family is out of its pools with that, at the same moment; see ``models.Draw.ends_at``.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from xuka.accounts import queries as accounts
from xuka.journal import operations as journal
from xuka.lines import operations as lines_operations
from xuka.lines import queries as lines
from xuka.metering import counting, pools, queries
from xuka.metering.models import Draw, Pool

# The words that a card's owner agrees to have a version: it changes with every change of what they mean.
POOL_CONSENT_VERSION = "pool-1"


class CannotShare(Exception):
    """Nothing is shared that was not before; ``code`` says why.

    Codes: "not_yours" (no such card or pool for this customer), "plan" (its plan does not allow it), "not_counted"
    (what is left on it is told by its carrier, not counted here), "draws" (it draws on another's data), "shares" (its
    own is shared), "other_network" (it is of another carrier or market), "full" (as many cards as the plan allows),
    "taken" (it draws on another pool), "ended", "no_consent".
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@transaction.atomic
def open_pool(*, id: UUID, line_id: UUID, customer: UUID, now: datetime) -> Pool:
    """Share the data of a card with the family's cards whose owners will agree. Again, or where it is: no change.

    Raises:
        CannotShare: "not_yours", "plan", "not_counted" or "draws".
    """
    own, line = accounts.membership_of(customer), lines.line_of(customer, line_id)
    if own is None or not own.is_organiser or line is None:
        raise CannotShare("not_yours")
    lines_operations.lock(line_id)
    there = pools.pool_now(line_id)
    if there:
        return there
    if pools.shared_plan(line, lines.entries_of([line], now)[line_id], now) is None:
        raise CannotShare("plan")
    if not queries.is_counted(line_id):
        raise CannotShare("not_counted")
    if pools.draw_now(line_id):
        raise CannotShare("draws")
    # One whose family is over was never closed by anybody.
    Pool.objects.filter(line_id=line_id, closed_at__isnull=True).update(closed_at=now)
    pool = Pool.objects.create(id=id, line=line, membership=own, opened_at=now)
    after = {"pool": str(id), "family": str(own.family_id)}
    journal.record(what="pool.opened", subject=line_id, who=f"customer:{customer}", after=after, now=now)
    return pool


@transaction.atomic
def close_pool(*, pool_id: UUID, customer: UUID, now: datetime) -> None:
    """Share it no more: from now on only its own card uses it. What was used stays counted. Again: changes nothing.

    Raises:
        CannotShare: "not_yours".
    """
    pool = Pool.objects.select_for_update().filter(id=pool_id, line__owner_id=customer).first()
    if pool is None:
        raise CannotShare("not_yours")
    if pool.closed_at is None:
        pool.closed_at = now
        pool.save(update_fields=["closed_at"])
        after = {"pool": str(pool_id)}
        journal.record(what="pool.closed", subject=pool.line_id, who=f"customer:{customer}", after=after, now=now)


def draw(*, id: UUID, pool_id: UUID, line_id: UUID, customer: UUID, words: str, language: str, now: datetime) -> Draw:
    """Let a card use of a pool from now on, as its owner agrees. Where it does already: changes nothing.

    Args:
        words: exactly what was agreed to.
        language: of the words.

    Raises:
        CannotShare: any but "not_counted" and "draws".
    """
    if not words.strip():
        raise CannotShare("no_consent")
    try:
        with transaction.atomic():
            return _draw(id, pool_id, line_id, customer, words, language, now)
    except IntegrityError as wrong:  # it draws on another since this began
        raise CannotShare("taken") from wrong


def _draw(id: UUID, pool_id: UUID, line_id: UUID, customer: UUID, words: str, language: str, now: datetime) -> Draw:
    pool = Pool.objects.select_for_update(of=("self",)).select_related("line", "membership").filter(id=pool_id).first()
    line, own = lines.line_of(customer, line_id), accounts.membership_of(customer)
    if pool is None or line is None or own is None or own.family_id != pool.membership.family_id:
        raise CannotShare("not_yours")
    lines_operations.lock(line_id)
    there = pools.draw_now(line_id)
    if there and there.pool_id == pool_id:
        return there
    _require_open(pool, line, there, now)
    Draw.objects.filter(line_id=line_id, ended_at__isnull=True).update(ended_at=now)  # its family was over
    new = Draw.objects.create(
        id=id, pool=pool, host_id=pool.line_id, line=line, membership=own, began_at=now, consent_words=words,
        consent_version=POOL_CONSENT_VERSION, consent_language=language,
    )  # fmt: skip
    counting.pool([pool.line_id, line_id], now)
    after = {"pool": str(pool_id), "consent": POOL_CONSENT_VERSION}
    journal.record(what="pool.drawn", subject=line_id, who=f"customer:{customer}", after=after, now=now)
    return new


def _require_open(pool: Pool, line: lines.Line, there: Draw | None, now: datetime) -> None:
    if pool.closed_at or pool.membership.left_at:
        raise CannotShare("ended")
    if pool.line_id == line.id or pools.pool_now(line.id):
        raise CannotShare("shares")
    if there:
        raise CannotShare("taken")
    if (line.carrier, line.market_id) != (pool.line.carrier, pool.line.market_id):
        raise CannotShare("other_network")
    plan = pools.shared_plan(pool.line, lines.entries_of([pool.line], now)[pool.line_id], now)
    if plan is None:
        raise CannotShare("plan")
    if len(pools.draws_now([pool.id])) >= plan[1].cards:
        raise CannotShare("full")


@transaction.atomic
def end_draw(*, draw_id: UUID, customer: UUID, now: datetime) -> None:
    """Let a card use of the pool no more: its owner's word, or the pool's. Again: changes nothing.

    Raises:
        CannotShare: "not_yours".
    """
    there = Draw.objects.select_for_update(of=("self",)).select_related("line", "host").filter(id=draw_id).first()
    if there is None or customer not in {there.line.owner_id, there.host.owner_id}:
        raise CannotShare("not_yours")
    if there.ended_at is None:
        there.ended_at = now
        there.save(update_fields=["ended_at"])
        after = {"pool": str(there.pool_id)}
        journal.record(what="pool.left", subject=there.line_id, who=f"customer:{customer}", after=after, now=now)
