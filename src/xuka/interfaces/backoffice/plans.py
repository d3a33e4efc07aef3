"""Plans as staff make them: a new plan, a new version of one, what it would do, and whether it is on sale."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import SafeString
from pydantic import TypeAdapter, ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from xuka.catalogue import operations as catalogue
from xuka.catalogue import queries
from xuka.catalogue.models import Plan, PlanVersion
from xuka.catalogue.rules import Policy, Zone, contradictions, reasons
from xuka.interfaces import clock, simulating
from xuka.interfaces.backoffice import reading
from xuka.interfaces.backoffice.forms import Reason
from xuka.interfaces.backoffice.plan_forms import PlanForm
from xuka.interfaces.simulating import Active, Did, Does, Event, NotAMoment, moment_of
from xuka.interfaces.web import formats, texts
from xuka.interfaces.web.timeline import Lasting, Shown, timeline
from xuka.renewals.simulator import Happened

_DID: dict[Did, str] = {
    "buy": "Renewed", "use": "First used", "use_up": "Data used up", "start_next": "Next one started by hand",
    "switch_on": "Automatic renewal switched on", "switch_off": "Automatic renewal switched off",
    "look": "Usage told", "renews_itself": "Renewed by itself",
}  # fmt: skip


_TOLD = re.compile(r"(.+?)\s+(\d\d?|100)\s*%")


class PreviewForm(forms.Form):
    """When a card is bought, renewed and used, to see what the terms above make of it."""

    zone = forms.CharField(
        label="On whose clock",
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Asia/Tokyo"}),
        help_text="An IANA name; empty is the policy's own zone.",
    )
    start = forms.CharField(
        label="Bought on",
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Such as 2026-01-31 10:00. Try the end of a month, and the night in which clocks change.",
    )
    renewed = forms.CharField(
        label="Renewed on",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="One moment a line, early or late.",
    )
    used = forms.CharField(
        label="First used on",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="Of a period that starts with its first use.",
    )
    used_up = forms.CharField(
        label="Data used up on", required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2})
    )
    by_hand = forms.CharField(
        label="Next one started by hand on", required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2})
    )

    switched_on = forms.CharField(
        label="Automatic renewal switched on on",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="As the plan proposes it. It goes on until the last moment told here.",
    )
    switched_off = forms.CharField(
        label="Automatic renewal switched off on", required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2})
    )
    told = forms.CharField(
        label="Data left told on",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="A moment and a percentage a line, such as 2026-01-31 10:00 20%.",
    )

    ASKED: tuple[tuple[str, Does], ...] = (
        ("start", "buy"), ("renewed", "buy"), ("used", "use"), ("used_up", "use_up"), ("by_hand", "start_next"),
        ("switched_on", "switch_on"), ("switched_off", "switch_off"), ("told", "look"),
    )  # fmt: skip

    def events(self, zone: str) -> list[Event]:
        """What happens, in order of time; [] where something is wrong, which then stands by its field."""
        told = [event for name, does in self.ASKED for event in self._told(name, does, zone)]
        if not str(self.data.get("preview-start", "")).strip():
            self.add_error("start", "Say when the card is bought.")
        elif len(told) > simulating.AT_MOST:
            self.add_error("renewed", f"At most {simulating.AT_MOST} moments.")
        elif told and min(event.at for event in told) < told[0].at:
            self.add_error("start", "Something happens before the card is bought.")
        return [] if self.errors else sorted(told, key=lambda event: event.at)

    def _told(self, name: str, does: Does, zone: str) -> Iterator[Event]:
        for line in str(self.data.get(f"preview-{name}", "")).splitlines():
            if not line.strip():
                continue
            at, percent = line.strip(), None
            if does == "look" and (told := _TOLD.fullmatch(at)):
                at, percent = told[1], int(told[2])
            try:
                yield Event(moment_of(at, zone), does, percent)
            except NotAMoment as wrong:
                self.add_error(name, f"{line.strip()[:40]}: {wrong}")


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the preview in words."""

    at: str
    says: str
    kept: list[str]
    lost: list[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """What the terms would do: the drawing, and what came of each event."""

    drawing: SafeString
    steps: list[Step]


def edit(page: reading.Reading, request: HttpRequest, version: PlanVersion | None) -> HttpResponse:
    """The page on which a plan is written; ``version``: whose terms the next version begins with."""
    back = reverse("admin:catalogue_plan_changelist")
    form = PlanForm(request.POST or None, version=version)
    preview_form = PreviewForm(request.POST or None, prefix="preview")
    preview = None
    if request.method == "POST" and request.POST.get("do") == "preview":
        preview = previewed(form, preview_form)
    elif request.method == "POST":
        stored = _stored(form, request, version)
        if stored is not None:
            messages.success(request, _said(stored, version))
            return HttpResponseRedirect(reverse("admin:catalogue_planversion_change", args=[stored.id]))
    title = f"New version of {version.plan_id}" if version else "New plan"
    told = {"form": form, "preview_form": preview_form, "preview": preview, "version": version, "back": back}
    response = page.page(request, "plan_editor", title, told)
    wrong = form.is_bound and (form.errors or preview_form.errors or any(group.errors for group in form.groups))
    response.status_code = 400 if wrong else 200
    return response


def _stored(form: PlanForm, request: HttpRequest, version: PlanVersion | None) -> PlanVersion | None:
    entry = form.entry()
    if entry is None:
        return None
    try:
        return catalogue.offer(
            entry,
            # What was sold when the form was opened: a version that somebody made meanwhile is not written over.
            sold=form.cleaned_data["seen"] if version else None,
            who=f"staff:{reading.staff_id(request)}",
            now=clock.now(),
        )
    except catalogue.NotTaken as error:
        for where, why in error.wrong:
            form.tell(tuple(where.split(".")), why)
    return None


def _said(stored: PlanVersion, version: PlanVersion | None) -> str:
    if version and stored.id == version.id:
        return f"These are the terms of version {stored.number} already: no version was made."
    return f"{stored} is what is sold from now on." if stored.plan.on_sale else f"{stored} is made; it is not on sale."


def previewed(form: PlanForm, preview_form: PreviewForm) -> Preview | None:
    """What the terms would do; None where they, or the moments, are wrong. It writes nothing."""
    form.forget_the_plan()
    document = form.policy()
    if document is None:
        return None
    try:
        policy = Policy.model_validate(document)
    except ValidationError as wrong:
        for where, why in reasons(wrong):
            form.tell(("policy", *where), why)
        return None
    for where, why in contradictions(policy):
        form.tell(("policy", *where), why)
    zone = str(preview_form.data.get("preview-zone", "")).strip() or policy.period.zone
    if not preview_form.is_valid() or not _is_zone(zone, preview_form):
        return None
    events = preview_form.events(zone)
    try:
        return preview_of(policy, events, zone) if events else None
    except simulating.TooLong:
        preview_form.add_error("switched_on", f"It would renew itself more than {simulating.AT_MOST} times.")
        return None


def _is_zone(name: str, form: PreviewForm) -> bool:
    try:
        TypeAdapter(Zone).validate_python(name)
    except ValidationError as wrong:
        form.add_error("zone", reasons(wrong)[0][1])
        return False
    return True


def preview_of(policy: Policy, events: Sequence[Event], zone: str) -> Preview:
    """The drawing and the words of this story, in English as the whole back office; raises ``simulating.TooLong``."""
    told = simulating.story(policy, events, zone)
    with translation.override("en"):
        drawing = timeline([_shown(one, told.happened) for one in told.periods], events[-1].at, zone, "en", "preview")
        steps = [_step(n, did, one, zone) for n, (did, one) in enumerate(told.happened)]
    return Preview(drawing, steps)


def _shown(period: Active, happened: Sequence[tuple[Did, Happened]]) -> Shown:
    before = sum(did in {"buy", "renews_itself"} for did, _ in happened[: period.bought])
    says = f"Renewal {before}" if before else "Bought"
    return Shown(
        says=says,
        starts_at=period.span.starts_at,
        ends_at=period.span.ends_at,
        look="waits" if period.waits else "booked" if period.bought == 0 else "new",
        data=Lasting(period.data.starts_at, period.data.ends_at) if period.data != period.span else None,
        would_have_ended_at=period.would_have_ended_at,
        bought_at=happened[period.bought][1].at,
    )


def _step(number: int, did: Did, one: Happened, zone: str) -> Step:
    says = "Bought" if number == 0 else _DID[did]
    if one.refused:
        says += f": not possible ({one.refused.replace('_', ' ')})"
        says += f", but from {formats.moment(one.possible_at, zone)} on" if one.possible_at else ""
    elif one.stacked:
        span = one.stacked.span
        says += f": {formats.moment(span.starts_at, zone)}, valid through {formats.valid_through(span.ends_at, zone)}"
        says += f"; can be renewed again from {formats.moment(one.again_at, zone)} on" if one.again_at else ""
    kept = texts.kept(one.stacked.kept, zone) if one.stacked else []
    lost = texts.lost(one.stacked.lost, zone) if one.stacked else []
    return Step(formats.moment(one.at, zone), says, kept, lost)


def sale(page: reading.Reading, request: HttpRequest, plan: Plan) -> HttpResponse:
    """Put a plan on sale or take it off, with a reason. Sent again it changes nothing."""
    back = reverse("admin:catalogue_plan_change", args=[plan.slug])
    wanted = not plan.on_sale if request.method == "GET" else request.POST.get("on_sale") == "yes"
    form = Reason(request.POST or None)
    if request.method == "POST" and form.is_valid():
        who = f"staff:{reading.staff_id(request)}"
        try:
            catalogue.set_on_sale(plan.slug, on_sale=wanted, why=form.cleaned_data["why"], who=who, now=clock.now())
        except catalogue.NotTaken as error:
            for where, why in error.wrong:
                form.add_error(None, f"{where}: {why}")
        else:
            messages.success(request, f"{plan.slug} is {'on sale' if wanted else 'not on sale any more'}.")
            return HttpResponseRedirect(back)
    does = (
        "From now on everybody can buy this plan, under the terms of its newest version."
        if wanted
        else "From now on nobody can buy this plan. What was sold stays what it is; orders that were placed go on."
    )
    told = {"does": does, "button": "Put on sale" if wanted else "Take off sale", "back": back}
    return page.form_page(
        request, f"{plan.slug}: {told['button'].lower()}", form, hidden=[("on_sale", "yes" if wanted else "no")], **told
    )


def plan_of(slug: str) -> Plan:
    """The plan of this slug. Raises ``Http404``."""
    found = queries.plan(slug)
    if found is None:
        raise Http404
    return found
