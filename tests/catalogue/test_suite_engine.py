"""Great Expectations is imported without what no suite here uses, and whoever needs that afterwards has it."""

import subprocess
import sys

ENGINE = "import sys; from recsys.catalogue.suite_engine import suite_engine; gx, _ = suite_engine()\n"
JUDGE = """
import pandas as pd
from recsys.catalogue.expectations import Expected, judge
frame = pd.DataFrame({"n": [1.0, 5.0]}, index=pd.Index([1, 2], name="line"))
print(judge(frame, [Expected("many", "at most 2", "n", most=2)])[0].lines)
"""


def said(code: str) -> str:
    """What a fresh Python prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_suites_run_without_drivers_charts_and_statistics():
    shown = (
        "loaded = {'sqlalchemy', 'botocore', 'scipy.stats._entropy', 'altair.vegalite'} & set(sys.modules)\n"
    )
    assert said(ENGINE + JUDGE + shown + "print(loaded)").splitlines() == ["(2,)", "set()"]


def test_what_was_left_out_can_be_imported_afterwards():
    code = "import sqlalchemy, boto3, altair; from scipy import stats\n"
    use = "print(sqlalchemy.select.__name__, round(float(stats.entropy([1, 1])), 4), altair.Chart.__name__)"
    assert said(ENGINE + code + use) == "select 0.6931 Chart"


def test_a_submodule_of_what_loads_when_used_loads_it_first():
    code = "from scipy.stats._entropy import entropy\nfrom scipy import stats\nprint(entropy is stats._entropy.entropy)"
    assert said(ENGINE + code) == "True"


def test_a_driver_that_is_loaded_already_stays():
    assert said("import sqlalchemy\n" + ENGINE + "print(sys.modules['sqlalchemy'] is sqlalchemy)") == "True"
