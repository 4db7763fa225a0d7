"""Migrations that a running older version survives, and that hold up no table while it is used.

Old and new processes work side by side while web processes are replaced one by one, after the
migration: see docs/operations.md, "Upgrade".
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
)
from django.db import models
from django.db.migrations import Migration, RunPython, RunSQL
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterModelTable,
    CreateModel,
    DeleteModel,
    RemoveField,
    RemoveIndex,
    RenameField,
    RenameModel,
)
from django.db.migrations.operations.base import Operation

from callcenter.embedded.engines import Urls, ensure_database

OURS = ("calls", "dashboard", "callcenter")
OLDEST = 6
"""The number of the oldest migration whose code may still run beside the newest."""

# What the running older version does not use any more, and since when: "table.column".
CONTRACTED: dict[str, str] = {}

BREAKS = (RemoveField, RenameField, RenameModel, DeleteModel, AlterModelTable)
HOLDS_UP = re.compile(
    r"CREATE\s+(UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)|SET\s+NOT\s+NULL|\bRENAME\b|\bDROP\s+COLUMN\b"
    r"|ADD\s+CONSTRAINT(?!.*NOT\s+VALID)|LOCK\s+TABLE|\bTYPE\b|CLUSTER|VACUUM\s+FULL",
    re.IGNORECASE | re.DOTALL,
)


def new_migrations() -> list[Migration]:
    loader = MigrationLoader(None)
    found = [
        migration
        for (app, name), migration in sorted(loader.disk_migrations.items())
        if app in OURS and int(name[:4]) > OLDEST
    ]
    return found


def objections(migration: Migration) -> Iterator[str]:
    created = {
        operation.name.lower()
        for operation in migration.operations
        if isinstance(operation, CreateModel)
    }
    for operation in migration.operations:
        # A table that is new is empty, and no older version knows it.
        table = getattr(operation, "model_name", None) or getattr(operation, "name", "") or ""
        if table.lower() not in created and (why := objection(operation)):
            yield f"{migration}: {operation.describe()}: {why}"


def objection(operation: Operation) -> str:
    """Why it may not be; nothing where it may."""
    if isinstance(operation, BREAKS):
        name = f"{getattr(operation, 'model_name', '')}.{getattr(operation, 'name', '')}".lower()
        return "" if name in CONTRACTED else "older code still uses it"
    if isinstance(operation, AddField) and not _may_be_left_out(operation.field):
        return "older code leaves it out: null=True or db_default=…"
    if isinstance(operation, AddIndex) and not isinstance(operation, AddIndexConcurrently):
        return "writers wait for it: AddIndexConcurrently, in a migration with atomic = False"
    if isinstance(operation, RemoveIndex) and not isinstance(operation, RemoveIndexConcurrently):
        return "readers wait for it: RemoveIndexConcurrently, in a migration with atomic = False"
    if isinstance(operation, AddConstraint) and not isinstance(operation, AddConstraintNotValid):
        return "the table is read under a lock: AddConstraintNotValid, later ValidateConstraint"
    if isinstance(operation, RunPython):
        return "rows are rewritten in one transaction: write a command that works in batches"
    if isinstance(operation, RunSQL) and HOLDS_UP.search(_text(operation)):
        return "it locks or breaks a table that is in use"
    return ""


def _may_be_left_out(field: "models.Field[Any, Any]") -> bool:
    return bool(field.null or field.has_db_default() or field.many_to_many)


def _text(operation: RunSQL) -> str:
    sql = operation.sql
    return sql if isinstance(sql, str) else " ; ".join(str(one) for one in sql)


@pytest.mark.parametrize("migration", new_migrations(), ids=str)
def test_a_migration_breaks_and_holds_up_nothing_in_use(migration: Migration) -> None:
    assert not list(objections(migration))


CHECK = models.CheckConstraint(condition=models.Q(late__gte=0), name="late")
INDEX = models.Index(fields=["late"], name="late")


@pytest.mark.parametrize(
    ("operation", "allowed"),
    [
        (RemoveField("call", "late"), False),
        (RenameField("call", "late", "later"), False),
        (RenameModel("Call", "Talk"), False),
        (DeleteModel("Call"), False),
        (AddField("call", "tone", models.TextField(default="")), False),
        (AddField("call", "tone", models.TextField(null=True)), True),
        (AddField("call", "tone", models.TextField(db_default="")), True),
        (AddIndex("call", INDEX), False),
        (AddIndexConcurrently("call", INDEX), True),
        (RemoveIndex("call", "late"), False),
        (AddConstraint("call", CHECK), False),
        (AddConstraintNotValid("call", CHECK), True),
        (RunSQL("CREATE INDEX late ON calls_call (late)"), False),
        (RunSQL("CREATE INDEX CONCURRENTLY late ON calls_call (late)"), True),
        (RunSQL("ALTER TABLE calls_call ADD CONSTRAINT late CHECK (late > 0)"), False),
        (RunSQL("ALTER TABLE calls_call ADD CONSTRAINT late CHECK (late > 0) NOT VALID"), True),
        (RunSQL("ALTER TABLE calls_call SET (fillfactor = 70)"), True),
    ],
)
def test_what_locks_or_breaks_a_table_is_recognised(operation: Operation, allowed: bool) -> None:
    assert (objection(operation) == "") == allowed


COLUMNS = """
SELECT table_name || '.' || column_name, data_type, is_nullable = 'YES',
       column_default IS NOT NULL OR is_identity = 'YES' OR is_generated = 'ALWAYS'
FROM information_schema.columns
WHERE table_schema = 'public' AND split_part(table_name, '_', 1) = ANY(%s)
"""


def test_older_code_finds_its_columns_and_may_leave_out_new_ones(engines: Urls) -> None:
    before, after = columns_before_and_after(engines.database)
    tables = {name.partition(".")[0] for name in before}
    for name, (kind, _, _) in before.items():
        assert name in CONTRACTED or after.get(name, ("gone",))[0] == kind, name
    for name, (_, may_be_null, has_default) in after.items():
        if name.partition(".")[0] in tables:
            may_be_left_out = may_be_null or has_default
            was_so = name in before and not (before[name][1] or before[name][2])
            assert may_be_left_out or was_so, f"{name} is demanded of older code"


Columns = dict[str, tuple[str, bool, bool]]


def columns_before_and_after(url: str) -> tuple[Columns, Columns]:
    """In a database of its own, migrated as far as older code knows it, then the whole way."""
    own = urlsplit(url)._replace(path="/migrated_in_two").geturl()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("DROP DATABASE IF EXISTS migrated_in_two")
    ensure_database(own)
    environment = os.environ | {
        "DATABASE_URL": own,
        "SECRET_KEY": settings.SECRET_KEY,
    }

    def migrate(*words: str) -> Columns:
        command = [sys.executable, "-W", "ignore", "manage.py", "migrate", "-v0", *words]
        subprocess.run(command, cwd=settings.BASE_DIR, env=environment, check=True)
        with psycopg.connect(own) as session:
            return {
                name: (kind, *rest) for name, kind, *rest in session.execute(COLUMNS, [list(OURS)])
            }

    return migrate("calls", f"{OLDEST:04}"), migrate()
