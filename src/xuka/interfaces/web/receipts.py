"""The receipts of the person who is signed in: the list, one as a page and as a PDF, and by mail once more."""

from __future__ import annotations

from uuid import UUID

from allauth.core.internal import ratelimit
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.utils.translation import get_language, gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from xuka.interfaces import clock
from xuka.interfaces.web import errors, who
from xuka.interfaces.web.paper import words
from xuka.kernel import ids
from xuka.receipts import queries
from xuka.receipts.models import Receipt

LIMITS = {"receipt": "6/h/user"}


class Send(forms.Form):
    letter = forms.UUIDField()


@never_cache
@login_required
@require_GET
def receipts(request: HttpRequest) -> HttpResponse:
    """All receipts and credit notes, the newest first."""
    told = [
        {"receipt": one, "title": words.title(one), "what": words.what(one)}
        for one in queries.receipts_of(who.customer(request).id)
    ]
    return render(request, "receipts.html", {"receipts": told, "tab": "orders"})


@never_cache
@login_required
@require_GET
def receipt(request: HttpRequest, receipt_id: UUID) -> HttpResponse:
    """One receipt as a page."""
    found = _receipt(request, receipt_id)
    context = {
        "receipt": found,
        "paper": words.paper(found),
        "related": [one for one in queries.receipts_about(found.cause) if one.id != found.id],
        "new_id": ids.new(),
        "tab": "orders",
    }
    return render(request, "receipt.html", context)


@never_cache
@login_required
@require_GET
def receipt_pdf(request: HttpRequest, receipt_id: UUID) -> HttpResponse:
    """One receipt as a PDF to keep, in the language of the page."""
    from xuka.interfaces.web.paper import pdf  # what draws takes a second to load

    found = _receipt(request, receipt_id)
    name, mime, content = pdf.attachment(found, get_language() or "en")
    disposition = content_disposition_header(True, name) or "attachment"
    return HttpResponse(content, content_type=mime, headers={"Content-Disposition": disposition})


@login_required
@require_POST
def send(request: HttpRequest, receipt_id: UUID) -> HttpResponse:
    """Send a receipt by mail once more; the id that the page made keeps a double click to one letter."""
    from xuka.interfaces.web.paper import letter

    found, form = _receipt(request, receipt_id), Send(request.POST)
    if not form.is_valid():
        return errors.bad_request(request)
    if refused := ratelimit.consume_or_429(request, app="xuka.web", action="receipt", config=LIMITS):
        return refused
    address = letter.send(receipt=found, request=form.cleaned_data["letter"], now=clock.now())
    messages.success(request, gettext("On its way to %(address)s.") % {"address": address})
    return redirect("receipt", found.id)


def _receipt(request: HttpRequest, id: UUID) -> Receipt:
    """This person's receipt, or 404."""
    found = queries.receipt_of(who.customer(request).id, id)
    if found is None:
        raise Http404
    return found
