"""TrainingJob: train a model, by a recipe without code or by a program of the user's own."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from tradewind.api.base import (
    NAME_RULE,
    Count,
    DecimalString,
    FractionString,
    KeyValue,
    Kind,
    Model,
    Name,
    ObjectMeta,
    Observed,
    PrinterColumn,
    Rule,
    Says,
    StorageUri,
    StoredUri,
    fixed_once_started,
)
from tradewind.api.data import Data
from tradewind.api.evaluation import CLASSIFICATION, MULTILABEL, REGRESSION, Evaluation, PrimaryMetric, short
from tradewind.api.job import JobStatus, Output, RunPolicy
from tradewind.api.placement import PodMetadata, Resources

Units = Annotated[int, Field(ge=1, le=8192)]

TORCHVISION = ("resnet18", "resnet34", "resnet50", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0")


def _listed(names: tuple[str, ...]) -> str:
    """A list of CEL."""
    return f"[{', '.join(repr(name) for name in names)}]"


def _either(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


_IS_TORCHVISION = f"self.architecture in {_listed(TORCHVISION)}"


class Trees(Model):
    """How boosted trees are grown."""

    rules = (
        Rule(
            "!has(self.learningRate) || !self.learningRate.matches('^[0.]+$')",
            "learningRate must be above 0, for example '0.05'",
        ),
    )

    rounds: Annotated[int, Field(ge=1, le=10000)] = Field(
        default=2000,
        description="Rounds at most; each adds a tree, or of more than two classes one for each. The model is that of "
        "the round with the least loss on the validation data.",
    )
    max_depth: Annotated[int, Field(ge=1, le=16)] | None = Field(
        default=None,
        description="Splits one below the other, at most. When left out, 1, 2, 3 and 4 are tried, and the loss on the "
        "validation data chooses; of more than 20,000 training rows, or of a data set larger than memory, it is 4.",
    )
    learning_rate: FractionString = Field(
        default="0.05", validate_default=True, description="How much of what a tree would correct is taken over."
    )


# What a text task trains; the others read numbers.
TEXT_ARCHITECTURES = ("bag", "cnn", "transformer")


class Architecture(Model):
    """What a recipe trains: a network, or boosted trees."""

    rules = (
        Rule(
            "self.architecture == 'cnn' || !has(self.channels) || size(self.channels) == 0",
            "channels belong to the cnn; for an mlp set hiddenUnits, a linear model has neither",
        ),
        Rule(
            "self.architecture != 'linear' || !has(self.hiddenUnits) || size(self.hiddenUnits) == 0",
            "a linear model has no hidden layer: leave hiddenUnits out, or choose mlp",
        ),
        Rule(
            "self.architecture != 'trees' || (!has(self.hiddenUnits) || size(self.hiddenUnits) == 0)"
            " && !has(self.dropout)",
            "trees have no layers: leave hiddenUnits and dropout out, or choose mlp",
        ),
        Rule(
            "self.architecture == 'trees' || !has(self.trees)",
            "trees says how boosted trees are grown: set architecture to trees, or remove it",
        ),
        Rule(
            "self.architecture != 'transformer' || has(self.storageUri)",
            "a transformer starts from weights: set storageUri to a folder with config.json, model.safetensors and "
            "tokenizer.json, or choose bag or cnn, which learn from your texts alone",
        ),
        Rule(
            "self.architecture != 'transformer' || !has(self.vocabularySize)",
            "a transformer brings its own vocabulary: remove vocabularySize",
        ),
        Rule("!has(self.dropout) || !self.dropout.startsWith('1')", "dropout must be below 1, for example '0.2'"),
        Rule(
            f"!({_IS_TORCHVISION}) || (!has(self.hiddenUnits) || size(self.hiddenUnits) == 0) && !has(self.dropout)",
            "this network has its layers: leave hiddenUnits and dropout out, or choose cnn",
        ),
        Rule(
            f"{_IS_TORCHVISION} || self.architecture == 'transformer' || !has(self.storageUri)",
            "storageUri has weights to start from: choose the network that they are of, for example resnet18 or "
            "transformer, or remove it",
        ),
    )

    architecture: Literal[
        "linear",
        "mlp",
        "cnn",
        "trees",
        "resnet18",
        "resnet34",
        "resnet50",
        "mobilenet_v3_small",
        "mobilenet_v3_large",
        "efficientnet_b0",
        "bag",
        "transformer",
    ] = Field(
        description="linear (softmax regression), mlp (fully connected layers), cnn (convolutions: 3x3 of images; over "
        "2, 3 and 4 tokens of texts), trees (gradient boosting; tabular tasks, on one worker), one of torchvision "
        "by its name there (image tasks), bag (the sum of learnt vectors of a text's tokens and of "
        "pairs of neighbouring tokens, each sum divided by the root of its length; trains in seconds), transformer "
        "(fine-tuning of the one at storageUri; text tasks)."
    )
    storage_uri: StorageUri | None = Field(
        default=None,
        description="Weights that the network starts from. Of torchvision's: a .safetensors file with torchvision's "
        "names, or a folder with one; random ones when left out, and the last layer is made anew for the classes. "
        "transformer: a folder with config.json, model.safetensors and tokenizer.json; needed.",
    )
    channels: Annotated[tuple[Units, ...], Field(max_length=8)] = Field(
        default=(),
        description="cnn of images: output channels of each convolution block, which halves the image. When empty, 32 "
        "and 64; for files of pictures the first of 32, 64, 128, 256 and 256, as many as leave 4 to 7 pixels of the "
        "shorter side.",
    )
    hidden_units: Annotated[tuple[Units, ...], Field(max_length=8)] = Field(
        default=(),
        description="Width of each hidden fully connected layer (mlp, cnn of images); when empty one of 128, and for a "
        "table whose columns are not all numbers, or lack values, 128 and 64.",
    )
    dropout: FractionString | None = Field(
        default=None,
        description="Share of units left out at each hidden layer while training; none when left out, and '0.1' for a "
        "table whose columns are not all numbers, or lack values.",
    )
    trees: Trees | None = Field(default=None, description="How boosted trees are grown.")
    max_tokens: Annotated[int, Field(ge=8, le=4096)] | None = Field(
        default=None,
        description="Text tasks: how many tokens of a text the model reads, from its beginning. When left out, as "
        "many as 99 of 100 training texts have, and 512 at most (256 for a transformer).",
    )
    vocabulary_size: Annotated[int, Field(ge=256, le=200_000)] | None = Field(
        default=None,
        description="bag, and cnn of texts: at most so many different tokens, chosen from the training texts; 20,000 "
        "when left out.",
    )


class Optimizer(Model):
    """How the weights are adjusted."""

    rules = (Rule("!has(self.lr) || !self.lr.matches('^[0.]+$')", "lr must be above 0, for example '0.001'"),)

    name: Literal["adamw", "adam", "sgd"] = Field(default="adamw", description="Algorithm, as in torch.optim.")
    lr: DecimalString | None = Field(
        default=None,
        description="Learning rate at the start; when left out 0.001, 0.005 for a cnn of texts, and 0.00005 for a "
        "transformer, whose weights are to keep what they know.",
    )
    weight_decay: DecimalString = Field(default="0.01", validate_default=True, description="Weight decay.")
    schedule: Literal["constant", "cosine"] = Field(
        default="cosine", description="Course of the learning rate over all steps."
    )


class EarlyStopping(Model):
    """When the training ends before its last epoch."""

    patience: Annotated[int, Field(ge=1, le=10000)] = Field(
        description="It ends after so many epochs without a better primary metric on the validation data; trees after "
        "so many rounds without a smaller loss (50 when left out)."
    )


_MULTILABEL = "self.task.endsWith('-multilabel-classification')"


class Recipe(Model):
    """Training without code."""

    rules = (
        Rule(
            "!self.task.startsWith('tabular-') || self.model.architecture != 'cnn'",
            "a cnn needs images or texts: choose trees, mlp or linear for a tabular task",
        ),
        Rule(
            f"self.task.startsWith('image-') || !(self.model.architecture in {_listed(TORCHVISION)})",
            "this network needs images: choose one of trees, mlp and linear for a tabular task, or bag, cnn and "
            "transformer for a text task",
        ),
        Rule(
            "!self.task.startsWith('image-') || self.model.architecture != 'trees'",
            "trees need a table: choose cnn, mlp or linear for images",
        ),
        Rule(
            f"!self.task.startsWith('text-') || self.model.architecture in {_listed(TEXT_ARCHITECTURES)}",
            "a text task needs a model that reads texts: choose bag, cnn or transformer",
        ),
        Rule(
            "self.task.startsWith('text-') || !(self.model.architecture in ['bag', 'transformer'])",
            "bag and transformer read texts: choose trees for a tabular task or cnn for an image task, or set task to "
            "text-classification or text-regression",
        ),
        Rule(
            "self.task.startsWith('text-') || !has(self.model.maxTokens) && !has(self.model.vocabularySize)",
            "maxTokens and vocabularySize are about texts: remove them, or set task to text-classification",
        ),
        Rule(
            "!self.task.startsWith('text-') || (!has(self.model.channels) || size(self.model.channels) == 0)"
            " && (!has(self.model.hiddenUnits) || size(self.model.hiddenUnits) == 0)",
            "models of texts have neither channels nor hiddenUnits: remove them",
        ),
        Rule(
            f"!has(self.primaryMetric) || self.task.endsWith('-regression') || {_MULTILABEL}"
            f" || self.primaryMetric in {_listed(CLASSIFICATION)}",
            f"a classification is judged by {_either(CLASSIFICATION)}: choose one, or leave primaryMetric out",
        ),
        Rule(
            f"!has(self.primaryMetric) || !{_MULTILABEL} || self.primaryMetric in {_listed(MULTILABEL)}",
            f"a multi-label classification is judged by {_either(MULTILABEL)}: choose one, or leave primaryMetric out",
        ),
        Rule(
            "!has(self.primaryMetric) || !self.task.endsWith('-regression')"
            f" || self.primaryMetric in {_listed(REGRESSION)}",
            f"a regression is judged by {_either(REGRESSION)}: choose one, or leave primaryMetric out",
        ),
        Rule(
            "!self.task.endsWith('-regression') || self.classWeights == 'None'",
            "a regression has no classes: remove classWeights, or set it to None",
        ),
        Rule(
            f"!{_MULTILABEL} || self.model.architecture != 'trees' || self.classWeights == 'None'",
            "trees weigh whole rows, and not their single labels: remove classWeights, or choose mlp",
        ),
    )

    task: Literal[
        "image-classification",
        "image-multilabel-classification",
        "image-regression",
        "tabular-classification",
        "tabular-multilabel-classification",
        "tabular-regression",
        "text-classification",
        "text-multilabel-classification",
        "text-regression",
    ] = Field(
        description="What the model is to do: tell classes apart, give a row any number of labels (multilabel), or "
        "predict a number."
    )
    model: Architecture = Field(description="What is trained.")
    optimizer: Optimizer = Field(default_factory=Optimizer, description="How the weights are adjusted.")
    epochs: Annotated[int, Field(ge=1, le=10000)] | None = Field(
        default=None,
        description="Passes over the training data. When left out 10, and for a network that starts from random "
        "weights (torchvision's apart) so many more that it takes at least 1000 steps; these end sooner where 250 "
        "steps and 10 epochs bring neither a better primary metric nor a lower loss on the validation data "
        "(earlyStopping, where it is given, says when instead). The log says how many. The "
        "model is that of the best one by the primary metric on the validation data; of equals, that with the lowest "
        "validation loss. Trees have recipe.model.trees.rounds instead, and no use for optimizer, epochs and "
        "batchSize.",
    )
    batch_size: Annotated[int, Field(ge=1, le=65536)] = Field(
        default=64, description="Rows in one step, over all workers together."
    )
    primary_metric: PrimaryMetric | None = Field(
        default=None,
        description="The metric that counts: it chooses the epoch and is compared with guessing (the round of trees is "
        "chosen by the loss). When left out, "
        "accuracy; where the rarest class has less than a quarter of the training rows of the commonest, "
        "average_precision (two classes) or balanced_accuracy (more); average_precision, the mean over the labels, for "
        "rows with several; rmse for a regression. Of two classes, f1, auroc "
        "and average_precision are about the rarer one.",
    )
    class_weights: Literal["None", "Balanced"] = Field(
        default="None",
        description="Balanced: in the loss all classes weigh alike, however few rows one has, and of several labels a "
        "row the rows with each as much as those without it; the probabilities are then those of balanced classes.",
    )
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32",
        description="Numbers that a network is trained with. bf16: mixed precision on GPUs that have it "
        "(torch.autocast), which is faster for large networks and takes half of the memory; weights and the "
        "finished model stay fp32.",
    )
    early_stopping: EarlyStopping | None = Field(
        default=None, description="When it ends before the last epoch; epochs says when it does without this."
    )
    seed: Annotated[int, Field(ge=0, le=2147483647)] = Field(default=0, description="Start of every random choice.")

    @property
    def multilabel(self) -> bool:
        """Whether a row may have any number of labels."""
        return self.task.endswith("-multilabel-classification")

    @property
    def weighs_classes(self) -> bool:
        """Whether classWeights may be Balanced: there are classes, and trees weigh no single labels."""
        trees_of_labels = self.multilabel and self.model.architecture == "trees"
        return self.task.endswith("-classification") and not trees_of_labels

    @property
    def may_yet_weigh(self) -> bool:
        """Whether classWeights Balanced would be a change, and is accepted."""
        return self.weighs_classes and self.class_weights != "Balanced"

    @property
    def learning_rate(self) -> Decimal:
        """That of the optimiser at the start: what is asked for, or what suits the model."""
        usual = {"transformer": "0.00005"}.get(self.model.architecture, "0.001")
        if self.model.architecture == "cnn" and self.task.startswith("text-"):
            usual = "0.005"
        return Decimal(usual) if self.optimizer.lr is None else self.optimizer.lr


class SecretKey(Model):
    """A key of a Secret in the object's namespace."""

    name: Name = Field(description="Name of the Secret.")
    key: Annotated[
        str,
        StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253),
        Says("a key of a Secret has letters, digits and - . _"),
    ] = Field(description="Key in it.")


