from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("personnel", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="GuardedSession",
            fields=[
                ("key", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("ref", models.CharField(db_index=True, max_length=40)),
            ],
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=40)),
                ("session", models.CharField(db_index=True, max_length=40)),
                ("done", models.BooleanField(default=False)),
            ],
        ),
    ]
