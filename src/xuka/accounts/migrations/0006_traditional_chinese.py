from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_families"),
    ]

    operations = [
        migrations.AlterField(
            model_name="user",
            name="language",
            field=models.CharField(
                choices=[
                    ("zh-hans", "简体中文"),
                    ("zh-hant", "繁體中文"),
                    ("ja", "日本語"),
                    ("en", "English"),
                    ("fr", "Français"),
                    ("nl", "Nederlands"),
                ],
                default="en",
                max_length=10,
                verbose_name="language",
            ),
        ),
    ]
