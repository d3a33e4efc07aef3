"""The family: who is in it, the members' cards for its organiser, the invitation and what is agreed to with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from xuka.accounts import families
from xuka.accounts import queries as accounts
from xuka.accounts.families import CannotInvite, CannotJoin, NotOrganiser
from xuka.accounts.models import Invitation, Membership, User
from xuka.accounts.rules import MOST_MEMBERS
from xuka.catalogue.models import PlanVersion
from xuka.interfaces import clock
from xuka.interfaces.web import errors, formats, pools, texts, usage, who
from xuka.interfaces.web.pools import called
from xuka.kernel import ids
from xuka.lines import queries as lines
from xuka.lines.queries import Entry, Line
from xuka.messaging import operations as messaging
from xuka.metering import queries as metering

SALT = "xuka.family.invitation"


class Invite(forms.Form):
    """Whom to invite; the invitation's id comes with the page, so that sending it twice is one invitation."""

    invitation = forms.UUIDField(widget=forms.HiddenInput(attrs={"data-new-id": True}))
    email = forms.EmailField(
        label=_("E-mail address"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )


class Answer(forms.Form):
    """Yes, with the box that nobody has ticked beforehand, to the words that name this organiser."""

    organiser = forms.UUIDField(widget=forms.HiddenInput)
    agreed = forms.BooleanField(error_messages={"required": _("Tick the box: without your consent nobody sees yours.")})


@dataclass(frozen=True, slots=True)
class Card:
    """A member's card as the organiser sees it, and nothing more of it."""

    line: Line
    plan: PlanVersion
    time: texts.Left | None
    valid_until: datetime | None
    data: usage.Shown


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in the family, with their cards where the reader may see them."""

    membership: Membership
    cards: tuple[Card, ...] = ()

    @property
    def name(self) -> str:
        """What they are called here."""
        return called(self.membership.customer)


def consent_words(organiser: User) -> str:
    """Exactly what a member agrees to; a change of its meaning changes ``accounts.rules.FAMILY_CONSENT_VERSION``."""
    return gettext(
        "I agree that %(organiser)s sees of each of my cards here: its plan, the last four digits of its number, what "
        "is left, until when it lasts, and its renewals; and may renew it and pay for that. %(organiser)s does not see "
        "my messages, my telephone number, whom I call, where I am, or which networks I use abroad. If somebody else "
        "of the family becomes its organiser, the same holds for them, and I am told by mail. I can leave at any time; "
        "from that moment nothing more is seen."
    ) % {"organiser": called(organiser)}


# -- the page ------------------------------------------------------------------------------------------------------


@never_cache
@login_required
@require_GET
def family(request: HttpRequest) -> HttpResponse:
    """The family as its reader may see it: the organiser sees the members' cards, a member who organises it."""
    return _page(request, Invite(initial={"invitation": ids.new()}))


def _page(request: HttpRequest, form: Invite, status: int = 200) -> HttpResponse:
    customer, now = who.customer(request), clock.now()
    everybody = accounts.family_around(customer.id)
    own = next((one for one in everybody if one.customer_id == customer.id), None)
    context: dict[str, Any] = {"own": own, "most": MOST_MEMBERS, "tab": "cards", "here": reverse("family")}
    if own is None:
        context["new_id"] = ids.new()
    elif own.is_organiser:
        waiting, cards = accounts.invitations_of(own.family_id), lines.lines_to_renew(customer.id)
        entries = lines.entries_of(cards, now) if cards else {}
        context |= {
            "members": _members(customer, everybody, cards, entries, now),
            "shared": pools.of_organiser(own, [one for one in cards if one.owner_id == customer.id], entries, now),
            "waiting": [one for one in waiting if now < one.expires_at],
            "is_full": len(everybody) - 1 >= MOST_MEMBERS,
            "zone": customer.time_zone or settings.TIME_ZONE,
            "form": form,
        }
    else:
        context |= {
            "organiser": called(everybody[0].customer),
            "words": own.consent_words,
            "offered": pools.of_member(own, everybody[0], now),
        }
    return render(request, "family/family.html", context, status=status)


def _members(
    organiser: User, everybody: list[Membership], cards: list[Line], entries: Mapping[UUID, list[Entry]], now: datetime
) -> list[Member]:
    """The members with their cards, in as many queries for six cards as for one."""
    cards = [line for line in cards if line.owner_id != organiser.id]
    used = metering.usages_of(cards, now=now, entries=entries) if cards else {}
    shown = [(line.owner_id, _card(line, entries[line.id], used[line.id], organiser.time_zone, now)) for line in cards]
    return [
        Member(one, tuple(card for owner, card in shown if owner == one.customer_id))
        for one in everybody
        if not one.is_organiser
    ]


def _card(line: Line, entries: list[Entry], used: metering.Usage, zone: str, now: datetime) -> Card:
    main = [entry for entry in entries if entry.period.track == "main"]
    ahead = [entry for entry in main if entry.span.ends_at > now]
    until = main[-1].span.ends_at if main else None
    return Card(
        line=line,
        plan=ahead[0].period.plan_version if ahead else main[-1].period.plan_version if main else line.plan_version,
        time=texts.left(starts_at=ahead[0].span.starts_at, ends_at=until, now=now) if ahead and until else None,
        valid_until=until,
        data=usage.told(used, [], {}, entries=entries, line_zone=line.zone, zone=zone or line.zone, now=now),
    )


# -- what the organiser does ---------------------------------------------------------------------------------------


@login_required
@require_POST
def found(request: HttpRequest) -> HttpResponse:
    """Begin a family."""
    try:
        families.found(id=UUID(request.POST.get("family", "")), customer=who.customer(request).id, now=clock.now())
    except ValueError:
        return errors.bad_request(request)
    except families.InAFamily:
        messages.info(request, gettext("You are in a family already."))
    return redirect("family")


@never_cache
@login_required
@require_POST
def invite(request: HttpRequest) -> HttpResponse:
    """Invite somebody by mail."""
    if refused := who.too_often(request, "invite"):
        return refused
    form = Invite(request.POST)
    if form.is_valid() and _invited(request, form):
        messages.success(request, gettext("The invitation is on its way. It is good for seven days, and works once."))
        return redirect("family")
    return _page(request, form, status=422)


def _invited(request: HttpRequest, form: Invite) -> bool:
    organiser, told, now = who.customer(request), form.cleaned_data, clock.now()
    try:
        with transaction.atomic():
            invitation, secret = families.invite(
                id=told["invitation"], organiser=organiser.id, email=told["email"], now=now
            )
            if secret:
                _write(invitation, secret, organiser, now)
    except NotOrganiser:
        raise Http404 from None
    except CannotInvite as error:
        form.add_error("email", _why_not_invited(error.code))
    return not form.errors


def _why_not_invited(code: str) -> str:
    match code:
        case "member":
            return gettext("This person is in your family already.")
        case "full":
            return gettext(
                "A family has %(most)d members at most, and who is invited counts. Take an invitation back, or remove "
                "somebody, and invite again."
            ) % {"most": MOST_MEMBERS}
    return gettext("This is no e-mail address.")


def _write(invitation: Invitation, secret: str, organiser: User, now: datetime) -> None:
    """The letter with the link. Its words hold the secret, so they are forgotten once it is sent."""
    # Whether the address has an account, and its language, is nobody's business: the inviter's is what they share.
    with translation.override(organiser.language):
        told = {
            "organiser": called(organiser),
            "seller": settings.SELLER_NAME,
            "url": settings.SITE_URL + reverse("family_join", args=[signing.dumps(secret, salt=SALT)]),
            "until": formats.day(invitation.expires_at, organiser.time_zone or settings.TIME_ZONE),
        }
        messaging.queue(
            cause=invitation.id,
            kind="family_invitation",
            to=invitation.email,
            language=organiser.language,
            subject=gettext("%(organiser)s invites you to their family") % told,
            text=_letter() % told,
            secret=True,
            not_after=invitation.expires_at,
            now=now,
        )


def _letter() -> str:
    return gettext(
        "Hello,\n\n"
        "%(organiser)s would like to look after your data cards at %(seller)s: see how long they last, and renew them "
        "in good time. You read what they would see, and what not, before you answer:\n\n%(url)s\n\n"
        "The link works once, until %(until)s, and only with this e-mail address. If you do not know who this is, "
        "do nothing.\n\n%(seller)s\n"
    )


def _organiser_does(does: Callable[..., None], says: Any) -> Callable[[HttpRequest, UUID], HttpResponse]:
    """A button of the organiser's that acts on one member or invitation."""

    @login_required
    @require_POST
    def act(request: HttpRequest, id: UUID) -> HttpResponse:
        try:
            does(who.customer(request).id, id, clock.now())
        except NotOrganiser:
            raise Http404 from None
        messages.success(request, says)
        return redirect("family")

    return act


withdraw = _organiser_does(
    lambda organiser, invitation, now: families.withdraw(organiser=organiser, invitation=invitation, now=now),
    _("The invitation is taken back. Its link does not work any more."),
)
remove = _organiser_does(
    lambda organiser, membership, now: families.remove(organiser=organiser, membership=membership, now=now),
    _("Removed. You see nothing more of their cards, and they are told."),
)
hand_over = _organiser_does(
    lambda organiser, membership, now: families.hand_over(organiser=organiser, membership=membership, now=now),
    _("The family is handed over, and you have left it. Everybody is told."),
)


@login_required
@require_POST
def close(request: HttpRequest) -> HttpResponse:
    """End the family for everybody."""
    try:
        families.close(organiser=who.customer(request).id, now=clock.now())
    except NotOrganiser:
        raise Http404 from None
    messages.success(request, gettext("The family is closed. Everybody is told, and keeps their own cards."))
    return redirect("family")


# -- what a member does --------------------------------------------------------------------------------------------


@login_required
@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Leave the family."""
    try:
        families.leave(customer=who.customer(request).id, now=clock.now())
    except families.OrganiserStays:
        messages.warning(request, gettext("You organise this family: hand it over to a member, or close it."))
    else:
        messages.success(request, gettext("You have left. From now on nobody else sees your cards."))
    return redirect("family")


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Read the invitation and answer it; a mail program that opens the link has answered nothing."""
    customer, now = who.customer(request), clock.now()
    secret = _secret(token)
    invitation = accounts.invitation_by_secret(secret)
    if invitation is None:
        raise Http404
    organiser = accounts.organiser_of(invitation.family_id)
    form, problem = Answer(request.POST or None, initial={"organiser": organiser.id}), ""
    try:
        if request.method == "POST" and "decline" in request.POST:
            families.decline(secret=secret, email=customer.email, now=now)
            messages.success(request, gettext("You have declined. Nobody sees anything of yours."))
            return redirect("family")
        if request.method == "POST" and form.is_valid():
            _accept(secret, customer, organiser, form.cleaned_data["organiser"], now)
            messages.success(request, gettext("You are in the family now. You can leave it at any time, here."))
            return redirect("family")
        families.require_open(secret=secret, customer=customer.id, email=customer.email, now=now)
    except CannotJoin as error:
        if error.code != "organiser_changed":
            return _cannot_join(request, error.code)
        form = Answer(initial={"organiser": organiser.id})
        problem = gettext("The family has another organiser since you opened this page. Read it once more.")
    told = {"form": form, "problem": problem, "organiser": called(organiser), "words": consent_words(organiser)}
    return render(request, "family/join.html", told, status=422 if form.errors or problem else 200)


def _accept(secret: str, customer: User, organiser: User, agreed_to: UUID, now: datetime) -> None:
    if agreed_to != organiser.id:  # the words on the page named somebody else
        raise CannotJoin("organiser_changed")
    families.accept(
        secret=secret,
        customer=customer.id,
        email=customer.email,
        organiser=organiser.id,
        words=consent_words(organiser),
        language=get_language() or "en",
        now=now,
    )


def _secret(token: str) -> str:
    try:
        return str(signing.loads(token, salt=SALT))
    except signing.BadSignature as wrong:
        raise Http404 from wrong


def _cannot_join(request: HttpRequest, code: str) -> HttpResponse:
    again = gettext("Ask for a new invitation, if you still want to join.")
    match code:
        case "expired":
            says = gettext("This invitation was good for seven days; they are over. Nothing was changed.")
            return errors.page(request, 410, gettext("This invitation has expired"), says, again)
        case "other_address":
            says = gettext("It was sent to another e-mail address than the one of your account.")
            todo = gettext("Sign in with the address that got the mail, or ask to be invited at the one you use here.")
            return errors.page(request, 403, gettext("This invitation is not for this account"), says, todo)
        case "in_a_family":
            says = gettext("You can be in one family at a time. Nothing was changed.")
            todo = gettext("Leave the family that you are in, then open the link once more.")
            return errors.page(request, 409, gettext("You are in a family already"), says, todo)
        case "full":
            says = gettext("This family has all the members it can have. Nothing was changed.")
            return errors.page(
                request, 409, gettext("There is no place any more"), says, gettext("Tell who invited you.")
            )
    says = gettext("The link works once, and it was used, or the invitation was taken back.")
    return errors.page(request, 410, gettext("This invitation is not good any more"), says, again)