class EnvVar(Model):
    """A variable of the program's environment."""

    rules = (
        Rule("has(self.value) != has(self.secretKeyRef)", "give either value or secretKeyRef"),
        Rule(
            "!self.name.startsWith('TRADEWIND_') && !self.name.startsWith('RAY_')"
            " && !self.name.startsWith('KUBEFLOW_')"
            " && !(self.name in ['PATH', 'LD_PRELOAD', 'LD_LIBRARY_PATH', 'PYTHONPATH', 'PYTHONHOME', 'HOME',"
            " 'TMPDIR'])",
            "this variable belongs to the platform (TRADEWIND_, RAY_, KUBEFLOW_, PATH, LD_*, PYTHON*): "
            "choose another name",
        ),
    )

    name: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128),
        Says("the name of a variable has letters, digits and _, and does not start with a digit"),
    ] = Field(description="Its name.")
    value: Annotated[str, StringConstraints(max_length=8192)] | None = Field(default=None, description="Its value.")
    secret_key_ref: SecretKey | None = Field(default=None, description="A Secret that has the value.")


class WorkingDir(Model):
    """Where the program's files come from."""

    config_map: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253),
        Says("the name of a ConfigMap has lower-case letters, digits, - and ."),
    ] = Field(description="ConfigMap of the object's namespace; each key is a file of the working directory.")


