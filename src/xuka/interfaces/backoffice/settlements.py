"""Settlement reports by day and provider, what differs from the books, and the files that some providers hand out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.decorators import action, display

from xuka.interfaces import clock
from xuka.interfaces.backoffice import reading, records, words
from xuka.interfaces.backoffice.forms import Reason, Statement, say
from xuka.interfaces.backoffice.reading import Choices, Reading, amount, link, when
from xuka.journal import queries as journal
from xuka.payments import contract, providers, reconciliation
from xuka.payments.models import SettlementDifference, SettlementReport
from xuka.payments.reconciliation_rules import Kind

_OPEN = Count("differences", Q(differences__state=SettlementDifference.State.OPEN))
CANNOT_TAKE = {
    "too_large": "The file is larger than 8 MB. Download it for fewer days.",
    "empty": "The file tells of no money that moved. Nothing was kept.",
    "too_long": "The file spans more than 400 days. Download it for fewer days.",
}
TAKES = (
    "The file is read and held against the books. Rows that are known already are left as they are: the same file "
    "again changes nothing."
)
SETTLES = (
    "You have seen to this difference. No money moves, and nothing is booked by it. It stays settled as long as its "
    "amounts do not change."
)


class ReportFilter(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, words.plain(state)) for state in SettlementReport.State]


class DifferenceFilter(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, words.plain(state)) for state in SettlementDifference.State]


class KindFilter(Choices):
    title = "what"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, words.plain(kind)) for kind in Kind]


# -- reports -------------------------------------------------------------------------------------------------------


class Reports(Reading):
    """What each provider says that moved, day by day, and whether the books agree."""

    list_display = (
        "told_day",
        "told_state",
        "told_open",
        "provider",
        "told_mode",
        "rows_read",
        "told_sums",
        "told_read_at",
    )
    list_display_links = ("told_day",)
    list_filter = (ReportFilter, reading.since("read_at", "read"))
    ordering = ("-day", "provider", "id")
    search_fields = ("provider__startswith",)
    search_help_text = "The provider's name"
    actions_list = ("statement_view",)

    told_mode = reading.mode()
    told_read_at = reading.at("read_at", "read")

    @display(description="day", ordering="day")
    def told_day(self, report: SettlementReport) -> str:
        return report.day.isoformat()

    @display(description="state", label=words.STATE_COLOURS)
    def told_state(self, report: Any) -> tuple[str, str]:
        return _state_of(report, report.open_ones)

    @display(description="open", ordering="open_ones")
    def told_open(self, report: Any) -> str:
        return str(report.open_ones or reading.NOTHING)

    @display(description="moved")
    def told_sums(self, report: SettlementReport) -> str:
        return "; ".join(f"{name} {told}" for name, told in _sums(report))

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(open_ones=_OPEN)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One report: its sums, what differs, and who settled it."""
        report: Any = self.get_object(request, object_id)
        if report is None:
            raise Http404
        state, plain = _state_of(report, report.open_ones)
        facts = [
            ("Provider", f"{report.provider} ({reading.mode_of(report.is_live)})"),
            ("Day", report.day.isoformat()),
            ("Why it is not read", report.detail),
            ("Read", when(report.read_at)),
            ("From", _source(report)),
            ("Rows", report.rows_read),
            *((name.capitalize(), told) for name, told in _sums(report)),
        ]
        differences = report.differences.select_related("payment", "refund").order_by("state", "found_at", "id")
        told = {
            "report": report,
            "state": plain,
            "colour": words.STATE_COLOURS[state],
            "facts": [(name, value) for name, value in facts if value not in ("", reading.NOTHING)],
            "differences": _table(differences),
            "timeline": records.story(journal.facts_about(report.id)),
        }
        return self.page(request, "settlement", f"{report.provider}, {report.day}", told)

    @action(description="Bring a file", url_path="statement")  # type: ignore[reportCallIssue]
    def statement_view(self, request: HttpRequest) -> HttpResponse:
        """Take a settlement file. The same file again changes nothing."""
        back = reverse("admin:payments_settlementreport_changelist")
        form = Statement(request.POST or None, request.FILES or None, providers=providers.installed())
        if request.method == "POST" and form.is_valid():
            name, file = form.cleaned_data["provider"], form.cleaned_data["file"]
            try:
                reports = _take(name, file, f"staff:{reading.staff_id(request)}")
            except reconciliation.CannotTake as error:
                form.add_error("file", CANNOT_TAKE[error.code])
            except contract.UnreadableStatement as seen:
                form.add_error("file", f"This is no settlement file of {name} ({seen}). Nothing was kept.")
            else:
                rows = sum(report.rows_read for report in reports)
                messages.success(request, f"{reports[0].day} to {reports[-1].day}: {rows} rows are kept.")
                return HttpResponseRedirect(back)
        return self.form_page(request, "Bring a file", form, does=TAKES, button="Read the file", back=back)


def _take(provider: str, file: Any, who: str) -> list[SettlementReport]:
    if file.size > reconciliation.STATEMENT_AT_MOST_BYTES:
        raise reconciliation.CannotTake("too_large")
    return reconciliation.take_statement(provider=provider, content=file.read(), who=who, now=clock.now())


def _state_of(report: SettlementReport, open_ones: int) -> tuple[str, str]:
    """Green when it was read and the books agree, orange otherwise."""
    if report.state == SettlementReport.State.READ and open_ones:
        return "differs", f"{open_ones} to look at"
    names = {"waiting": "not told yet", "by_file": "wants a file", "read": "agrees"}
    return report.state, names[report.state]


def _source(report: SettlementReport) -> str:
    if report.source in {"", "call"}:
        return report.source and "the provider, by a call"
    return f"a file, SHA-256 {report.source[:16]}…"


