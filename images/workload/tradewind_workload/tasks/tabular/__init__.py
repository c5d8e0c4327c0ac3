"""Tables of mixed columns: encoded, learned by a network or by boosted trees, and served from one ONNX graph."""
