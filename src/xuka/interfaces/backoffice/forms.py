"""What staff may send. Each form parses; the operation decides."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.interfaces.backoffice import words
from xuka.kernel import ids
from xuka.kernel.money import Money, decimals, from_major
from xuka.lines.models import Standing
from xuka.payments.rules import VOUCHERS_AT_MOST

# No letters or digits that are taken for one another when read from a card.
_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

_NO_SUCH_FEE = "A fee lies between 0 and 10 percent."
_BROKEN = "This form is damaged. Go back and open it again."


def say(form: forms.Form, sentence: str) -> None:
    """Tell on the form why it cannot be done, though nothing was sent yet."""
    form.is_bound = True
    form.cleaned_data = {}
    form.add_error(None, sentence)


class Reason(forms.Form):
    """Anything done by hand says why."""

    why = forms.CharField(
        label="Reason",
        max_length=1000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kept in the journal for ever, with your name.",
        error_messages={"required": words.cannot_decide("no_reason")},
    )


class CardStanding(Reason):
    """Whether a card is in service, and why."""

    standing = forms.ChoiceField(label="The card is", choices=Standing.choices, widget=UnfoldAdminSelectWidget())


class Adoption(Reason):
    """The carrier did it: under which reference?"""

    reference = forms.CharField(
        label="The carrier's reference",
        max_length=120,
        widget=UnfoldAdminTextInputWidget(),
        help_text="The id or code of the carrier's own order.",
        error_messages={"required": words.cannot_decide("no_reference")},
    )
    field_order = ("reference", "why")


class Statement(forms.Form):
    """A settlement file, as it was downloaded at the provider."""

    provider = forms.ChoiceField(label="Provider", widget=UnfoldAdminSelectWidget())
    file = forms.FileField(
        label="File",
        widget=UnfoldAdminFileFieldWidget(),
        help_text="As it was downloaded there, not opened and saved again. At most 8 MB.",
        error_messages={"required": "Choose the file.", "empty": "The file is empty."},
    )

    def __init__(self, *args: Any, providers: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["provider"].choices = [(name, name) for name in providers]  # type: ignore[attr-defined]


class PaidElsewhere(Reason):
    """It was paid back another way: under which reference?"""

    reference = forms.CharField(
        label="The reference of that payment",
        max_length=120,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Of the bank transfer, for example.",
        error_messages={"required": words.cannot_decide_money("no_reference")},
    )
    field_order = ("reference", "why")


class GiveBack(Reason):
    """A period that has not begun is given back: where to?"""

    to_wallet = forms.BooleanField(
        label="Into the customer's wallet", required=False, help_text="Only if the customer chose that."
    )
    field_order = ("to_wallet", "why")


class Transferred(Reason):
    """Credit is paid out: under which reference was the rest transferred?"""

    reference = forms.CharField(
        label="The reference of the bank transfer",
        max_length=120,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Needed where something cannot go back to a card.",
    )
    field_order = ("reference", "why")


class Fee(forms.Form):
    """What paying by a method costs the customer on top."""

    market = forms.ChoiceField(
        label="Market", widget=UnfoldAdminSelectWidget(), error_messages={"invalid_choice": "Nothing is sold there."}
    )
    method = forms.ChoiceField(
        label="Way of paying",
        widget=UnfoldAdminSelectWidget(),
        error_messages={"invalid_choice": "Nobody can pay like this here."},
    )
    percent = forms.DecimalField(
        label="Fee in percent",
        min_value=Decimal(0),
        max_value=Decimal(10),
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "0.01", "inputmode": "decimal"}),
        help_text="Of the price, tax included; rounded half up. 0 takes the fee back.",
        error_messages={"min_value": _NO_SUCH_FEE, "max_value": _NO_SUCH_FEE},
    )
    permission = forms.CharField(
        label="Permission",
        max_length=2000,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="The law, contract or scheme rule that allows it, with its date. Kept with your name.",
    )

    def __init__(self, *args: Any, methods: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        codes = [market.code for market in catalogue.markets()]
        self.fields["market"].choices = [(code, code) for code in codes]  # type: ignore[attr-defined]
        self.fields["method"].choices = [(name, name) for name in methods]  # type: ignore[attr-defined]

    @property
    def basis_points(self) -> int:
        """The fee; only after the form was found valid."""
        return int(self.cleaned_data["percent"] * 100)


class Credit(Reason):
    """Money from the seller for a customer's wallet."""

    id = forms.UUIDField(widget=forms.HiddenInput, error_messages=dict.fromkeys(("required", "invalid"), _BROKEN))
    amount = forms.DecimalField(
        label="Amount",
        min_value=Decimal("0.001"),
        max_digits=12,
        widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "any", "inputmode": "decimal"}),
        help_text="In the currency's usual unit: 12.90 for euro, 1980 for yen.",
        error_messages={"min_value": "The amount must be more than nothing."},
    )
    currency = forms.ChoiceField(
        label="Currency",
        widget=UnfoldAdminSelectWidget(),
        error_messages={"invalid_choice": "Nothing is sold in this currency."},
    )
    field_order = ("id", "amount", "currency", "why")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The id is made with the form, not with the click: a double click credits once.
        kwargs.setdefault("initial", {"id": ids.new()})
        super().__init__(*args, **kwargs)
        names = sorted({market.currency for market in catalogue.markets()})
        self.fields["currency"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        told = super().clean() or {}
        if "amount" in told and "currency" in told:
            money = from_major(told["amount"], told["currency"])
            if money.major != told["amount"]:
                places = decimals(told["currency"])
                self.add_error("amount", f"{told['currency']} has {places or 'no'} decimals.")
            told["money"] = money
        return told

    @property
    def money(self) -> Money:
        """The amount; only after the form was found valid."""
        return self.cleaned_data["money"]


class Vouchers(Credit):
    """A batch of vouchers to make."""

    number = forms.IntegerField(
        label="How many",
        min_value=1,
        max_value=VOUCHERS_AT_MOST,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
        help_text="One batch for each sale: a batch is sold, and can be revoked, as a whole.",
    )
    redeem_by = forms.DateField(
        label="Can be redeemed until",
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "2027-12-31"}),
        help_text="Through the end of this day (UTC). Print it on the cards.",
    )
    field_order = ("id", "amount", "currency", "number", "redeem_by", "why")

    @property
    def deadline(self) -> datetime:
        """The last moment of the day chosen; only after the form was found valid."""
        return datetime.combine(self.cleaned_data["redeem_by"], time.max, tzinfo=UTC)


