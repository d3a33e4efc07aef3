"""Sessions of the hosted page, and the buyer who stands before it."""

from __future__ import annotations

from sandbox.payments import objects
from sandbox.payments.errors import invalid, missing
from sandbox.payments.faults import MONEY
from sandbox.payments.forms import (
    currency,
    enough,
    integer,
    known,
    metadata,
    table,
    web_address,
)
from sandbox.payments.intents import Intents
from sandbox.payments.kept import Thing

ANSWERED = ("client_reference_id", "customer", "customer_creation", "customer_email", "locale", "submit_type")
SESSION_LIFE = (30 * 60, 24 * 3600)
TYPES = ("card", "alipay", "wechat_pay", "paypal", "paypay", "bancontact", "konbini")
# What they are charged in; a card in anything.
PAID_IN = {"paypal": ("eur",), "bancontact": ("eur",), "paypay": ("jpy",), "konbini": ("jpy",)}

# Taken and answered; those not named in the functions below change nothing here.
SESSION_PARAMS = frozenset(
    [
        "adaptive_pricing",
        "after_expiration",
        "allow_promotion_codes",
        "automatic_tax",
        "billing_address_collection",
        "branding_settings",
        "cancel_url",
        "client_reference_id",
        "consent_collection",
        "currency",
        "custom_fields",
        "custom_text",
        "customer",
        "customer_creation",
        "customer_email",
        "customer_update",
        "excluded_payment_method_types",
        "expand",
        "expires_at",
        "integration_identifier",
        "invoice_creation",
        "line_items",
        "locale",
        "metadata",
        "mode",
        "name_collection",
        "origin_context",
        "payment_intent_data",
        "payment_method_collection",
        "payment_method_configuration",
        "payment_method_data",
        "payment_method_options",
        "payment_method_types",
        "phone_number_collection",
        "saved_payment_method_options",
        "submit_type",
        "success_url",
        "tax_id_collection",
        "ui_mode",
        "wallet_options",
    ]
)


