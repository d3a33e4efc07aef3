"""Everything that writes to the catalogue: it is loaded from files, whole or not at all, or a plan at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, models, transaction
from pydantic import ValidationError

from xuka.catalogue import documents
from xuka.catalogue.documents import Where
from xuka.catalogue.models import Market, MarketPlan, Network, Plan, PlanVersion
from xuka.catalogue.rules import (
    Apn,
    CatalogueFile,
    Fact,
    MarketEntry,
    MarketPlanEntry,
    Mention,
    NetworkEntry,
    PlanEntry,
    Source,
    contradictions,
    document_of,
    policy_of,
    reasons,
)
from xuka.journal import operations as journal
from xuka.kernel import ids

# Rows whose keys are words have these ids in the journal.
CATALOGUE = UUID("0b6a4c1e-5a0e-5d6f-8f53-7875616b6122")
COUNTED = ("markets", "networks", "plans", "versions", "market_plans", "unchanged")
MARKET_PLAN = [field.attname for field in MarketPlan._meta.concrete_fields]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: in which file, on which line (from 1), and why."""

    file: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class BadFile(Exception):
    """A catalogue file cannot be used; nothing was stored. Its text is one line for each problem."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did: rows made or changed, plan versions made, and entries that were as stored already."""

    files: int = 0
    markets: int = 0
    networks: int = 0
    plans: int = 0
    versions: int = 0
    market_plans: int = 0
    unchanged: int = 0


def load(path: Path, *, who: str, now: datetime, progress: Callable[[int, int], None] | None = None) -> Loaded:
    """Take a catalogue file, or every ``*.yaml`` of a folder, into the catalogue: all of it or nothing.

    A plan whose terms (policy, price, carrier, packages, cost) differ from those sold now gets its next version. What
    the files do not name stays as it is. Loading unchanged files again changes nothing.

    Args:
        who: who loads, as in the journal ("staff:<uuid>", "seller").
        now: aware UTC.
        progress: called with (entries done, entries in all) after each entry.

    Raises:
        BadFile: something is wrong; its text says file, line and reason of everything that is.
    """
    files = [_read(file) for file in _files(path)]
    with transaction.atomic():
        _alone()
        problems = [problem for file in files for problem in _missing_sources(file)] + list(_misfits(files))
        if problems:
            raise BadFile(*problems)
        return _store(files, who=who, now=now, progress=progress or (lambda done, total: None))


