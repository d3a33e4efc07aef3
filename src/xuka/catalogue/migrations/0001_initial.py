import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import xuka.catalogue.models

# What was sold stays what it was: new terms are a new version.
IMMUTABLE = """
create function catalogue_planversion_immutable() returns trigger language plpgsql as $$
begin
    raise exception 'A plan version never changes: new terms are a new version.'
        using errcode = 'integrity_constraint_violation';
end
$$;
create trigger planversion_immutable before update or delete on catalogue_planversion
    for each row execute function catalogue_planversion_immutable();
"""
MUTABLE = """
drop trigger planversion_immutable on catalogue_planversion;
drop function catalogue_planversion_immutable();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Market",
            fields=[
                (
                    "code",
                    models.CharField(help_text="ISO 3166-1 alpha-2.", max_length=2, primary_key=True, serialize=False),
                ),
                ("currency", models.CharField(help_text="ISO 4217.", max_length=3)),
                ("zone", models.CharField(help_text="IANA name.", max_length=60)),
                (
                    "tax_basis_points",
                    models.PositiveSmallIntegerField(help_text="Inside consumer prices: 2100 is 21 %."),
                ),
                ("identification", models.TextField(help_text="What the law asks of a buyer, in words, for staff.")),
                ("evidence", models.JSONField(default=dict, help_text="Each fact's source and as-of date.")),
                ("source", models.TextField(help_text="Where the facts are from.")),
                ("as_of", models.DateField(help_text="The date of the oldest of the facts.")),
            ],
        ),
        migrations.CreateModel(
            name="Network",
            fields=[
                ("slug", models.SlugField(max_length=60, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=80)),
                (
                    "mcc_mnc",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=7),
                        help_text="For example 206-01 (ITU-T E.212).",
                        size=None,
                    ),
                ),
                (
                    "bands",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=8),
                        help_text="3GPP names: B20 (LTE), n78 (NR).",
                        size=None,
                    ),
                ),
                ("apns", models.JSONField(default=list, help_text="Access point names, as phones ship with them.")),
                ("evidence", models.JSONField(default=dict, help_text="Each fact's source and as-of date.")),
                ("source", models.TextField(help_text="Where the facts are from.")),
                ("as_of", models.DateField(help_text="The date of the oldest of the facts.")),
                (
                    "market",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="catalogue.market"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Plan",
            fields=[
                ("slug", models.SlugField(max_length=60, primary_key=True, serialize=False)),
                ("names", models.JSONField(help_text='By language: {"en": …, "zh-hans": …}.')),
                ("seller", models.CharField(max_length=80)),
                ("on_sale", models.BooleanField(default=True)),
                (
                    "market",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="catalogue.market"
                    ),
                ),
                (
                    "network",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="catalogue.network"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PlanVersion",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("number", models.PositiveIntegerField()),
                ("policy", xuka.catalogue.models.PolicyField()),
                (
                    "price_minor",
                    models.BigIntegerField(help_text="What the customer pays, tax inside, in minor units."),
                ),
                ("currency", models.CharField(max_length=3)),
                ("carrier", models.CharField(max_length=40)),
                ("package", models.CharField(help_text="The carrier's own name of what it delivers.", max_length=120)),
                (
                    "cost_minor",
                    models.BigIntegerField(help_text="What the carrier charges the seller, in minor units."),
                ),
                ("cost_currency", models.CharField(max_length=3)),
                ("made_at", models.DateTimeField()),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="catalogue.plan"
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="plan",
            name="current",
            field=models.ForeignKey(
                blank=True,
                help_text="The version sold now.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="catalogue.planversion",
            ),
        ),
        migrations.AddConstraint(
            model_name="planversion",
            constraint=models.UniqueConstraint(fields=("plan", "number"), name="plan_version_number"),
        ),
        migrations.AddConstraint(
            model_name="planversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("price_minor__gt", 0)), name="plan_version_price_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="planversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("cost_minor__gte", 0)), name="plan_version_cost_not_negative"
            ),
        ),
        migrations.AddConstraint(
            model_name="planversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("number__gte", 1)), name="plan_version_number_from_one"
            ),
        ),
        migrations.AddIndex(
            model_name="plan",
            index=models.Index(condition=models.Q(("on_sale", True)), fields=["market"], name="plan_on_sale"),
        ),
        migrations.RunSQL(IMMUTABLE, MUTABLE),
    ]
