"""AlterField and RunPython in one migration of Django."""
import sys

import django
from django.conf import settings

database, command, *words = sys.argv[1:]
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database,
                                          "OPTIONS": {"timeout": 10}}}, USE_TZ=False)
django.setup()
from django.db import connection, migrations, models  # noqa: E402
from django.db.migrations.state import ProjectState  # noqa: E402

first = migrations.Migration("0001", "app")
first.operations = [migrations.CreateModel("Household", [
    ("id", models.CharField(max_length=36, primary_key=True)),
    ("name", models.CharField(max_length=100)),
    ("village", models.CharField(max_length=100, null=True)),
    ("n", models.IntegerField(default=0))], options={"db_table": "household"})]
if command == "create":
    with connection.schema_editor(atomic=True) as editor:
        first.apply(ProjectState(), editor)
else:
    value, length = words[0], int(words[1])

    def rows(apps, editor):
        household = apps.get_model("app", "Household")
        household.objects.filter(id="1").update(name=value)
        household.objects.create(id="m" + value, name="made by " + value)

    second = migrations.Migration("0002", "app")
    second.operations = [
        migrations.AlterField("Household", "name", models.CharField(
            max_length=length, default="d%d" % length, null=bool(length % 2))),
        migrations.RunPython(rows)]
    with connection.schema_editor(atomic=True) as editor:
        second.apply(first.mutate_state(ProjectState()), editor)
