"""Writer of batches to PostgreSQL: by COPY, upserted by way of a temporary table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from rapidz.connectors.sql.database import PostgresDatabase
from rapidz.connectors.sql.identifiers import quote
from rapidz.connectors.sql.insertion import Insertion
from rapidz.connectors.sql.rows import Rejected, RowGroup, Shape
from rapidz.connectors.sql.writers import RowWriter

_COPY_FROM = 10
"""Rows from which COPY is faster than INSERT."""

_STAGE_FROM = 200
"""Rows from which a temporary table is faster than upserts one by one."""

_SHAPES = 100
"""Sets of columns for which there are temporary tables at the same time, at most."""

#: Writes rows of one shape.
_Way: TypeAlias = Callable[[RowGroup], Any]

#: Codes of errors that values cause, and classes of such codes.
_OF_A_ROW = ("22", "23", "44", "21000", "42804", "42846", "54000", "P0001")

_COLUMNS = """
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


class PostgresWriter(RowWriter):
    """Writes to PostgreSQL."""

    def __init__(self, database: PostgresDatabase, *args: Any) -> None:
        super().__init__(*args)
        self._database = database
        self._connection: Any = None
        self._json: dict[str, Callable[[Any], Any]] = {}
        self._ways: dict[Shape, _Way] = {}
        self._stages = 0

    async def open(self) -> None:
        self._connection = await self._database.connect()
        self._ways.clear()
        try:
            await self._read_columns()
            self._plan.check()
            if self._key:
                await self._check_key()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def is_transient(self, error: Exception) -> bool:
        return self._database.is_transient(error)

    async def write_many(self, payloads: Sequence[Any]) -> None:
        rejected: Rejected = {}
        numbers = self._unwritten(payloads)
        groups = self._plan.groups(payloads, numbers, rejected)
        if self._plan.unknown:  # the table may have got new columns
            await self._read_columns()
            rejected.clear()
            groups = self._plan.groups(payloads, numbers, rejected)
        if self._json:
            for group in groups:
                self._adapt_json(group)
        if groups:
            await self._write(groups, rejected)
        self._settle(payloads, rejected)

    async def write(self, payload: Any) -> None:
        await self.write_many([payload])

    async def _write(self, groups: list[RowGroup], rejected: Rejected) -> None:
        """Write all in one transaction; if a row is refused, find it in a second one."""
        if len(groups) == 1 and len(groups[0].rows) == 1:
            return await self._write_one(groups[0], rejected)
        try:
            ways = [await self._way(group) for group in groups]
            async with self._connection.transaction():
                for way, group in zip(ways, groups, strict=True):
                    await way(group)
        except Exception as error:
            if not self._is_of_a_row(error) and not self._is_of_copy(error):
                raise
            await self._write_carefully(groups, rejected)

    async def _write_one(self, group: RowGroup, rejected: Rejected) -> None:
        """Write one row, in a statement that commits by itself."""
        try:
            await self._insert(group)
        except Exception as error:
            if not self._is_of_a_row(error):
                raise
            rejected[group.numbers[0]] = error

    async def _write_carefully(self, groups: list[RowGroup], rejected: Rejected) -> None:
        """Write all that can be written, by INSERT, in one transaction."""
        found: Rejected = {}
        async with self._connection.transaction():
            for group in groups:
                await self._find(group, found)
        rejected.update(found)
        if not found:  # COPY is at fault: it takes fewer types of values, and no views
            self._ways.update((group.shape, self._insert) for group in groups)

    async def _find(self, group: RowGroup, rejected: Rejected) -> None:
        """Insert rows; where one is refused, halve them until it is found."""
        try:
            async with self._connection.transaction():  # a savepoint
                await self._insert(group)
        except Exception as error:
            if not self._is_of_a_row(error):
                raise
            if len(group.rows) == 1:
                rejected[group.numbers[0]] = error
                return
            for half in group.halves():
                await self._find(half, rejected)

    async def _way(self, group: RowGroup) -> _Way:
        """Return how to write rows of this shape."""
        if len(group.rows) < (_STAGE_FROM if self._key else _COPY_FROM):
            return self._insert
        way = self._ways.get(group.shape)
        if way is None:
            if len(self._ways) >= _SHAPES:
                return self._insert
            way = self._ways[group.shape] = await self._find_way(group.shape)
        return way

    async def _find_way(self, shape: Shape) -> _Way:
        insertion = self._insertion(shape)
        if not self._key:
            statement = insertion.copy()
            return lambda group: self._copy(statement, group.rows)
        self._stages += 1
        name = f"rapidz_{self._stages}"
        errors = self._database.psycopg.errors
        try:
            for statement in insertion.stage(name):
                await self._connection.execute(statement)
        except (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction):
            return self._insert
        copy, merge = insertion.copy_to_stage(name), insertion.merge(name)

        async def stage_and_merge(group: RowGroup) -> None:
            await self._copy(copy, [(number, *row) for number, row in enumerate(group.rows)])
            await self._connection.execute(merge)

        return stage_and_merge

    async def _copy(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        async with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                await copy.write_row(row)

    async def _insert(self, group: RowGroup) -> None:
        statement = self._insertion(group.shape).values()
        async with self._connection.cursor() as cursor:
            if len(group.rows) == 1:
                await cursor.execute(statement, group.rows[0])
            else:
                await cursor.executemany(statement, group.rows)

    def _insertion(self, shape: Shape) -> Insertion:
        return Insertion("postgres", self._table, shape, self._key)

    def _is_of_a_row(self, error: Exception) -> bool:
        """Return whether values are at fault, and not the database."""
        if self._database.is_transient(error):
            return False
        if isinstance(error, self._database.psycopg.Error):
            code = getattr(error, "sqlstate", None)  # None: values that the client cannot send
            return code is None or code.startswith(_OF_A_ROW)
        return not isinstance(error, (OSError, MemoryError))

    def _is_of_copy(self, error: Exception) -> bool:
        """Return whether only COPY is refused: by row-level security, or for a view."""
        errors = self._database.psycopg.errors
        return isinstance(error, (errors.FeatureNotSupported, errors.WrongObjectType))

    def _adapt_json(self, group: RowGroup) -> None:
        """Let dicts and lists become JSON in columns of that type."""
        places = [
            (at, self._json[name]) for at, name in enumerate(group.shape) if name in self._json
        ]
        if not places:
            return
        for number, row in enumerate(group.rows):
            values = list(row)
            for at, wrap in places:
                if isinstance(values[at], (dict, list)):
                    values[at] = wrap(values[at])
            group.rows[number] = values

    async def _read_columns(self) -> None:
        cursor = await self._connection.execute(_COLUMNS, (quote(*self._table),))
        json = self._database.psycopg.types.json
        wrappers = {"json": json.Json, "jsonb": json.Jsonb}
        types: dict[str, str] = dict(await cursor.fetchall())
        if not types:
            raise self._missing_table()
        self._json = {name: wrappers[kind] for name, kind in types.items() if kind in wrappers}
        self._plan.read_columns(list(types))

    async def _check_key(self) -> None:
        errors = self._database.psycopg.errors
        try:
            await self._connection.execute(self._insertion(self._key).explain())
        except errors.InvalidColumnReference as error:
            raise self._ambiguous_key() from error
