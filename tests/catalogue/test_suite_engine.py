"""Great Expectations is imported without what no suite here uses, and whoever needs that afterwards has it."""

import subprocess
import sys

import pytest

ENGINE = "import sys; from recsys.catalogue.suite_engine import suite_engine; gx, _ = suite_engine()\n"
JUDGE = """
import pandas as pd
from recsys.catalogue.expectations import Expected, judge
frame = pd.DataFrame({"n": [1.0, 5.0]}, index=pd.Index([1, 2], name="line"))
print(judge(frame, [Expected("many", "at most 2", "n", most=2)])[0].lines)
"""


def output_of(code: str) -> str:
    """What a fresh Python prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.whole
def test_what_no_suite_uses_is_left_out_and_can_be_imported_afterwards():
    """In one process, since each import of Great Expectations takes a second and more of CPU."""
    loaded = (
        "print({'sqlalchemy', 'botocore', 'scipy.stats._entropy', 'altair.vegalite'} & set(sys.modules))\n"
    )
    submodule = "from scipy.stats._entropy import entropy\nfrom scipy import stats\n"
    same = "print(entropy is stats._entropy.entropy, round(float(stats.entropy([1, 1])), 4))\n"
    others = "import sqlalchemy, boto3, altair\nprint(sqlalchemy.select.__name__, altair.Chart.__name__)\n"
    lines = output_of(ENGINE + JUDGE + loaded + submodule + same + others).splitlines()
    assert lines[:2] == ["(2,)", "set()"], "a suite runs without drivers, charts and statistics"
    assert lines[2] == "True 0.6931", "a submodule of what loads when used loads it first"
    assert lines[3] == "select Chart"


@pytest.mark.whole
def test_what_loads_when_used_loads_at_its_first_name():
    code = "import sys\nfrom recsys.importing import load_when_used\nload_when_used('scipy.stats')\n"
    use = "from scipy import stats\nbefore = 'scipy.stats._entropy' in sys.modules\n"
    assert output_of(code + use + "print(before, round(float(stats.entropy([1, 1])), 4))") == "False 0.6931"


def test_a_driver_that_is_loaded_already_stays():
    code = "import sys, sqlalchemy\nfrom recsys.importing import not_installed\n"
    hide = "with not_installed('sqlalchemy', 'botocore'):\n    import sqlalchemy as same\n    try:\n"
    tried = "        import botocore\n    except ModuleNotFoundError as error:\n        print(error.name)\n"
    assert output_of(code + hide + tried + "import botocore\nprint(same is sqlalchemy)").splitlines() == [
        "botocore",
        "True",
    ]
