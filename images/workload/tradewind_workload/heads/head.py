"""What a model's answers are worth, by what they are: one of some classes, any number of labels, or a number."""

from __future__ import annotations

from tradewind_workload.heads.classification import Classification
from tradewind_workload.heads.multilabel import MultiLabel
from tradewind_workload.heads.regression import Regression

Head = Classification | MultiLabel | Regression
