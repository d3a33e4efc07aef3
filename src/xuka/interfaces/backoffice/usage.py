"""How usage records come in: who sends them, the files they came in, and the records that were not counted."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from xuka.interfaces.backoffice import reading, words
from xuka.interfaces.backoffice.reading import Choices, Reading, link
from xuka.metering.models import Delivery, Rejected, Source

# Every word for why a record is not counted, and what it means to people.
REASONS = {
    "absurd": "More than any network carries in that time.",
    "cut_off": "The file ends in the middle of it.",
    "encoding": "Not in the encoding that the mapping names.",
    "ends_before_start": "It ends before it starts.",
    "in_the_future": "It ends more than 10 minutes from now.",
    "line_too_long": "The line has more than 64 KiB.",
    "missing_column": "The line has fewer columns than the mapping reads.",
    "missing_field": "A field that every record has is not there.",
    "negative": "A number in it is below zero.",
    "no_record_id": "It has no id, or one of more than 120 characters.",
    "no_such_time": "The clocks of its zone jumped over this time.",
    "no_zone": "Its time does not say how far it is from UTC, and the source has no zone.",
    "not_a_flag": "A field is neither one of the words for yes nor one for no.",
    "not_a_network": "Its network is not a MCC and a MNC.",
    "not_a_number": "A field is not a number.",
    "not_a_time": "A field is not a time of the form that the mapping names.",
    "not_an_iccid": "Its card's number is no ICCID.",
    "not_an_object": "The line is JSON, but not an object.",
    "not_json": "The line is not JSON.",
    "not_text": "Its id has characters that cannot be printed.",
    "nothing_told": "It tells no volume, no second and no message.",
    "quotes": "A quote in the line does not close.",
    "too_long": "It lasts more than 31 days.",
    "too_old": "It began more than 45 days ago.",
    "unknown_field": "It has a field that no record has.",
    "unknown_line": "No card of this shop has this ICCID.",
}


class SourceFilter(Choices):
    title = "source"
    parameter_name = "source__name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in Source.objects.order_by("name").values_list("name", flat=True)]


class Sources(Reading):
    """Who sends usage records, and what became of them."""

    list_display = ("name", "counted", "repeated", "corrected", "told_rejected", "told_heard", "told_known")
    list_display_links = ("name",)
    ordering = ("name",)
    search_fields = ("name__startswith",)
    search_help_text = "The source's name"
    fields = ("name", "counted", "repeated", "corrected", "told_rejected", "told_heard", "told_known")

    told_heard = reading.at("heard_at", "last heard")
    told_known = reading.at("known_until", "all known until")

    @display(description="rejected", ordering="rejected")
    def told_rejected(self, source: Source) -> str:
        if not source.rejected:
            return "0"
        url = reverse("admin:metering_rejected_changelist")
        address = f"{url}?source__name={source.name}"
        return format_html('<a class="bo-link" href="{}">{}</a>', address, source.rejected)


class StateFilter(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, words.plain(state.value)) for state in Delivery.State]


class Deliveries(Reading):
    """The files of usage records. Their rejected lines lie in the source's folder, under ``rejected``."""

    list_display = ("told_began", "told_source", "name", "told_state", "told_progress", "counted", "repeated",
                    "rejected", "told_reasons")  # fmt: skip
    list_display_links = ("told_began",)
    list_filter = (StateFilter, SourceFilter, reading.since("began_at", "begun"))
    list_select_related = ("source",)
    ordering = ("-id",)
    search_fields = ("name__icontains", "sha256__startswith")
    search_help_text = "The file's name, or the head of its SHA-256"
    fields = ("told_source", "name", "sha256", "size_bytes", "told_state", "told_progress", "counted", "repeated",
              "rejected", "told_reasons", "error", "told_began", "told_ended")  # fmt: skip

    told_began = reading.at("began_at", "begun")
    told_ended = reading.at("ended_at", "ended")

    @display(description="source", ordering="source__name")
    def told_source(self, delivery: Delivery) -> str:
        return link(delivery.source.name, "metering.source", delivery.source_id)

    @display(description="state", ordering="state", label=words.STATE_COLOURS)
    def told_state(self, delivery: Delivery) -> tuple[str, str]:
        return delivery.state, words.plain(delivery.state)

    @display(description="read")
    def told_progress(self, delivery: Delivery) -> str:
        if delivery.state == Delivery.State.SEEN_BEFORE:
            return reading.NOTHING
        share = 100 * delivery.read_bytes // max(1, delivery.size_bytes)
        return format_html('<progress max="100" value="{}" aria-label="read"></progress> {}\u00a0%', share, share)

    @display(description="why rejected")
    def told_reasons(self, delivery: Delivery) -> str:
        told = sorted(delivery.reasons.items(), key=lambda one: -one[1])
        return ", ".join(f"{words.plain(reason)}: {count}" for reason, count in told) or delivery.error[:120] or "–"


class ReasonFilter(Choices):
    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason, words.plain(reason)) for reason in REASONS]


class RejectedRecords(Reading):
    """Records that were pushed or came over the stream and were not counted. What they hold is the sender's."""

    list_display = ("told_at", "told_source", "told_reason", "batch", "place")
    list_display_links = ("told_at",)
    list_filter = (ReasonFilter, SourceFilter, reading.since("at", "when"))
    list_select_related = ("source",)
    ordering = ("-id",)
    search_fields = ("batch__startswith",)
    search_help_text = "The message or the request it came in"
    fields = ("told_at", "told_source", "told_reason", "told_meaning", "batch", "place", "content")

    told_at = reading.at("at", "when")

    @display(description="source", ordering="source__name")
    def told_source(self, rejected: Rejected) -> str:
        return link(rejected.source.name, "metering.source", rejected.source_id)

    @display(description="reason", ordering="reason")
    def told_reason(self, rejected: Rejected) -> str:
        return words.plain(rejected.reason)

    @display(description="means")
    def told_meaning(self, rejected: Rejected) -> str:
        return REASONS.get(rejected.reason, reading.NOTHING)
