"""An empty database gets its tables in one step: the very ones that the migrations leave, one after the other."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from apps.live.management.commands import migrate
from apps.live.management.commands.migrate import make_tables


@pytest.fixture
def empty(tmp_path: Path, django_db_setup: None, django_db_blocker: Any):
    """Give connections to databases without tables, by alias; on PostgreSQL they are schemas of one database."""
    opened: list[BaseDatabaseWrapper] = []

    def connect(alias: str) -> BaseDatabaseWrapper:
        own = connection.copy(alias)
        opened.append(own)
        if own.vendor == "sqlite":
            own.settings_dict["NAME"] = str(tmp_path / alias)
        else:
            with own.cursor() as cursor:
                cursor.execute(f"CREATE SCHEMA {alias}")
                cursor.execute(f"SET search_path TO {alias}")
        connections.settings[alias] = own.settings_dict
        connections[alias] = own
        return own

    with django_db_blocker.unblock():
        yield connect
        for own in opened:
            if own.vendor != "sqlite":
                with own.cursor() as cursor:
                    cursor.execute(f"DROP SCHEMA {own.alias} CASCADE")
            own.close()
            del connections[own.alias]
            del connections.settings[own.alias]


def _tables(of: BaseDatabaseWrapper) -> dict[str, object]:
    """Return the columns, constraints and indexes of all tables; the order of columns does not count."""
    look = of.introspection
    with of.cursor() as cursor:
        return {
            table: (sorted(look.get_table_description(cursor, table)), look.get_constraints(cursor, table))
            for table in look.table_names(cursor)
        }


def _rows(of: BaseDatabaseWrapper, table: str, columns: str = "*") -> list[tuple[object, ...]]:
    with of.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {table}")
        return list(cursor.fetchall())


def test_an_empty_database_gets_the_tables_that_the_migrations_leave(empty):
    one_by_one, at_once = empty("one_by_one"), empty("at_once")
    executor = MigrationExecutor(one_by_one)
    executor.migrate(executor.loader.graph.leaf_nodes())
    make_tables(at_once)
    expected = _tables(one_by_one)
    assert "results_run" in expected
    assert _tables(at_once) == expected
    applied = [set(_rows(each, "django_migrations", "app, name")) for each in (one_by_one, at_once)]
    assert applied[0] == applied[1]
    filled = {table for table in expected if _rows(one_by_one, table)}
    assert filled == {"django_migrations"}, "A migration that adds rows must add them to an empty database as well."


def test_a_database_with_tables_is_migrated_step_by_step(empty, monkeypatch):
    older = empty("older")
    MigrationExecutor(older).migrate([("contenttypes", "0001_initial")])
    monkeypatch.setattr(migrate, "make_tables", None)
    call_command("migrate", database="older", verbosity=0)
    assert "results_run" in older.introspection.table_names()
    executor = MigrationExecutor(older)
    assert not executor.migration_plan(executor.loader.graph.leaf_nodes())
