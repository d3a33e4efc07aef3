"""Look at how usage records come in, read what waits, and prove the counters."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xuka.interfaces import clock
from xuka.interfaces.jobs import deliveries as jobs
from xuka.metering import counting, sources
from xuka.metering.models import Delivery, Source

SHOWN = 20


class Command(BaseCommand):
    help = "Show the senders of usage records and their files, read what waits, or count everything again."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("sources", help="who sends, by which ways, and how much was counted")
        deliveries = verbs.add_parser("deliveries", help="the latest files")
        deliveries.add_argument("--read", action="store_true", help="fetch and read what waits first")
        verbs.add_parser("recount", help="count every kept record again; 1 when a counter differed")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            match options["verb"]:
                case "sources":
                    self._sources()
                case "deliveries":
                    self._deliveries(read=options["read"])
                case "recount":
                    self._recount()
        except sources.InvalidSources as error:
            raise CommandError(str(error)) from None

    def _sources(self) -> None:
        told = {source.name: source for source in Source.objects.all()}
        installed = sources.installed()
        for name in sorted({*told, *installed}):
            self.stdout.write(f"{name}  {_ways(installed.get(name))}  {_figures(told.get(name))}")
        if not told and not installed:
            self.stdout.write("Nobody sends usage records: XUKA_USAGE_SOURCES is empty.")

    def _deliveries(self, *, read: bool) -> None:
        if read:
            jobs.read_all(now=clock.now())
        for file in Delivery.objects.select_related("source").order_by("-id")[:SHOWN]:
            share = 100 * file.read_bytes // max(1, file.size_bytes)
            reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(file.reasons.items()))
            self.stdout.write(
                f"{file.began_at:%Y-%m-%d %H:%M:%S}  {file.source.name}  {file.name}  {file.state} {share} %"
                f"  {file.counted} counted, {file.repeated} repeated, {file.rejected} rejected"
                f"  {reasons or file.error}".rstrip()
            )

    def _recount(self) -> None:
        differing = counting.recount()
        if alone := counting.left_alone():
            self.stdout.write(f"{alone} counters were left alone: the records of their days were dropped.")
        if differing:
            self.stdout.write(f"{differing} counters differed from their records, and are right now.")
            sys.exit(1)
        self.stdout.write("Every counter is the sum of its records.")


def _ways(way: sources.Way | None) -> str:
    if way is None:
        return "not in XUKA_USAGE_SOURCES"
    ways = {"push": way.secret, "files": way.folder, "SFTP": way.sftp, "stream": way.subject}
    return ", ".join(name for name, is_there in ways.items() if is_there) or "no way in"


def _figures(source: Source | None) -> str:
    if source is None or source.heard_at is None:
        return "never heard of"
    return (
        f"{source.counted} counted, {source.repeated} repeated, {source.corrected} corrected,"
        f" {source.rejected} rejected, last {source.heard_at:%Y-%m-%d %H:%M:%S}"
    )
