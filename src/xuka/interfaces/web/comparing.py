"""Plans side by side: each in the same words, "unknown" where its source is silent. Facts in, words out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from django.utils.translation import get_language, gettext, gettext_lazy

from xuka.catalogue import queries as catalogue
from xuka.catalogue import rules
from xuka.catalogue.models import PlanVersion
from xuka.catalogue.rules import Policy
from xuka.interfaces.web import choosing, formats, texts
from xuka.kernel.money import Money

MOST = 3

# The lines of a comparison, in this order.
LINES = {
    "cap": gettext_lazy("Data"),
    "slow": gettext_lazy("After that"),
    "reset": gettext_lazy("Starts afresh"),
    "peak": gettext_lazy("Busy hours"),
    "voice": gettext_lazy("Calls"),
    "sms": gettext_lazy("Texts (SMS)"),
    "hotspot": gettext_lazy("Hotspot"),
    "abroad": gettext_lazy("Abroad"),
    "length": gettext_lazy("Lasts"),
    "renewal": gettext_lazy("Renewing early"),
    "earliest": gettext_lazy("Earliest renewal"),
    "latest": gettext_lazy("Latest renewal"),
    "price": gettext_lazy("Price"),
    "per_day": gettext_lazy("Price per day"),
    "network": gettext_lazy("Network"),
    "coverage": gettext_lazy("Coverage"),
}

# The operators' own maps.
MAPS = {
    "jp-docomo": "https://www.docomo.ne.jp/area/",
    "jp-kddi": "https://www.au.com/mobile/area/",
    "jp-softbank": "https://www.softbank.jp/mobile/network/area-map/",
    "jp-rakuten": "https://network.mobile.rakuten.co.jp/area/",
}
# What operators have stated where no map of theirs is known here: the words, and where they are from.
STATED = {
    "be-orange": (
        gettext_lazy("4G outdoors on 97.65 percent of the country's area, the operator said for the end of 2018"),
        "https://corporate.orange.be/en/legal-information",
    ),
    "be-digi": (
        gettext_lazy("Its own network was planned for 30% by the end of 2025, the operator said in May 2024"),
        "https://en.digi-belgium.be/news-post/nieuwe-speler-digi-belooft-ongeziene-prijzen-voor-telecom-in-ons-land",
    ),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One fact of one plan; ``url`` is where more of it can be read."""

    says: str
    more: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Traits:
    """What the list can be narrowed by; networks by slug and name. None is unknown."""

    country: str
    networks: tuple[tuple[str, str], ...]
    days: Fraction | None
    talks: bool | None
    hotspot: bool | None
    abroad: frozenset[str]


@dataclass(frozen=True, slots=True)
class Told:
    """A plan in words: ``cells`` by the names of LINES; ``slug`` is its page's, "" where it has none."""

    key: str
    name: str
    cells: Mapping[str, Cell] = field(hash=False)
    slug: str = ""
    can_buy: bool = False
    source: Cell | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A plan that can be narrowed by its traits; ``tell`` puts it into words, which takes longer than all else."""

    key: str
    traits: Traits
    tell: Callable[[], Told]


def unknown() -> Cell:
    """What is said where a source is silent."""
    return Cell(gettext("unknown"))


def listed(version: PlanVersion) -> Listed:
    """A plan that this seller offers, for the list."""
    policy = catalogue.policy(version)
    networks = ((version.plan.network_id, version.plan.network.name),)
    traits = Traits(version.plan.market_id, networks, rules.days_of(policy.period), *_allowed(policy))
    return Listed(version.plan_id, traits, lambda: ours(version))


def ours(version: PlanVersion) -> Told:
    """A plan that this seller offers, in words."""
    plan = version.plan
    cells = _cells_of_terms(version, formats.country(plan.market_id), get_language()) | {
        "network": Cell(plan.network.name),
        "coverage": coverage(plan.network_id),
    }
    return Told(plan.slug, texts.plan_name(version), cells, plan.slug, bool(version.first_package))


@lru_cache(maxsize=1024)
def _cells_of_terms(version: PlanVersion, home: str, language: str | None) -> dict[str, Cell]:
    """What the version itself says, put into words once for each language, for versions never change."""
    del language  # the texts know it; here it only tells one entry of the cache from another
    policy, price = catalogue.policy(version), Money(version.price_minor, version.currency)
    facts = rules.conditions(policy)
    cells = {term.icon: Cell(term.says, term.more) for term in texts.terms_of(policy, home)}
    return cells | {
        "cap": Cell(texts.cap(version)),
        "sms": cells.get("sms", Cell(gettext("none"))),
        "length": Cell(choosing.length(policy.period)),
        "renewal": Cell(choosing.early(facts)),
        "earliest": Cell(choosing.earliest(facts)),
        "latest": Cell(choosing.latest(facts)),
        "price": Cell(formats.money(price)),
        "per_day": Cell(choosing.per_day(price, rules.days_of(policy.period))),
    }


def _allowed(policy: Policy) -> tuple[bool, bool, frozenset[str]]:
    quota = policy.quota
    talks = quota.voice is not None or quota.sms is not None
    return talks, quota.data.hotspot.allowed, frozenset(quota.data.abroad.countries)


def coverage(network: str) -> Cell:
    """Where the network says that it can be received: its own map, or its own dated words."""
    if url := MAPS.get(network):
        return Cell(gettext("The operator's own map"), "", url)
    if network in STATED:
        says, url = STATED[network]
        return Cell(str(says), "", url)
    return unknown()


# --- side by side -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the comparison: a question, and a cell for each plan."""

    asks: str
    cells: tuple[Cell, ...]


