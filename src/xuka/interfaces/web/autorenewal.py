"""Automatic renewal on the pages: what it will do, the form to agree to it, and the button that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.interfaces import clock
from xuka.interfaces.jobs import reminder_words
from xuka.interfaces.web import errors, formats, texts, ways, who
from xuka.kernel.money import Money, decimals, from_major
from xuka.ledger import queries as ledger
from xuka.lines.queries import Line
from xuka.payments import queries as payments
from xuka.payments.queries import SavedMethod
from xuka.renewals import auto as autorenewal
from xuka.renewals import auto_rules
from xuka.renewals import queries as renewals
from xuka.renewals.auto import CannotAutomate, Consent
from xuka.renewals.auto_rules import PayWith, Switch, Trigger, When
from xuka.renewals.models import AutoRenewal

# More than this in a month is a slip of the finger.
MOST_TIMES = 100


class Agree(forms.Form):
    """When, how much at most in a month, from where, and the box that nobody has ticked beforehand."""

    trigger = forms.RegexField(r"^(date|used_up|percent_left):\d{1,3}\Z")
    version = forms.UUIDField()
    price_minor = forms.IntegerField(min_value=1)
    agreed = forms.BooleanField(
        error_messages={"required": _("Tick the box: nothing is charged without your consent.")}
    )

    def __init__(self, *args: Any, price: Money, sources: Sequence[Source], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["pay_with"] = forms.ChoiceField(choices=[(one.value, one.says) for one in sources])
        step = str(Decimal(1).scaleb(-decimals(price.currency)))
        self.fields["ceiling"] = forms.DecimalField(
            label=_("The most in a calendar month"),
            help_text=price.currency,
            max_digits=12,
            decimal_places=decimals(price.currency),
            min_value=price.major,
            max_value=price.major * MOST_TIMES,
            widget=forms.NumberInput(attrs={"inputmode": "decimal", "step": step}),
        )

    def clean_trigger(self) -> Trigger:
        """The trigger as it is meant."""
        when, number = self.cleaned_data["trigger"].split(":")
        return Trigger(When(when), int(number))


@dataclass(frozen=True, slots=True)
class Source:
    """From where the money can come, and what is agreed to with it besides; ``value`` names what is saved too."""

    value: str
    says: str
    more: str = ""

    @property
    def saved_method(self) -> UUID | None:
        """What the customer had kept, where it is that."""
        _way, _colon, saved = self.value.partition(":")
        return UUID(saved) if saved else None


@dataclass(frozen=True, slots=True)
class Shown:
    """Automatic renewal on a card's page, in sentences; ``when`` and ``until`` are "" where nothing is planned."""

    is_on: bool
    is_paused: bool
    what: str
    when: str
    until: str
    ceiling: str
    source: str
    problem: str


def shown(line: Line, zone: str, now: datetime) -> Shown | None:
    """What automatic renewal of this card will do, or why it does nothing; None where it never was switched on."""
    auto = renewals.auto_renewal(line.id)
    if auto is None:
        return None
    price, most = Money(auto.price_minor, auto.currency), Money(auto.ceiling_minor, auto.currency)
    zone = zone or line.zone
    told = {"plan": texts.plan_name(auto.plan_version), "price": formats.money(price)}
    due = auto.next_due_at if auto.state == Switch.ON and not auto.order_id else None
    return Shown(
        is_on=auto.state == Switch.ON,
        is_paused=auto.state == Switch.PAUSED,
        what=gettext("%(plan)s for %(price)s each time") % told,
        when=_when(auto, due, zone),
        until=_off_until(auto, due, zone, now),
        ceiling=formats.money(most),
        source=source_words(auto.pay_with, auto.saved_method),
        problem=_problem(auto),
    )


def _off_until(auto: AutoRenewal, due: datetime | None, zone: str, now: datetime) -> str:
    """Until when it can be switched off for the end that comes; "" where nothing is fixed, or it is too late."""
    if due is None or auto.renews_end is None:
        return ""
    terms = auto_rules.off_until(catalogue.policy(auto.plan_version), auto.renews_end)
    by_date = None if auto.when.is_by_use else due
    until = min((at for at in (terms, by_date) if at), default=None)
    return formats.moment(until, zone) if until and until > now else ""


def _when(auto: AutoRenewal, due: datetime | None, zone: str) -> str:
    if auto.order_id:
        return gettext("now: its order is under way")
    if due is None:
        return gettext("nothing is planned at the moment")
    if auto.when.is_by_use and not auto.tries:
        return trigger_words(auto.when, at_end_too=catalogue.policy(auto.plan_version).auto.at_end_too)
    return formats.moment(due, zone)