def _sums(report: SettlementReport) -> list[tuple[str, str]]:
    return [
        (words.plain(kind), ", ".join(amount(minor, currency) for currency, minor in sorted(told.items())))
        for kind, told in sorted(report.sums.items())
    ]


# -- differences ---------------------------------------------------------------------------------------------------


class Differences(Reading):
    """On what reports and books do not agree, why that may be, and what to do."""

    list_display = (
        "told_found_at",
        "told_state",
        "told_kind",
        "told_here",
        "told_there",
        "told_about",
        "told_order",
        "told_report",
    )
    list_display_links = ("told_found_at",)
    list_filter = (DifferenceFilter, KindFilter, reading.since("found_at", "found"))
    list_select_related = ("report", "payment", "refund")
    ordering = ("state", "-found_at", "id")  # "open" comes first in the alphabet
    search_fields = ("about__startswith", "payment__id__startswith", "payment__cause__startswith")
    search_help_text = "Payment, refund or order id, or how the provider names it"

    told_found_at = reading.at("found_at", "found")
    told_here = reading.money("here_minor", "here_currency", "here")
    told_there = reading.money("there_minor", "there_currency", "there")

    @display(description="state", ordering="state", label=words.STATE_COLOURS | {"open": "warning"})
    def told_state(self, one: SettlementDifference) -> tuple[str, str]:
        return one.state, words.plain(one.state)

    @display(description="what", ordering="kind")
    def told_kind(self, one: SettlementDifference) -> str:
        return words.plain(one.kind)

    @display(description="about")
    def told_about(self, one: SettlementDifference) -> str:
        return _about(one)

    @display(description="order")
    def told_order(self, one: SettlementDifference) -> str:
        return _order(one)

    @display(description="report", ordering="report__day")
    def told_report(self, one: SettlementDifference) -> str:
        return link(str(one.report), "payments.settlementreport", one.report_id)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.settle_view)
        return [
            path("<uuid:difference_id>/settle/", view, name="payments_settlementdifference_settle"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One difference: what it is, its probable cause, what to do, and how it ended."""
        one: Any = self.get_object(request, object_id)
        if one is None:
            raise Http404
        told = {
            "one": one,
            "state": words.plain(one.state),
            "colour": "warning" if one.state == "open" else "success",
            "action": words.SETTLEMENT_ACTIONS[one.action],
            "facts": _facts(one),
        }
        return self.page(request, "settlement_difference", words.plain(one.kind), told)

    def settle_view(self, request: HttpRequest, difference_id: UUID) -> HttpResponse:
        """Say that it was seen to, and how."""
        one = SettlementDifference.objects.filter(id=difference_id).select_related("report", "payment").first()
        if one is None:
            raise Http404
        form, back = (
            Reason(request.POST or None),
            reverse("admin:payments_settlementreport_change", args=[one.report_id]),
        )
        if one.state != SettlementDifference.State.OPEN:
            say(form, "This difference is closed already. Nothing was changed.")
        elif request.method == "POST" and form.is_valid():
            try:
                reconciliation.settle(
                    difference_id=one.id,
                    staff=reading.staff_id(request),
                    why=form.cleaned_data["why"],
                    now=clock.now(),
                )
            except reconciliation.CannotSettle:
                say(form, "This difference was closed at this moment. Nothing was changed.")
            else:
                messages.success(request, "Settled.")
                return HttpResponseRedirect(back)
        told = {"does": SETTLES, "button": "Settle with this reason", "back": back, "about": _facts(one)}
        return self.form_page(request, "Settle a difference", form, **told)


def _about(one: SettlementDifference) -> str:
    """Our refund or payment with a link; what is not ours, as the provider names it."""
    if one.refund_id:
        return link(f"refund {reading.short(one.refund_id)}", "payments.refund", one.refund_id)
    if one.payment_id:
        return link(f"payment {reading.short(one.payment_id)}", "payments.payment", one.payment_id)
    return one.about


def _order(one: SettlementDifference) -> str:
    cause = one.payment.cause if one.payment else None
    return link(reading.short(cause), "renewals.order", cause) if cause else reading.NOTHING


def _facts(one: SettlementDifference) -> list[tuple[str, object]]:
    who = reading.names_of([one.settled_by]).get(one.settled_by, one.settled_by)
    rows = [
        ("What", words.plain(one.kind)),
        ("About", _about(one)),
        ("Order", _order(one)),
        ("Here", amount(one.here_minor, one.here_currency)),
        ("There", amount(one.there_minor, one.there_currency)),
        ("Probably", words.SETTLEMENT_CAUSES[one.cause]),
        ("To do", words.SETTLEMENT_ACTIONS[one.action]),
        ("Row in the report", one.row.row if one.row else ""),
        ("Report", link(str(one.report), "payments.settlementreport", one.report_id)),
        ("Found", when(one.found_at)),
        ("Closed", when(one.settled_at)),
        ("By", who),
        ("Why", one.why),
    ]
    return [(name, value) for name, value in rows if value not in ("", reading.NOTHING)]


def _table(rows: Any) -> dict[str, list]:
    cells = [
        [
            link(words.plain(one.kind), "payments.settlementdifference", one.id),
            _about(one),
            _order(one),
            amount(one.here_minor, one.here_currency),
            amount(one.there_minor, one.there_currency),
            words.SETTLEMENT_CAUSES[one.cause],
            words.SETTLEMENT_ACTIONS[one.action],
            words.plain(one.state) if one.state == "open" else f"{words.plain(one.state)}: {one.why}",
        ]
        for one in rows
    ]
    return {"headers": ["what", "about", "order", "here", "there", "probably", "to do", "state"], "rows": cells}
