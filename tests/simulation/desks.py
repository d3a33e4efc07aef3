"""The payment providers of the simulated world, each a stand-in that fails in its own ways, and people at their pages.

Alipay and WeChat Pay are not among them: they take yuan, and nothing is sold for yuan here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from sandbox.payments.app import application
from sandbox.payments.world import World
from sandbox.transport import InProcess
from sandbox.wallets import line_pay, paypal, paypay
from sandbox.wallets.till import Bill, Fault
from sandbox.wallets.till import Till as Wallet

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

KEY, SECRET = "sk_test_simulated", "whsec_simulated"
CONNECTORS = "xuka.connectors.payments"

# Half of all calls go wrong, in every way the stand-ins know.
_ASKED = (
    ("timeout_before", 0.1), ("timeout_after", 0.12), ("error_before", 0.05), ("error_after", 0.06),
    ("drop_after", 0.06), ("garbage_after", 0.05), ("rate_limited", 0.04),
)  # fmt: skip
_LOOKED = (("timeout_before", 0.12), ("error_before", 0.12), ("garbage_after", 0.12))
_HOOKS = [("*", "duplicated", 0.1), ("*", "reordered", 0.2), ("*", "lost", 0.2), ("*", "forged", 0.05)]
_DARK = [("*", "timeout_before", 0.9)]
_STRIPE = [
    *((f"{of}_create", *fault) for of in ("session", "refund", "intent") for fault in _ASKED),
    *((of, *fault) for of in ("session_get", "session_expire", "session_list", "refund_get", "refund_list")
      for fault in _LOOKED),
    ("refund_create", "refund_pending", 0.1),
    ("refund_create", "refund_fails", 0.05),
    ("pay", "wrong_amount", 0.02),
    ("pay", "wrong_currency", 0.02),
    ("intent_create", "decline_saved", 0.2),
    ("intent_create", "saved_needs_3ds", 0.2),
]  # fmt: skip
_WALLET = [
    *((endpoint, *fault) for endpoint in ("start", "capture", "charge", "refund") for fault in _ASKED),
    *((endpoint, *fault) for endpoint in ("look", "find", "close", "look_refund", "verify") for fault in _LOOKED),
    ("token", "timeout_before", 0.05),
    ("refund", "refund_pending", 0.1),
    ("refund", "refund_refused", 0.05),
    ("capture", "capture_declined", 0.1),
    ("capture", "wrong_amount", 0.02),
    ("capture", "wrong_currency", 0.02),
    ("charge", "decline_saved", 0.2),
    ("charge", "saved_needs_3ds", 0.2),
]


class Desk(Protocol):
    """One provider, and the people on its pages.

    Attributes:
        settings: how the shop is told of its connector.
        methods: what is paid with there, by market; one that is likelier stands there more than once.
    """

    settings: Mapping[str, Any]
    methods: Mapping[str, tuple[str, ...]]

    def fail(self, *, dark: bool) -> None: ...

    def heal(self) -> None: ...

    def open_pages(self) -> dict[str, str]:
        """Where somebody can pay now: our key of each page's payment."""
        ...

    def pay(self, page: str) -> None:
        """Somebody pays, or agrees to pay, on this page."""
        ...

    def act(self, page: str) -> None:
        """Somebody does something on this page."""
        ...

    def bank_decides(self) -> None:
        """Delayed money arrives or does not; so does what is going back."""
        ...

    def send_back(self, reference: str) -> None:
        """A bank sends back a refund that had arrived."""
        ...

    def take_outbox(self) -> list[tuple[bytes, dict[str, str]]]: ...

    def captures(self, key: str) -> int:
        """How often money was taken under our key."""
        ...

    def captured(self, key: str) -> Counter[str]: ...

    def refunded(self, key: str) -> Counter[str]: ...


class Wire(InProcess):
    """The wire to a provider, where other workers meet the same orders and processes die."""

    def __init__(self, shop: Shop, app: Any) -> None:
        super().__init__(app, on_wire=shop.meanwhile)
        self.shop = shop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.shop.begin_call()
        return super().handle_request(request)


class StripeDesk:
    """Cards, kept ones too."""

    methods = {"BE": ("card", "card"), "JP": ("card",), "TW": ("card",)}

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.world = World(now=lambda: shop.now, seed=shop.seed, keys=(KEY,), webhook_secret=SECRET)
        self.settings = {
            "connector": f"{CONNECTORS}.stripe.connector.Stripe",
            "base_url": "http://provider.test",
            "key": KEY,
            "webhook_secret": SECRET,
            "markets": tuple(self.methods),
            "transport": Wire(shop, application(self.world)),
        }

    def fail(self, *, dark: bool) -> None:
        wanted = [*(_DARK if dark else []), *_STRIPE, *_HOOKS]
        self.world.faults.set([{"endpoint": e, "kind": kind, "probability": p, "times": None} for e, kind, p in wanted])

    def heal(self) -> None:
        self.world.faults.set([])

    def open_pages(self) -> dict[str, str]:
        return {one["id"]: one["client_reference_id"] for one in self.world.sessions() if one["status"] == "open"}

    def pay(self, page: str) -> None:
        self.world.pay(page)

    def act(self, page: str) -> None:
        does = self.shop.random.choice(["pay", "pay", "pay", "decline", "3ds", "3ds refused", "delay"])
        self.shop.note(f"on the page: {does}")
        match does:
            case "pay":
                self.world.pay(page)
            case "decline":
                self.world.decline(page)
            case "delay":
                self.world.delay(page)
            case _:
                self.world.pay_with_3ds(page, approve=does == "3ds")

    def bank_decides(self) -> None:
        random = self.shop.random
        for session in self.world.sessions():
            if session["status"] == "complete" and session["payment_status"] == "unpaid" and random.random() < 0.5:
                self.world.settle_delayed(session["id"], ok=random.random() < 0.7)
        for refund in self.world.truth().refunds:
            if refund.status == "pending" and random.random() < 0.5:
                self.world.settle_refund(refund.id)

    def send_back(self, reference: str) -> None:
        self.world.fail_refund(reference)

    def take_outbox(self) -> list[tuple[bytes, dict[str, str]]]:
        return [(one.body, {"stripe-signature": one.signature}) for one in self.world.take_outbox()]

    def captures(self, key: str) -> int:
        return len(self.world.truth(key).captures)

    def captured(self, key: str) -> Counter[str]:
        return _upper(self.world.truth(key).captured)

    def refunded(self, key: str) -> Counter[str]:
        return _upper(self.world.truth(key).refunded)


