"""The fuzz of the service, with few requests per operation: no server error, no route open to a stranger."""

from pathlib import Path

import pytest

from bench.serve_fuzz import STORE, Tally, fuzz


@pytest.mark.whole
def test_nothing_that_is_sent_ends_in_a_server_error_and_no_route_is_open_to_a_stranger(
    tmp_path: Path,
) -> None:
    found = fuzz(str(STORE), tmp_path, n_examples=5)
    assert found["fuzz_requests"] > 2000
    assert (found["fuzz_5xx"], found["fuzz_unlocked"]) == (0, 0)
    assert found["fuzz_peak_mb"] < 2000
    log = (tmp_path / "serve.log").read_text()
    assert "Traceback" not in log and "DROP TABLE" not in log  # nothing failed, and nobody's texts are logged


def test_server_errors_are_counted() -> None:
    tally = Tally()
    for status in (200, 422, 500, 503):
        tally.count("POST /v1/recommend", status, "")
    assert (tally.n_requests, len(tally.failures)) == (4, 2)
