"""The controllers of this operator."""

from __future__ import annotations

from tradewind.compression.controller import CONTROLLER as COMPRESSION
from tradewind.core.controller import Controller
from tradewind.deployment.controller import CONTROLLER as DEPLOYMENT
from tradewind.training.controller import CONTROLLER as TRAINING

CONTROLLERS: tuple[Controller, ...] = (TRAINING, COMPRESSION, DEPLOYMENT)
