"""Start without packages that are installed but not needed, by means that Python provides."""

import gc
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.abc import MetaPathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


def without_pandas() -> AbstractContextManager[None]:
    """Arrow without pandas, which pyarrow imports with the first array: a third of a second of CPU.

    Returns:
        A context in which no value of a type of pandas may meet pyarrow.
    """
    return not_installed("pandas")


@contextmanager
def not_installed(*packages: str) -> Iterator[None]:
    """Let `import` fail for packages that are not loaded yet, as if they were not installed; then as before.

    Args:
        *packages: top-level names.
    """
    finder = _Hiding(frozenset(packages))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile: an import leaves hardly any, and a large one is looked through dozens of times."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Hiding(MetaPathFinder):
    """Asked before all others for a module that is not loaded. Compiled code, too, takes its error for "not there"."""

    def __init__(self, packages: frozenset[str]) -> None:
        self._packages = packages

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"{fullname} is left out here", name=fullname)


def load_when_used(name: str) -> None:
    """Let a module load itself when one of its names is used first; one that is loaded or missing stays as it is.

    Args:
        name: full name of the module.
    """
    spec = None if name in sys.modules else find_spec(name)
    if spec is None or spec.loader is None:
        return
    module, loader = module_from_spec(spec), spec.loader
    path = module.__dict__.pop("__path__", None)  # so that the import of a submodule loads the module first

    def load(attribute: str) -> Any:  # noqa: ANN401  PEP 562
        if module.__dict__.pop("__getattr__", None):
            if path is not None:
                module.__path__ = path
            loader.exec_module(module)
        return ModuleType.__getattribute__(module, attribute)

    module.__dict__["__getattr__"] = load
    sys.modules[name] = module
