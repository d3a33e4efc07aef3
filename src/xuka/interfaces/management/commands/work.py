"""The worker: jobs, and everything that is due."""

from __future__ import annotations

import gc
import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from procrastinate.contrib.django import app


class Command(BaseCommand):
    help = "Do the jobs. As many workers may run as you like, on as many machines."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--concurrency", type=int, default=4, help="Jobs at a time.")
        parser.add_argument("--until-idle", action="store_true", help="End when nothing is left to do.")

    def handle(self, *args: Any, **options: Any) -> None:
        settings.VAR.mkdir(parents=True, exist_ok=True)
        (settings.VAR / "worker.pid").write_text(str(os.getpid()))
        # What is there now stays: who looks for garbage need not go through it each time. A third of the time of jobs
        # that make things by the thousand.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        with app.replace_connector(app.connector.get_worker_connector()) as worker:  # type: ignore[attr-defined]
            worker.run_worker(
                concurrency=options["concurrency"],
                wait=not options["until_idle"],
                update_heartbeat_interval=5,
                stalled_worker_timeout=20,
                shutdown_graceful_timeout=30,
            )
