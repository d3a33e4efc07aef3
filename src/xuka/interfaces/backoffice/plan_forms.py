"""The form in which staff write a plan: fields made from the types of its policy, or its document as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from django import forms
from django.conf import settings
from django.forms import BoundField
from django.forms.utils import ErrorDict
from pydantic import BaseModel, ValidationError
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from xuka.catalogue import documents
from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.catalogue.rules import PlanEntry, Policy, reasons
from xuka.interfaces import policy_fields
from xuka.interfaces.policy_fields import Field
from xuka.kernel.money import Money

# How many steps of speed, or further limits, a form shows at most; the document may have more.
ROWS = 8
# What is written for a list with nothing in it, where an empty field is the list that is left out.
NONE = "none"
LANGUAGES = {
    "en": "English",
    "zh-hans": "Chinese",
    "zh-hant": "Traditional Chinese",
    "ja": "Japanese",
    "fr": "French",
    "nl": "Dutch",
}

Where = tuple[int | str, ...]


@dataclass(slots=True)
class Group:
    """The fields of one part of the policy, as the page shows them together."""

    name: str
    title: str
    says: str
    depth: int
    fields: list[str]
    errors: list[str] = field(default_factory=list)
    bound: list[BoundField] = field(default_factory=list)


class PlanForm(forms.Form):
    """A plan with its terms. What it says is checked by the catalogue's own types; each reason stands by its field."""

    slug = forms.CharField(label="Plan", max_length=60, widget=UnfoldAdminTextInputWidget())
    market = forms.ChoiceField(label="Market", widget=UnfoldAdminSelectWidget())
    network = forms.ChoiceField(label="Network", widget=UnfoldAdminSelectWidget())
    seller = forms.CharField(label="Seller", max_length=80, widget=UnfoldAdminTextInputWidget())
    price = forms.CharField(
        label="Price of one period",
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
        help_text="Tax inside, in the market's currency: 12.90 for euro, 1980 for yen.",
    )
    prices = forms.CharField(
        label="Further prices",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="One a line: how many periods, amount, currency. “3 35.00 EUR” is three periods at once, "
        "“1 1980 JPY” one in another currency.",
    )
    carrier = forms.ChoiceField(label="Carrier", widget=UnfoldAdminSelectWidget())
    package = forms.CharField(
        label="The carrier's package", widget=UnfoldAdminTextInputWidget(), help_text="Renews a card."
    )
    first_package = forms.CharField(
        label="The carrier's package of a new eSIM",
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Empty where only renewals are sold.",
    )
    cost = forms.CharField(
        label="What the carrier charges", widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"})
    )
    cost_currency = forms.CharField(label="In the currency", widget=UnfoldAdminTextInputWidget(), initial="USD")
    on_sale = forms.BooleanField(label="On sale at once", required=False, widget=UnfoldBooleanWidget())
    seen = forms.UUIDField(required=False, widget=forms.HiddenInput)
    way = forms.ChoiceField(
        label="Terms are taken from",
        choices=[("fields", "the fields below"), ("document", "the document below")],
        widget=UnfoldAdminSelectWidget(),
    )
    document = forms.CharField(
        label="Policy as a document (YAML or JSON)",
        required=False,
        max_length=20_000,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 18, "spellcheck": "false"}),
        help_text="For experts: used instead of the fields where “the document” is chosen above.",
    )

    PLAN = ("slug", "market", "network", *(f"names.{code}" for code in LANGUAGES), "seller", "on_sale")
    PRICE = ("price", "prices", "carrier", "package", "first_package", "cost", "cost_currency")

    def __init__(self, data: Mapping[str, Any] | None = None, *, version: PlanVersion | None = None) -> None:
        super().__init__(data, initial=_initial(version) if version else {"way": "fields"})
        self.version = version
        self.lines: dict[Where, int] = {}
        self.numbers: dict[str, list[int]] = {}
        self.fields["market"].choices = [(m.code, f"{m.code} ({m.currency})") for m in catalogue.markets()]  # type: ignore[attr-defined]
        self.fields["network"].choices = [(n.slug, f"{n.market_id} · {n.name}") for n in catalogue.networks()]  # type: ignore[attr-defined]
        self.fields["carrier"].choices = [(name, name) for name in settings.CARRIERS]  # type: ignore[attr-defined]
        for code, language in LANGUAGES.items():
            self.fields[f"names.{code}"] = _text(f"Name in {language}", required=code in {"en", "zh-hans"})
        if version:
            for name in ("slug", "market", "on_sale"):
                del self.fields[name]
        self.groups = list(self._groups(Policy, ("policy",), "Policy", "", 0))
        for group in self.groups:
            group.bound = [self[name] for name in group.fields]

    def bound(self, names: tuple[str, ...]) -> list[BoundField]:
        """These of the fields that the form has."""
        return [self[name] for name in names if name in self.fields]

    @property
    def plan_fields(self) -> list[BoundField]:
        """What it is called, and where it is sold."""
        return self.bound(self.PLAN)

    @property
    def price_fields(self) -> list[BoundField]:
        """What it costs, and what delivers it."""
        return self.bound(self.PRICE)

    # -- the fields of the policy ----------------------------------------------------------------------------------

    def _groups(self, part: type[BaseModel], where: Where, title: str, says: str, depth: int) -> Iterator[Group]:
        told = policy_fields.fields(part)
        plain = [one for one in told if one.part is None]
        for one in plain:
            self.fields[_name((*where, one.name))] = _field(one)
        yield Group(_name(where), title, says, depth, [_name((*where, one.name)) for one in plain])
        for one in told:
            inner = (*where, one.name)
            if one.part and one.kind == "part":
                yield from self._groups(one.part, inner, _title(one.name), one.says, depth + 1)
            elif one.part:
                for number in range(self._rows(inner)):
                    yield from self._groups(
                        one.part, (*inner, number), f"{_title(one.name)} {number + 1}", one.says, depth + 1
                    )

    def _rows(self, where: Where) -> int:
        """As many as there are, and an empty one."""
        start = _name(where) + "."
        given = self.data if self.is_bound else self.initial
        filled = {
            int(number)
            for name, value in given.items()
            if name.startswith(start) and value and (number := name[len(start) :].split(".")[0]).isdecimal()
        }
        return min(ROWS, max(filled, default=-1) + 2)

    def forget_the_plan(self) -> None:
        """Only the policy is looked at from here on: what is wrong with the rest is not told."""
        self.full_clean()
        self._errors = ErrorDict(renderer=self.renderer)

    # -- what it says ----------------------------------------------------------------------------------------------

    def policy(self) -> Any:
        """The policy's document, unchecked; None where there is none, and then the form says why."""
        if self.data.get("way") != "document":
            return self._part(Policy, ("policy",), is_required=True)
        try:
            document, self.lines = documents.read(str(self.data.get("document", "")))
        except documents.BadDocument as wrong:
            self.add_error("document", str(wrong))
            return None
        if isinstance(document, dict) and list(document) == ["policy"]:
            self.lines = {where[1:]: line for where, line in self.lines.items() if where}
            return document["policy"]
        return document

    def entry(self) -> PlanEntry | None:
        """The plan as the catalogue takes it; None where something is wrong, which then stands by its field."""
        is_whole = self.is_valid()
        policy = self.policy()
        if not is_whole or policy is None:
            return None
        told = self.cleaned_data
        market = catalogue.market(self.version.plan.market_id if self.version else told["market"])
        assert market is not None, "it was one of the choices"
        plan = self.version.plan if self.version else None
        try:
            return PlanEntry.model_validate(
                {
                    "slug": plan.slug if plan else told["slug"],
                    "market": market.code,
                    "network": told["network"],
                    "names": {code: name for code in LANGUAGES if (name := told[f"names.{code}"])},
                    "seller": told["seller"],
                    "on_sale": plan.on_sale if plan else told["on_sale"],
                    "price": {"amount": told["price"], "currency": market.currency},
                    "prices": [_further(line) for line in told["prices"].splitlines() if line.strip()],
                    **{name: told[name] for name in ("carrier", "package", "first_package")},
                    "cost": {"amount": told["cost"], "currency": told["cost_currency"]},
                    "policy": policy,
                }
            )
        except ValidationError as wrong:
            for where, why in reasons(wrong):
                self.tell(where, why)
        return None

    def _part(self, part: type[BaseModel], where: Where, *, is_required: bool) -> dict[str, Any]:
        """The fields of a part that say something; {} where none does."""
        told: dict[str, Any] = {}
        for one in policy_fields.fields(part):
            value = self._value(one, (*where, one.name))
            if value is not None:
                told[one.name] = value
        if told or is_required:
            # What must be told though it may be null.
            empty = {one.name for one in policy_fields.fields(part) if one.is_required and one.is_nullable}
            told |= dict.fromkeys(empty - set(told))
        return told

    def _value(self, one: Field, where: Where) -> Any:
        """What was written; None where nothing was."""
        if one.part is None:
            return _plain(one, str(self.data.get(_name(where), "")).strip())
        must = one.is_required and not one.is_nullable
        if one.kind == "part":
            inner = self._part(one.part, where, is_required=must)
            return inner if inner or must else None
        rows = [(number, self._part(one.part, (*where, number), is_required=False)) for number in range(ROWS)]
        filled = [(number, row) for number, row in rows if row]
        self.numbers[_name(where)] = [number for number, _ in filled]
        return [row for _, row in filled] or None

    # -- what is wrong ---------------------------------------------------------------------------------------------

    def tell(self, where: Where, why: str) -> None:
        """Show this reason by the field at this place of the entry, or by the nearest that is around it."""
        if where[:1] == ("policy",) and self.data.get("way") == "document":
            self.add_error("document", self._with_line(where[1:], why))
            return
        where = self._shown(where)
        groups = {group.name: group for group in self.groups}
        for end in range(len(where), 0, -1):
            name = _name(where[:end])
            name = _ELSEWHERE.get(name, name)
            rest = ".".join(map(str, where[end:]))
            if name in self.fields:
                self.add_error(name, why)
                return
            if name in groups:
                groups[name].errors.append(f"{rest}: {why}" if rest else why)
                self.add_error(None, f"{groups[name].title}: {why}")
                return
        self.add_error(None, f"{_name(where)}: {why}" if where else why)

    def _shown(self, where: Where) -> Where:
        """The place on the form: rows that were left empty are counted there, and not in the document."""
        shown: Where = ()
        for step in where:
            rows = self.numbers.get(_name(shown), [])
            shown = (*shown, rows[step] if isinstance(step, int) and step < len(rows) else step)
        return shown

    def _with_line(self, where: Where, why: str) -> str:
        at = where
        while at not in self.lines and at:
            at = at[:-1]
        return f"line {self.lines.get(at, 1)}: {_name(where)}: {why}" if where else why


