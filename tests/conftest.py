"""A real PostgreSQL for every run, before Django reads its settings.

With ``DATABASE_URL`` the tests use that server. Without it, a private one lives in a temporary folder for the run;
pytest-xdist's workers share it, each with a database of its own. ``PGBIN`` chooses its version.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import pytest

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


if "PYTEST_XDIST_WORKER" not in os.environ:
    _prepare_environment()


def pytest_configure() -> None:
    """Read the settings: pytest-django, which comes last, sets Django up once they are."""
    from django.conf import settings

    assert settings.DATABASES


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


# What migrations put there, and every test finds.
_KEPT = {"django_migrations", "django_content_type", "auth_permission", "procrastinate_version"}


@pytest.fixture(scope="session", autouse=True)
def _emptied_by_deleting() -> Iterator[None]:
    """A test that commits leaves empty tables behind. Deleting a handful of rows takes milliseconds, where Django's
    flush cuts a hundred files and makes every permission anew.
    """
    from django.db import connection
    from django.test import TransactionTestCase

    tables: list[str] = []

    def empty(self: object) -> None:
        with connection.cursor() as cursor:
            if not tables:
                cursor.execute(
                    "select quote_ident(relname) from pg_class where relkind in ('r', 'p') and not relispartition"
                    " and relnamespace = 'public'::regnamespace"
                )
                tables.extend(name for (name,) in cursor.fetchall() if name not in _KEPT)
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

    parse = operations._read
    known = lru_cache(maxsize=32)(lambda path, content: parse(path))

    def read(path: Path) -> object:
        return known(path, path.read_bytes()) if path.is_file() else parse(path)

    operations._read = read  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]


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
