"""A card that was kept is one of the methods that can be: a PayPal account is another."""

from __future__ import annotations

from django.db import migrations, models


def name_it(apps, schema_editor) -> None:
    apps.get_model("payments", "Payment").objects.filter(reason="card_gone").update(reason="method_gone")


def call_it_a_card(apps, schema_editor) -> None:
    apps.get_model("payments", "Payment").objects.filter(reason="method_gone").update(reason="card_gone")


class Migration(migrations.Migration):
    dependencies = [("payments", "0007_refund_references"), ("renewals", "0010_automatic_card")]

    operations = [
        migrations.RunPython(name_it, call_it_a_card),
        migrations.RenameField("payment", "save_card", "save_method"),
        migrations.RenameField("payment", "saved_card", "saved_method"),
        migrations.RenameModel("SavedCard", "SavedMethod"),
        migrations.RenameField("savedmethod", "last_four", "known_by"),
        migrations.AddField(
            "savedmethod", "method", models.CharField(default="card", max_length=40), preserve_default=False
        ),
        migrations.AlterField(
            "savedmethod",
            "known_by",
            models.CharField(blank=True, help_text="Last four digits, or a masked address.", max_length=80),
        ),
        migrations.AlterField(
            "savedmethod", "brand", models.CharField(blank=True, help_text="Of a card.", max_length=30)
        ),
        migrations.AlterField("savedmethod", "expires_year", models.PositiveSmallIntegerField(null=True)),
        migrations.AlterField("savedmethod", "expires_month", models.PositiveSmallIntegerField(null=True)),
        migrations.AlterField(
            "payment",
            "off_session",
            models.BooleanField(default=False, help_text="Nobody was there: by the mandate of the saved method."),
        ),
    ]
