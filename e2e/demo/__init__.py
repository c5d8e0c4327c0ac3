"""The product's main job, shown: handwritten digits from raw data to predictions over HTTP."""
