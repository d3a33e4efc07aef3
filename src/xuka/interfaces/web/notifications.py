"""What a customer wants to hear, over which channels and when not; the link that ends it, and the one to read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from xuka.accounts import operations as accounts
from xuka.accounts import queries as accounts_queries
from xuka.accounts.rules import CHANNELS, GROUPS, Told
from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.interfaces import clock
from xuka.interfaces.web import choosing, errors, links, texts, who
from xuka.journal import queries as journal
from xuka.kernel.money import Money
from xuka.lines import queries as lines
from xuka.lines.queries import Line
from xuka.messaging import operations as messaging
from xuka.metering import queries as metering

# The messengers whose accounts people write to; each has a connector of its own.
CHATS = ("telegram", "line", "wechat")


def group_name(group: str) -> tuple[str, str]:
    """What a group is called, and what is in it."""
    return {
        "ending": (gettext("The card ends"), gettext("in 7 days, 3 days, 1 day, 3 hours; and that it has ended")),
        "usage": (gettext("Data"), gettext("half used, nearly used up, slower, full speed again")),
        "renewal": (gettext("Automatic renewal"), gettext("before it, when it was charged, when it was refused")),
    }[group]


def channel_name(channel: str) -> str:
    """What a channel is called."""
    return {
        "email": gettext("E-mail"),
        "sms": gettext("Text message"),
        "card": gettext("Text to the card itself"),
        "webpush": gettext("This device"),
        "telegram": "Telegram",
        "line": "LINE",
        "wechat": gettext("WeChat"),
    }[channel]


# -- the page ------------------------------------------------------------------------------------------------------


class Choose(forms.Form):
    """What is ticked, as "group:channel", and the quiet hours."""

    told = forms.MultipleChoiceField(
        required=False, choices=[(f"{group}:{channel}", channel) for group in GROUPS for channel in CHANNELS]
    )
    quiet_from = forms.TimeField(label=_("Quiet from"), widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    quiet_to = forms.TimeField(label=_("until"), widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    urgent_at_night = forms.BooleanField(
        required=False, label=_("Tell me at night too when my data is used up or my card ends within hours")
    )

    @property
    def choice(self) -> Told:
        """What it says, once it is valid."""
        ticked = {tuple(one.split(":")) for one in self.cleaned_data["told"]}
        chosen = {group: frozenset(channel for of, channel in ticked if of == group) for group in GROUPS}
        hours = {name: self.cleaned_data[name] for name in ("quiet_from", "quiet_to", "urgent_at_night")}
        return Told(**chosen, **hours)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def notifications(request: HttpRequest) -> HttpResponse:
    """The choices, the quiet hours, and the ways to be reached."""
    customer = who.customer(request).id
    told = accounts_queries.choices_of(customer)
    if request.method != "POST":
        return _page(request, Choose(initial=_initial(told)), told)
    form = Choose(request.POST)
    if not form.is_valid():
        return _page(request, form, told, status=422)
    accounts.choose(customer=customer, told=form.choice, now=clock.now())
    messages.success(request, gettext("Saved."))
    return redirect("notifications")


def _initial(told: Told) -> dict[str, Any]:
    return {name: getattr(told, name) for name in ("quiet_from", "quiet_to", "urgent_at_night")}


def _page(request: HttpRequest, form: Choose, told: Told, status: int = 200) -> HttpResponse:
    customer = who.customer(request)
    offered = _offered(customer.id)
    ticked = set(form.data.getlist("told")) if form.is_bound else _ticked(told)  # pyright: ignore[reportAttributeAccessIssue]
    contacts = [(channel_name(one.channel), one) for one in accounts_queries.contacts_of(customer.id)]
    context = {
        "form": form,
        "channels": [(channel, channel_name(channel)) for channel in offered],
        "rows": [
            (*group_name(group), [_cell(group, channel, f"{group}:{channel}" in ticked) for channel in offered])
            for group in GROUPS
        ],
        "contacts": contacts,
        "chats": [_chat(channel, customer.id, clock.now()) for channel in CHATS if _chat_account(channel)],
        "push_key": push_key(),
        "tab": "settings",
    }
    return render(request, "notifications/notifications.html", context, status=status)


def _cell(group: str, channel: str, is_on: bool) -> tuple[str, str, bool]:
    """A box of the table: the channel's name, the value, whether it is ticked; no value where nothing would come."""
    can = channel != "card" or group == "usage"  # the card itself is told one thing: that it is used up
    return channel_name(channel), f"{group}:{channel}" if can else "", is_on


