"""Load the catalogue from files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from xuka.catalogue import operations as catalogue
from xuka.interfaces import clock


class Command(BaseCommand):
    help = "Load markets, networks and plans from a file or a folder: all of it, or none with line and reason."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("load").add_argument("path", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        with tqdm(unit="entry", leave=False, disable=None) as bar:
            try:
                loaded = catalogue.load(options["path"], who="seller", now=clock.now(), progress=_on(bar))
            except (catalogue.BadFile, OSError) as error:
                raise CommandError(str(error)) from error
        self.stdout.write(str(loaded))


def _on(bar: tqdm) -> Callable[[int, int], None]:
    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show
