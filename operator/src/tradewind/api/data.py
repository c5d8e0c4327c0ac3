"""Data of a training or compression job: where it lies, and the steps that prepare it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tradewind.api.base import (
    FRACTION,
    Column,
    DecimalString,
    Empty,
    FractionString,
    Model,
    OneOf,
    Rule,
    Says,
    StorageUri,
)

Format = Literal["csv", "jsonl", "parquet", "npz", "images"]
ColumnType = Literal["number", "boolean", "category", "datetime", "text", "image", "ignore"]

# What stands for "no value" whatever the column is; an empty cell does so always. Not in it are texts that are often a
# value of their own: `None`, `-` and `unknown` are classes and categories in many tables.
MISSING = ("NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "?")


class Csv(Model):
    """How a csv file is written, where it can't be seen from the file or is seen wrongly."""

    delimiter: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[\t !#-/:-@\[-`{-~]$", max_length=1),
            Says("write one character that is no letter, digit or double quote, for example ';' or \"\\t\" for a tab"),
        ]
        | None
    ) = Field(default=None, description="What separates the cells of a row, for example `;`.")
    decimal: Literal[".", ","] | None = Field(default=None, description="The decimal mark of numbers.")
    encoding: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=32),
            Says("write the name of a character encoding, for example utf-8 or cp1252"),
        ]
        | None
    ) = Field(default=None, description="Character encoding, by a name that Python knows, for example `cp1252`.")
    quote: Literal['"', "'"] | None = Field(
        default=None,
        description='What stands around a cell that has the delimiter or a line break in it; `"` if left out.',
    )


class Dataset(Model):
    """A set of rows in one file, or in all the files of a folder."""

    rules = (
        Rule(
            "!has(self.csv) || !has(self.format) || self.format == 'csv'",
            "csv says how a csv file is written: remove it, or set format to csv",
        ),
    )

    storage_uri: StorageUri = Field(
        description="File or folder: pvc://<claim>/<path>, a PersistentVolumeClaim of the object's own namespace."
    )
    format: Format | None = Field(
        default=None,
        description="csv, jsonl and parquet: one column per feature; npz: one array of inputs, rows first, and one of "
        "labels; images: a folder of pictures for each class, whose columns are image and label. By the names of the "
        "files when left out.",
    )
    csv: Csv | None = Field(default=None, description="How csv files are written; what is left out is detected.")


