"""Event heads with weights by chance, for tests of what is done with them."""

import numpy as np

from recsys.ranking.event_heads import HEADS, EventHeads
from recsys.ranking.shortlist import FEATURES
from recsys.ranking.traits import PER_TRAIT


def heads_of(dim, width=0, seed=0, learned=(True, True, True), n_traits=0) -> EventHeads:
    """Over profiles of `dim` dimensions, projected to `width`, and so many traits."""
    rng = np.random.default_rng(seed)
    n_features, n_hidden, n_second = len(FEATURES) + PER_TRAIT * n_traits, 7, 5
    shapes = {
        "mean_F": (n_features,),
        "projection_DP": (dim, width),
        "first_NH": (n_features + 3 * width, n_hidden),
        "first_H": (n_hidden,),
        "second_HJ": (n_hidden, n_second),
        "second_J": (n_second,),
        "heads_JE": (n_second, len(HEADS)),
        "heads_E": (len(HEADS),),
        "wide_FE": (n_features, len(HEADS)),
    }
    weights = {name: (0.4 * rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
    weights["scale_F"] = rng.uniform(0.5, 2, n_features).astype(np.float32)
    return EventHeads(weights, np.array([[1.1, -0.2], [0.9, 0.1], [1.0, 0.0]]), np.array(learned))
