"""The reader of the stream: usage records from NATS JetStream, acknowledged once they are counted."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

import nats
import nats.errors
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import close_old_connections, transaction
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from xuka.interfaces import clock
from xuka.metering import counting, intake, mapping, sources

log = logging.getLogger(__name__)

AGAIN_SECONDS = 0.5
# A message of a source that is not set up waits this long; it is neither lost nor counted.
LATER_SECONDS = 60.0
_TROUBLE = (nats.errors.Error, OSError, TimeoutError)


class Command(BaseCommand):
    help = "Count the usage records of a JetStream stream, for ever. Several may run: each message goes to one of them."

    def add_arguments(self, parser: CommandParser) -> None:
        server = os.environ.get("XUKA_NATS_URL", "nats://127.0.0.1:4222")
        parser.add_argument("--server", default=server, help="nats://user:password@host:port; else XUKA_NATS_URL.")
        parser.add_argument("--stream", default="USAGE")
        parser.add_argument("--durable", default="xuka", help="The consumer; readers of one name share the work.")
        parser.add_argument("--messages", type=int, default=64, help="At most so many are counted in one transaction.")
        parser.add_argument(
            "--ack-wait", type=float, default=30, help="Seconds until what a dead reader had comes again."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            subjects = {way.subject: name for name, way in sources.installed().items() if way.subject}
        except sources.InvalidSources as error:
            raise CommandError(str(error)) from None
        if not subjects:
            raise CommandError("No source in XUKA_USAGE_SOURCES has a subject.")
        reader = Reader(subjects, options["stream"], options["durable"], options["messages"], options["ack_wait"])
        asyncio.run(reader.run(options["server"]))
        self.stdout.write("Ended: everything that was counted is acknowledged.")


class Reader:
    """Fetches messages, counts those of one fetch in one transaction, acknowledges them after the commit.

    A message that comes again, because its acknowledgement was lost, counts nothing.
    """

    def __init__(self, subjects: Mapping[str, str], stream: str, durable: str, at_a_time: int, ack_wait: float) -> None:
        self._subjects = subjects
        self._stream = stream
        self._durable = durable
        self._at_a_time = at_a_time
        self._ack_wait = ack_wait
        self._stopping = asyncio.Event()
        # One thread, so one connection to the database.
        self._database = ThreadPoolExecutor(1, "database")

    async def run(self, server: str) -> None:
        """Read until SIGTERM or SIGINT; the batch in hand is ended first."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        while not self._stopping.is_set():
            try:
                await self._read(server)
            except _TROUBLE as error:
                log.warning("The stream is not there, and will be looked for again: %r", error)
                await self._pause()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), AGAIN_SECONDS)

    async def _read(self, server: str) -> None:
        """Read as long as the connection lives; it is made anew by ``run``, so nothing is tried twice in two places."""
        client = await asyncio.wait_for(
            nats.connect(server, name="xuka usage-stream", allow_reconnect=False, connect_timeout=5, error_cb=_told,
                         max_reconnect_attempts=1, reconnect_time_wait=AGAIN_SECONDS), 10
        )  # fmt: skip
        try:
            subscription = await self._subscribe(client)
            while not self._stopping.is_set() and client.is_connected:
                try:
                    messages = await subscription.fetch(self._at_a_time, timeout=1)
                except (TimeoutError, nats.errors.TimeoutError):
                    continue
                await self._take(messages)
                await client.flush(5)
        finally:
            with suppress(*_TROUBLE):
                await client.close()

    async def _subscribe(self, client: Client) -> Any:
        """The durable consumer of this name, made where it is missing and brought up to date where it differs."""
        js = client.jetstream()
        config = ConsumerConfig(
            durable_name=self._durable, ack_policy=AckPolicy.EXPLICIT, ack_wait=self._ack_wait,
            max_ack_pending=16 * self._at_a_time, filter_subjects=sorted(self._subjects),
        )  # fmt: skip
        await js.add_consumer(self._stream, config)
        return await js.pull_subscribe_bind(self._durable, self._stream)

    async def _take(self, messages: Sequence[Msg]) -> None:
        of_source = [(message, self._source(message)) for message in messages]
        known = [(message, name) for message, name in of_source if name is not None]
        try:
            await asyncio.get_running_loop().run_in_executor(self._database, _count, known, clock.now())
        except Exception:
            # Unacknowledged, they come again: to us or to another, once the database is there.
            log.exception("%s messages could not be counted; they come again", len(known))
            for message, _ in known:
                await message.nak(delay=AGAIN_SECONDS)
            await self._pause()
            return
        for message, name in of_source:
            if name is None:
                log.error("A message on %s is of no source in XUKA_USAGE_SOURCES; it waits", message.subject)
                await message.nak(delay=LATER_SECONDS)
            else:
                await message.ack()

    def _source(self, message: Msg) -> str | None:
        """Whose records these are: what the header says, else what the subject stands for."""
        said = (message.headers or {}).get("Xuka-Source")
        if said is not None:
            return said if said in self._subjects.values() else None
        return next((name for pattern, name in self._subjects.items() if fits(pattern, message.subject)), None)


async def _told(error: Exception) -> None:
    log.info("NATS: %r", error)


def fits(pattern: str, subject: str) -> bool:
    """Whether the subject is one of the pattern's: ``*`` stands for one word, ``>`` for all that follow."""
    wanted, words = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        return len(words) >= len(wanted) and fits(".".join(wanted[:-1]), ".".join(words[: len(wanted) - 1]))
    return len(words) == len(wanted) and all(w in {"*", word} for w, word in zip(wanted, words, strict=True))


def _count(messages: Sequence[tuple[Msg, str]], now: datetime) -> None:
    """Count what these messages tell, in one transaction."""
    close_old_connections()
    of_source: dict[str, list[mapping.Told]] = defaultdict(list)
    known_until: dict[str, datetime] = {}
    for message, name in messages:
        place = message.metadata
        of_source[name] += mapping.told_in_ndjson(f"{place.stream} {place.sequence.stream}", message.data)
        with suppress(KeyError, ValueError):
            until = mapping.known_until((message.headers or {})["Xuka-Known-Until"], now)
            known_until[name] = max(until, known_until.get(name, until))
    with transaction.atomic():
        for name in sorted(of_source):
            source, until = counting.source(name), known_until.get(name)
            intake.take(source=source, lines=of_source[name], now=now, known_until=until)
