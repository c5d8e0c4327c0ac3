"""The report of a training: what its data was, how it learnt, how good the model is and where it fails."""
