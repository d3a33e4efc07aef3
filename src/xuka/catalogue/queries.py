"""Reading the catalogue."""

from __future__ import annotations

from uuid import UUID

from xuka.catalogue.models import Market, MarketPlan, Network, Plan, PlanVersion
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


def plans_on_sale(market_code: str) -> list[PlanVersion]:
    """The version sold now of each plan on sale in the market, the cheapest first; plan, network and market loaded."""
    return offers(market_code)


def offers(market: str | None = None) -> list[PlanVersion]:
    """The version sold now of each plan on sale in the market ("BE"), or in all of them, by market and price."""
    on_sale = (
        Plan.objects.filter(on_sale=True) if market is None else Plan.objects.filter(market_id=market, on_sale=True)
    )
    found = _versions().filter(id__in=on_sale.values("current_id"))
    return list(found.order_by("plan__market_id", "price_minor", "plan_id"))


def plan_by_slug(slug: str) -> PlanVersion | None:
    """The version sold now of the plan of this slug; None when there is none on sale."""
    return _versions().filter(id__in=Plan.objects.filter(slug=slug, on_sale=True).values("current_id")).first()


def plan_version(id: UUID) -> PlanVersion | None:
    """The plan version of this id, sold now or not; plan, network and market loaded. None when there is none."""
    return _versions().filter(id=id).first()


def market_plans(market: str) -> list[MarketPlan]:
    """What others sell or sold in the market ("BE"), by brand and name; for information, none of it can be bought."""
    return list(MarketPlan.objects.filter(market_id=market).order_by("brand", "name", "slug"))


def policy(version: PlanVersion) -> Policy:
    """The version's policy, typed."""
    return policy_of(version.policy)


def name(plan: Plan, language: str) -> str:
    """The plan's name in the language ("zh-hans", "zh-cn", "en", "en-gb"); English where there is no other."""
    tag = language.lower()
    return plan.names.get(tag) or plan.names.get("zh-hans" if tag.startswith("zh") else "en") or plan.names["en"]


def _versions():
    return PlanVersion.objects.select_related("plan__network", "plan__market")