class Entrypoint(Model):
    """The user's own program on Ray Train; it reports by ray.train.report, and ends with exit code 0."""

    argv: Annotated[
        tuple[Annotated[str, StringConstraints(max_length=4096)], ...], Field(min_length=1, max_length=64)
    ] = Field(description="Program and arguments; no shell reads them. The working directory is the current one.")
    image: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[a-zA-Z0-9][-a-zA-Z0-9._/:@]*$", max_length=512),
            Says("write an image's reference, for example registry.example.com/team/train:1.2"),
        ]
        | None
    ) = Field(
        default=None, description="Image with Ray of the same version; the operator's workload image when left out."
    )
    working_dir: WorkingDir | None = Field(default=None, description="Where the program's files come from.")
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64)] = Field(
        default=(),
        description="The program's environment.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class Checkpoint(Model):
    """When the state of the training is written to the store."""

    every_epochs: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Epochs between two checkpoints. Trees have none: an interrupted attempt starts over."
    )
    keep: Annotated[int, Field(ge=1, le=100)] = Field(default=2, description="How many of the newest are kept.")


class Showing(Model):
    """What the report of a recipe's training shows."""

    mistakes: Annotated[int, Field(ge=0, le=50)] = Field(
        default=20,
        description="How many of the rows that the model is most wrong about stand in the report, with their values. "
        "Set it to 0 where the data is about people and others may read the report. (samples.json beside the model "
        "has 16 rows all the same: a server asks the model for them before it takes requests.)",
    )


