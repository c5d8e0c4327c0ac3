"""Everything that needs a whole cluster: the local cluster itself, the demo, the stories and the benchmarks."""
