"""The plans: all of them, up to three side by side, and one. Open to everybody."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from xuka.catalogue import queries as catalogue
from xuka.interfaces.web import choosing, comparing, elsewhere, texts
from xuka.interfaces.web.comparing import Listed, Told
from xuka.interfaces.web.paper import summary
from xuka.kernel.money import Money

ON_A_PAGE = 10


@never_cache
@require_GET
def plans(request: HttpRequest) -> HttpResponse:
    """Everything that is offered here, then what else the market has, for information."""
    ours, market = _all()
    wishes = comparing.wishes(request.GET.dict(), [*ours, *market])
    others = Paginator(wishes.fit(market), ON_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "wishes": wishes,
        "query": urlencode(wishes.chosen),
        "ours": _rows(wishes.fit(ours)),
        "others": others,
        "theirs": _rows(others),
    }
    return render(request, "plans/plans.html", context)


def _rows(plans: Iterable[Listed]) -> list[SafeString]:
    language = get_language()
    return [_row(one.tell(), language) for one in plans]


@lru_cache(maxsize=2048)
def _row(told: Told, language: str | None) -> SafeString:
    """A plan's row as markup; all that it shows is in its arguments, so that the same words need no second writing."""
    del language  # the template knows it; here it only tells one entry of the cache from another
    return render_to_string("plans/row.html", {"one": told})


@never_cache
@require_GET
def compare(request: HttpRequest) -> HttpResponse:
    """Up to three plans side by side."""
    ours, market = _all()
    known = {one.key: one for one in (*ours, *market)}
    asked = list(dict.fromkeys(request.GET.getlist("plan")))
    found = [known[key] for key in asked if key in known]
    shown = [one.tell() for one in found[: comparing.MOST]]
    context = {
        "plans": shown,
        "table": comparing.table(shown),
        "problems": _problems(asked=len(asked), found=len(found)),
    }
    return render(request, "plans/compare.html", context)


def _problems(*, asked: int, found: int) -> list[str]:
    told = []
    if found < asked:
        told.append(gettext("A plan that you asked for is not here any more; it is left out."))
    if found > comparing.MOST:
        told.append(gettext("At most three plans fit side by side. You see the first three."))
    return told


@never_cache
@require_GET
def plan(request: HttpRequest, slug: str) -> HttpResponse:
    """One plan: its terms, what to know before renewing, and the way to buy it."""
    version = catalogue.plan_by_slug(slug)
    if version is None:
        raise Http404
    price = Money(version.price_minor, version.currency)
    policy = catalogue.policy(version)
    context = {
        "version": version,
        "told": comparing.ours(version),
        "conditions": choosing.before_you_renew(policy, price),
        "several": [*texts.several_prices(version), *summary.like_at_home(version)],
    }
    return render(request, "plans/plan.html", context)


def _all() -> tuple[list[Listed], list[Listed]]:
    """What is sold here, and what else the market has."""
    networks = {one.slug: one.name for one in catalogue.networks()}
    others = [elsewhere.listed(one, networks) for one in catalogue.market_plans()]
    return [comparing.listed(version) for version in catalogue.offers()], others
