"""Great Expectations without what the suites here do not use: a third of the time of `import great_expectations`.

The only file that imports great_expectations. Importing all of it costs seconds of CPU in every `recsys ingest`, most
of it for other users: drivers of databases and clouds, a charting library, statistical tests. Two means that Python
provides leave them out, and change nothing in the library:

- Great Expectations imports drivers if they are installed. While it is imported they count as not installed.
  MLflow and Airflow brought them into this environment; a pandas frame needs none of them.
- scipy.stats and altair are imported always, and used by expectations about distributions alone. They become modules
  that load themselves when somebody first uses a name of theirs.
"""

import logging
import os
from functools import lru_cache
from typing import Any

from recsys.importing import load_when_used, not_installed, uncollected

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
    with uncollected(), not_installed(*DRIVERS):
        import great_expectations as gx
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    asset = context.data_sources.add_pandas("landed").add_dataframe_asset("batch")
    return gx, asset.add_batch_definition_whole_dataframe("whole")
