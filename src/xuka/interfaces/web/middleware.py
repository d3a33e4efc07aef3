"""What happens around every page: the person's language, small forms only, and a page for a wrong method."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import translation

from xuka.accounts.models import User
from xuka.interfaces.web import errors


class Edge:
    """After sign-in the person's own language wins; what is too large is refused unread; 405 is told in words.

    A part of a page that was signed out meanwhile is not answered with the page to sign in: the whole page is loaded
    anew, and asks.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(("/api/", "/usage/", "/webhooks/")):  # no person, no session, no page
            return self.get_response(request)
        if isinstance(request.user, User):
            translation.activate(request.user.language)
            request.LANGUAGE_CODE = translation.get_language()
        if _is_too_large(request):
            return errors.too_large(request)
        response = self.get_response(request)
        if response.status_code == 405 and not response.content:
            return errors.wrong_method(request, response)
        if response.status_code == 302 and "HX-Request" in request.headers and not request.user.is_authenticated:
            response.status_code = 204
            response["HX-Refresh"] = "true"
            del response["Location"]
        return response

    def process_template_response(self, request: HttpRequest, response: TemplateResponse) -> TemplateResponse:
        """A form of the sign-in library that was refused is not a success: 422, or 429 when it was one try too many."""
        form = (response.context_data or {}).get("form")
        if request.method == "POST" and response.status_code == 200 and isinstance(form, BaseForm) and form.errors:
            codes = {error.code for errors in form.errors.as_data().values() for error in errors}
            response.status_code = 429 if codes & {"rate_limited", "too_many_login_attempts"} else 422
        return response


def _is_too_large(request: HttpRequest) -> bool:
    length = request.META.get("CONTENT_LENGTH") or "0"
    return length.isdigit() and int(length) > _most_bytes(request)


def _most_bytes(request: HttpRequest) -> int:
    """Staff bring files to some pages; no other form here is larger than a few kilobytes."""
    brings_file = request.path in settings.FILE_PAGES and isinstance(request.user, User) and request.user.is_staff
    return settings.FILE_UPLOAD_MAX_BYTES if brings_file else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
