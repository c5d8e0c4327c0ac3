"""What lies in the store: model.json of a model, which is written last, and current.json of an output folder."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from tradewind.api.base import KeyValue, Observed
from tradewind.api.data import Data
from tradewind.api.evaluation import Evaluation
from tradewind.api.trainingjob import Recipe

MANIFEST = "model.json"
SAMPLES = "samples.json"
POINTER = "current.json"
MODELS = "models"
_BELOW = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$"  # no part starts with a dot: none leads up


class Tokenizer(Observed):
    """Makes tokens of texts: the graph takes `input_ids` and `attention_mask`, INT64 [-1, length], in their place.

    Several inputs with a tokenizer are one text a row, each on a line of its own, in the order of the manifest; their
    tokenizers are the same.
    """

    file: str = Field(description="A tokenizer.json of the folder.")
    length: int = Field(ge=1, description="Number of tokens; longer texts are cut off, shorter ones filled up.")


class Picture(Observed):
    """Makes pixels of a file: the graph takes UINT8 [-1, height, width, channels] under the input's own name."""

    height: int = Field(ge=1, description="In pixels.")
    width: int = Field(ge=1, description="In pixels.")
    channels: int = Field(default=3, description="3 for red, green and blue; 1 for grey.")
    # A text, so that a server of another version says what it does not know.
    resize: str = Field(
        default="Stretch",
        description="Stretch (the whole picture, its sides stretched), or Crop (the largest part from its middle that "
        "has the shape).",
    )


class Processor(Observed):
    """How the server makes what the graph takes of what a user sends; exactly one of its fields is set.

    Readers pass over what they do not know, so a field that would change what comes out is a new processor.
    """

    tokenizer: Tokenizer | None = Field(default=None, description="For texts.")
    picture: Picture | None = Field(default=None, description="For pictures.")


class Tensor(Observed):
    """An input or output of the model, in the terms of the Open Inference Protocol v2."""

    name: str = Field(description="Name in the ONNX graph; with a processor, the one that users send.")
    datatype: Literal["BOOL", "UINT8", "INT8", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"] = Field(
        description="Element type."
    )
    shape: tuple[int, ...] = Field(description="Sizes of the axes; -1 is the number of rows.")
    columns: tuple[str, ...] = Field(
        default=(), description="Names of the columns in the last axis, where a table's columns are one matrix."
    )
    nullable: bool = Field(default=False, description="Whether a value may be missing: the training filled it in.")
    # A text, so that a server of another version serves a kind that it does not know by the element type alone.
    kind: str | None = Field(
        default=None,
        description="What a user sends for it: number, boolean, category, datetime, text or image.",
    )
    format: str | None = Field(
        default=None, description="How a datetime is written, as Python's strptime has it; ISO 8601 when left out."
    )
    processor: Processor | None = Field(
        default=None, description="What is done to the input before the graph takes it; datatype is then BYTES."
    )
    unit: str | None = Field(default=None, description="Unit of an output's values.")


class Unused(Observed):
    """A column of the training data that is no input of the model."""

    name: str = Field(description="Its name.")
    why: str = Field(description="Why the model takes nothing of it, the rest of a sentence.")
    left_out: bool = Field(default=False, description="Whether the training left it out, and not the spec.")


class File(Observed):
    """A file of the folder."""

    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(description="SHA-256 of its bytes.")
    size_bytes: int = Field(description="Its size.")


class Lineage(Observed):
    """Where the model came from."""

    kind: str = Field(description="TrainingJob or CompressionJob.")
    namespace: str = Field(description="Its namespace.")
    name: str = Field(description="Its name.")
    uid: str = Field(description="Its uid.")
    source_digest: str | None = Field(default=None, description="Digest of the model that it was made from.")


class Samples(Observed):
    """The content of samples.json: what the model was asked when it was stored, and what it answered."""

    instances: tuple[Any, ...] = Field(description="Rows, as a request of protocol v1 has them.")
    outputs: dict[str, Any] = Field(default_factory=dict, description="Values of outputs by name, a row each.")
    tolerance: float = Field(
        default=1e-3,
        description="How far a float may be off, as a part of the expected value and as a difference; the larger of "
        "both counts.",
    )


class SplitRecord(Observed):
    """The rows that a model was trained, chosen and judged on."""

    digest: str = Field(description="SHA-256 of the rows' hashes by part: equal for equal rows in equal parts.")
    training_rows: int = Field(description="Rows that it learnt from.")
    validation_rows: int = Field(description="Rows that the best epoch was chosen by.")
    test_rows: int = Field(default=0, description="Rows that only the finished model saw.")
    answers: str = Field(default="", description="SHA-256 of the rows' labels, by part and in their order.")


class Manifest(Observed):
    """The content of model.json."""

    format_version: Literal[1] = 1
    task: str = Field(description="What the model does; custom for a program of the user's own.")
    inputs: tuple[Tensor, ...] = Field(description="What the model takes: raw features, the preparation is inside.")
    outputs: tuple[Tensor, ...] = Field(description="What it gives.")
    unused: tuple[Unused, ...] = Field(
        default=(),
        description="Columns of the training data that are no inputs, so that whoever sends one is told why.",
    )
    labels: tuple[str, ...] = Field(
        default=(), description="Names of the classes, or of the labels that a row has any number of, by index."
    )
    metrics: tuple[KeyValue, ...] = Field(
        default=(), description="Measured on the whole test data, or validation data where there is none."
    )
    evaluation: Evaluation | None = Field(
        default=None, description="The metric that counts, with its interval, beside that of guessing."
    )
    split: SplitRecord | None = Field(default=None, description="The rows that it was made with.")
    methods: tuple[str, ...] = Field(default=(), description="Compression methods, in order.")
    # As they stand: a server of another version serves the model without understanding how it was made.
    recipe: dict[str, Any] | None = Field(
        default=None, description="Recipe that the network can be built again from (spec.recipe of a TrainingJob)."
    )
    data: dict[str, Any] | None = Field(default=None, description="Data that it was made with (spec.data).")
    lineage: Lineage | None = Field(default=None, description="Where it came from.")
    files: dict[str, File] = Field(description="Every other file, by name.")

    def made_by(self) -> Recipe | None:
        """The recipe, if the model was trained by one. Raises ValidationError where this version can't read it."""
        return None if self.recipe is None else Recipe.read(self.recipe)

    def made_with(self) -> Data | None:
        """The data that the model was made with. Raises ValidationError where this version can't read it."""
        return None if self.data is None else Data.read(self.data)


class Pointer(Observed):
    """The content of current.json: which of the models below an output folder the folder's address means."""

    format_version: Literal[1] = 1
    folder: Annotated[str, StringConstraints(pattern=_BELOW)] = Field(
        description="Its folder, below the one with current.json."
    )
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] = Field(
        description="SHA-256 of its model.json."
    )
