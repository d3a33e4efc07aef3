"""A fact and the jobs that follow from it are one: in a worker's jobs too."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import connection, transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from xuka.journal import operations as journal
from xuka.journal.models import Fact

NOW = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("many", [False, True], ids=["one fact", "many facts"])
def test_what_a_workers_job_takes_back_leaves_no_job_behind(many: bool) -> None:
    line = uuid4()
    # As ``xuka work`` does it: meanwhile the app speaks over the worker's own connections.
    with app.replace_connector(app.connector.get_worker_connector()), transaction.atomic():  # type: ignore[attr-defined]
        if many:
            journal.record_many([journal.News("period.opened", line, "clock")] * 2, now=NOW)
        else:
            journal.record(what="period.opened", subject=line, who="clock", now=NOW)
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from procrastinate_jobs where args ->> 'subject' = %s", [str(line)])
            assert cursor.fetchone() != (0,)
        transaction.set_rollback(True)
    assert Fact.objects.count() == 0
    assert ProcrastinateJob.objects.count() == 0
