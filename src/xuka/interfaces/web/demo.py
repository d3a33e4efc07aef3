"""The show: one-click sign-in, the outside world's fault switches, a clock to push, a worker to kill, and the truth.

Its addresses exist only where ``settings.DEMO`` is on, and no money moves there.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, gettext_lazy, pgettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from xuka.accounts import queries as accounts
from xuka.accounts.models import User
from xuka.activation.rules import key_of, words_of
from xuka.interfaces import clock
from xuka.interfaces.backoffice import words
from xuka.interfaces.web import esims, texts
from xuka.journal import queries as journal
from xuka.ledger import queries as ledger
from xuka.lines import queries as lines
from xuka.payments import providers
from xuka.payments import queries as payments
from xuka.payments.rules import words_of as payment_words
from xuka.renewals import queries as renewals


@dataclass(frozen=True, slots=True)
class Person:
    """Someone to be in the demo; the demo's set-up makes the account of this address."""

    key: str
    name: str
    face: str
    email: str
    says: str | Promise


PEOPLE = (
    Person(
        "xiaoyu",
        "王小雨",
        "雨",
        "xiaoyu@demo.xuka.example",
        gettext_lazy("studies in Belgium; her card lasts two more days"),
    ),
    Person(
        "sato", "佐藤", "佐", "sato@demo.xuka.example", gettext_lazy("lives in Japan; his card is renewed every month")
    ),
    Person(
        "emma",
        "Emma",
        "E",
        "emma@demo.xuka.example",
        gettext_lazy("travels in Belgium; her card expired yesterday, and she pays by card"),
    ),
    Person(
        "yating",
        "林雅婷",
        "婷",
        "yating@demo.xuka.example",
        gettext_lazy("lives in Taiwan; her card lasts three more days, and her wallet holds Taiwan dollars"),
    ),
    Person(
        "staff",
        "Staff",
        "★",
        "staff@demo.xuka.example",
        gettext_lazy("runs the shop: orders, wallets, what needs a person"),
    ),
)


@dataclass(frozen=True, slots=True)
class SpareCard:
    """A card in stock that whoever registers in the demo can add."""

    iccid: str
    code: str
    plan: str


SPARE_CARD = SpareCard("8981100000000000457", "XUKA-2026-CARD", "jp-week-3gb-day")


@dataclass(frozen=True, slots=True)
class Switch:
    """A way for the outside world to fail; ``times`` None goes on until it is switched off."""

    kind: str
    says: str | Promise
    times: int | None = 1
    seconds: float | None = None
    endpoint: str = "submit_topup"

    @property
    def fault(self) -> dict[str, Any]:
        """What the stand-in is told."""
        told = {"kind": self.kind, "endpoint": self.endpoint, "times": self.times}
        return told | ({"seconds": self.seconds} if self.seconds else {})


SWITCHES = (
    Switch("timeout_after", gettext_lazy("takes the renewal, but never answers"), seconds=40),
    Switch("timeout_before", gettext_lazy("does nothing and never answers"), seconds=40),
    Switch("error_after", gettext_lazy("takes the renewal, but answers “error”")),
    Switch("duplicate", gettext_lazy("renews twice")),
    Switch("delay", gettext_lazy("answers late"), seconds=8),
    Switch("rate_limited", gettext_lazy("“too many requests”")),
    Switch("maintenance", gettext_lazy("is in maintenance"), times=None),
    Switch("out_of_stock", gettext_lazy("has none left"), times=None),
    Switch("topup_disabled", gettext_lazy("refuses this card for good")),
)
PAYMENT_SWITCHES = (
    Switch("timeout_after", gettext_lazy("opens its page, but never answers"), seconds=20, endpoint="session_create"),
    Switch("error_before", gettext_lazy("is down"), times=None, endpoint="*"),
    Switch("lost", gettext_lazy("tells us nothing"), times=None, endpoint="*"),
    Switch("duplicated", gettext_lazy("tells us everything twice"), times=None, endpoint="*"),
    Switch("delayed", gettext_lazy("tells us half a minute late"), times=None, seconds=30, endpoint="*"),
    Switch("forged", gettext_lazy("is impersonated: false signatures"), times=None, endpoint="*"),
    Switch("wrong_amount", gettext_lazy("takes another amount"), endpoint="pay"),
    Switch("decline_saved", gettext_lazy("declines a saved card"), endpoint="intent_create"),
    Switch("saved_needs_3ds", gettext_lazy("lets the bank ask about a saved card"), endpoint="intent_create"),
    Switch("refund_pending", gettext_lazy("keeps a refund waiting"), endpoint="refund_create"),
    Switch("refund_fails", gettext_lazy("cannot refund"), endpoint="refund_create"),
    Switch(
        "refund_fails_later",
        gettext_lazy("refunds, and the bank sends it back"),
        seconds=20,
        endpoint="refund_create",
    ),
)
SIDES = {"carrier": SWITCHES, "payments": PAYMENT_SWITCHES}
# How a phone can use data from now on, in the words of the phones' stand-in.
USES = {
    "silent": pgettext_lazy("how a phone uses data", "not at all"),
    "ordinary": pgettext_lazy("how a phone uses data", "ordinarily"),
    "heavy": pgettext_lazy("how a phone uses data", "heavily"),
    "abroad": pgettext_lazy("how a phone uses data", "abroad"),
}
PHONES_TELL_WITHIN_SECONDS = 3.0
STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "month": timedelta(days=30)}