def _problem(auto: AutoRenewal) -> str:
    if auto.state == Switch.ON and auto.last_end is not None:
        return gettext("You switched it off too late for this end: it renews once more, and then it is off.")
    if auto.state == Switch.OFF and auto.reason == "ended":
        return gettext("The time ended before the data did, so nothing was bought, and it switched itself off.")
    if auto.state == Switch.PAUSED:
        return reminder_words.why_refused(auto.reason)
    has_one = auto.tries and auto.last_outcome not in {"cancelled", "link_sent", "link_not_used", "ordered"}
    has_one = has_one or auto.last_outcome == "needs_customer"
    return reminder_words.why_refused(auto.last_outcome) if has_one else ""


def trigger_words(trigger: Trigger, *, at_end_too: bool = False) -> str:
    """When a card renews itself, in words."""
    told = {"percent": formats.percent(trigger.number * 100)}
    match trigger.when:
        case When.USED_UP if at_end_too:
            return gettext("as soon as all data is used up, at the end at the latest")
        case When.USED_UP:
            return gettext("as soon as all data is used up, if that is before the end")
        case When.PERCENT_LEFT if at_end_too:
            return gettext("as soon as only %(percent)s of the data is left, at the end at the latest") % told
        case When.PERCENT_LEFT:
            return gettext("as soon as only %(percent)s of the data is left, if that is before the end") % told
    if trigger.number == 0:
        return gettext("at the end of what is booked")
    says = ngettext(
        "%(count)d hour before the end of what is booked",
        "%(count)d hours before the end of what is booked",
        trigger.number,
    )
    return says % {"count": trigger.number}


def source_words(pay_with: str, saved: SavedMethod | None = None) -> str:
    """From where the money comes, in words."""
    if saved is not None and saved.method == "card":
        return gettext("with your saved card: %(card)s") % {"card": ways.saved_name(saved)}
    if saved is not None:
        return gettext("with your saved account: %(account)s") % {"account": ways.saved_name(saved)}
    if pay_with == PayWith.LINK:
        return gettext("nothing is charged: we send you a link, and you pay")
    return gettext("from your wallet")


def consent_words(line: Line, version: PlanVersion) -> str:
    """Exactly what the customer agrees to; a change of its meaning changes ``auto_rules.CONSENT_VERSION``."""
    told = {
        "plan": texts.plan_name(version),
        "price": formats.money(Money(version.price_minor, version.currency)),
        "last": line.iccid[-4:],
    }
    return gettext(
        "I agree that the card ending in %(last)s is renewed with %(plan)s for %(price)s each time, when I have chosen "
        "above, paid in the way I have chosen above, until I switch this off, and never for more than my limit in a "
        "calendar month. I am told two days before, or as soon as it is known. If the price changes, I am asked "
        "again. I can switch it off at any time until the moment that is shown on the card's page."
    ) % told  # fmt: skip


def sources(line: Line, customer: UUID, price: Money, now: datetime) -> list[Source]:
    """From where the money can come for this card: what was kept only while it can be charged."""
    kept = payments.methods_to_charge(customer=customer, market=line.market_id, money=price, now=now)
    return [
        Source(str(PayWith.WALLET), source_words(PayWith.WALLET)),
        *(
            Source(f"{PayWith.SAVED}:{one.id}", source_words(PayWith.SAVED, one), mandate_words(one, price))
            for one in kept
        ),
        Source(str(PayWith.LINK), source_words(PayWith.LINK)),
    ]


def mandate_words(saved: SavedMethod, price: Money) -> str:
    """What the customer agrees to besides where what was kept is charged; recorded with ``consent_words``."""
    told = {"saved": ways.saved_name(saved), "price": formats.money(price), "seller": settings.SELLER_NAME}
    if saved.method != "card":
        return gettext(
            "%(seller)s may charge my account %(saved)s while I am not there: %(price)s for each renewal, when I have "
            "chosen above, and never more than my limit in a calendar month. If my wallet holds enough, that pays "
            "instead. If I am asked to confirm, nothing is charged, and I am sent a link. I can have this account "
            "forgotten in my account here at any time, and that stops it."
        ) % told  # fmt: skip
    return gettext(
        "%(seller)s may charge my card %(saved)s while I am not there: %(price)s for each renewal, when I have chosen "
        "above, and never more than my limit in a calendar month. If my wallet holds enough, that pays instead. My "
        "bank may ask me to confirm: then nothing is charged, and I am sent a link. I can have this card forgotten in "
        "my account at any time, and that stops it."
    ) % told  # fmt: skip


