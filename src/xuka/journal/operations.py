"""Facts, and the jobs that follow from them, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string
from procrastinate.contrib.django import app

from xuka.journal.models import Fact


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
        app.configure_task(name=job, allow_unknown=True).defer(subject=str(subject))
    return fact.id


@cache
def _reactions() -> Mapping[str, tuple[str, ...]]:
    return import_string(settings.REACTIONS)
