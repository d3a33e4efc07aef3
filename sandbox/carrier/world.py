"""What the stand-in carrier knows: cards, orders, tokens, its clock. No HTTP here."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from sandbox.carrier.faults import Fault, Faults
from sandbox.carrier.packages import Package, packages_on_sale

TOKEN_LIFE = timedelta(hours=24)
USAGE_CACHE = timedelta(minutes=20)

# Documented limits of production: endpoint -> (calls, seconds, what they are counted by).
LIMITS: Mapping[str, tuple[tuple[int, int, str], ...]] = {
    "token": ((3, 60, "client"),),
    "packages": ((80, 60, "client"),),
    "history": ((10, 60, "iccid"),),
    "usage": ((10, 60, "iccid"), (5, 1, "client")),
}

REASONS: Mapping[int, str] = {
    11: "Insufficient Airalo Credit: {more}",
    13: "The requested operator is currently undergoing maintenance. Please try again later.",
    14: "Invalid checksum: {more}",
    23: "The requested top-up has been disabled by the operator. {more}",
    33: "Insufficient stock of eSIMs remaining: {more}. Please try your request again later.",
    34: "The requested eSIM package is invalid or it is currently out of stock. Please try again later.",
    43: "Bad request. {more} Please check your input and try again.",
    53: "Something unexpected happened. We're working to resolve the issue. Please try again later.",
    73: "The eSIM with iccid {more} has been recycled. It can no longer be used or topped up.",
    89: "Your IP address is not permitted to access the Partner API.",
}


class Refusal(Exception):
    """The carrier says no: an HTTP status, a JSON body and headers."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status, self.body, self.headers = status, body, headers or {}


def refusal(code: int, more: str = "") -> Refusal:
    """A business error by the carrier's own number."""
    return Refusal(403 if code == 89 else 422, {"code": code, "reason": REASONS[code].format(more=more)})


def invalid(**fields: str) -> Refusal:
    """A validation error, one sentence a field."""
    return Refusal(422, {"data": fields, "meta": {"message": "the parameter is invalid"}})


NOT_FOUND = {"data": [], "meta": {"message": "messages.resource_not_found"}}


@dataclass(slots=True)
class Bought:
    """A package on a card."""

    id: int
    package: str
    activated_at: str
    expired_at: str


@dataclass(slots=True)
class Card:
    """A SIM as the carrier knows it. ``operator`` decides what can be put on it; ``extra`` are further package ids."""

    iccid: str
    operator: str
    created_at: str
    expires_at: str | None = None
    unlimited: bool = True
    remaining_mb: int = 0
    total_mb: int = 0
    recycled: bool = False
    topup_disabled: bool = False
    matching_id: str = "TEST"
    extra: list[str] = field(default_factory=list)
    history: list[Bought] = field(default_factory=list)


@dataclass(slots=True)
class Order:
    """An order the carrier really took: one activation, whatever the caller was told."""

    id: int
    code: str
    kind: str
    package: str
    iccids: list[str]
    description: str | None
    created_at: str
    status: str = "completed"
    duplicate: bool = False


@dataclass(slots=True)
class State:
    """Everything that is kept between two runs."""

    balance: int
    next_id: int = 1
    cards: dict[str, Card] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    packages: dict[str, Package] = field(default_factory=packages_on_sale)


