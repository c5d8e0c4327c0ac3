"""Requests to the API server: few kinds of them, each with typed errors and a time limit."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic import Resource as DynamicResource

from tradewind.core.labels import MANAGER
from tradewind.core.plan import Resource
from tradewind.kube.connection import Connection, Counter, session_options
from tradewind.kube.errors import KindMissing, NotFound, Unavailable, from_answer

TIMEOUT = 10.0  # seconds for a request; what takes longer is tried again
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# With a parameter, the client sends our text as it is instead of writing JSON of it.
APPLY = "application/apply-patch+yaml; charset=utf-8"
# The API server would read what is sent a second time, to warn of fields that it drops; `covers` finds them by itself.
IGNORE = ("fieldValidation", "Ignore")
METADATA_ONLY = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"

# Characters that JSON may have in a text as they are, and YAML only escaped.
_ESCAPED_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class Client:
    """A client of the API server."""

    def __init__(self, connection: Connection, count: Counter, may_write: Callable[[str], None] | None = None) -> None:
        configuration = connection.configuration
        configuration.client_session_kwargs = session_options(connection.lists, count, may_write)
        self._api = ApiClient(configuration)
        self._api.user_agent = "tradewind"
        # Not awaited: kinds are declared by our controllers, so nothing is discovered and no cache file is written.
        self._dynamic = DynamicClient(self._api)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def apply(
        self, resource: Resource, namespace: str, manifest: Mapping[str, Any], *, force: bool
    ) -> dict[str, Any]:
        """Server-side apply as field manager `tradewind`; the object as it is now.

        Without `force` a field that someone else set to another value is `Rejected`.
        """
        return await self._request(
            "patch",
            self._path(resource, namespace, manifest["metadata"]["name"]),
            body=yaml(manifest),
            content_type=APPLY,
            query_params=[IGNORE],
            field_manager=MANAGER,
            force_conflicts=force,
        )

    async def make(self, resource: Resource, namespace: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object as field manager `tradewind`; the object. `AlreadyExists` where one has its name."""
        return await self._request(
            "post",
            self._path(resource, namespace, "").rstrip("/"),
            body=manifest,
            query_params=[IGNORE],
            field_manager=MANAGER,
        )

    async def replace_status(
        self, resource: Resource, namespace: str, name: str, version: str, status: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Replace the whole status if the object still has that resourceVersion; the object as it is now.

        A JSON patch: it takes away what is no longer said, needs no read before, and never writes over a status that
        was not seen (`Conflict`).
        """
        return await self._request(
            "patch",
            self._path(resource, namespace, name) + "/status",
            body=[
                {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
                {"op": "add", "path": "/status", "value": status},
            ],
            content_type="application/json-patch+json",
            query_params=[IGNORE],
            field_manager=MANAGER,
        )

    async def list(
        self, resource: Resource, namespace: str, labels: Mapping[str, str]
    ) -> tuple[list[dict[str, Any]], int]:
        """The objects of a namespace with these labels as they are now, and the list's version."""
        found = await self._request(
            "get",
            self._path(resource, namespace, "").rstrip("/"),
            query_params=[("labelSelector", ",".join(f"{name}={value}" for name, value in labels.items()))],
        )
        return list(found.get("items") or ()), int(found["metadata"]["resourceVersion"])

    async def find(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        """The object of that name, whatever its labels. A list, so that the rights on children need no `get`."""
        found = await self._request(
            "get",
            self._path(resource, namespace, "").rstrip("/"),
            query_params=[("fieldSelector", f"metadata.name={name}")],
        )
        return next(iter(found.get("items") or ()), None)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Delete an object if it is still the one with that uid; its own children follow in the background."""
        await self._request(
            "delete",
            self._path(resource, namespace, name),
            body={"preconditions": {"uid": uid}, "propagationPolicy": "Background"},
        )

    async def create(self, api_version: str, plural: str, namespace: str | None, body: Mapping[str, Any]) -> Any:
        """Create an object; the API server's answer."""
        prefix = "/apis" if "/" in api_version else "/api"
        where = f"/namespaces/{namespace}" if namespace else ""
        return await self._request("post", f"{prefix}/{api_version}{where}/{plural}", body=body)

    async def read(self, api_version: str, plural: str, namespace: str, name: str) -> dict[str, Any]:
        """Read an object."""
        prefix = "/apis" if "/" in api_version else "/api"
        return await self._request("get", f"{prefix}/{api_version}/namespaces/{namespace}/{plural}/{name}")

    async def update(
        self, api_version: str, plural: str, namespace: str, body: Mapping[str, Any], seconds: float = TIMEOUT
    ) -> dict[str, Any]:
        """Replace an object, under the resourceVersion in its metadata."""
        prefix = "/apis" if "/" in api_version else "/api"
        path = f"{prefix}/{api_version}/namespaces/{namespace}/{plural}/{body['metadata']['name']}"
        return await self._request("put", path, body=body, seconds=seconds)

    async def review_token(self, token: str, audience: str) -> dict[str, Any]:
        """Status of a TokenReview: who the bearer of the token is."""
        review = await self.create(
            "authentication.k8s.io/v1",
            "tokenreviews",
            None,
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": token, "audiences": [audience]},
            },
        )
        return dict(review.get("status") or {})

    async def served(self, group: str, version: str) -> frozenset[str]:
        """Plurals of the kinds that the API server serves in a group and version; empty where it has no such group.

        Raises `KubeError` where it does not say: a busy API server would else count as one without any kinds.
        """
        prefix = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            found = await self._request("get", prefix)
        except (KindMissing, NotFound):
            return frozenset()
        return frozenset(entry["name"] for entry in found.get("resources") or () if "/" not in entry["name"])

    async def list_crds(self) -> tuple[frozenset[str], str]:
        """Names of all CustomResourceDefinitions (not their schemas, which are megabytes), and the list's version."""
        names: set[str] = set()
        token = ""
        while True:
            page = await self._request(
                "get", CRDS, limit=500, _continue=token or None, header_params={"Accept": METADATA_ONLY.format("List")}
            )
            names.update(item["metadata"]["name"] for item in page.get("items") or ())
            token = page["metadata"].get("continue") or ""
            if not token:
                return frozenset(names), page["metadata"]["resourceVersion"]

    async def definition_mentions(self, name: str, field: str) -> bool:
        """Whether a CustomResourceDefinition has a field of that name in its schema. Raises `KubeError`.

        The schema is searched, not decoded: it is megabytes, and ten times that as Python objects.
        """
        query = [("fieldSelector", f"metadata.name={name}")]
        async with self._answer("get", CRDS, TIMEOUT, query_params=query) as answer:
            try:
                return f'"{field}":{{'.encode() in await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Unavailable(f"the answer of the API server broke off: {error}") from error

    async def watch_crds(self, version: str, seconds: int) -> AsyncIterator[dict[str, Any]]:
        """Changes of CustomResourceDefinitions after a version, for so many seconds: watch events with metadata only.

        Ends early where the connection does. Raises `KubeError`; an event of type ERROR is passed on.
        """
        async with self._answer(
            "get",
            CRDS,
            seconds + 30.0,
            watch="true",
            resource_version=version,
            timeout_seconds=seconds,
            query_params=[("allowWatchBookmarks", "true")],
            header_params={"Accept": METADATA_ONLY.format("")},
        ) as answer:
            try:
                async for line in answer.content:
                    if line.strip():
                        yield json.loads(line)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise Unavailable(f"the watch of CustomResourceDefinitions broke off: {error}") from error

    def _path(self, resource: Resource, namespace: str, name: str) -> str:
        dynamic = DynamicResource(  # type: ignore[no-untyped-call]
            prefix="apis" if resource.group else "api",
            group=resource.group,
            api_version=resource.version,
            kind=resource.kind,
            name=resource.plural,
            namespaced=True,
            client=self._dynamic,
        )
        return str(dynamic.path(name=name, namespace=namespace))  # type: ignore[no-untyped-call]

    async def _request(self, method: str, path: str, *, seconds: float = TIMEOUT, **options: Any) -> dict[str, Any]:
        async with self._answer(method, path, seconds, **options) as answer:
            try:
                found = await answer.json(content_type=None)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise Unavailable(f"the answer of the API server broke off: {error}") from error
        return found if isinstance(found, dict) else {}

    @asynccontextmanager
    async def _answer(self, method: str, path: str, seconds: float, **options: Any) -> AsyncIterator[Any]:
        try:
            answer = await self._dynamic.request(
                method, path, serialize=False, _request_timeout=aiohttp.ClientTimeout(total=seconds), **options
            )
        except ApiException as error:
            raise from_answer(error.status, error.body, error.headers) from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"the API server can't be reached: {str(error) or type(error).__name__}") from error
        async with answer:
            yield answer


def yaml(manifest: Mapping[str, Any]) -> str:
    """JSON that is YAML too, as which the API server reads an apply: YAML knows no character as a pair of escapes."""
    text = json.dumps(manifest, ensure_ascii=False)
    return _ESCAPED_IN_YAML.sub(lambda character: f"\\u{ord(character[0]):04x}", text)
