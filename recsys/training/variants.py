"""Field dropout: texts without one of their fields, so that profiles do not depend on a single field."""

import pyarrow as pa

from recsys.dataset.versions import rows_at
from recsys.features.params import FeaturesParams
from recsys.features.text import item_texts
from recsys.training.data import TrainingSet


def field_variants(
    training_set: TrainingSet, rows: pa.Table, features: FeaturesParams
) -> tuple[tuple[str, ...], ...]:
    """For each item, the texts without one of its fields.

    Args:
        training_set: its items, and part and line of each text.
        rows: catalogue rows in the format of `catalogue/parts.py`; rows of other items are ignored.
        features: section `features`, with which the texts were made.

    Returns:
        The variants of each item, without repeats and without the text itself; none where it has only one field.
    """
    found = rows_at(training_set.places, rows)
    chosen = rows.take(found.drop_null())
    without = [
        features.model_copy(update={"fields": tuple(one for one in features.fields if one != field)})
        for field in features.fields
    ]
    columns = [item_texts(chosen, params)["text"].to_pylist() for params in without if params.fields]
    per_row = iter(zip(*columns, strict=True)) if columns else iter([()] * len(chosen))
    return tuple(
        tuple(dict.fromkeys(one for one in next(per_row) if one != text)) if row is not None else ()
        for row, text in zip(found.to_pylist(), training_set.texts, strict=True)
    )
