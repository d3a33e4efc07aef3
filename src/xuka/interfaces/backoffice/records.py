"""What happened and what was said: facts, attempts, periods, quotes, messages, tickets."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.text import Truncator
from unfold.decorators import display

from xuka.activation.models import Attempt
from xuka.interfaces import clock
from xuka.interfaces.backoffice import reading, words
from xuka.interfaces.backoffice.forms import Reason
from xuka.interfaces.backoffice.reading import Choices, Listing, Reading, amount, card, link, when
from xuka.interfaces.web import texts
from xuka.journal.models import Fact
from xuka.lines.models import Period
from xuka.messaging import operations as messaging
from xuka.messaging.models import Message
from xuka.messaging.models import State as MessageState
from xuka.renewals.models import Quote
from xuka.support.models import Ticket

# -- facts ---------------------------------------------------------------------------------------------------------


def story(facts: list[Fact], currency: str = "") -> list[dict[str, object]]:
    """Facts as a timeline: what, who with a name, why, when, and the values that were written.

    ``currency`` is that of amounts which do not carry their own.
    """
    names = reading.names_of(fact.who for fact in facts)
    return [
        {
            "what": words.plain(fact.what.replace(".", " ")),
            "colour": words.STATE_COLOURS.get(fact.what.split(".")[-1], ""),
            "who": names.get(fact.who, fact.who),
            "why": fact.why if " " in fact.why else words.plain(fact.why),
            "when": when(fact.at),
            "changed": changes(fact, currency),
        }
        for fact in facts
    ]


def changes(fact: Fact, currency: str = "") -> str:
    """What a fact changed, on one line: "state: funded → activating"."""
    before, after = fact.before or {}, fact.after or {}
    currency = after.get("currency") or currency
    told = []
    for key in {**before, **after}:
        if key == "currency" and any(other.endswith("_minor") for other in after):
            continue
        values = [_value(key, values[key], currency) for values in (before, after) if key in values]
        told.append(f"{words.plain(key.removesuffix('_minor'))}: {' → '.join(values)}")
    return ", ".join(told)


def _value(key: str, value: Any, currency: str) -> str:
    """A stored value as people read it: money with its currency, moments without their fractions."""
    if value in (None, ""):
        return reading.NOTHING
    if key.endswith("_minor"):
        return amount(value, currency) if currency else f"{value} in the smallest unit"
    if key.endswith("_at") and isinstance(value, str):
        return when(datetime.fromisoformat(value))
    return words.plain(value) if key == "state" else str(value)


class AboutFilter(Choices):
    title = "about"
    parameter_name = "about"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = (
            "order", "activation", "payment", "refund", "card", "wallet", "fee",
            "line", "period", "message", "ticket", "user", "plan",
        )  # fmt: skip
        return [(kind, kind) for kind in kinds]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(what__startswith=f"{self.value()}.") if self.value() else queryset


class _FactList(Listing):
    """The people behind the facts of a page are looked up together."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        names = reading.names_of(fact.who for fact in self.result_list)
        for fact in self.result_list:
            fact.names = names


class Facts(Reading):
    """The journal: who did what, why, when."""

    list_display = ("told_at", "what", "told_subject", "told_who", "why", "told_changes")
    list_display_links = ("told_at",)
    list_filter = (AboutFilter, reading.since("at", "when"))
    ordering = ("-id",)
    search_fields = ("subject__startswith", "what__startswith", "who__startswith", "why__icontains")
    search_help_text = "The id it is about, what (order.active), who (staff:…, carrier:airalo, clock), or why"
    fields = ("id", "told_at", "what", "told_subject", "told_who", "why", "before", "after")

    told_at = reading.at("at", "when")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return _FactList

    @display(description="about")
    def told_subject(self, fact: Fact) -> str:
        return reading.subject_of(fact.what, fact.subject)

    @display(description="who")
    def told_who(self, fact: Fact) -> str:
        names: dict[str, str] | None = getattr(fact, "names", None)
        found = reading.names_of([fact.who]) if names is None else names
        return found.get(fact.who) or fact.who

    @display(description="changed")
    def told_changes(self, fact: Fact) -> str:
        return Truncator(changes(fact)).chars(120)


# -- activation ----------------------------------------------------------------------------------------------------


class AttemptFilter(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in Attempt.State]


