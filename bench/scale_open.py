"""Open the release of RECSYS_STORE in a process of its own until it has answered: seconds, printed as JSON.

Whoever reads a release for the first time on a machine verifies its files, which reads all of them. That is what the
first opening here does; the second one, which is timed too, finds them verified.
"""

import json
import os
import resource
import subprocess
import sys
import time

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
    import numpy as np

    from recsys.serving.reader import Release

    started, cpu_started = time.perf_counter(), time.process_time()
    release = Release.open(os.environ["RECSYS_STORE"])
    user = release.users[0]
    found = release.recommend(pseudonym=user, k=10)
    assert len(found) == 10 and np.isfinite([one.score for one in found]).all()
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(time.process_time() - cpu_started, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
    }


if __name__ == "__main__":
    main()
