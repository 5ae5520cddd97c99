"""Random unit vectors."""

import numpy as np


def unit_rows(rng, *shape):
    """Float32 of this shape; the last axis has length 1."""
    rows = rng.standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)
