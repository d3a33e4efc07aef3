"""Promotions and coupons: staff make them and stop them; what was made is never changed."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from xuka.catalogue import queries as catalogue
from xuka.interfaces import clock
from xuka.interfaces.backoffice import reading, records
from xuka.interfaces.backoffice.forms import Reason
from xuka.interfaces.backoffice.reading import Reading, amount, when
from xuka.interfaces.web import formats
from xuka.journal import queries as journal
from xuka.kernel import ids
from xuka.kernel.money import decimals, from_major
from xuka.renewals import discounts
from xuka.renewals.models import Discount

DOES = (
    "A promotion counts by itself in every quote that it fits; of several, the one that takes off most. A coupon "
    "counts where its code is typed. Neither can be changed afterwards, only stopped."
)
STOPS = (
    "Nobody takes it any more from now on: whoever has a quote with it is asked to look at a new price. Orders placed "
    "already keep it. It cannot be switched on again."
)
_COLOURS = {"counts": "success", "to come": "info", "over": "", "stopped": "warning", "used up": "warning"}


def _text(**attrs: str) -> UnfoldAdminTextInputWidget:
    return UnfoldAdminTextInputWidget(attrs=attrs)


class Make(Reason):
    """A promotion or a coupon to make; the page makes its id, so that sending it twice makes one."""

    id = forms.UUIDField(widget=forms.HiddenInput())
    name = forms.CharField(max_length=80, widget=_text(), help_text="Customers read it beside what is taken off.")
    code = forms.RegexField(
        r"^[A-Za-z0-9 _-]{3,40}$", required=False, widget=_text(),
        help_text="For a coupon: what people type, 3 to 40 letters and digits. Empty: a promotion.",
    )  # fmt: skip
    percent = forms.DecimalField(
        min_value=Decimal("0.01"), max_value=100, decimal_places=2, required=False, widget=_text(inputmode="decimal"),
        label="Per cent off", help_text="Of what is left to pay. Or:",
    )  # fmt: skip
    off = forms.DecimalField(
        min_value=Decimal("0.01"),
        max_value=10**6,
        required=False,
        widget=_text(inputmode="decimal"),
        label="Amount off",
    )
    minimum = forms.DecimalField(
        min_value=Decimal("0.01"), max_value=10**6, required=False, widget=_text(inputmode="decimal"),
        label="Only from this amount on", help_text="Empty: any price.",
    )  # fmt: skip
    currency = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget(), help_text="Of the amounts.")
    starts_on = forms.DateField(label="First day (UTC)", widget=_text(placeholder="2027-03-01"))
    ends_on = forms.DateField(label="Last day (UTC)", widget=_text(placeholder="2027-03-31"))
    market = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget())
    plans = forms.CharField(
        required=False, max_length=2000, widget=_text(), help_text="Names of plans, with spaces between. Empty: all."
    )
    most = forms.IntegerField(
        min_value=1, max_value=10**9, required=False, widget=_text(inputmode="numeric"), label="How often in all",
        help_text="Empty: no limit.",
    )  # fmt: skip
    most_each = forms.IntegerField(
        min_value=1, max_value=10**6, required=False, widget=_text(inputmode="numeric"), label="How often a customer",
        help_text="Empty: no limit.",
    )  # fmt: skip
    field_order = (
        "id", "name", "code", "percent", "off", "minimum", "currency", "starts_on", "ends_on", "market", "plans",
        "most", "most_each", "why",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"id": ids.new(), "most_each": 1})
        super().__init__(*args, **kwargs)
        markets = catalogue.markets()
        currencies = sorted({market.currency for market in markets})
        self.fields["currency"].choices = [("", "–"), *((one, one) for one in currencies)]  # type: ignore[attr-defined]
        codes = [("", "all"), *((one.code, one.code) for one in markets)]
        self.fields["market"].choices = codes  # type: ignore[attr-defined]

    def clean_plans(self) -> list[str]:
        """The plans that are named; each must be on sale."""
        named = self.cleaned_data["plans"].replace(",", " ").split()
        for slug in named:
            if catalogue.plan_by_slug(slug) is None:
                raise forms.ValidationError(f"There is no plan {slug} on sale.")
        return named

    def clean(self) -> dict[str, Any]:
        told = super().clean() or {}
        if bool(told.get("percent")) == bool(told.get("off")):
            self.add_error("percent", "Give per cent or an amount: one of the two.")
        if (told.get("off") or told.get("minimum")) and not told.get("currency"):
            self.add_error("currency", "Choose the currency of the amounts.")
        for name in ("off", "minimum"):
            if told.get(name) and (currency := told.get("currency")):
                money = from_major(told[name], currency)
                if money.major != told[name]:
                    self.add_error(name, f"{currency} has {decimals(currency)} decimals.")
                told[name] = money
        if told.get("starts_on") and told.get("ends_on") and told["ends_on"] < told["starts_on"]:
            self.add_error("ends_on", "It ends before it starts.")
        return told

    def terms(self) -> dict[str, Any]:
        """As ``discounts.make`` takes them; only after the form was found valid."""
        told = self.cleaned_data
        return {
            "id": told["id"],
            "name": told["name"],
            "code": told["code"],
            "basis_points": int(told["percent"] * 100) if told["percent"] else 0,
            "off": told["off"],
            "minimum": told["minimum"],
            "starts_at": datetime.combine(told["starts_on"], time.min, tzinfo=UTC),
            "ends_at": datetime.combine(told["ends_on"] + timedelta(days=1), time.min, tzinfo=UTC),
            "markets": [told["market"]] if told["market"] else [],
            "plans": told["plans"],
            "most": told["most"],
            "most_each": told["most_each"],
            "why": told["why"],
        }


class Discounts(Reading):
    """Promotions and coupons, the latest first."""

    list_display = ("told_name", "told_state", "told_worth", "told_taken", "told_from", "told_until")
    list_display_links = ("told_name",)
    ordering = ("-made_at", "id")
    search_fields = ("code__istartswith", "name__icontains")
    search_help_text = "Code or name"
    actions_list = ("make_view",)

    told_from = reading.at("starts_at", "from")
    told_until = reading.at("ends_at", "until")

    @display(description="coupon or promotion", ordering="name")
    def told_name(self, discount: Discount) -> str:
        return f"{discount.code}: {discount.name}" if discount.code else discount.name

    @display(description="state", label=_COLOURS)
    def told_state(self, discount: Discount) -> str:
        return _state(discount)

    @display(description="takes off")
    def told_worth(self, discount: Discount) -> str:
        return _worth(discount)

    @display(description="taken")
    def told_taken(self, discount: Discount) -> str:
        return f"{discount.taken} of {discount.most}" if discount.most is not None else str(discount.taken)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.stop_view)
        return [path("<uuid:discount_id>/stop/now/", view, name="renewals_discount_stop"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One discount: its terms, how often it was taken, what happened to it."""
        discount = self.get_object(request, object_id)
        if discount is None:
            raise Http404
        told = {
            "discount": discount,
            "facts": _about(discount),
            "timeline": records.story(journal.facts_about(discount.id), discount.currency),
        }
        return self.page(request, "discount", str(discount), told)

    @action(description="Make a promotion or a coupon", url_path="make")  # type: ignore[reportCallIssue]
    def make_view(self, request: HttpRequest) -> HttpResponse:
        """Make one. The same form sent again makes nothing."""
        form = Make(request.POST) if request.method == "POST" else Make()
        if request.method == "POST" and form.is_valid():
            try:
                made = discounts.make(staff=reading.staff_id(request), now=clock.now(), **form.terms())
            except discounts.DifferentDiscount:
                form.add_error("code", "This code is taken, or this form was sent before with other terms.")
            else:
                messages.success(request, f"{made} is made.")
                return HttpResponseRedirect(reverse("admin:renewals_discount_change", args=[made.id]))
        back = reverse("admin:renewals_discount_changelist")
        return self.form_page(request, "Make a promotion or a coupon", form, does=DOES, button="Make it", back=back)

    def stop_view(self, request: HttpRequest, discount_id: UUID) -> HttpResponse:
        """Stop one, with a reason; once, however often the form is sent."""
        discount = Discount.objects.filter(id=discount_id).first()
        if discount is None:
            raise Http404
        form, back = Reason(request.POST or None), reverse("admin:renewals_discount_change", args=[discount_id])
        if request.method == "POST" and form.is_valid():
            why = form.cleaned_data["why"]
            discounts.stop(id=discount_id, staff=reading.staff_id(request), why=why, now=clock.now())
            messages.success(request, f"{discount} is stopped.")
            return HttpResponseRedirect(back)
        title = f"Stop {discount}"
        return self.form_page(request, title, form, does=STOPS, button="Stop it", back=back, about=_about(discount))


