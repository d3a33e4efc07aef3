import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

WALLS = """
create function accounts_family_is_whole() returns trigger language plpgsql as $$
declare
    this uuid := coalesce(to_jsonb(new) ->> 'family_id', to_jsonb(new) ->> 'id');
    closed timestamptz;
    organisers int;
    people int;
begin
    select closed_at into closed from accounts_family where id = this;
    select count(*) filter (where place = 0), count(*) into organisers, people
        from accounts_membership where family_id = this and left_at is null;
    if closed is null and organisers <> 1 then
        raise exception 'A family that is open has an organiser.' using errcode = 'integrity_constraint_violation';
    end if;
    if closed is not null and people > 0 then
        raise exception 'A family that is closed has nobody.' using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end
$$;
create constraint trigger family_is_whole after insert or update on accounts_family
    deferrable initially deferred for each row execute function accounts_family_is_whole();
create constraint trigger family_members_are_whole after insert or update on accounts_membership
    deferrable initially deferred for each row execute function accounts_family_is_whole();
"""
NO_WALLS = """
drop trigger family_members_are_whole on accounts_membership;
drop trigger family_is_whole on accounts_family;
drop function accounts_family_is_whole();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_contacts"),
    ]

    operations = [
        migrations.CreateModel(
            name="Family",
            fields=[
                ("id", models.UUIDField(help_text="Made by the page.", primary_key=True, serialize=False)),
                ("founded_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "families",
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("place", models.PositiveSmallIntegerField()),
                ("joined_at", models.DateTimeField()),
                ("left_at", models.DateTimeField(blank=True, null=True)),
                (
                    "why_left",
                    models.CharField(
                        blank=True,
                        choices=[("left", "Left"), ("removed", "Removed"), ("closed", "Closed")],
                        max_length=10,
                    ),
                ),
                (
                    "consent_words",
                    models.TextField(blank=True, help_text="Exactly what the member agreed to. Empty: the founder."),
                ),
                ("consent_version", models.CharField(blank=True, max_length=20)),
                ("consent_language", models.CharField(blank=True, max_length=10)),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "family",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.family"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                ("id", models.UUIDField(help_text="Made by the page.", primary_key=True, serialize=False)),
                ("email", models.EmailField(help_text="As accounts store it: trimmed and lower case.", max_length=254)),
                (
                    "secret_hash",
                    models.CharField(help_text="SHA-256 of the link's secret.", max_length=64, unique=True),
                ),
                ("invited_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[("accepted", "Accepted"), ("declined", "Declined"), ("withdrawn", "Withdrawn")],
                        max_length=10,
                    ),
                ),
                (
                    "family",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.family"
                    ),
                ),
                (
                    "membership",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.membership",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(
                condition=models.Q(("left_at__isnull", True)), fields=("customer",), name="family_one_at_a_time"
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(
                condition=models.Q(("left_at__isnull", True)), fields=("family", "place"), name="family_place_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(condition=models.Q(("place__lte", 10)), name="family_places"),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("place", 0),
                    models.Q(
                        models.Q(("consent_words", ""), _negated=True), models.Q(("consent_version", ""), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="family_member_agreed",
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("left_at__isnull", True), ("why_left", "")),
                    models.Q(("left_at__isnull", False), models.Q(("why_left", ""), _negated=True)),
                    _connector="OR",
                ),
                name="family_left_for_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at__isnull", True)), fields=("family", "email"), name="invitation_one_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("outcome", "")),
                    models.Q(("ended_at__isnull", False), models.Q(("outcome", ""), _negated=True)),
                    _connector="OR",
                ),
                name="invitation_ends_somehow",
            ),
        ),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("membership__isnull", False), ("outcome", "accepted")),
                    models.Q(models.Q(("outcome", "accepted"), _negated=True), ("membership__isnull", True)),
                    _connector="OR",
                ),
                name="invitation_accepted_by_a_member",
            ),
        ),
        migrations.RunSQL(WALLS, NO_WALLS),
    ]
