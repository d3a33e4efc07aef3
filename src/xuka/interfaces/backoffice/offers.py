"""The catalogue as staff read it. It is written by ``xuka catalogue load`` only."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from unfold.decorators import display

from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import Market, Network, Plan, PlanVersion
from xuka.interfaces.backoffice import reading
from xuka.interfaces.backoffice.reading import Choices, Reading, link
from xuka.interfaces.web import formats, texts


class MarketFilter(Choices):
    title = "market"
    parameter_name = "market"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(market.code, market.code) for market in catalogue.markets()]


class Plans(Reading):
    """What is offered under one name."""

    list_display = ("slug", "told_name", "market", "told_network", "told_price", "told_current", "on_sale")
    list_filter = (MarketFilter,)
    list_select_related = ("market", "network", "current")
    ordering = ("market", "slug")
    search_fields = ("slug__icontains", "network__name__icontains", "names__icontains")
    search_help_text = "The plan's name or its network"
    fields = ("slug", "told_names", "market", "network", "seller", "told_price", "told_current", "on_sale")

    @display(description="name")
    def told_name(self, plan: Plan) -> str:
        return catalogue.name(plan, "en")

    @display(description="names")
    def told_names(self, plan: Plan) -> str:
        return format_html_join("", "<div>{}: {}</div>", plan.names.items())

    @display(description="network", ordering="network__name")
    def told_network(self, plan: Plan) -> str:
        return link(plan.network, "catalogue.network", plan.network_id)

    @display(description="price now")
    def told_price(self, plan: Plan) -> str:
        return reading.amount(plan.current.price_minor, plan.current.currency) if plan.current else reading.NOTHING

    @display(description="version sold now")
    def told_current(self, plan: Plan) -> str:
        return link(plan.current, "catalogue.planversion", plan.current_id)


class PlanVersions(Reading):
    """The terms of plans, which never change once made."""

    list_display = ("told_version", "told_cap", "told_price", "told_cost", "carrier", "package", "told_made")
    list_display_links = ("told_version",)
    list_select_related = ("plan__market",)
    ordering = ("plan", "-number")
    search_fields = ("plan__slug__icontains", "package__icontains", "id__startswith")
    search_help_text = "The plan's name, the carrier's package, or the version's id"
    fields = (
        "id",
        "told_plan",
        "number",
        "told_price",
        "told_cost",
        "carrier",
        "package",
        "told_period",
        "told_renewal",
        "told_terms",
        "told_document",
        "told_made",
    )

    told_price = reading.money("price_minor", "currency", "price")
    told_cost = reading.money("cost_minor", "cost_currency", "cost")
    told_made = reading.at("made_at", "made")

    @display(description="version", ordering="plan")
    def told_version(self, version: PlanVersion) -> str:
        return str(version)

    @display(description="plan")
    def told_plan(self, version: PlanVersion) -> str:
        return link(version.plan, "catalogue.plan", version.plan_id)

    @display(description="cap")
    def told_cap(self, version: PlanVersion) -> str:
        return texts.cap(version)

    @display(description="period")
    def told_period(self, version: PlanVersion) -> str:
        period = catalogue.policy(version).period
        return f"{period.length} × {period.unit.replace('_', ' ')}, {period.zone}, from {period.starts}"

    @display(description="renewed early")
    def told_renewal(self, version: PlanVersion) -> str:
        renewal = catalogue.policy(version).renewal
        return f"{renewal.mode}, at most {renewal.max_ahead_days} days ahead"

    @display(description="what customers are told")
    def told_terms(self, version: PlanVersion) -> str:
        told = ((term.says, term.more) for term in texts.terms(version))
        return format_html_join("", "<div>{} <span class='bo-soft'>{}</span></div>", told)

    @display(description="policy document")
    def told_document(self, version: PlanVersion) -> str:
        return format_html('<pre class="bo-pre">{}</pre>', json.dumps(version.policy, indent=2, ensure_ascii=False))


class Networks(Reading):
    """The mobile networks that plans run on."""

    list_display = ("name", "market", "told_codes", "told_bands", "as_of")
    list_filter = (MarketFilter,)
    list_select_related = ("market",)
    ordering = ("market", "name")
    search_fields = ("name__icontains", "slug__icontains")
    fields = ("slug", "name", "market", "told_codes", "told_bands", "told_apns", "source", "as_of")

    @display(description="MCC-MNC")
    def told_codes(self, network: Network) -> str:
        return ", ".join(network.mcc_mnc)

    @display(description="bands")
    def told_bands(self, network: Network) -> str:
        return ", ".join(network.bands)

    @display(description="APNs")
    def told_apns(self, network: Network) -> str:
        return format_html('<pre class="bo-pre">{}</pre>', json.dumps(network.apns, indent=2, ensure_ascii=False))


class Markets(Reading):
    """The countries in which plans are sold."""

    list_display = ("code", "currency", "zone", "told_tax", "as_of")
    ordering = ("code",)
    fields = ("code", "currency", "zone", "told_tax", "identification", "source", "as_of")

    @display(description="tax inside prices")
    def told_tax(self, market: Market) -> str:
        return formats.percent(market.tax_basis_points)