class NotTaken(Exception):
    """A plan is not taken into the catalogue; nothing was stored. ``wrong``: where in its entry, and why, for each."""

    def __init__(self, *wrong: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{where}: {why}" for where, why in wrong))
        self.wrong = wrong


def offer(entry: PlanEntry, *, sold: UUID | None, who: str, now: datetime) -> PlanVersion:
    """Take one plan into the catalogue as it is told: a new one, or the next version of one. The version sold now.

    A version is never changed. Where the terms are those sold now none is made: the same again changes nothing.

    Args:
        sold: the version that the writer took for the one sold now; None for a plan that is new.
        who: who writes, as in the journal ("staff:<uuid>").
        now: aware UTC.

    Raises:
        NotTaken: the terms cannot be sold, the plan is there already, or another version was made meanwhile.
    """
    with transaction.atomic():
        _alone()
        wrong = list(_plan_misfits(entry, _Known()))
        stored = Plan.objects.select_related("current").filter(slug=entry.slug).first()
        current = stored.current if stored else None
        is_there = current and stored and stored.names == _names_of(entry) and _is_sold(current, entry)
        if not is_there and sold != (current.id if current else None):
            meanwhile = f"version {current.number} was made meanwhile: look at it first" if current else "it is gone"
            wrong.append(("slug", meanwhile if sold else f"there is a plan {entry.slug}: make a new version of it"))
        if wrong:
            raise NotTaken(*wrong)
        writer = _Writer(who=who, now=now)
        writer.put_plan(entry)
        version = Plan.objects.select_related("current__plan").get(slug=entry.slug).current
        assert version is not None, "it was just made"
        return version


def set_on_sale(slug: str, *, on_sale: bool, why: str, who: str, now: datetime) -> bool:
    """Put a plan on sale, or take it off; what was sold stays what it is. False where it was so already.

    Raises:
        NotTaken: there is no such plan, or nobody could buy it under the terms of its version.
    """
    with transaction.atomic():
        plan = Plan.objects.select_for_update(of=("self",)).select_related("current").filter(slug=slug).first()
        if plan is None or plan.current is None:
            raise NotTaken(("slug", "there is no such plan with terms"))
        found = contradictions(policy_of(plan.current.policy))
        if on_sale and found:
            raise NotTaken(*((".".join(("policy", *where)), reason) for where, reason in found))
        if plan.on_sale == on_sale:
            return False
        plan.on_sale = on_sale
        plan.save(update_fields=["on_sale"])
        journal.record(
            what="plan.set",
            subject=ids.derived(CATALOGUE, f"plan:{slug}"),
            who=who,
            why=why,
            before={"on_sale": not on_sale},
            after={"on_sale": on_sale},
            now=now,
        )
        return True


def _alone() -> None:
    """One writer of the catalogue at a time, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtextextended('catalogue.load', 0))")


# ---- reading -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    content: CatalogueFile
    lines: dict[Where, int]

    def problem(self, where: Where, reason: str) -> Problem:
        """A problem at this place, or at the nearest place around it that has a line."""
        told = ".".join(map(str, where))
        while where not in self.lines:
            where = where[:-1]
        return Problem(self.path, self.lines[where], f"{told}: {reason}" if told else reason)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.yaml"))
    if not files:
        raise BadFile(Problem(path, 1, "there is no .yaml file in this folder"))
    return files


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as wrong:
        raise BadFile(Problem(path, 1, f"the file cannot be read: {wrong.strerror}")) from wrong
    except UnicodeDecodeError as wrong:
        line = wrong.object[: wrong.start].count(b"\n") + 1
        raise BadFile(Problem(path, line, "the file is not UTF-8")) from wrong


def _read(path: Path) -> _File:
    lines: dict[Where, int] = {}
    try:
        document, lines = documents.read(_text(path))
        content = CatalogueFile.model_validate(document)
    except documents.BadDocument as wrong:
        raise BadFile(Problem(path, wrong.line, wrong.reason)) from wrong
    except ValidationError as wrong:
        file = _File(path, CatalogueFile(), lines)
        raise BadFile(*(file.problem(where, reason) for where, reason in reasons(wrong))) from wrong
    return _File(path, content, lines)


# ---- what no single entry can know --------------------------------------------------------------------------------


def _missing_sources(file: _File) -> Iterator[Problem]:
    for kind, entries in (("markets", file.content.markets), ("networks", file.content.networks)):
        for index, entry in enumerate(entries):
            for where, fact in _facts(entry):
                for key in fact.sources:
                    if key not in file.content.sources:
                        yield file.problem((kind, index, *where, "sources"), f"there is no source called {key!r}")
    for index, plan in enumerate(file.content.market_plans):
        for key in plan.sources:
            if key not in file.content.market_plan_sources:
                yield file.problem(("market_plans", index, "sources"), f"there is no source called {key!r}")


def _facts(entry: MarketEntry | NetworkEntry) -> Iterator[tuple[Where, Fact[Any] | Apn]]:
    for name in type(entry).model_fields:
        value = getattr(entry, name)
        if isinstance(value, Fact):
            yield (name,), value
    for index, apn in enumerate(entry.apns if isinstance(entry, NetworkEntry) else ()):
        yield ("apns", index), apn


@dataclass(slots=True)
class _Known:
    """What is stored, and what the files have named so far."""

    currencies: dict[str, str] = field(default_factory=lambda: dict(Market.objects.values_list("code", "currency")))
    networks: dict[str, str] = field(default_factory=lambda: dict(Network.objects.values_list("slug", "market_id")))
    plans: dict[str, str] = field(default_factory=lambda: dict(Plan.objects.values_list("slug", "market_id")))
    named: set[tuple[str, str]] = field(default_factory=set)

    def is_second(self, kind: str, key: str) -> bool:
        """Whether the files named this before."""
        second = (kind, key) in self.named
        self.named.add((kind, key))
        return second


def _misfits(files: list[_File]) -> Iterator[Problem]:
    known = _Known()
    for kind, check in (
        ("markets", _market_misfits),
        ("networks", _network_misfits),
        ("plans", _plan_misfits),
        ("market_plans", _market_plan_misfits),
    ):
        for file in files:
            for index, entry in enumerate(getattr(file.content, kind)):
                for where, reason in check(entry, known):
                    yield file.problem((kind, index, *where.split(".")), reason)


def _market_misfits(entry: MarketEntry, known: _Known) -> Iterator[tuple[str, str]]:
    if known.is_second("market", entry.code):
        yield "code", f"market {entry.code} is told twice"
    if known.currencies.setdefault(entry.code, entry.currency.value) != entry.currency.value:
        yield "currency", f"a market keeps its currency, here {known.currencies[entry.code]}"


def _network_misfits(entry: NetworkEntry, known: _Known) -> Iterator[tuple[str, str]]:
    if known.is_second("network", entry.slug):
        yield "slug", f"network {entry.slug} is told twice"
    if entry.market not in known.currencies:
        yield "market", f"there is no market {entry.market}"
    if known.networks.setdefault(entry.slug, entry.market) != entry.market:
        yield "market", f"a network stays in its market, here {known.networks[entry.slug]}"


def _plan_misfits(entry: PlanEntry, known: _Known) -> Iterator[tuple[str, str]]:
    if known.is_second("plan", entry.slug):
        yield "slug", f"plan {entry.slug} is told twice"
    if entry.market not in known.currencies:
        yield "market", f"there is no market {entry.market}"
    elif known.currencies[entry.market] != entry.price.currency:
        yield "price", f"prices in {entry.market} are in {known.currencies[entry.market]}"
    if known.plans.setdefault(entry.slug, entry.market) != entry.market:
        yield "market", f"a plan stays in its market, here {known.plans[entry.slug]}"
    if known.networks.get(entry.network) != entry.market:
        yield "network", f"there is no network {entry.network} in {entry.market}"
    if entry.carrier not in settings.CARRIERS:
        yield "carrier", f"there is no carrier {entry.carrier}"
    for where, reason in contradictions(entry.policy):
        yield ".".join(("policy", *where)), reason


def _market_plan_misfits(entry: MarketPlanEntry, known: _Known) -> Iterator[tuple[str, str]]:
    if known.is_second("market plan", entry.slug):
        yield "slug", f"market plan {entry.slug} is told twice"
    if entry.market not in known.currencies:
        yield "market", f"there is no market {entry.market}"
    for network in entry.networks:
        if known.networks.get(network) != entry.market:
            yield "networks", f"there is no network {network} in {entry.market}"


# ---- storing -------------------------------------------------------------------------------------------------------


def _store(files: list[_File], *, who: str, now: datetime, progress: Callable[[int, int], None]) -> Loaded:
    writer = _Writer(who=who, now=now)
    contents = [file.content for file in files]
    steps: list[Callable[[], None]] = [
        *(
            lambda e=entry, c=content: writer.put_market(e, c.sources)
            for content in contents
            for entry in content.markets
        ),
        *(
            lambda e=entry, c=content: writer.put_network(e, c.sources)
            for content in contents
            for entry in content.networks
        ),
        *(lambda e=entry: writer.put_plan(e) for content in contents for entry in content.plans),
        *(
            lambda e=entry, c=content: writer.put_market_plan(e, c.market_plan_sources)
            for content in contents
            for entry in content.market_plans
        ),
    ]
    for done, step in enumerate(steps, start=1):
        step()
        progress(done, len(steps))
    writer.finish()
    return Loaded(files=len(files), **writer.counts)


class _Writer:
    """Stores entries, compares each with what is there, and counts."""

    def __init__(self, *, who: str, now: datetime) -> None:
        self.who, self.now = who, now
        self.counts: dict[str, int] = dict.fromkeys(COUNTED, 0)
        self.markets = Market.objects.in_bulk()
        self.networks = Network.objects.in_bulk()
        self.plans = {plan.slug: plan for plan in Plan.objects.select_related("current")}
        self.market_plans = MarketPlan.objects.in_bulk()
        self.changed_market_plans: list[MarketPlan] = []

    def put_market(self, entry: MarketEntry, sources: dict[str, Source]) -> None:
        """Store a market."""
        row = self.markets.get(entry.code) or Market(code=entry.code)
        names = ("currency", "zone", "tax_basis_points", "identification")
        values = {name: getattr(entry, name).value for name in names}
        self._count("markets", self._put("market", row, values | _evidence(entry, sources)))

    def put_network(self, entry: NetworkEntry, sources: dict[str, Source]) -> None:
        """Store a network."""
        row = self.networks.get(entry.slug) or Network(slug=entry.slug)
        values = {
            "market_id": entry.market,
            "name": entry.name.value,
            "mcc_mnc": list(entry.mcc_mnc.value),
            "bands": list(entry.bands.value),
            "apns": [_apn(apn, sources) for apn in entry.apns],
        }
        self._count("networks", self._put("network", row, values | _evidence(entry, sources)))

    def put_plan(self, entry: PlanEntry) -> None:
        """Store a plan, and its next version when its terms are new."""
        row = self.plans.get(entry.slug) or Plan(slug=entry.slug)
        values = {
            "market_id": entry.market,
            "network_id": entry.network,
            "names": _names_of(entry),
            "seller": entry.seller,
            "on_sale": entry.on_sale,
        }
        changed = self._put("plan", row, values)
        made = self._put_terms(row, entry)
        self.counts["versions"] += made
        self._count("plans", changed or made)

    def put_market_plan(self, entry: MarketPlanEntry, sources: dict[str, Mention]) -> None:
        """Keep a market plan that is new or different for ``finish``."""
        row = MarketPlan(
            **entry.model_dump(exclude={"market", "price", "sources"}, exclude_none=True),
            market_id=entry.market,
            price_minor=entry.price.money.minor if entry.price else None,
            currency=entry.price.currency if entry.price else "",
            sources=[sources[key].model_dump() for key in entry.sources],
        )
        row.networks, row.forms = list(entry.networks), list(entry.forms)
        stored = self.market_plans.get(entry.slug)
        changed = stored is None or any(getattr(stored, name) != getattr(row, name) for name in MARKET_PLAN)
        if changed:
            self.changed_market_plans.append(row)
        self._count("market_plans", changed)

    def finish(self) -> None:
        """Store the market plans that changed, with one fact for all of them: nobody buys them."""
        rows = self.changed_market_plans
        if not rows:
            return
        MarketPlan.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["slug"], update_fields=MARKET_PLAN[1:]
        )
        journal.record(
            what="market_plans.set",
            subject=ids.derived(CATALOGUE, "market_plans"),
            who=self.who,
            after={"slugs": [row.slug for row in rows]},
            now=self.now,
        )

    def _put_terms(self, plan: Plan, entry: PlanEntry) -> bool:
        sold = plan.current
        if sold and _is_sold(sold, entry):
            return False
        number = sold.number + 1 if sold else 1
        version = PlanVersion(
            id=ids.new(), plan=plan, number=number, policy=document_of(entry.policy), **_terms_of(entry)
        )
        version.made_at = self.now
        version.save(force_insert=True)
        plan.current = version
        plan.save(update_fields=["current"])
        journal.record(
            what="plan.version_made",
            subject=version.id,
            who=self.who,
            before={"number": sold.number, "version": str(sold.id)} if sold else None,
            after={"plan": plan.slug, "number": number},
            now=self.now,
        )
        return True

    def _put(self, kind: str, row: models.Model, values: dict[str, Any]) -> bool:
        """Store these values and the fact; False when the row had them already."""
        new = row._state.adding
        before = {name: getattr(row, name) for name, value in values.items() if not new and getattr(row, name) != value}
        if not new and not before:
            return False
        for name, value in values.items():
            setattr(row, name, value)
        row.save(force_insert=new)
        journal.record(
            what=f"{kind}.set",
            subject=ids.derived(CATALOGUE, f"{kind}:{row.pk}"),
            who=self.who,
            before=None if new else _told(before),
            after=_told(values if new else {name: values[name] for name in before}),
            now=self.now,
        )
        return True

    def _count(self, kind: str, changed: bool) -> None:
        self.counts[kind if changed else "unchanged"] += 1


def _names_of(entry: PlanEntry) -> dict[str, str]:
    return entry.names.model_dump(by_alias=True, exclude_none=True)


def _terms_of(entry: PlanEntry) -> dict[str, Any]:
    """What a version says beside its policy."""
    return {
        "price_minor": entry.price.money.minor,
        "currency": entry.price.currency,
        "prices": [
            {"periods": one.periods, "minor": one.money.minor, "currency": one.money.currency}
            for one in entry.period_prices
        ],
        "carrier": entry.carrier,
        "package": entry.package,
        "first_package": entry.first_package,
        "cost_minor": entry.cost.money.minor,
        "cost_currency": entry.cost.currency,
    }


def _is_sold(version: PlanVersion, entry: PlanEntry) -> bool:
    """Whether these are the terms of this version."""
    same = all(getattr(version, name) == value for name, value in _terms_of(entry).items())
    return same and policy_of(version.policy) == entry.policy


def _evidence(entry: MarketEntry | NetworkEntry, sources: dict[str, Source]) -> dict[str, Any]:
    """Each fact's sources and date, and the two columns that sum them up."""
    facts = {name: fact for (name, *rest), fact in _facts(entry) if not rest}
    used = {key: sources[key] for _, fact in _facts(entry) for key in fact.sources}
    return {
        "evidence": {str(name): _origin(fact, sources) for name, fact in facts.items()},
        "source": "; ".join(f"{s.title} <{s.url}>" if s.url else s.title for s in used.values()),
        "as_of": min(_day(fact, sources) for _, fact in _facts(entry)),
    }


def _apn(apn: Apn, sources: dict[str, Source]) -> dict[str, Any]:
    return apn.model_dump(exclude={"sources", "as_of", "note"}) | _origin(apn, sources)


def _origin(fact: Fact[Any] | Apn, sources: dict[str, Source]) -> dict[str, Any]:
    origin: dict[str, Any] = {
        "sources": [{"title": sources[key].title, "url": sources[key].url} for key in fact.sources],
        "as_of": _day(fact, sources).isoformat(),
    }
    return origin | ({"note": fact.note} if fact.note else {})


def _day(fact: Fact[Any] | Apn, sources: dict[str, Source]) -> date:
    """When the fact was true: its own date, else that of the newest source that says it."""
    return fact.as_of or max(sources[key].as_of for key in fact.sources)


def _told(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}
