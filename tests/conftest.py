"""One API server for all folders whose tests need one with the definitions of others."""

from importlib.util import find_spec

from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is.
settings.register_profile("tradewind", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tradewind")

# The environments of the server and of the workload have no operator, and their tests need no API server.
if find_spec("kopf") is not None:
    from tests.apiserver.cluster import cluster, launch, namespace

    __all__ = ["cluster", "launch", "namespace"]
