"""``python -m monai_iel.cli`` is ``monai-iel``."""

from __future__ import annotations

from monai_iel.cli import main

if __name__ == "__main__":
    main()
