"""Plugins as Airflow imports them: by bare name, from the folder plugins/."""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModuleType]:
    """Imports a plugin; Airflow, where it needs it, makes its home in a temporary folder."""
    os.environ["AIRFLOW_HOME"] = str(tmp_path_factory.mktemp("airflow-home"))
    sys.path.insert(0, str(ROOT / "plugins"))
    return importlib.import_module
