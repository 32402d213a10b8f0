"""A Zarr store that grows block by block: a kill at any moment loses the blocks in work, never a finished one.

The store is made beside its place and moved there whole. While the sweep runs a group ``sweep`` in it holds what was
asked, a lock, and a marker for every finished block. A marker is written after the block's data is on disk, under its
name at once; it holds the sizes of the block's files, so that what was damaged since is computed again. When all blocks
are there the group goes, and the store is a result like any other.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray

from rgflow.files import UNFINISHED
from rgflow.sweeps import disk
from rgflow.sweeps.layout import Block, Variable
from rgflow.sweeps.status import Reason, Reasons


class Store:
    """An open store, locked by this process.

    Attributes
    ----------
    told : dict
        What was asked; its seed is that of the first call.
    block : tuple of int
        Shape of the blocks, as the first call chose it.
    finished : bool
        Whether all is there and nothing is to be computed.
    """

    def __init__(self, path: Path, told: dict[str, Any], block: tuple[int, ...], lock: IO[bytes] | None):
        self.path, self.told, self.block, self._lock = path, told, block, lock
        self._arrays: dict[str, Any] = {}

    @property
    def finished(self) -> bool:
        return self._lock is None

    @property
    def _folder(self) -> Path:
        return self.path / UNFINISHED

    # Blocks -------------------------------------------------------------------------------------------------------

    def done(self) -> dict[int, Reasons]:
        """The finished blocks by number, each with what it said of failures; damaged ones are forgotten."""
        with disk.told(self.path):
            for part in self.path.glob("*/*.partial"):  # a file that was being written when a process died
                part.unlink(missing_ok=True)
            found = {}
            for marker in (self._folder / "done").glob("*.json"):
                try:
                    noted = json.loads(marker.read_bytes())
                    reasons = {int(status): Reason(*reason) for status, reason in noted["reasons"].items()}
                    whole = all(disk.size(self.path / name) == size for name, size in noted["files"].items())
                    number = int(marker.stem)
                except (ValueError, KeyError, TypeError, AttributeError):
                    whole = False
                if whole:
                    found[number] = reasons
                else:
                    marker.unlink()
            return found

    def write(
        self, block: Block, parts: Sequence[tuple[Variable, tuple[slice, ...], NDArray[Any]]], reasons: Reasons
    ) -> None:
        """Put a block's numbers on disk, then its marker."""
        with disk.told(self.path):
            files: dict[str, int | None] = {}
            for variable, place, values in parts:
                array = self._array(variable.name)
                array[place] = values
                name = self._file(array, variable, place)
                files[name] = disk.size(self.path / name)
                if files[name] is not None:  # a block of the fill value has no file
                    disk.settle(self.path / name)
            noted = json.dumps({"files": files, "reasons": reasons})
            disk.write_whole(self._folder / "done" / f"{block.number}.json", noted)

    def _array(self, name: str) -> Any:
        if name not in self._arrays:
            import zarr

            self._arrays[name] = zarr.open_array(str(self.path / name), mode="r+", zarr_format=2)
        return self._arrays[name]

    @staticmethod
    def _file(array: Any, variable: Variable, place: tuple[slice, ...]) -> str:
        """The one file of an array that a block fills, relative to the store."""
        corner = (str((where.start or 0) // step) for where, step in zip(place, array.chunks, strict=True))
        return f"{variable.name}/{'.'.join(corner) or '0'}"

    def all_failed(self) -> bool:
        """Whether no point has numbers."""
        with disk.told(self.path):
            return bool((self._array("status")[...] != 0).all())

    # The end ------------------------------------------------------------------------------------------------------

    def finish(self, attributes: dict[str, Any]) -> None:
        """All blocks are there: tell of failures in the attributes of ``status``, and let the bookkeeping go."""
        with disk.told(self.path):
            self._array("status").attrs.update(attributes)
            aside = Path(tempfile.mkdtemp(dir=self.path.parent, prefix=f".{self.path.name}."))
            os.replace(self._folder, aside / UNFINISHED)
            disk.settle(self.path)
            self.close()
            shutil.rmtree(aside, ignore_errors=True)

    def close(self) -> None:
        """Let others go on."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
