module tradewind.dev/e2e/cluster/tools/prometheus-operator

go 1.26.0

// Only for the files of its custom resource definitions; nothing of it is compiled.
require github.com/prometheus-operator/prometheus-operator v0.85.0
