"""Picture files: whole or not at all, text as text, and the same bytes for the same picture."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from rgflow.errors import InputError
from rgflow.plots.style import settings
from rgflow.whole import write_whole

# Without the time and the version of what wrote them, files of one picture are equal.
_UNDATED: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def write_picture(ax: Any, path: str | os.PathLike[str], dpi: int = 120) -> None:
    """Write the figure that was drawn in to a .png, .svg or .pdf file, whole or not at all.

    Text in an .svg stays text. The same picture gives the same bytes.

    Parameters
    ----------
    ax : what a function of rgflow.plots returned (Axes or an array of Axes), or a matplotlib Figure
    path : str or path
    dpi : int
        Points of a .png, or of a map within an .svg or a .pdf, per inch.

    Raises
    ------
    InputError
        For another ending, or for what is no picture.
    StoreError
        If the file cannot be written; what stood there is unchanged then.

    >>> import rgflow as rg
    >>> from rgflow.plots import plot_flow
    >>> ds = rg.flow(rg.MLP.uniform(n_in=8, width=8, depth=3, activation="tanh"), first_kernel=1.0)
    >>> write_picture(plot_flow(ds), "flow.jpg")
    Traceback (most recent call last):
    rgflow.errors.InputError: 'flow.jpg' ends in '.jpg'; pictures are .png, .svg or .pdf
    """
    target = Path(path)
    kind = target.suffix.lower().lstrip(".")
    if kind not in _UNDATED:
        raise InputError(f"{target.name!r} ends in {target.suffix!r}; pictures are .png, .svg or .pdf")
    write_whole(target, picture_bytes(ax, kind, dpi))


def picture_bytes(ax: Any, kind: str, dpi: int = 120) -> bytes:
    """What :func:`write_picture` writes, for those who send it elsewhere.

    Parameters
    ----------
    ax : what a function of rgflow.plots returned, or a matplotlib Figure
    kind : "png", "svg" or "pdf"
    dpi : int

    Raises InputError for another kind, or for what is no picture.
    """
    if kind not in _UNDATED:
        raise InputError(f"kind is {kind!r}; pictures are png, svg or pdf")
    figure = _figure(ax)
    drawn = io.BytesIO()
    with settings(own=False):
        figure.savefig(drawn, format=kind, dpi=dpi, metadata=_UNDATED[kind])
    return drawn.getvalue()


def _figure(ax: Any) -> Any:
    """The figure, not a part of it."""
    from matplotlib.figure import FigureBase

    found = np.asarray(ax, dtype=object).reshape(-1)
    if not found.size:
        raise InputError("there is no picture in an empty array; give what a function of rgflow.plots returned")
    figure = found[0] if isinstance(found[0], FigureBase) else getattr(found[0], "figure", None)
    if not isinstance(figure, FigureBase):
        raise InputError(f"{ax!r:.60} is no picture; give what a function of rgflow.plots returned, or a Figure")
    while (parent := getattr(figure, "figure", figure)) is not figure:
        figure = parent
    return figure
