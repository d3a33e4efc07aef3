"""Reading the catalogue."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from xuka.catalogue.models import Market, MarketPlan, Network, Plan, PlanVersion
from xuka.catalogue.prices import PeriodPrice, prices_of
from xuka.catalogue.rules import Policy, policy_of


def market(code: str) -> Market | None:
    """The market of this country ("BE"); None when nothing is sold there."""
    return Market.objects.filter(code=code).first()


def markets() -> list[Market]:
    """All markets, by code."""
    return list(Market.objects.order_by("code"))


def networks_of(market_code: str) -> list[Network]:
    """The networks of a market, by name."""
    return list(Network.objects.filter(market_id=market_code).order_by("name"))


def networks() -> list[Network]:
    """The networks of all markets, by slug."""
    return list(Network.objects.order_by("slug"))


def plans_on_sale(market_code: str) -> list[PlanVersion]:
    """The version sold now of each plan on sale in the market, the cheapest first; plan, network and market loaded."""
    return offers(market_code)


def offers(market: str | None = None) -> list[PlanVersion]:
    """The version sold now of each plan on sale in the market ("BE"), or in all of them, by market and price."""
    on_sale = (
        Plan.objects.filter(on_sale=True) if market is None else Plan.objects.filter(market_id=market, on_sale=True)
    )
    found = _versions().defer(*_UNSAID).filter(id__in=on_sale.values("current_id"))
    return list(found.order_by("plan__market_id", "price_minor", "plan_id"))


def plan(slug: str) -> Plan | None:
    """The plan of this slug, on sale or not, with the version sold now; None when there is none."""
    return Plan.objects.select_related("current__plan").filter(slug=slug).first()


def plan_by_slug(slug: str) -> PlanVersion | None:
    """The version sold now of the plan of this slug; None when there is none on sale."""
    return _versions().filter(id__in=Plan.objects.filter(slug=slug, on_sale=True).values("current_id")).first()


def plan_version(id: UUID) -> PlanVersion | None:
    """The plan version of this id, sold now or not; plan, network and market loaded. None when there is none."""
    return _versions().filter(id=id).first()


def offer(id: UUID) -> PlanVersion | None:
    """The same with its plan and market only, without long documents: for what is asked at every quote."""
    found = PlanVersion.objects.select_related("plan__market").defer("plan__market__evidence").filter(id=id)
    return next(iter(found), None)


def market_plans(market: str | None = None) -> list[MarketPlan]:
    """What others sell or sold in the market ("BE"), or in all of them, by market, brand and name.

    For information: none of it can be bought.
    """
    found = MarketPlan.objects.all() if market is None else MarketPlan.objects.filter(market_id=market)
    return list(found.order_by("market_id", "brand", "name", "slug"))


@lru_cache(maxsize=1024)
def policy(version: PlanVersion) -> Policy:
    """The version's policy, typed; read once, for versions never change."""
    return policy_of(version.policy)


@lru_cache(maxsize=1024)
def policy_of_version(id: UUID) -> Policy:
    """The policy of the version of this id, read once and with nothing beside it."""
    return policy_of(PlanVersion.objects.values_list("policy", flat=True).get(id=id))


def prices(version: PlanVersion) -> tuple[PeriodPrice, ...]:
    """What one period of this version costs, and what several at once do, in every currency it is priced in."""
    return prices_of(price_minor=version.price_minor, currency=version.currency, further=version.prices)


def name(plan: Plan, language: str) -> str:
    """The plan's name in the language ("zh-hans", "zh-cn", "en", "en-gb"); English where there is no other."""
    tag = language.lower()
    return plan.names.get(tag) or plan.names.get("zh-hans" if tag.startswith("zh") else "en") or plan.names["en"]


# Long documents beside an offer, for staff; read when they are asked for.
_UNSAID = ("plan__network__evidence", "plan__network__apns", "plan__market__evidence")


def _versions():
    return PlanVersion.objects.select_related("plan__network", "plan__market")
