"""Parameters of the encoder. Values live in params.yaml."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, lt=1)]


class EncoderParams(BaseModel):
    """Section `encoder`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    source: str
    """A package that carries a model, a local folder, or a hub id."""
    pooling: Literal["mean", "cls"]
    """How token vectors become one."""
    max_tokens: int = Field(gt=2)
    """Texts are cut here."""
    precision: Literal["float32", "int8"]
    """float32 is exact; int8 is quantised with static scales."""
    calibration_texts: int = Field(ge=32)
    """Texts that set the int8 scales."""
    batch_tokens: int = Field(gt=0)
    """Padded tokens per batch."""


class FirstLightParams(BaseModel):
    """Section `first_light`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    min_items: int = Field(ge=2)
    """Different texts from which words are joined to the encoder; below, it is used as it comes."""
    lexical_shares: tuple[Share, Share]
    """Weight of exact words (TF-IDF) beside the encoder, where texts are short, and where they are long: short texts
    seldom share a word, of long ones an encoder keeps the gist."""
    long_from_terms: int = Field(ge=1)
    """Texts are long where half of them have so many different words and pairs of words."""
    gamma: float = Field(gt=0)
    """Sharpness of the encoder's kernel, exp(gamma * (cosine - 1))."""
    constant: float = Field(ge=0)
    """Coordinate that every profile has before it is brought to unit length: the larger it is, the less a text that
    resembles few others is stretched. Users have 0 there."""
    width: int = Field(gt=1, le=4096)
    """Width of a profile, at most; fewer texts give fewer."""
    max_landmarks: int = Field(ge=2, le=20000)
    """Texts that every text is compared with; of a larger catalogue a sample."""
