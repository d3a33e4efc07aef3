"""Look at orders and their money, and move them by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from xuka.activation import queries as activation
from xuka.interfaces import clock
from xuka.interfaces.jobs import tasks
from xuka.journal import queries as journal
from xuka.ledger import queries as ledger
from xuka.payments import queries as payments
from xuka.renewals import queries as renewals


class Command(BaseCommand):
    help = "Show an order with its money, advance it, or list and advance what is due."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("show", help="state, payments, refunds, facts, transfers").add_argument("id", type=UUID)
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
        card = order.line or "to come"
        self.stdout.write(f"{order.id}  {order.state}  {order.total_minor} {order.currency}  card {card}")
        for attempt in activation.attempts_of(order.id):
            self.stdout.write(f"  asked {attempt.carrier} {attempt.asks}x for {attempt.package}: {attempt.state}")
        causes = [order.id]
        for payment in payments.payments_about(order.id):
            causes.append(payment.id)
            asked = f"{payment.amount_minor} {payment.currency} by {payment.method} at {payment.provider}"
            took = f", {payment.paid_minor} {payment.paid_currency} captured" if payment.paid_minor else ""
            self.stdout.write(f"  payment {payment.id}  {payment.state}  {asked}{took}  {payment.reason}".rstrip())
        for refund in payments.refunds_about(order.id):
            causes.append(refund.id)
            money = f"{refund.amount_minor} {refund.currency}"
            self.stdout.write(f"  refund {refund.id}  {refund.state}  {money}  {refund.reason}".rstrip())
        for fact in journal.facts_about(order.id):
            self.stdout.write(f"  {fact.at:%Y-%m-%d %H:%M:%S}  {fact.what}  by {fact.who}  {fact.why}")
        moved = [transfer for cause in causes for transfer in ledger.transfers_of(cause)]
        for transfer in sorted(moved, key=lambda transfer: transfer.at):
            kinds = f"{transfer.debit.kind} -> {transfer.credit.kind}"
            self.stdout.write(f"  {transfer.at:%Y-%m-%d %H:%M:%S}  {transfer.amount} {transfer.unit}  {kinds}")

    def _due(self, *, advance: bool) -> None:
        now = clock.now()
        due: list[tuple[str, UUID, Callable[[str], None]]] = [
            *(("payment", id, tasks.advance_payment) for id in payments.due_payments(now)),
            *(("refund", id, tasks.advance_refund) for id in payments.due_refunds(now)),
            *(("order", id, tasks.advance_order) for id in renewals.due_orders(now)),
        ]
        if not advance:
            self.stdout.write("\n".join(f"{what} {id}" for what, id, _ in due) or "Nothing is due.")
            self._for_a_person()
            return
        for _, id, job in tqdm(due, unit="step", disable=not due):
            job(str(id))
        self.stdout.write(", ".join(f"{_count(due, what)} {what}s" for what in _WHATS) + " advanced.")

    def _for_a_person(self) -> None:
        waiting = payments.waiting_for_a_person()
        told = {
            "payments that differ from what was asked": waiting.mismatched,
            "refunds that failed": waiting.failed_refunds,
            "webhook events about no payment of ours": waiting.unknown_events,
        }
        for what, count in told.items():
            if count:
                self.stdout.write(f"Waiting for a person: {count} {what}.")


_WHATS = ("payment", "refund", "order")


def _count(due: list[tuple[str, UUID, Callable[[str], None]]], what: str) -> int:
    return sum(kind == what for kind, _, _ in due)
