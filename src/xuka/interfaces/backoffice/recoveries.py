"""People who lost mailbox and number: somebody decides whether an account is theirs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.decorators import display

from xuka.interfaces import clock
from xuka.interfaces.backoffice import reading
from xuka.interfaces.backoffice.forms import Reason
from xuka.interfaces.backoffice.reading import Choices, Reading, card, link
from xuka.interfaces.web.recovery import stop_url
from xuka.support import recovery as recoveries
from xuka.support.models import Recovery


class Standing(Choices):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in Recovery.State.values]


class Recoveries(Reading):
    """Who asked, with which card, for whose account; and the two answers."""

    list_display = ("told_asked", "told_customer", "new_email", "told_state", "told_ready")
    list_display_links = ("told_asked",)
    list_filter = (Standing,)
    list_select_related = ("customer", "line")
    ordering = ("-asked_at", "id")
    search_fields = ("new_email__icontains", "id__startswith", "customer__email__icontains")
    search_help_text = "New or old e-mail address, or id"
    fields = (
        "id", "told_asked", "told_customer", "told_card", "new_email", "language", "told_state", "told_ready",
        "told_answers",
    )  # fmt: skip

    told_asked = reading.at("asked_at", "asked")
    told_ready = reading.at("ready_at", "done at")

    @display(description="account")
    def told_customer(self, recovery: Recovery) -> str:
        return link(recovery.customer.email, "accounts.user", recovery.customer_id)

    @display(description="card shown")
    def told_card(self, recovery: Recovery) -> str:
        return card(recovery.line)

    @display(description="state", label={"asked": "warning", "approved": "info", "done": "success"})
    def told_state(self, recovery: Recovery) -> str:
        return recovery.state

    @display(description="answer")
    def told_answers(self, recovery: Recovery) -> str:
        if recovery.state not in recoveries.OPEN:
            return "It has ended."
        answers = ("approve", "refuse") if recovery.state == Recovery.State.ASKED else ("refuse",)
        links = [
            format_html(
                '<a class="bo-link" href="{}">{}</a>',
                reverse("admin:support_recovery_decide", args=[recovery.id, answer]),
                answer.capitalize(),
            )
            for answer in answers
        ]
        return format_html("{} {}", links[0], links[1] if len(links) > 1 else "")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        decide = path("<uuid:id>/<str:answer>/decide/", view(self.decide_view), name="support_recovery_decide")
        return [decide, *super().get_urls()]

    def decide_view(self, request: HttpRequest, id: UUID, answer: str) -> HttpResponse:
        """Approve or refuse, with a reason."""
        recovery = Recovery.objects.select_related("customer").filter(id=id).first()
        if recovery is None or answer not in {"approve", "refuse"}:
            raise Http404
        back = reverse("admin:support_recovery_change", args=[id])
        form = Reason(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                self._decide(request, id, answer, form.cleaned_data["why"])
            except (recoveries.AlreadyDecided, recoveries.AddressTaken) as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, "The old address is told." if answer == "approve" else "It is refused.")
                return HttpResponseRedirect(back)
        does = (
            "The old address and number are told at once and can stop it. In 24 hours the account has the new address; "
            "its password, number, passkeys and sessions end. Nothing changes before."
            if answer == "approve"
            else "The account stays as it is. Who asked is told so at the new address."
        )
        about = [("Account", recovery.customer.email), ("New address", recovery.new_email)]
        told = {"does": does, "button": answer.capitalize(), "back": back, "about": about}
        return self.form_page(request, f"{answer.capitalize()} a recovery", form, **told)

    def _decide(self, request: HttpRequest, id: UUID, answer: str, why: str) -> None:
        staff, now = reading.staff_id(request), clock.now()
        if answer == "approve":
            recoveries.approve(id=id, staff=staff, why=why, stop_url=stop_url(id), now=now)
        else:
            recoveries.refuse(id=id, staff=staff, why=why, now=now)
