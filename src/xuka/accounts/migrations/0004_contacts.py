import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_phone"),
    ]

    operations = [
        migrations.CreateModel(
            name="Contact",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                (
                    "channel",
                    models.CharField(
                        max_length=10,
                        choices=[
                            ("email", "Email"),
                            ("sms", "Sms"),
                            ("webpush", "Webpush"),
                            ("telegram", "Telegram"),
                            ("line", "Line"),
                            ("wechat", "Wechat"),
                        ],
                    ),
                ),
                (
                    "address",
                    models.CharField(
                        max_length=1000, help_text="In the channel's own form; personal, never in a fact."
                    ),
                ),
                ("label", models.CharField(blank=True, max_length=80)),
                ("confirmed", models.BooleanField(default=False)),
                (
                    "is_working",
                    models.BooleanField(default=True, help_text="Off once the channel says that nobody is there."),
                ),
                ("created_at", models.DateTimeField()),
                (
                    "customer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["customer"], name="contact_customer")],
                "constraints": [models.UniqueConstraint(fields=("channel", "address"), name="contact_once")],
            },
        ),
        migrations.CreateModel(
            name="Choices",
            fields=[
                (
                    "customer",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "ending",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=10), size=None),
                ),
                (
                    "usage",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=10), size=None),
                ),
                (
                    "renewal",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=10), size=None),
                ),
                (
                    "quiet_from",
                    models.TimeField(help_text="On the customer's clock. The same as quiet_to: never quiet."),
                ),
                ("quiet_to", models.TimeField()),
                (
                    "urgent_at_night",
                    models.BooleanField(help_text="What cannot wait is told in quiet hours too."),
                ),
            ],
        ),
    ]
