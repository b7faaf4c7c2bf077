"""The menu that type checkers and editors read, and what there is at run time, are the same."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rapidz import Stream
from rapidz._menu.fluent import Fluent
from rapidz._menu.types import (
    CombineOptions,
    JoinOptions,
    NodeOptions,
    SourceOptions,
    TimeWindowOptions,
    WriterOptions,
    ZipOptions,
)
from rapidz.connectors import CONNECTORS
from rapidz.eventtime import OPERATORS

OPTIONS = {
    kind.__name__: kind.__required_keys__ | kind.__optional_keys__
    for kind in (
        *(NodeOptions, JoinOptions, ZipOptions, CombineOptions, TimeWindowOptions),
        *(SourceOptions, WriterOptions),
    )
}
ROOMS = (
    "rapidz",
    "rapidz.dataframe.register",
    "rapidz.operators",
    "rapidz.parallel",
    "rapidz.sinks",
    "rapidz.sources",
    *sorted({f"rapidz.connectors.{module}" for module in CONNECTORS.values()}),
    *sorted({f"rapidz.eventtime.{module}" for module in OPERATORS.values()}),
)
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def registered() -> dict[str, Any]:
    """What `register_api` has made a method, in the modules that the menu is about."""
    for room in ROOMS:
        if importlib.util.find_spec(room) is not None:  # not all of event time exists yet
            importlib.import_module(room)
    return {
        name: method
        for name, method in vars(Stream).items()
        if (node := getattr(unbound(method), "__wrapped__", None)) is not None
        and getattr(node, "__module__", "").startswith(ROOMS[1:])
    }


def menu() -> dict[str, Any]:
    return {
        name: method
        for part in Fluent.__mro__
        for name, method in vars(part).items()
        if not name.startswith("_")
    }


def unbound(method: Any) -> Any:
    return method.__func__ if isinstance(method, staticmethod) else method


MENU = menu()
REGISTERED = registered()
every_method = pytest.mark.parametrize("name", sorted({*MENU} & {*REGISTERED}))


def signatures(name: str) -> Iterator[inspect.Signature]:
    """What the menu says of one method: all overloads and what is below them."""
    method = unbound(MENU[name])
    yield inspect.signature(method)
    for overload in typing.get_overloads(method):
        yield inspect.signature(overload)


def named(signature: inspect.Signature) -> dict[str, inspect.Parameter]:
    return {p.name: p for p in signature.parameters.values() if p.kind in NAMED}


def operator_parameters(name: str) -> tuple[dict[str, inspect.Parameter], bool]:
    """The named parameters of an operator but its upstream; whether it takes other keywords."""
    signature = inspect.signature(unbound(REGISTERED[name]).__wrapped__)
    parameters = named(signature)
    if not isinstance(REGISTERED[name], staticmethod):
        parameters = {k: p for k, p in parameters.items() if k not in ("upstream", "lossless")}
    others = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    return parameters, others


def menu_parameters(name: str) -> dict[str, list[inspect.Parameter]]:
    """The named parameters of a method of the menu, from all of its signatures."""
    found: dict[str, list[inspect.Parameter]] = {}
    for signature in signatures(name):
        for parameter in named(signature).values():
            if parameter.name != "self":
                found.setdefault(parameter.name, []).append(parameter)
    return found


def options(name: str) -> set[str]:
    """The keywords that a method of the menu takes by a TypedDict."""
    return {
        key
        for signature in signatures(name)
        for parameter in signature.parameters.values()
        for key in OPTIONS.get(str(parameter.annotation).removeprefix("Unpack[")[:-1], ())
    }


def test_every_registered_method_is_in_the_menu() -> None:
    assert set(REGISTERED) - set(MENU) == set()


def test_everything_in_the_menu_is_registered() -> None:
    assert set(MENU) - set(REGISTERED) == set()


@every_method
def test_sources_need_no_stream_to_be_called_on(name: str) -> None:
    assert isinstance(MENU[name], staticmethod) == isinstance(REGISTERED[name], staticmethod)


@every_method
def test_every_method_has_one_line_of_help(name: str) -> None:
    doc = unbound(MENU[name]).__doc__
    assert doc
    assert "\n" not in doc
    assert doc.endswith(".")


@every_method
def test_the_menu_names_every_parameter(name: str) -> None:
    parameters, _ = operator_parameters(name)
    assert set(parameters) <= {*menu_parameters(name), *options(name)}


@every_method
def test_the_operator_takes_every_parameter_of_the_menu(name: str) -> None:
    parameters, others = operator_parameters(name)
    unknown = {*menu_parameters(name), *options(name)} - set(parameters)
    assert not unknown or (
        others and unknown <= OPTIONS["SourceOptions"] | OPTIONS["WriterOptions"]
    )


@every_method
def test_the_menu_knows_the_defaults(name: str) -> None:
    parameters, _ = operator_parameters(name)
    for parameter, said in menu_parameters(name).items():
        defaults = [p.default for p in said if p.default is not p.empty]
        if parameter in parameters:
            assert all(same(default, parameters[parameter].default) for default in defaults)


@every_method
def test_the_menu_keeps_the_order_of_parameters(name: str) -> None:
    parameters, _ = operator_parameters(name)
    places = [k for k, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    for signature in signatures(name):
        said = [
            k
            for k, p in named(signature).items()
            if p.kind is p.POSITIONAL_OR_KEYWORD and k != "self"
        ]
        assert said == places[: len(said)]


def same(one: object, other: object) -> bool:
    return one is other or one == other


def test_a_default_that_differs_is_seen() -> None:
    wrong: Callable[..., Any] = lambda self, n, *, return_partial=True: None  # noqa: E731
    default = inspect.signature(wrong).parameters["return_partial"].default
    assert not same(default, operator_parameters("sliding_window")[0]["return_partial"].default)
