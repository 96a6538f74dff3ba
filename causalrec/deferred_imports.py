"""What the libraries of a run would import before its first step, and no run of ids reads: seconds of every start.

Torchmetrics imports transformers and pyplot for metrics and plots of its own; Lightning and torch's optimizers import
the compiler, which no fit uses that is not compiled. Only the command defers them, in its own process: whoever imports
`causalrec` in Python gets every library as it is.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])
COMPILER = "torch._dynamo"
EXTRAS = ("transformers", "matplotlib", "scipy")  # of torchmetrics, which asks whether they are there before it imports


def defer_imports() -> None:
    """Defer them from here on, where they are not imported yet."""
    if "torch" not in sys.modules:
        sys.modules[COMPILER] = DeferredCompiler(COMPILER)
        sys.meta_path.insert(0, CompilerFinder())
    if "torchmetrics" not in sys.modules:
        sys.meta_path.insert(0, TorchmetricsFinder())


class _CompiledModule(type):
    def __instancecheck__(cls, instance: object) -> bool:
        compiler = _imported_compiler()
        return compiler is not None and isinstance(instance, getattr(compiler, cls.__name__))


class DeferredCompiler(ModuleType):
    """Stands for torch's compiler until something of it is read but the names that an eager fit reads."""

    class OptimizedModule(metaclass=_CompiledModule):
        """What `torch.compile` returns; before the compiler was imported nothing is one."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []  # a package, of which `CompilerFinder` finds the modules

    @staticmethod
    def disable(function: Function, *settings: object, **named: object) -> Function:
        """Return a function that the compiler passes over: as it is where there is none."""
        compiler = _imported_compiler()
        return function if compiler is None else compiler.disable(function, *settings, **named)

    @staticmethod
    def graph_break(*settings: object, **named: object) -> None:
        """Tell the compiler to begin anew, where there is one."""
        compiler = _imported_compiler()
        if compiler is not None:
            compiler.graph_break(*settings, **named)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # whoever looks through all modules reads no compiler
            raise AttributeError(name)
        return getattr(_import_compiler(), name)


def _imported_compiler() -> ModuleType | None:
    compiler = sys.modules.get(COMPILER)
    return None if isinstance(compiler, DeferredCompiler) else compiler


def _import_compiler() -> ModuleType:
    if isinstance(sys.modules.get(COMPILER), DeferredCompiler):
        del sys.modules[COMPILER]
    return importlib.import_module(COMPILER)


class CompilerFinder(MetaPathFinder):
    """Finds a module of the compiler while that is deferred: the compiler is then imported, and this module with it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{COMPILER}.") or not isinstance(sys.modules.get(COMPILER), DeferredCompiler):
            return None
        sys.meta_path.remove(self)
        compiler = _import_compiler()
        module = sys.modules.get(fullname)
        if module is None:
            return PathFinder.find_spec(fullname, compiler.__path__)
        return ModuleSpec(fullname, _Imported(module))


class _Imported(Loader):
    """Loads what was imported on the way."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class TorchmetricsFinder(MetaPathFinder):
    """Finds torchmetrics, and has it imported without its extras."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "torchmetrics":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _WithoutExtras(spec.loader)
        return spec


class _WithoutExtras(Loader):
    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self.loader
        with _without_extras():
            self.loader.exec_module(module)


@contextmanager
def _without_extras() -> Iterator[None]:
    """Have lightning-utilities answer for the block that the extras of torchmetrics are not there."""
    from lightning_utilities.core import imports

    of_requirement, of_package = imports.RequirementCache.__bool__, imports.package_available

    def is_met(requirement: imports.RequirementCache) -> bool:
        wanted = str(requirement.requirement or requirement.module)
        return not wanted.startswith(EXTRAS) and of_requirement(requirement)

    def is_available(name: str) -> bool:
        return name not in EXTRAS and of_package(name)

    imports.RequirementCache.__bool__ = is_met  # type: ignore[method-assign, assignment]
    imports.package_available = is_available  # type: ignore[assignment]
    try:
        yield
    finally:
        imports.RequirementCache.__bool__ = of_requirement  # type: ignore[method-assign]
        imports.package_available = of_package
