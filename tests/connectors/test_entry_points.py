"""Plug-ins of packages that are really installed, from a wheel, into a folder on the path."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PACKAGE = '''
"""Nodes for tests."""
import asyncio

from rapidz import Source, Stream
from rapidz.sinks import Sink

IMPORTED = True


class countdown(Source):
    """Emit n, ..., 1."""

    def __init__(self, n, **kwargs):
        self.n = n
        super().__init__(**kwargs)

    async def run(self):
        for x in range(self.n, 0, -1):
            await self.emit(x, asynchronous=True)


class doubled(Stream):
    """Emit twice the element."""

    def update(self, x, who=None, metadata=None):
        return self._emit(2 * x, metadata=metadata)


class to_box(Sink):
    """Append the elements to a list."""

    def __init__(self, upstream, box, **kwargs):
        self.box = box
        super().__init__(upstream, **kwargs)

    def update(self, x, who=None, metadata=None):
        self.box.append(x)
'''

ALL = {"sources": "countdown", "nodes": "doubled", "sinks": "to_box"}


def wheel(folder: Path, name: str, entry_points: str, package: str = PACKAGE) -> Path:
    """Build the wheel of a package with one module."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": package,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": entry_points,
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return path


def install(folder: Path, name: str, entry_points: str, package: str = PACKAGE) -> Path:
    """Install what an installer makes of the wheel: its files, unpacked."""
    target = folder / "site"
    with zipfile.ZipFile(wheel(folder, name, entry_points, package)) as archive:
        archive.extractall(target)
    return target


def groups(library: str, module: str, **names: str) -> str:
    return "".join(
        f"[{library}.{group}]\n{name} = {module}:{name}\n" for group, name in (names or ALL).items()
    )


def python(site: Path, code: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path},
    )


USE = """
import sys
import rapidz
from rapidz import Stream
assert "pack" not in sys.modules
box = []
source = Stream.countdown(3)
assert "pack" in sys.modules
source.doubled().to_box(box)
source.start()
source.close()
print(box, Stream.doubled.__doc__)
"""


@pytest.mark.parametrize("library", ["rapidz", "streamz"])
def test_an_installed_package_provides_methods_of_stream(tmp_path: Path, library: str) -> None:
    done = python(install(tmp_path, "pack", groups(library, "pack")), USE)
    assert done.stdout == "[6, 4, 2] Emit twice the element.\n", done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.slow
def test_a_package_that_pip_installed_provides_methods(tmp_path: Path) -> None:
    pytest.importorskip("pip", reason="needs pip")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    file = wheel(tmp_path, "pack", groups("rapidz", "pack"))
    subprocess.run([*pip, "--target", str(site), str(file)], check=True, capture_output=True)
    done = python(site, USE)
    assert done.stdout == "[6, 4, 2] Emit twice the element.\n", done.stderr


def test_no_plug_in_is_imported_before_its_first_use(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom rapidz import Stream\n"
        "s = Stream()\nseen = s.map(str).sink_to_list()\ns.emit(1)\n"
        "assert hasattr(Stream, 'countdown') and hasattr(s, 'doubled')\n"
        "print('pack' in sys.modules)"
    )
    done = python(install(tmp_path, "pack", groups("rapidz", "pack")), code)
    assert done.stdout == "False\n", done.stderr


def test_a_package_for_both_libraries_is_used_once(tmp_path: Path) -> None:
    points = groups("rapidz", "pack") + groups("streamz", "another_module")
    done = python(install(tmp_path, "pack", points), USE)
    assert done.stdout == "[6, 4, 2] Emit twice the element.\n", done.stderr
    assert "Warning" not in done.stderr


def test_the_second_of_two_packages_with_a_name_is_left_out(tmp_path: Path) -> None:
    install(tmp_path, "pack", groups("rapidz", "pack"))
    site = install(tmp_path, "pock", groups("streamz", "pock", nodes="doubled"))
    done = python(site, USE)
    assert done.stdout == "[6, 4, 2] Emit twice the element.\n", done.stderr
    assert "plug-in 'doubled' (pock:doubled) was left out: the name is taken" in done.stderr


def test_a_package_with_a_broken_file_harms_no_other(tmp_path: Path) -> None:
    install(tmp_path, "pack", groups("rapidz", "pack"))
    done = python(install(tmp_path, "broken", "[x.y]\nthis is no entry point\n"), USE)
    assert done.stdout == "[6, 4, 2] Emit twice the element.\n", done.stderr
    assert "plug-ins of the package broken were left out" in done.stderr


def test_an_import_that_fails_names_plug_in_and_package(tmp_path: Path) -> None:
    site = install(tmp_path, "pack", groups("rapidz", "pack"), "import no_such_library")
    code = (
        "from rapidz import Stream\ns = Stream()\n"
        "try:\n    s.doubled()\n"
        "except ModuleNotFoundError as error:\n    print(error, error.__notes__)"
    )
    done = python(site, code)
    assert done.stdout == (
        "No module named 'no_such_library' "
        "[\"raised by the plug-in 'doubled' of the package pack\"]\n"
    ), done.stderr


def test_a_class_of_another_library_is_refused_when_called(tmp_path: Path) -> None:
    site = install(tmp_path, "pack", groups("streamz", "pack"), "class doubled:\n    pass")
    code = (
        "from rapidz import Stream\ns = Stream()\n"
        "try:\n    s.doubled()\nexcept TypeError as error:\n    print(error)"
    )
    done = python(site, code)
    assert "plug-in 'doubled': pack:doubled must be a Stream class, got " in done.stdout


def test_threads_that_build_at_once_all_find_the_plug_ins(tmp_path: Path) -> None:
    code = """
import sys, threading
sys.setswitchinterval(1e-6)
from rapidz import Stream
failures, barrier = [], threading.Barrier(8)
def build():
    barrier.wait()
    try:
        Stream().doubled().to_box([])
    except BaseException as error:
        failures.append(error)
threads = [threading.Thread(target=build) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(failures)
"""
    done = python(install(tmp_path, "pack", groups("rapidz", "pack")), code)
    assert done.stdout == "[]\n", done.stderr
