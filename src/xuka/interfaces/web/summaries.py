"""Contract summaries: as a page and as a PDF, of the version sold now and of each that was ever sold. Open to all."""

from __future__ import annotations

import hashlib
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.http import content_disposition_header, parse_etags
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.interfaces.web.paper import summary

# Of the version sold now, which another may follow; of a version, which never changes (the words about it may).
MINUTES, DAY = 5 * 60, 24 * 60 * 60


@never_cache
@require_GET
def sold_now(request: HttpRequest, slug: str) -> HttpResponse:
    """The summary of the version of this plan that is sold now."""
    return _page(request, _sold_now(slug), reverse("plan_summary_pdf", args=[slug]))


@never_cache
@require_GET
def sold(request: HttpRequest, version_id: UUID) -> HttpResponse:
    """The summary of exactly this version, whether it is still sold or not."""
    return _page(request, _sold(version_id), reverse("version_summary_pdf", args=[version_id]))


@require_GET
def sold_now_pdf(request: HttpRequest, slug: str) -> HttpResponse:
    """The same as a PDF, in the language that is asked for as ``lang``."""
    return _pdf(request, _sold_now(slug), MINUTES)


@require_GET
def sold_pdf(request: HttpRequest, version_id: UUID) -> HttpResponse:
    """The same as a PDF, in the language that is asked for as ``lang``."""
    return _pdf(request, _sold(version_id), DAY)


def _page(request: HttpRequest, version: PlanVersion, pdf: str) -> HttpResponse:
    context = {
        "version": version,
        "told": summary.summary(version),
        "is_on_sale": version.plan.on_sale and version.plan.current_id == version.id,
        "pdf": f"{pdf}?{urlencode({'lang': get_language() or 'en'})}",
    }
    return render(request, "plans/summary.html", context)


def _pdf(request: HttpRequest, version: PlanVersion, seconds: int) -> HttpResponse:
    """The file, which anybody may keep for so long; without a language, the way to that of the visitor."""
    from xuka.interfaces.web.paper import summary_pdf  # what draws takes a second to load

    language = request.GET.get("lang", "")
    if not language:
        answer = redirect(f"{request.path}?{urlencode({'lang': get_language() or 'en'})}")
        patch_vary_headers(answer, ["Accept-Language", "Cookie"])
        patch_cache_control(answer, private=True, no_cache=True)
        return answer
    if language not in dict(settings.LANGUAGES):
        raise Http404
    content = summary_pdf.pdf(version, language)
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if tag in parse_etags(request.headers.get("If-None-Match", "")):
        answer: HttpResponse = HttpResponseNotModified()
    else:
        with translation.override(language):
            name = summary.file_name(version)
        answer = HttpResponse(content, content_type="application/pdf")
        answer.headers["Content-Disposition"] = content_disposition_header(False, name) or "inline"
        answer.headers["Content-Language"] = translation.to_locale(language).replace("_", "-")
    answer.headers["ETag"] = tag
    patch_cache_control(answer, public=True, max_age=seconds)
    return answer


def _sold_now(slug: str) -> PlanVersion:
    return _found(catalogue.plan_by_slug(slug))


def _sold(version_id: UUID) -> PlanVersion:
    return _found(catalogue.plan_version(version_id))


def _found(version: PlanVersion | None) -> PlanVersion:
    if version is None:
        raise Http404
    return version
