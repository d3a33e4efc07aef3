"""Paying: begin, go on, come back, forget what was kept. No card number is ever typed here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import segno
from allauth.account.adapter import get_adapter
from django.conf import settings as configuration
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import mark_safe
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from xuka.catalogue import queries as catalogue
from xuka.interfaces import clock
from xuka.interfaces.web import errors, forms, methods, ways, who
from xuka.kernel.money import Money
from xuka.ledger import queries as ledger
from xuka.payments import operations as payments
from xuka.payments import providers
from xuka.payments import queries as payments_queries
from xuka.payments.queries import Payment
from xuka.renewals import operations as renewals
from xuka.renewals.models import Order


def ways_to_pay(request: HttpRequest, order: Order, now: datetime) -> ways.Ways:
    """How what this order lacks can be paid; its fee, if any, is in its total already."""
    missing = Money(order.total_minor - ledger.balance(order.hold_id), order.currency)
    return ways.to_pay(
        customer=order.customer_id,
        market=order.market_id,
        money=missing,
        tax_basis_points=order.quote.tax_basis_points,
        zone=order.zone,
        with_fee=False,
        now=now,
        language=translation.get_language() or "",
        inside=methods.inside(request),
    )


def begin(request: HttpRequest, order_id: UUID, told: dict[str, Any]) -> HttpResponse:
    """Begin, or go on with, the payment of this order as a ``forms.Pay`` tells; then to its page, or the order's."""
    order = who.order(request, order_id)
    try:
        payment = _pay(request, order, told)
    except renewals.CannotPay as error:
        messages.warning(request, ways.cannot_pay(error.code, error.until, order.zone, told["method"]))
        return redirect("order", order.id)
    except payments.DifferentPayment:
        return errors.bad_request(request)
    return redirect("order_pay_page" if payment.state == "open" and (payment.url or payment.qr) else "order", order.id)


def _pay(request: HttpRequest, order: Order, told: dict[str, Any]) -> Payment:
    language = translation.get_language() or "en"
    plan = catalogue.name(order.plan_version.plan, language)
    return renewals.pay(
        order_id=order.id,
        payment_id=told["payment"],
        customer=who.customer(request).id,
        method=told["method"],
        description=f"{plan} · {configuration.SELLER_NAME}",
        return_url=configuration.SITE_URL + reverse("order_paid_return", args=[order.id]),
        language=language,
        save_method=told["save_method"],
        saved_method=told["saved"],
        device=methods.device(request),
        client_ip=get_adapter(request).get_client_ip(request),  # the customer's, also behind a proxy
        now=clock.now(),
    )


@login_required
@require_POST
def pay(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Pay an order that waits: go on with its payment, choose another way, or take it from the wallet."""
    order = who.order(request, order_id)
    if refused := who.too_often(request, "pay"):
        return refused
    form = forms.Pay(request.POST)
    if not form.is_valid():
        return errors.bad_request(request)
    if form.cleaned_data["method"] != "wallet":
        return begin(request, order.id, form.cleaned_data)
    try:
        renewals.pay_from_wallet(order_id=order.id, customer=who.customer(request).id, now=clock.now())
    except renewals.CannotPay as error:
        messages.warning(request, ways.cannot_pay(error.code, error.until, order.zone, "wallet"))
    return redirect("order", order.id)


@never_cache
@login_required
@require_GET
def pay_page(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Leads to the provider's own page, or shows the code that is scanned.

    A page in between, for browsers let no form lead to another site's page. Asked with ``?while=open`` it answers 204
    as long as nothing was paid, so that the page with the code goes on by itself.
    """
    order = who.order(request, order_id)
    payment = payments_queries.live_payment(order.id)
    if payment is None or not (payment.url or payment.qr):
        answer = HttpResponse(status=200, headers={"HX-Redirect": reverse("order", args=[order.id])})
        return answer if request.GET.get("while") == "open" else redirect("order", order.id)
    if request.GET.get("while") == "open":
        return HttpResponse(status=204)
    context: dict[str, object] = {"order": order, "url": payment.url, "tab": "orders"}
    if payment.qr:
        total = Money(payment.amount_minor, payment.currency)
        drawing = segno.make(payment.qr, error="m").svg_inline(scale=6, border=3, light="#fff")
        context |= {"code": mark_safe(drawing), "name": methods.name(payment.method), "total": total}  # noqa: S308
    return render(request, "pay.html", context)


@never_cache
@login_required
@require_GET
def paid(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Back from the provider's page, paid or not: look at once, and tell on the order's page."""
    order = who.order(request, order_id)
    payments.look_now(cause=order.id, now=clock.now())
    return redirect("order", order.id)


@dataclass(frozen=True, slots=True)
class KeptMethod:
    """A way to pay that was kept, as the account shows it."""

    id: UUID
    name: str
    is_expired: bool


def kept_methods(customer: UUID) -> list[KeptMethod] | None:
    """What the customer had kept; None where there is no provider to keep anything."""
    if not providers.installed():
        return None
    now = clock.now()
    kept = payments_queries.saved_methods(customer)
    return [KeptMethod(one.id, ways.saved_name(one), payments_queries.is_expired(one, now)) for one in kept]


@login_required
@require_POST
def forget_method(request: HttpRequest, saved_id: UUID) -> HttpResponse:
    """The customer takes back that a way to pay is kept; another's is left alone."""
    payments.forget_method(saved_id=saved_id, customer=who.customer(request).id, now=clock.now())
    messages.success(request, gettext("It is forgotten, and cannot be charged any more."))
    return redirect("settings")
