"""Those who own the simulated shop's cards: they let them renew themselves, and change their minds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from uuid import UUID

from xuka.catalogue import queries as catalogue
from xuka.journal import queries as journal
from xuka.kernel.money import Money
from xuka.lines import queries as lines
from xuka.payments import operations as payments
from xuka.payments.models import Payment, SavedMethod
from xuka.renewals import auto as autorenewal
from xuka.renewals import auto_rules, queries
from xuka.renewals.auto_rules import PayWith, Switch
from xuka.renewals.models import AutomaticOrder, AutoRenewal

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

# The most that anybody here lets a card spend by itself in a month, and what it may not spend.
CEILING = {"EUR": 45_00, "JPY": 15_000, "TWD": 1_500_00}
CONSENT = autorenewal.Consent("I agree that this card renews itself.", "en")


class Owners:
    """What they do with automatic renewal, and what must hold of it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def somebody_agrees(self) -> None:
        """A card renews itself from now on, or in another way than before."""
        random, now = self.shop.random, self.shop.now
        line_id, customer, _ = random.choice(self.shop.lines)
        line = lines.line_of(customer, line_id)
        version = queries.plan_to_repeat(line, now) if line else None
        if line is None or version is None:
            return
        price = Money(version.price_minor, version.currency)
        kept = autorenewal.methods_to_charge(line=line, customer=customer, price=price, now=now)
        saved = random.choice(kept) if kept and random.random() < 0.8 else None
        triggers = [one for one in auto_rules.triggers(catalogue.policy(version)) if not one.is_by_use]
        try:
            autorenewal.switch_on(
                line_id=line_id, customer=customer, plan_version_id=version.id, price=price,
                trigger=random.choice(triggers), ceiling=Money(CEILING[price.currency], price.currency),
                pay_with=PayWith.SAVED if saved else PayWith.WALLET, saved_method=saved, consent=CONSENT, now=now,
            )  # fmt: skip
            self.shop.note("renews itself")
            if saved:  # who pays that way mostly has little in their wallet
                self.shop.spend_wallet(customer, price.currency)
        except autorenewal.CannotAutomate as error:
            self.shop.note(error.code)

    def an_end_comes_near(self) -> None:
        """Time passes until the next card is to renew itself."""
        due = AutoRenewal.objects.filter(state=Switch.ON, next_due_at__isnull=False).order_by("next_due_at").first()
        if due is not None and due.next_due_at is not None:
            self.shop.now = max(self.shop.now, due.next_due_at)

    def somebody_switches_off(self) -> None:
        """One card does not renew itself any more."""
        on = AutoRenewal.objects.filter(state=Switch.ON).order_by("id")
        if on:
            self._off(self.shop.random.choice(list(on)))

    def everybody_switches_off(self) -> None:
        """No card does: else time could pass for ever."""
        for one in AutoRenewal.objects.filter(state=Switch.ON).order_by("id"):
            self._off(one)

    def _off(self, auto: AutoRenewal) -> None:
        autorenewal.switch_off(line_id=auto.line_id, customer=auto.customer_id, now=self.shop.now)

    def somebody_forgets(self) -> None:
        """What one of them had kept shall not be kept any more."""
        kept = list(SavedMethod.objects.filter(forgotten_at__isnull=True).order_by("id"))
        if kept:
            one = self.shop.random.choice(kept)
            payments.forget_method(saved_id=one.id, customer=one.customer_id, now=self.shop.now)

    def unfinished(self) -> bool:
        return AutoRenewal.objects.filter(next_due_at__isnull=False).exists()

    # -- what must hold ----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Each end is renewed once at most, while that was agreed to, and with what was agreed to."""
        renewed = Counter(
            (one.auto_id, one.renews_end) for one in AutomaticOrder.objects.filter(order__state="active").order_by("pk")
        )
        for (auto_id, end), times in renewed.items():
            if times > 1:
                self.shop.wrong("an end was renewed twice by itself", (auto_id, end))
        for auto in AutoRenewal.objects.order_by("id"):
            self._check_months(auto)
            self._check_consent(auto.line_id)
        self._check_charges()

    def _check_months(self, auto: AutoRenewal) -> None:
        for one in AutomaticOrder.objects.filter(auto=auto).order_by("pk"):
            month = auto_rules.month_of(one.placed_at, auto.line.zone)
            if queries.charged_in(auto, month) > CEILING[auto.currency]:
                self.shop.wrong("more than the ceiling of a month", one.order_id)

    def _check_consent(self, line_id: UUID) -> None:
        is_on = False
        for fact in journal.facts_about(line_id):
            match fact.what:
                case "autorenewal.switched_on":
                    is_on = True
                case "autorenewal.switched_off" | "autorenewal.paused":
                    is_on = False
                case "autorenewal.ordered" if not is_on:
                    self.shop.wrong("ordered by itself while that was off", line_id)

    def _check_charges(self) -> None:
        forgotten = {one.reference: one.forgotten_at for one in SavedMethod.objects.filter(forgotten_at__isnull=False)}
        alone = list(Payment.objects.filter(off_session=True).order_by("asked_at", "id"))
        for one in alone:
            gone_at = forgotten.get(one.saved_method)
            if gone_at and one.asked_at > gone_at:
                self.shop.wrong("charged after it was forgotten", one.id)
            if not queries.automatic(one.cause):
                self.shop.wrong("charged while nobody was there for an order of a person", one.id)
        for order_id, times in Counter(one.cause for one in alone).items():
            if times > 1:
                self.shop.wrong("an automatic order was charged twice", order_id)

    def seen(self) -> set[str]:
        """How automatic orders ended, and charges while nobody was there."""
        orders = {one.order.state for one in AutomaticOrder.objects.select_related("order")}
        charges = set(Payment.objects.filter(off_session=True).values_list("state", flat=True))
        return {f"{state} by itself" for state in orders} | {f"{state} alone" for state in charges}
