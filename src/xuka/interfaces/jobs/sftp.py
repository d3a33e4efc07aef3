"""Fetch a sender's new files over SFTP into the source's folder, where they are read as any other."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import asyncssh
from asyncssh.constants import FILEXFER_TYPE_REGULAR

from xuka.metering import deliveries
from xuka.metering.sources import Sftp

PATIENCE_SECONDS = 20  # to connect and to sign in


class Unfetched(Exception):
    """The server was not reached, did not show the key that is written down, or did not let us in."""


class Remote(NamedTuple):
    """A file as the server lists it; one that changes in any of the three is another file."""

    name: str
    size: int
    changed: int


def fetch(*, server: Sftp, folder: Path, now: datetime) -> list[Path]:
    """Fetch every file that is not here yet, and was not here before. Again: fetches nothing more.

    What was fetched is remembered by the files themselves, in the folder and below it: where ``done`` was emptied they
    are fetched again, known by their content, and count nothing. Nothing is changed or deleted on the server.

    Raises:
        Unfetched: something of it failed; what was fetched before that is whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return asyncio.run(_fetch(server, folder, now))
    except (OSError, TimeoutError, asyncssh.Error) as error:
        raise Unfetched(f"{server.user}@{server.host}:{server.port}: {error or type(error).__name__}") from error


async def _fetch(server: Sftp, folder: Path, now: datetime) -> list[Path]:
    fetched: list[Path] = []
    async with await _connect(server) as there, there.start_sftp_client() as client:
        known = set(_known(folder))
        for remote in await _listed(client, server.folder, now):
            path = folder / remote.name
            # One of this name that still waits to be read is read first.
            if remote in known or path.exists():
                continue
            if await _get(client, f"{server.folder}/{remote.name}", remote, path):
                fetched.append(path)
    return fetched


async def _connect(server: Sftp) -> asyncssh.SSHClientConnection:
    """Only the key that is written down is believed; nothing of the user's own configuration, keys or agent is used."""
    return await asyncssh.connect(
        server.host,
        server.port,
        username=server.user,
        password=server.password,
        client_keys=[str(server.key_file)] if server.key_file else None,
        known_hosts=([asyncssh.import_public_key(server.host_key)], [], []),
        agent_path=None,
        config=None,
        connect_timeout=PATIENCE_SECONDS,
        login_timeout=PATIENCE_SECONDS,
        keepalive_interval=PATIENCE_SECONDS,
    )


async def _listed(client: asyncssh.SFTPClient, folder: str, now: datetime) -> list[Remote]:
    """The files there that could be usage, the one changed first first. Names are the server's and may be anything."""
    found: list[Remote] = []
    async for entry in client.scandir(folder):
        name, told = str(entry.filename), entry.attrs
        if told.type != FILEXFER_TYPE_REGULAR or told.size is None or told.mtime is None:
            continue
        is_quiet = not 0 <= now.timestamp() - told.mtime < deliveries.QUIET.total_seconds()
        if is_quiet and told.size and deliveries.is_named_as_usage(name):
            found.append(Remote(name, told.size, int(told.mtime)))
    return sorted(found, key=lambda remote: (remote.changed, remote.name))


def _known(folder: Path) -> Iterator[Remote]:
    """Every file that is here, or was read; one whose name was taken has a part of its digest behind it."""
    for path in (path for place in (folder, folder / "done", folder / "rejected") for path in place.glob("*")):
        if path.is_file():
            told = path.stat()
            name = re.sub(r"\.[0-9a-f]{12}(\.[0-9]+)?$", "", path.name)
            yield Remote(name, told.st_size, int(told.st_mtime))


async def _get(client: asyncssh.SFTPClient, remote_path: str, remote: Remote, path: Path) -> bool:
    """Fetch one file under a name that nobody reads, then give it its own; False when it changed meanwhile."""
    draft = path.with_name(f".{path.name}.part")
    draft.unlink(missing_ok=True)
    await client.get(remote_path, str(draft))
    if draft.stat().st_size != remote.size:
        draft.unlink()
        return False
    os.utime(draft, (remote.changed, remote.changed))
    draft.rename(path)
    return True
