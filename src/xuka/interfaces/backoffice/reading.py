"""What every staff list and page has in common: it shows, it never edits. Columns, links and amounts in one hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.admin import SimpleListFilter
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.views import ChangeList

from xuka.accounts.models import User
from xuka.interfaces import clock
from xuka.interfaces.web import formats
from xuka.kernel import ids
from xuka.kernel.money import Money

NOTHING = "–"


class Listing(ChangeList):
    """A list that counts its rows once, and offers "show all" only when some are left out."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.filter_params:
            self.full_result_count = self.result_count


class Reading(ModelAdmin):
    """A read-only list and page of one table. What staff may do is a button that calls an operation."""

    actions = None
    list_per_page = 50
    show_full_result_count = False
    list_fullwidth = True
    list_filter_sheet = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_staff(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return is_staff(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return Listing

    def page(self, request: HttpRequest, template: str, title: str, told: dict[str, Any]) -> TemplateResponse:
        """A page of our own in the admin's frame."""
        frame = {**self.admin_site.each_context(request), "title": title}
        return TemplateResponse(request, f"backoffice/{template}.html", frame | told)

    def form_page(self, request: HttpRequest, title: str, form: Any, **told: Any) -> HttpResponse:
        """A small form that says what will happen. 400 when what was sent could not be done."""
        response = self.page(request, "form", title, {"form": form, **told})
        response.status_code = 400 if form.errors else 200
        return response


def is_staff(request: HttpRequest) -> bool:
    """Whether the request comes from somebody who works here."""
    return isinstance(request.user, User) and request.user.is_active and request.user.is_staff


def staff_id(request: HttpRequest) -> UUID:
    """Who presses the button."""
    assert isinstance(request.user, User), "only staff reaches these pages"
    return request.user.id


class Choices(SimpleListFilter):
    """A filter over a fixed list, so that no table is read for its distinct values."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


def since(field: str, title: str) -> type[SimpleListFilter]:
    """A filter for the past day, week or month by our own clock, which the demo can push."""

    class Since(SimpleListFilter):
        parameter_name = "since"

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
            return [("1", "past 24 hours"), ("7", "past 7 days"), ("30", "past 30 days")]

        def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
            days = dict(self.lookups(request, None)).keys() & {self.value()}
            return queryset.filter(**{f"{field}__gt": clock.now() - timedelta(days=int(*days))}) if days else queryset

    Since.title = title
    return Since


# -- amounts, times, links -----------------------------------------------------------------------------------------


def amount(minor: int | None, unit: str) -> str:
    """Minor units as people write them; units that are no currency ("points") by their name."""
    if minor is None:
        return NOTHING
    return formats.money(Money(minor, unit)) if len(unit) == 3 and unit.isupper() else f"{minor} {unit}"


def when(moment: datetime | None) -> str:
    """A moment in UTC, the same for all staff."""
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else NOTHING


def link(text: object, model: str, id: object) -> str:
    """A link to the page of a row: ``link("…1234", "lines.line", id)``; the plain text when there is no page."""
    if not id or not text:
        return str(text or NOTHING)
    try:
        url = reverse(f"admin:{model.replace('.', '_')}_change", args=[id])
    except NoReverseMatch:
        return str(text)
    return format_html('<a class="bo-link" href="{}">{}</a>', url, text)


def card(line: Any) -> str:
    """A card by its last digits, with a link to the only page that shows them all; None is an eSIM still to come."""
    if line is None:
        return "a new eSIM"
    return link(ids.masked(line.iccid), "lines.line", line.id)


def short(id: object) -> str:
    """The head of an id, enough to tell rows apart."""
    return str(id)[:8]


# A subject is an id without a type; what the fact is called tells which page it has.
_PAGES = {
    "order": "renewals.order",
    "activation": "renewals.order",
    "line": "lines.line",
    "period": "lines.line",
    "wallet": "accounts.user",
    "user": "accounts.user",
    "message": "messaging.message",
    "ticket": "support.ticket",
    "recovery": "support.recovery",
    "plan": "catalogue.planversion",
    # What moves the order is told of the order, the rest of the payment or refund itself.
    "payment": "renewals.order",
    "payment.closing": "payments.payment",
    "payment.mismatched": "payments.payment",
    "payment.event_stored": "payments.event",
    "payment.event_unknown": "payments.event",
    "refund": "payments.refund",
    "refund.done": "renewals.order",
    "refund.decided": "renewals.order",
    "fee": "payments.methodfee",
    "settlement": "payments.settlementreport",
    "voucher": "payments.voucherbatch",
}


def subject_of(what: str, subject: UUID) -> str:
    """A link to what a fact is about."""
    return link(short(subject), _PAGES.get(what) or _PAGES.get(what.split(".")[0], ""), subject)


def names_of(whos: Iterable[str]) -> dict[str, str]:
    """The journal's "staff:<uuid>" and "customer:<uuid>" as e-mail addresses with a link, in one query."""
    people = {who: who.split(":", 1)[1] for who in set(whos) if who.startswith(("staff:", "customer:"))}
    mails = dict(User.objects.filter(id__in=people.values()).values_list("id", "email")) if people else {}
    found = {str(id): mail for id, mail in mails.items()}
    return {who: link(found[id], "accounts.user", id) for who, id in people.items() if id in found}


# -- columns -------------------------------------------------------------------------------------------------------


def at(field: str, title: str) -> Any:
    """A column of a moment."""

    @display(description=f"{title} (UTC)", ordering=field)
    def column(self: Reading, row: Any) -> str:
        # A list is read for the minute; the second is on the row's own page.
        return format_html('<span class="bo-moment">{}</span>', when(getattr(row, field))[:16])

    return column


def money(field: str, unit: str, title: str) -> Any:
    """A column of an amount."""

    @display(description=title, ordering=field)
    def column(self: Reading, row: Any) -> str:
        return amount(getattr(row, field), getattr(row, unit))

    return column


def mode(title: str = "mode") -> Any:
    """A column of the mode: test, or live where real money moves."""

    @display(description=title, ordering="is_live", label={"live": "success", "test": ""})
    def column(self: Reading, row: Any) -> tuple[str, str]:
        return mode_of(row.is_live), mode_of(row.is_live)

    return column


def mode_of(is_live: bool) -> str:
    """The mode in a word."""
    return "live" if is_live else "test"


def masked_iccid(title: str = "card") -> Any:
    """A column of the last digits of an ICCID."""

    @display(description=title, ordering="iccid")
    def column(self: Reading, row: Any) -> str:
        return format_html('<span class="bo-moment">{}</span>', ids.masked(row.iccid))

    return column
