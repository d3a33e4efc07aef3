from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from xuka.receipts.rules import registration_of


class Config(AppConfig):
    name = "xuka.receipts"
    label = "receipts"

    def ready(self) -> None:
        checks.register(seller_numbers)


def seller_numbers(**_: object) -> list[checks.CheckMessage]:
    """What is wrong with the seller's registration numbers. None at all is allowed: then receipts name none."""
    return [
        checks.Error(
            f"XUKA_SELLER_{variable} is {number!r}, which is not {what}.",
            hint="Receipts are issued without it until it is right. Leave it empty where the seller has none.",
            id=f"receipts.{id}",
        )
        for market, variable, number, what, id in (
            ("BE", "VAT_NUMBER", settings.SELLER_VAT_NUMBER, "a Belgian VAT number (BE and 10 digits)", "E001"),
            ("JP", "JP_NUMBER", settings.SELLER_JP_NUMBER, "a Japanese invoice number (T and 13 digits)", "E002"),
        )
        if number and not registration_of(market, number)
    ]
