"""Bring the database up to date; an empty one gets its tables as they are after the last migration, in one step."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from scheduler_sim.display.commands import SiteCommand


class Command(SiteCommand, migrate.Command):
    # Django's own way renders the models anew at each of a hundred steps, which an empty database does not need. Where
    # there is a table, or where something else is asked for, all is as Django does it.

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        other = ("app_label", "fake", "fake_initial", "plan", "check_unapplied", "prune")
        if not any(options[name] for name in other) and not connection.introspection.table_names():
            make_tables(connection)
            if options["verbosity"]:
                self.stdout.write("The database was empty: all tables are made.")
        super().handle(*args, **options)


def make_tables(connection: BaseDatabaseWrapper) -> None:
    """Make all tables of an empty database as the migrations would leave them, and record these as applied.

    All in one transaction. Migrations that change rows have none to change; the tests see that none adds any.
    """
    executor: Any = MigrationExecutor(connection)
    loader = executor.loader
    with connection.schema_editor(atomic=True) as editor:
        for model in loader.project_state().apps.get_models():
            if model._meta.app_label in loader.migrated_apps and model._meta.can_migrate(connection):
                editor.create_model(model)
        for migration, _ in executor.migration_plan(loader.graph.leaf_nodes()):
            executor.record_migration(migration)
