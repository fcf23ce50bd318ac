"""What pyproject.toml cannot say: the package and its five rooms, and two files at the root.

Everything static is in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).parent
ROOMS = ("harness", "tasks", "models", "reward", "results")
BACKPORT = Path("harness", "backport")  # no package: its files go to the root of site-packages
# Recursive, so that a folder of data without Python files needs no entry of its own.
KINDS = ("yaml", "jsonl", "json", "safetensors", "md", "js", "css", "jinja")
DATA = ["py.typed", *(f"**/*.{kind}" for kind in KINDS)]


def find_packages() -> list[str]:
    """Return the root and every folder of the rooms with Python files, as dotted package names."""
    folders = {
        file.parent.relative_to(ROOT) for room in ROOMS for file in (ROOT / room).rglob("*.py")
    }
    rooms = sorted(".".join(("latent_tts", *folder.parts)) for folder in folders - {BACKPORT})
    return ["latent_tts", *rooms]


def copy_backport(target: str) -> None:
    """Copy the back-port's module and its ``.pth`` to ``target``, the root of a wheel."""
    for file in sorted((ROOT / BACKPORT).glob("*latent_tts_backport.p*")):
        shutil.copy(file, target)


class BuildPy(build_py):
    """Puts the back-port into a normal wheel."""

    def run(self) -> None:
        """Build afresh, then add the two files."""
        if self.editable_mode:
            super().run()
            return
        # An earlier build's copy of a file that is gone since would be shipped.
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        copy_backport(self.build_lib)

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Leave this file out, which lies beside the root's modules."""
        found = super().find_package_modules(package, package_dir)
        return [module for module in found if module[:2] != ("latent_tts", "setup")]


class EditableWheel(editable_wheel):
    """Puts the back-port into an editable wheel, which ``build_py`` does not fill."""

    def _run_build_commands(self, dist_name, unpacked_wheel, build_lib, tmp_dir):
        copy_backport(unpacked_wheel)
        return super()._run_build_commands(dist_name, unpacked_wheel, build_lib, tmp_dir)


setup(
    packages=find_packages(),
    package_dir={"latent_tts": ".", **{f"latent_tts.{room}": room for room in ROOMS}},
    package_data={"latent_tts": ["py.typed"], **{f"latent_tts.{room}": DATA for room in ROOMS}},
    cmdclass={"build_py": BuildPy, "editable_wheel": EditableWheel},
)
