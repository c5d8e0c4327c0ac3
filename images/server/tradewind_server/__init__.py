"""What answers predictions: a model server of KServe's protocols with ONNX Runtime behind it.

It shares the manifest of a model (tradewind.api.artefact) with the operator and the workload, and nothing else.
"""

__version__ = "0.1.0"
