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
            name="Ticket",
            fields=[
                ("id", models.UUIDField(help_text="Made by whoever asks.", primary_key=True, serialize=False)),
                (
                    "order_id",
                    models.UUIDField(
                        blank=True, help_text="The order it is about; one of the customer's own.", null=True
                    ),
                ),
                ("email", models.EmailField(help_text="Where the answer goes.", max_length=254)),
                ("language", models.CharField(max_length=10)),
                ("text", models.TextField()),
                ("opened_at", models.DateTimeField()),
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
                "indexes": [models.Index(fields=["customer", "opened_at"], name="ticket_customer")],
            },
        ),
    ]
