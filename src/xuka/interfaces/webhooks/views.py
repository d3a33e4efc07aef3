"""What providers tell. Each is verified and stored before it is answered; what follows is a job's."""

from __future__ import annotations

import logging
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from xuka.interfaces import clock
from xuka.payments import contract, events, providers, rules

log = logging.getLogger(__name__)


@csrf_exempt
def receive(request: HttpRequest, provider: str) -> HttpResponse:
    """One event, signed over its raw body: 200 stored, 400 forged, 413 larger than any event, 503 to come again.

    One about no payment of ours is set aside and answered 200 too: it would be repeated for days, and tell the same.
    """
    if provider not in providers.installed():
        return problem(HTTPStatus.NOT_FOUND, "No such provider is used here.")
    if request.method != "POST":
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, "Events are posted.", Allow="POST")
    try:
        events.receive(provider=provider, body=_body(request), headers=_headers(request), now=clock.now())
    except events.TooLarge:
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This is larger than any event.")
    except (contract.Forged, UnreadablePostError):
        return problem(HTTPStatus.BAD_REQUEST, "The signature does not fit, or is too old.")
    except contract.CannotVerify:
        log.warning("whether a webhook of %s is genuine could not be found out; it is to come again", provider)
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "This cannot be verified now. Send it again later.")
    except events.UnknownPayment:
        log.warning("%s told of no payment of ours; the event is set aside", provider)
    return HttpResponse(providers.provider(provider).webhook_answer, status=HTTPStatus.OK, content_type="text/plain")


def _body(request: HttpRequest) -> bytes:
    """The raw body; of one that is too large no more than shows that it is."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdecimal() and (len(length) > 9 or int(length) > rules.EVENT_AT_MOST_BYTES):
        raise events.TooLarge
    return request.read(rules.EVENT_AT_MOST_BYTES + 1)


def _headers(request: HttpRequest) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def problem(status: HTTPStatus, title: str, **headers: str) -> HttpResponse:
    """A refusal as RFC 9457 has it."""
    told = {"type": "about:blank", "title": title, "status": int(status)}
    return JsonResponse(told, status=status, headers=headers, content_type="application/problem+json")