class TrainingJobSpec(Model):
    """What to train, on what data, and where."""

    rules = (
        Rule(
            "has(self.recipe) != has(self.entrypoint)", "give either recipe (no code) or entrypoint (your own program)"
        ),
        Rule(
            "!has(self.recipe) || has(self.data)", "a recipe needs data: set spec.data.train and spec.data.validation"
        ),
        Rule(
            "!has(self.recipe) || self.recipe.task.startsWith('image-') || !has(self.data)"
            " || !has(self.data.prepare) || !self.data.prepare.exists(s, has(s.augment))",
            "augment shifts and rotates images: remove it from spec.data.prepare, or choose an image task",
        ),
        Rule(
            "!has(self.recipe) || self.recipe.task.startsWith('tabular-') || !has(self.data)"
            " || !has(self.data.prepare) || !self.data.prepare.exists(s, has(s.dropOutliers) || has(s.clip)"
            " || has(s.log) || has(s.bin) || has(s.combine))",
            "dropOutliers, clip, log, bin and combine prepare the columns of a table: remove them from "
            "spec.data.prepare, or choose a tabular task",
        ),
        Rule(
            "!has(self.recipe) || !self.recipe.task.startsWith('text-') || !has(self.data)"
            " || !has(self.data.prepare) || !self.data.prepare.exists(s, has(s.impute) || has(s.standardize))",
            "impute and standardize are about numbers: remove them from spec.data.prepare, or choose a tabular task",
        ),
        Rule(
            "!has(self.recipe) || !self.recipe.task.endsWith('-multilabel-classification') || !has(self.data)"
            " || has(self.data.labelSeparator) || has(self.data.labelColumns)",
            "a multi-label task needs to know where a row's labels stand: set spec.data.labelSeparator (in one cell, "
            "for example red;large) or spec.data.labelColumns (a column of 0 and 1 for each label)",
        ),
        Rule(
            "!has(self.recipe) || self.recipe.task.endsWith('-multilabel-classification') || !has(self.data)"
            " || !has(self.data.labelSeparator) && !has(self.data.labelColumns)",
            "labelSeparator and labelColumns are for rows with several labels: remove them, or choose a task that "
            "ends with -multilabel-classification",
        ),
        Rule(
            "!has(self.recipe) || self.recipe.batchSize >= self.workers",
            "spec.recipe.batchSize is shared by the workers: it must be at least spec.workers",
        ),
        Rule(
            "!has(self.report) || has(self.recipe)",
            "report is that of a recipe, and a program of your own writes its own: remove spec.report",
        ),
        Rule(
            "!has(self.recipe) || self.recipe.model.architecture != 'trees' || self.workers == 1",
            "trees are grown by one worker: set spec.workers to 1, and give it more CPUs (spec.resources.cpu)",
        ),
        Rule(
            "!has(self.recipe) || !has(self.recipe.precision) || self.recipe.precision == 'fp32'"
            " || has(self.resources) && has(self.resources.accelerators) && self.resources.accelerators > 0",
            "bf16 is for GPUs: set spec.resources.accelerators, or leave spec.recipe.precision out",
        ),
    )

    recipe: Recipe | None = Field(default=None, description="Training without code.")
    entrypoint: Entrypoint | None = Field(default=None, description="A program of your own on Ray Train.")
    data: Data | None = Field(default=None, description="Training and validation data.")
    workers: Annotated[int, Field(ge=1, le=1024)] = Field(default=1, description="Training processes, one per pod.")
    resources: Resources = Field(default_factory=Resources, description="Where a worker runs, and on how much.")
    pod_metadata: PodMetadata = Field(
        default_factory=PodMetadata, description="Labels and annotations of the pods, from an allow-list."
    )
    run_policy: RunPolicy = Field(default_factory=RunPolicy, description="How the job lives.")
    checkpoint: Checkpoint = Field(default_factory=Checkpoint, description="When the state is written to the store.")
    report: Showing | None = Field(
        default=None,
        description="What the report of a recipe's training shows: report.html, beside the model, for people, and "
        "report.json for programs.",
    )
    output: Output = Field(description="Where checkpoints and the model go.")


