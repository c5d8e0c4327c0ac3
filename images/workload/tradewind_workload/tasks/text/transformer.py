"""A transformer of a folder with a new layer of answers: the mean of what it says of the tokens of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.text.folder import FIELD
from tradewind_workload.tasks.text.network import TextNetwork

if TYPE_CHECKING:
    from tradewind.api.trainingjob import Architecture
    from tradewind_workload.tasks.text.folder import Folder

DROPOUT = 0.1
_NAMED = 3  # tensors that a message names


class Transformer(TextNetwork):
    """`body` gives a vector for each token."""

    def __init__(self, body: Any, outputs: int, dropout: float) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.outputs = nn.Linear(body.config.hidden_size, outputs)
        nn.init.normal_(self.outputs.weight, std=0.02)
        nn.init.zeros_(self.outputs.bias)

    def read(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """See TextNetwork."""
        said = self.body(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        chosen = mask.unsqueeze(2).to(said.dtype)
        mean = (said * chosen).sum(1) / chosen.sum(1).clamp(min=1)
        return self.outputs(self.dropout(mean))  # type: ignore[no-any-return]


def build(folder: Folder, architecture: Architecture, outputs: int, seed: int) -> Transformer:
    """The transformer with its weights; the same seed gives the same new layer.

    Raises Fault(InvalidModel) where the weights are not those of the configuration.
    """
    body = _bare(folder) if folder.bare else _loaded(folder)
    torch.manual_seed(seed)
    dropout = DROPOUT if architecture.dropout is None else float(architecture.dropout)
    return Transformer(body, outputs, dropout)


def _bare(folder: Folder) -> Any:
    """The body with random weights, without one that makes a vector of the first token's."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(str(folder.path), local_files_only=True, trust_remote_code=False)
    body = transformers.AutoModel.from_config(config, trust_remote_code=False, attn_implementation="eager")
    if getattr(body, "pooler", None) is not None:
        body.pooler = None
    return body


def _loaded(folder: Folder) -> Any:
    import transformers

    # Of weights that are new it says the same as we do, in a table.
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        body, told = transformers.AutoModel.from_pretrained(
            str(folder.path),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            attn_implementation="eager",  # plain products, which every exporter and every device has
            output_loading_info=True,
        )
    except Exception as error:  # it raises whatever its parts do
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the volume's
        said = " ".join(str(error).split())[:300]
        raise Fault("InvalidModel", f"{FIELD} {folder.uri} can't be loaded by transformers: {said}") from None
    if getattr(body, "pooler", None) is not None:
        body.pooler = None  # it makes one vector of the first token's, and here the mean counts
    lacking = sorted(name for name in told["missing_keys"] if not name.startswith("pooler."))
    if lacking or told["mismatched_keys"]:
        named = ", ".join([*lacking, *(str(key) for key in told["mismatched_keys"])][:_NAMED])
        raise Fault(
            "InvalidModel",
            f"{FIELD} {folder.uri}: model.safetensors has not all tensors that config.json asks for, or of another "
            f"shape ({named}): the two are not of one model. Copy both from the same place.",
        )
    return body
