import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# What was printed and sold stays what it was; what was redeemed or revoked stays so.
FOR_EVER = """
create function payments_voucherbatch_for_ever() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or row(old.id, old.value_minor, old.currency, old.number, old.redeem_by, old.liability_id,
            old.made_by, old.made_at) is distinct from row(new.id, new.value_minor, new.currency, new.number,
            new.redeem_by, new.liability_id, new.made_by, new.made_at)
        or (old.sold_at is not null and (old.sold_at, old.sold_to) is distinct from (new.sold_at, new.sold_to))
        or (old.revoked_at is not null
            and (old.revoked_at, old.revoked_why) is distinct from (new.revoked_at, new.revoked_why))
    then
        raise exception 'The terms of a voucher batch never change, and it is sold and revoked once.'
            using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end
$$;
create trigger voucherbatch_for_ever before update or delete on payments_voucherbatch
    for each row execute function payments_voucherbatch_for_ever();
create function payments_voucher_for_ever() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or old.redeemed_at is not null or old.revoked_at is not null
        or (old.id, old.batch_id, old.serial, old.code_hash)
            is distinct from (new.id, new.batch_id, new.serial, new.code_hash)
    then
        raise exception 'A voucher is redeemed or revoked once, and never changes otherwise.'
            using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end
$$;
create trigger voucher_for_ever before update or delete on payments_voucher
    for each row execute function payments_voucher_for_ever();
"""
NOT_FOR_EVER = """
drop trigger voucher_for_ever on payments_voucher;
drop function payments_voucher_for_ever();
drop trigger voucherbatch_for_ever on payments_voucherbatch;
drop function payments_voucherbatch_for_ever();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="VoucherBatch",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        help_text="Made with the form: the idempotency key.", primary_key=True, serialize=False
                    ),
                ),
                ("value_minor", models.BigIntegerField(help_text="Of each card.")),
                ("currency", models.CharField(max_length=3)),
                ("number", models.PositiveIntegerField(help_text="How many cards.")),
                ("redeem_by", models.DateTimeField(help_text="The last moment at which one can be redeemed.")),
                (
                    "liability_id",
                    models.UUIDField(help_text="The ledger account that owes what is sold and not redeemed."),
                ),
                ("made_by", models.UUIDField()),
                ("made_at", models.DateTimeField()),
                ("sold_at", models.DateTimeField(help_text="Before that none can be redeemed.", null=True)),
                (
                    "sold_to",
                    models.CharField(
                        blank=True, help_text="Who paid, and has the money back for a refund.", max_length=200
                    ),
                ),
                ("revoked_at", models.DateTimeField(null=True)),
                ("revoked_why", models.TextField(blank=True)),
            ],
            options={
                "verbose_name_plural": "voucher batches",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("value_minor__gt", 0)), name="voucher_value_positive"),
                    models.CheckConstraint(
                        condition=models.Q(("number__gte", 1), ("number__lte", 10000)), name="voucher_batch_size"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("redeem_by__gt", models.F("made_at"))), name="voucher_deadline_after_making"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("sold_at__isnull", True), ("sold_to", "")),
                            models.Q(("sold_at__isnull", False), models.Q(("sold_to", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="voucher_sold_to_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("revoked_at__isnull", True), ("revoked_why", "")),
                            models.Q(("revoked_at__isnull", False), models.Q(("revoked_why", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="voucher_revoked_with_reason",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Voucher",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                (
                    "serial",
                    models.CharField(help_text="Printed beside the code; opens nothing.", max_length=20, unique=True),
                ),
                ("code_hash", models.CharField(max_length=64, unique=True)),
                ("redeemed_at", models.DateTimeField(null=True)),
                (
                    "transfer_id",
                    models.UUIDField(help_text="The ledger transfer into the wallet.", null=True, unique=True),
                ),
                ("revoked_at", models.DateTimeField(null=True)),
                (
                    "redeemed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "batch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="vouchers", to="payments.voucherbatch"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("redeemed_at__isnull", True),
                                ("redeemed_by__isnull", True),
                                ("transfer_id__isnull", True),
                            ),
                            models.Q(
                                ("redeemed_at__isnull", False),
                                ("redeemed_by__isnull", False),
                                ("transfer_id__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="voucher_redeemed_wholly",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("redeemed_at__isnull", True), ("revoked_at__isnull", True), _connector="OR"
                        ),
                        name="voucher_redeemed_or_revoked",
                    ),
                ],
            },
        ),
        migrations.RunSQL(FOR_EVER, NOT_FOR_EVER),
    ]
