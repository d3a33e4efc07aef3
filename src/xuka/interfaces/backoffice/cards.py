"""Cards: the stock, who has which, and the time on each. A whole ICCID stands on the card's own page only."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.decorators import display

from xuka.interfaces import clock
from xuka.interfaces.backoffice import reading, records, words
from xuka.interfaces.backoffice.forms import CardStanding, NewCard
from xuka.interfaces.backoffice.offers import MarketFilter
from xuka.interfaces.backoffice.reading import Choices, Reading, amount, link, when
from xuka.interfaces.web import formats
from xuka.journal import queries as journal
from xuka.lines import operations as lines
from xuka.lines import queries
from xuka.lines.models import Line, Standing
from xuka.lines.rules import InvalidIccid
from xuka.metering import queries as metering
from xuka.renewals.models import Order


class OwnerFilter(Choices):
    title = "owner"
    parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("stock", "in stock"), ("claimed", "with a customer")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in {"stock", "claimed"}:
            return queryset
        return queryset.filter(owner__isnull=self.value() == "stock")


class Cards(Reading):
    """Every SIM and eSIM."""

    list_display = ("told_card", "market", "carrier", "told_plan", "told_owner", "told_claimed", "told_added")
    list_display_links = ("told_card",)
    list_filter = (OwnerFilter, MarketFilter)
    list_select_related = ("market", "owner", "plan_version")
    ordering = ("-created_at", "id")
    search_fields = ("iccid__endswith", "owner__email__icontains", "id__startswith")
    search_help_text = "The last digits of an ICCID, the owner's e-mail address, or the card's id"

    told_card = reading.masked_iccid()
    told_claimed = reading.at("claimed_at", "claimed")
    told_added = reading.at("created_at", "added")

    @display(description="sold with", ordering="plan_version__plan")
    def told_plan(self, line: Line) -> str:
        return link(line.plan_version, "catalogue.planversion", line.plan_version_id)

    @display(description="owner", ordering="owner__email")
    def told_owner(self, line: Line) -> str:
        return link(line.owner.email, "accounts.user", line.owner_id) if line.owner else "in stock"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.standing_view)
        return [path("<uuid:line_id>/standing/", view, name="lines_line_standing"), *super().get_urls()]

    def standing_view(self, request: HttpRequest, line_id: UUID) -> HttpResponse:
        """Say that a card is in service, or why it is not."""
        line = _line(str(line_id))
        form = CardStanding(request.POST or None, initial={"standing": line.standing})
        back = reverse("admin:lines_line_change", args=[line_id])
        if request.method == "POST" and form.is_valid():
            told, who = form.cleaned_data, f"staff:{reading.staff_id(request)}"
            standing = Standing(told["standing"])
            lines.set_standing(line_id=line.id, standing=standing, who=who, why=told["why"], now=clock.now())
            messages.success(request, f"The card is now: {standing.label}.")
            return HttpResponseRedirect(back)
        does = (
            "While a card is not in service nothing is sold for it, and its pages say why and what can be done. "
            "What is booked on it stays, and its time runs."
        )
        about = [("Card", str(line)), ("Now", Standing(line.standing).label)]
        return self.form_page(request, "Card's standing", form, does=does, button="Set", back=back, about=about)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return reading.is_staff(request)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add a card to the stock."""
        form = NewCard(request.POST or None)
        back = reverse("admin:lines_line_changelist")
        if request.method == "POST" and form.is_valid():
            version, now = form.version, clock.now()
            try:
                line = lines.add_to_stock(
                    iccid=form.cleaned_data["iccid"],
                    carrier=version.carrier,
                    claim_code=form.cleaned_data["claim_code"],
                    plan_version=version,
                    who=f"staff:{reading.staff_id(request)}",
                    now=now,
                )
            except InvalidIccid:
                form.add_error("iccid", "This is not an ICCID: 19 or 20 digits that begin with 89 and pass the check.")
            else:
                _tell(request, line, now)
                return HttpResponseRedirect(reverse("admin:lines_line_change", args=[line.id]))
        does = (
            "The card is put into stock; whoever enters its ICCID and claim code owns it. "
            "A card that is there already stays as it is."
        )
        return self.form_page(request, "Add a card to stock", form, does=does, button="Add to stock", back=back)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One card: its whole ICCID, the time on it, what the carrier tells, its orders, what happened."""
        line, now = _line(object_id), clock.now()
        told = {
            "facts": _about(line, now),
            "standing_url": reverse("admin:lines_line_standing", args=[line.id]),
            "periods": _timeline(line, now),
            "orders": _orders(line),
            "timeline": records.story(journal.facts_about(line.id)),
        }
        return self.page(request, "card", f"Card {line}", told)


def _tell(request: HttpRequest, line: Line, now: datetime) -> None:
    if line.created_at == now:
        messages.success(request, "The card is in stock.")
    else:
        messages.warning(request, "This card was there already. Nothing was changed; its claim code is the old one.")


def _line(id: str) -> Line:
    try:
        line = queries.line(UUID(id))
    except ValueError:
        line = None
    if line is None:
        raise Http404
    return line


def _about(line: Line, now: datetime) -> list[tuple[str, object]]:
    owner = link(line.owner.email, "accounts.user", line.owner_id) if line.owner else "in stock"
    read = metering.latest_reading(line.id)
    told: list[tuple[str, object]] = [
        ("ICCID", line.iccid),
        ("MSISDN", line.msisdn or reading.NOTHING),
        ("Owner", owner),
        ("Market", line.market_id),
        ("Carrier", line.carrier),
        ("Sold with", link(line.plan_version, "catalogue.planversion", line.plan_version_id)),
        ("Zone", line.zone),
        ("Standing", Standing(line.standing).label),
        ("Added", when(line.created_at)),
        ("Claimed", when(line.claimed_at)),
        ("Id", line.id),
    ]
    if read:
        left = "unlimited" if read.unlimited else formats.volume(read.remaining_bytes)
        told += [
            ("The carrier's word", read.status or reading.NOTHING),
            ("Data left, as the carrier tells", left or reading.NOTHING),
            ("The carrier's end", when(read.expires_at)),
            ("As of", when(read.as_of)),
        ]
    return told


def _timeline(line: Line, now: datetime) -> dict[str, list]:
    timeline = queries.timeline(line, now)
    rows = [
        [
            link(reading.short(entry.period.id), "lines.period", entry.period.id),
            link(entry.period.plan_version, "catalogue.planversion", entry.period.plan_version_id),
            when(entry.span.starts_at),
            when(entry.span.ends_at),
            "running" if entry == timeline.running else "queued" if entry.projected else _past_or_next(entry, now),
            when(entry.period.carrier_ends_at),
        ]
        for entry in timeline.entries
    ]
    headers = ["period", "plan", "starts (UTC)", "ends (UTC)", "", "carrier's end (UTC)"]
    return {"headers": headers, "rows": rows}


def _past_or_next(entry: queries.Entry, now: datetime) -> str:
    return "over" if entry.span.ends_at <= now else "booked"


def _orders(line: Line) -> dict[str, list]:
    rows = [
        [
            when(order.placed_at),
            link(words.plain(order.state), "renewals.order", order.id),
            link(order.customer.email, "accounts.user", order.customer_id),
            amount(order.total_minor, order.currency),
        ]
        for order in Order.objects.filter(line=line).select_related("customer").order_by("-placed_at")[:50]
    ]
    return {"headers": ["placed (UTC)", "order", "customer", "total"], "rows": rows}