class Attempts(Reading):
    """What carriers were asked, and what they said."""

    list_display = ("told_at", "told_state", "carrier", "told_card", "package", "told_asks", "told_why", "told_order")
    list_display_links = ("told_at",)
    list_filter = (AttemptFilter, reading.since("intended_at", "asked"))
    ordering = ("-intended_at",)
    search_fields = ("id__startswith", "cause__startswith", "reference__startswith", "iccid__endswith")
    search_help_text = "Attempt or order id, the carrier's reference, or the last digits of an ICCID"
    fields = (
        "id",
        "told_order",
        "ordinal",
        "told_state",
        "carrier",
        "told_card",
        "package",
        "told_asks",
        "looks",
        "reference",
        "reason",
        "detail",
        "told_at",
        "told_lease",
        "told_look",
        "told_retry",
        "told_absent",
        "told_watch",
        "told_activated",
        "told_end",
    )

    told_at = reading.at("intended_at", "first asked")
    told_lease = reading.at("lease_until", "somebody is asking until")
    told_look = reading.at("look_at", "looked for next")
    told_retry = reading.at("retry_at", "may be asked again")
    told_absent = reading.at("absent_at", "surely absent after")
    told_watch = reading.at("watch_until", "watched until")
    told_activated = reading.at("activated_at", "activated")
    told_end = reading.at("carrier_ends_at", "the carrier's own end")
    told_card = reading.masked_iccid()

    @display(description="state", ordering="state", label=words.STATE_COLOURS)
    def told_state(self, attempt: Attempt) -> tuple[str, str]:
        return attempt.state, words.plain(attempt.state)

    @display(description="asked")
    def told_asks(self, attempt: Attempt) -> str:
        return f"{attempt.asks}×, {attempt.unknown_asks} unanswered"

    @display(description="why")
    def told_why(self, attempt: Attempt) -> str:
        return words.plain(attempt.reason) or attempt.detail[:80]

    @display(description="order")
    def told_order(self, attempt: Attempt) -> str:
        return link(reading.short(attempt.cause), "renewals.order", attempt.cause)


# -- periods -------------------------------------------------------------------------------------------------------


class Periods(Reading):
    """The service that cards are entitled to."""

    list_display = ("told_id", "told_card", "told_plan", "told_start", "told_end", "told_carrier_end", "told_order")
    list_display_links = ("told_id",)
    list_filter = (reading.since("funded_at", "paid"),)
    list_select_related = ("line", "plan_version")
    ordering = ("-funded_at", "-id")
    search_fields = ("id__startswith", "order_id__startswith", "line__iccid__endswith")
    search_help_text = "Period or order id, or the last digits of an ICCID"
    fields = (
        "id",
        "told_card",
        "told_plan",
        "told_start",
        "told_end",
        "told_carrier_end",
        "track",
        "anchored_at",
        "zone",
        "told_order",
        "told_funded",
        "told_voided",
    )

    told_carrier_end = reading.at("carrier_ends_at", "the carrier's own end")
    told_funded = reading.at("funded_at", "paid")
    told_voided = reading.at("voided_at", "voided")

    @display(description="period")
    def told_id(self, period: Period) -> str:
        return reading.short(period.id)

    @display(description="card")
    def told_card(self, period: Period) -> str:
        return card(period.line)

    @display(description="plan", ordering="plan_version__plan")
    def told_plan(self, period: Period) -> str:
        return link(period.plan_version, "catalogue.planversion", period.plan_version_id)

    @display(description="starts (UTC)", ordering="span__startswith")
    def told_start(self, period: Period) -> str:
        return when(period.span.lower) if period.span else "queued"

    @display(description="ends (UTC)", ordering="span__endswith")
    def told_end(self, period: Period) -> str:
        return when(period.span.upper) if period.span else "queued"

    @display(description="order")
    def told_order(self, period: Period) -> str:
        return link(reading.short(period.order_id), "renewals.order", period.order_id)


# -- quotes --------------------------------------------------------------------------------------------------------


class Quotes(Reading):
    """What customers were promised."""

    list_display = ("told_at", "told_customer", "told_card", "told_plan", "told_total", "told_ends", "why_not")
    list_display_links = ("told_at",)
    list_filter = (reading.since("quoted_at", "quoted"),)
    list_select_related = ("customer", "line", "plan_version")
    ordering = ("-quoted_at", "-id")
    search_fields = ("id__startswith", "customer__email__icontains", "line__iccid__endswith")
    search_help_text = "Quote id, e-mail address, or the last digits of an ICCID"
    fields = (
        "id",
        "told_customer",
        "told_card",
        "told_plan",
        "told_lines",
        "told_total",
        "told_tax",
        "starts_on_activation",
        "told_starts",
        "told_ends",
        "told_kept",
        "told_lost",
        "why_not",
        "told_at",
        "told_expires",
    )

    told_at = reading.at("quoted_at", "quoted")
    told_expires = reading.at("expires_at", "promised until")
    told_starts = reading.at("starts_at", "starts")
    told_ends = reading.at("ends_at", "would end")
    told_total = reading.money("total_minor", "currency", "total")
    told_tax = reading.money("tax_minor", "currency", "tax inside")

    @display(description="customer", ordering="customer__email")
    def told_customer(self, quote: Quote) -> str:
        return link(quote.customer.email, "accounts.user", quote.customer_id)

    @display(description="card")
    def told_card(self, quote: Quote) -> str:
        return card(quote.line)

    @display(description="plan", ordering="plan_version__plan")
    def told_plan(self, quote: Quote) -> str:
        return link(quote.plan_version, "catalogue.planversion", quote.plan_version_id)

    @display(description="price lines")
    def told_lines(self, quote: Quote) -> str:
        told = ((line["label"], amount(line["amount_minor"], quote.currency)) for line in quote.lines)
        return format_html_join(", ", "{}: {}", told)

    @display(description="kept")
    def told_kept(self, quote: Quote) -> str:
        return " · ".join(texts.kept(quote.kept, quote.zone)) or reading.NOTHING

    @display(description="lost")
    def told_lost(self, quote: Quote) -> str:
        return " · ".join(texts.lost(quote.lost, quote.zone)) or reading.NOTHING