_ELSEWHERE = {
    "price.amount": "price", "price.currency": "price", "cost.amount": "cost", "cost.currency": "cost_currency",
}  # fmt: skip


def _name(where: Where) -> str:
    return ".".join(map(str, where))


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _text(
    label: str, *, required: bool = False, help_text: str = "", attrs: dict[str, str] | None = None
) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs=attrs)
    return forms.CharField(label=label, required=required, max_length=200, widget=widget, help_text=help_text)


def _field(one: Field) -> forms.Field:
    """A field of the form for one of the policy; whether it must be filled is the type's to say."""
    label = _title(one.name) + ("" if not one.is_required or one.is_nullable else " *")
    if one.kind in {"word", "yes_no"}:
        words = one.words or {"true": "yes", "false": "no"}
        default = one.default if isinstance(one.default, str) else {True: "yes", False: "no"}.get(one.default, "")
        left_out = f"left out ({default})" if default and not one.is_required else "–"
        choices = [("", left_out), *((word, _option(word, says, one)) for word, says in words.items())]
        return forms.ChoiceField(
            label=label, required=False, choices=choices, widget=UnfoldAdminSelectWidget(), help_text=one.says
        )
    shown = one.default if one.default not in (None, []) else one.example
    attrs = {"placeholder": ", ".join(map(str, shown)) if isinstance(shown, list) else str(shown)}
    if one.kind == "number":
        attrs["inputmode"] = "numeric"
    says = one.says
    if one.kind == "number":
        says += f" {one.least:,} to {one.most:,}."
    elif one.kind == "list":
        says += f" With commas between; “{NONE}” is an empty list."
    return _text(label, help_text=says, attrs=attrs)


