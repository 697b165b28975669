"""Programs that are Go modules, built once into the cache folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.cache import install, unpacked
from bench.servers.measured import NotHere


@dataclass(frozen=True)
class GoProgram:
    """``package`` of ``module`` at ``version``. ``replaced`` are modules that it wants others in the place of, which its own
    ``go.mod`` says and a build from outside does not follow."""

    name: str
    module: str
    version: str
    package: str
    tags: str = ""
    replaced: Mapping[str, str] = field(default_factory=dict)

    def built(self) -> Path:
        """Its path. Raises ``NotHere`` with what ``go`` said."""
        without = f"{self.name} could not be built from its Go module"
        go = shutil.which("go", path=None) or shutil.which("go", path="/usr/local/go/bin")
        if go is None:
            raise NotHere(f"{without}: go is not here.")
        with unpacked(f"{self.name}-{self.version}") as (folder, is_complete):
            program = folder / self.name
            if not is_complete:
                for left_over in ("go.mod", "go.sum"):
                    (folder / left_over).unlink(missing_ok=True)
                install([go, "mod", "init", "bench"], folder, without)
                for module, other in self.replaced.items():
                    install([go, "mod", "edit", f"-replace={module}={other}"], folder, without)
                install([go, "get", f"{self.module}@{self.version}"], folder, without)
                options = ["-mod=mod", f"-tags={self.tags}", "-o", program]
                install([go, "build", *options, self.package], folder, without, CGO_ENABLED="1")
        return program
