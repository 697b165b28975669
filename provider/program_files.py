"""Where the files lie that come with this program."""

from __future__ import annotations

from pathlib import Path

_PROVIDER = Path(__file__).parent


def templates_folder() -> Path:
    """Inside this package where it was installed from a wheel, beside it in a checkout (``pyproject.toml``)."""
    installed = _PROVIDER / "templates"
    return installed if installed.is_dir() else _PROVIDER.parent / "templates"


def translations_folder() -> Path:
    return _PROVIDER / "translations"