def _ticked(told: Told) -> set[str]:
    return {f"{group}:{channel}" for group in GROUPS for channel in told.channels(group)}


def _offered(customer: UUID) -> list[str]:
    """The channels over which this customer can be reached now, in their order."""
    reach = accounts_queries.reach_of([customer]).get(customer)
    known = {"email", *(reach.addresses if reach else ())}
    return [one for one in CHANNELS if one in known or (one == "card" and one in settings.CHANNELS)]


# -- adding and removing -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chat:
    """How a chat becomes a contact: by its link, or by sending the code."""

    name: str
    url: str
    account: str
    code: str


def _chat_account(channel: str) -> str:
    return settings.CHATS.get(channel, {}).get("account", "")


def _chat(channel: str, customer: UUID, now: datetime) -> Chat:
    code, account = links.pairing(customer=customer, now=now), _chat_account(channel)
    url = {
        "telegram": f"https://t.me/{quote(account)}?start={code}",
        "line": f"https://line.me/R/oaMessage/{quote(account)}/?{code}",
    }.get(channel, "")
    return Chat(channel_name(channel), url, account, code)


@transaction.atomic
def connect(*, customer: UUID, channel: str, address: str, code_from: datetime, now: datetime) -> None:
    """A chat is the customer's from now on, hears of everything, and is told so. Again: changes nothing.

    A customer who is not there (any more) is left alone, and so is a chat that comes with a code that was used: one
    is good once a messenger, whoever else has seen it, and even if its contact has been removed since.

    Args:
        code_from: when the code was made that the chat came with.
    """
    user = accounts_queries.user(customer)
    if user is None or not user.is_active or _has_connected(customer, channel, code_from):
        return
    contact = accounts.add_contact(customer=customer, channel=channel, address=address, label="", now=now)
    _hear_there(customer, channel, now)
    with translation.override(user.language):
        messaging.queue(
            cause=contact.id, kind="contact_added", channel=channel, to=address, language=user.language,
            subject=gettext("Connected"), text=gettext("From now on your reminders come here too."),
            customer=customer, now=now,
        )  # fmt: skip


def _has_connected(customer: UUID, channel: str, since: datetime) -> bool:
    return any(
        fact.what == "user.contact_added" and fact.at >= since and (fact.after or {}).get("channel") == channel
        for fact in journal.facts_about(customer)
    )


def _hear_there(customer: UUID, channel: str, now: datetime) -> None:
    told = accounts_queries.choices_of(customer)
    more = {group: told.channels(group) | {channel} for group in GROUPS}
    quiet = {name: getattr(told, name) for name in ("quiet_from", "quiet_to", "urgent_at_night")}
    accounts.choose(customer=customer, told=Told(**more, **quiet), now=now)


def push_key() -> str:
    """What a browser needs to subscribe; "" where there is no Web Push."""
    if "webpush" not in settings.CHANNELS:
        return ""
    return getattr(messaging.channel("webpush"), "public_key", "")


