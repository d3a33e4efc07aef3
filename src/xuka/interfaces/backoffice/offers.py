"""The catalogue as staff read it. It is written by ``xuka catalogue load``, and a plan at a time by ``plans``."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from unfold.decorators import action, display

from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import Market, Network, Plan, PlanVersion
from xuka.interfaces.backoffice import plans, reading
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
    actions_list = ("new_view",)
    actions_detail = ("version_view", "sale_view")

    @action(description="New plan", url_path="new")  # type: ignore[reportCallIssue]
    def new_view(self, request: HttpRequest) -> HttpResponse:
        """Write a plan with its terms, and see what they would do."""
        return plans.edit(self, request, None)

    @action(description="New version", url_path="version")  # type: ignore[reportCallIssue]
    def version_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Write the next version of a plan, beginning with the terms sold now."""
        return plans.edit(self, request, plans.plan_of(object_id).current)

    @action(description="On or off sale", url_path="sale")  # type: ignore[reportCallIssue]
    def sale_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Put a plan on sale, or take it off."""
        return plans.sale(self, request, plans.plan_of(object_id))

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
        said = (
            f"{period.length} × {period.unit.replace('_', ' ')}, {period.zone}, from {period.starts.replace('_', ' ')}"
        )
        more = period.model_dump(exclude={"length", "unit", "zone", "starts"})
        return ", ".join([said, *_plainly(more)])

    @display(description="renewed early")
    def told_renewal(self, version: PlanVersion) -> str:
        renewal = catalogue.policy(version).renewal
        said = f"{renewal.mode}, at most {renewal.max_ahead_days} days ahead"
        return ", ".join([said, *_plainly(renewal.model_dump(exclude={"mode", "max_ahead_days"}))])

    @display(description="what customers are told")
    def told_terms(self, version: PlanVersion) -> str:
        told = ((term.says, term.more) for term in texts.terms(version))
        return format_html_join("", "<div>{} <span class='bo-soft'>{}</span></div>", told)

    @display(description="policy document")
    def told_document(self, version: PlanVersion) -> str:
        return format_html('<pre class="bo-pre">{}</pre>', json.dumps(version.policy, indent=2, ensure_ascii=False))


def _plainly(fields: dict[str, Any]) -> list[str]:
    """Fields as words; those that say nothing are not among them."""
    return [f"{name.replace('_', ' ')}: {str(value).replace('_', ' ')}" for name, value in fields.items()]


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
