"""Write a segment whose vectors are all at hand."""

from recsys.profiles.items import segment_of
from recsys.profiles.segment_draft import SegmentDraft


def write_segment(folder, name, rows, vectors):
    """The segment `name`: live rows first, and a vector of each, float32 of length 1."""
    draft = SegmentDraft(segment_of(folder, name), *vectors.shape)
    draft.write(slice(None), vectors)
    return draft.finish(rows)
