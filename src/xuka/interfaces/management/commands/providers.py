"""Keys of payment providers."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from xuka.interfaces import clock
from xuka.payments import keys


class Command(BaseCommand):
    help = "Keep a payment provider's keys, sealed; list whose are kept; stop using one."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list")
        keep = verbs.add_parser("keep", help="its options are read from standard input, as JSON")
        keep.add_argument("name", help="how the shop calls it: its webhooks go to /webhooks/<name>/")
        keep.add_argument("connector", choices=sorted(settings.PROVIDER_CONNECTORS))
        verbs.add_parser("off").add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "keep":
                self._keep(options["name"], options["connector"])
            case "off":
                self._off(options["name"])
            case _:
                for name, connector, is_on in keys.kept():
                    self.stdout.write(f"{name}  {connector}  {'in use' if is_on else 'off'}")

    def _keep(self, name: str, connector: str) -> None:
        try:
            told = json.load(sys.stdin)
        except ValueError:
            raise CommandError("What came in is no JSON.") from None
        if not isinstance(told, dict):
            raise CommandError("What came in is no JSON object.")
        try:
            keys.keep(name=name, connector=connector, options=told, who="operator", now=clock.now())
        except keys.CannotKeep as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{name} is kept; web and workers use it once they are started again.")

    def _off(self, name: str) -> None:
        try:
            keys.switch_off(name=name, who="operator", now=clock.now())
        except keys.CannotKeep as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{name} is off once web and workers are started again.")
