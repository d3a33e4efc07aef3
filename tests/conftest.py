"""A real PostgreSQL for every run, before Django reads its settings.

With ``DATABASE_URL`` the tests use that server. Without it, a private one lives in a temporary folder for the run;
pytest-xdist's workers share it, each with a database of its own. ``PGBIN`` chooses its version.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

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


def pytest_report_header() -> str:
    """Which server this run proves something about."""
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        return f"PostgreSQL: {connection.info.parameter_status('server_version')}"


def pytest_unconfigure() -> None:
    """The server and its folder go with the run."""
    _run.close()


def _commits(item: pytest.Item, fixtures: list[str]) -> bool:
    marker = item.get_closest_marker("django_db")
    return bool(marker and marker.kwargs.get("transaction")) or not {"transactional_db", "live_server"}.isdisjoint(
        fixtures
    )


@pytest.fixture(scope="session", autouse=True)
def _each_file_is_read_once() -> None:
    """A thousand tests load the same catalogue: a file of the same bytes is parsed once a process, and stored anew."""
    from xuka.catalogue import operations

    parse = operations._read
    known = lru_cache(maxsize=32)(lambda path, content: parse(path))

    def read(path: Path) -> object:
        return known(path, path.read_bytes()) if path.is_file() else parse(path)

    operations._read = read  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """No test leaves a language behind, and none that commits leaves a cached rate limit or a job: Django's flush
    knows only tables it manages.

    The cache table itself is made with the test database, where Django calls ``createcachetable``.
    """
    from django.utils import translation

    yield
    translation.deactivate()
    logging.getLogger("xuka").setLevel(logging.NOTSET)  # the simulation keeps it quiet
    if not _commits(request.node, request.fixturenames):
        return
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE cache, procrastinate_jobs, procrastinate_workers CASCADE")
