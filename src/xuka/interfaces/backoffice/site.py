"""The staff site under /staff/: who may enter, and which page shows which table."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.adapter import get_adapter
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

from xuka.accounts.models import Family, User
from xuka.activation.models import Attempt
from xuka.catalogue.models import Market, Network, Plan, PlanVersion
from xuka.interfaces.backoffice import (
    books,
    cards,
    customers,
    desk,
    discounts,
    families,
    fees,
    hooks,
    leaving,
    offers,
    orders,
    reading,
    records,
    recoveries,
    settlements,
    takings,
    usage,
    vouchers,
)
from xuka.journal.models import Fact
from xuka.ledger.models import Account, Transfer
from xuka.lines.models import Line, Period
from xuka.messaging.models import Message
from xuka.metering.models import Delivery, Rejected, Source
from xuka.payments.models import (
    Event,
    MethodFee,
    Payment,
    Payout,
    Refund,
    SettlementDifference,
    SettlementReport,
    Voucher,
    VoucherBatch,
)
from xuka.renewals.models import Discount, Order, Quote, Withdrawal
from xuka.support.models import Recovery, Ticket


class Staff(UnfoldAdminSite):
    """Staff only. There is one sign-in for everybody, with its rate limits; this site has none of its own.

    Whoever is not signed in is sent there. A customer who is signed in finds nothing here: 404, as for any address
    that does not exist.
    """

    index_template = "backoffice/desk.html"
    index_title = "Desk"
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        return reading.is_staff(request)

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        inner = super().admin_view(view, cacheable)

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if self.has_permission(request):
                return inner(request, *args, **kwargs)
            return _turn_away(request)

        return guarded

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """What waits for a person, and how things stand."""
        return super().index(request, {**desk.standing(), **(extra_context or {})})

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The site's own sign-in."""
        return HttpResponseRedirect(reverse("admin:index")) if self.has_permission(request) else _turn_away(request)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Sign out as everywhere else; a mere link asks first."""
        if request.method != "POST":
            return HttpResponseRedirect(reverse("account_logout"))
        get_adapter(request).logout(request)
        return HttpResponseRedirect("/")

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The site's own page for it, with its rate limits."""
        return HttpResponseRedirect(reverse("account_change_password"))


def _turn_away(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        raise Http404
    return redirect_to_login(request.get_full_path(), reverse("account_login"))


site = Staff(name="admin")
site.register(Order, orders.Orders)
site.register(User, customers.Customers)
site.register(Family, families.Families)
site.register(Line, cards.Cards)
site.register(Payment, takings.Payments)
site.register(Refund, takings.Refunds)
site.register(Payout, leaving.Payouts)
site.register(Withdrawal, leaving.Withdrawals)
site.register(SettlementReport, settlements.Reports)
site.register(SettlementDifference, settlements.Differences)
site.register(Event, hooks.Events)
site.register(MethodFee, fees.Fees)
site.register(Discount, discounts.Discounts)
site.register(VoucherBatch, vouchers.Batches)
site.register(Voucher, vouchers.Vouchers)
site.register(Account, books.Accounts)
site.register(Transfer, books.Transfers)
site.register(Fact, records.Facts)
site.register(Attempt, records.Attempts)
site.register(Period, records.Periods)
site.register(Quote, records.Quotes)
site.register(Message, records.Messages)
site.register(Ticket, records.Tickets)
site.register(Recovery, recoveries.Recoveries)
site.register(Source, usage.Sources)
site.register(Delivery, usage.Deliveries)
site.register(Rejected, usage.RejectedRecords)
site.register(Plan, offers.Plans)
site.register(PlanVersion, offers.PlanVersions)
site.register(Network, offers.Networks)
site.register(Market, offers.Markets)
