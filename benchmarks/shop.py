"""The shop that is measured: customers with money, each with one card that runs for five more days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count, cycle
from pathlib import Path
from uuid import UUID

from django.core.management import call_command
from stdnum import luhn

from benchmarks.notices import POSTING, Notice, signed
from xuka.accounts import operations as accounts
from xuka.catalogue import operations as catalogue
from xuka.catalogue import queries as catalogue_queries
from xuka.catalogue.models import PlanVersion
from xuka.interfaces import clock
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger
from xuka.lines import operations as lines
from xuka.payments.models import Payment
from xuka.renewals import operations as renewals

DATA = Path(__file__).resolve().parents[1] / "data"
PLAN = "be-week-3gb-day"
CURRENCY = {"alipay": "CNY", "wechat_pay": "CNY"}


@dataclass(frozen=True, slots=True)
class Card:
    """One customer and the card, as ids."""

    customer: UUID
    line: UUID
    iccid: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A renewal that is quoted and not yet placed."""

    card: Card
    quote: UUID
    order: UUID


class Shop:
    """Makes cards and quotes outside what is measured. Every card is renewed once: all timelines are equally long."""

    def __init__(self) -> None:
        call_command("setup")
        self._began = clock.now() - timedelta(days=2)
        catalogue.load(DATA, who="seller", now=self._began)
        sold = catalogue_queries.plans_on_sale("BE")
        self.plan: PlanVersion = next(version for version in sold if version.plan_id == PLAN)
        self._staff = accounts.register_user(email="staff@shop.example", language="en", is_staff=True, now=self._began)
        self._numbers: Iterator[int] = count(1)

    def card(self) -> Card:
        """Another customer with a thousand euros and a card whose first week began two days ago."""
        number, began = next(self._numbers), self._began
        user = accounts.register_user(email=f"customer{number}@shop.example", language="zh-hans", now=began)
        ledger.credit_wallet(
            customer=user.id, money=Money(1_000_00, "EUR"), staff=self._staff.id, why="to be spent", id=ids.new(),
            now=began,
        )  # fmt: skip
        stem = f"893200{number:012d}"
        line = lines.add_to_stock(
            iccid=stem + luhn.calc_check_digit(stem), carrier="airalo", claim_code="CODE-0000", plan_version=self.plan,
            who="seller", now=began,
        )  # fmt: skip
        lines.claim(customer=user.id, iccid=line.iccid, code="CODE-0000", now=began)
        lines.open_period(
            line_id=line.id, order_id=ids.new(), ordinal=0, plan_version=self.plan, activated_at=began, funded_at=began,
            carrier_ends_at=None, who="seller", now=began,
        )  # fmt: skip
        return Card(user.id, line.id, line.iccid)

    def wish(self) -> Wish:
        """Another card, with a quote to renew it."""
        card = self.card()
        quote = renewals.quote(line_id=card.line, plan_version_id=self.plan.id, customer=card.customer, now=clock.now())
        return Wish(card, quote.id, ids.new())

    def wishes(self, number: int) -> list[Wish]:
        """So many of them."""
        return [self.wish() for _ in range(number)]

    def notices(self, number: int) -> list[Notice]:
        """So many genuine notices of all providers in turn, each about a payment of its own that is under way."""
        card = self.card()
        now = clock.now()
        rows = [
            Payment(
                id=ids.new(), cause=ids.new(), account_id=ids.new(), customer_id=card.customer, provider=provider,
                is_live=False, method="card", amount_minor=12_90, currency=CURRENCY.get(provider, "EUR"),
                pay_by=now + timedelta(days=1), state="open", asks=1, asked_at=now, absent_at=now,
                next_step_at=now + timedelta(days=1),
            )
            for provider, _ in zip(cycle(POSTING), range(number), strict=False)
        ]  # fmt: skip
        Payment.objects.bulk_create(rows)
        return signed(rows)
