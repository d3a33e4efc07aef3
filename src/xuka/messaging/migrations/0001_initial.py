import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Message",
            fields=[
                ("id", models.UUIDField(help_text="uuid5(cause, kind and address)", primary_key=True, serialize=False)),
                ("cause", models.UUIDField(help_text="What it is about: an order, a ticket, a sign-in.")),
                ("kind", models.CharField(max_length=60)),
                ("channel", models.CharField(default="email", max_length=20)),
                ("to", models.CharField(max_length=254)),
                ("language", models.CharField(max_length=10)),
                ("subject", models.CharField(max_length=200)),
                ("text", models.TextField()),
                ("html", models.TextField(blank=True)),
                (
                    "secret",
                    models.BooleanField(
                        default=False, help_text="Its words are forgotten once it is sent or given up."
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("queued", "Queued"), ("sending", "Sending"), ("sent", "Sent"), ("failed", "Failed")],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("queued_at", models.DateTimeField()),
                ("next_try_at", models.DateTimeField(help_text="Empty once the state is final.", null=True)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                (
                    "reference",
                    models.CharField(blank=True, help_text="The other side's own name for it.", max_length=200),
                ),
                ("error", models.TextField(blank=True, help_text="Why the last try did not succeed; for staff.")),
                (
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_try_at__isnull", False)), fields=["next_try_at"], name="message_due"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("cause", "kind", "to"), name="message_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("next_try_at__isnull", False), ("state__in", ["queued", "sending"])),
                            models.Q(("next_try_at__isnull", True), ("state__in", ["sent", "failed"])),
                            _connector="OR",
                        ),
                        name="message_due_until_final",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("lease_until__isnull", False), ("state", "sending")),
                            models.Q(models.Q(("state", "sending"), _negated=True), ("lease_until__isnull", True)),
                            _connector="OR",
                        ),
                        name="message_leased_while_sending",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("sent_at__isnull", False), ("state", "sent")),
                            models.Q(models.Q(("state", "sent"), _negated=True), ("sent_at__isnull", True)),
                            _connector="OR",
                        ),
                        name="message_sent_at",
                    ),
                ],
            },
        ),
    ]
