"""Keep prepared chunks of the simulated market between starts, one Parquet file each.

A chunk can always be made again from its seed, so a missing or damaged file is not an error: it reads as None.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.data.files import write_atomically
from engine.domain.market import FloatArray


class ParquetChunkStore:
    """A folder of named sets of arrays; implements `engine.sim.market.ChunkStore`.

    Args:
        root: The folder; made when the first chunk is saved.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def load(self, name: str) -> Mapping[str, FloatArray] | None:
        """Return the arrays stored under a name, or None when they are missing or damaged."""
        path = self._path(name)
        if not path.exists():
            return None
        try:
            with pq.ParquetFile(path) as file:
                table = file.read(use_threads=False)
                shapes = json.loads(file.schema_arrow.metadata[b"shapes"])
            return {
                key: table.column(key).chunk(0).values.to_numpy(zero_copy_only=False).reshape(shape)
                for key, shape in shapes.items()
            }
        except (OSError, pa.ArrowException, KeyError, ValueError):
            return None

    def save(self, name: str, arrays: Mapping[str, FloatArray]) -> None:
        """Store arrays under a name, all or nothing."""
        shapes = json.dumps({key: array.shape for key, array in arrays.items()})
        columns = {key: pa.array([array.ravel()], pa.list_(pa.float64())) for key, array in arrays.items()}
        table = pa.table(columns).replace_schema_metadata({"shapes": shapes})
        write_atomically(
            self._path(name),
            lambda path: pq.write_table(table, path, compression="zstd", compression_level=1, use_dictionary=False),
        )

    def _path(self, name: str) -> Path:
        return self._root / f"{name}.parquet"
