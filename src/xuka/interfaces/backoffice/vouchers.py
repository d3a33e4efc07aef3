"""Voucher cards: batches are made, sold and revoked here; no code is ever shown again."""

from __future__ import annotations

import csv
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.debug import sensitive_variables
from unfold.decorators import action, display

from xuka.interfaces import clock
from xuka.interfaces.backoffice import books, forms, reading, records, words
from xuka.interfaces.backoffice.forms import Reason, say
from xuka.interfaces.backoffice.reading import Choices, Listing, Reading, amount, link, when
from xuka.journal import queries as journal
from xuka.payments import queries, vouchers
from xuka.payments.models import Voucher, VoucherBatch
from xuka.payments.queries import Counts

_COLOURS = {"left": "info", "sold": "success", "redeemed": "success", "revoked": "warning", "made": "", "over": ""}


# -- batches -------------------------------------------------------------------------------------------------------


class _BatchList(Listing):
    """The vouchers of all batches of a page are counted together."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        counts = queries.voucher_counts(batch.id for batch in self.result_list)
        for batch in self.result_list:
            batch.counts = counts[batch.id]


class Batches(Reading):
    """Vouchers as they were made together."""

    list_display = (
        "told_made_at", "told_state", "told_value", "number", "told_redeemed", "told_left", "told_revoked",
        "told_until", "sold_to",
    )  # fmt: skip
    list_display_links = ("told_made_at",)
    ordering = ("-made_at", "id")
    search_fields = ("id__startswith", "sold_to__icontains")
    search_help_text = "Batch id (the head of a serial), or who bought it"
    actions_list = ("make_view",)

    told_made_at = reading.at("made_at", "made")
    told_until = reading.at("redeem_by", "redeemed until")
    told_value = reading.money("value_minor", "currency", "value of each")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return _BatchList

    @display(description="state", label=_COLOURS)
    def told_state(self, batch: VoucherBatch) -> str:
        return _state_of_batch(batch)

    @display(description="redeemed")
    def told_redeemed(self, batch: Any) -> int:
        return batch.counts.redeemed

    @display(description="left")
    def told_left(self, batch: Any) -> int:
        return batch.counts.left

    @display(description="revoked")
    def told_revoked(self, batch: Any) -> int:
        return batch.counts.revoked

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.step_view)
        step = path("<uuid:batch_id>/<str:step>/now/", view, name="payments_voucherbatch_step")
        return [step, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One batch: its terms, how many are left, what happened to it."""
        batch = self.get_object(request, object_id)
        if batch is None:
            raise Http404
        state = _state_of_batch(batch)
        serials = f"{reverse('admin:payments_voucher_changelist')}?q={batch.id.hex[:8].upper()}-"
        told = {
            "batch": batch,
            "state": state,
            "colour": _COLOURS[state],
            "facts": _about_batch(batch, queries.voucher_counts([batch.id])[batch.id]),
            "steps": [(step.name, step.button) for step in words.VOUCHER_EXITS.values() if _can(batch, step.name)],
            "serials": serials,
            "timeline": records.story(journal.facts_about(batch.id), batch.currency),
            "transfers": books.moved(batch.id),
        }
        return self.page(request, "voucher_batch", f"{batch.number} of {_value(batch)}", told)

    @action(description="Make vouchers", url_path="make")  # type: ignore[reportCallIssue]
    def make_view(self, request: HttpRequest) -> HttpResponse:
        """Make a batch; the answer is the file for the printer. The same form sent again makes nothing."""
        back = reverse("admin:payments_voucherbatch_changelist")
        form = forms.Vouchers(request.POST) if request.method == "POST" else forms.Vouchers()
        if request.method == "POST" and form.is_valid():
            try:
                return self._made(request, form)
            except vouchers.DifferentBatch:
                form.add_error(None, "Another batch was made with this form already. Open it again.")
            except ValueError:
                form.add_error("redeem_by", "The last day must be still to come.")
        title = "Make vouchers"
        return self.form_page(request, title, form, does=words.MAKE_VOUCHERS, button="Make and download", back=back)

    @sensitive_variables("printed")
    def _made(self, request: HttpRequest, form: forms.Vouchers) -> HttpResponse:
        told = form.cleaned_data
        printed = vouchers.make(
            id=told["id"],
            value=form.money,
            number=told["number"],
            redeem_by=form.deadline,
            staff=reading.staff_id(request),
            why=told["why"],
            now=clock.now(),
        )
        if not printed:
            messages.warning(request, "These vouchers were made before, and their codes were told then, once.")
            return HttpResponseRedirect(reverse("admin:payments_voucherbatch_change", args=[told["id"]]))
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="vouchers-{told["id"].hex[:8]}.csv"'
        response["Cache-Control"] = "no-store"
        rows = csv.writer(response)
        rows.writerow(["serial", "code", "value", "currency", "redeem_by"])
        rest = [form.money.major, form.money.currency, told["redeem_by"].isoformat()]
        rows.writerows([one.serial, one.code, *rest] for one in printed)
        return response

    def step_view(self, request: HttpRequest, batch_id: UUID, step: str) -> HttpResponse:
        """Declare a batch sold, or revoke what is unused of it; once, however often the form is sent."""
        batch, exit = queries.voucher_batch(batch_id), words.VOUCHER_EXITS.get(step)
        if batch is None or exit is None:
            raise Http404
        form = (forms.Sale if step == "sell" else Reason)(request.POST or None)
        back = reverse("admin:payments_voucherbatch_change", args=[batch_id])
        if not _can(batch, step):
            say(form, "This was done before, or the batch is revoked. Nothing was changed.")
        elif request.method == "POST" and form.is_valid():
            try:
                _take(request, batch, step, form.cleaned_data)
            except vouchers.CannotSell:
                say(form, "This batch is revoked. Nothing was changed.")
            else:
                messages.success(request, exit.done)
                return HttpResponseRedirect(back)
        about = _about_batch(batch, queries.voucher_counts([batch_id])[batch_id])
        return self.form_page(request, exit.button, form, does=exit.does, button=exit.button, back=back, about=about)


