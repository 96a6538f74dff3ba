"""What `${...}` may read: the configuration, the choices, and a few variables of the environment."""

from __future__ import annotations

import os
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from causalrec.errors import RequestError
from causalrec.secret_values import is_secret_name

if TYPE_CHECKING:
    from omegaconf import Node

Resolver = Callable[[object, object, "Node", tuple[object, ...], tuple[str, ...]], object]
READABLE = re.compile(r"HOME|USER|HOSTNAME|CUDA_VISIBLE_DEVICES|(CAUSALREC|SLURM)_\w+")  # variables of the environment
HARMLESS = ("oc.decode", "now", "python_version")  # they compute
ALLOWED = "oc.env, oc.decode, hydra:runtime.choices.GROUP and now"
UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # categories of characters that no path or name needs
_LOCK = threading.RLock()  # OmegaConf has one set of resolvers in a process


@contextmanager
def restrict_interpolation() -> Iterator[None]:
    """Let `${...}` read what it may while a configuration is composed and resolved; what it may not is a RequestError.

    Hydra registers its own resolvers where it is initialised: that must come before.
    """
    from omegaconf.basecontainer import BaseContainer

    with _LOCK:
        unrestricted = BaseContainer._resolvers
        BaseContainer._resolvers = _restrict(unrestricted)
        try:
            yield
        except Exception as error:
            if (refusal := _refusal_in(error)) is not None:
                raise refusal from error
            raise
        finally:
            BaseContainer._resolvers = unrestricted


def _restrict(resolvers: Mapping[str, Resolver]) -> dict[str, Resolver]:
    """Return resolvers in which those that are not allowed refuse."""
    refusing = {name: _refuse(name) for name in resolvers if name not in HARMLESS}
    harmless = {name: resolver for name, resolver in resolvers.items() if name in HARMLESS}
    choices = {"hydra": _choices_alone(resolvers["hydra"])} if "hydra" in resolvers else {}
    return {**refusing, **harmless, **choices, "oc.env": _environment_variable}


def _environment_variable(
    _: object, __: object, node: Node, arguments: tuple[object, ...], ___: tuple[str, ...]
) -> str | None:
    """Return a variable of the environment, or the default behind it, where a configuration may read it."""
    name, asking = str(arguments[0]) if arguments else "", _key_of(node)
    if not READABLE.fullmatch(name) or is_secret_name(name):
        raise RequestError(
            f"{asking}: reads the environment variable {name}; a configuration reads HOME, USER, HOSTNAME, "
            "CUDA_VISIBLE_DEVICES, CAUSALREC_* and SLURM_* alone"
        )
    if (value := os.environ.get(name)) is not None:
        _check_value(asking, name, value)
        return value
    if len(arguments) < 2:
        raise RequestError(f"{asking}: the environment has no {name}; set it, or write ${{oc.env:{name},DEFAULT}}")
    return None if arguments[1] is None else str(arguments[1])


def _check_value(asking: str, name: str, value: str) -> None:
    """Raise RequestError at a value that is no plain text; it is not shown."""
    if not value:
        raise RequestError(f"{asking}: the environment variable {name} is empty; set it, or unset it")
    if "${" in value or any(unicodedata.category(sign) in UNPRINTABLE for sign in value):
        fault = "holds ${ or a control character; set it to plain text"
        raise RequestError(f"{asking}: the environment variable {name} {fault}")


def _choices_alone(resolver: Resolver) -> Resolver:
    """Return Hydra's resolver for the choices: the rest of its section holds what was typed."""

    def read_choice(
        root: object, parent: object, node: Node, arguments: tuple[object, ...], texts: tuple[str, ...]
    ) -> object:
        path = ",".join(map(str, arguments))
        if not path.startswith("runtime.choices."):
            allowed = "only ${hydra:runtime.choices.GROUP} can be read"
            raise RequestError(f"{_key_of(node)}: reads ${{hydra:{path}}}; {allowed}")
        return resolver(root, parent, node, arguments, texts)

    return read_choice


def _refuse(name: str) -> Resolver:
    def refuse(_: object, __: object, node: Node, ___: tuple[object, ...], ____: tuple[str, ...]) -> object:
        raise RequestError(f"{_key_of(node)}: ${{{name}:...}} cannot be used; there are {ALLOWED}")

    return refuse


def _key_of(node: Node) -> str:
    key = str(node._get_full_key(None))
    return "a defaults list" if key in ("", "_dummy_") else key  # Hydra resolves those in a node of this name


def _refusal_in(error: BaseException | None) -> RequestError | None:
    """Return the refusal that OmegaConf wrapped, if any."""
    while error is not None and not isinstance(error, RequestError):
        error = error.__cause__ or error.__context__
    return error
