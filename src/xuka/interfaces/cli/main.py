"""The ``xuka`` command. Underneath it is Django's management; without DATABASE_URL it brings its own PostgreSQL."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HELP = """xuka – sells, meters and renews prepaid data cards

  xuka demo                     everything on this machine, with stand-in carriers; prints one link
  xuka setup                    create or upgrade the database
  xuka serve                    the web server
  xuka work                     the worker: jobs, and everything that is due
  xuka catalogue load FILE      markets, networks, plans from a file or a folder
  xuka check-books              prove the ledger
  xuka orders show ID           one order with its facts and transfers
  xuka orders advance ID        move one order as far as it goes
  xuka orders due               what the sweeper would advance now
  xuka plan-reminders           reminders for the cards that have none yet
  xuka metering sources         who sends usage records, and how much was counted
  xuka metering deliveries      the latest files of them; --read reads what waits
  xuka metering recount         count every kept record again
  xuka new provider NAME        files to begin a payment connector with, in a checkout
  xuka usage-stream             count what comes over NATS JetStream, for ever

Any other Django command works too: xuka migrate, xuka createsuperuser, …
Settings come from the environment; see docs/reference/settings.md.
"""


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exits with 1 when there is none of this name, with the command's own status otherwise."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in {"help", "--help", "-h"}:
        print(HELP)
        return
    if given[0] == "new":
        from xuka.interfaces.cli import scaffold

        scaffold.main(given[1:])
        return
    if given[0] == "demo":
        os.environ.setdefault("XUKA_DEMO", "1")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xuka.project.settings")
    command = [given[0].replace("-", "_"), *given[1:]]
    with _database():
        from django.core.management import execute_from_command_line

        execute_from_command_line(["xuka", *command])


@contextmanager
def _database() -> Iterator[None]:
    """The embedded server for as long as the command runs, unless DATABASE_URL names another."""
    if os.environ.get("DATABASE_URL"):
        yield
        return
    from xuka.project import postgres

    home = Path(os.environ.get("XUKA_VAR", Path(__file__).resolve().parents[4] / "var"))
    with postgres.running(home / "postgres") as url:
        os.environ["DATABASE_URL"] = url
        yield


if __name__ == "__main__":
    main()
