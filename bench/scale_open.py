"""Open the release of RECSYS_STORE in a process of its own until it has answered: seconds, printed as JSON.

It answers for a history of one item first, then for a known user, then it reads the histories of all users, as a
service does.

Whoever reads a release for the first time on a machine verifies its files, which reads all of them. That is what the
first opening here does; the second one, which is timed too, finds them verified.
"""

import json
import os
import resource
import subprocess
import sys
import time

import pyarrow.parquet as pq

FIRST = "first"


def main() -> None:
    """Open it twice, each time in a process of its own, and print what the second took."""
    if len(sys.argv) > 1:
        print(json.dumps(_opened()))
        return
    runs = [
        json.loads(
            subprocess.run(
                [sys.executable, "-m", "bench.scale_open", FIRST], stdout=subprocess.PIPE, check=True
            ).stdout
        )
        for _ in range(2)
    ]
    print(json.dumps(runs[1] | {"verifying_cpu_seconds": runs[0]["cpu_seconds"]}))


def _opened() -> dict[str, float]:
    from recsys.serving.reader import Release

    started, cpu_started = time.perf_counter(), time.process_time()
    release = Release.open(os.environ["RECSYS_STORE"])
    assert len(release.recommend(history=["t0"], k=10)) == len(release.similar("t0", k=10)) == 10
    found = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu_started}
    with pq.ParquetFile(release._profiles.history_paths[0]) as history:
        known = history.read_row_group(0, columns=["user"])["user"][0].as_py()
    cpu_started = time.process_time()
    assert release.recommend(pseudonym=known, k=10)
    found["known_user_cpu_seconds"] = time.process_time() - cpu_started
    cpu_started = time.process_time()
    assert known in release.users
    found["histories_cpu_seconds"] = time.process_time() - cpu_started
    peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
    return {name: round(value, 2) for name, value in found.items()} | {"peak_mb": peak_mb}


if __name__ == "__main__":
    main()
