"""Releases: made whole, checked, pointed to by compare-and-swap; and the door through which programs read them."""

from recsys.publishing.collect import Collected, collect
from recsys.publishing.current import Current, Hold
from recsys.publishing.encoder import bring_encoder
from recsys.publishing.pointing import Listed, releases, resume, rollback
from recsys.publishing.publish import Published, Publisher, publish, published
from recsys.publishing.reader import Release, Scored
from recsys.publishing.release import Manifest
from recsys.publishing.store import ReleaseStore
from recsys.publishing.trace import Trace, trace
from recsys.publishing.turn import turn

__all__ = [
    "Collected",
    "Current",
    "Hold",
    "Listed",
    "Manifest",
    "Published",
    "Publisher",
    "Release",
    "ReleaseStore",
    "Scored",
    "Trace",
    "bring_encoder",
    "collect",
    "publish",
    "published",
    "releases",
    "resume",
    "rollback",
    "trace",
    "turn",
]