def _option(word: str, says: str, one: Field) -> str:
    if one.kind == "yes_no":
        return says
    plain = re.split(r"[;:(]", says.replace("`", ""))[0].strip()
    return f"{word.replace('_', ' ')}: {plain}" if len(plain) < 70 else f"{word.replace('_', ' ')}: {plain[:66]}…"


def _plain(one: Field, text: str) -> Any:
    """What was written, as the document has it; what is no number stays a text, and the type says so."""
    if not text:
        return None
    if one.kind == "yes_no":
        return {"true": True, "false": False}.get(text, text)
    if one.kind == "number":
        return _number(text)
    if one.kind == "list":
        return [] if text == NONE else [_number(word) for word in re.split(r"[\s,]+", text) if word]
    return text


def _number(text: str) -> int | str:
    return int(re.sub(r"[_ ]", "", text)) if re.fullmatch(r"-?\d[\d_ ]{0,29}", text, re.ASCII) else text


def _further(line: str) -> Any:
    """A price of several periods; what is not written so is told by the type."""
    words = line.split()
    if len(words) != 3 or not re.fullmatch(r"\d{1,4}", words[0], re.ASCII):
        return line
    return {"periods": int(words[0]), "price": {"amount": words[1], "currency": words[2].upper()}}


def _initial(version: PlanVersion) -> dict[str, Any]:
    """The form of a version's terms, as they are."""
    plan = version.plan
    return {
        "seen": version.id,
        "network": plan.network_id,
        "seller": plan.seller,
        **{f"names.{code}": plan.names.get(code, "") for code in LANGUAGES},
        "price": _amount(version.price_minor, version.currency),
        "prices": "\n".join(
            f"{one['periods']} {_amount(one['minor'], one['currency'])} {one['currency']}" for one in version.prices
        ),
        "carrier": version.carrier,
        "package": version.package,
        "first_package": version.first_package,
        "cost": _amount(version.cost_minor, version.cost_currency),
        "cost_currency": version.cost_currency,
        "way": "fields",
        "document": yaml.safe_dump(version.policy, sort_keys=False, allow_unicode=True),
        **dict(_flat(version.policy, ("policy",))),
    }


def _amount(minor: int, currency: str) -> str:
    return str(Money(minor, currency).major)


def _flat(value: Any, where: Where) -> Iterator[tuple[str, str]]:
    """Every leaf of a document by its name on the form."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, (*where, key))
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for number, inner in enumerate(value):
            yield from _flat(inner, (*where, number))
    elif isinstance(value, list):
        yield _name(where), ", ".join(map(str, value)) or NONE
    elif value is not None:
        yield _name(where), str(value).lower() if isinstance(value, bool) else str(value)
