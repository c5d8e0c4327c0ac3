"""What runs in the pods of a TrainingJob and of a CompressionJob: prepares data, trains, exports, compresses, measures.

It shares the fields of the contract (tradewind.api) with the operator, and nothing else.
"""