def _take(request: HttpRequest, batch: VoucherBatch, step: str, told: dict[str, Any]) -> None:
    rest = {"batch_id": batch.id, "staff": reading.staff_id(request), "why": told["why"], "now": clock.now()}
    if step == "sell":
        vouchers.sell(to=told["to"], **rest)
    else:
        vouchers.revoke_batch(**rest)


def _can(batch: VoucherBatch, step: str) -> bool:
    return batch.revoked_at is None and (step == "revoke" or batch.sold_at is None)


def _state_of_batch(batch: VoucherBatch) -> str:
    if batch.revoked_at is not None:
        return "revoked"
    if clock.now() > batch.redeem_by:
        return "over"
    return "sold" if batch.sold_at is not None else "made"


def _value(batch: VoucherBatch) -> str:
    return amount(batch.value_minor, batch.currency)


def _about_batch(batch: VoucherBatch, counts: Counts) -> list[tuple[str, object]]:
    who = f"staff:{batch.made_by}"
    rows = [
        ("Value of each", _value(batch)),
        ("How many", batch.number),
        ("Redeemed", counts.redeemed),
        ("Left", counts.left),
        ("Revoked", counts.revoked),
        ("Value of what is left", amount(counts.left * batch.value_minor, batch.currency)),
        ("Can be redeemed until", when(batch.redeem_by)),
        ("Made", when(batch.made_at)),
        ("Made by", reading.names_of([who]).get(who, who)),
        ("Sold", when(batch.sold_at)),
        ("Sold to", batch.sold_to),
        ("Owed in", link("the account", "ledger.account", batch.liability_id)),
        ("Revoked at", when(batch.revoked_at)),
        ("Revoked because", batch.revoked_why),
    ]
    return [(name, value) for name, value in rows if value not in ("", reading.NOTHING)]


# -- single vouchers -----------------------------------------------------------------------------------------------