class LeftOut(Observed):
    """A column that the training left out."""

    name: Annotated[str, StringConstraints(max_length=256)] = Field(description="Its name.")
    why: Annotated[str, StringConstraints(max_length=512)] = Field(description="What its values show.")


LEFT_OUT = 10  # columns that a status names


class ModelResult(Observed):
    """A finished model in the store."""

    storage_uri: StoredUri = Field(
        description="Folder with model.onnx, model.json and the weights, which never changes."
    )
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] = Field(
        description="SHA-256 of model.json, which has the SHA-256 of every other file."
    )
    metrics: Annotated[tuple[KeyValue, ...], Field(max_length=64)] = Field(
        default=(), description="Measured on the whole test data, or validation data where there is none."
    )
    primary_metric: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None, description="Name of the metric that counts; the first one when left out."
    )
    evaluation: Evaluation | None = Field(
        default=None, description="The metric that counts, with its interval, beside that of guessing."
    )
    size_bytes: Count = Field(description="Size of model.onnx.")
    report_uri: StoredUri | None = Field(
        default=None,
        description="The report of the training for people, report.html beside the model: the data, how it learnt, "
        "metrics with intervals, the worst mistakes. report.json beside it is for programs.",
    )
    left_out: Annotated[tuple[LeftOut, ...], Field(max_length=LEFT_OUT)] | None = Field(
        default=None,
        description="Columns of the training data that the model takes nothing of though the spec did not leave them "
        "out, the first ten; the report has all.",
    )

    def leaves_out(self) -> str:
        """A sentence on the columns that the training left out; empty where there are none."""
        if not (found := self.left_out or ()):
            return ""
        shown = "; ".join(f"{short(column.name)} ({column.why})" for column in found[:3])
        return f"Left out: {shown}{'; and others, which the report names' if len(found) > 3 else ''}."