@cache
def _carrier() -> httpx.Client:
    return httpx.Client(base_url=settings.DEMO_CARRIER_URL, timeout=2.0, trust_env=False)


@cache
def _payments() -> httpx.Client:
    return httpx.Client(base_url=settings.DEMO_PAYMENTS_URL, timeout=2.0, trust_env=False)


@cache
def _phones() -> httpx.Client:
    return httpx.Client(base_url=settings.DEMO_PHONES_URL, timeout=2.0, trust_env=False)


def _control(side: str) -> httpx.Client:
    return {"payments": _payments, "phones": _phones}.get(side, _carrier)()


def _asked(side: str, path: str, **params: str) -> dict[str, Any] | None:
    """What a stand-in's control face answers; None when it does not."""
    try:
        return _control(side).get(path, params=params).raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return None


def _switches(side: str) -> list[tuple[Switch, bool]]:
    """The side's switches, and whether each is on."""
    faults = _asked(side, "/control/faults") or {"waiting": []}
    armed = {fault["kind"] for fault in faults["waiting"]}
    return [(switch, switch.kind in armed) for switch in SIDES[side]]


def _in_phones(user: User) -> dict[str, str]:
    """The person's cards that are in phones, and how each uses data now."""
    told = (_asked("phones", "/control/cards") or {"cards": []})["cards"]
    uses = {card["iccid"]: card["profile"] for card in told}
    mine = lines.lines_of(user.id) if uses else []
    return {line.iccid: uses[line.iccid] for line in mine if line.iccid in uses}


def bar(user: User | AnonymousUser | None) -> dict[str, Any]:
    """What the demo's bar shows on every page that this user sees."""
    uses = set(_in_phones(user).values()) if isinstance(user, User) else set()
    carrier = _switches("carrier")
    payments_ = _switches("payments") if providers.installed() else []
    return {
        "inbox": settings.DEMO_INBOX_URL,
        "switches": carrier,
        "armed": [switch.says for switch, is_on in carrier if is_on],
        "payment_switches": payments_,
        "payments_armed": [switch.says for switch, is_on in payments_ if is_on],
        "uses": [(use, says, uses == {use}) for use, says in USES.items()] if uses else [],
        "now": clock.now(),
        "is_pushed": bool(clock.offset()),
    }


def _back(request: HttpRequest) -> HttpResponse:
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    return redirect(target if safe and target else "/")


@never_cache
@require_GET
def people(request: HttpRequest) -> HttpResponse:
    """Who do you want to be?"""
    return render(request, "demo/people.html", {"people": PEOPLE, "spare": SPARE_CARD})


@require_POST
def enter(request: HttpRequest) -> HttpResponse:
    """Sign in as one of the demo's people, with one click."""
    person = next((person for person in PEOPLE if person.key == request.POST.get("person")), None)
    user = accounts.user_by_email(person.email) if person else None
    if person is None or user is None:
        raise Http404
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    UserSession.objects.create_from_request(request)
    return redirect("/staff/" if user.is_staff else "/")