class Sale(Reason):
    """Who bought a batch of vouchers."""

    to = forms.CharField(
        label="Sold to",
        max_length=200,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Who paid: a kiosk, a customer. They have the money back for what is revoked.",
    )
    field_order = ("to", "why")


class NewCard(forms.Form):
    """A card for the stock."""

    iccid = forms.CharField(
        label="ICCID",
        max_length=30,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
        help_text="19 or 20 digits, as printed on the card. Spaces do not matter.",
    )
    plan_version = forms.ChoiceField(label="Sold with the plan", widget=UnfoldAdminSelectWidget())
    claim_code = forms.CharField(
        label="Claim code",
        min_length=8,
        max_length=40,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Goes to the customer with the card. Only a hash of it is kept: it cannot be read again.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"claim_code": _claim_code()})
        super().__init__(*args, **kwargs)
        on_sale = [version for market in catalogue.markets() for version in catalogue.plans_on_sale(market.code)]
        self.versions = {str(version.id): version for version in on_sale}
        self.fields["plan_version"].choices = [  # type: ignore[attr-defined]
            (id, f"{version.plan.market_id} · {catalogue.name(version.plan, 'en')}")
            for id, version in self.versions.items()
        ]

    @property
    def version(self) -> PlanVersion:
        """The plan version chosen; only after the form was found valid."""
        return self.versions[self.cleaned_data["plan_version"]]


def _claim_code() -> str:
    letters = "".join(secrets.choice(_CODE_LETTERS) for _ in range(12))
    return "-".join(letters[i : i + 4] for i in range(0, 12, 4))
