"""What a plan would do, for programs: periods, what is kept and lost, and from when one can renew. It writes nothing.

Open to everybody for plans on sale and for any version; a document that is not a plan yet is staff's.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from allauth.core.internal import ratelimit
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xuka.accounts.models import User
from xuka.catalogue import queries as catalogue
from xuka.catalogue import rules
from xuka.catalogue.rules import Policy
from xuka.interfaces import simulating
from xuka.interfaces.api import plans
from xuka.interfaces.api.problems import problem
from xuka.interfaces.simulating import Active, Did, Event, NotAMoment, moment_of
from xuka.renewals.simulator import Happened

AT_MOST_BYTES = 32 * 1024
LIMITS = {"simulate": "60/m/ip"}
NO_PLAN = "There is no such plan on sale, and no version of this id."

Moment = Annotated[str, Field(max_length=40, description="2026-01-31T10:00 on the zone's clock, or with an offset.")]


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Then(_Told):
    """Something that happens after the card was bought."""

    at: Annotated[Moment, Field(examples=["2026-01-25T10:00"])]
    does: Annotated[
        Literal["renew", "use", "use_up", "start_next", "switch_on", "switch_off", "look"],
        Field(
            description="The plan is bought again; the card is used for the first time; the data is used up; what "
            "waits is started by hand; that it renews itself is switched on, as the plan proposes, or off; the "
            "carrier tells how much is left."
        ),
    ]
    percent_left: Annotated[
        Annotated[int, Field(ge=0, le=100)] | None,
        Field(description="How much of the data that runs is left at full speed then; null is not known."),
    ] = None


class Simulation(_Told):
    """A story of one card: exactly one of ``plan`` and ``policy``, when it is bought, and what happens then."""

    plan: Annotated[str | None, Field(max_length=60, description="A plan's slug, or a version's id.")] = None
    policy: Annotated[dict[str, Any] | None, Field(description="A policy document; for staff only.")] = None
    zone: Annotated[rules.Zone | None, Field(description="Whose clock; null is the plan's own zone.")] = None
    start: Annotated[Moment, Field(description="When the card is bought.", examples=["2026-01-31T10:00"])]
    then: Annotated[
        tuple[Then, ...],
        Field(strict=False, max_length=simulating.AT_MOST, description="What happens then, in order of time."),
    ] = ()
    until: Annotated[Moment | None, Field(description="How things stand then; null is the last event.")] = None


class Refused(Exception):
    """The simulation cannot be made; the status, the sentence and the places say why."""

    def __init__(self, status: HTTPStatus, title: str, *wrong: tuple[str, str]) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.wrong = wrong


@csrf_exempt
def simulate(request: HttpRequest) -> HttpResponse:
    """Tell what would be active when. Only read, so that it can be asked any number of times."""
    if request.method != "POST":
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, "A simulation is posted.", headers={"Allow": "POST"})
    if ratelimit.consume(request, app="xuka.api", action="simulate", config=LIMITS) is None:
        return problem(HTTPStatus.TOO_MANY_REQUESTS, "Too many in one minute.", headers={"Retry-After": "60"})
    try:
        asked = _asked(request)
        policy = _policy(request, asked)
        zone = asked.zone or policy.period.zone
        events, until = _events(asked, zone)
    except Refused as refused:
        return problem(refused.status, refused.title, refused.wrong)
    try:
        done = simulating.story(policy, events, zone, until)
    except simulating.TooLong:
        wrong = f"the card would renew itself more than {simulating.AT_MOST} times: tell an earlier end"
        return problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "This is too long a story.", [("/until" if until else "/then", wrong)]
        )
    return JsonResponse(
        {
            "zone": zone,
            "periods": [_period(period) for period in done.periods],
            "happened": [_happened(did, one) for did, one in done.happened],
            "renews_itself": done.renews_itself,
        }
    )


def _asked(request: HttpRequest) -> Simulation:
    if (request.content_type or "").lower() != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A simulation is application/json.")
    try:
        body = request.read(AT_MOST_BYTES + 1)
        if len(body) > AT_MOST_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This is larger than any simulation.")
        return Simulation.model_validate(json.loads(body))
    except ValidationError as wrong:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "This is not a simulation.", *_places(wrong)) from None
    except (ValueError, RecursionError, UnreadablePostError):
        raise Refused(HTTPStatus.BAD_REQUEST, "The body is not JSON.") from None


def _places(wrong: ValidationError, under: str = "") -> list[tuple[str, str]]:
    return [(_pointer(under, where), why) for where, why in rules.reasons(wrong)]


def _pointer(under: str, where: tuple[int | str, ...]) -> str:
    # RFC 6901 writes these two otherwise.
    return under + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in where)


def _policy(request: HttpRequest, asked: Simulation) -> Policy:
    if (asked.plan is None) == (asked.policy is None):
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Tell a plan, or a policy: one of the two.")
    if asked.plan is not None:
        version = plans.version_of(asked.plan)
        if version is None:
            raise Refused(HTTPStatus.NOT_FOUND, NO_PLAN, ("/plan", NO_PLAN))
        return catalogue.policy(version)
    if not (isinstance(request.user, User) and request.user.is_active and request.user.is_staff):
        raise Refused(HTTPStatus.FORBIDDEN, "Only staff tries a policy that is no plan yet: name a plan instead.")
    try:
        policy = Policy.model_validate(asked.policy)
    except ValidationError as wrong:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "This is not a policy.", *_places(wrong, "/policy")) from None
    if found := rules.contradictions(policy):
        places = [(_pointer("/policy", where), why) for where, why in found]
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "This policy cannot be sold.", *places)
    return policy


def _events(asked: Simulation, zone: str) -> tuple[list[Event], datetime | None]:
    """What happens, in order of time."""
    events = [Event(_moment(asked.start, zone, "/start"), "buy")]
    for number, then in enumerate(asked.then):
        at = _moment(then.at, zone, f"/then/{number}/at")
        _in_order(events[-1].at, at, f"/then/{number}/at")
        events.append(Event(at, "buy" if then.does == "renew" else then.does, then.percent_left))
    if asked.until is None:
        return events, None
    until = _moment(asked.until, zone, "/until")
    _in_order(events[-1].at, until, "/until")
    return events, until


def _moment(text: str, zone: str, pointer: str) -> datetime:
    try:
        return moment_of(text, zone)
    except NotAMoment as wrong:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "This is not a moment.", (pointer, str(wrong))) from None


def _in_order(before: datetime, after: datetime, pointer: str) -> None:
    if after < before:
        wrong = (pointer, "it lies before what happens before it: tell events in order of time")
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "These events are not in order.", wrong)


def _period(period: Active) -> dict[str, Any]:
    ended_early = period.would_have_ended_at
    return {
        "bought_by": period.bought,
        "starts_at": _utc(period.span.starts_at),
        "ends_at": _utc(period.span.ends_at),
        "waits": period.waits,
        "data_starts_at": _utc(period.data.starts_at),
        "data_ends_at": _utc(period.data.ends_at),
        "would_have_ended_at": ended_early and _utc(ended_early),
    }


def _happened(did: Did, one: Happened) -> dict[str, Any]:
    stacked = one.stacked
    return {
        "at": _utc(one.at),
        "does": did,
        "refused": one.refused or None,
        "possible_at": one.possible_at and _utc(one.possible_at),
        "starts_at": stacked and _utc(stacked.span.starts_at),
        "ends_at": stacked and _utc(stacked.span.ends_at),
        "kept": list(stacked.kept) if stacked else [],
        "lost": list(stacked.lost) if stacked else [],
        "renewable_again_at": one.again_at and _utc(one.again_at),
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