@login_required
@require_POST
def push(request: HttpRequest) -> HttpResponse:
    """This browser shall show reminders: its own subscription proves that it is the customer's."""
    subscription = _subscription(request.POST.get("subscription", ""))
    if not subscription or "webpush" not in settings.CHANNELS:
        return errors.bad_request(request)
    customer, now = who.customer(request).id, clock.now()
    label = texts.device(request.headers.get("User-Agent", ""))
    accounts.add_contact(customer=customer, channel="webpush", address=subscription, label=label, now=now)
    _hear_there(customer, "webpush", now)
    messages.success(request, gettext("Reminders are shown on this device from now on."))
    return redirect("notifications")


def _subscription(text: str) -> str:
    """The subscription as it is kept: what is needed of it and no more; "" for what is none."""
    try:
        told = json.loads(text)
        kept = {
            "endpoint": str(told["endpoint"]),
            "keys": {name: str(told["keys"][name]) for name in ("p256dh", "auth")},
        }
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    kept_text = json.dumps(kept, separators=(",", ":"))
    return kept_text if kept["endpoint"].startswith("https://") and len(kept_text) <= 1_000 else ""


@login_required
@require_POST
def remove(request: HttpRequest, contact_id: UUID) -> HttpResponse:
    """Forget one of the customer's contacts."""
    accounts.remove_contact(customer=who.customer(request).id, contact_id=contact_id, now=clock.now())
    messages.success(request, gettext("Removed."))
    return redirect("notifications")


# -- no more, without signing in -----------------------------------------------------------------------------------


@csrf_exempt  # RFC 8058: the mail program posts, without cookies; the signed address is what allows it
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """One click and no more: a POST does it; a GET only asks, because mail programs open links by themselves."""
    found = links.unsubscribed(token)
    user = accounts_queries.user(found[0]) if found else None
    if found is None or user is None:
        return _nothing(request)
    customer, groups = found
    if request.method == "POST":
        for group in sorted(groups):
            accounts.silence(customer=customer, group=group, now=clock.now())
    names = [group_name(group)[0] for group in GROUPS if group in groups]
    context = {"names": names, "done": request.method == "POST", "here": "/"}
    return _unlisted(render(request, "notifications/unsubscribe.html", context))


# -- reading without a password ------------------------------------------------------------------------------------


@never_cache
@require_http_methods(["GET", "HEAD"])
def read(request: HttpRequest, token: str) -> HttpResponse:
    """The card of a reminder and the plan it could be renewed with. Pays nothing and tells nothing personal."""
    now = clock.now()
    line = links.line_read(token, now=now)
    if line is None:
        return _nothing(request)
    person = who.person(request)
    timeline = lines.timeline(line, now)
    ahead = [entry for entry in timeline.entries if entry.span.ends_at > now]
    latest = (
        (ahead[0] if ahead else timeline.entries[-1]).period.plan_version if timeline.entries else line.plan_version
    )
    offered = _offered_again(line, latest)
    until = timeline.valid_until
    context = {
        "line": line,
        "plan": latest,
        "left": texts.left(starts_at=ahead[0].span.starts_at, ends_at=until, now=now) if ahead and until else None,
        "valid_until": until,
        "usage": metering.usage_of(line, now=now),
        "offered": offered,
        "conditions": offered
        and choosing.before_you_renew(catalogue.policy(offered), Money(offered.price_minor, offered.currency)),
        "is_owner": person is not None and person.id == line.owner_id,
        "is_other": person is not None and person.id != line.owner_id,
        "next": quote(request.path),
    }
    return _unlisted(render(request, "notifications/read.html", context))


def _offered_again(line: Line, latest: PlanVersion) -> PlanVersion | None:
    """The plan that runs, as it is sold now; None where it is not sold any more."""
    sold = catalogue.plan_by_slug(latest.plan_id)
    return sold if sold and sold.carrier == line.carrier else None


def _nothing(request: HttpRequest) -> HttpResponse:
    return _unlisted(render(request, "notifications/nothing.html", {"here": "/"}, status=404))


def _unlisted(response: HttpResponse) -> HttpResponse:
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Referrer-Policy"] = "no-referrer"
    return response
