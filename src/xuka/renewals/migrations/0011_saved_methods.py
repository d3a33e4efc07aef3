"""What renews a card by itself is a saved method: a bank card is one of them."""

from __future__ import annotations

from django.db import migrations, models
from django.db.models import Q

WORDS = {"card_declined": "saved_declined", "card_forgotten": "saved_forgotten", "card_expired": "saved_expired"}


def rename(apps, *, pay_with: tuple[str, str], words: dict[str, str]) -> None:
    auto, order = apps.get_model("renewals", "AutoRenewal"), apps.get_model("renewals", "Order")
    auto.objects.filter(pay_with=pay_with[0]).update(pay_with=pay_with[1])
    for old, new in words.items():
        auto.objects.filter(reason=old).update(reason=new)
        auto.objects.filter(last_outcome=old).update(last_outcome=new)
        order.objects.filter(reason=old).update(reason=new)


def forwards(apps, schema_editor) -> None:
    rename(apps, pay_with=("card", "saved"), words=WORDS)


def backwards(apps, schema_editor) -> None:
    rename(apps, pay_with=("saved", "card"), words={new: old for old, new in WORDS.items()})


class Migration(migrations.Migration):
    dependencies = [("payments", "0008_saved_methods"), ("renewals", "0010_automatic_card")]

    operations = [
        migrations.RemoveConstraint("autorenewal", "auto_card_is_named"),
        migrations.RenameField("autorenewal", "saved_card", "saved_method"),
        migrations.AlterField(
            "autorenewal",
            "saved_method",
            models.ForeignKey(
                help_text="What may be charged.",
                null=True,
                on_delete=models.PROTECT,
                related_name="+",
                to="payments.savedmethod",
            ),
        ),
        migrations.AlterField(
            "autorenewal",
            "pay_with",
            models.CharField(choices=[("wallet", "WALLET"), ("saved", "SAVED"), ("link", "LINK")], max_length=20),
        ),
        migrations.RunPython(forwards, backwards),
        migrations.AddConstraint(
            "autorenewal",
            models.CheckConstraint(
                condition=Q(pay_with="saved", saved_method__isnull=False)
                | (~Q(pay_with="saved") & Q(saved_method__isnull=True)),
                name="auto_saved_method_is_named",
            ),
        ),
    ]
