"""Reminders for the cards that have none yet."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from xuka.interfaces import clock
from xuka.interfaces.jobs import reminding


class Command(BaseCommand):
    help = "Plan the reminders of cards with an end ahead and nothing planned; the worker does it every night too."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{reminding.plan_missing(now=clock.now()):,} reminders planned")
