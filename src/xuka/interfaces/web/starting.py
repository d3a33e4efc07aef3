"""Starting the next period now: the page that says what of the running one is lost, and the button."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from xuka.interfaces import clock
from xuka.interfaces.web import effect, errors, texts, who
from xuka.lines.queries import Line
from xuka.lines.rules import CannotStart
from xuka.renewals import starting
from xuka.renewals.starting import Waits


class Start(forms.Form):
    """What the customer was shown: which period begins, and which one ends."""

    starts = forms.UUIDField()
    instead_of = forms.UUIDField(required=False)


def waits_words(waits: Waits) -> str:
    """When what waits begins, and why there is no button where there is none; "" where there is one."""
    match waits.why_not:
        case "":
            return ""
        case "carrier":
            return gettext(
                "What comes next begins by itself at the carrier, as soon as what runs is over. The carrier lets "
                "nobody start it sooner, so there is no button for it here."
            )
    if waits.when_used_up:
        return gettext("What comes next begins by itself when what runs is over, or its data is used up.")
    return gettext("What comes next begins by itself when what runs is over. Its plan cannot be started sooner.")


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """What starting the next period would do; a POST does it. Sent twice, it is done once."""
    line = who.line(request, line_id)
    if request.method != "POST":
        return _page(request, line)
    form = Start(request.POST)
    if not form.is_valid():
        return errors.bad_request(request)
    told = form.cleaned_data
    try:
        starting.start_next(
            line_id=line.id,
            customer=who.customer(request).id,
            starts=told["starts"],
            instead_of=told["instead_of"],
            now=clock.now(),
        )
    except starting.UnknownLine:
        raise Http404 from None
    except CannotStart as error:
        return _page(request, line, _cannot(error.code), status=409)
    messages.success(request, gettext("The next period runs now."))
    return redirect("card", line.id)


def _cannot(code: str) -> str:
    match code:
        case "changed":
            return gettext(
                "What is booked on this card has changed since this page was made. Nothing was started; look at it "
                "once more."
            )
        case "carrier":
            return gettext("The carrier begins what waits by itself, and lets nobody start it sooner.")
        case "nothing_waits":
            return gettext("Nothing waits on this card, so there is nothing to start.")
    return gettext("The plan that comes next cannot be started before what runs is over. It begins by itself then.")


def _page(request: HttpRequest, line: Line, problem: str = "", status: int = 200) -> HttpResponse:
    """The page that asks; where nothing can be started it says why."""
    context = {"line": line, "problem": problem, "tab": "cards", "here": request.path}
    try:
        does, timeline = starting.what_starts(line, now := clock.now())
    except CannotStart as error:
        context["problem"] = problem or _cannot(error.code)
        return render(request, "start_next.html", context, status=status)
    plans = {entry.period.id: entry.period.plan_version for entry in timeline.entries}
    ends = {entry.period.id: entry.span.ends_at for entry in timeline.entries}
    context |= {
        "start": does,
        "drawing": effect.of_start(does.after, does.starts, timeline, line.zone, now),
        "plan": plans[does.starts],
        "running": plans.get(does.instead_of) if does.instead_of else None,
        "running_until": ends.get(does.instead_of) if does.instead_of else None,
        "kept": texts.kept(does.kept, line.zone),
        "lost": texts.lost(does.lost, line.zone),
    }
    return render(request, "start_next.html", context, status=status)
