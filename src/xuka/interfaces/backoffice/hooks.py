"""Webhook events as they came. What one says stands on its own page only: it may name a person."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from unfold.decorators import display

from xuka.interfaces.backoffice import reading, records, words
from xuka.interfaces.backoffice.reading import Choices, Reading, link, when
from xuka.journal import queries as journal
from xuka.payments.models import Event
from xuka.payments.rules import key_in

STATES = {
    Event.State.UNKNOWN: "About no payment of this shop: kept, without effect.",
    Event.State.STORED: "To be looked into within seconds.",
    Event.State.DIGESTED: "The payment that it is about was looked at.",
    Event.State.IGNORED: "Of a kind that never changes a payment or a refund.",
}


class EventFilter(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in STATES]


class Events(Reading):
    """What providers told. Hints where to look: their words decide nothing."""

    list_display = ("told_at", "told_state", "kind", "told_payment", "provider", "event_id")
    list_display_links = ("told_at",)
    list_filter = (EventFilter, reading.since("received_at", "received"))
    ordering = ("-received_at", "id")
    search_fields = ("event_id__startswith", "key__startswith", "charge__startswith", "kind__startswith")
    search_help_text = "The provider's id of the event, our key, the charge, or the kind"

    told_at = reading.at("received_at", "received")

    @display(description="state", ordering="state", label=words.STATE_COLOURS)
    def told_state(self, event: Event) -> tuple[str, str]:
        return event.state, event.state

    @display(description="about")
    def told_payment(self, event: Event) -> str:
        return _payment(event)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("body")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One event, with its words."""
        event = self.get_object(request, object_id)
        if event is None:
            raise Http404
        facts = [
            ("Means", STATES[Event.State(event.state)]),
            ("Kind", event.kind),
            ("About", _payment(event)),
            ("Our key in it", event.key or reading.NOTHING),
            ("Charge", event.charge or reading.NOTHING),
            ("Provider", event.provider),
            ("The provider's id", event.event_id),
            ("Received", when(event.received_at)),
        ]
        told = {
            "event": event,
            "colour": words.STATE_COLOURS[event.state],
            "facts": facts,
            "timeline": records.story(journal.facts_about(event.id)),
        }
        return self.page(request, "event", f"Event {event.event_id}", told)


def _payment(event: Event) -> str:
    id = key_in(event.key)
    if id is None or event.state == Event.State.UNKNOWN:
        return event.charge or reading.NOTHING
    return link(f"payment {reading.short(id)}", "payments.payment", id)
