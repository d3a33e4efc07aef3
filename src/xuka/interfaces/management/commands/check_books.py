"""Prove the ledger, and that payments agree with it."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from xuka.ledger import queries as ledger
from xuka.payments import queries as payments


class Command(BaseCommand):
    help = "Prove that the books are right. Exits with 1 and a sentence for each fault when they are not."

    def handle(self, *args: Any, **options: Any) -> None:
        faults = [*ledger.check_books(), *payments.check_books()]
        for fault in faults:
            self.stdout.write(fault)
        if faults:
            sys.exit(1)
        for unit, total in ledger.totals():
            self.stdout.write(f"{unit}: {total.transfers} transfers, {total.accounts} accounts, sum {total.sum}")
        self.stdout.write("The books are right.")
