"""Look at orders, and move them by hand."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from xuka.activation import queries as activation
from xuka.interfaces import clock
from xuka.interfaces.jobs import tasks
from xuka.journal import queries as journal
from xuka.ledger import queries as ledger
from xuka.renewals import queries as renewals


class Command(BaseCommand):
    help = "Show an order, advance it, or list and advance what is due."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("show", help="state, facts, transfers").add_argument("id", type=UUID)
        verbs.add_parser("advance", help="as far as it goes").add_argument("id", type=UUID)
        due = verbs.add_parser("due", help="what the sweeper would advance now")
        due.add_argument("--advance", action="store_true", help="do it, with a progress bar")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "show":
                self._show(options["id"])
            case "advance":
                tasks.advance_order(str(self._order(options["id"]).id))
                self._show(options["id"])
            case "due":
                self._due(advance=options["advance"])

    def _order(self, order_id: UUID):
        order = renewals.order(order_id)
        if order is None:
            raise CommandError(f"There is no order {order_id}.")
        return order

    def _show(self, order_id: UUID) -> None:
        order = self._order(order_id)
        self.stdout.write(f"{order.id}  {order.state}  {order.total_minor} {order.currency}  card {order.line}")
        for attempt in activation.attempts_of(order.id):
            self.stdout.write(f"  asked {attempt.carrier} {attempt.asks}x for {attempt.package}: {attempt.state}")
        for fact in journal.facts_about(order.id):
            self.stdout.write(f"  {fact.at:%Y-%m-%d %H:%M:%S}  {fact.what}  by {fact.who}  {fact.why}")
        for transfer in ledger.transfers_of(order.id):
            kinds = f"{transfer.debit.kind} -> {transfer.credit.kind}"
            self.stdout.write(f"  {transfer.at:%Y-%m-%d %H:%M:%S}  {transfer.amount} {transfer.unit}  {kinds}")

    def _due(self, *, advance: bool) -> None:
        due = renewals.due_orders(clock.now())
        if not advance:
            self.stdout.write("\n".join(map(str, due)) or "Nothing is due.")
            return
        for order_id in tqdm(due, unit="order", disable=not due):
            tasks.advance_order(str(order_id))
        self.stdout.write(f"{len(due)} orders advanced.")
