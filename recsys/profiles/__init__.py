"""Profiles: one vector per item, and how users are placed in the same space."""

from recsys.profiles.items import (
    ItemProfiles,
    Latest,
    Segment,
    latest,
    list_segments,
    load_profiles,
    segment_of,
    write_segment,
)

__all__ = [
    "ItemProfiles",
    "Latest",
    "Segment",
    "latest",
    "list_segments",
    "load_profiles",
    "segment_of",
    "write_segment",
]
