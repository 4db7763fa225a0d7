"""The manifests as kubectl renders them, held to their schemas and to the settings."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.conf import settings

from tests.deploy.settings_read import FOR_OPERATORS, settings_read

MANIFESTS = Path(settings.BASE_DIR) / "deploy" / "kubernetes"
ABSENT = "no kubectl was found on the PATH: the manifests are not rendered"
OLDEST = "1.30"  # `preStop.sleep` is on from there
COMPONENT = "app.kubernetes.io/component"

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def rendered() -> list[Manifest]:
    if shutil.which("kubectl") is None:
        pytest.skip(ABSENT)
    words = ["kubectl", "kustomize", str(MANIFESTS)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(rendered: list[Manifest], *kinds: str) -> list[Manifest]:
    return [one for one in rendered if one["kind"] in kinds]


def workloads(rendered: list[Manifest]) -> dict[str, Manifest]:
    """The pods' specs, by name."""
    found = of_kind(rendered, "Deployment", "Job")
    return {one["metadata"]["name"]: one["spec"]["template"] for one in found}


def containers(rendered: list[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Each with its pod."""
    for name, template in workloads(rendered).items():
        pod = template["spec"]
        for one in [*pod.get("initContainers", []), *pod["containers"]]:
            yield f"{name}/{one['name']}", pod, one


def shared(rendered: list[Manifest]) -> Manifest:
    (found,) = of_kind(rendered, "ConfigMap")
    return found


def test_every_manifest_is_as_its_schema_wants_it(rendered: list[Manifest]) -> None:
    for one in rendered:
        kubernetes_validate.validate(one, OLDEST, strict=True)


def test_every_setting_given_is_one_that_the_code_reads(rendered: list[Manifest]) -> None:
    given = {one["name"] for _, _, box in containers(rendered) for one in box.get("env", [])}
    assert given | shared(rendered)["data"].keys() <= settings_read()


def test_every_setting_for_operators_is_given(rendered: list[Manifest]) -> None:
    given = {one["name"] for _, _, box in containers(rendered) for one in box.get("env", [])}
    assert given | shared(rendered)["data"].keys() >= FOR_OPERATORS


def test_no_service_says_in_the_environment_what_a_setting_is(rendered: list[Manifest]) -> None:
    """Unless told otherwise, every pod gets NAME_PORT=tcp://… for each service of its namespace."""
    told = {f"{one['metadata']['name'].upper()}_PORT" for one in of_kind(rendered, "Service")}
    assert told & settings_read()
    for name, template in workloads(rendered).items():
        assert template["spec"]["enableServiceLinks"] is False, name


def test_whoever_wants_a_secret_gets_its_file(rendered: list[Manifest]) -> None:
    for name, pod, box in containers(rendered):
        env = {one["name"]: one["value"] for one in box.get("env", [])}
        asked = {value for variable, value in env.items() if variable.endswith("_FILE")}
        secrets = [v["secret"] for v in pod["volumes"] if "secret" in v]
        given = {f"/run/secrets/{item['path']}" for one in secrets for item in one["items"]}
        assert asked <= given, name
        mounted = {mount["mountPath"] for mount in box["volumeMounts"]}
        assert ("/run/secrets" in mounted) == bool(asked), name


def test_no_container_has_rights_that_it_does_not_need(rendered: list[Manifest]) -> None:
    for name, pod, box in containers(rendered):
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert box["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def test_every_container_says_what_it_needs_and_is_the_same_image(
    rendered: list[Manifest],
) -> None:
    assert len({box["image"] for _, _, box in containers(rendered)}) == 1
    for name, _, box in containers(rendered):
        assert {"cpu", "memory"} <= box["resources"]["requests"].keys(), name
        assert "memory" in box["resources"]["limits"], name


def test_every_container_that_stays_is_probed(rendered: list[Manifest]) -> None:
    for deployment in of_kind(rendered, "Deployment"):
        for box in deployment["spec"]["template"]["spec"]["containers"]:
            assert "livenessProbe" in box


def test_web_leaves_the_pool_by_its_health_and_is_not_killed_for_it(
    rendered: list[Manifest],
) -> None:
    (web,) = workloads(rendered)["web"]["spec"]["containers"]
    assert web["readinessProbe"]["httpGet"]["path"] == "/health"
    assert web["livenessProbe"]["httpGet"]["path"] != "/health"
    hosts = shared(rendered)["data"]["ALLOWED_HOSTS"].split(",")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert web[probe]["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "localhost"}]
    assert "localhost" in hosts


def test_every_selector_finds_its_pods(rendered: list[Manifest]) -> None:
    labels = [template["metadata"]["labels"] for template in workloads(rendered).values()]
    for one in of_kind(rendered, "Service", "PodDisruptionBudget"):
        selector = one["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        assert any(wanted.items() <= found.items() for found in labels), one["metadata"]["name"]
    for policy in of_kind(rendered, "NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        names = {selector.get("matchLabels", {}).get(COMPONENT)} - {None}
        names |= {name for rule in selector.get("matchExpressions", []) for name in rule["values"]}
        assert names <= workloads(rendered).keys(), policy["metadata"]["name"]


def test_what_serves_survives_a_disruption_and_grows(rendered: list[Manifest]) -> None:
    for kind in ("PodDisruptionBudget", "HorizontalPodAutoscaler"):
        assert {one["metadata"]["name"] for one in of_kind(rendered, kind)} == {"web", "worker"}
    for scaler in of_kind(rendered, "HorizontalPodAutoscaler"):
        assert scaler["spec"]["minReplicas"] >= 2
        name = scaler["spec"]["scaleTargetRef"]["name"]
        (target,) = (d for d in of_kind(rendered, "Deployment") if d["metadata"]["name"] == name)
        assert "replicas" not in target["spec"]


def test_workers_grow_with_the_age_of_the_backlog(rendered: list[Manifest]) -> None:
    (scaler,) = (
        one
        for one in of_kind(rendered, "HorizontalPodAutoscaler")
        if one["metadata"]["name"] == "worker"
    )
    (metric,) = scaler["spec"]["metrics"]
    assert metric["type"] == "External"
    assert metric["external"]["metric"]["name"] == "callcenter_oldest_due_job_age_seconds"


def test_every_way_in_leads_to_a_service_and_is_https(rendered: list[Manifest]) -> None:
    services = {one["metadata"]["name"] for one in of_kind(rendered, "Service")}
    hosts = shared(rendered)["data"]["ALLOWED_HOSTS"].split(",")
    for ingress in of_kind(rendered, "Ingress"):
        (rule,) = ingress["spec"]["rules"]
        assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
        assert rule["host"] in hosts
        for path in rule["http"]["paths"]:
            assert path["backend"]["service"]["name"] in services


def test_sockets_of_hours_fit_through_the_way_in(rendered: list[Manifest]) -> None:
    (main,) = (i for i in of_kind(rendered, "Ingress") if i["metadata"]["name"] == "callcenter")
    said = main["metadata"]["annotations"]
    assert int(said["nginx.ingress.kubernetes.io/proxy-read-timeout"]) >= 4 * 3600
    assert said["nginx.org/proxy-read-timeout"] == "4h"


def test_without_a_rule_nothing_may_talk(rendered: list[Manifest]) -> None:
    (closed,) = (
        one for one in of_kind(rendered, "NetworkPolicy") if one["metadata"]["name"] == "nothing"
    )
    assert closed["spec"]["podSelector"] == {}
    assert closed["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in closed["spec"]
    assert "egress" not in closed["spec"]
