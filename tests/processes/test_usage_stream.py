"""Usage records over a real NATS JetStream: reader and broker are killed in turn, and every record is counted once."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import nats
import nats.errors
import pytest
from django.core.management import CommandError, call_command
from nats.js.api import StorageType, StreamConfig

from tests.journeys import web_world
from tests.journeys.web_world import Shop
from tests.processes.real_shop import XUKA, House, free_port, wait_until
from xuka.interfaces import clock
from xuka.interfaces.management.commands.usage_stream import fits
from xuka.metering import counting
from xuka.metering.models import Counter, Rejected, Source

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")
BROKER = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or ""
TROUBLE = (nats.errors.Error, OSError, TimeoutError)
MESSAGES, RECORDS = 120, 25
CONFIG = """
listen: 127.0.0.1:{port}
jetstream {{ store_dir: "{folder}/jetstream", sync_interval: always, max_mem: 16MB, max_file: 64MB }}
"""
TABLE = '[network-one]\nsubject = "usage.network-one"\n[network-two]\nsubject = "usage.network-two.>"\n'


async def quietly(error: Exception) -> None:
    """That the broker is away is what these tests are about."""


HASTILY: dict[str, Any] = {
    "connect_timeout": 1, "allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0.1,
    "error_cb": quietly,
}  # fmt: skip


class Broker:
    """A NATS server with what was published kept on disk before it is acknowledged."""

    def __init__(self, house: House, folder: Path) -> None:
        self._house = house
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._config = folder / "nats.conf"
        self._config.write_text(CONFIG.format(port=self.port, folder=folder))

    def start(self) -> None:
        self._house.start("broker", BROKER, "-c", str(self._config))

    def kill(self) -> None:
        self._house.kill("broker")

    def open_stream(self) -> None:
        """The stream that everybody reads, made as docs/how-to/send-usage.md says."""
        config = StreamConfig(name="USAGE", subjects=["usage.>"], storage=StorageType.FILE)

        async def make() -> None:
            async with await nats.connect(self.url, **HASTILY) as client:
                await client.jetstream().add_stream(config)

        wait_until(lambda: succeeded(make()), "the broker is there")

    def publish(self, subject: str, body: bytes, *, id: str, **headers: str) -> None:
        """Until the broker has acknowledged it, however often that takes."""

        async def send() -> None:
            async with await nats.connect(
                self.url, connect_timeout=1, error_cb=quietly, allow_reconnect=False
            ) as client:
                told = {"Nats-Msg-Id": id} | {name.replace("_", "-"): value for name, value in headers.items()}
                await client.jetstream().publish(subject, body, timeout=1, headers=told)

        wait_until(lambda: succeeded(send()), "the broker takes a message")

    def waiting(self) -> int | None:
        """How many messages are not acknowledged by the reader; None when nobody tells."""

        async def ask() -> int:
            async with await nats.connect(
                self.url, connect_timeout=1, error_cb=quietly, allow_reconnect=False
            ) as client:
                info = await client.jetstream().consumer_info("USAGE", "xuka", timeout=1)
                return (info.num_pending or 0) + (info.num_ack_pending or 0)

        with suppress(*TROUBLE):
            return run(ask())
        return None


def run(doing: Coroutine[Any, Any, Any]) -> Any:
    """Run it to its end in a thread of its own: a browser's tests may have left a loop running in this one."""
    with ThreadPoolExecutor(max_workers=1) as alone:
        return alone.submit(asyncio.run, doing).result()


def succeeded(doing: Coroutine[Any, Any, Any]) -> bool:
    with suppress(*TROUBLE):
        run(doing)
        return True
    return False


@pytest.fixture
def shop() -> Shop:
    return web_world.open_shop(now=clock.now(), seed_card=lambda **card: None)


