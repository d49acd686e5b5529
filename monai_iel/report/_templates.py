"""The templates of this folder."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2

__all__ = ["require", "template"]


def require(*packages: str) -> None:
    """Refuse to begin without the packages of the extra.

    Raises:
        ImportError: where one is missing.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ImportError(f"a report needs {' and '.join(missing)}, not installed here: pip install monai-iel[report]")


def template(name: str) -> jinja2.Template:
    """A template of this folder, which escapes what it is given."""
    import jinja2

    # Always on: jinja2 would guess from a file name, and ".j2" is not on its list.
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("monai_iel", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
