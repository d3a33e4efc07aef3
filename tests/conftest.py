"""A real PostgreSQL for every run, before Django reads its settings.

With ``DATABASE_URL`` the tests use that server. Without it, a private one lives in a temporary folder for the run;
pytest-xdist's workers share it, each with a database of its own. ``PGBIN`` chooses its version.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from pytest_django.plugin import DjangoDbBlocker

_run = ExitStack()


def _prepare_environment() -> None:
    """What the settings read. Workers inherit it from the process that started them."""
    from xuka.interfaces.cli import translations
    from xuka.project import postgres

    translations.compile_stale()
    var = Path(tempfile.mkdtemp(prefix="xuka-test-"))
    # As root the server's account must be able to enter the folder above its own.
    var.chmod(0o711)
    atexit.register(_run.close)  # also when this goes wrong before pytest has begun
    _run.callback(shutil.rmtree, var, ignore_errors=True)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "xuka.project.settings",
        "XUKA_TESTING": "1",
        "XUKA_VAR": str(var),
        "XUKA_SECRET_KEY": "a key for tests only",
    }
    os.environ.pop("XUKA_DEMO", None)
    if "DATABASE_URL" not in os.environ:
        os.environ["DATABASE_URL"] = _run.enter_context(postgres.running(var / "postgres", settings=postgres.THROWAWAY))
    _run.callback(lambda: _drop_migrated())


if "PYTEST_XDIST_WORKER" not in os.environ:
    _prepare_environment()


def pytest_configure() -> None:
    """Read the settings: pytest-django, which comes last, sets Django up once they are.

    Hypothesis tries the same examples every time, so that a change is judged by itself; ``make soak`` tries others.
    """
    import hypothesis
    from django.conf import settings
    from hypothesis import HealthCheck

    assert settings.DATABASES
    hypothesis.settings.register_profile(
        "xuka",
        derandomize="XUKA_SEEDS" not in os.environ,
        database=None,
        deadline=None,
        # How long it takes depends on the machine. Fixtures that are left as they were may serve many examples.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    hypothesis.settings.load_profile("xuka")


def pytest_collection_finish() -> None:
    """What was imported stays: the collector need not look through it again and again, which takes a tenth of a run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def pytest_report_header() -> str:
    """Which server this run proves something about."""
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        return f"PostgreSQL: {connection.info.parameter_status('server_version')}"


def pytest_unconfigure() -> None:
    """The server and its folder go with the run."""
    _run.close()


_MIGRATED = "xuka_migrated"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, django_db_blocker: DjangoDbBlocker
) -> None:
    """Migrated once a run: every worker's database is a copy of that one."""
    from django.db import connection

    with (Path(os.environ["XUKA_VAR"]) / "migrated").open("a+") as mark, django_db_blocker.unblock():
        fcntl.flock(mark, fcntl.LOCK_EX)  # the first worker migrates, the others wait for it
        mark.seek(0)
        if not mark.read():
            _drop_migrated(then="create database")
            url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{_MIGRATED}").geturl()
            command = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
            subprocess.run(command, env=os.environ | {"DATABASE_URL": url}, check=True)
            mark.write("done")
    connection.settings_dict["TEST"]["TEMPLATE"] = _MIGRATED


def _drop_migrated(*, then: str = "") -> None:
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"drop database if exists {_MIGRATED}")
        if then:
            server.execute(f"{then} {_MIGRATED}")


@pytest.fixture(scope="session", autouse=True)
def _emptied_by_deleting() -> Iterator[None]:
    """A test that commits leaves empty tables behind. Deleting a handful of rows takes milliseconds, where Django's
    flush cuts a hundred files and makes every permission anew.
    """
    from django.db import connection
    from django.test import TransactionTestCase

    from tests import kept_rows

    tables: list[str] = []

    def empty(self: object) -> None:
        tables.extend(() if tables else map(connection.ops.quote_name, kept_rows.tables()))
        with connection.cursor() as cursor:
            # In this role neither foreign keys nor our own walls against deleting are heard.
            cursor.execute(
                "begin; set local session_replication_role = replica; "
                + "; ".join(f"delete from {name}" for name in tables)
                + "; commit"
            )

    before, TransactionTestCase._fixture_teardown = TransactionTestCase._fixture_teardown, empty
    yield
    TransactionTestCase._fixture_teardown = before


@pytest.fixture(scope="session", autouse=True)
def _each_file_is_read_once() -> None:
    """A thousand tests load the same catalogue: a file of the same bytes is parsed once a process, and stored anew."""
    from xuka.catalogue import operations

    parse, known = operations._read, {}

    def read(path: Path) -> object:
        content = path.read_bytes() if path.is_file() else None
        if content is None or content not in known:
            known[content] = parse(path)
        return replace(known[content], path=path)

    operations._read = read  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]


@pytest.fixture(scope="session", autouse=True)
def _static_files_are_found_once() -> None:
    """Each test's client has a chain of middleware of its own, and the files are the same for all."""
    from whitenoise.middleware import WhiteNoiseMiddleware

    find, found = WhiteNoiseMiddleware.add_files_from_finders, {}

    def once(noise: WhiteNoiseMiddleware) -> None:
        if not found:
            find(noise)
            found.update(noise.files)
        noise.files.update(found)

    WhiteNoiseMiddleware.add_files_from_finders = once


@pytest.fixture(scope="session", autouse=True)
def _no_provider_keys_are_kept() -> None:
    """They are read once a process: not while some test counts its queries."""
    from xuka.payments import keys, providers

    opened, keys.opened = keys.opened, dict
    try:
        providers._kept()
    finally:
        keys.opened = opened


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """No test leaves a language behind."""
    from django.utils import translation

    yield
    translation.deactivate()
    logging.getLogger("xuka").setLevel(logging.NOTSET)  # the simulation keeps it quiet
