"""A finished model of texts: the columns with them in, answers out; the server makes the same tokens of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind.api.artefact import Processor, Tensor, Tokenizer
from tradewind_workload.tasks.text.folder import TOKENIZER

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tradewind_workload.heads.answer import Answer
    from tradewind_workload.tasks.text.reading import Reading


@dataclass(frozen=True)
class TextModel:
    """What is stored and served."""

    onnx: bytes
    weights: dict[str, bytes]  # files beside the graph, the tokenizer's among them
    reading: Reading
    answer: Answer

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The columns, each of which may lack a text. Together they are one text a row."""
        made = Processor(tokenizer=Tokenizer(file=TOKENIZER, length=self.reading.length))
        return tuple(
            Tensor(name=name, datatype="BYTES", shape=(-1,), nullable=True, kind="text", processor=made)
            for name in self.reading.columns
        )

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Those of the answer."""
        return self.answer.tensors

    def feeds(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Tokens and their mask, as the graph takes them."""
        return self.reading.tokens(table)

    def instances(self, table: pa.Table) -> list[Any]:
        """The texts by the names of their columns."""
        return self.reading.instances(table)
