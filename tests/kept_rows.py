"""What is in the database, taken once and put back into empty tables as often as it is wanted.

Thousands of tests begin in the same shop. Its rows are copied, which takes a tenth of the time that making them takes.
"""

from __future__ import annotations

from django.db import connection, transaction

# What migrations put there, and every test finds.
PERMANENT = {"django_migrations", "django_content_type", "auth_permission", "procrastinate_version"}

Rows = dict[str, str]


def tables() -> list[str]:
    """The names of all tables that tests write to."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select relname from pg_class where relkind in ('r', 'p') and not relispartition"
            " and relnamespace = 'public'::regnamespace order by relname"
        )
        return [name for (name,) in cursor.fetchall() if name not in PERMANENT]


def take() -> Rows:
    """Every row of these tables, as the JSON of its table."""
    named = tables()
    found = " union all ".join(f"select '{one}', jsonb_agg(t)::text from {_quoted(one)} t" for one in named)
    with connection.cursor() as cursor:
        cursor.execute(found)
        return {name: rows for name, rows in cursor.fetchall() if rows}


def put(rows: Rows) -> None:
    """All of it, as it was: no trigger fires and no wall is asked, for they have been asked before."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")
        for name, told in rows.items():
            table, columns = _quoted(name), _columns(name)
            cursor.execute(
                f"insert into {table} ({columns}) overriding system value"
                f" select {columns} from jsonb_populate_recordset(null::{table}, %s)",
                [told],
            )
        cursor.execute("set local session_replication_role = origin")


_written: dict[str, str] = {}


def _columns(table: str) -> str:
    """Those that are written; others the database computes."""
    if table not in _written:
        with connection.cursor() as cursor:
            cursor.execute(
                "select string_agg(quote_ident(attname), ', ') from pg_attribute"
                " where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = ''",
                [_quoted(table)],
            )
            _written[table] = cursor.fetchone()[0]
    return _written[table]


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
