"""A small shop for the tests of the pages: the catalogue, three people with cards, and the stand-in carrier inside."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from stdnum import luhn

from tests import kept_rows
from xuka.accounts import operations as accounts
from xuka.accounts.models import User
from xuka.catalogue import operations as catalogue
from xuka.catalogue import queries as catalogue_queries
from xuka.catalogue.models import Market, PlanVersion
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger
from xuka.lines import operations as lines
from xuka.lines.models import Line

DATA = Path(__file__).resolve().parents[2] / "data"
NEW_ID = ids.new


def iccid(number: int) -> str:
    """A well-formed ICCID, another for each number."""
    stem = f"893204200000{number:06d}"
    return stem + luhn.calc_check_digit(stem)


@dataclass
class Shop:
    """What ``open_shop`` made; ``seed_card`` tells the stand-in carrier of a card."""

    now: datetime
    seed_card: Any
    staff: User
    people: dict[str, User] = field(default_factory=dict)
    cards: dict[str, Line] = field(default_factory=dict)

    def plan(self, slug: str) -> PlanVersion:
        """The version of this plan that is sold now."""
        sold = catalogue_queries.offers()
        return next(version for version in sold if version.plan_id == slug)

    def person(
        self, key: str, *, language: str, email: str = "", name: str = "", currency: str = "EUR", money: int = 0
    ) -> User:
        """A customer with this much, in minor units, in the wallet."""
        user = accounts.register_user(email=email or f"{key}@shop.example", name=name, language=language, now=self.now)
        self.people[key] = user
        if money:
            ledger.credit_wallet(
                customer=user.id,
                money=Money(money, currency),
                staff=self.staff.id,
                why="for the test",
                id=uuid4(),
                now=self.now,
            )
        return user

    def stock(self, number: int, slug: str, *, ends_at: datetime | None = None) -> Line:
        """A card nobody has claimed; its claim code is CODE-<number>."""
        plan = self.plan(slug)
        self.seed_card(iccid=iccid(number), package=plan.package, expires_at=ends_at)
        return lines.add_to_stock(
            iccid=iccid(number),
            carrier="airalo",
            claim_code=f"CODE-{number}",
            plan_version=plan,
            who="seller",
            now=self.now,
        )

    def card(self, key: str, number: int, slug: str, *, started_at: datetime | None = None) -> Line:
        """A person's card; with ``started_at`` its first period runs from then."""
        line = self.stock(number, slug)
        line = lines.claim(customer=self.people[key].id, iccid=line.iccid, code=f"CODE-{number}", now=self.now)
        if started_at:
            period = lines.open_period(
                line_id=line.id, order_id=uuid4(), ordinal=0, plan_version=line.plan_version, activated_at=started_at,
                funded_at=started_at, carrier_ends_at=None, who="seller", now=started_at,
            )  # fmt: skip
            self.seed_card(iccid=line.iccid, package=line.plan_version.package, expires_at=period.span.upper)
        self.cards[key] = line
        return line


OURS = ("markets.yaml", "networks.yaml", "demo-plans.yaml")
# Shops that were opened: how often, and the one that is kept with its rows and the cards its carrier was told of.
_opened: Counter[object] = Counter()
_kept: dict[object, tuple[Shop, kept_rows.Rows, list[dict[str, Any]]]] = {}


def open_shop(*, now: datetime, seed_card: Any, with_others: bool = False) -> Shop:
    """王小雨 in Belgium with two days left, 佐藤 in Japan, Emma whose card expired yesterday.

    The third of the same moment, and all after it, are copies of the second, ids and all; where something is stored
    already, or ids are the test's own, it is always made.

    Args:
        with_others: the market's plans too, which only the public pages show.
    """
    which = (now, with_others)
    if ids.new is not NEW_ID or User.objects.exists() or Market.objects.exists():
        return _open(now, seed_card, with_others=with_others)
    if which in _kept:
        kept, rows, cards = _kept[which]
        kept_rows.put(rows)
        for card in cards:
            seed_card(**card)
        return replace(deepcopy(kept), seed_card=seed_card)
    _opened[which] += 1
    if _opened[which] == 1 or kept_rows.take():
        return _open(now, seed_card, with_others=with_others)
    cards = []

    def seed(**card: Any) -> None:
        cards.append(card)
        seed_card(**card)

    shop = _open(now, seed, with_others=with_others)
    _kept[which] = deepcopy(replace(shop, seed_card=None)), kept_rows.take(), cards
    return replace(shop, seed_card=seed_card)


def _open(now: datetime, seed_card: Any, *, with_others: bool) -> Shop:
    for name in (*OURS, "market-plans.yaml") if with_others else OURS:
        catalogue.load(DATA / name, who="seller", now=now)
    staff = accounts.register_user(
        email="staff@demo.xuka.example",
        language="en",
        is_staff=True,
        is_superuser=True,
        password="a good passphrase",
        now=now,
    )
    shop = Shop(now, seed_card, staff)
    shop.person("xiaoyu", language="zh-hans", name="王小雨", email="xiaoyu@demo.xuka.example", money=60_00)
    shop.person("sato", language="en", name="佐藤", email="sato@demo.xuka.example", currency="JPY", money=20_000)
    shop.person("emma", language="en", name="Emma", email="emma@demo.xuka.example", money=40_00)
    shop.card("xiaoyu", 1, "be-week-3gb-day", started_at=now - timedelta(days=5, hours=-3))
    shop.card("sato", 2, "jp-month-50gb", started_at=now - timedelta(days=12))
    shop.card("emma", 3, "be-month-60gb", started_at=now - timedelta(days=31))
    return shop


def uuid_of(url: str) -> UUID:
    """The last id in an address."""
    return UUID([part for part in url.split("/") if part.count("-") == 4][-1])
