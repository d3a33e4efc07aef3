"""Redeeming a voucher card: its code is typed in, and its value is in the wallet."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from allauth.core.internal import ratelimit
from django import forms
from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from xuka.catalogue import queries as catalogue
from xuka.interfaces import clock
from xuka.interfaces.web import formats, who
from xuka.interfaces.web.forms import Text
from xuka.kernel.money import Money
from xuka.ledger import queries as ledger
from xuka.lines import queries as lines
from xuka.payments import queries as payments
from xuka.payments import rules, vouchers
from xuka.payments.queries import Voucher
from xuka.payments.vouchers import CannotRedeem
from xuka.renewals import queries as renewals

# A code that is nobody's is a try; what is mistyped is none, but the form itself has a limit too. An address may be
# that of a whole mobile network. "key" is one for the whole shop.
LIMITS = {
    "voucher": "5/15m/user,20/d/user,100/d/ip,1000/h/key",
    "voucher_form": "20/m/user,60/m/ip",
}


class Redeem(forms.Form):
    """What is printed on the card."""

    voucher = Text(
        max_length=100,
        label=_("Code on the voucher"),
        help_text=_("16 letters and digits. Spaces, dashes and small letters do not matter."),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false", "inputmode": "text"}
        ),
    )

    def clean_voucher(self) -> str:
        """The sixteen signs; a typing mistake is told at once."""
        try:
            return rules.code_of(self.cleaned_data["voucher"])
        except rules.MistypedCode:
            raise forms.ValidationError(
                _("There is a typing mistake in this code. Compare it with the voucher sign by sign.")
            ) from None


@never_cache
@sensitive_post_parameters("voucher")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("form")
def voucher(request: HttpRequest) -> HttpResponse:
    """The form; after a redirect, what came into the wallet and the way back to what was waiting."""
    form = Redeem(request.POST or None)
    if request.method != "POST":
        return _page(request, form, used=_used(request))
    if ratelimit.consume(request, app="xuka.web", action="voucher_form", config=LIMITS) is None:
        return _locked_out(request, form, "voucher_form")
    if not form.is_valid():
        return _page(request, form, status=422)
    attempt = ratelimit.consume(request, app="xuka.web", action="voucher", config=LIMITS, key="all")
    if attempt is None:
        return _locked_out(request, form, "voucher")
    customer = who.customer(request).id
    try:
        redeemed = vouchers.redeem(
            typed=form.cleaned_data["voucher"], customer=customer, currencies=_accepted(customer), now=clock.now()
        )
    except CannotRedeem as error:
        if error.code != "not_valid":  # whoever holds a card does not guess
            attempt.rollback()
        form.add_error("voucher", _why_not(error, _zone(request)))
        return _page(request, form, status=422)
    attempt.rollback()
    told = QueryDict(mutable=True)
    told.update({"used": str(redeemed.id)} | {name: str(id) for name, id in _waiting(request).items()})
    return redirect(f"{reverse('voucher')}?{told.urlencode()}")


def _page(request: HttpRequest, form: Redeem, *, used: Voucher | None = None, status: int = 200) -> HttpResponse:
    customer, waiting = who.customer(request).id, _waiting(request)
    told: dict[str, Any] = {"form": form, "waiting": waiting, "tab": "settings"}
    if used is not None:
        told["value"] = Money(used.batch.value_minor, used.batch.currency)
        told["balance"] = ledger.wallet_balance(customer=customer, currency=used.batch.currency)
        told["orders"] = renewals.waiting_orders(customer)
    return render(request, "voucher.html", told, status=status)


def _used(request: HttpRequest) -> Voucher | None:
    """The voucher that this person has just redeemed."""
    id = _id(request.GET.get("used", ""))
    return payments.voucher_redeemed_by(who.customer(request).id, id) if id else None


def _waiting(request: HttpRequest) -> dict[str, UUID]:
    """The order or the quote from whose page somebody came, to lead back there; it looks itself whose it is."""
    told = request.POST if request.method == "POST" else request.GET
    found = {name: _id(told.get(name, "")) for name in ("order", "quote")}
    return {name: id for name, id in found.items() if id}


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _locked_out(request: HttpRequest, form: Redeem, action: str) -> HttpResponse:
    """In words, with how long it takes."""
    seconds, now = _seconds_left(request, action), clock.now()
    told = {"when": formats.wait(now + timedelta(seconds=seconds), now)}
    if action == "voucher":
        form.add_error(
            None, gettext("Too many wrong codes. For your safety we take a break: try again %(when)s.") % told
        )
    else:
        form.add_error(None, gettext("Too many tries. Please try again %(when)s.") % told)
    response = _page(request, form, status=429)
    response["Retry-After"] = str(seconds)
    return response


def _seconds_left(request: HttpRequest, action: str) -> int:
    """Until every limit allows a try again, at least a minute; counted by the cache's clock, which nobody pushes."""
    left = [60.0]
    for rate in ratelimit.get_rates(app="xuka.web", action=action, config=LIMITS):
        tries = cache.get(ratelimit.get_cache_key(request, app="xuka.web", action=action, rate=rate, key="all"), [])
        if len(tries) >= rate.amount:
            left.append(tries[rate.amount - 1] + rate.duration - time.time())
    return int(max(left))


def _zone(request: HttpRequest) -> str:
    """The person's own zone, or that of their first card."""
    customer = who.customer(request)
    return customer.time_zone or next((line.zone for line in lines.lines_of(customer.id)), "")


def _why_not(error: CannotRedeem, zone: str) -> str:
    at = formats.moment(error.at, zone) if error.at else ""
    match error.code:
        case "already_used":
            return gettext("You have used this voucher already, on %(at)s. Its value is in your wallet.") % {"at": at}
        case "expired":
            return gettext("This voucher could be redeemed until %(at)s. Ask where you bought it.") % {"at": at}
        case "revoked":
            return gettext("This voucher was taken out of use. Ask where you bought it for your money back.")
        case "not_sold":
            return gettext("This voucher is not switched on yet. Ask where you bought it.")
        case "currency" if error.value:
            told = {"value": formats.money(error.value)}
            return (
                gettext("This voucher is worth %(value)s, but you have nothing that is paid in this currency.") % told
            )
        case _:
            return gettext("This code is not valid. Compare it with the voucher, or ask where you bought it.")


# -- wallets -------------------------------------------------------------------------------------------------------


def _used_currencies(customer: UUID) -> set[str]:
    bought = {order.currency for order in renewals.orders_of(customer)}
    return bought | {line.market.currency for line in lines.lines_to_renew(customer)}


def _accepted(customer: UUID) -> set[str]:
    """What a customer can pay with: the currencies of their cards and orders; before the first, every market's."""
    return _used_currencies(customer) or {market.currency for market in catalogue.markets()}


def wallets(customer: UUID) -> list[Money]:
    """The customer's wallets: of each currency they pay in, and every other that holds something."""
    used = _used_currencies(customer)
    known = sorted(used | {market.currency for market in catalogue.markets()})
    held = [ledger.wallet_balance(customer=customer, currency=currency) for currency in known]
    return [balance for balance in held if balance.currency in used or balance.minor]
