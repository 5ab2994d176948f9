"""Tables and answers between Python's values and the messages of proto/qasino/v1."""

import dataclasses

from qasino.v1 import query_pb2, table_pb2

INTEGER = table_pb2.INTEGER
REAL = table_pb2.REAL
TEXT = table_pb2.TEXT
BLOB = table_pb2.BLOB

_ARRAYS = {INTEGER: "integers", REAL: "reals", TEXT: "texts", BLOB: "blobs"}


def _kind(cell):
    if cell is None:
        return 0
    return {int: INTEGER, float: REAL, str: TEXT, bytes: BLOB}[type(cell)]


def column(name, type_, cells):
    """A column; `kinds` is filled only where a cell is None or of another type."""
    result = table_pb2.Column(name=name, type=type_)
    kinds = [_kind(cell) for cell in cells]
    for kind, cell in zip(kinds, cells):
        if kind:
            getattr(result, _ARRAYS[kind]).append(cell)
    if any(kind != type_ for kind in kinds):
        result.kinds = bytes(kinds)
    return result


def table(name, columns):
    """A table of {"column": (type, [cell, ...])}."""
    return table_pb2.Table(
        name=name, columns=[column(key, *value) for key, value in columns.items()])


def cells(message):
    """The cells of one column."""
    if not message.kinds:
        array = _ARRAYS.get(message.type)
        return list(getattr(message, array)) if array else []
    arrays = {kind: iter(getattr(message, array)) for kind, array in _ARRAYS.items()}
    return [next(arrays[kind]) if kind else None for kind in message.kinds]


@dataclasses.dataclass
class Answer:
    """A whole answer to a query."""

    columns: list  # names
    types: list
    rows: list  # of tuples
    snapshot: query_pb2.SnapshotInfo
    summary: query_pb2.QuerySummary

    @property
    def generation(self):
        return self.snapshot.generation

    def column(self, name):
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def dicts(self):
        return [dict(zip(self.columns, row)) for row in self.rows]


def read_answer(stream):
    """The answer of a Query call; checks that its parts come as the contract has it."""
    header = summary = None
    rows = []
    for response in stream:
        assert summary is None, "a message came after the summary"
        if response.HasField("header"):
            assert header is None, "a second header came"
            header = response.header
        assert header is not None, "the first message has no header"
        if response.HasField("batch"):
            batch = response.batch
            assert len(batch.columns) == len(header.columns)
            columns = [cells(each) for each in batch.columns]
            assert all(len(each) == batch.rows for each in columns)
            rows.extend(zip(*columns))
        if response.HasField("summary"):
            summary = response.summary
    assert summary is not None, "the answer ended well without a summary"
    assert summary.rows == len(rows)
    return Answer([each.name for each in header.columns], [each.type for each in header.columns],
                  rows, header.snapshot, summary)
