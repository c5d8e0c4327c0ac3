"""From what a user sends to what a network takes: texts, pictures and times, in training and in serving by the same
code.

Pure functions of texts and bytes; nothing of Tradewind's is imported here.
"""

from __future__ import annotations

from tradewind_processors.picturing import Picturing
from tradewind_processors.refusal import Unprocessable
from tradewind_processors.tokenizing import Tokenizing, joined

__all__ = ["Picturing", "Tokenizing", "Unprocessable", "joined"]
