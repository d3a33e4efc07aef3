"""What the stand-in provider does with money: sessions, intents, refunds, saved cards. No HTTP here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sandbox.payments import objects
from sandbox.payments.checkout import Checkout
from sandbox.payments.errors import Refusal, invalid
from sandbox.payments.faults import MONEY, Fault
from sandbox.payments.forms import (
    integer,
    known,
    metadata,
    money,
)
from sandbox.payments.kept import Thing


@dataclass(frozen=True, slots=True)
class Moved:
    """Money that really moved, in minor units. ``status`` is the refund's, and "succeeded" for what was captured."""

    id: str
    payment_intent: str
    amount: int
    currency: str
    status: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """All that moved under one of our keys, whatever anybody was told."""

    captures: list[Moved] = field(default_factory=list)
    refunds: list[Moved] = field(default_factory=list)

    @property
    def captured(self) -> dict[str, int]:
        """Minor units by currency."""
        return _by_currency(self.captures)

    @property
    def refunded(self) -> dict[str, int]:
        """Minor units by currency; what is pending or failed has not moved."""
        return _by_currency([one for one in self.refunds if one.status == "succeeded"])


class World(Checkout):
    """One provider.

    Args:
        now: the provider's clock, aware UTC.
        seed: makes ids and chances repeat exactly.
        keys: the secret keys it knows; those with "_live_" see live objects only, the others test objects only.
        webhook_secret: what events are signed with.
        url: where a buyer's browser finds the hosted pages.
        settle_after: seconds after which delayed money arrives by itself; None when it waits to be told.
        keep: a JSON file that holds the state between runs; None for memory only.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        seed: int = 0,
        keys: tuple[str, ...] = ("sk_test_sandbox",),
        webhook_secret: str = "whsec_sandbox",  # noqa: S107 - opens nothing but this stand-in
        url: str = "http://payments.test",
        settle_after: float | None = None,
        keep: Path | None = None,
    ) -> None:
        self.url, self.settle_after = url.rstrip("/"), settle_after
        super().__init__(now=now, seed=seed, keys=keys, secret=webhook_secret, keep=keep)

    def _ring(self, does: str, id: str) -> None:
        match does:
            case "expire":
                session = self.one("checkout.session", id)
                if session["status"] == "open":
                    self._expire(session)
            case "arrive" | "fail":
                self._settle(self.one("checkout.session", id), does == "arrive")
            case "fail_refund":
                self._fail_refund(self.one("refund", id))
            case _:
                super()._ring(does, id)

    # -- refunds ----------------------------------------------------------------------------------------------

    def create_refund(self, sent: Thing, live: bool) -> Thing:
        """Give back all that is left, or ``amount``."""
        known(sent, ("amount", "charge", "payment_intent", "reason", "metadata", "expand"))
        with self.step():
            charge = self._refundable(sent, live)
            left = charge["amount_captured"] - charge["amount_refunded"]
            if left == 0:
                raise _kept(
                    invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
                )
            amount = integer(sent, "amount") if "amount" in sent else left
            if not 1 <= amount <= left:
                raise _kept(_wrong_refund(amount, left, charge))
            reason = sent.get("reason")
            if reason not in (None, "duplicate", "fraudulent", "requested_by_customer"):
                raise invalid("Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer")
            refund = objects.refund(
                self.new_id("re_3"), charge=charge, amount=amount, created=self.second(), reason=reason
            )
            refund |= {"metadata": metadata(sent), "livemode": live}
            self._give_back(self.put(refund), charge, self.faults.next_for("refund_create", MONEY))
            return objects.shown(refund)

    def _refundable(self, sent: Thing, live: bool) -> Thing:
        if sent.get("payment_intent"):
            intent = self.one("payment_intent", sent["payment_intent"], live, param="payment_intent")
            if intent["status"] != "succeeded":
                raise invalid(
                    f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                    param="payment_intent",
                )
            return self.one("charge", intent["latest_charge"])
        if not sent.get("charge"):
            raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
        return self.one("charge", sent["charge"], live, param="charge")

    def _give_back(self, refund: Thing, charge: Thing, fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        if kind == "refund_fails":
            refund.update(status="failed", failure_reason="declined")
            self.emit("refund.created", refund)
            self.emit("refund.failed", refund)
            return
        if kind == "refund_pending":
            refund["status"] = "pending"
        charge["amount_refunded"] += refund["amount"]
        self._balance(refund, "refund", -refund["amount"])
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
        self.emit("refund.created", refund)
        self.emit("charge.refunded", charge)
        if fault and kind == "refund_fails_later" and fault.seconds is not None:
            self._alarm("fail_refund", refund["id"], seconds=fault.seconds)

    def fail_refund(self, refund_id: str) -> Thing:
        """The buyer's bank sends it back. Calling it again changes nothing."""
        with self.step():
            refund = self.one("refund", refund_id)
            self._fail_refund(refund)
            return objects.shown(refund)

    def _fail_refund(self, refund: Thing) -> None:
        if refund["status"] == "failed":
            return
        charge = self.one("charge", refund["charge"])
        charge["amount_refunded"] -= refund["amount"]
        self._balance(refund, "refund_failure", refund["amount"])
        charge["refunded"] = False
        refund.update(status="failed", failure_reason="expired_or_canceled_card")
        self.emit("refund.updated", refund)
        self.emit("refund.failed", refund)

    def settle_refund(self, refund_id: str) -> Thing:
        """A pending refund arrives. Calling it again changes nothing."""
        with self.step():
            refund = self.one("refund", refund_id)
            if refund["status"] == "pending":
                refund["status"] = "succeeded"
                self.emit("refund.updated", refund)
            return objects.shown(refund)

    # -- customers and their cards ----------------------------------------------------------------------------

    def create_customer(self, sent: Thing, live: bool) -> Thing:
        """Somebody whose cards can be kept."""
        kept = ("email", "name", "phone", "description")
        known(sent, (*kept, "address", "metadata", "preferred_locales", "expand"))
        with self.step():
            more = {name: sent[name] for name in (*kept, "address", "preferred_locales") if name in sent}
            made = objects.customer(
                self.new_id("cus_", 14), live=live, created=self.second(), **more, metadata=metadata(sent)
            )
            return objects.shown(self.put(made))

    def detach_method(self, id: str, sent: Thing, live: bool) -> Thing:
        """The card can never be used again."""
        known(sent, ("expand",))
        with self.step():
            method = self.one("payment_method", id, live)
            if method["customer"] is None:
                raise invalid(
                    "The payment method you provided is not attached to a customer so detachment is impossible.",
                    param="payment_method",
                )
            method["customer"] = None
            return objects.shown(method)

    def get(self, kind: str, id: str, live: bool) -> Thing:
        """A copy of the object, or 404."""
        with self.look():
            return objects.shown(self.one(kind, id, live))

    # -- what is true -----------------------------------------------------------------------------------------

    def truth(self, key: str | None = None) -> Truth:
        """Everything really captured and given back for our key; all there is for None.

        A key is looked for in an intent's and a refund's ``metadata["key"]``, and in its session's metadata and
        ``client_reference_id``.
        """
        with self.look():
            ours = {one["id"] for one in self._all("payment_intent") if key is None or key in self._keys_of(one)}
            charges = [one for one in self._all("charge") if one["paid"] and one["payment_intent"] in ours]
            refunds = [
                one for one in self._all("refund") if one["payment_intent"] in ours or one["metadata"].get("key") == key
            ]
            return Truth(
                [_moved(one, one["amount_captured"]) for one in charges],
                [_moved(one, one["amount"]) for one in refunds],
            )

    def _keys_of(self, intent: Thing) -> set[str | None]:
        keys = {intent["metadata"].get("key")}
        if "_session" in intent:
            session = self.one("checkout.session", intent["_session"])
            keys |= {session["client_reference_id"], session["metadata"].get("key")}
        return keys

    def captured_total(self) -> dict[str, int]:
        """Minor units by currency, before refunds."""
        return self.truth().captured

    def refunded_total(self) -> dict[str, int]:
        """Minor units by currency."""
        return self.truth().refunded

    def sessions(self) -> list[Thing]:
        """Every session, newest first."""
        with self.look():
            return [objects.shown(one) for one in reversed(self._all("checkout.session"))]


def _wrong_refund(amount: int, left: int, charge: Thing) -> Refusal:
    if amount < 1:
        return invalid("Invalid positive integer", param="amount", code="parameter_invalid_integer")
    said = money(amount, charge["currency"])
    than = "unrefunded amount on charge" if charge["amount_refunded"] else "charge amount"
    return invalid(f"Refund amount ({said}) is greater than {than} ({money(left, charge['currency'])})", param="amount")


def _kept(refusal: Refusal) -> Refusal:
    refusal.kept = True
    return refusal


def _moved(one: Thing, amount: int) -> Moved:
    return Moved(one["id"], one["payment_intent"], amount, one["currency"], one["status"], one["livemode"])


def _by_currency(moved: list[Moved]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in moved:
        total[one.currency] = total.get(one.currency, 0) + one.amount
    return total
