"""Reading the journal."""

from __future__ import annotations

from uuid import UUID

from xuka.journal.models import Fact


def facts_about(subject: UUID) -> list[Fact]:
    """Every fact about this subject, oldest first."""
    return list(Fact.objects.filter(subject=subject).order_by("id"))