class Checkout(Intents):
    """The part of ``World`` that is about sessions."""

    settle_after: float | None

    def create_session(self, sent: Thing, live: bool) -> Thing:
        """An open session and the address of its page."""
        known(sent, SESSION_PARAMS)
        mode = sent.get("mode")
        if mode != "payment":
            raise missing("mode") if mode is None else invalid("This stand-in knows mode=payment only.", param="mode")
        if sent.get("ui_mode", "hosted_page") not in ("hosted_page", "hosted"):
            raise invalid("This stand-in knows hosted pages only.", param="ui_mode")
        with self.step():
            now = self.second()
            items = self._line_items(sent)
            amount, paid_in = sum(one["amount_total"] for one in items), items[0]["currency"]
            enough(amount, paid_in, session=True)
            self._customer(sent, live)
            more = {
                "cancel_url": web_address(sent, "cancel_url", required=False),
                "success_url": web_address(sent, "success_url", required=True),
                "expires_at": _expires_at(sent, now),
                "metadata": metadata(sent),
                "payment_method_types": _types(sent, paid_in),
                "payment_method_options": table(sent, "payment_method_options"),
                "_intent": _intent_data(sent),
                "_line_items": items,
                **{name: sent[name] for name in ANSWERED if name in sent},
            }
            id = self.new_id("cs_live_" if live else "cs_test_", 58)
            url = f"{self.url}/c/pay/{id}"
            session = objects.session(id, live=live, created=now, url=url, amount=amount, currency=paid_in, **more)
            self._alarm("expire", id, seconds=session["expires_at"] - self.now().timestamp())
            return objects.shown(self.put(session))

    def _line_items(self, sent: Thing) -> list[Thing]:
        asked = sent.get("line_items")
        if not isinstance(asked, list) or not asked:
            raise missing("line_items")
        items = [self._line_item(one, f"line_items[{place}]") for place, one in enumerate(asked)]
        if len({one["currency"] for one in items}) > 1:
            raise invalid("All prices on a Checkout Session must have the same currency.", param="line_items")
        return items

    def _line_item(self, one: Thing, where: str) -> Thing:
        price = one.get("price_data")
        if not isinstance(price, dict):
            raise missing(f"{where}[price_data]")
        name = table(price, "product_data").get("name")
        if not name:
            raise missing(f"{where}[price_data][product_data][name]")
        quantity = integer(one, "quantity", f"{where}[quantity]")
        if quantity < 1:
            raise invalid("Invalid positive integer", param=f"{where}[quantity]", code="parameter_invalid_integer")
        return objects.line_item(
            self.new_id("li_1"),
            name=name,
            unit_amount=integer(price, "unit_amount", f"{where}[price_data][unit_amount]"),
            quantity=quantity,
            currency=currency(price.get("currency"), f"{where}[price_data][currency]"),
        )

    def expire_session(self, id: str, live: bool | None = None) -> Thing:
        """Close an open session; nothing can be paid on its page any more."""
        with self.step():
            session = self.one("checkout.session", id, live)
            if session["status"] != "open":
                raise invalid(
                    'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a '
                    f"status of `{session['status']}`."
                )
            self._expire(session)
            return objects.shown(session)

    def _expire(self, session: Thing) -> None:
        session.update(status="expired", url=None)
        if session["payment_intent"]:
            self._cancel(self.one("payment_intent", session["payment_intent"]), "automatic")
        self.emit("checkout.session.expired", session)

    def update_session(self, id: str, sent: Thing, live: bool) -> Thing:
        """Change its metadata."""
        known(sent, ("metadata", "expand"))
        with self.step():
            session = self.one("checkout.session", id, live)
            session["metadata"] |= metadata(sent)
            return objects.shown(session)

    # -- the buyer, on the page or in a test ------------------------------------------------------------------

    def pay(self, session_id: str, *, wallet: str | None = None) -> Thing:
        """The buyer pays by card, with a ``wallet`` like "apple_pay", or as the session's type says.

        Returns the session.

        A slip is taken to a shop: the money comes when it is told to (``settle_delayed``).

        Raises:
            Refusal: it is no longer open.
        """
        with self.step():
            session, intent, method = self._attempt(session_id, wallet)
            if method["type"] == "konbini":
                self._print_slip(session, intent, method)
                return objects.shown(session)
            self._capture(intent, method, self.faults.next_for("pay", MONEY))
            return objects.shown(session)

    def _print_slip(self, session: Thing, intent: Thing, method: Thing) -> None:
        days = integer(
            session["payment_method_options"].get("konbini", {"expires_after_days": 3}), "expires_after_days"
        )
        slip = {"expires_at": self.second() + days * 86_400, "hosted_voucher_url": f"{self.url}/slip/{session['id']}"}
        action = {"type": "konbini_display_details", "konbini_display_details": slip}
        intent.update(status="requires_action", payment_method=method["id"], _method=method["id"], next_action=action)
        session.update(status="complete", url=None)
        self.emit("checkout.session.completed", session)

    def decline(self, session_id: str) -> Thing:
        """The bank says no; the session stays open."""
        with self.step():
            session, intent, method = self._attempt(session_id)
            self._fail(intent, method, "card_declined")
            return objects.shown(session)

    def ask_3ds(self, session_id: str) -> Thing:
        """The bank wants to ask its customer. Returns the intent, which tells where."""
        with self.step():
            _, intent, method = self._attempt(session_id)
            self._needs_action(intent, method, f"{self.url}/c/pay/{session_id}")
            return objects.shown(intent)

    def answer_3ds(self, intent_id: str, *, approve: bool) -> Thing:
        """The bank's customer answered. Returns the intent.

        Raises:
            Refusal: the bank does not ask any more.
        """
        with self.step():
            intent = self.one("payment_intent", intent_id)
            if intent["status"] != "requires_action":
                raise invalid(f"This PaymentIntent has a status of {intent['status']}; nothing is asked.")
            method = self.one("payment_method", intent["_method"])
            if approve:
                self._capture(intent, method, self.faults.next_for("pay", MONEY))
            else:
                self._fail(intent, method, "payment_intent_authentication_failure")
            return objects.shown(intent)

    def pay_with_3ds(self, session_id: str, approve: bool = True) -> Thing:
        """``ask_3ds`` and ``answer_3ds``. Returns the session."""
        with self.step():
            self.answer_3ds(self.ask_3ds(session_id)["id"], approve=approve)
            return objects.shown(self.one("checkout.session", session_id))

    def delay(self, session_id: str, *, ok: bool = True) -> Thing:
        """The buyer is done, the money comes later; by itself after ``settle_after`` seconds (or fails, if not ok)."""
        with self.step():
            session, intent, method = self._attempt(session_id)
            intent.update(status="processing", payment_method=method["id"], _method=method["id"], next_action=None)
            session.update(status="complete", url=None)
            self.emit("checkout.session.completed", session)
            if self.settle_after is not None:
                self._alarm("arrive" if ok else "fail", session_id, seconds=self.settle_after)
            return objects.shown(session)

    def settle_delayed(self, session_id: str, ok: bool = True) -> Thing:
        """The delayed money arrives, or never will. Calling it again changes nothing."""
        with self.step():
            session = self.one("checkout.session", session_id)
            self._settle(session, ok)
            return objects.shown(session)

    def _settle(self, session: Thing, ok: bool) -> None:
        intent = self.one("payment_intent", session["payment_intent"])
        if intent["status"] not in ("processing", "requires_action"):
            return
        method = self.one("payment_method", intent["_method"])
        if ok:
            self._capture(intent, method, self.faults.next_for("pay", MONEY))
        else:
            self._fail(intent, method, "payment_intent_payment_attempt_failed")
            self.emit("checkout.session.async_payment_failed", session)

    def _attempt(self, session_id: str, wallet: str | None = None) -> tuple[Thing, Thing, Thing]:
        """An open session, its intent and a fresh card."""
        session = self.one("checkout.session", session_id)
        if session["status"] != "open":
            raise invalid(f"This Checkout Session has a status of {session['status']}; nothing can be paid.")
        if session["payment_intent"] is None:
            more = {**session["_intent"], "customer": session["customer"], "_session": session_id}
            intent = objects.intent(
                self.new_id("pi_3"),
                live=session["livemode"],
                created=self.second(),
                amount=session["amount_total"],
                currency=session["currency"],
                **more,
            )
            session["payment_intent"] = self.put(intent)["id"]
        method = self._method(session, wallet)
        method["billing_details"]["email"] = session["customer_email"]
        return session, self.one("payment_intent", session["payment_intent"]), self.put(method)

    def _method(self, session: Thing, wallet: str | None) -> Thing:
        id, live, created = self.new_id("pm_1"), session["livemode"], self.second()
        kind = session["payment_method_types"][0]
        if kind != "card":
            return objects.wallet(id, live=live, created=created, kind=kind)
        return objects.card(id, live=live, created=created, year=self.now().year, wallet=wallet)


