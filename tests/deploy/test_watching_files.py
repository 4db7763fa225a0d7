"""The dashboard and the alert rules name figures that exist, and the tools can read them."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from calls.models import Attempt, Heartbeat, Job
from tests.factories import api_key, ended_call

DEPLOY = Path(settings.BASE_DIR) / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "callcenter.json").read_text())
NAME = re.compile(r"\bcallcenter_[a-z0-9_]+")
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
DRAWN = [panel for panel in PANELS if panel["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in DRAWN for target in panel["targets"])


def begin_everything() -> None:
    """So that each figure has a value."""
    now = timezone.now()
    ended_call(now=now)
    Heartbeat.beat("here", now=now)
    Attempt.objects.create(
        job=Job.objects.get(), track="inbound", number=1, started_at=now, ended_at=now,
        kind="success", packets_read=1, answer=[],
    )  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_every_figure_that_is_drawn_or_alerted_on_exists() -> None:
    begin_everything()
    answer = Client().get("/metrics", headers={"authorization": f"Bearer {api_key('read')}"})
    families = text_string_to_metric_families(answer.content.decode())
    told = {sample.name for family in families for sample in family.samples}
    named = {name for expression in expressions() for name in NAME.findall(expression)}
    assert named - told == set()
    assert {name for name in told if not name.endswith("_sum")} - named == set(), "never looked at"


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["uid"]
    assert DASHBOARD["title"]
    ids = [panel["id"] for panel in PANELS]
    assert len(ids) == len(set(ids))
    [variable] = DASHBOARD["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource", "datasource", "prometheus",
    )  # fmt: skip
    for panel in DRAWN:
        assert panel["title"]
        assert panel["description"]
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs)) > 0


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not taken & cells, panel["title"]
        taken |= cells


def test_each_alert_says_what_it_means_and_is_explained() -> None:
    explained = (Path(settings.BASE_DIR) / "docs" / "watching.md").read_text()
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert f"`{rule['alert'].removeprefix('Callcenter')}`" in explained, rule["alert"]


def test_every_web_process_of_the_service_is_asked() -> None:
    """A plain target would be a different one of them at each scrape, whose counters differ."""
    (job,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    (found,) = job["dns_sd_configs"]
    assert (found["names"], found["type"], found["port"]) == (["web"], "A", 8000)
    assert "static_configs" not in job


@pytest.mark.parametrize(
    "words",
    [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
        ["check", "config", "--syntax-only", "prometheus.yml"],
    ],
    ids=" ".join,
)
def test_prometheus_takes_its_files(words: list[str]) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("there is no promtool: apt-get install prometheus")
    done = subprocess.run([promtool, *words], cwd=RULES.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
