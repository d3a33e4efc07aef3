"""Families: who organises whom, and what was agreed to. Nothing is changed here: only its people can do that."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from unfold.decorators import display

from xuka.accounts.models import Family, Membership
from xuka.interfaces.backoffice import reading
from xuka.interfaces.backoffice.reading import Choices, Reading, link, when


class Standing(Choices):
    title = "family"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "open"), ("closed", "closed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(closed_at__isnull=self.value() == "open") if self.value() else queryset


class Families(Reading):
    """Every family, with its organiser and how many members it has now."""

    list_display = ("told_founded", "told_organiser", "told_members", "told_standing")
    list_display_links = ("told_founded",)
    list_filter = (Standing,)
    ordering = ("-founded_at", "id")
    search_fields = ("id__startswith",)
    search_help_text = "Id"
    fields = ("id", "told_founded", "told_closed", "told_people")

    told_founded = reading.at("founded_at", "founded")
    told_closed = reading.at("closed_at", "closed")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """With the organiser's id and address, and the number of members, in the same query."""
        people = Membership.objects.filter(family=OuterRef("pk"))
        heads = people.filter(place=0).order_by(F("left_at").desc(nulls_first=True))
        now = people.filter(left_at__isnull=True, place__gt=0).order_by().values("family")
        return (
            super()
            .get_queryset(request)
            .annotate(
                organiser_id=Subquery(heads.values("customer_id")[:1]),
                organiser_email=Subquery(heads.values("customer__email")[:1]),
                members=Coalesce(Subquery(now.annotate(number=Count("id")).values("number")), 0),
            )
        )

    @display(description="organiser")
    def told_organiser(self, family: Any) -> str:
        return link(family.organiser_email, "accounts.user", family.organiser_id)

    @display(description="members")
    def told_members(self, family: Any) -> int:
        return family.members

    @display(description="state", label={"open": "success"})
    def told_standing(self, family: Family) -> str:
        return "closed" if family.closed_at else "open"

    @display(description="people")
    def told_people(self, family: Family) -> str:
        """Everybody who is or was in it: since when, until when and why, and the version of what they agreed to."""
        people = Membership.objects.select_related("customer").filter(family=family).order_by("joined_at", "id")
        rows = (
            (
                link(one.customer.email, "accounts.user", one.customer_id),
                "organiser" if one.is_organiser else f"member ({one.consent_version})",
                when(one.joined_at),
                f"{when(one.left_at)} ({one.why_left})" if one.left_at else "now",
            )
            for one in people
        )
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{}: {}, {} – {}</li>", rows))
