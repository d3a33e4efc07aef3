"""The demo's customers, their wallets and their cards, here, at the stand-in carrier and in their phones."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import httpx
from procrastinate.exceptions import AlreadyEnqueued

from xuka.accounts import operations as accounts
from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.interfaces import clock
from xuka.interfaces.jobs import tasks
from xuka.interfaces.web.demo import PEOPLE, SPARE_CARD
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries

DEMO = UUID("9f1d1b5e-0f43-4c58-9a43-7d0d6a6d9c10")


@dataclass(frozen=True, slots=True)
class Guest:
    """Someone with a card.

    Args:
        began: how long ago its running period did.
        used: how the phone has used data since; ``uses`` is how it does from now on.
    """

    key: str
    language: str
    zone: str
    wallet: Money
    iccid: str
    plan: str
    began: timedelta
    used: str
    uses: str


GUESTS = (
    Guest("xiaoyu", "zh-hans", "Europe/Brussels", Money(10_000, "EUR"), "8932020000000000127", "be-week-3gb-day",
          timedelta(days=5), "ordinary", "heavy"),
    Guest("sato", "ja", "Asia/Tokyo", Money(15_000, "JPY"), "8981100000000000234", "jp-month-50gb",
          timedelta(days=21), "ordinary", "ordinary"),
    Guest("emma", "en", "Europe/Brussels", Money(0, "EUR"), "8932020000000000341", "be-week-3gb-day",
          timedelta(days=8), "light", "ordinary"),
    Guest("yating", "zh-hant", "Asia/Taipei", Money(200_000, "TWD"), "8988692000000000563", "tw-week-3gb-day",
          timedelta(days=4), "ordinary", "ordinary"),
)  # fmt: skip


def settle_in(*, carrier_url: str, phones_url: str) -> None:
    """Make people, wallets and cards that are missing. Calling it again changes nothing.

    Args:
        carrier_url: the stand-in carrier, which must know the same cards.
        phones_url: the phones that they are in; what was used so far is told by them later, once the shop runs.
    """
    now = clock.now()
    people = {person.key: person for person in PEOPLE}
    staff = accounts.register_user(
        id=ids.derived(DEMO, "staff"), email=people["staff"].email, name=people["staff"].name, language="en",
        is_staff=True, is_superuser=True, now=now,
    )  # fmt: skip
    with (
        httpx.Client(base_url=carrier_url, timeout=10, trust_env=False) as carrier,
        httpx.Client(base_url=phones_url, timeout=10, trust_env=False) as phones,
    ):
        in_phones = {card["iccid"] for card in phones.get("/control/cards").raise_for_status().json()["cards"]}
        known = {sim["iccid"] for sim in carrier.get("/control/sims").raise_for_status().json()["sims"]}
        for guest in GUESTS:
            person = people[guest.key]
            user = accounts.register_user(
                id=ids.derived(DEMO, guest.key), email=person.email, name=person.name, language=guest.language,
                time_zone=guest.zone, now=now,
            )  # fmt: skip
            if guest.wallet.minor:
                ledger.credit_wallet(
                    customer=user.id, money=guest.wallet, staff=staff.id, why="A gift to try the demo with",
                    id=ids.derived(user.id, "welcome"), now=now,
                )  # fmt: skip
            ends_at = _card(guest, user.id, now)
            if guest.iccid not in in_phones:
                _in_a_phone(phones, guest, ends_at, now)
            if guest.iccid not in known:
                _at_the_carrier(carrier, guest.iccid, _plan(guest.plan), ends_at)
        spare = _plan(SPARE_CARD.plan)
        lines.add_to_stock(
            iccid=SPARE_CARD.iccid,
            carrier=spare.carrier,
            claim_code=SPARE_CARD.code,
            plan_version=spare,
            who="seller",
            now=now,
        )
        if SPARE_CARD.iccid not in known:
            _at_the_carrier(carrier, SPARE_CARD.iccid, spare, None)
    with suppress(AlreadyEnqueued):  # what is left is on the pages from the first minute
        tasks.read_carriers.configure().defer(timestamp=int(now.timestamp()))


def _card(guest: Guest, owner: UUID, now: datetime) -> datetime:
    """The guest's card with its running period; returns when that ends."""
    plan = _plan(guest.plan)
    line = lines.add_to_stock(
        iccid=guest.iccid, carrier=plan.carrier, claim_code=SPARE_CARD.code, plan_version=plan, who="seller", now=now
    )
    lines.claim(customer=owner, iccid=guest.iccid, code=SPARE_CARD.code, now=now)
    began = now - guest.began
    period = lines.open_period(
        line_id=line.id, order_id=ids.derived(line.id, "sold"), ordinal=0, plan_version=plan, activated_at=began,
        funded_at=began, carrier_ends_at=None, who="seller", now=now,
    )  # fmt: skip
    span = lines_queries.span_of(period)
    assert span is not None, "the first period of a card starts at once"
    return span.ends_at


def _at_the_carrier(carrier: httpx.Client, iccid: str, plan: PlanVersion, ends_at: datetime | None) -> None:
    told = {"iccid": iccid, "package": plan.package} | ({"expires_at": ends_at.isoformat()} if ends_at else {})
    carrier.post("/control/sims", json=told).raise_for_status()


def _in_a_phone(phones: httpx.Client, guest: Guest, ends_at: datetime, now: datetime) -> None:
    """Put the guest's card into a phone; its network slows it as its plan says."""
    plan = _plan(guest.plan)
    daily = [one for one in catalogue.policy(plan).quota.data.limits if one.window == "local_day"]
    told = {
        "iccid": guest.iccid,
        "zone": guest.zone,
        "network": plan.plan.network.mcc_mnc[0],
        "profile": guest.used,
        "then": guest.uses,
        "since": (now - guest.began).isoformat(),
        "until": ends_at.isoformat(),
        "cap": {"bytes": daily[0].tiers[0].after_bytes, "kbps": daily[0].tiers[0].kbps} if daily else None,
    }
    phones.post("/control/cards", json=told).raise_for_status()


def _plan(slug: str) -> PlanVersion:
    """The version of this plan that is sold now; the demo's own files have just been loaded."""
    sold = [version for version in catalogue.offers() if version.plan_id == slug]
    return sold[0]