class World:
    """One carrier. Every method is one step that cannot be seen half done.

    Args:
        now: the carrier's clock, aware UTC.
        seed: makes ids, tokens and chances repeat exactly.
        balance: the seller's money here, in US cents.
        limited: whether the documented rate limits are kept.
        rows_carry_sims: whether an order's row tells its ICCID when asked to (for a top-up this is undocumented).
        keep: a JSON file that holds the state between runs; None for memory only.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        seed: int = 0,
        client_id: str = "sandbox",
        client_secret: str = "sandbox-secret",  # noqa: S107 - opens nothing but this stand-in
        balance: int = 1_000_00,
        limited: bool = True,
        rows_carry_sims: bool = True,
        keep: Path | None = None,
    ) -> None:
        self.now = now
        self.client_id, self.client_secret = client_id, client_secret
        self.limited, self.rows_carry_sims = limited, rows_carry_sims
        self.lock = threading.RLock()
        self._seed, self._first_balance, self._keep = seed, balance, keep
        self._begin()
        if keep and keep.exists():
            self.state = _restored(json.loads(keep.read_text()))

    def _begin(self) -> None:
        self.state = State(balance=self._first_balance)
        self.chance = Random(self._seed)  # noqa: S311 - repeating is the point
        self.faults = Faults(Random(self._seed + 1))  # noqa: S311
        self._asked: dict[tuple[str, int, str], list[datetime]] = {}
        self._usage: dict[str, tuple[datetime, dict[str, Any]]] = {}

    # -- the control face ------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget everything: as on the first day."""
        with self.lock:
            self._begin()
            self._save()

    def seed_card(
        self,
        *,
        iccid: str,
        package: str,
        expires_at: datetime | None = None,
        activated_at: datetime | None = None,
        remaining_mb: int | None = None,
        total_mb: int | None = None,
        recycled: bool = False,
        topup_disabled: bool = False,
        extra: list[str] | None = None,
    ) -> Card:
        """A card in the seller's stock that carries ``package``; without ``expires_at`` it waits for its first use.

        Calling it again replaces the card; its orders stay.
        """
        with self.lock:
            sold = self._package(package)
            total = sold.megabytes if total_mb is None else total_mb
            card = Card(
                iccid=iccid,
                operator=sold.operator,
                created_at=_stamp(self.now()),
                expires_at=_stamp(expires_at) if expires_at else None,
                unlimited=sold.unlimited,
                total_mb=total,
                remaining_mb=total if remaining_mb is None else remaining_mb,
                recycled=recycled,
                topup_disabled=topup_disabled,
                extra=list(extra or []),
            )
            if expires_at:
                began = activated_at or expires_at - timedelta(days=sold.days)
                card.history.append(Bought(self._id(), package, _stamp(began), _stamp(expires_at)))
            self.state.cards[iccid] = card
            self._usage.pop(iccid, None)
            self._save()
            return card

    def set_balance(self, cents: int) -> None:
        """The seller's money here from now on, in US cents."""
        with self.lock:
            self.state.balance = cents
            self._save()

    def set_package(self, id: str, **changes: Any) -> Package:
        """Change what is sold: ``stock`` (None for plenty), ``known``, ``net`` or ``price`` in cents, ``fails``."""
        with self.lock:
            package = self._package(id)
            for name, value in changes.items():
                if name not in {"stock", "known", "net", "price", "fails"}:
                    raise invalid(**{name: "cannot be changed"})
                setattr(package, name, value)
            self._save()
            return package

    def set_order_status(self, id: int, status: str) -> None:
        """What the carrier says of an order: completed, failed, refunded, partially_refunded."""
        with self.lock:
            self.order(id).status = status
            self._save()

    def truth(self, description: str | None = None, iccid: str | None = None) -> list[Order]:
        """Every activation that was really made, oldest first; ``description`` is compared exactly."""
        with self.lock:
            return [
                order
                for order in self.state.orders
                if (description is None or order.description == description)
                and (iccid is None or iccid in order.iccids)
            ]

    # -- the carrier's own ------------------------------------------------------------------------------------

    def token(self, *, client_id: str, client_secret: str, grant_type: str) -> str:
        """A fresh token, good for 24 hours."""
        with self.lock:
            if grant_type != "client_credentials":
                raise invalid(grant_type="The selected grant type is invalid.")
            if client_id != self.client_id:
                raise invalid(client_id="The selected client id is invalid.")
            if not hmac.compare_digest(client_secret, self.client_secret):
                raise Refusal(401, {"data": [], "meta": {"message": "Client authentication failed"}})
            token = f"sandbox-{self.chance.getrandbits(128):032x}"
            self.state.tokens[token] = _stamp(self.now())
            self._save()
            return token

    def check_token(self, token: str) -> None:
        """Nothing, or the refusal of a token that is unknown or older than 24 hours."""
        with self.lock:
            made = self.state.tokens.get(token)
            if made is None or self.now() >= _moment(made) + TOKEN_LIFE:
                raise Refusal(
                    401,
                    {
                        "data": [],
                        "meta": {
                            "message": "Authentication failed. This could be due to an expired token, please generate "
                            "a new token."
                        },
                    },
                )

    def next_fault(self, endpoint: str) -> Fault | None:
        """The fault that happens at this call, if any; uses one of its times."""
        with self.lock:
            return self.faults.next_for(endpoint)

    def forget_tokens(self) -> None:
        """Every token given so far has run out."""
        with self.lock:
            self.state.tokens.clear()

    def check_signature(self, payload: Mapping[str, Any], signature: str | None) -> None:
        """Nothing, or the refusal of a signature that was sent and does not match."""
        if signature is not None and not hmac.compare_digest(signature, signed(self.client_secret, payload)):
            raise refusal(14, "the signature does not match the payload.")

    def limit(self, endpoint: str, by: Mapping[str, str]) -> dict[str, str]:
        """Counts one call; the headers that tell how many are left, or the refusal of one too many."""
        if not self.limited:
            return {}
        headers: dict[str, str] = {}
        with self.lock:
            for calls, seconds, counted_by in LIMITS.get(endpoint, ()):
                headers = self._count(endpoint, calls, seconds, by.get(counted_by, ""))
        return headers

    def _count(self, endpoint: str, calls: int, seconds: int, who: str) -> dict[str, str]:
        now, window = self.now(), timedelta(seconds=seconds)
        asked = [at for at in self._asked.get((endpoint, seconds, who), []) if at > now - window]
        if len(asked) >= calls:
            raise too_many(calls, seconds=max(1, -int((now - asked[0] - window).total_seconds() // 1)))
        self._asked[endpoint, seconds, who] = [*asked, now]
        return {"X-RateLimit-Limit": str(calls), "X-RateLimit-Remaining": str(calls - len(asked) - 1)}

    def topups(self, iccid: str) -> list[Package]:
        """What can be put on this card now."""
        with self.lock:
            card = self.card(iccid)
            if card.topup_disabled:
                return []
            return [package for package in self.state.packages.values() if self._fits(package, card)]

    def _fits(self, package: Package, card: Card) -> bool:
        return (
            package.is_topup
            and package.known
            and package.stock != 0
            and (package.operator == card.operator or package.id in card.extra)
        )

    def top_up(self, *, package_id: str, iccid: str, description: str | None, twice: bool = False) -> Order:
        """Put a top-up on a card; with ``twice`` it is made and paid for two times, and only the first is told of."""
        with self.lock:
            missing = {name: f"The {label} field is required." for name, label, value in (
                ("iccid", "iccid", iccid), ("package_id", "package id", package_id)) if not value}  # fmt: skip
            if missing:
                raise invalid(**missing)
            package = self.state.packages.get(package_id)
            if package is None or not package.is_topup:
                raise invalid(package_id="invalid topup package")
            card = self.state.cards.get(iccid)
            if card is None:
                raise invalid(iccid="The selected iccid is invalid.")
            if card.recycled:
                raise refusal(73, iccid)
            if card.topup_disabled:
                raise refusal(23)
            if package.operator != card.operator and package.id not in card.extra and package.fails is None:
                raise invalid(package_id="invalid topup package")
            order = self._sell(package, "topup", [card], description)
            if twice:
                self._sell(package, "topup", [card], description).duplicate = True
            self._save()
            return order

    def order_sims(self, *, package_id: str, quantity: int, description: str | None, twice: bool = False) -> Order:
        """Sell new eSIMs, each with the package on it; with ``twice`` two times, and only the first is told of."""
        with self.lock:
            if not package_id:
                raise invalid(package_id="The package id field is required.")
            package = self.state.packages.get(package_id)
            if package is None or package.is_topup:
                raise invalid(package_id="The selected package id is invalid.")
            if not 1 <= quantity <= 50:
                raise invalid(quantity="The quantity must be between 1 and 50.")
            order = self._sell_sims(package, quantity, description)
            if twice:
                self._sell_sims(package, quantity, description).duplicate = True
            self._save()
            return order

    def _sell_sims(self, package: Package, quantity: int, description: str | None) -> Order:
        cards = [self._new_card(package, description or "") for _ in range(quantity)]
        order = self._sell(package, "sim", cards, description)
        self.state.cards.update({card.iccid: card for card in cards})
        return order

    def _new_card(self, package: Package, description: str) -> Card:
        """A card that there never was: not even a stand-in that has forgotten everything gives a number twice."""
        id, at = self._id(), _stamp(self.now())
        chance = hashlib.sha256(f"{id} {at} {description}".encode()).hexdigest()
        digits = f"89103{int(chance[:16], 16) % 10**13:013d}"
        return Card(
            iccid=digits + _luhn(digits),
            operator=package.operator,
            created_at=at,
            unlimited=package.unlimited,
            matching_id=f"SBX-{chance[16:40].upper()}",
        )

    def _sell(self, package: Package, kind: str, cards: list[Card], description: str | None) -> Order:
        cost = package.net * len(cards)
        if package.fails is not None:
            raise refusal(package.fails, "simulated.")
        if not package.known:
            raise refusal(34)
        if package.stock is not None and package.stock < len(cards):
            raise refusal(33, str(package.stock))
        if self.state.balance < cost:
            raise refusal(11, "please top up your account.")
        if package.stock is not None:
            package.stock -= len(cards)
        self.state.balance -= cost
        now, id = self.now(), self._id()
        for card in cards:
            self._put_on(card, package, now)
        order = Order(
            id, f"{now:%Y%m%d}-{id:06d}", kind, package.id, [c.iccid for c in cards], description, _stamp(now)
        )
        self.state.orders.append(order)
        return order

    def _put_on(self, card: Card, package: Package, now: datetime) -> None:
        """Top-ups add up: the new days begin where the old ones end, or now."""
        begin = max(now, _moment(card.expires_at)) if card.expires_at else now
        end = begin + timedelta(days=package.days)
        spent = card.expires_at is not None and _moment(card.expires_at) <= now
        card.unlimited = package.unlimited
        if package.unlimited:
            card.remaining_mb = card.total_mb = 0
        else:
            card.remaining_mb = package.megabytes + (0 if spent else card.remaining_mb)
            card.total_mb = package.megabytes + (0 if spent else card.total_mb)
        card.expires_at = _stamp(end)
        card.history.append(Bought(self._id(), package.id, _stamp(begin), _stamp(end)))

    def card(self, iccid: str) -> Card:
        """The card, or 404; a recycled one is refused with 73."""
        with self.lock:
            card = self.state.cards.get(iccid)
            if card is None:
                raise Refusal(404, NOT_FOUND)
            if card.recycled:
                raise refusal(73, iccid)
            return card

    def usage(self, iccid: str) -> tuple[datetime, dict[str, Any]]:
        """When the answer was made, and the answer; the same one for 20 minutes."""
        with self.lock:
            card = self.state.cards.get(iccid)
            if card is None:
                raise Refusal(404, NOT_FOUND)
            made, answer = self._usage.get(iccid, (None, {}))
            if made is None or self.now() >= made + USAGE_CACHE:
                made, answer = self.now(), _usage_of(card, self.now())
                self._usage[iccid] = made, answer
            return made, answer

    def order(self, id: int) -> Order:
        """The order, or 404."""
        with self.lock:
            for order in self.state.orders:
                if order.id == id:
                    return order
            raise Refusal(404, NOT_FOUND)

    def orders(
        self, *, description: str = "", iccid: str = "", code: str = "", status: str = "", created: str = ""
    ) -> list[Order]:
        """Newest first. All but the status are LIKE '%x%', as documented; ``created`` is "Y-m-d - Y-m-d"."""
        first, _, last = created.partition(" - ")
        with self.lock:
            return [
                order
                for order in reversed(self.state.orders)
                if _like(description, order.description or "")
                and _like(code, order.code)
                and (not iccid or any(_like(iccid, one) for one in order.iccids))
                and (not status or order.status == status)
                and (not created or first <= order.created_at[:10] <= (last or first))
            ]

    # -- inside -----------------------------------------------------------------------------------------------

    def _package(self, id: str) -> Package:
        if id not in self.state.packages:
            raise invalid(package=f"There is no package {id}.")
        return self.state.packages[id]

    def _id(self) -> int:
        self.state.next_id += 1 + self.chance.randrange(3)
        return self.state.next_id

    def _save(self) -> None:
        if self._keep:
            self._keep.parent.mkdir(parents=True, exist_ok=True)
            draft = self._keep.with_suffix(".draft")
            draft.write_text(json.dumps(asdict(self.state), indent=1))
            draft.replace(self._keep)


def signed(secret: str, payload: Mapping[str, Any]) -> str:
    """The signature the carrier's own Python SDK sends: HMAC-SHA512 over compact JSON with "/" escaped, in hex."""
    text = json.dumps(dict(payload), separators=(",", ":"), ensure_ascii=False).replace("/", "\\/")
    return hmac.new(secret.encode(), text.encode(), hashlib.sha512).hexdigest()


def too_many(limit: int, seconds: int) -> Refusal:
    """429 as documented."""
    headers = {"Retry-After": str(seconds), "X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": "0"}
    return Refusal(429, {"message": "Too Many Attempts."}, headers)


def _usage_of(card: Card, now: datetime) -> dict[str, Any]:
    rest = {"remaining_voice": 0, "remaining_text": 0, "total_voice": 0, "total_text": 0}
    if card.recycled:
        return {"remaining": 0, "total": 0, "expired_at": None, "is_unlimited": None, "status": "RECYCLED", **rest}
    return {
        "remaining": 0 if card.unlimited else card.remaining_mb,
        "total": 0 if card.unlimited else card.total_mb,
        "expired_at": card.expires_at,
        "is_unlimited": card.unlimited,
        "status": _status(card, now),
        **rest,
    }


def _status(card: Card, now: datetime) -> str:
    if card.expires_at is None:
        return "NOT_ACTIVE"
    if _moment(card.expires_at) <= now:
        return "EXPIRED"
    return "ACTIVE" if card.unlimited or card.remaining_mb else "FINISHED"


def _like(part: str, whole: str) -> bool:
    return part.lower() in whole.lower()


def _stamp(moment: datetime) -> str:
    """As the carrier writes times: UTC without a zone, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def _luhn(digits: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def _restored(kept: dict[str, Any]) -> State:
    """The state from its JSON; packages that are new since then join."""
    cards = {}
    for iccid, one in kept["cards"].items():
        history = [Bought(**bought) for bought in one.pop("history")]
        cards[iccid] = Card(**one, history=history)
    packages = packages_on_sale()
    with suppress(TypeError):  # a file of an older stand-in: what is sold then is what is sold now
        packages |= {id: Package(**one) for id, one in kept["packages"].items()}
    return State(
        balance=kept["balance"],
        next_id=kept["next_id"],
        cards=cards,
        orders=[Order(**one) for one in kept["orders"]],
        tokens=kept["tokens"],
        packages=packages,
    )
