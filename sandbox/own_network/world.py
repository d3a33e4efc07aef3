"""What the stand-in operator knows: cards with their speeds, what was sold, texts, faults. No HTTP here."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

# How far a signed request's time may lie from the clock of the machine.
SIGNATURE_LIFE = timedelta(seconds=60)
SPEEDS_KEPT = 10_000

# The problems of docs/reference/own-network.md, and the status they come under.
PROBLEMS: Mapping[str, int] = {
    "bad-request": 400,
    "not-authorised": 401,
    "stale-request": 401,
    "out-of-credit": 402,
    "card-unknown": 404,
    "package-unknown": 404,
    "key-reused": 409,
    "top-up-disabled": 409,
    "out-of-stock": 409,
    "card-recycled": 410,
    "package-gone": 410,
    "rate-limited": 429,
    "period-unknown": 404,
    "begun": 409,
    "not-supported": 501,
    "maintenance": 503,
}

# What else can go wrong. Those that end in _after, slow_drip and delay do the work all the same.
KINDS = (
    "timeout_before", "timeout_after", "error_before", "error_after", "drop_before", "drop_after",
    "garbage_before", "garbage_after", "slow_drip", "delay",
)  # fmt: skip
ACTS = frozenset(kind for kind in KINDS if not kind.endswith("_before"))
ENDPOINTS = (
    "speed", "card", "renew", "find", "issue", "find_issued", "usage", "balance", "offers", "text", "cancel",
)  # fmt: skip


class Problem(Exception):
    """The operator says no: a word of ``PROBLEMS``, and seconds to wait where there is something to wait for."""

    def __init__(self, type: str, detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(f"{type} {detail}")
        self.type, self.detail, self.retry_after = type, detail, retry_after


@dataclass(slots=True)
class Package:
    """What is sold: for so many days, of so many bytes (None: unlimited), at a cost to the seller."""

    id: str
    days: int
    volume_bytes: int | None
    cost_minor: int


def packages_on_sale() -> dict[str, Package]:
    """What is sold on the first day."""
    week = Package("own-7days-unlimited", 7, None, 7_00)
    month = Package("own-30days-unlimited", 30, None, 17_00)
    metered = Package("own-30days-20gb", 30, 20_000_000_000, 16_00)
    return {one.id: one for one in (week, month, metered)}


@dataclass(slots=True)
class Card:
    """A SIM. ``kbps`` is the most speed, None without a limit, asked for at ``asked_at_ms``; times are ISO 8601."""

    iccid: str
    kbps: int | None = None
    asked_at_ms: int = 0
    expires_at: str | None = None
    unlimited: bool = True
    remaining_bytes: int = 0
    total_bytes: int = 0
    recycled: bool = False
    msisdn: str = ""
    matching_id: str = ""


@dataclass(slots=True)
class Sold:
    """A package that was really put on a card, or sold as a new eSIM (``is_esim``), and perhaps taken back."""

    id: str
    key: str
    iccid: str
    package: str
    is_esim: bool
    activated_at: str
    ends_at: str | None
    taken_back: bool = False


@dataclass(slots=True)
class Text:
    """An SMS that was really sent."""

    id: str
    key: str
    iccid: str
    words: str


@dataclass(slots=True)
class State:
    """Everything that is kept between two runs. ``speeds`` is every (iccid, kbps) that was set over HTTP, in order."""

    balance_minor: int
    cards: dict[str, Card] = field(default_factory=dict)
    packages: dict[str, Package] = field(default_factory=packages_on_sale)
    sold: list[Sold] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    speeds: list[tuple[str, int | None]] = field(default_factory=list)


@dataclass(slots=True)
class Fault:
    """One fault that waits: a kind, or a problem's word; ``times`` None is for ever, ``seconds`` how long it lasts."""

    kind: str
    endpoint: str = "*"
    times: int | None = 1
    seconds: float = 2.0
    retry_after: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS and self.kind not in PROBLEMS:
            raise ValueError(f"There is no fault named {self.kind!r}; there are {', '.join((*KINDS, *PROBLEMS))}.")
        if self.endpoint != "*" and self.endpoint not in ENDPOINTS:
            raise ValueError(f"There is no endpoint named {self.endpoint!r}; there are *, {', '.join(ENDPOINTS)}.")
        if self.times is not None and self.times < 1:
            raise ValueError("A fault happens at least once.")


