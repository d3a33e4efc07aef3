from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_five_languages"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="phone",
            field=models.CharField(
                blank=True,
                help_text="E.164, such as +32470123456.",
                max_length=16,
                null=True,
                unique=True,
                verbose_name="mobile number",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="phone_verified",
            field=models.BooleanField(default=False, verbose_name="mobile number confirmed"),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("phone__isnull", True), ("phone_verified", False))
                | models.Q(("phone__startswith", "+")),
                name="user_phone",
            ),
        ),
    ]