class WalletDesk:
    """A wallet: people agree in its app, or have too little, or think better of it.

    Args:
        can_fail_refunds: what it took to give back can still fail.
    """

    def __init__(
        self,
        shop: Shop,
        wallet: Wallet,
        app: Callable[[Any], Any],
        methods: Mapping[str, tuple[str, ...]],
        *,
        can_fail_refunds: bool = False,
        **settings: Any,
    ) -> None:
        self.shop, self.wallet, self.methods = shop, wallet, methods
        self.can_fail_refunds = can_fail_refunds
        self.settings = {
            "base_url": "http://wallet.test",
            "transport": Wire(shop, app(wallet)),
            "monotonic": lambda: shop.now.timestamp(),
            **settings,
        }

    def fail(self, *, dark: bool) -> None:
        wanted = [*(_DARK if dark else []), *_WALLET, *_HOOKS]
        self.wallet.waiting = [Fault(kind, e, times=None, probability=p) for e, kind, p in wanted]

    def heal(self) -> None:
        self.wallet.waiting = []

    def open_pages(self) -> dict[str, str]:
        bills = [one for one in self.wallet.bills.values() if self.wallet.current(one).state == "open"]
        return {one.id: one.key for one in bills if one.told.get("has_page", True)}

    def pay(self, page: str) -> None:
        self.wallet.pay(page)

    def act(self, page: str) -> None:
        does = self.shop.random.choice(["pay", "pay", "pay", "pay", "decline", "cancel"])
        self.shop.note(f"in the wallet: {does}")
        getattr(self.wallet, does)(page)

    def bank_decides(self) -> None:
        random = self.shop.random
        pending = [one for bill in self.wallet.bills.values() for one in bill.refunds if one.state == "pending"]
        for refund in pending:
            if random.random() < 0.5:
                ok = not self.can_fail_refunds or random.random() < 0.8
                self.wallet.settle_refund(refund.key, ok=ok)

    def send_back(self, reference: str) -> None:
        """Nobody sends back what a wallet has."""

    def take_outbox(self) -> list[tuple[bytes, dict[str, str]]]:
        told = self.wallet.take_outbox()
        return [(body, {name.lower(): value for name, value in headers.items()}) for body, headers in told]

    def _bills(self, key: str) -> list[Bill]:
        return [bill for bill in self.wallet.bills.values() if bill.key == key and bill.captured]

    def captures(self, key: str) -> int:
        return len(self._bills(key))

    def captured(self, key: str) -> Counter[str]:
        return sum((Counter({one.captured_currency: one.captured}) for one in self._bills(key)), Counter())

    def refunded(self, key: str) -> Counter[str]:
        back: Counter[str] = Counter()
        for bill in self._bills(key):
            back[bill.captured_currency] += sum(one.amount for one in bill.refunds if one.state == "done")
        return +back


def desks(shop: Shop) -> dict[str, Desk]:
    """Every provider of the simulated shop, by name."""
    world: dict[str, Any] = {"now": lambda: shop.now, "seed": shop.seed}
    return {
        "stripe": StripeDesk(shop),
        "paypal": WalletDesk(
            shop, paypal.PayPalTill(**world), paypal.paypal, {"BE": ("paypal",), "JP": ("paypal",), "TW": ("paypal",)},
            can_fail_refunds=True, connector=f"{CONNECTORS}.paypal.connector.PayPal", client_id=paypal.CLIENT,
            client_secret=paypal.SECRET, webhook_id=paypal.WEBHOOK, markets=("BE", "JP", "TW"), now=lambda: shop.now,
            keeps=True,
        ),
        "paypay": WalletDesk(
            shop, paypay.PayPayTill(**world), paypay.paypay, {"JP": ("paypay",)},
            connector=f"{CONNECTORS}.paypay.connector.PayPay", api_key=paypay.KEY, api_secret=paypay.SECRET,
            merchant_id=paypay.MERCHANT,
        ),
        "line_pay": WalletDesk(
            shop, line_pay.LinePayTill(**world), line_pay.line_pay, {"TW": ("line_pay", "line_pay")},
            connector=f"{CONNECTORS}.line_pay.connector.LinePay", channel_id=line_pay.CHANNEL,
            channel_secret=line_pay.SECRET, markets=("TW",),
        ),
    }  # fmt: skip


def _upper(moved: Mapping[str, int]) -> Counter[str]:
    return Counter({unit.upper(): minor for unit, minor in moved.items()})
