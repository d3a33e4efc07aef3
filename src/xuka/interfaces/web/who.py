"""Who asks, and what is theirs. Someone else's is as if it were not there."""

from __future__ import annotations

from uuid import UUID

from allauth.core.internal import ratelimit
from django.http import Http404, HttpRequest, HttpResponse

from xuka.accounts.models import User
from xuka.lines import queries as lines_queries
from xuka.lines.queries import Line
from xuka.renewals import queries as renewals_queries
from xuka.renewals.models import Order

# How often a person may try a card's claim code, ask the carrier what it offers, begin a payment, or write.
LIMITS = {
    "claim": "10/m/user,60/d/user,100/d/ip",
    "quote": "30/m/user",
    "gift": "10/m/user,40/d/user,100/d/ip",
    "pay": "30/m/user",
    "invite": "5/m/user,30/d/user",
    "contact": "5/m/ip,40/d/ip",
}


def customer(request: HttpRequest) -> User:
    """The person who is signed in."""
    assert isinstance(request.user, User)
    return request.user


def person(request: HttpRequest) -> User | None:
    """The person who is signed in, if somebody is."""
    return customer(request) if request.user.is_authenticated else None


def too_often(request: HttpRequest, action: str) -> HttpResponse | None:
    """Our own limits, counted in the same shared cache as those of sign-in."""
    return ratelimit.consume_or_429(request, app="xuka.web", action=action, config=LIMITS)


def line(request: HttpRequest, line_id: UUID) -> Line:
    """This person's card, or 404."""
    found = lines_queries.line_of(customer(request).id, line_id)
    if found is None:
        raise Http404
    return found


def line_to_renew(request: HttpRequest, line_id: UUID) -> Line:
    """A card that this person may renew, their own or a family member's, or 404."""
    found = lines_queries.line_to_renew(customer(request).id, line_id)
    if found is None:
        raise Http404
    return found


def order(request: HttpRequest, order_id: UUID) -> Order:
    """This person's order, or 404."""
    found = renewals_queries.order_of(customer(request).id, order_id)
    if found is None:
        raise Http404
    return found
