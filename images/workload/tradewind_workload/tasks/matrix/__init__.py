"""One matrix of numbers: images as pixels, and tables whose columns are all numbers; served as one input."""
