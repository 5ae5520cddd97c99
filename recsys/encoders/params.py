"""What steers the encoder. Values live in params.yaml."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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
