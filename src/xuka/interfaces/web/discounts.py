"""Paying less: the coupon and the points on the check page, and what they are called."""

from __future__ import annotations

from datetime import date
from typing import Any

from allauth.core.internal import ratelimit
from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from xuka.interfaces import clock
from xuka.interfaces.web import formats
from xuka.interfaces.web.forms import Text
from xuka.kernel.money import Money
from xuka.ledger import queries as ledger
from xuka.renewals import operations as renewals
from xuka.renewals import pricing
from xuka.renewals.discounts import CannotDiscount
from xuka.renewals.models import Quote
from xuka.renewals.pricing import NO_WISH, PriceWish, wish_of

# A code that is nobody's is a try; a coupon that does not count here is none. "key" is one for the whole shop.
LIMITS = {"coupon": "5/15m/user,20/d/user,100/d/ip,1000/h/key"}


class Less(forms.Form):
    """A coupon's code, and how many points are to be spent; both may be left out."""

    coupon = Text(
        max_length=60,
        required=False,
        label=_("Coupon"),
        help_text=_("Spaces and small letters do not matter."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )
    points = forms.IntegerField(
        min_value=0,
        max_value=10**12,
        required=False,
        label=_("Points to spend"),
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
    currency = forms.RegexField(r"^[A-Z]{3}$", required=False, label=_("Currency"), widget=forms.Select)


def form(quote: Quote, bound: Less | None = None) -> dict[str, Any]:
    """What the check page shows: the form, the points there are, and what they are worth in the quote's currency."""
    has, wish = ledger.points_balance(quote.customer_id), wish_of(quote.lines)
    told = {"coupon": wish.coupon, "points": wish.points or None, "currency": quote.currency}
    shown = bound or Less(initial=told)
    choices = pricing.currencies(quote.plan_version, quote.quoted_at)
    shown.fields["currency"].widget.choices = [(one, one) for one in choices]  # type: ignore[attr-defined]
    if len(choices) < 2 and "currency" not in shown.errors:
        del shown.fields["currency"]
    if not has and "points" not in shown.errors:
        del shown.fields["points"]
    worth = formats.money(Money(has // settings.POINTS_PER_MINOR, quote.currency))
    says = ngettext(
        "You have %(number)s point, worth %(worth)s.", "You have %(number)s points, worth %(worth)s.", has
    ) % {"number": formats.number(has), "worth": worth}
    return {"form": shown, "says": says if has else "", "has_wish": wish != NO_WISH, "converted": converted(quote)}


def converted(quote: Quote) -> str:
    """How the price was converted, in words; "" where it was not."""
    if not quote.conversion:
        return ""
    told = quote.conversion
    return gettext(
        "The price is in %(from)s and was converted: 1 %(from)s = %(rate)s %(to)s (European Central Bank, %(day)s), "
        "with a margin of %(margin)s."
    ) % {
        "from": told["from"],
        "to": quote.currency,
        "rate": formats.rate(told["rate"]),
        "day": formats.calendar_day(date.fromisoformat(told["on"])),
        "margin": formats.percent(told["margin_basis_points"]),
    }


def priced_anew(request: HttpRequest, old: Quote, asked: Less) -> Quote | None:
    """A new quote for the same thing with this coupon and these points; None where the form now says why not."""
    told = asked.cleaned_data
    wish = PriceWish(told["coupon"], told.get("points") or 0, told["currency"] or old.currency)
    attempt = None
    if wish.coupon and (attempt := ratelimit.consume(
        request, app="xuka.web", action="coupon", config=LIMITS, key="all"
    )) is None:  # fmt: skip
        asked.add_error("coupon", gettext("Too many wrong codes. For your safety we take a break: try again later."))
        return None
    try:
        found = quote_again(old, wish)
    except CannotDiscount as error:
        if attempt and error.code != "unknown":
            attempt.rollback()
        field = {"points": "points", "no_rate": None, "old_rate": None}.get(error.code, "coupon")
        asked.add_error(field, why_not(error, old.zone))
        return None
    if attempt:
        attempt.rollback()
    return found


def quote_again(old: Quote, wish: PriceWish) -> Quote:
    """The same thing once more, priced now. Raises what ``renewals.quote`` does."""
    told = {"plan_version_id": old.plan_version_id, "customer": old.customer_id, "wish": wish, "now": clock.now()}
    if old.line_id is None:
        return renewals.quote_new(**told)
    return renewals.quote(line_id=old.line_id, count=old.count, **told)


def why_not(error: CannotDiscount, zone: str) -> str:
    """Why it is not priced as was wished, and what to do."""
    at = formats.moment(error.at, zone) if error.at else ""
    least = formats.money(error.least) if error.least else ""
    says = {
        "early": gettext("This coupon counts from %(at)s on."),
        "over": gettext("This coupon counted until %(at)s."),
        "elsewhere": gettext("This coupon is for other plans than this one."),
        "used_up": gettext("This coupon has been used up by others."),
        "used": gettext("You have used this coupon already."),
        "currency": gettext("This coupon is for prices in another currency."),
        "minimum": gettext("This coupon counts where at least %(least)s is to be paid."),
        "nothing_left": gettext("This price cannot get any lower, so the coupon was not used."),
        "points": gettext("You do not have so many points."),
        "no_rate": gettext("This plan is not sold in this currency."),
        "old_rate": gettext(
            "There is no fresh exchange rate for this currency now. Pay in the plan's own, or look again."
        ),
    }
    unknown = gettext("There is no coupon of this code. Compare it letter by letter.")
    return says.get(error.code, unknown) % {"at": at, "least": least}