def _state(discount: Discount) -> str:
    now = clock.now()
    if discount.stopped_at is not None:
        return "stopped"
    if now >= discount.ends_at:
        return "over"
    if discount.most is not None and discount.taken >= discount.most:
        return "used up"
    return "counts" if now >= discount.starts_at else "to come"


def _worth(discount: Discount) -> str:
    if discount.off_minor is not None:
        return amount(discount.off_minor, discount.currency)
    return formats.percent(discount.basis_points)


def _about(discount: Discount) -> list[tuple[str, object]]:
    who = f"staff:{discount.made_by}"
    least = "" if discount.minimum_minor is None else amount(discount.minimum_minor, discount.currency)
    rows = [
        ("Name", discount.name),
        ("Code", discount.code),
        ("State", _state(discount)),
        ("Takes off", _worth(discount)),
        ("Only from this amount on", least),
        ("From", when(discount.starts_at)),
        ("Until", when(discount.ends_at)),
        ("Markets", ", ".join(discount.markets) or "all"),
        ("Plans", ", ".join(discount.plans) or "all"),
        ("Taken", discount.taken),
        ("How often in all", "no limit" if discount.most is None else discount.most),
        ("How often a customer", "no limit" if discount.most_each is None else discount.most_each),
        ("Made", when(discount.made_at)),
        ("Made by", reading.names_of([who]).get(who, who)),
        ("Stopped", when(discount.stopped_at)),
    ]
    return [(name, value) for name, value in rows if value not in ("", reading.NOTHING)]
