"""Usage records pushed over HTTP: signed NDJSON, counted before it is answered."""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from datetime import datetime, timedelta
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from xuka.interfaces import clock
from xuka.interfaces.webhooks.views import problem
from xuka.metering import counting, intake, mapping, sources

AT_MOST_BYTES = 32 * 1024 * 1024  # as sent, and unpacked
AT_MOST_RECORDS = 100_000
FRESH = timedelta(minutes=5)
_KINDS = {"", "application/x-ndjson", "application/ndjson", "application/jsonl", "application/octet-stream"}
# An unknown source is answered as a wrong signature is, and as fast.
_NOBODYS = "nobody's secret"


class Refused(Exception):
    """The request is not counted; the status and the sentence say why."""

    def __init__(self, status: HTTPStatus, title: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title


@csrf_exempt
def receive(request: HttpRequest, source: str) -> HttpResponse:
    """Count a batch and answer 200 with what became of it, once it is stored. Sent again, it changes nothing.

    A record that cannot be counted is told with its line and the reason, kept, and stops no other.
    """
    if request.method != "POST":
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, "Usage records are posted.", Allow="POST")
    now = clock.now()
    try:
        sent = _signed_body(request, source, now)
        told = _told(request, sent)
        known_until = _known_until(request, now)
    except Refused as refused:
        return problem(refused.status, refused.title)
    taken = intake.take(source=counting.source(source), lines=told, now=now, known_until=known_until)
    return JsonResponse(
        {
            "counted": taken.counted,
            "repeated": taken.repeated,
            "corrected": taken.corrected,
            "rejected": [{"place": one.told.place, "reason": one.reason} for one in taken.refused],
        }
    )


def signature(*, secret: str, at: int, body: bytes) -> str:
    """The header ``Xuka-Signature`` of this body, sent at this second (Unix)."""
    return f"t={at},v1={hmac.new(secret.encode(), b'%d.' % at + body, hashlib.sha256).hexdigest()}"


def _signed_body(request: HttpRequest, source: str, now: datetime) -> bytes:
    """The body as sent, when its signature is this source's and fresh. What is too old is not even read."""
    wrong = Refused(HTTPStatus.UNAUTHORIZED, "The signature does not fit, or is older than five minutes.")
    told = request.headers.get("Xuka-Signature", "")
    match = re.fullmatch(r"t=([0-9]{1,12}),v1=[0-9a-f]{64}", told, re.ASCII)
    if match is None or abs(now.timestamp() - int(match[1])) > FRESH.total_seconds():
        raise wrong
    body = _body(request)
    way = sources.installed().get(source)
    secret = way.secret if way else None
    expected = signature(secret=secret or _NOBODYS, at=int(match[1]), body=body)
    # A leading zero would make another header of the same second: the whole of it is compared.
    if not hmac.compare_digest(told.encode(), expected.encode()) or secret is None:
        raise wrong
    return body


def _body(request: HttpRequest) -> bytes:
    too_large = Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "A batch has 32 MiB at most: send it in parts.")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isascii() and length.isdigit() and int(length) > AT_MOST_BYTES:
        raise too_large
    try:
        body = request.read(AT_MOST_BYTES + 1)
    except UnreadablePostError:
        raise Refused(HTTPStatus.BAD_REQUEST, "The body did not come to its end.") from None
    if len(body) > AT_MOST_BYTES:
        raise too_large
    return body


def _told(request: HttpRequest, sent: bytes) -> list[mapping.Told]:
    kind = (request.content_type or "").lower()
    if kind not in _KINDS:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Usage records are application/x-ndjson.")
    body = _unpacked(request.headers.get("Content-Encoding", ""), sent)
    if body.count(b"\n") > 2 * AT_MOST_RECORDS:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "A batch has 100,000 records at most.")
    told = mapping.told_in_ndjson(f"push {hashlib.sha256(sent).hexdigest()}", body)
    if len(told) > AT_MOST_RECORDS:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "A batch has 100,000 records at most.")
    return told


def _unpacked(encoding: str, sent: bytes) -> bytes:
    """The body as it was before it was packed. No more is unpacked than may be sent."""
    if encoding.lower() in {"", "identity"}:
        return sent
    if encoding.lower() != "gzip":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "A body is sent as it is, or as gzip.")
    unpacking = zlib.decompressobj(wbits=31)
    try:
        body = unpacking.decompress(sent, AT_MOST_BYTES + 1)
    except zlib.error:
        raise Refused(HTTPStatus.BAD_REQUEST, "The body is not gzip.") from None
    if len(body) > AT_MOST_BYTES:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "A batch has 32 MiB at most, unpacked: send it in parts.")
    if not unpacking.eof or unpacking.unused_data:
        raise Refused(HTTPStatus.BAD_REQUEST, "The gzip does not come to its end, or more comes behind it.")
    return body


def _known_until(request: HttpRequest, now: datetime) -> datetime | None:
    told = request.headers.get("Xuka-Known-Until")
    if told is None:
        return None
    try:
        return mapping.known_until(told, now)
    except ValueError:
        raise Refused(
            HTTPStatus.BAD_REQUEST, "Xuka-Known-Until is a time that has come, as 2026-03-01T13:00:00+01:00."
        ) from None
