"""The contract with the user: every field of the kinds, of a model's manifest, of a report and of the configuration.

Only pydantic is imported here, so that the operator, the workload and the server can share it.
"""

GROUP = "tradewind.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
