"""What is refused, as RFC 9457 has it."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from django.http import HttpResponse, JsonResponse


def problem(
    status: HTTPStatus, title: str, wrong: Sequence[tuple[str, str]] = (), headers: dict[str, str] | None = None
) -> HttpResponse:
    """A refusal in JSON; ``wrong``: where in what was sent (a JSON pointer, RFC 6901), and why, for each."""
    told = {"type": "about:blank", "title": title, "status": int(status)}
    if wrong:
        told["errors"] = [{"pointer": pointer, "detail": why} for pointer, why in wrong]
    return JsonResponse(told, status=status, headers=headers, content_type="application/problem+json")
