"""Data of a training or compression job: where it lies, and the steps that prepare it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tradewind.api.base import FRACTION, Column, Empty, FractionString, Model, OneOf, Rule, StorageUri


class Dataset(Model):
    """A set of rows in one file, or in all the files of a folder."""

    storage_uri: StorageUri = Field(
        description="File or folder: pvc://<claim>/<path>, a PersistentVolumeClaim of the object's own namespace."
    )
    format: Literal["csv", "parquet", "npz"] = Field(
        description="csv and parquet: one column per feature; npz: one array of inputs, rows first, and one of labels."
    )


class DropDuplicates(Model):
    """Leave only the first of rows that are equal."""

    columns: Annotated[tuple[Column, ...], Field(max_length=64)] = Field(
        default=(), description="Columns to compare; all of them when empty."
    )


class DropNulls(Model):
    """Leave out rows with a missing or not finite value."""

    columns: Annotated[tuple[Column, ...], Field(max_length=64)] = Field(
        default=(), description="Columns to look at; all of them when empty."
    )


class Impute(Model):
    """Fill missing values with a number fitted on the training split; it becomes part of the exported model."""

    strategy: Literal["mean", "median"] = Field(default="mean", description="What a missing value becomes.")


class Augment(Model):
    """Vary each training image at random; validation data stays as it is. Only for image tasks."""

    shift_pixels: Annotated[int, Field(ge=0, le=64)] = Field(
        default=0, description="Largest shift along each axis, in pixels."
    )
    rotate_degrees: Annotated[int, Field(ge=0, le=180)] = Field(
        default=0, description="Largest rotation to either side, in degrees."
    )


class Step(OneOf):
    """One step of the preparation, in the order given."""

    drop_duplicates: DropDuplicates | None = Field(
        default=None, description="Leave only the first of rows that are equal."
    )
    drop_nulls: DropNulls | None = Field(default=None, description="Leave out rows with a missing or not finite value.")
    impute: Impute | None = Field(default=None, description="Fill missing values with a fitted number.")
    standardize: Empty | None = Field(
        default=None,
        description="Scale to mean 0 and deviation 1, fitted on the training split and exported inside the model.",
    )
    augment: Augment | None = Field(default=None, description="Vary the training images at random.")


class Data(Model):
    """Training and validation data, and how they are prepared."""

    rules = (
        Rule(
            "has(self.validation) != has(self.validationFraction)",
            "give either validation (a data set of its own) or validationFraction (a part of the training data, for "
            "example '0.2'), and not both",
        ),
        Rule(
            f"!has(self.validationFraction) || !self.validationFraction.matches(r'{FRACTION}')"
            " || self.validationFraction.matches('^0.0*[1-9]')",
            "validationFraction must be above 0 and below 1, for example '0.2'",
        ),
    )

    train: Dataset = Field(description="What the model learns from.")
    validation: Dataset | None = Field(default=None, description="What it is judged by; never used for fitting.")
    validation_fraction: FractionString | None = Field(
        default=None, description="Share of the training rows, chosen by the seed, that is held back for validation."
    )
    label: Column = Field(
        default="label", description="Column (csv, parquet) or array (npz) with the class of each row."
    )
    inputs: Annotated[tuple[Column, ...], Field(max_length=1024)] = Field(
        default=(),
        description="Columns, or the one array, that the model sees; when empty, all but the label.",
    )
    image_shape: (
        Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=2, max_length=3)] | None
    ) = Field(
        default=None,
        description="Height, width and channels of an image whose pixels are columns; npz arrays carry their shape.",
    )
    prepare: Annotated[tuple[Step, ...], Field(max_length=32)] = Field(default=(), description="Steps, in order.")
