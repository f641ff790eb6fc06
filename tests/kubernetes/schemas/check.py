"""Manifests (a JSON list on standard input) against the schemas of Kubernetes and KEDA; what is wrong is printed.

Runs in an environment of its own (`make kubernetes-schemas`), which has nothing of ours.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from pydantic import ValidationError

VERSION = "1.37"


def problems(manifest: dict[str, Any]) -> Iterator[str]:
    if manifest["apiVersion"].startswith("keda.sh/"):
        yield from _problems_of_keda(manifest)
        return
    try:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'.'.join(str(part) for part in error.path)}: {error.message}"


def _problems_of_keda(manifest: dict[str, Any]) -> Iterator[str]:
    try:
        read = ScaledObject.model_validate(manifest)
    except ValidationError as error:
        yield from (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return
    # The models pass over what they do not know.
    known = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    yield from (f"{path}: unknown" for path in sorted(_paths(manifest) - _paths(known)))


def _paths(value: Any, at: str = "") -> set[str]:
    if isinstance(value, dict):
        return {at}.union(*(_paths(item, f"{at}.{name}") for name, item in value.items()))
    if isinstance(value, list):
        return {at}.union(*(_paths(item, f"{at}[{number}]") for number, item in enumerate(value)))
    return {at}


json.dump([list(problems(manifest)) for manifest in json.load(sys.stdin)], sys.stdout)