# -- messages ------------------------------------------------------------------------------------------------------


class MessageFilter(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in MessageState]


class Messages(Reading):
    """The outbox. A failed message can be sent again; a secret one (a sign-in code) is shown to nobody."""

    list_display = ("told_at", "told_state", "told_kind", "to", "told_subject", "tries", "told_sent", "told_error")
    list_display_links = ("told_at",)
    list_filter = (MessageFilter, reading.since("queued_at", "queued"))
    ordering = ("-queued_at", "-id")
    search_fields = ("to__icontains", "id__startswith", "cause__startswith")
    search_help_text = "E-mail address, message id, or the id of what it is about"

    told_at = reading.at("queued_at", "queued")
    told_sent = reading.at("sent_at", "sent")

    @display(description="state", ordering="state", label=words.STATE_COLOURS)
    def told_state(self, message: Message) -> tuple[str, str]:
        return message.state, words.plain(message.state)

    @display(description="kind", ordering="kind")
    def told_kind(self, message: Message) -> str:
        return words.plain(message.kind)

    @display(description="subject")
    def told_subject(self, message: Message) -> str:
        return "(secret)" if message.secret else Truncator(message.subject).chars(60)

    @display(description="last error")
    def told_error(self, message: Message) -> str:
        return message.error[:80]

    def get_urls(self) -> list[URLPattern]:
        again = self.admin_site.admin_view(self.again_view)
        return [path("<uuid:message_id>/again/", again, name="messaging_message_again"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One message and what became of it."""
        message = self.get_object(request, object_id)
        if message is None:
            raise Http404
        told = {
            "message": message,
            "state": words.plain(message.state),
            "colour": words.STATE_COLOURS[message.state],
            "facts": _delivery(message),
            "can_be_sent_again": _can_be_sent_again(message),
        }
        return self.page(request, "message", f"Message {reading.short(message.id)}", told)

    def again_view(self, request: HttpRequest, message_id: UUID) -> HttpResponse:
        """Put a failed message back into the outbox, with a reason, and try it now."""
        message = self.get_object(request, str(message_id))
        if message is None or not _can_be_sent_again(message):
            raise Http404
        form = Reason(request.POST or None)
        back = reverse("admin:messaging_message_change", args=[message_id])
        if request.method == "POST" and form.is_valid():
            who = f"staff:{reading.staff_id(request)}"
            messaging.try_again(message_id=message_id, who=who, why=form.cleaned_data["why"], now=clock.now())
            messages.success(request, "The message is on its way again.")
            return HttpResponseRedirect(back)
        does = (
            "The same message is put back into the outbox and tried at once, with the full number of further tries. "
            "If the first one did arrive after all, the mailbox sees by its id that they are the same."
        )
        about = [("To", message.to), ("Message", words.plain(message.kind)), ("Last error", message.error)]
        return self.form_page(request, "Send again", form, does=does, button="Send again now", back=back, about=about)


def _can_be_sent_again(message: Message) -> bool:
    return message.state == MessageState.FAILED and not message.secret


def _delivery(message: Message) -> list[tuple[str, object]]:
    customer = link("the customer's page", "accounts.user", message.customer_id) if message.customer_id else "nobody's"
    return [
        ("To", message.to),
        ("Customer", customer),
        ("Kind", words.plain(message.kind)),
        ("Channel", message.channel),
        ("Language", message.language),
        ("About", message.cause),
        ("Tries", message.tries),
        ("Queued", when(message.queued_at)),
        ("Next try", when(message.next_try_at)),
        ("Sent", when(message.sent_at)),
        ("Reference", message.reference or reading.NOTHING),
        ("Last error", message.error or reading.NOTHING),
    ]


# -- tickets -------------------------------------------------------------------------------------------------------


class Tickets(Reading):
    """What customers wrote. The answer goes by mail."""

    list_display = ("told_at", "told_from", "told_order", "language", "told_text")
    list_display_links = ("told_at",)
    list_filter = (reading.since("opened_at", "opened"),)
    list_select_related = ("customer",)
    ordering = ("-opened_at", "-id")
    search_fields = ("email__icontains", "id__startswith", "order_id__startswith", "text__icontains")
    search_help_text = "E-mail address, ticket or order id, or words of the text"
    fields = ("id", "told_at", "told_from", "told_order", "language", "text")

    told_at = reading.at("opened_at", "opened")

    @display(description="from", ordering="email")
    def told_from(self, ticket: Ticket) -> str:
        return link(ticket.email, "accounts.user", ticket.customer_id) if ticket.customer_id else ticket.email

    @display(description="order")
    def told_order(self, ticket: Ticket) -> str:
        return link(reading.short(ticket.order_id), "renewals.order", ticket.order_id) if ticket.order_id else "–"

    @display(description="text")
    def told_text(self, ticket: Ticket) -> str:
        return ticket.text[:120]
