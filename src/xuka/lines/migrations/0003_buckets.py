from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("lines", "0002_esims")]

    operations = [
        migrations.AddField(
            model_name="period",
            name="buckets",
            field=models.JSONField(
                blank=True,
                help_text='When its data, voice or SMS can be used where that is not the span: {"data": [from, until]}.',
                null=True,
            ),
        ),
    ]
