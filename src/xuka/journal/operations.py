"""Facts, and the jobs that follow from them, in one transaction."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string
from procrastinate import App
from procrastinate.contrib.django.django_connector import DjangoConnector

from xuka.journal.models import Fact
from xuka.kernel import rows

# Jobs are deferred over the caller's own connection, and so commit with the fact. Not through the app that the worker
# runs: that one speaks over the worker's connections, and a job would begin before what it is about is there.
_jobs = App(connector=DjangoConnector())


def record(
    *,
    what: str,
    subject: UUID,
    who: str,
    now: datetime,
    why: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> int:
    """Store one fact and defer the jobs that ``reactions.py`` names for it, in the caller's transaction.

    Args:
        what: the fact's name, ``thing.happened`` ("order.placed").
        subject: the id that the fact is about; the jobs are given it as ``subject``.
        who: "customer:<uuid>", "staff:<uuid>", "clock", "seller", "carrier:<name>".
        now: aware UTC.

    Returns:
        The fact's number. Calling it again stores a second fact: facts are events, their writers are idempotent.
    """
    assert transaction.get_connection().in_atomic_block, "a fact belongs to the change it tells of"
    fact = Fact.objects.create(what=what, subject=subject, who=who, why=why, before=before, after=after, at=now)
    for job in _reactions().get(what, ()):
        _jobs.configure_task(name=job, allow_unknown=True).defer(subject=str(subject))
    return fact.id


@dataclass(frozen=True, slots=True)
class News:
    """A fact that is about to be stored with others; see ``record`` for what each part is."""

    what: str
    subject: UUID
    who: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


def record_many(news: Sequence[News], *, now: datetime) -> None:
    """Store many facts and defer the jobs that follow from each, in the caller's transaction and in few statements.

    A job that follows more than once about one subject is deferred once.
    """
    assert transaction.get_connection().in_atomic_block, "facts belong to the change they tell of"
    Fact.objects.bulk_create(
        [Fact(what=n.what, subject=n.subject, who=n.who, before=n.before, after=n.after, at=now) for n in news],
        batch_size=2_000,
    )
    wanted: dict[str, dict[str, None]] = defaultdict(dict)
    for one in news:
        for job in _reactions().get(one.what, ()):
            wanted[job][str(one.subject)] = None
    for job, subjects in wanted.items():
        task = _jobs.configure_task(name=job, allow_unknown=True)
        jobs: list[dict[str, Any]] = [{"subject": subject} for subject in subjects]
        task.batch_defer(*jobs)


_COPY = "copy journal_fact (what, subject, who, why, after, at) from stdin"


def note_many(what: str, about: Iterable[tuple[UUID, str]], *, after: dict[str, Any], now: datetime) -> None:
    """Store many facts of one kind in one go and defer nothing: for what is found by its due time anyway.

    Args:
        about: (subject, who) of each; they and ``after`` are as in ``record``.
    """
    assert transaction.get_connection().in_atomic_block, "facts belong to the change they tell of"
    rest = f"\t{rows.escaped(json.dumps(after))}\t{now.isoformat()}\n"
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.write("".join([f"{what}\t{subject.hex}\t{who}\t{rest}" for subject, who in about]))


@cache
def _reactions() -> Mapping[str, tuple[str, ...]]:
    return import_string(settings.REACTIONS)
