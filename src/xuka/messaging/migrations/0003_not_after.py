from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0002_attachments"),
    ]

    operations = [
        migrations.AlterField(
            model_name="message",
            name="to",
            field=models.CharField(max_length=1000, help_text="A browser's subscription is longer than any address."),
        ),
        migrations.AddField(
            model_name="message",
            name="not_after",
            field=models.DateTimeField(
                null=True, blank=True, help_text="From then on its words are not true any more."
            ),
        ),
        migrations.AddField(
            model_name="message",
            name="unsubscribe",
            field=models.CharField(
                max_length=300, blank=True, default="", help_text="The address of its one-click end."
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="message",
            name="state",
            field=models.CharField(
                max_length=10,
                default="queued",
                choices=[
                    ("queued", "Queued"),
                    ("sending", "Sending"),
                    ("sent", "Sent"),
                    ("failed", "Failed"),
                    ("stale", "Stale"),
                ],
            ),
        ),
        migrations.RemoveConstraint(model_name="message", name="message_due_until_final"),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=Q(("next_try_at__isnull", False), ("state__in", ["queued", "sending"]))
                | Q(("next_try_at__isnull", True), ("state__in", ["sent", "failed", "stale"])),
                name="message_due_until_final",
            ),
        ),
    ]
