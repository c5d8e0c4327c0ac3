"""The controller of TrainingJob."""

from __future__ import annotations

from tradewind.api.trainingjob import TrainingJob
from tradewind.core.controller import ChildKind, Controller
from tradewind.ray import job, networkpolicy
from tradewind.training.plan import plan

CONTROLLER = Controller(
    model=TrainingJob,
    children=(
        ChildKind(job.RAY_JOB, job.observe),
        ChildKind(networkpolicy.NETWORK_POLICY, networkpolicy.observe),
    ),
    references=lambda item: (),
    outputs=lambda item: (item.spec.output.storage_uri,),
    plan=plan,
    pods=True,
    expires=True,
    shared=(networkpolicy.CLOSED,),
)
