"""Error pages, in the person's language, with what to do next."""

from __future__ import annotations

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext


def page(request: HttpRequest, code: int, heading: str, says: str, todo: str) -> HttpResponse:
    """One error as a page of our own. A page asked for in the background gets the status only."""
    context = {"code": code, "heading": heading, "says": says, "todo": todo, "here": "/"}
    return render(request, "error.html", context, status=code)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400; or 413 when the request was larger than any form here."""
    if isinstance(exception, RequestDataTooBig):
        return too_large(request)
    return page(
        request,
        400,
        gettext("We could not read that"),
        gettext("Something in what was sent does not make sense to us. Nothing was saved."),
        gettext("Go back, reload the page and try once more."),
    )


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403."""
    return page(
        request,
        403,
        gettext("This is not for you to open"),
        gettext("Your account has no right to this page."),
        gettext("If you think it should, write to us."),
    )


def csrf(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 when a form comes without its token: usually an old page, or cookies switched off."""
    return page(
        request,
        403,
        gettext("This page was too old"),
        gettext("To protect you we did not accept the form. Nothing was saved."),
        gettext("Reload the page and send it again. Cookies must be allowed."),
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: unknown and someone else's are the same."""
    return page(
        request,
        404,
        gettext("There is nothing here"),
        gettext("The address is wrong, or it belongs to another account."),
        gettext("Look at the address again, or start from your cards."),
    )


def wrong_method(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """405, with the answer's ``Allow`` kept."""
    told = page(
        request,
        405,
        gettext("That is not how this page works"),
        gettext("The page was opened in a way it does not understand. Nothing was changed."),
        gettext("Go back to the start and use the buttons there."),
    )
    told["Allow"] = response["Allow"]
    return told


def too_large(request: HttpRequest) -> HttpResponse:
    """413."""
    return page(
        request,
        413,
        gettext("That is too much"),
        gettext("What was sent is larger than any form here. Nothing was saved."),
        gettext("Make the text shorter and send it again."),
    )


def too_many(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """429."""
    told = page(
        request,
        429,
        gettext("Too many tries"),
        gettext("For your safety we take a short break here."),
        gettext("Wait a few minutes and try again. If you cannot get in, write to us."),
    )
    told["Retry-After"] = "60"
    return told


def broken(request: HttpRequest) -> HttpResponse:
    """500. Rendered without the database: it may be what is broken."""
    context = {
        "code": 500,
        "bare": True,
        "heading": gettext("Something broke on our side"),
        "says": gettext(
            "It is not your fault. If you were paying: a payment is never taken twice, and an order that was "
            "placed goes on by itself."
        ),
        "todo": gettext("Try again in a minute."),
    }
    return HttpResponse(render_to_string("error.html", context), status=500)