class Standing(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in ("left", "redeemed", "revoked")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "left":
                return queryset.filter(redeemed_at__isnull=True, revoked_at__isnull=True)
            case "redeemed":
                return queryset.filter(redeemed_at__isnull=False)
            case "revoked":
                return queryset.filter(revoked_at__isnull=False)
            case _:
                return queryset


class Vouchers(Reading):
    """Each voucher by its serial."""

    list_display = ("serial", "told_state", "told_value", "told_redeemed_at", "told_redeemed_by", "told_batch")
    list_filter = (Standing,)
    list_select_related = ("batch", "redeemed_by")
    ordering = ("serial",)
    search_fields = ("serial__istartswith", "redeemed_by__email__icontains")
    search_help_text = "Serial as printed on the card, or e-mail address; a code cannot be looked for"

    told_redeemed_at = reading.at("redeemed_at", "redeemed")

    @display(description="state", label=_COLOURS)
    def told_state(self, voucher: Voucher) -> str:
        return _state_of(voucher)

    @display(description="value")
    def told_value(self, voucher: Voucher) -> str:
        return _value(voucher.batch)

    @display(description="redeemed by")
    def told_redeemed_by(self, voucher: Voucher) -> str:
        return _redeemer(voucher)

    @display(description="batch")
    def told_batch(self, voucher: Voucher) -> str:
        return link(reading.short(voucher.batch_id), "payments.voucherbatch", voucher.batch_id)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_view)
        refund = self.admin_site.admin_view(self.refund_view)
        return [
            path("<uuid:voucher_id>/revoke/", view, name="payments_voucher_revoke"),
            path("<uuid:voucher_id>/refund/", refund, name="payments_voucher_refund"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One voucher: whether it was used, by whom, and the money."""
        found = self.get_object(request, object_id)
        voucher = queries.voucher(found.id) if found else None
        if voucher is None:
            raise Http404
        state = _state_of(voucher)
        told = {
            "voucher": voucher,
            "state": state,
            "colour": _COLOURS[state],
            "facts": _about(voucher),
            "transfers": books.moved(voucher.id),
        }
        return self.page(request, "voucher", f"Voucher {voucher.serial}", told)

    def refund_view(self, request: HttpRequest, voucher_id: UUID) -> HttpResponse:
        """Pay the value of one unused voucher back, under the reference of that payment."""
        voucher, form = queries.voucher(voucher_id), forms.PaidElsewhere(request.POST or None)
        if voucher is None:
            raise Http404
        back = reverse("admin:payments_voucher_change", args=[voucher_id])
        if request.method == "POST" and form.is_valid():
            told = form.cleaned_data
            try:
                vouchers.refund(
                    voucher_id=voucher_id,
                    reference=told["reference"],
                    staff=reading.staff_id(request),
                    why=told["why"],
                    now=clock.now(),
                )
            except vouchers.CannotRefund as error:
                say(form, f"This voucher is {words.plain(error.code)}. Nothing was changed.")
            else:
                messages.success(request, "Refunded: it cannot be redeemed any more.")
                return HttpResponseRedirect(back)
        does = (
            "You have paid its value back to who has the card, and give the reference of that payment. The voucher is "
            "out of use at once, and is owed no more."
        )
        button = "Refund the voucher"
        return self.form_page(request, button, form, does=does, button=button, back=back, about=_about(voucher))

    def revoke_view(self, request: HttpRequest, voucher_id: UUID) -> HttpResponse:
        """Take one unused voucher out of use."""
        voucher, way, form = queries.voucher(voucher_id), words.REVOKE_VOUCHER, Reason(request.POST or None)
        if voucher is None:
            raise Http404
        back = reverse("admin:payments_voucher_change", args=[voucher_id])
        if _state_of(voucher) != "left":
            say(form, f"This voucher is {_state_of(voucher)} already. Nothing was changed.")
        elif request.method == "POST" and form.is_valid():
            why, staff = form.cleaned_data["why"], reading.staff_id(request)
            try:
                vouchers.revoke(voucher_id=voucher_id, staff=staff, why=why, now=clock.now())
            except vouchers.CannotRevoke:
                say(form, "This voucher was redeemed at this moment. Nothing was changed.")
            else:
                messages.success(request, way.done)
                return HttpResponseRedirect(back)
        about = _about(voucher)
        return self.form_page(request, way.button, form, does=way.does, button=way.button, back=back, about=about)


def _state_of(voucher: Voucher) -> str:
    if voucher.redeemed_at is not None:
        return "redeemed"
    return "revoked" if voucher.revoked_at is not None else "left"


def _redeemer(voucher: Voucher) -> str:
    return link(voucher.redeemed_by.email, "accounts.user", voucher.redeemed_by_id) if voucher.redeemed_by else ""


def _about(voucher: Voucher) -> list[tuple[str, object]]:
    rows = [
        ("Serial", voucher.serial),
        ("Value", _value(voucher.batch)),
        ("Batch", link(reading.short(voucher.batch_id), "payments.voucherbatch", voucher.batch_id)),
        ("Batch sold", when(voucher.batch.sold_at)),
        ("Sold to", voucher.batch.sold_to),
        ("Can be redeemed until", when(voucher.batch.redeem_by)),
        ("Redeemed", when(voucher.redeemed_at)),
        ("Redeemed by", _redeemer(voucher)),
        ("Revoked", when(voucher.revoked_at)),
        ("Refunded under", voucher.refund_reference),
    ]
    return [(name, value) for name, value in rows if value not in ("", reading.NOTHING)]
