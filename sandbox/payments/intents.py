"""Intents: a payment that is tried, asked about, captured, or not."""

from __future__ import annotations

from sandbox.payments import objects
from sandbox.payments.errors import Refusal, card_error, invalid
from sandbox.payments.faults import MONEY, Fault
from sandbox.payments.forms import (
    boolean,
    currency,
    enough,
    integer,
    known,
    metadata,
    table,
    web_address,
)
from sandbox.payments.kept import Kept, Thing

ANSWERED = ("customer", "description", "receipt_email", "setup_future_usage", "statement_descriptor_suffix")
CANCELABLE = ("requires_payment_method", "requires_confirmation", "requires_action", "processing")

# Taken and answered; those not named in the functions below change nothing here.
INTENT_PARAMS = frozenset(
    [
        "amount",
        "automatic_payment_methods",
        "capture_method",
        "confirm",
        "confirmation_method",
        "currency",
        "customer",
        "description",
        "error_on_requires_action",
        "excluded_payment_method_types",
        "expand",
        "metadata",
        "off_session",
        "payment_method",
        "payment_method_configuration",
        "payment_method_options",
        "payment_method_types",
        "radar_options",
        "receipt_email",
        "return_url",
        "setup_future_usage",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "use_stripe_sdk",
    ]
)
CONFIRM_PARAMS = frozenset(
    [
        "error_on_requires_action",
        "expand",
        "off_session",
        "payment_method",
        "payment_method_options",
        "receipt_email",
        "return_url",
        "setup_future_usage",
        "use_stripe_sdk",
    ]
)


