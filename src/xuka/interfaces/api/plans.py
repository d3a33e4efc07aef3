"""What a plan means by its words, for programs: the same facts and sentences as on the pages. Open to everybody."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation.trans_real import parse_accept_lang_header

from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.catalogue.rules import Data, Policy, Sms, Voice, Window
from xuka.interfaces.api.problems import problem
from xuka.interfaces.web import formats, texts

# How long others may keep an answer. A version's facts never change; which version a plan is sold as may.
MINUTES_BY_SLUG, MINUTES_BY_VERSION = 5, 24 * 60
_SLUG = re.compile(r"[a-z0-9-]{1,60}")


def disclosure(request: HttpRequest, plan: str) -> HttpResponse:
    """The terms of a plan on sale (by its slug), or of any version (by its id), in units that their names tell.

    The sentences are in the language that ``Accept-Language`` asks for, English where it asks for none of ours.
    """
    if request.method not in {"GET", "HEAD"}:
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, "A disclosure is only read.", headers={"Allow": "GET, HEAD"})
    version = version_of(plan)
    if version is None:
        return problem(HTTPStatus.NOT_FOUND, "There is no such plan on sale, and no version of this id.")
    language = _language(request)
    with translation.override(language):
        answer = JsonResponse(_told(version, language), json_dumps_params={"ensure_ascii": False})
    answer["Content-Language"] = language
    answer["Cache-Control"] = f"public, max-age={60 * (MINUTES_BY_VERSION if _version_id(plan) else MINUTES_BY_SLUG)}"
    patch_vary_headers(answer, ["Accept-Language"])
    return answer


def nothing_here(request: HttpRequest, rest: str) -> HttpResponse:
    """Any other address below this one."""
    del rest
    return problem(HTTPStatus.NOT_FOUND, "There is nothing at this address.")


def version_of(plan: str) -> PlanVersion | None:
    """The version sold now of the plan of this slug, or the version of this id, sold or not; None where none is."""
    id = _version_id(plan)
    return catalogue.plan_version(id) if id else catalogue.plan_by_slug(plan) if _SLUG.fullmatch(plan) else None


def _version_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _language(request: HttpRequest) -> str:
    """The first of our languages that the header asks for; no cookie counts, so that answers can be kept for all."""
    for asked, _ in parse_accept_lang_header(request.headers.get("Accept-Language", "")):
        try:
            return translation.get_supported_language_variant(asked)
        except LookupError:
            continue
    return settings.LANGUAGE_CODE if settings.LANGUAGE_CODE in dict(settings.LANGUAGES) else "en"


def _told(version: PlanVersion, language: str) -> dict[str, Any]:
    policy = catalogue.policy(version)
    return {
        "plan": {
            "slug": version.plan_id,
            "version_id": str(version.id),
            "name": texts.plan_name(version),
            "market": version.plan.market_id,
            "network": version.plan.network_id,
        },
        "period": policy.period.model_dump(exclude={} if policy.period.starts != "activation" else {"starts"}),
        "data": _data(policy.quota.data),
        "calls": _voice(policy.quota.voice),
        "texts": _sms(policy.quota.sms),
        "sentences": _sentences(version, policy, language),
    }


def _data(data: Data) -> dict[str, Any]:
    peak = data.peak
    return {
        "limits": [_limit(limit) for limit in data.limits],
        "peak": peak
        and {
            "from": f"{peak.from_time:%H:%M}",
            "to": f"{peak.to_time:%H:%M}",
            "zone": peak.zone,
            "speed_kbps": peak.kbps,
        },
        "hotspot": {"is_allowed": data.hotspot.allowed, "cap_bytes": data.hotspot.cap_bytes},
        "abroad": {
            "is_allowed": data.abroad.allowed,
            "countries": list(data.abroad.countries),
            "cap_bytes": data.abroad.cap_bytes,
        },
        "shared": data.pool and {"other_cards": data.pool.cards, "own_first": data.pool.turn == "own_first"},
    }


def _limit(limit: Window) -> dict[str, Any]:
    """``window`` says over which time use is counted; a speed of 0 is blocked."""
    return {
        "window": limit.window,
        "window_days": limit.days,
        "resets_at": f"{limit.resets_at:%H:%M}" if limit.resets_at is not None else None,
        "zone": limit.zone,
        "full_speed_bytes": limit.tiers[0].after_bytes,
        "steps": [{"after_bytes": tier.after_bytes, "speed_kbps": tier.kbps} for tier in limit.tiers],
    }


def _voice(voice: Voice | None) -> dict[str, Any] | None:
    """``minutes`` None are not counted; ``to`` is the market's country or "everywhere"."""
    return voice and {"minutes": voice.minutes, "to": voice.to, "is_incoming_free": voice.incoming_free}


def _sms(sms: Sms | None) -> dict[str, Any] | None:
    return sms and {"messages": sms.messages, "to": sms.to}


def _sentences(version: PlanVersion, policy: Policy, language: str) -> dict[str, Any]:
    terms = texts.terms_of(policy, formats.country(version.plan.market_id))
    return {
        "language": language,
        "summary": _plain(texts.cap_of(policy.quota.data)),
        "terms": [{"about": term.icon, "says": _plain(term.says), "more": _plain(term.more)} for term in terms],
    }


def _plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")
