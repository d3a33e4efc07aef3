"""Fees on ways of paying. Off unless somebody recorded what allows them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.decorators import action, display

from xuka.interfaces import clock
from xuka.interfaces.backoffice import reading, records, words
from xuka.interfaces.backoffice.forms import Fee
from xuka.interfaces.backoffice.offers import MarketFilter
from xuka.interfaces.backoffice.reading import Listing, Reading, when
from xuka.interfaces.web import formats
from xuka.journal import queries as journal
from xuka.payments import operations as payments
from xuka.payments import providers
from xuka.payments.models import MethodFee

DOES = (
    "Whoever pays this way in this market pays so much more, shown before paying, from the next quote on; the wallet "
    "never has a fee. Orders placed already keep theirs. In Belgium a fee is forbidden by law (PSD2 art. 62(4))."
)


class _FeeList(Listing):
    """Those who recorded the fees of a page are looked up together."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        names = reading.names_of(_recorder(fee) for fee in self.result_list)
        for fee in self.result_list:
            fee.who = names.get(_recorder(fee), "")


class Fees(Reading):
    """What paying by a method costs on top."""

    list_display = ("told_market", "method", "told_fee", "permission", "told_who", "told_at")
    list_display_links = ("told_market",)
    list_filter = (MarketFilter,)
    ordering = ("market", "method")
    actions_list = ("set_view",)

    told_at = reading.at("recorded_at", "recorded")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return _FeeList

    @display(description="market", ordering="market")
    def told_market(self, fee: MethodFee) -> str:
        return fee.market

    @display(description="fee", ordering="basis_points")
    def told_fee(self, fee: MethodFee) -> str:
        return formats.percent(fee.basis_points)

    @display(description="recorded by")
    def told_who(self, fee: Any) -> str:
        return fee.who or reading.short(fee.recorded_by)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One fee: what allows it, who said so, and what it was before."""
        fee = self.get_object(request, object_id)
        if fee is None:
            raise Http404
        who = _recorder(fee)
        facts = [
            ("Market", fee.market),
            ("Way of paying", fee.method),
            ("Fee", formats.percent(fee.basis_points)),
            ("Permission", fee.permission),
            ("Recorded by", reading.names_of([who]).get(who, who)),
            ("Recorded", when(fee.recorded_at)),
        ]
        told = {"fee": fee, "facts": facts, "timeline": records.story(journal.facts_about(fee.id))}
        return self.page(request, "fee", f"Fee on {fee.method} in {fee.market}", told)

    @action(description="Set a fee", url_path="set")  # type: ignore[reportCallIssue]
    def set_view(self, request: HttpRequest) -> HttpResponse:
        """Ask a fee, change it, or take it back with 0. The same form sent again changes nothing."""
        back = reverse("admin:payments_methodfee_changelist")
        form = Fee(request.POST or None, methods=_methods(), initial=request.GET.dict())
        if request.method == "POST" and form.is_valid():
            told = form.cleaned_data
            try:
                payments.set_fee(
                    market=told["market"],
                    method=told["method"],
                    basis_points=form.basis_points,
                    permission=told["permission"],
                    staff=reading.staff_id(request),
                    now=clock.now(),
                )
            except payments.FeeNotAllowed as error:
                form.add_error("market" if error.code == "law" else "permission", words.no_fee(error.code))
            else:
                fee = formats.percent(form.basis_points) if form.basis_points else "no fee"
                messages.success(request, f"{told['method']} in {told['market']}: {fee}.")
                return HttpResponseRedirect(back)
        return self.form_page(request, "Set a fee", form, does=DOES, button="Set the fee", back=back)


def _recorder(fee: MethodFee) -> str:
    return f"staff:{fee.recorded_by}"


def _methods() -> list[str]:
    """Every way of paying of the providers that are set, and those that have a fee already."""
    offered = {method.name for name in providers.installed() for method in providers.provider(name).methods()}
    return sorted(offered | set(MethodFee.objects.values_list("method", flat=True)))