class Intents(Kept):
    """The part of ``World`` that is about intents and what they are tried with."""

    url: str

    def create_intent(self, sent: Thing, live: bool) -> Thing:
        """A payment; with ``confirm`` it is tried at once with the saved method."""
        known(sent, INTENT_PARAMS)
        with self.step():
            amount, paid_in = integer(sent, "amount"), currency(sent.get("currency"))
            enough(amount, paid_in, session=False)
            self._customer(sent, live)
            automatic = table(sent, "automatic_payment_methods")
            more = {
                "metadata": metadata(sent),
                "automatic_payment_methods": None
                if "payment_method_types" in sent
                else {"enabled": True, "allow_redirects": automatic.get("allow_redirects", "always")},
                **{name: sent[name] for name in ANSWERED if name in sent},
            }
            if "payment_method_types" in sent:
                more["payment_method_types"] = sent["payment_method_types"]
            confirm = boolean(sent, "confirm")
            for name in ("off_session", "return_url", "error_on_requires_action"):
                if name in sent and not confirm:
                    raise invalid(f"You may only specify {name} when `confirm` is `true`.", param=name)
            if sent.get("payment_method"):
                self._usable(sent["payment_method"], sent.get("customer"), live)
                self._of_a_type(sent["payment_method"], sent.get("payment_method_types"))
                more |= {"payment_method": sent["payment_method"], "status": "requires_confirmation"}
            draft = objects.intent("", live=live, created=self.second(), amount=amount, currency=paid_in, **more)
            if confirm:
                self._check_confirm(draft, sent)
            id = self.new_id("pi_3")
            intent = self.put({**draft, "id": id, "client_secret": f"{id}_secret_sandbox"})
            if confirm:
                self._confirm(intent, sent, self.faults.next_for("intent_create", MONEY))
            return objects.shown(intent)

    def confirm_intent(self, id: str, sent: Thing, live: bool) -> Thing:
        """Try it with the saved method."""
        known(sent, CONFIRM_PARAMS)
        with self.step():
            intent = self.one("payment_intent", id, live)
            if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
                raise invalid(
                    f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}.",
                    code="payment_intent_unexpected_state",
                    payment_intent=objects.shown(intent),
                )
            if sent.get("payment_method"):
                self._usable(sent["payment_method"], intent["customer"], live)
                intent["payment_method"] = sent["payment_method"]
            self._check_confirm(intent, sent)
            self._confirm(intent, sent, self.faults.next_for("intent_confirm", MONEY))
            return objects.shown(intent)

    def _check_confirm(self, intent: Thing, sent: Thing) -> None:
        if intent["payment_method"] is None:
            raise invalid(
                "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update "
                "the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with "
                "a payment method or ConfirmationToken.",
                code="payment_intent_unexpected_state",
            )
        web_address(sent, "return_url", required=False)
        automatic = intent["automatic_payment_methods"]
        if automatic and automatic["allow_redirects"] == "always" and not sent.get("return_url"):
            raise invalid(
                "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some "
                "of these payment methods might redirect your customer off of your page, you must provide a "
                "`return_url`. If you don't want to accept redirect-based payment methods, set "
                "`automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to "
                "`never` when creating Setup Intents and Payment Intents.",
                param="return_url",
            )

    def _confirm(self, intent: Thing, sent: Thing, fault: Fault | None) -> None:
        method = self.one("payment_method", intent["payment_method"])
        kind = fault.kind if fault else ""
        alone = boolean(sent, "off_session") or boolean(sent, "error_on_requires_action")
        if kind == "decline_saved" or (kind == "saved_needs_3ds" and alone):
            no = "card_declined" if method["type"] == "card" else "payment_method_provider_decline"
            code = no if kind == "decline_saved" else "authentication_required"
            self._fail(intent, method, code)
            raise Refusal(402, kept=True, payment_intent=objects.shown(intent), **intent["last_payment_error"])
        if kind == "saved_needs_3ds":
            self._needs_action(intent, method, sent.get("return_url"))
        else:
            self._capture(intent, method, fault)

    def _customer(self, sent: Thing, live: bool) -> None:
        if sent.get("customer") and sent.get("customer_email"):
            raise invalid("You may only specify one of these parameters: customer, customer_email.")
        if sent.get("customer"):
            self.one("customer", sent["customer"], live, param="customer")

    def _usable(self, method_id: str, customer: str | None, live: bool) -> None:
        method = self.one("payment_method", method_id, live, param="payment_method")
        if method["customer"] is None:
            raise invalid(
                "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, "
                "shared with a connected account without Customer attachment, or was detached from a Customer. It may "
                "not be used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
                param="payment_method",
            )
        if method["customer"] != customer:
            raise invalid(
                f"The customer does not have a payment method with the ID {method_id}. The payment method must be "
                "attached to the customer."
                if customer
                else f"The PaymentMethod {method_id} belongs to a Customer. Please include the Customer in the "
                "`customer` parameter on the PaymentIntent.",
                param="payment_method",
                code="resource_missing" if customer else None,
            )

    def _of_a_type(self, method_id: str, types: list[str] | None) -> None:
        kind = self.one("payment_method", method_id)["type"]
        if types is not None and kind not in types:
            raise invalid(
                f"The PaymentMethod provided ({kind}) is not allowed for this PaymentIntent. Please attempt to confirm "
                f"again with one of the following allowed types: {', '.join(types)}.",
                param="payment_method_types",
            )

    def cancel_intent(self, id: str, sent: Thing, live: bool) -> Thing:
        """Nothing will be captured any more."""
        known(sent, ("cancellation_reason", "expand"))
        with self.step():
            intent = self.one("payment_intent", id, live)
            if intent["status"] not in CANCELABLE:
                raise invalid(
                    f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a "
                    "PaymentIntent with one of the following statuses may be canceled: requires_payment_method, "
                    "requires_capture, requires_confirmation, requires_action, processing.",
                    code="payment_intent_unexpected_state",
                    payment_intent=objects.shown(intent),
                )
            if "_session" in intent and self.one("checkout.session", intent["_session"])["status"] == "open":
                raise invalid(
                    "You cannot cancel a PaymentIntent that was created by a Checkout Session. Expire the Session.",
                    code="payment_intent_unexpected_state",
                    payment_intent=objects.shown(intent),
                )
            self._cancel(intent, sent.get("cancellation_reason"))
            return objects.shown(intent)

    def _cancel(self, intent: Thing, reason: str | None) -> None:
        intent.update(status="canceled", canceled_at=self.second(), cancellation_reason=reason, next_action=None)
        self.emit("payment_intent.canceled", intent)

    def _capture(self, intent: Thing, method: Thing, fault: Fault | None) -> None:
        """The money is ours; what the session and the saved method learn of it follows."""
        kind = fault.kind if fault else ""
        if kind == "wrong_currency":
            intent["currency"] = "usd" if intent["currency"] != "usd" else "eur"
        captured = intent["amount"] - (max(1, intent["amount"] // 10) if kind == "wrong_amount" else 0)
        session = self.one("checkout.session", intent["_session"]) if "_session" in intent else None
        self._keep_method(intent, method, session)
        charge = objects.charge(
            self.new_id("ch_3"),
            intent=intent,
            method=method,
            created=self.second(),
            amount_captured=captured,
            captured=True,
            paid=True,
            status="succeeded",
        )
        self.put(charge)
        self._balance(charge, "charge" if method["type"] == "card" else "payment", captured, fee=captured // 50)
        intent.update(
            status="succeeded",
            amount_received=captured,
            latest_charge=charge["id"],
            payment_method=method["id"],
            last_payment_error=None,
            next_action=None,
        )
        self.emit("payment_intent.succeeded", intent)
        if session:
            late = session["status"] == "complete"
            session.update(status="complete", payment_status="paid", url=None)
            session["customer_details"] = {"email": session["customer_email"], "name": None, "phone": None}
            self.emit("checkout.session.async_payment_succeeded" if late else "checkout.session.completed", session)

    def _balance(self, source: Thing, kind: str, amount: int, *, fee: int = 0) -> None:
        row = objects.balance_transaction(self.new_id("txn_3"), source=source, kind=kind, amount=amount, fee=fee)
        self.put({**row, "created": self.second()})

    def _keep_method(self, intent: Thing, method: Thing, session: Thing | None) -> None:
        wanted = intent["setup_future_usage"] is not None
        if session and session["customer"] is None and (wanted or session["customer_creation"] == "always"):
            made = objects.customer(
                self.new_id("cus_", 14),
                live=intent["livemode"],
                created=self.second(),
                email=session["customer_email"],
            )
            session["customer"] = intent["customer"] = self.put(made)["id"]
        if wanted and intent["customer"]:
            method["customer"] = intent["customer"]

    def _fail(self, intent: Thing, method: Thing, code: str) -> None:
        tried = code != "payment_intent_authentication_failure"  # refused before the bank saw a charge
        charge = objects.charge(self.new_id("ch_3"), intent=intent, method=method, created=self.second())
        error = card_error(code, objects.shown(method), charge["id"] if tried else None)
        if tried:
            charge.update(failure_code=code, failure_message=error["message"])
            intent["latest_charge"] = self.put(charge)["id"]
        intent.update(status="requires_payment_method", payment_method=None, last_payment_error=error, next_action=None)
        self.emit("payment_intent.payment_failed", intent)

    def _needs_action(self, intent: Thing, method: Thing, return_url: str | None) -> None:
        asked = {"url": f"{self.url}/3ds/{intent['id']}", "return_url": return_url}
        intent.update(
            status="requires_action",
            payment_method=method["id"],
            _method=method["id"],
            _return_url=return_url,
            next_action={"type": "redirect_to_url", "redirect_to_url": asked},
        )