class World:
    """One operator. Every method is one step that cannot be seen half done.

    Args:
        now: the operator's clock, aware UTC.
        secret: what requests are signed with.
        signed_now: the clock that signatures are held against; the operator's own when None. The demo's clock is
            pushed forward, and those who sign go by the machine's.
        deliver: the phone of a card: called with whom a text is for (its number, else its ICCID) and the words.
        keep: a JSON file that holds the state between runs; None for memory only.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        secret: str,
        signed_now: Callable[[], datetime] | None = None,
        deliver: Callable[[str, str], None] = lambda to, words: None,
        balance_minor: int = 1_000_00,
        keep: Path | None = None,
    ) -> None:
        self.now, self.secret, self.deliver = now, secret, deliver
        self.lock = threading.RLock()
        self._signed_now = signed_now or now
        self._first_balance, self._keep = balance_minor, keep
        self.faults: list[Fault] = []
        self.state = State(balance_minor)
        if keep and keep.exists():
            self.state = _restored(json.loads(keep.read_text()))

    # -- the control face -------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget everything: as on the first day."""
        with self.lock:
            self.faults = []
            self.state = State(self._first_balance)
            self._save()

    def seed_card(self, *, iccid: str, expires_at: datetime | None = None, **more: Any) -> Card:
        """A card of the operator's; again replaces it."""
        with self.lock:
            card = Card(iccid=iccid, expires_at=_stamp(expires_at) if expires_at else None, **more)
            self.state.cards[iccid] = card
            self._save()
            return card

    def seed_package(self, *, id: str, days: int, volume_bytes: int | None, cost_minor: int) -> Package:
        """Something that is sold; again replaces it."""
        with self.lock:
            self.state.packages[id] = Package(id, days, volume_bytes, cost_minor)
            self._save()
            return self.state.packages[id]

    def set_by_hand(self, *, iccid: str, kbps: int | None) -> None:
        """Somebody at the operator's changes a card's speed, and tells nobody."""
        with self.lock:
            self.state.cards[iccid].kbps = kbps
            self._save()

    def fail(self, *faults: Mapping[str, Any]) -> None:
        """Replace all faults that wait. Raises ``ValueError`` or ``TypeError`` for one that there is not."""
        wanted = [Fault(**one) for one in faults]
        with self.lock:
            self.faults = wanted

    def truth(self, key: str | None = None) -> list[Sold]:
        """Everything that was really sold, oldest first; the key is compared exactly."""
        with self.lock:
            return [one for one in self.state.sold if key in (None, one.key)]

    # -- the operator's own -----------------------------------------------------------------------------------

    def next_fault(self, endpoint: str) -> Fault | None:
        """The fault that happens at this call, if any; uses one of its times."""
        with self.lock:
            fault = next((one for one in self.faults if one.endpoint in ("*", endpoint)), None)
            if fault and fault.times is not None:
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
            return fault

    def check(self, *, method: str, target: str, timestamp: str, body: bytes, signature: str) -> None:
        """Nothing, or the problem of a request that is not signed with the secret, or was too long on its way."""
        wanted = signed(self.secret, method=method, target=target, timestamp=timestamp, body=body)
        if not hmac.compare_digest(wanted.encode(), signature.encode()) or not timestamp.isdecimal():
            raise Problem("not-authorised", "the signature does not match")
        if abs(self._signed_now().timestamp() - int(timestamp) / 1000) > SIGNATURE_LIFE.total_seconds():
            raise Problem("stale-request", "the timestamp is too far from the clock here")

    def card(self, iccid: str) -> Card:
        """The card, or its problem."""
        with self.lock:
            card = self.state.cards.get(iccid)
            if card is None:
                raise Problem("card-unknown", f"no card {iccid}")
            if card.recycled:
                raise Problem("card-recycled", f"card {iccid} is recycled")
            return card

    def throttle(self, iccid: str, kbps: object, *, asked_at_ms: int) -> Card:
        """Set a card's speed, unless a later request was here before: this one was overtaken on its way."""
        if kbps is not None and (not isinstance(kbps, int) or isinstance(kbps, bool) or kbps < 0):
            raise Problem("bad-request", "kbps is a whole number from 0, or null")
        with self.lock:
            card = self.card(iccid)
            if asked_at_ms < card.asked_at_ms:
                return card
            card.kbps, card.asked_at_ms = kbps, asked_at_ms
            self.state.speeds = [*self.state.speeds, (iccid, kbps)][-SPEEDS_KEPT:]
            self._save()
            return card

    def package(self, id: str) -> Package:
        """The package, or its problem."""
        if id not in self.state.packages:
            raise Problem("package-unknown", f"no package {id}")
        return self.state.packages[id]

    def put_on(self, *, key: str, iccid: str, package: str) -> Sold:
        """Put a package on a card; the same key again gives what was sold under it and does nothing."""
        with self.lock:
            return self._once(key, iccid, package) or self.put_on_anyhow(key=key, iccid=iccid, package=package)

    def put_on_anyhow(self, *, key: str, iccid: str, package: str) -> Sold:
        """Put a package on a card whatever was sold under this key before: what the interface promises not to do."""
        with self.lock:
            card, bought = self.card(iccid), self.package(package)
            self._pay(bought)
            begin = max(self.now(), datetime.fromisoformat(card.expires_at)) if card.expires_at else self.now()
            card.expires_at = _stamp(begin + timedelta(days=bought.days))
            _fill(card, bought)
            return self._sell(key, card, bought, is_esim=False, ends_at=card.expires_at)

    def issue(self, *, key: str, package: str) -> Sold:
        """Sell a new eSIM, which waits for its first use; the same key again gives the one that was sold under it."""
        with self.lock:
            if there := self._once(key, None, package):
                return there
            bought = self.package(package)
            self._pay(bought)
            card = self._new_card(key)
            _fill(card, bought)
            self.state.cards[card.iccid] = card
            return self._sell(key, card, bought, is_esim=True, ends_at=None)

    def text(self, *, key: str, iccid: str, words: str) -> Text:
        """Send an SMS to a card; the same key again sends nothing."""
        with self.lock:
            card = self.card(iccid)
            for one in self.state.texts:
                if one.key == key:
                    if (one.iccid, one.words) != (iccid, words):
                        raise Problem("key-reused", "another text has this key")
                    return one
            self.deliver(card.msisdn or iccid, words)
            self.state.texts.append(Text(f"text-{len(self.state.texts) + 1}", key, iccid, words))
            self._save()
            return self.state.texts[-1]

    def cancel(self, *, iccid: str, id: str) -> Sold:
        """Take a package back: what waits is paid back, what runs ends now, the rest moves up. Again: no more."""
        with self.lock:
            card = self.card(iccid)
            sold = next((one for one in self.state.sold if (one.id, one.iccid) == (id, iccid)), None)
            if sold is None:
                raise Problem("period-unknown", f"no period {id}")
            if not sold.taken_back:
                self._take_back(card, sold)
                self._save()
            return sold

    # -- inside -----------------------------------------------------------------------------------------------

    def _once(self, key: str, iccid: str | None, package: str) -> Sold | None:
        """What was sold under this key; ``iccid`` is None for a new eSIM."""
        there = next((one for one in self.state.sold if one.key == key), None)
        if there and (there.package, None if there.is_esim else there.iccid) != (package, iccid):
            raise Problem("key-reused", "something else was sold under this key")
        return there

    def _take_back(self, card: Card, sold: Sold) -> None:
        package, now, sold.taken_back = self.package(sold.package), self.now(), True
        card.remaining_bytes = max(0, card.remaining_bytes - (package.volume_bytes or 0))
        end = datetime.fromisoformat(sold.ends_at) if sold.ends_at else None
        if end is None or end - timedelta(days=package.days) > now:
            self.state.balance_minor += package.cost_minor
        if end is None or end <= now:
            return
        gone = end - max(now, end - timedelta(days=package.days))
        behind = [one for one in self.state.sold if one.iccid == card.iccid and one.ends_at and not one.taken_back]
        for one in behind:
            if one.ends_at and datetime.fromisoformat(one.ends_at) > end:
                one.ends_at = _stamp(datetime.fromisoformat(one.ends_at) - gone)
        if card.expires_at:
            card.expires_at = _stamp(datetime.fromisoformat(card.expires_at) - gone)

    def _pay(self, package: Package) -> None:
        if self.state.balance_minor < package.cost_minor:
            raise Problem("out-of-credit", f"{self.state.balance_minor} is too little")
        self.state.balance_minor -= package.cost_minor

    def _sell(self, key: str, card: Card, package: Package, *, is_esim: bool, ends_at: str | None) -> Sold:
        id = f"sold-{len(self.state.sold) + 1}"
        sold = Sold(id, key, card.iccid, package.id, is_esim, _stamp(self.now()), ends_at)
        self.state.sold.append(sold)
        self._save()
        return sold

    def _new_card(self, key: str) -> Card:
        """A card that there never was: not even a stand-in that has forgotten everything gives a number twice."""
        chance = hashlib.sha256(f"{key} {self.now().isoformat()} {len(self.state.cards)}".encode()).hexdigest()
        digits = f"89320{int(chance[:16], 16) % 10**13:013d}"
        return Card(digits + _luhn(digits), matching_id=f"OWN-{chance[16:40].upper()}")

    def _save(self) -> None:
        if self._keep:
            self._keep.parent.mkdir(parents=True, exist_ok=True)
            draft = self._keep.with_suffix(".draft")
            draft.write_text(json.dumps(asdict(self.state), indent=1))
            draft.replace(self._keep)


def signed(secret: str, *, method: str, target: str, timestamp: str, body: bytes) -> str:
    """The signature of a request, as docs/reference/own-network.md says."""
    text = f"{method}\n{target}\n{timestamp}\n".encode() + body
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def _fill(card: Card, package: Package) -> None:
    card.unlimited = package.volume_bytes is None
    card.remaining_bytes += package.volume_bytes or 0
    card.total_bytes += package.volume_bytes or 0


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _luhn(digits: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def _restored(kept: dict[str, Any]) -> State:
    return State(
        balance_minor=kept["balance_minor"],
        cards={iccid: Card(**one) for iccid, one in kept["cards"].items()},
        packages={id: Package(**one) for id, one in kept["packages"].items()},
        sold=[Sold(**one) for one in kept["sold"]],
        texts=[Text(**one) for one in kept["texts"]],
        speeds=[(iccid, kbps) for iccid, kbps in kept["speeds"]],
    )