@require_POST
def fault(request: HttpRequest) -> HttpResponse:
    """Arm one fault of the carrier or of the payment service; without a kind all is well again there."""
    kind, side = request.POST.get("kind", ""), request.POST.get("side", "carrier")
    if side not in SIDES:
        raise Http404
    wanted = [switch.fault for switch in SIDES[side] if switch.kind == kind]
    try:
        _control(side).post("/control/faults", json=wanted).raise_for_status()
    except httpx.HTTPError:
        messages.warning(request, gettext("The stand-in does not answer."))
    return _back(request)


@require_POST
def push_clock(request: HttpRequest) -> HttpResponse:
    """Move the demo's clock forward, and show the page once the phones have told what they used meanwhile."""
    step = STEPS.get(request.POST.get("by", ""))
    if step:
        clock.push(step)
        _hear_the_phones(clock.now())
    return _back(request)


def _hear_the_phones(at: datetime) -> None:
    """Wait until every phone has told what it used until then, but not for long."""
    waits_until = time.monotonic() + PHONES_TELL_WITHIN_SECONDS
    while time.monotonic() < waits_until:
        told = (_asked("phones", "/control/cards") or {"cards": []})["cards"]
        if all(datetime.fromisoformat(card["sent_until"]) >= at for card in told):
            return
        time.sleep(0.1)


@require_POST
def use_data(request: HttpRequest) -> HttpResponse:
    """From now on the phones with this person's cards use data in another way."""
    use = request.POST.get("use", "")
    if use in USES and isinstance(request.user, User):
        try:
            for iccid in _in_phones(request.user):
                _phones().post("/control/cards", json={"iccid": iccid, "profile": use}).raise_for_status()
        except httpx.HTTPError:
            messages.warning(request, gettext("The stand-in does not answer."))
    return _back(request)


@require_POST
def kill_worker(request: HttpRequest) -> HttpResponse:
    """``kill -9`` the worker, as a power cut would; the demo's supervisor starts another."""
    pid = _worker()
    if pid:
        os.kill(pid, signal.SIGKILL)
        messages.info(
            request, gettext("The worker (process %(pid)d) was killed. Another one starts in a moment.") % {"pid": pid}
        )
    else:
        messages.warning(request, gettext("No worker is running at this moment."))
    return _back(request)


def _worker() -> int | None:
    """The worker's process, when the one of that number is still ours."""
    try:
        pid = int((settings.VAR / "worker.pid").read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    told = Path(f"/proc/{pid}/cmdline")
    is_ours = not told.exists() or b"work" in told.read_bytes().split(b"\0")
    return pid if is_ours else None


@never_cache
@login_required
@require_GET
def truth(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """What really happened: the journal, the ledger's rows, and the carrier's and the payment service's own records."""
    order = renewals.order(order_id)
    user = request.user
    if order is None or not isinstance(user, User) or not (user.is_staff or order.customer == user):
        raise Http404
    paid, refunds = payments.payments_about(order.id), payments.refunds_about(order.id)
    about = [order.id, *(one.id for one in paid), *(one.id for one in refunds)]
    moved = [transfer for id in about for transfer in ledger.transfers_of(id)]
    facts = [fact for id in about for fact in journal.facts_about(id)]
    carrier = _asked("carrier", "/control/truth", description=words_of(key_of(cause=order.id, ordinal=0)))
    legs = [transfer.leg.split(":")[0] for transfer in moved]
    context = {
        "order": order,
        "line": esims.card(order),
        "facts": sorted(facts, key=lambda fact: fact.at),
        "transfers": sorted(moved, key=lambda transfer: (transfer.at, words.rank(transfer.leg))),
        "payments": paid,
        "refunds": refunds,
        "provider": _at_the_provider([payment.id for payment in paid]),
        "carrier": carrier,
        "charged": legs.count("charge") + legs.count("captured"),
        "refunded": sum(leg in {"refund", "return", "confirmed"} for leg in legs),
        "activated": carrier["count"] if carrier else None,
        "books": sum(abs(total.sum) for _, total in ledger.totals()),
        "state": texts.order_state(order.state)[0],
        "tab": "orders",
    }
    return render(request, "demo/truth.html", context)


def _at_the_provider(payment_ids: list[UUID]) -> dict[str, list[Any]] | None:
    """What the payment service really captured and gave back for these payments; None when it does not answer."""
    told = [_asked("payments", "/control/truth", key=payment_words(id)) for id in payment_ids]
    if any(one is None for one in told):
        return None
    return {kind: [_moved(row) for one in told if one for row in one[kind]] for kind in ("captures", "refunds")}


def _moved(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"currency": row["currency"].upper()}
