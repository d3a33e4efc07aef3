"""What the provider keeps, whatever it is about: its objects, its clock, used idempotency keys, events to send."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from sandbox.payments import objects
from sandbox.payments.errors import bad_key, in_use, invalid, not_found, other_content
from sandbox.payments.faults import HOOKS, Fault, Faults
from sandbox.payments.forms import integer, known, table
from sandbox.payments.hooks import Delivery, signed

KEY_LIFE = 24 * 3600
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
NOUNS = {"payment_method": "PaymentMethod"}
Thing = dict[str, Any]


@dataclass(slots=True)
class State:
    """Everything that is kept between two runs. ``alarms`` is what the clock will do."""

    made: int = 0
    things: dict[str, dict[str, Thing]] = field(default_factory=dict)
    used: dict[str, Thing] = field(default_factory=dict)
    alarms: list[Thing] = field(default_factory=list)


class Kept:
    """The ground under ``World``. Every ``step`` is one that cannot be seen half done.

    Attributes:
        on_early: called with an event whose fault is "early" before the call that caused it is answered; without it,
            the event lies in the outbox by then.
    """

    def __init__(
        self, *, now: Callable[[], datetime], seed: int, keys: tuple[str, ...], secret: str, keep: Path | None
    ) -> None:
        self.now, self.keys, self.secret = now, keys, secret
        self.lock = threading.RLock()
        self.on_early: Callable[[Delivery], object] | None = None
        self._seed, self._keep = seed, keep
        self._begin()
        if keep and keep.exists():
            self.state = State(**json.loads(keep.read_text()))
            for event in self._all("event"):
                if event["pending_webhooks"] and not any(one["id"] == event["id"] for one in self.state.alarms):
                    self._alarm("send", event["id"], seconds=0)

    def _begin(self) -> None:
        self.state = State()
        self.faults = Faults(Random(self._seed + 1))  # noqa: S311 - repeating is the point
        self.chance = Random(self._seed)  # noqa: S311
        self._outbox: list[Delivery] = []
        self._early: list[Delivery] = []
        self._working: set[str] = set()

    def reset(self) -> None:
        """Forget everything: as on the first day."""
        with self.lock:
            self._begin()
            self._save()

    @contextmanager
    def step(self) -> Iterator[None]:
        """What is due happens first; afterwards all is kept, also when it ended in a refusal."""
        with self.lock:
            self._tick()
            try:
                yield
            finally:
                self._save()

    @contextmanager
    def look(self) -> Iterator[None]:
        """What is due happens first; nothing else changes."""
        with self.lock:
            if self._tick():
                self._save()
            yield

    def _save(self) -> None:
        if self._keep:
            self._keep.parent.mkdir(parents=True, exist_ok=True)
            draft = self._keep.with_suffix(".draft")
            draft.write_text(json.dumps(asdict(self.state)))
            draft.replace(self._keep)

    # -- objects ----------------------------------------------------------------------------------------------

    def second(self) -> int:
        """The provider's clock in whole seconds."""
        return int(self.now().timestamp())

    def new_id(self, prefix: str, length: int = 24) -> str:
        """The same ones in the same order for the same seed."""
        self.state.made += 1
        number = int.from_bytes(hashlib.sha512(f"{self._seed}/{self.state.made}".encode()).digest(), "big")
        return prefix + "".join(LETTERS[number // 62**place % 62] for place in range(length))

    def put(self, thing: Thing) -> Thing:
        """Keep a new object."""
        self.state.things.setdefault(thing["object"], {})[thing["id"]] = thing
        return thing

    def _all(self, kind: str) -> list[Thing]:
        return list(self.state.things.get(kind, {}).values())

    def one(self, kind: str, id: str, live: bool | None = None, *, param: str | None = None) -> Thing:
        """The object itself, or its refusal; ``param`` names the parameter it was asked for with, if not the path."""
        thing = self.state.things.get(kind, {}).get(id)
        if thing is None or live not in (None, thing["livemode"]):
            raise not_found(NOUNS.get(kind, kind), id, param=param or kind, status=400 if param else 404)
        return thing

    def listed(self, kind: str, sent: Thing, live: bool, filters: tuple[str, ...]) -> Thing:
        """A page, newest first, as the provider pages."""
        known(sent, {*filters, "created", "limit", "starting_after", "ending_before", "expand"})
        limit = integer(sent, "limit") if "limit" in sent else 10
        if not 1 <= limit <= 100:
            raise invalid("Limit must be between 1 and 100.", param="limit")
        with self.look():
            rows = [
                one
                for one in reversed(self._all(kind))
                if one["livemode"] == live
                and all(one.get(name) == sent[name] for name in filters if name in sent)
                and _within(one["created"], sent)
            ]
            rows = self._from(rows, kind, sent, live)
            page = rows[-limit:] if "ending_before" in sent else rows[:limit]
            return {
                "object": "list",
                "data": [objects.shown(one) for one in page],
                "has_more": len(rows) > limit,
            }

    def _from(self, rows: list[Thing], kind: str, sent: Thing, live: bool) -> list[Thing]:
        for name in ("starting_after", "ending_before"):
            if name in sent:
                mark = self.one(kind, sent[name], live, param=name)
                order = list(reversed(self._all(kind)))
                place = order.index(mark)
                side = order[place + 1 :] if name == "starting_after" else order[:place]
                ids = {one["id"] for one in side}
                rows = [one for one in rows if one["id"] in ids]
        return rows

    def expanded(self, thing: Thing, paths: list[str]) -> Thing:
        """The same with what these paths lead to put in place of its id."""
        for path in paths:
            self._expand(thing, path.split("."), path)
        return thing

    def _expand(self, thing: Any, steps: list[str], path: str) -> None:
        if isinstance(thing, list):
            for one in thing:
                self._expand(one, steps, path)
            return None
        head, *rest = steps
        if head == "data" and thing.get("object") == "list":
            return self._expand(thing["data"], rest, path)
        if thing.get("object") == "checkout.session" and head == "line_items":
            items = self.one("checkout.session", thing["id"])["_line_items"]
            thing[head] = {"object": "list", "data": items, "has_more": False}
            return None
        if head not in objects.EXPANDS or head not in thing:
            raise invalid(f"This property cannot be expanded ({path}).", param="expand")
        if isinstance(thing[head], str):
            kind = "refund" if thing[head].startswith("re_") else objects.EXPANDS[head]
            with self.lock:
                thing[head] = objects.shown(self.one(kind, thing[head]))
        if rest and thing[head] is not None:
            self._expand(thing[head], rest, path)
        return None

    # -- keys -------------------------------------------------------------------------------------------------

    def is_live(self, key: str) -> bool:
        """Whose mode a secret key opens, or the refusal of a key that is not ours."""
        if key not in self.keys:
            raise bad_key(key)
        return "_live_" in key

    def begin_once(self, key: str, *, live: bool, path: str, content: str) -> Thing | None:
        """The answer kept with this idempotency key, or None, and then ``end_once`` must follow."""
        with self.lock:
            name, now = f"{live}/{key}", self.second()
            for old in [one for one, kept in self.state.used.items() if now >= kept["at"] + KEY_LIFE]:
                del self.state.used[old]
            kept = self.state.used.get(name)
            if kept and (kept["path"], kept["content"]) != (path, content):
                raise other_content(key, kept["path"], path)
            if kept:
                return kept
            if name in self._working:
                raise in_use(key)
            self._working.add(name)
            return None

    def end_once(self, key: str, *, live: bool, kept: Thing | None) -> None:
        """Keep ``{status, body, request, path, content}`` for a day; None when nothing is to be kept."""
        with self.lock:
            name = f"{live}/{key}"
            self._working.discard(name)
            if kept:
                self.state.used[name] = {**kept, "at": self.second()}
            self._save()

    # -- events -----------------------------------------------------------------------------------------------

    @property
    def outbox(self) -> list[Delivery]:
        """What is to be posted to the shop, oldest first: pop ``body, signature`` and post them in any order."""
        with self.look():
            return self._outbox

    def take_outbox(self) -> list[Delivery]:
        """All of it at once; the outbox is empty afterwards."""
        with self.look():
            taken, self._outbox[:] = list(self._outbox), []
            return taken

    def emit(self, type: str, thing: Thing) -> None:
        """Tell the shop, or fail to, as the weather is."""
        id = self.new_id("evt_3")
        self.put(objects.event(id, live=thing["livemode"], created=self.second(), type=type, thing=thing))
        fault = self.faults.next_for(type, HOOKS)
        match fault and fault.kind:
            case "lost":
                self.one("event", id)["pending_webhooks"] = 0
            case "delayed":
                self._alarm("send", id, seconds=(fault and fault.seconds) or 0)
            case "early":
                self._early.append(self._signed(id))
            case "reordered":
                self._outbox.insert(self.chance.randrange(len(self._outbox)) if self._outbox else 0, self._signed(id))
            case "duplicated":
                self._outbox += [self._signed(id)] * 2
            case _:
                self._outbox.append(self._signed(id, fault))

    def _signed(self, id: str, fault: Fault | None = None) -> Delivery:
        body = json.dumps(self.one("event", id), separators=(",", ":"), ensure_ascii=False).encode()
        kind = fault.kind if fault else ""
        secret = f"{self.secret}-of-somebody-else" if kind == "forged" else self.secret
        return Delivery(body, signed(body, secret=secret, at=self.second() - (3600 if kind == "stale" else 0)))

    def send_early(self) -> None:
        """Hand over what must arrive before the call is answered. Not under the lock: the shop may call back."""
        with self.lock:
            early, self._early = self._early, []
            if self.on_early is None:
                self._outbox += early
                return
        for delivery in early:
            self.on_early(delivery)

    def send_later(self, id: str, *, seconds: float) -> None:
        """Send this event again after so many seconds, freshly signed."""
        with self.lock:
            self._alarm("send", id, seconds=seconds)
            self._save()

    def delivered(self, id: str) -> None:
        """The shop took it."""
        with self.lock:
            event = self.state.things.get("event", {}).get(id)
            if event:
                event["pending_webhooks"] = 0
            self._save()

    # -- the clock --------------------------------------------------------------------------------------------

    def _alarm(self, does: str, id: str, *, seconds: float) -> None:
        self.state.alarms.append({"at": self.now().timestamp() + seconds, "does": does, "id": id})

    def _tick(self) -> bool:
        """Whether anything was due."""
        now = self.now().timestamp()
        due = [one for one in self.state.alarms if one["at"] <= now]
        if due:
            self.state.alarms = [one for one in self.state.alarms if one["at"] > now]
            for one in sorted(due, key=lambda one: one["at"]):
                self._ring(one["does"], one["id"])
        return bool(due)

    def _ring(self, does: str, id: str) -> None:
        assert does == "send", does
        if id in self.state.things.get("event", {}):
            self._outbox.append(self._signed(id))


def _within(created: int, sent: Mapping[str, Any]) -> bool:
    wanted = sent.get("created")
    if wanted is None:
        return True
    if not isinstance(wanted, dict):
        return created == integer(sent, "created")
    asked = table(sent, "created")
    known(asked, ("gt", "gte", "lt", "lte"))
    compare = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
    return all(compare[name](created, integer(asked, name, f"created[{name}]")) for name in asked)
