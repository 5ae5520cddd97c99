"""Field dropout: the same item's text without one of its fields, so that no single field carries a profile."""

import pyarrow as pa

from recsys.features.params import FeaturesParams
from recsys.features.text import item_texts
from recsys.training.data import TrainingSet


def field_variants(
    training_set: TrainingSet, rows: pa.Table, features: FeaturesParams
) -> tuple[tuple[str, ...], ...]:
    """Every text that is left when one field is left out.

    Args:
        training_set: its items, and part and line of each text.
        rows: catalogue rows, in the format of `catalogue/parts.py`; those of other items are passed over.
        features: section `features`, as the texts were made with.

    Returns:
        Per item its variants, without repeats and without the text itself: none where it has one field only.
    """
    row_at = {
        place: row
        for row, place in enumerate(zip(rows["part"].to_pylist(), rows["line"].to_pylist(), strict=True))
    }
    found = [row_at.get(place) for place in training_set.places]
    chosen = rows.take(pa.array([row for row in found if row is not None], pa.int64()))
    without = [
        features.model_copy(update={"fields": tuple(one for one in features.fields if one != field)})
        for field in features.fields
    ]
    columns = [item_texts(chosen, params)["text"].to_pylist() for params in without if params.fields]
    per_row = iter(zip(*columns, strict=True)) if columns else iter([()] * len(chosen))
    return tuple(
        tuple(dict.fromkeys(one for one in next(per_row) if one != text)) if row is not None else ()
        for row, text in zip(found, training_set.texts, strict=True)
    )
