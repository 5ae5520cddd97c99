"""Great Expectations without what the suites here do not use: a third of the time of `import great_expectations`.

The only file that imports great_expectations. Importing all of it costs seconds of CPU in every `recsys ingest`, most
of it for other users: drivers of databases and clouds, a charting library, statistical tests. Two means that Python
provides leave them out, and change nothing in the library:

- Great Expectations imports drivers if they are installed. While it is imported they count as not installed: None in
  `sys.modules`. MLflow and Airflow brought them into this environment; a pandas frame needs none of them.
- scipy.stats and altair are imported always, and used by expectations about distributions alone. They become modules
  that load themselves when somebody first uses a name of theirs.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

DRIVERS = ("azure", "boto3", "botocore", "google", "psycopg2", "pyspark", "snowflake", "sqlalchemy", "trino")
"""Optional for Great Expectations (its `compatibility` package); no suite here needs one."""
RARELY_USED = ("altair", "scipy.stats")
"""Used inside functions that no expectation here calls."""


@lru_cache(maxsize=1)
def suite_engine() -> tuple[Any, Any]:
    """Great Expectations and a batch definition that takes any data frame; made once in a process.

    Returns:
        The package great_expectations, and a batch definition of a pandas data frame.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    for name in RARELY_USED:
        load_when_used(name)
    with not_installed(DRIVERS):
        import great_expectations as gx
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    asset = context.data_sources.add_pandas("landed").add_dataframe_asset("batch")
    return gx, asset.add_batch_definition_whole_dataframe("whole")


@contextmanager
def not_installed(packages: tuple[str, ...]) -> Iterator[None]:
    """Let `import` fail for packages that are not loaded yet, as if they were not installed; then as before.

    Args:
        packages: top-level names.
    """
    hidden = [name for name in packages if name not in sys.modules]
    loaded: dict[str, Any] = sys.modules
    loaded.update(dict.fromkeys(hidden))  # None is Python's own way to say "not there"
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


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
