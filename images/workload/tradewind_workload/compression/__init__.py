"""A CompressionJob: make the variants, measure them beside the baseline, judge them, write them and the report down."""
