from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import F

FIELDS: dict[str, models.Field] = {
    "duration_estimate": models.FloatField(
        blank=True, help_text="What a policy is told, in seconds; empty where the trace states none.", null=True
    ),
    "size": models.FloatField(blank=True, help_text="Amount of work; empty where the trace has none.", null=True),
}


def forget_stand_ins(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Take the run time out of the estimates where the workload certainly states none.

    Rows stored before hold the run time in both. Where a trace states some estimates, which of its tasks have none
    cannot be told, and a size that equals the run time may be the trace's own: those rows stay as they are.
    """
    workloads, tasks = (
        apps.get_model("tasks", name).objects.using(schema_editor.connection.alias) for name in ("Workload", "Task")
    )
    for workload in workloads.iterator():
        missing = workload.audit.get("repaired", {}).get("missing_estimate", {}).get("count")
        if workload.task_count and (missing == workload.task_count or workload.source.startswith("synthetic:")):
            tasks.filter(workload_id=workload.pk, duration_estimate=F("runtime")).update(duration_estimate=None)


def fill_in(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Put the run time where estimate or size is not known."""
    tasks = apps.get_model("tasks", "Task").objects.using(schema_editor.connection.alias)
    tasks.filter(duration_estimate=None).update(duration_estimate=F("runtime"))
    tasks.filter(size=None).update(size=F("runtime"))


class Migration(migrations.Migration):
    dependencies = [("tasks", "0002_workload_import")]

    operations = [
        *(migrations.AlterField("task", name, field) for name, field in FIELDS.items()),
        migrations.RunPython(forget_stand_ins, fill_in),
    ]
