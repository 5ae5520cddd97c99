"""A workspace with a landing zone, for tests of intake."""

import json
import os
from datetime import UTC, datetime

import pytest
import yaml

from recsys.catalogue.ingest import ingest
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.params import IngestParams
from recsys.catalogue.parts import list_parts
from recsys.storage.opening import open_storage

KEY = "a-key-for-tests-0123456789"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


class House:
    """Land files, take them in, look at what was accepted."""

    key = KEY

    def __init__(self, at, url, params):
        self.at = at
        self.landing = open_storage(url)
        self.params = params
        self.clock = LONG_AGO

    def land(self, key, content):
        """Put a file where a producer would; each one second later than the one before."""
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        content = content.encode() if isinstance(content, str) else content
        if self.landing.url.startswith("s3://"):
            client = self.landing._client
            client.put_object(Bucket=self.landing.bucket, Key=self.landing.prefix + key, Body=content)
            return
        path = self.landing.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.clock += 1
        os.utime(path, (self.clock, self.clock))

    def ingest(self, let_in=None, **changed):
        params = self.params.model_copy(update=changed)
        return ingest(self.landing, self.at, params, KEY, let_in=let_in)

    def rows(self, kind=CATALOGUE):
        return [row for part in list_parts(self.at.data, kind) for row in part.rows().to_pylist()]

    def ids(self):
        return [row["item_id"] for row in self.rows()]

    def bad(self):
        """(source, line, reason) of everything in quarantine."""
        parts = [part for kind in (CATALOGUE, INTERACTIONS) for part in list_parts(self.at.data, kind)]
        return [
            (part.arrival.source, row["line"], row["reason"])
            for part in parts
            for row in part.quarantined().to_pylist()
        ]

    def bytes_written(self):
        """Every byte below data/ and var/, by path."""
        files = (
            path for top in (self.at.data, self.at.var) for path in sorted(top.rglob("*")) if path.is_file()
        )
        return {path.relative_to(self.at.root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def params(workspace):
    # Drift is tried on few rows: here nothing counts as a trial.
    return IngestParams(**yaml.safe_load(workspace.params.read_text())["ingest"] | {"trial_rows": 0})


@pytest.fixture
def house(workspace, params):
    return House(workspace, str(workspace.root / "landing"), params)


@pytest.fixture
def house_in_bucket(workspace, params, bucket):
    return House(workspace, f"s3://{bucket}/landing", params)


@pytest.fixture
def films():
    """n good catalogue rows: f1, f2, …"""

    def make(n=30, first=1):
        return [
            {
                "item_id": f"f{i}",
                "title": f"The adventure number {i}",
                "tags": "drama|sea",
                "updated_at": "2025-06-01",
            }
            for i in range(first, first + n)
        ]

    return make
