"""Keep exchange rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from xuka.interfaces import clock
from xuka.renewals import rates


class Command(BaseCommand):
    help = "Keep the European Central Bank's rates of a file; without one, those that came with the shop."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("load").add_argument("path", type=Path, nargs="?")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            kept = rates.load(now=clock.now(), file=options["path"])
        except (OSError, ValueError) as error:
            raise CommandError(f"{options['path']} is not a file of rates: {error}") from error
        self.stdout.write(f"{kept} rates are kept.")