def _types(sent: Thing, paid_in: str) -> list[str]:
    """The types that were asked for: this stand-in's page offers the first."""
    types = sent.get("payment_method_types", ["card"])
    for one in types:
        if one not in TYPES:
            raise invalid(f"The payment method type provided: {one} is invalid.", param="payment_method_types")
        if paid_in not in PAID_IN.get(one, (paid_in,)):
            raise invalid(f"The payment method {one} does not support {paid_in}.", param="payment_method_types")
    options = table(sent, "payment_method_options")
    if "wechat_pay" in types and table(options, "wechat_pay").get("client") != "web":
        raise missing("payment_method_options[wechat_pay][client]")
    return list(types)


def _expires_at(sent: Thing, now: int) -> int:
    if "expires_at" not in sent:
        return now + SESSION_LIFE[1]
    wanted, (least, most) = integer(sent, "expires_at"), SESSION_LIFE
    if wanted < now + least:
        raise invalid(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.", param="expires_at"
        )
    if wanted > now + most:
        raise invalid(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.", param="expires_at"
        )
    return wanted


def _intent_data(sent: Thing) -> Thing:
    data = table(sent, "payment_intent_data")
    known(data, ("metadata", "setup_future_usage", "description", "receipt_email", "statement_descriptor_suffix"))
    if data.get("setup_future_usage") not in (None, "on_session", "off_session"):
        raise invalid(
            "Invalid payment_intent_data[setup_future_usage]: must be one of on_session or off_session",
            param="payment_intent_data[setup_future_usage]",
        )
    return {**data, "metadata": metadata(data, "payment_intent_data[metadata]")}
