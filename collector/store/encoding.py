"""Parquet encodings by trial: each column of a sample is written in every encoding its type allows; the smallest is taken.

In: a sample of rows. Out: encoding by column name. Measured values, stamps, counters and texts differ too much for a rule, and a
column's name says nothing of its data. Floats of machines repeat (dictionary), jittering stamps do not (delta), noisy small integers
are smallest as byte planes (BYTE_STREAM_SPLIT), because zstd then codes each plane near its entropy.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

DICTIONARY = "RLE_DICTIONARY"
_INTEGER = (DICTIONARY, "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT")
_FLOAT = (DICTIONARY, "BYTE_STREAM_SPLIT", "PLAIN")
_TEXT = (DICTIONARY, "DELTA_BYTE_ARRAY", "PLAIN")
_ROUNDS = 3
_TRIAL_LEVEL = 1  # sizes are only compared


def choose_encodings(sample: Sequence[pa.Table]) -> dict[str, str]:
    """The smallest encoding of each column over the sample's tables, each written as one row group. Ties: the dictionary."""
    schema = sample[0].schema
    sizes = [_trial(sample, {f.name: _candidates(f.type)[i] for f in schema}) for i in range(_ROUNDS)]
    found = {}
    for field in schema:
        best = min(range(_ROUNDS), key=lambda i: sizes[i][field.name])
        found[field.name] = _candidates(field.type)[best]
    return found


def writer_options(schema: pa.Schema, encodings: dict[str, str], level: int, text_level: int) -> dict[str, object]:
    """Arguments of `ParquetWriter` for these encodings, with zstd levels; `text_level` is for texts that hardly repeat."""
    other = {name: encoding for name, encoding in encodings.items() if encoding != DICTIONARY}
    texts = {name for name in other if pa.types.is_string(schema.field(name).type)}
    levels = {name: text_level if name in texts else level for name in encodings}
    return {
        "compression": "zstd",
        "compression_level": levels,
        "use_dictionary": [name for name in encodings if name not in other],
        "column_encoding": other or None,
    }


def _candidates(kind: pa.DataType) -> tuple[str, ...]:
    if pa.types.is_floating(kind):
        return _FLOAT
    if pa.types.is_string(kind):
        return _TEXT
    if kind in (pa.int32(), pa.int64(), pa.uint32(), pa.uint64()):
        return _INTEGER
    return (DICTIONARY,) * _ROUNDS


def _trial(sample: Sequence[pa.Table], encodings: dict[str, str]) -> dict[str, int]:
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        sample[0].schema,
        version="2.6",
        data_page_version="1.0",
        write_statistics=False,
        store_schema=False,
        **writer_options(sample[0].schema, encodings, _TRIAL_LEVEL, _TRIAL_LEVEL),
    ) as writer:
        for table in sample:
            writer.write_table(table, row_group_size=max(len(table), 1))
    metadata = pq.read_metadata(pa.BufferReader(sink.getvalue()))
    sizes = dict.fromkeys(encodings, 0)
    for group in range(metadata.num_row_groups):
        for i in range(metadata.num_columns):
            column = metadata.row_group(group).column(i)
            sizes[column.path_in_schema] += column.total_compressed_size
    return sizes
