"""Client libraries of connectors, which extras of the package install."""

from __future__ import annotations

import importlib
from typing import Any


def require(operator: str, module: str, *, extra: str, package: str = "") -> Any:
    """Import *module*, which *operator* needs; the error says what to install.

    Parameters
    ----------
    operator : str
        The connector.
    module : str
        Name of the module.
    extra : str
        The extra of rapidz that installs it.
    package : str
        Name of the distribution, if it is not that of the module.

    >>> require("from_x", "no_such_client", extra="x", package="no-such-client")
    Traceback (most recent call last):
    ...
    ImportError: from_x: needs no-such-client: pip install 'rapidz[x]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.partition(".")[0] != error.name.partition(".")[0]:
            raise  # the library is installed, and lacks a module of its own
        raise ImportError(
            f"{operator}: needs {package or module}: pip install 'rapidz[{extra}]'", name=module
        ) from None
