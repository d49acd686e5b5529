"""Pictures as data URIs, so that a page needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from monai_iel.visualize import OKABE_ITO

__all__ = ["Curve", "colour_code", "compact_uri", "curves_uri", "picture_uri"]

Curve = tuple[Sequence[float], Sequence[float]]
_SIZE = (7.2, 3.6)  # inches
_LOSSLESS = 48 * 1024  # bytes up to which a picture of many is stored without loss


def picture_uri(picture: NDArray[Any] | Any) -> tuple[str, int | None]:
    """A data URI of an array (``uint8``, ``H W`` or ``H W 3``, as PNG) or a matplotlib figure (as SVG), and its width.

    Raises:
        TypeError: for anything else.
        ValueError: for an array of another type or shape.
    """
    if isinstance(picture, np.ndarray):
        return _uri("image/png", _encoded(picture, format="PNG", optimize=True)), int(picture.shape[1])
    if hasattr(picture, "savefig"):
        return _svg(picture), None
    raise TypeError(f"picture is a {type(picture).__name__}; expected a numpy array or a matplotlib figure.")


def compact_uri(picture: NDArray[np.uint8]) -> str:
    """A data URI of an array as in `picture_uri`, for pages with thousands of them.

    WebP, without loss where that gives no more than 48 KiB, else with little; PNG where Pillow knows no WebP.

    Raises:
        ValueError: for an array of another type or shape.
    """
    if not features.check("webp"):
        return picture_uri(picture)[0]
    content = _encoded(picture, format="WEBP", lossless=True, method=4)
    if len(content) > _LOSSLESS:
        content = _encoded(picture, format="WEBP", quality=85, method=4)
    return _uri("image/webp", content)


def curves_uri(curves: Mapping[str, Curve], *, xlabel: str, ylabel: str) -> str:
    """A data URI (SVG) of lines in the Okabe-Ito colours, told apart by their dashes too where colour is lost.

    Raises:
        ValueError: for no curves, or one whose x and y differ in length.
    """
    from cycler import cycler
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if not curves:
        raise ValueError("curves is empty; give at least one name -> (x, y).")
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    colours = [
        colour_code(OKABE_ITO[name]) for name in ("blue", "vermillion", "bluish green", "orange", "reddish purple")
    ]
    axes.set_prop_cycle(cycler(linestyle=["-", "--", "-.", ":"]) * cycler(color=colours))
    for name, (x, y) in curves.items():
        if len(x) != len(y):
            raise ValueError(f"curve {name!r} has {len(x)} x values and {len(y)} y values; expected equally many.")
        axes.plot(x, y, label=name, linewidth=1.8, marker="o" if len(x) == 1 else None)
    if all(float(value).is_integer() for x, _ in curves.values() for value in x):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)
    figure.legend(frameon=False, loc="outside lower center", ncols=min(3, len(curves)))
    return _svg(figure)


def colour_code(colour: str | Sequence[int]) -> str:
    """``#rrggbb`` of RGB numbers in 0-255 or of such a code.

    Raises:
        ValueError: for anything else; text is not let through, since it ends up in a style attribute.
    """
    if isinstance(colour, str):
        code = colour.lower()
        if len(code) == 7 and code[0] == "#" and all(c in "0123456789abcdef" for c in code[1:]):
            return code
    elif len(colour) == 3 and all(0 <= int(c) <= 255 for c in colour):
        return "#{:02x}{:02x}{:02x}".format(*(int(c) for c in colour))
    raise ValueError(f"colour is {colour!r}; expected three numbers in 0-255 or '#rrggbb'.")


def _encoded(picture: NDArray[Any], **options: Any) -> bytes:
    grey, colour = picture.ndim == 2, picture.ndim == 3 and picture.shape[-1] == 3
    if picture.dtype != np.uint8 or not (grey or colour) or picture.size == 0:
        raise ValueError(
            f"picture is {picture.dtype} of shape {picture.shape}; expected uint8 of H W or H W 3. "
            "monai_iel.visualize.outline_overlay makes one of any slice."
        )
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, **options)
    return buffer.getvalue()


def _svg(figure: Any) -> str:
    import matplotlib

    buffer = io.BytesIO()
    # A fixed salt and no date: the same figures give the same page, byte for byte. No address but XML's namespaces.
    silent = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": "monai-iel"}):
        figure.savefig(buffer, format="svg", metadata=silent)
    content = buffer.getvalue()
    return _uri("image/svg+xml", content[content.index(b"<svg") :])  # without the DOCTYPE


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
