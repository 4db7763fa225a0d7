"""docker-compose.yml and the image, held to the published schema and to the settings."""

import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from django.conf import settings
from jsonschema import Draft7Validator

from callcenter.environment import address, secret
from tests.deploy.settings_read import FOR_OPERATORS, settings_read

ROOT = Path(settings.BASE_DIR)
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
RUNNING = {name: service for name, service in SERVICES.items() if name != "prepare"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def environment(*services: str) -> set[str]:
    return {name for service in services for name in SERVICES[service].get("environment", {})}


def test_the_file_is_as_the_published_schema_wants_it() -> None:
    faults = Draft7Validator(get_builtin_schema("vendor.compose-spec")).iter_errors(COMPOSE)
    assert [f"{list(fault.path)}: {fault.message}" for fault in faults] == []


def test_every_setting_given_is_one_that_the_code_reads() -> None:
    assert environment(*OURS) <= settings_read()


def test_every_setting_for_operators_is_given() -> None:
    assert environment(*OURS) >= FOR_OPERATORS


def test_whoever_wants_a_secret_gets_its_file_and_no_other() -> None:
    for service in OURS.values():
        given = service.get("environment", {})
        asked = {value for name, value in given.items() if name.endswith("_FILE")}
        assert asked == {f"/run/secrets/{name}" for name in service.get("secrets", [])}
    named = {
        one if isinstance(one, str) else one["source"]
        for service in SERVICES.values()
        for one in service.get("secrets", [])
    }
    assert named == COMPOSE["secrets"].keys()


def test_the_edge_alone_is_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["edge"]


def test_the_database_shares_no_network_with_the_edge_nor_the_ai_service() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    for store in ("postgres", "redis"):
        assert networks[store] == {"store"}
        assert not networks[store] & (networks["edge"] | networks["speech"])
    open_networks = {name for name, net in COMPOSE["networks"].items() if net is None}
    assert networks["edge"] & open_networks == {"public"}
    assert [name for name in networks if "public" in networks[name]] == ["edge"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert ("cap_add" in service) == (name == "postgres")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_bounds(name: str) -> None:
    assert set(SERVICES[name]["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert SERVICES[name]["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", RUNNING)
def test_a_service_is_watched_and_started_again(name: str) -> None:
    assert RUNNING[name]["restart"] == "unless-stopped"
    assert RUNNING[name]["healthcheck"]["test"]


def test_nothing_starts_before_what_it_needs() -> None:
    wanted = {
        (name, other): condition["condition"]
        for name, service in SERVICES.items()
        for other, condition in service.get("depends_on", {}).items()
    }
    assert wanted == {
        ("edge", "web"): "service_healthy",
        ("web", "prepare"): "service_completed_successfully",
        ("worker", "prepare"): "service_completed_successfully",
        ("prepare", "postgres"): "service_healthy",
        ("prepare", "redis"): "service_healthy",
    }


def test_what_must_stay_lies_in_named_volumes_or_the_project() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).is_file(), mount


def mounts_of_the_edge() -> Iterator[str]:
    yield from (mount.split(":")[1] for mount in SERVICES["edge"]["volumes"])
    yield from (one["target"] for one in SERVICES["edge"]["secrets"])


def test_the_edge_finds_every_file_that_its_configuration_names() -> None:
    configuration = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text()
    named = re.findall(r"^\s*(?:include|ssl_certificate\w*) (\S+);", configuration, re.MULTILINE)
    assert len(named) == 5
    assert {f"/etc/nginx/{name}" for name in named} <= set(mounts_of_the_edge())


def test_the_edge_passes_on_to_the_port_that_web_listens_to() -> None:
    upstream = (ROOT / "deploy" / "nginx" / "upstream.conf").read_text()
    assert "server web:8000 resolve" in upstream
    listened = (ROOT / "deploy" / "nginx" / "listen.conf").read_text()
    listened += (ROOT / "deploy" / "nginx" / "listen_plain.conf").read_text()
    for published in SERVICES["edge"]["ports"]:
        assert f"listen {published.split(':')[-1]}" in listened


def test_the_secrets_are_made_once_and_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "deploy" / "secrets.sh"
    script.parent.mkdir()
    script.write_text((ROOT / "deploy" / "secrets.sh").read_text())
    for _ in range(2):
        subprocess.run(["sh", script, "calls.example.com"], check=True, capture_output=True)
        made = {path.name: path.read_text() for path in (script.parent / "secrets").iterdir()}
    assert {f"./deploy/secrets/{name}" for name in made} == {
        one["file"] for one in COMPOSE["secrets"].values()
    }
    assert stat.S_IMODE((script.parent / "secrets").stat().st_mode) == 0o700
    assert (tmp_path / ".env").read_text() == "ALLOWED_HOSTS=calls.example.com\n"
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL_FILE", str(script.parent / "secrets" / "database_url"))
    assert made["postgres_password"] in secret("DATABASE_URL", address("postgresql"))
    assert made["redis_conf"].split()[1] in made["redis_url"]
    assert len(set(made["secret_key"])) > 20
    assert len(made["secret_key"]) == 64


def test_secrets_for_no_name_are_not_made() -> None:
    said = subprocess.run(["sh", ROOT / "deploy" / "secrets.sh"], capture_output=True, text=True)
    assert (said.returncode, "usage" in said.stderr) == (2, True)


def test_the_image_runs_as_nobody_in_particular_and_says_whether_it_is_well() -> None:
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert "\nUSER 10001:10001\n" in last
    assert "HEALTHCHECK" in last
    assert "pip install" not in last
    assert "--require-hashes" in DOCKERFILE


def test_nothing_secret_or_idle_gets_into_the_image() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    taken = {rule[1:] for rule in rules if rule.startswith("!")}
    assert taken == {
        *("callcenter", "calls", "dashboard", "templates"),
        *("manage.py", "requirements.lock", "requirements-otel.txt"),
    }


def test_an_address_for_traces_brings_the_image_what_they_need() -> None:
    for service in OURS.values():
        assert service["build"]["args"] == {"TRACING": "${OTEL_EXPORTER_OTLP_ENDPOINT:+yes}"}
    wanted = 'if [ -n "$TRACING" ]; then /venv/bin/pip install --no-deps --require-hashes'
    assert f"{wanted} --requirement requirements-otel.txt" in " ".join(
        DOCKERFILE.replace("\\\n", "").split()
    )
    assert all("outside" in SERVICES[name]["networks"] for name in ("web", "worker"))


def pins(name: str) -> set[str]:
    lines = (ROOT / name).read_text().splitlines()
    found = (re.match(r"([A-Za-z0-9_.-]+)==([^\s;\\]+)", line) for line in lines)
    return {f"{re.sub('[-_.]+', '-', m[1]).lower()}=={m[2]}" for m in found if m}


def test_the_lock_holds_what_is_pinned_and_a_hash_of_each() -> None:
    assert pins("requirements.lock") == pins("requirements.txt"), "run `make lock`"
    for name in ("requirements.lock", "requirements-otel.txt"):
        lock = (ROOT / name).read_text().replace("\\\n", "")
        lines = [line for line in lock.splitlines() if not line.startswith("#")]
        assert all("--hash=sha256:" in line for line in lines), name
