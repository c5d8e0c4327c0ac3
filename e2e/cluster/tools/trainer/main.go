// Kubeflow Trainer's controller manager as its cmd/trainer-controller-manager sets it up, without admission webhooks
// and their certificates, and with the client's rate limits as flags: the original has none for them.
package main

import (
	"flag"
	"os"

	apiruntime "k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlpkg "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	jobsetv1alpha2 "sigs.k8s.io/jobset/api/jobset/v1alpha2"
	schedulerpluginsv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	trainer "github.com/kubeflow/trainer/v2/pkg/apis/trainer/v1alpha1"
	"github.com/kubeflow/trainer/v2/pkg/controller"
	"github.com/kubeflow/trainer/v2/pkg/runtime/core"
)

func main() {
	probes := flag.String("health-probe-bind-address", ":8081", "address of the probes")
	// The defaults are those that controller-runtime has where nothing is said, as in the original.
	qps := flag.Float64("qps", 20, "requests a second to the API server")
	burst := flag.Int("burst", 30, "requests to the API server at once")
	flag.Parse()
	ctrl.SetLogger(zap.New())

	scheme := apiruntime.NewScheme()
	for _, add := range []func(*apiruntime.Scheme) error{
		clientgoscheme.AddToScheme, trainer.AddToScheme, jobsetv1alpha2.AddToScheme, schedulerpluginsv1alpha1.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	config := ctrl.GetConfigOrDie()
	config.QPS, config.Burst = float32(*qps), *burst
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                 scheme,
		Client:                 client.Options{Cache: &client.CacheOptions{Unstructured: true}},
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: *probes,
	})
	exitOn(err, "the manager")
	ctx := ctrl.SetupSignalHandler()
	runtimes, err := core.New(ctx, manager.GetClient(), manager.GetFieldIndexer())
	exitOn(err, "the runtimes")
	failed, err := controller.SetupControllers(manager, runtimes, ctrlpkg.Options{})
	exitOn(err, failed)
	exitOn(manager.AddReadyzCheck("readyz", healthz.Ping), "the probe")
	exitOn(manager.Start(ctx), "running")
}

func exitOn(err error, what string) {
	if err != nil {
		ctrl.Log.Error(err, what)
		os.Exit(1)
	}
}
