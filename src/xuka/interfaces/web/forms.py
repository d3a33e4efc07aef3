"""What people type, parsed. Forms know shapes, not business."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.utils.functional import lazy
from django.utils.translation import gettext_lazy as _

from xuka.interfaces.web import texts


class Text(forms.CharField):
    """One line of text; control characters are refused."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widget.attrs.pop("minlength", None)


class AddCard(forms.Form):
    """The two things that are printed with a card."""

    iccid = Text(
        max_length=40,
        label=_("Card number (ICCID)"),
        help_text=_("19 or 20 digits"),
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "spellcheck": "false"}),
    )
    claim_code = Text(
        max_length=40,
        label=_("Claim code"),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )


class ChoosePlan(forms.Form):
    """A plan, and how many periods of it at once; one where that is not said."""

    plan = forms.UUIDField()
    count = forms.IntegerField(required=False)

    def clean_count(self) -> int:
        count = self.cleaned_data["count"]
        return 1 if count is None else count


class Pay(forms.Form):
    """A way to pay: "wallet", a method, or a method with one that was kept ("card:<id>").

    Told as ``method``, ``saved`` and ``save_method``: the consent to keep is asked for each method apart, and counts
    for the one that is chosen. The payment's id is made by the payer's browser.
    """

    payment = forms.UUIDField(required=False)
    pay_with = forms.RegexField(r"^[a-z_]{1,30}(:[0-9a-f-]{36})?\Z")

    def clean(self) -> dict[str, Any]:
        told = super().clean() or {}
        method, *saved = told.get("pay_with", "").split(":")
        told["method"], told["saved"] = method, forms.UUIDField().clean(saved[0]) if saved else None
        told["save_method"] = bool(self.data.get(f"save_{method}"))
        if method != "wallet" and not told.get("payment"):
            raise forms.ValidationError(_("This page did not arrive whole. Please reload it and send it again."))
        return told


class Place(Pay):
    quote = forms.UUIDField()
    order = forms.UUIDField()
    begin_at_once = forms.BooleanField(required=False)


class Contact(forms.Form):
    """A message to the seller; the ticket's id comes with the page, so that sending it twice is one ticket."""

    ticket = forms.UUIDField(widget=forms.HiddenInput(attrs={"data-new-id": True}))
    order = forms.UUIDField(required=False, widget=forms.HiddenInput)
    card = forms.UUIDField(required=False, widget=forms.HiddenInput)
    email = forms.EmailField(label=_("Your e-mail address"), widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    text = forms.CharField(
        label=_("What can we do for you?"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("Write in any language you like."),
    )

    def __init__(self, *args: Any, signed_in: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if signed_in:
            del self.fields["email"]


class Language(forms.Form):
    language = forms.ChoiceField(choices=settings.LANGUAGES)
    next = forms.CharField(required=False, max_length=500)


def _zones() -> list[tuple[str, Any]]:
    return [("", _("the card's own")), *texts.zones(available_timezones())]


class Settings(forms.Form):
    """What a person may change about themselves."""

    name = Text(
        max_length=80, required=False, label=_("Your name"), widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    language = forms.ChoiceField(choices=settings.LANGUAGES, label=_("Language of pages and mails"))
    time_zone = forms.ChoiceField(
        choices=lazy(_zones, list)(), required=False, label=_("Your time zone"), widget=forms.Select
    )
