"""The words of webhooks that were looked into, or are of no matter, are kept no longer: they may name a person."""

from __future__ import annotations

from django.db import migrations, models


def forget_them(apps, schema_editor) -> None:
    apps.get_model("payments", "Event").objects.filter(state__in=["digested", "ignored"]).update(body="")


class Migration(migrations.Migration):
    dependencies = [("payments", "0008_saved_methods")]

    operations = [
        migrations.RunPython(forget_them, migrations.RunPython.noop),
        migrations.AlterField(
            "event",
            "body",
            models.TextField(help_text="As it came, until it is digested; of one that is ignored, nothing."),
        ),
    ]
