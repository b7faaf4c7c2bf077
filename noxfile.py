"""Checks of the repository, each in an environment of its own: ``nox -l`` lists them.

Tests run on every supported version of Python that is found in ``PATH`` or among those that pyenv
has installed.  A version that is not found is skipped, and nox says so.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSIONS = [
    classifier.rpartition(" ")[2]
    for classifier in PROJECT["classifiers"]
    if re.search(r":: 3\.\d+$", classifier)
]
OLDEST, *OTHERS = VERSIONS

QUICK = ("-m", "not slow")
#: Extras whose lower bounds the session `oldest` tests.  River is left out: no release of it allows
#: the oldest numpy together with the oldest pandas.
BOUNDED = (
    *("codecs", "dask", "demo", "files", "frames", "graph", "kafka", "mqtt", "nats", "parquet"),
    *("plot", "postgres", "redis", "websocket"),
)
#: The tests that show the most of the libraries that the bounds are about.
FRAMES = ("tests/dataframe/frames", "docs/frames.md")
#: Tests that find out whether files are missing in the source distribution.
SDIST = ("tests/operators", "tests/conformance", "tests/docs", "tests/repository", "tests/typing")
#: Per cent of the lines that the session `coverage` must reach.
COVERAGE_FLOOR = 60

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "tests"]
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"


def _runs(python: str) -> bool:
    """Return whether the command *python* exists and starts: a shim of pyenv may not."""
    try:
        return not subprocess.run([python, "-c", ""], capture_output=True).returncode
    except OSError:
        return False


def _find_interpreters() -> None:
    """Put the interpreters of pyenv into ``PATH``, and nothing else, for missing versions."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    links = Path(tempfile.mkdtemp(prefix="rapidz-nox-"))
    atexit.register(shutil.rmtree, links, ignore_errors=True)
    for version in VERSIONS:
        found = sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"))
        if found and not _runs(f"python{version}"):
            (links / f"python{version}").symlink_to(found[-1])
    os.environ["PATH"] = f"{links}{os.pathsep}{os.environ['PATH']}"


_find_interpreters()


def _install(session: nox.Session, *what: str) -> None:
    """Install *what*, unless ``--no-venv`` says that the present environment has everything."""
    session.env["PYTHONPATH"] = None
    if session.virtualenv.is_sandboxed:
        session.install("--disable-pip-version-check", *what)


@nox.session(python=OLDEST)
def tests(session: nox.Session) -> None:
    """Run all tests on the oldest supported version of Python."""
    _install(session, "-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session(python=OTHERS)
def quick(session: nox.Session) -> None:
    """Run the quick tests on every other version of Python."""
    _install(session, "-e", ".[test]")
    session.run("pytest", "-q", *(session.posargs or QUICK))


@nox.session(python=OLDEST)
def oldest(session: nox.Session) -> None:
    """Run the quick tests and those of frames with the oldest dependencies that are allowed."""
    bounds = Path(session.create_tmp()) / "oldest.txt"
    bounds.write_text("\n".join(_lower_bounds()) + "\n")
    extras = PROJECT["optional-dependencies"]
    tools = [line for line in extras["test"] if not line.startswith("rapidz[")]
    _install(session, "-c", str(bounds), "-e", f".[{','.join(BOUNDED)}]", *tools)
    _install(session, *extras["servers"])
    _install(session, "-r", str(bounds))  # a server may have brought a newer client
    session.run("python", "-m", "pip", "list", "--format=freeze", "--exclude-editable")
    for what in (QUICK, FRAMES):
        session.run("pytest", "-q", *what)


def _lower_bounds() -> list[str]:
    """Return the lower bounds of all dependencies that users install, as exact versions."""
    extras = PROJECT["optional-dependencies"]
    needed = [*PROJECT["dependencies"], *(line for extra in BOUNDED for line in extras[extra])]
    return sorted({re.sub(r"\[.*]", "", line).replace(">=", "==") for line in needed})


@nox.session(python=OLDEST)
def sdist(session: nox.Session) -> None:
    """Install from a source distribution, and run the tests of operators that it contains."""
    folder = Path(session.create_tmp()).resolve()
    for old in folder.glob("rapidz-*"):
        session.run("rm", "-rf", str(old), external=True)
    _install(session, "build")
    session.run("python", "-m", "build", "--sdist", "--outdir", str(folder))
    (archive,) = folder.glob("rapidz-*.tar.gz")
    _install(session, f"{archive}[test]")
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")
    with session.chdir(folder / archive.name.removesuffix(".tar.gz")):
        session.run("pytest", "-q", *QUICK, *SDIST)


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Run all checks that read the code and the pages and do not execute them."""
    _install(session, "-e", ".[dev]")
    python = session.run("python", "-c", "import sys; print(sys.executable)", silent=True)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("pyright", "--pythonpath", str(python).strip())
    session.run("lint-imports")
    session.run("codespell")
    session.run("python", "tools/check_words.py")
    session.run("python", "tools/make_arity_tables.py", "--check")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


@nox.session(python=OTHERS[-1])
def coverage(session: nox.Session) -> None:
    """Measure the lines that tests reach, on the version of Python that can do so at full speed.

    What runs in other processes is not counted.
    """
    _install(session, "-e", ".[test]", "pytest-cov")
    session.env["COVERAGE_CORE"] = "sysmon"
    session.run(
        *("pytest", "-q", "--cov", "--cov-report=term:skip-covered"),
        *(f"--cov-fail-under={COVERAGE_FLOOR}", *(session.posargs or QUICK)),
    )