class TrainingJobStatus(JobStatus):
    """What became of the training."""

    dashboard_url: str | None = Field(
        default=None,
        alias="dashboardURL",
        description="Ray's dashboard, reachable inside the cluster by those whom the NetworkPolicy lets in.",
    )
    model: ModelResult | None = Field(default=None, description="The finished model.")

    def headline(self) -> str | None:
        """The primary metric of the finished model; while it trains, the first one that the program reports."""
        if self.model is None or not self.model.metrics:
            return super().headline()
        first = self.model.metrics[0]
        found = next((metric for metric in self.model.metrics if metric.name == self.model.primary_metric), first)
        judged = self.model.evaluation
        doubt = ""
        if judged is not None and not judged.better_than_guessing:
            doubt = " (no better than guessing)"
        elif judged is not None and judged.missed:
            doubt = f" (never {short(judged.missed[0])}{', ...' if len(judged.missed) > 1 else ''})"
        return f"{found.name} {found.value}{doubt}"


class TrainingJob(Kind):
    """Trains a model on data of the company, with a recipe or with a program of its own."""

    rules = (
        NAME_RULE,
        *fixed_once_started(
            "TrainingJob",
            "recipe",
            "entrypoint",
            "data",
            "workers",
            "podMetadata",
            "checkpoint",
            "report",
            "output",
            resources="resources",
        ),
    )
    kind: ClassVar[str] = "TrainingJob"
    plural: ClassVar[str] = "trainingjobs"
    short_name: ClassVar[str] = "tj"
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn("Phase", ".status.phase", description="One word for the state."),
        PrinterColumn("Progress", ".status.trainerStatus.progressPercentage", "integer", "Percent of the steps done."),
        PrinterColumn("ETA", ".status.trainerStatus.estimatedRemainingSeconds", "integer", "Seconds to the end."),
        PrinterColumn("Metric", ".status.columns.metric", description="The metric that counts, with its name."),
        PrinterColumn("Cost", ".status.columns.cost", description="Money so far, with its currency."),
        PrinterColumn("Age", ".metadata.creationTimestamp", "date"),
        PrinterColumn("Pool", ".status.pool.name", description="Pool that the pods run on.", priority=1),
        PrinterColumn("Attempt", ".status.attempt.number", "integer", "Number of the attempt.", priority=1),
    )

    metadata: ObjectMeta
    spec: TrainingJobSpec
    status: TrainingJobStatus = Field(default_factory=TrainingJobStatus)
