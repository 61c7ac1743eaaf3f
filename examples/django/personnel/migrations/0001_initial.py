from django.db import migrations, models

PEOPLE = [
    ("ada", "Ada Lovelace", "Analyst", "Analytical Engine", "A 101", "+44 20 7946 0010"),
    ("grace", "Grace Hopper", "Compilers", "Programming Languages", "B 204", "+1 202 555 0143"),
    ("linus", "Linus Torvalds", "Kernel", "Operating Systems", "C 310", "+358 9 5550 0199"),
    ("alan", "Alan Turing", "Theory", "Decision Problems", "A 102", "+44 20 7946 0036"),
    ("katherine", "Katherine Johnson", "Trajectories", "Orbital Mechanics", "D 007", "+1 757 555 0162"),
]


def add_people(apps, schema_editor):
    for username, name, title, department, room, phone in PEOPLE:
        apps.get_model("personnel", "Person").objects.create(
            username=username,
            name=name,
            title=title,
            department=department,
            room=room,
            phone=phone,
        )


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel(
            name="Person",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("username", models.CharField(max_length=150, unique=True)),
                ("name", models.CharField(max_length=100)),
                ("title", models.CharField(blank=True, max_length=100)),
                ("department", models.CharField(blank=True, max_length=100)),
                ("room", models.CharField(blank=True, max_length=20)),
                ("phone", models.CharField(blank=True, max_length=30)),
                ("about", models.TextField(blank=True, verbose_name="about me")),
                ("changed", models.DateTimeField(auto_now=True, db_index=True)),
            ],
            options={"ordering": ["name"], "verbose_name_plural": "people"},
        ),
        migrations.RunPython(add_people, migrations.RunPython.noop),
    ]
