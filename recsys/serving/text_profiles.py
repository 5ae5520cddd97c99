"""Profiles of texts that are not in the release: queries, words about a user, new items."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.catalogue.fields import BadRow, sound
from recsys.encoders.encoder import Encoder
from recsys.errors import RequestError
from recsys.features.text import FIELD_END, LINES_FROM, join_fields
from recsys.heads.headed import query_profiles
from recsys.heads.kernel_head import KernelHead
from recsys.models.opening import open_head, open_vectors, with_head
from recsys.publishing.checks import QUERY_BATCH_TOKENS, query_text, unpacked_model
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.release import Manifest
from recsys.serving.together import Together

# Shape suffixes: N texts, D dimension.
THREADS = 1
"""Work on one query. A second one gains nothing on so few words, and waiting for it costs as much again."""


class TextProfiles:
    """A release's model and preprocessing; the model is opened at its first use.

    Args:
        manifest: of the release.
        files: of the same.
        look_ahead: called with the profiles of queries that came together, [N, D], before any of them is searched for.
    """

    def __init__(
        self,
        manifest: Manifest,
        files: ObjectFiles,
        look_ahead: Callable[[NDArray[np.float32]], None] = lambda _: None,
    ) -> None:
        self._manifest = manifest
        self._files = files
        self._look_ahead = look_ahead
        self._queries: Together[str, NDArray[np.float32]] = Together(self._of_queries)

    @cached_property
    def encoder(self) -> Encoder:
        """The release's model, from texts to profiles."""
        vectors = open_vectors(self._manifest.model, self._packed, QUERY_BATCH_TOKENS, THREADS)
        return with_head(self._manifest.model, vectors, self._head)

    def open_head(self) -> None:
        """Open what makes profiles of the encoder's vectors; no thread of the encoder's is started.

        Raises:
            EncoderError: it is missing or damaged.
        """
        if self._head is not None:
            self._head.prepare()

    def warm(self) -> None:
        """Open the model for texts of any length, so that none waits for it later.

        The head's exact matrices, which texts of items alone need, are left: they take 220 MB.

        Raises:
            EncoderError: the model cannot be opened.
        """
        self.encoder.prepare_queries()

    @cached_property
    def _head(self) -> KernelHead | None:
        return open_head(self._manifest.model, self._packed)

    @cached_property
    def _packed(self) -> Path:
        return unpacked_model(self._manifest.model, self._files)

    def of_item(self, text: str) -> NDArray[np.float32]:
        """The profile of an item with this text, float32 [d], of length 1.

        Args:
            text: of the item, a line for each field, as `text_of_row` joins them.

        Returns:
            The vector.

        Raises:
            RequestError: the text says nothing.
            EncoderError: the model cannot be opened.
        """
        preprocessing = self._manifest.preprocessing
        fields = text.split(FIELD_END) if preprocessing.version >= LINES_FROM else [text]
        folded = _required(join_fields(fields, preprocessing.max_chars, preprocessing.version))
        profile_D: NDArray[np.float32] = self.encoder.encode([folded])[0]
        return profile_D

    def of_query(self, text: str) -> NDArray[np.float32]:
        """The profile of words that look for items, float32 [d].

        Args:
            text: words.

        Returns:
            The vector.

        Raises:
            RequestError: the text says nothing.
            EncoderError: the model cannot be opened.
        """
        return self._queries(_required(query_text(self._manifest, text)))

    def _of_queries(self, texts: Sequence[str]) -> Sequence[NDArray[np.float32]]:
        """Of texts that were made as the release's own, [d] each, as if it were alone."""
        found_ND = query_profiles(self.encoder, texts, self._manifest.model.lexical_width)
        if len(texts) > 1:
            self._look_ahead(found_ND)
        return list(found_ND)

    @property
    def fields(self) -> tuple[str, ...]:
        """Of the catalogue: those that profiles are made of."""
        return self._manifest.preprocessing.fields

    def text_of_row(self, row: Mapping[str, Any]) -> str:
        """The text that an item with these fields of a catalogue would be read by.

        Args:
            row: fields by name, such as title, description and tags.

        Returns:
            The release's own fields of it, joined; empty where it has none of them.

        Raises:
            RequestError: a text holds half a surrogate pair, or a NUL.
        """
        preprocessing = self._manifest.preprocessing
        values = [row.get(name) for name in preprocessing.fields]
        texts = [
            ", ".join(map(str, one)) if isinstance(one, list) else str(one)
            for one in values
            if one is not None
        ]
        try:
            texts = [sound(text, "row") for text in texts]
        except BadRow as fault:
            raise RequestError(fault.detail, remedy="give text that intake would take") from fault
        return join_fields(texts, preprocessing.max_chars, preprocessing.version)


def _required(text: str) -> str:
    """A text that was made as the release's own; refused where it says nothing."""
    if not text:
        raise RequestError("an empty text has no neighbours", remedy="give some words")
    return text
