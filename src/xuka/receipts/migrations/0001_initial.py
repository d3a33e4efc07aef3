import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

WALLS = """
create function receipts_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'What was issued is never changed or deleted: a credit note corrects it.'
        using errcode = 'integrity_constraint_violation';
end
$$;
create trigger receipt_immutable before update or delete on receipts_receipt
    for each row execute function receipts_refuse();
create trigger series_stays before delete on receipts_series
    for each row execute function receipts_refuse();

create function receipts_next_number() returns trigger language plpgsql as $$
begin
    if new.last_number <> (case when tg_op = 'INSERT' then 0 else old.last_number + 1 end) then
        raise exception 'The numbers of a series follow each other.' using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end
$$;
create trigger series_counts before insert or update on receipts_series
    for each row execute function receipts_next_number();

create function receipts_number_used() returns trigger language plpgsql as $$
begin
    if not exists (select from receipts_receipt where series = new.code and number = new.last_number) then
        raise exception 'A number that was taken has a receipt.' using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end
$$;
create constraint trigger series_has_no_gap after update on receipts_series deferrable initially deferred
    for each row execute function receipts_number_used();

create function receipts_admit() returns trigger language plpgsql as $$
declare
    corrected receipts_receipt;
begin
    if new.number is distinct from (select last_number from receipts_series where code = new.series) then
        raise exception 'A receipt has the next number of its series.'
            using errcode = 'integrity_constraint_violation';
    end if;
    if new.corrects_id is not null then
        select * into corrected from receipts_receipt where id = new.corrects_id for update;
        if corrected.kind <> 'receipt' or corrected.currency <> new.currency
            or corrected.customer_id <> new.customer_id or corrected.cause <> new.cause then
            raise exception 'A credit note corrects a receipt of the same order, customer and currency.'
                using errcode = 'integrity_constraint_violation';
        end if;
        if corrected.total_minor + new.total_minor
            + (select coalesce(sum(total_minor), 0) from receipts_receipt where corrects_id = new.corrects_id) < 0 then
            raise exception 'Credit notes never exceed their receipt.'
                using errcode = 'integrity_constraint_violation';
        end if;
    end if;
    return new;
end
$$;
create trigger receipt_admitted before insert on receipts_receipt
    for each row execute function receipts_admit();
"""
NO_WALLS = """
drop trigger receipt_admitted on receipts_receipt;
drop trigger receipt_immutable on receipts_receipt;
drop trigger series_has_no_gap on receipts_series;
drop trigger series_counts on receipts_series;
drop trigger series_stays on receipts_series;
drop function receipts_admit();
drop function receipts_number_used();
drop function receipts_next_number();
drop function receipts_refuse();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Series",
            fields=[
                (
                    "code",
                    models.CharField(
                        help_text="BE-2026; credit notes BE-2026-C.", max_length=12, primary_key=True, serialize=False
                    ),
                ),
                ("last_number", models.PositiveIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Receipt",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        help_text="uuid5(cause, kind), for credit notes with their leg.",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("cause", models.UUIDField(help_text="The order.")),
                (
                    "kind",
                    models.CharField(choices=[("receipt", "receipt"), ("credit_note", "credit note")], max_length=12),
                ),
                ("number", models.PositiveIntegerField()),
                ("issued_at", models.DateTimeField()),
                ("currency", models.CharField(max_length=3)),
                (
                    "total_minor",
                    models.BigIntegerField(help_text="Minor units, tax inside; of a credit note negative."),
                ),
                ("document", models.JSONField(help_text="Everything it says, as it was then.")),
                (
                    "corrects",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="receipts.receipt",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "series",
                    models.ForeignKey(
                        db_column="series",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="receipts.series",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["customer", "-issued_at"], name="receipt_customer"),
                    models.Index(fields=["cause"], name="receipt_cause"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("series", "number"), name="receipt_number"),
                    models.UniqueConstraint(
                        condition=models.Q(("kind", "receipt")), fields=("cause",), name="one_receipt_a_cause"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("corrects__isnull", True), ("kind", "receipt"), ("total_minor__gt", 0)),
                            models.Q(("corrects__isnull", False), ("kind", "credit_note"), ("total_minor__lt", 0)),
                            _connector="OR",
                        ),
                        name="receipt_sign",
                    ),
                ],
            },
        ),
        migrations.RunSQL(WALLS, NO_WALLS),
    ]
