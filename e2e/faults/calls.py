"""What a request asks, in terms that are the same in every run of a life."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PATH = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?$"
)
KUBERAY = "kuberay-operator"


@dataclass(frozen=True, order=True)
class Moment:
    """The n-th request of its sort in a life (or the n-th watch event of a resource, with the verb `event`)."""

    verb: str
    resource: str  # with the subresource: trainingjobs/status
    about: str  # the object's name; of an Event its reason; of a list for something special what that is
    number: int = 1

    def __str__(self) -> str:
        """As it is printed."""
        return f"{self.verb} {self.resource} {self.about} #{self.number}"


def call(method: str, path: str, query: Mapping[str, str], body: bytes) -> tuple[str, Moment]:
    """The namespace that a request is about (empty: none), and what it asks."""
    match = _PATH.match(path)
    if match is None:
        return "", Moment(method.lower(), path, "")
    resource, namespace, name = match["plural"], match["namespace"] or "", match["name"] or ""
    if match["subresource"]:
        resource += f"/{match['subresource']}"
    if method == "GET":
        # Where KubeRay's own pods are: no list of what is watched.
        name = KUBERAY if KUBERAY in query.get("labelSelector", "") else name
        verb = "watch" if "watch" in query else "get" if match["name"] else "list"
        return namespace, Moment(verb, resource, name)
    verb = {"POST": "create", "PUT": "update"}.get(method, method.lower())
    if verb == "create":
        content: dict[str, Any] = json.loads(body)
        if resource == "tokenreviews":
            return _pod_of(content["spec"]["token"], resource)
        name = content["reason"] if resource == "events" else content["metadata"].get("name", "")
    return namespace, Moment(verb, resource, name)


def _pod_of(token: str, resource: str) -> tuple[str, Moment]:
    """A token review is about the pod that the token was made for: the API server's tokens say so unencrypted."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["kubernetes.io"]
    return claims["namespace"], Moment("create", resource, claims["pod"]["name"])
