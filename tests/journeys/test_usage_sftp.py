"""Files fetched over SFTP from a real server on this machine: each once, whole, and only from the server we know."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from django.conf import settings as django_settings

from tests.journeys import web_world
from xuka.interfaces.jobs import deliveries as jobs
from xuka.interfaces.jobs import sftp
from xuka.metering.models import Counter, Delivery
from xuka.metering.sources import Sftp

NOW = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)
PASSWORD = "the sender's password"
KEY = asyncssh.generate_private_key("ssh-ed25519")


class _Guard(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("xuka", PASSWORD)


class Server:
    """A sender's server, shut into one folder, in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = self._listener.get_port()

    async def _listen(self) -> Any:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=_Guard, server_host_keys=[KEY],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=os.fsencode(self.folder)),
        )  # fmt: skip

    def close(self) -> None:
        async def close() -> None:
            self._listener.close()
            await self._listener.wait_closed()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def put(self, name: str, content: str, *, age: float = 60) -> Path:
        path = self.folder / "out" / name
        path.write_text(content)
        os.utime(path, (NOW.timestamp() - age,) * 2)
        return path

    def way(self, **change: Any) -> Sftp:
        told = {"host": "127.0.0.1", "port": self.port, "user": "xuka", "password": PASSWORD, "folder": "/out"}
        public = KEY.export_public_key().decode().strip()
        return Sftp.model_validate(told | {"host_key": public} | change)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "there" / "out").mkdir(parents=True)
    server = Server(tmp_path / "there")
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "here"


def fetch(server: Server, folder: Path, *, now: datetime = NOW) -> list[str]:
    return [path.name for path in sftp.fetch(server=server.way(), folder=folder, now=now)]


def here(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_new_files_are_fetched_once_as_they_are(server: Server, folder: Path) -> None:
    server.put("b.csv", "b", age=60)
    server.put("a.ndjson.gz", "a" * 300_000, age=120)
    assert fetch(server, folder) == ["a.ndjson.gz", "b.csv"]
    assert (folder / "a.ndjson.gz").read_text() == "a" * 300_000
    assert int((folder / "b.csv").stat().st_mtime) == NOW.timestamp() - 60
    assert fetch(server, folder) == []
    # Read, and kept under another name because there was one of it already.
    (folder / "done").mkdir()
    (folder / "b.csv").rename(folder / "done" / "b.csv.0123456789ab.2")
    assert fetch(server, folder) == []
    server.put("b.csv", "c", age=30)
    assert fetch(server, folder) == ["b.csv"]
    server.put("b.csv", "d", age=20)
    assert fetch(server, folder) == []  # the one before is not read yet
    assert (folder / "b.csv").read_text() == "c"
    assert sorted(path.name for path in (server.folder / "out").iterdir()) == ["a.ndjson.gz", "b.csv"]


def test_what_is_young_or_is_no_usage_stays_there(server: Server, folder: Path) -> None:
    for name in ("a.csv.part", ".a.csv", "readme.txt"):
        server.put(name, "x")
    server.put("empty.csv", "")
    server.put("young.csv", "x", age=5)
    (server.folder / "out" / "folder.csv").mkdir()
    (server.folder / "out" / "link.csv").symlink_to("readme.txt")
    assert fetch(server, folder) == []
    assert fetch(server, folder, now=NOW + timedelta(seconds=5)) == ["young.csv"]
    assert here(folder) == ["young.csv"]


def test_a_file_that_changes_while_it_is_fetched_waits(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = server.put("a.csv", "half")
    get = asyncssh.SFTPClient.get

    async def get_later(self: Any, *told: Any) -> None:
        path.write_text("half and the other half")
        os.utime(path, (NOW.timestamp() - 30,) * 2)
        await get(self, *told)

    with monkeypatch.context() as patch:
        patch.setattr(asyncssh.SFTPClient, "get", get_later)
        assert fetch(server, folder) == []
    assert here(folder) == []
    (folder / ".a.csv.part").write_text("of one who died")
    assert fetch(server, folder) == ["a.csv"]
    assert (folder / "a.csv").read_text() == "half and the other half"
    assert here(folder) == ["a.csv"]


def test_a_server_that_is_not_the_one_we_know_gets_and_gives_nothing(server: Server, folder: Path) -> None:
    server.put("a.csv", "x")
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    wrong: list[dict[str, Any]] = [{"host_key": stranger}, {"password": "another"}, {"folder": "/nowhere"}, {"port": 1}]
    for change in wrong:
        with pytest.raises(sftp.Unfetched, match=r"xuka@127\.0\.0\.1"):
            sftp.fetch(server=server.way(**change), folder=folder, now=NOW)
    assert here(folder) == []


@pytest.mark.django_db
def test_what_is_fetched_is_counted_and_a_silent_server_keeps_nothing_waiting(
    server: Server, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = web_world.open_shop(now=NOW, seed_card=lambda **card: None)
    way, at = server.way(), "2026-03-02T10:00:00Z"
    table = tmp_path / "sources.toml"
    table.write_text(
        f'[network-two]\nfolder = "{folder}"\n[network-two.sftp]\nhost = "127.0.0.1"\nport = {server.port}\n'
        f'user = "xuka"\npassword = "{PASSWORD}"\nfolder = "/out"\nhost_key = "{way.host_key}"\n'
        f'[network-three]\nfolder = "{folder}3"\n[network-three.sftp]\nhost = "127.0.0.1"\nport = 1\n'
        f'user = "xuka"\npassword = "x"\nhost_key = "{way.host_key}"\n'
    )
    monkeypatch.setattr(django_settings, "USAGE_SOURCES", str(table))
    record = f'{{"record_id": "a", "iccid": "{shop.cards["xiaoyu"].iccid}", "started_at": "{at}", "ended_at": "{at}"'
    server.put("a.ndjson", record + ', "down_bytes": 7}\n')
    for _ in range(2):
        jobs.read_all(now=NOW)
    assert Delivery.objects.get().counted == 1
    assert Counter.objects.get().bytes == 7
    assert here(folder) == ["done/a.ndjson"]
