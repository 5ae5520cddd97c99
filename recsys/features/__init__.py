"""Features: an item's fields become one text with a hash."""

from recsys.features.text import PREPROCESSING_VERSION, FeatureFile, feature_files, item_texts

__all__ = ["PREPROCESSING_VERSION", "FeatureFile", "feature_files", "item_texts"]