@pytest.fixture
def house(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    (tmp_path / "sources.toml").write_text(TABLE)
    monkeypatch.setenv("XUKA_USAGE_SOURCES", str(tmp_path / "sources.toml"))
    house = House(tmp_path, deadline_seconds=5)
    yield house
    house.close()


@pytest.fixture
def broker(house: House, tmp_path: Path) -> Broker:
    broker = Broker(house, tmp_path)
    broker.start()
    broker.open_stream()
    return broker


def start_reader(house: House, broker: Broker) -> None:
    house.start("reader", *XUKA, "usage-stream", "--server", broker.url, "--messages", "4", "--ack-wait", "2")


def message(shop: Shop, number: int, *, records: int = RECORDS) -> bytes:
    """So many records of one card, each of 100 bytes."""
    at = clock.now() - timedelta(hours=1)
    card = list(shop.cards.values())[number % 3].iccid
    told = {"iccid": card, "started_at": at.isoformat(), "ended_at": at.isoformat(), "down_bytes": 100}
    return b"".join(json.dumps(told | {"record_id": f"{number}-{n}"}).encode() + b"\n" for n in range(records))


def counted(name: str) -> int:
    return sum(Source.objects.filter(name=name).values_list("counted", flat=True))


def used() -> int:
    return sum(Counter.objects.values_list("bytes", flat=True))


def test_reader_and_broker_are_killed_in_turn_and_every_record_is_counted_once(
    shop: Shop, house: House, broker: Broker
) -> None:
    start_reader(house, broker)
    for number in range(MESSAGES):
        broker.publish("usage.network-one", message(shop, number), id=str(number))
        if number in {20, 60, 90}:
            wait_until(lambda: counted("network-one"), "something is counted")
            house.kill("reader")
            start_reader(house, broker)
        if number in {40, 75, 105}:
            broker.kill()
            broker.start()
    wait_until(lambda: broker.waiting() == 0, "everything is acknowledged")
    assert (counted("network-one"), used()) == (MESSAGES * RECORDS, MESSAGES * RECORDS * 100)
    assert Source.objects.get().rejected == 0
    assert counting.recount() == 0


def test_each_message_is_of_one_source_and_bad_lines_are_kept(shop: Shop, house: House, broker: Broker) -> None:
    until = clock.now() - timedelta(minutes=5)
    start_reader(house, broker)
    broker.publish("usage.network-one", message(shop, 1) + b"bad\n", id="1", Xuka_Known_Until=until.isoformat())
    broker.publish("usage.network-two.eu", message(shop, 1, records=2), id="2")
    broker.publish("usage.network-one", message(shop, 2, records=3), id="3", Xuka_Source="network-two")
    broker.publish("usage.network-one", message(shop, 3, records=3), id="4", Xuka_Source="network-three")
    wait_until(lambda: broker.waiting() == 1, "all but the stranger's is acknowledged")
    assert (counted("network-one"), counted("network-two"), used()) == (RECORDS, 5, (RECORDS + 5) * 100)
    assert Source.objects.get(name="network-one").known_until == until
    kept = Rejected.objects.get()
    assert (kept.source.name, kept.batch, kept.place, kept.reason) == (
        "network-one",
        "USAGE 1",
        RECORDS + 1,
        "not_json",
    )
    assert set(Source.objects.values_list("name", flat=True)) == {"network-one", "network-two"}


def test_sigterm_ends_it_cleanly_also_while_nobody_is_there(house: House, broker: Broker, tmp_path: Path) -> None:
    log = tmp_path / "reader.log"
    for is_there in (True, False):
        with log.open("w") as file:
            command = [*XUKA, "usage-stream", "--server", broker.url]
            reader = subprocess.Popen(command, env=house._environment, stdout=file, stderr=file)
        if is_there:
            wait_until(lambda: broker.waiting() is not None, "the reader has made its consumer")
        else:
            wait_until(lambda: "will be looked for again" in log.read_text(), "the reader looks for the broker")
        reader.send_signal(signal.SIGTERM)
        assert reader.wait(20) == 0
        assert log.read_text().endswith("Ended: everything that was counted is acknowledged.\n")
        if is_there:
            broker.kill()


def test_without_a_subject_there_is_nothing_to_read(settings: Any) -> None:
    settings.USAGE_SOURCES = ""
    with pytest.raises(CommandError, match="has a subject"):
        call_command("usage_stream")


@pytest.mark.parametrize(
    ("pattern", "subject", "is_one"),
    [
        ("usage.one", "usage.one", True), ("usage.one", "usage.one.eu", False), ("usage.*", "usage.one", True),
        ("usage.*", "usage", False), ("usage.>", "usage.one.eu", True), ("usage.>", "usage", False),
        ("usage.*.>", "usage.one.eu.be", True), ("usage.*.>", "usage.one", False),
    ],
)  # fmt: skip
def test_a_subject_is_one_of_a_pattern_as_the_broker_sees_it(pattern: str, subject: str, is_one: bool) -> None:
    assert fits(pattern, subject) is is_one
