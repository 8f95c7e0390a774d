"""The import name `reprise` is also that of another project, whose distribution has that name too; this one's is
`reprise-diffusion`. Where both are installed, they share a folder, and the one that was installed last has its files there.
"""

from __future__ import annotations

import warnings
from pathlib import Path

_REMEDY = "uninstall both, then install reprise-diffusion alone"


def warn_of_the_other() -> None:
    """One line when the other distribution is installed in this package's folder."""
    other = next(Path(__file__).parent.parent.glob("reprise-*.dist-info"), None)
    if other is not None:
        warnings.warn(
            f"another project's package {other.name.removesuffix('.dist-info')} is installed under the name `reprise` too; "
            f"the two overwrite each other's files: {_REMEDY}",
            stacklevel=3,
        )


def check() -> None:
    """ImportError where the other one's `__init__.py` lies in the place of this one's."""
    import reprise

    if not hasattr(reprise, "load_core"):
        raise ImportError(f"{reprise.__file__} is another project's, which was installed over reprise-diffusion: {_REMEDY}")