# -- the page ------------------------------------------------------------------------------------------------------


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def auto(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """The form; a POST agrees to it, or with ``off`` ends it."""
    line, now = who.line_to_renew(request, line_id), clock.now()
    if line.owner_id != who.customer(request).id:
        return _not_yours(request)
    if request.method == "POST" and "off" in request.POST:
        return _off(request, line, now)
    version = renewals.plan_to_repeat(line, now)
    if version is None or not _triggers(version):
        return _page(request, line, version, None, status=200 if request.method != "POST" else 422)
    price = Money(version.price_minor, version.currency)
    offered = sources(line, who.customer(request).id, price, now)
    if request.method != "POST":
        form = Agree(price=price, sources=offered, initial=_initial(line, version))
        return _page(request, line, version, form, offered)
    form = Agree(request.POST, price=price, sources=offered)
    if form.is_valid() and _agreed(request, line, version, form, offered, now):
        messages.success(request, gettext("This card renews itself from now on."))
        return redirect("card", line.id)
    return _page(request, line, version, form, offered, status=422)


def _not_yours(request: HttpRequest) -> HttpResponse:
    return errors.page(
        request,
        403,
        gettext("Only the card's owner can switch this on"),
        gettext("A card renews itself at the cost of whom it belongs to, as they agreed. Nothing was changed."),
        gettext("Renew this card from the family page, as often as you like."),
    )


def _off(request: HttpRequest, line: Line, now: datetime) -> HttpResponse:
    try:
        off = autorenewal.switch_off(line_id=line.id, customer=who.customer(request).id, now=now)
    except autorenewal.UnknownAutoRenewal:
        return redirect("auto", line.id)
    if off.state == Switch.OFF:
        messages.success(request, gettext("Automatic renewal is off. Nothing more is charged by itself."))
    return redirect("card", line.id)


def _agreed(
    request: HttpRequest, line: Line, version: PlanVersion, form: Agree, offered: Sequence[Source], now: datetime
) -> bool:
    told = form.cleaned_data
    source = next(one for one in offered if one.value == told["pay_with"])
    words = " ".join(filter(None, [consent_words(line, version), source.more]))
    try:
        autorenewal.switch_on(
            line_id=line.id,
            customer=who.customer(request).id,
            plan_version_id=told["version"],
            price=Money(told["price_minor"], version.currency),
            trigger=told["trigger"],
            ceiling=from_major(told["ceiling"], version.currency),
            pay_with=PayWith(source.value.partition(":")[0]),
            saved_method=source.saved_method,
            consent=Consent(words, get_language() or "en"),
            now=now,
        )
    except CannotAutomate as error:
        form.add_error(None, _why_not(error.code))
        return False
    return True


def _why_not(code: str) -> str:
    match code:
        case "price_changed" | "plan_gone":
            return gettext("The plan has changed since this page was made. Look at it once more.")
        case "trigger":
            return gettext("This plan cannot be renewed at that moment. Choose another one.")
        case "saved":
            return gettext("What you had saved cannot be charged any more. Choose another way.")
    return gettext("The limit must allow one renewal at least.")


def _initial(line: Line, version: PlanVersion) -> dict[str, Any]:
    there = renewals.auto_renewal(line.id)
    price = Money(version.price_minor, version.currency)
    if there is None or there.currency != version.currency:
        return {
            "trigger": next((value for value, _ in _triggers(version)), ""),
            "pay_with": PayWith.WALLET,
            "ceiling": Money(price.minor * 2, price.currency).major,
        }
    most = max(there.ceiling_minor, price.minor)
    return {
        "trigger": f"{there.trigger}:{there.number}",
        "pay_with": f"{PayWith.SAVED}:{there.saved_method_id}" if there.saved_method_id else there.pay_with,
        "ceiling": Money(most, there.currency).major,
    }


def _triggers(version: PlanVersion) -> list[tuple[str, str]]:
    policy = catalogue.policy(version)
    found = auto_rules.triggers(policy)
    return [(f"{one.when}:{one.number}", trigger_words(one, at_end_too=policy.auto.at_end_too)) for one in found]


def _page(
    request: HttpRequest,
    line: Line,
    version: PlanVersion | None,
    form: Agree | None,
    offered: Sequence[Source] = (),
    status: int = 200,
) -> HttpResponse:
    customer, now = who.customer(request), clock.now()
    context: dict[str, Any] = {
        "line": line,
        "plan": version,
        "form": form,
        "auto": shown(line, customer.time_zone, now),
        "tab": "cards",
    }
    if version is not None and form is not None:
        context |= {
            "price": Money(version.price_minor, version.currency),
            "balance": ledger.wallet_balance(customer=customer.id, currency=version.currency),
            "triggers": _triggers(version),
            "goes_by_use": catalogue.policy(version).can_go_by_use,
            "sources": offered,
            "words": consent_words(line, version),
            "chosen": {name: str(form[name].value()) for name in ("trigger", "pay_with")},
        }
    return render(request, "auto.html", context, status=status)