class ColumnChoice(Model):
    """What a column is, where the data alone would tell otherwise."""

    rules = (
        Rule(
            "!has(self.format) || self.type == 'datetime'",
            "format says how times are written: set type to datetime, or remove format",
        ),
    )

    name: Column = Field(description="Its name in the header.")
    type: ColumnType = Field(
        description="number, boolean (true and false), category (one of a set of texts), datetime, text; image (paths "
        "of pictures from the folder of the table on, or their bytes); or ignore: the model does not see it."
    )
    format: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^([^%]|%[aAbBdfHIjmMpSyYz%])*%[aAbBdfHIjmMpSyYz]([^%]|%[aAbBdfHIjmMpSyYz%])*$", max_length=64
            ),
            Says("write how the times are written with %d, %m, %Y, %H, %M, %S and the like, for example %d/%m/%Y"),
        ]
        | None
    ) = Field(
        default=None,
        description="datetime: how its texts are written, as Python's strptime has it: `%d/%m/%Y`, `%m/%d/%Y %H:%M`, "
        "`%d %b %y` (of two digits, 69 to 99 are 1969 to 1999, and 00 to 68 are 2000 to 2068). The model's clients "
        "write it so too. When left out, ISO 8601 and 25.11.2026 are read, and dates in numbers where the whole column "
        "allows one order of day and month alone.",
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


Columns = Annotated[tuple[Column, ...], Field(min_length=1, max_length=256)]


class Impute(Model):
    """Fill missing values with one fitted on the training split; it becomes part of the exported model."""

    rules = (
        Rule(
            "(self.strategy == 'constant') == has(self.value)",
            "value is what a missing value becomes with the strategy constant: give both, or choose another strategy",
        ),
    )

    strategy: Literal["mean", "median", "mostFrequent", "constant"] = Field(
        default="mean",
        description="What a missing value becomes. mean and median are for numbers; mostFrequent and constant also for "
        "categories.",
    )
    value: Annotated[str, StringConstraints(max_length=256)] | None = Field(
        default=None, description="constant: the number or the category, for example '0' or 'unknown'."
    )
    columns: Annotated[tuple[Column, ...], Field(max_length=256)] = Field(
        default=(), description="Columns to fill; when empty, all that the strategy is for."
    )


class DropOutliers(Model):
    """Leave out training rows with a number far from the others; validation and test data stay as they are."""

    columns: Columns = Field(description="Columns of numbers to look at.")
    ranges: DecimalString = Field(
        default="3",
        validate_default=True,
        description="A number is far away that is more than so many interquartile ranges below the first quartile or "
        "above the third (Tukey's fences; of the training rows).",
    )


class Clip(Model):
    """Hold numbers within a range fitted on the training split; it becomes part of the exported model."""

    rules = (
        Rule(
            "!has(self.quantile) || double(self.quantile) < 0.5",
            "quantile must be below 0.5, for example '0.01': that share is cut off at either end",
        ),
    )

    columns: Columns = Field(description="Columns of numbers.")
    quantile: FractionString = Field(
        default="0.01",
        validate_default=True,
        description="The smallest so many numbers become the largest of them; the same at the other end.",
    )


class Log(Model):
    """Take sign(x) log(1 + |x|) of numbers, for amounts that range over powers of ten."""

    columns: Columns = Field(description="Columns of numbers.")


class Bin(Model):
    """Make categories of numbers: bins with about as many training rows each."""

    columns: Columns = Field(description="Columns of numbers.")
    bins: Annotated[int, Field(ge=2, le=256)] = Field(default=10, description="Bins of a column, at most.")


class Combine(Model):
    """A further column, computed from two."""

    name: Column = Field(description="Its name, which no other column has.")
    operation: Literal["Sum", "Difference", "Product", "Ratio"] = Field(
        description="What of the two: left + right, left - right (of two times, in seconds), left * right, left / "
        "right (missing where right is 0)."
    )
    left: Column = Field(description="A column of numbers, or for a Difference of times.")
    right: Column = Field(description="The other one.")


class Color(Model):
    """Vary the colours of each training image at random; each field is the largest change, as a share."""

    brightness: FractionString = Field(
        default="0",
        validate_default=True,
        description="All values times 1 more or less so much: '0.2' gives 0.8 to 1.2.",
    )
    contrast: FractionString = Field(
        default="0",
        validate_default=True,
        description="The distance of all values from the image's mean grey, likewise.",
    )
    saturation: FractionString = Field(
        default="0",
        validate_default=True,
        description="The distance of each pixel's colours from its grey, likewise; images of one channel have none.",
    )


class Augment(Model):
    """Vary each training image at random; validation data stays as it is. Only for image tasks."""

    rules = (Rule("!has(self.scale) || !self.scale.startsWith('1')", "scale must be below 1, for example '0.2'"),)

    flip: Literal["None", "Horizontal", "Vertical", "Both"] = Field(
        default="None", description="Mirror every second image: left and right, top and bottom, or each of the two."
    )
    shift_pixels: Annotated[int, Field(ge=0, le=64)] = Field(
        default=0, description="Largest shift along each axis, in pixels."
    )
    rotate_degrees: Annotated[int, Field(ge=0, le=180)] = Field(
        default=0, description="Largest rotation to either side, in degrees."
    )
    scale: FractionString = Field(
        default="0", validate_default=True, description="Largest change of the size: '0.2' gives 0.8 to 1.2 times."
    )
    color: Color | None = Field(default=None, description="Vary brightness, contrast and saturation.")
    noise: FractionString = Field(
        default="0",
        validate_default=True,
        description="Deviation of the noise that is added to each value, as a share of the range of the values: from 0 "
        "to 255 of pictures, else from the smallest to the largest of a step.",
    )
    mixup: DecimalString = Field(
        default="0",
        validate_default=True,
        description="Blend each image and its class with another one's, with a weight from the Beta distribution with "
        "this parameter on both sides (Zhang et al., 2018), for example '0.2'; 0 blends nothing.",
    )


class Step(OneOf):
    """One step of the preparation, in the order given."""

    drop_duplicates: DropDuplicates | None = Field(
        default=None, description="Leave only the first of rows that are equal."
    )
    drop_nulls: DropNulls | None = Field(default=None, description="Leave out rows with a missing or not finite value.")
    drop_outliers: DropOutliers | None = Field(
        default=None, description="Leave out training rows with a number far from the others. Tables only."
    )
    impute: Impute | None = Field(default=None, description="Fill missing values.")
    clip: Clip | None = Field(default=None, description="Hold numbers within a fitted range. Tables only.")
    log: Log | None = Field(default=None, description="Take the logarithm of numbers. Tables only.")
    bin: Bin | None = Field(default=None, description="Make categories of numbers. Tables only.")
    combine: Combine | None = Field(default=None, description="A further column, computed from two. Tables only.")
    standardize: Empty | None = Field(
        default=None,
        description="Scale to mean 0 and deviation 1, fitted on the training split and exported inside the model.",
    )
    augment: Augment | None = Field(default=None, description="Vary the training images at random.")

    def is_for_columns(self) -> bool:
        """Whether the step needs the columns one by one, with their names and kinds."""
        if self.impute is not None:
            return bool(self.impute.columns) or self.impute.strategy in ("mostFrequent", "constant")
        return any(step is not None for step in (self.drop_outliers, self.clip, self.log, self.bin, self.combine))


class Split(Model):
    """Which rows of the training data become validation and test data, where a fraction asks for them."""

    rules = (
        Rule(
            "has(self.column) == (self.by != 'Row')",
            "Group and Time need column, the column that they go by; Row has none",
        ),
    )

    by: Literal["Row", "Group", "Time"] = Field(
        description="Row: by a hash of the inputs, so equal rows stay together and a data set that grows keeps its "
        "split. Group: by a hash of a column, so all rows of a customer or a machine stay together. Time: the newest "
        "rows are test data, those before them validation data."
    )
    column: Column | None = Field(
        default=None,
        description="Group: the column with the group; Time: the column with the time, as times or numbers. It is no "
        "input of the model unless inputs names it.",
    )


def _is_share(field: str) -> Rule:
    """A fraction that leaves rows on both sides."""
    return Rule(
        f"!has(self.{field}) || !self.{field}.matches(r'{FRACTION}') || self.{field}.matches('^0.0*[1-9]')",
        f"{field} must be above 0 and below 1, for example '0.2'",
    )


class Data(Model):
    """Training, validation and test data, and how they are prepared."""

    rules = (
        Rule(
            "has(self.validation) != has(self.validationFraction)",
            "give either validation (a data set of its own) or validationFraction (a part of the training data, for "
            "example '0.2'), and not both",
        ),
        Rule(
            "!has(self.test) || !has(self.testFraction)",
            "give test (a data set of its own) or testFraction (a part of the training data, for example '0.1'), and "
            "not both",
        ),
        _is_share("validationFraction"),
        _is_share("testFraction"),
        Rule(
            f"!has(self.validationFraction) || !self.validationFraction.matches(r'{FRACTION}')"
            f" || !has(self.testFraction) || !self.testFraction.matches(r'{FRACTION}')"
            " || double(self.validationFraction) + double(self.testFraction) < 1.0",
            "validationFraction and testFraction together must be below 1: the rest is what the model learns from",
        ),
        Rule(
            "!has(self.labelSeparator) || !has(self.labelColumns)",
            "give labelSeparator (all labels of a row stand in the column label) or labelColumns (a column of 0 and 1 "
            "for each), and not both",
        ),
        Rule(
            "!has(self.labelColumns) || self.label == 'label'",
            "labelColumns have the labels: remove label",
        ),
        Rule(
            "!has(self.split) || has(self.validationFraction) || has(self.testFraction)",
            "split says how the training data is divided: set validationFraction or testFraction, or remove it",
        ),
    )

    train: Dataset = Field(description="What the model learns from.")
    validation: Dataset | None = Field(
        default=None, description="What the best epoch is chosen by; never used for fitting."
    )
    validation_fraction: FractionString | None = Field(
        default=None, description="Share of the training rows that is held back for validation, as split says."
    )
    test: Dataset | None = Field(
        default=None, description="What the finished model is judged by; nothing is fitted or chosen on it."
    )
    test_fraction: FractionString | None = Field(
        default=None, description="Share of the training rows that is held back for the test, as split says."
    )
    split: Split | None = Field(default=None, description="Which rows are held back; by Row when left out.")
    label: Column = Field(
        default="label", description="Column, or array of an npz file, with the class of each row, or its number."
    )
    label_separator: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[^A-Za-z0-9]+$", max_length=4),
            Says("write what stands between two labels, without letters and digits, for example ';'"),
        ]
        | None
    ) = Field(
        default=None,
        description="Multi-label tasks: what stands between the labels of a row in the column label, for example `;` "
        "of `red;large`. An empty cell has no label.",
    )
    label_columns: Annotated[tuple[Column, ...], Field(min_length=2, max_length=1000)] | None = Field(
        default=None,
        description="Multi-label tasks: a column for each label, whose name is the label's, with 1 (true, yes) where a "
        "row has it and 0 (false, no) where not; in place of label.",
    )
    inputs: Annotated[tuple[Column, ...], Field(max_length=1024)] = Field(
        default=(),
        description="Columns, or the one array, that the model sees; when empty, all but the label and split.column.",
    )
    columns: Annotated[tuple[ColumnChoice, ...], Field(max_length=1024)] = Field(
        default=(),
        description="What single columns are; the others are what their values look like, as the log shows.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    missing: Annotated[tuple[Annotated[str, StringConstraints(max_length=64)], ...], Field(max_length=64)] = Field(
        default=MISSING,
        description="Cells with one of these texts have no value, in inputs and label alike; spaces around them do not "
        "count. Empty cells never have one.",
    )
    image_shape: (
        Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=2, max_length=3)] | None
    ) = Field(
        default=None,
        description="Height, width and channels of an image. Pixels as columns need it where the image is not square "
        "and grey; npz arrays carry their shape; pictures are brought to it. When left out, pictures come to their own "
        "median size, at most 64 a side, or 224 for the networks of torchvision, with 3 channels, or 1 where all are "
        "grey.",
    )
    image_fit: Literal["Stretch", "Crop"] = Field(
        default="Stretch",
        description="How a picture of other proportions comes to imageShape: Stretch changes them; Crop keeps them, "
        "and cuts off what is too much on both sides.",
    )
    prepare: Annotated[tuple[Step, ...], Field(max_length=32)] = Field(default=(), description="Steps, in order.")

    def labels(self) -> tuple[str, ...]:
        """The columns that the label, or the labels of a row, stand in."""
        return self.label_columns or (self.label,)

    def sets(self) -> tuple[Dataset, ...]:
        """The data sets that are given: training, validation, test."""
        return tuple(found for found in (self.train, self.validation, self.test) if found is not None)