def table(plans: Sequence[Told]) -> list[Line]:
    """The plans side by side."""
    silent = unknown()
    return [Line(str(asks), tuple(one.cells.get(name, silent) for one in plans)) for name, asks in LINES.items()]


# --- narrowing the list -------------------------------------------------------------------------------------------

LENGTHS: dict[str, tuple[int, int]] = {"1": (1, 1), "7": (7, 7), "15": (15, 15), "30": (28, 31), "365": (360, 366)}


@dataclass(frozen=True, slots=True)
class Choose:
    """One field of the form: its name, its label, what can be chosen, and what is."""

    name: str
    label: str
    options: tuple[tuple[str, str], ...]
    chosen: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for by field, and a sentence for each value that could not be used."""

    fields: tuple[Choose, ...]
    problems: tuple[str, ...] = ()
    chosen: Mapping[str, str] = field(default_factory=dict)

    def fit(self, plans: Iterable[Listed]) -> list[Listed]:
        """The plans that are all that was asked for; what is unknown of a plan does not fit."""
        return [one for one in plans if all(_fits(one.traits, name, value) for name, value in self.chosen.items())]


def wishes(asked: Mapping[str, str], plans: Sequence[Listed]) -> Wishes:
    """What was asked for, as far as it is among what can be chosen; anything else is left out and told."""
    fields, problems, chosen = [], [], {}
    for one in _fields(plans):
        value = asked.get(one.name, "")
        if value in dict(one.options):
            chosen[one.name] = value
        elif value:
            says = gettext("What was asked for under “%(field)s” is not known here, so it is left out.")
            problems.append(says % {"field": one.label})
        fields.append(Choose(one.name, one.label, one.options, chosen.get(one.name, "")))
    return Wishes(tuple(fields), tuple(problems), chosen)


def _fields(plans: Sequence[Listed]) -> list[Choose]:
    yes = (("yes", gettext("Yes")),)
    networks = {network for one in plans for network in one.traits.networks}
    return [
        Choose("country", gettext("Country"), _countries({one.traits.country for one in plans})),
        Choose("network", gettext("Network"), tuple(sorted(networks, key=lambda pair: pair[1]))),
        Choose("length", gettext("Lasts"), _lengths()),
        Choose("talk", gettext("Calls or texts"), yes),
        Choose("hotspot", gettext("Hotspot"), yes),
        Choose("abroad", gettext("Works also in"), _countries({code for one in plans for code in one.traits.abroad})),
    ]


def _countries(codes: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(((code, formats.country(code)) for code in codes), key=lambda pair: pair[1]))


def _lengths() -> tuple[tuple[str, str], ...]:
    return (
        ("1", gettext("1 day")),
        ("7", gettext("7 days")),
        ("15", gettext("15 days")),
        ("30", gettext("30 days or 1 month")),
        ("365", gettext("a year")),
    )


def _fits(traits: Traits, name: str, value: str) -> bool:
    match name:
        case "country":
            return traits.country == value
        case "network":
            return value in dict(traits.networks)
        case "length":
            shortest, longest = LENGTHS[value]
            return traits.days is not None and shortest <= traits.days <= longest
        case "talk":
            return traits.talks is True
        case "hotspot":
            return traits.hotspot is True
        case _:
            return value in traits.abroad
