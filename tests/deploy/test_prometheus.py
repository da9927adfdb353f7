"""What is measured, alerted and shown: against a real Prometheus that has scraped the running stack."""

import json
import os
import re
import subprocess

import pytest

from box import TOP, run
from servers import Failed, wait_until

RULES = os.path.join(TOP, "compose", "prometheus", "rules")
with open(os.path.join(TOP, "compose", "grafana", "dashboards", "leasekeeper.json"), encoding="utf-8") as _f:
    DASHBOARD = json.load(_f)
with open(os.path.join(RULES, "alerts.yml"), encoding="utf-8") as _f:
    ALERTS = _f.read()
# Seen only once there is something to count, not by an agent that adopted all it needs: such a query may have no answer.
RARE = ("rotations_total", "renewals_total", "quota_rate_limit_violation")


def promtool(stack, *words, text=None):
    """Prometheus' own tool, from the stack's image. Return: what it said; raises unless it was content."""
    command = ["docker", "run", "--rm", "-i", "--network", "none", "-v", f"{TOP}:/src:ro", "--entrypoint", "promtool"]
    done = subprocess.run([*command, stack.inspect("prometheus")["Image"], *words], input=text or "", capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def page(stack, host, port):
    """A metrics page, as Prometheus gets it."""
    script = f'exec 3<>/dev/tcp/{host}/{port}; printf "GET /metrics HTTP/1.0\\r\\nHost: {host}\\r\\n\\r\\n" >&3; cat <&3'
    done = subprocess.run(["docker", "exec", stack.ids()["prometheus"], "bash", "-c", script], capture_output=True, check=True)
    head, body = done.stdout.decode().split("\r\n\r\n", 1)
    assert " 200 " in head.splitlines()[0]
    return body


def expressions():
    """Return: [(panel's title, expression)] of the dashboard; what Grafana would fill in is filled in."""
    return [(panel["title"], target["expr"].replace("$__rate_interval", "1m"))
            for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


@pytest.fixture(scope="module")
def scraped(stack):
    """The stack, after some traffic that two scrapes have seen."""
    stack.wait_healthy("agent", "app", "vault", "prometheus")

    def seen():
        # A counter's first appearance is no rate yet: the traffic goes on until it is one.
        scraped_note = stack.app.add("to be measured")
        assert scraped_note["id"] in [n["id"] for n in stack.app.notes()]
        return sum(value for _, value in stack.query('rate(notesd_http_requests_total{route="/api/v1/notes"}[1m])')) > 0
    wait_until("the traffic in Prometheus", seen, 60, 1)
    wait_until("the recording rules", lambda: stack.query("leasekeeper:secret_remaining:ratio")
               and stack.query("notesd:http_request_duration_seconds:p99_5m"), 60, 1)
    return stack


def test_prometheus_scrapes_vault_agent_and_app(scraped):
    up = {labels["job"]: value for labels, value in scraped.query("up")}
    assert up == {"vault": 1, "leasekeeperd": 1, "notesd": 1, "prometheus": 1}


@pytest.mark.parametrize("host,port", [("agent", 8201), ("app", 5000)])
def test_promtool_finds_nothing_to_say_about_our_pages(scraped, host, port):
    text = page(scraped, host, port)
    assert "process_resident_memory_bytes" in text
    assert promtool(scraped, "check", "metrics", text=text) == ""


def test_vaults_metrics_come_by_a_door_of_their_own(scraped):
    """The port that is asked without a token knows nothing but metrics; the other one gives none."""
    script = ("for p in 8200/v1/sys/metrics 8210/v1/sys/health 8210/v1/sys/metrics; do printf 'GET /%s?format=prometheus HTTP/1.1\r\n"
              "Host: vault\r\nConnection: close\r\n\r\n' ${p#*/} | openssl s_client -quiet -connect vault:${p%%/*} -CAfile "
              "/run/vault-ca/ca.pem -verify_hostname vault -verify_return_error 2>/dev/null | head -n 1; done")
    codes = [line.split()[1] for line in scraped.exec("vault", "sh", "-c", script).splitlines()]
    assert codes[2] == "200" and codes[0] != "200" and codes[1] != "200", codes


def test_configuration_and_rules_check(scraped):
    promtool(scraped, "check", "config", "--syntax-only", "/src/compose/prometheus/prometheus.yml")
    assert "FAILED" not in promtool(scraped, "check", "rules", *(f"/src/compose/prometheus/rules/{n}" for n in os.listdir(RULES)))
    loaded = scraped.exec("prometheus", "promtool", "check", "config", "/etc/prometheus/prometheus.yml")
    assert "FAILED" not in loaded


def test_each_alert_fires_when_it_should_and_is_silent_when_it_should(scraped):
    assert "SUCCESS" in promtool(scraped, "test", "rules", "/src/tests/deploy/rules.test.yml")
    with open(os.path.join(TOP, "tests", "deploy", "rules.test.yml"), encoding="utf-8") as f:
        tested = set(re.findall(r"alertname: (\w+)\n\s+eval_time: \S+\n\s+exp_alerts:\n", f.read()))
    assert tested == set(re.findall(r"- alert: (\w+)", ALERTS))


def test_each_alert_is_explained(scraped):
    with open(os.path.join(TOP, "docs", "OPERATIONS.md"), encoding="utf-8") as f:
        explained = re.findall(r"^### (\w+)$", f.read(), re.M)
    alerts = re.findall(r"- alert: (\w+)", ALERTS)
    assert explained == alerts
    assert re.findall(r"runbook: docs/OPERATIONS.md#(\w+)", ALERTS) == [name.lower() for name in alerts]


def test_a_healthy_stack_is_silent(scraped):
    # What says how things are now; others remember for some minutes what tests have done.
    now = "SecretAboutToEnd|AgentDown|AgentFailing|VaultDown|VaultSealed|NotesDown|NotesNoDatabase|ServedCertificateAboutToEnd"
    assert scraped.query(f'ALERTS{{alertstate="firing", alertname=~"{now}"}}') == []


def test_every_query_of_the_dashboard_runs(scraped):
    assert len(expressions()) > 30
    empty = []
    for title, expression in expressions():
        try:
            if not scraped.query(expression) and not any(word in expression for word in RARE):
                empty.append(f"{title}: {expression}")
        except Failed as e:
            pytest.fail(f"{title}: {e}")
    assert not empty, empty


def test_the_dashboard_has_grafanas_shape():
    """Grafana itself cannot be had from Debian: the fields that its file provisioning needs, unique ids, no overlap."""
    assert DASHBOARD["uid"] == "leasekeeper" and DASHBOARD["title"] and DASHBOARD["schemaVersion"] >= 36
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in DASHBOARD["panels"]:
        assert panel["type"] in ("row", "stat", "timeseries") and panel["title"]
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        assert [t["refId"] for t in panel["targets"]] == [chr(ord("A") + i) for i in range(len(panel["targets"]))]


def test_a_rate_limit_violation_at_vault_is_heard_of(scraped):
    """Somebody without a token asks for database users until Vault shuts him out: counted per address, so not the agent."""
    code = ("import sys; sys.path.insert(0, '/usr/lib/leasekeeper'); import setup, provision\n"
            "v = provision.Vault(setup.ADDRESS, setup.CA_FILE)\n"
            "print([v.raw('GET', 'database/creds/notes')[0] for _ in range(8)])")
    project = scraped.project
    answers = run("docker", "run", "--rm", "--network", f"{project}_vault", "-v", f"{project}_vault-ca:/run/vault-ca:ro",
                  "--entrypoint", "/usr/bin/python3", scraped.inspect("provisioner")["Image"], "-B", "-c", code)
    assert "429" in answers
    wait_until("the alert", lambda: scraped.query('ALERTS{alertname="VaultRateLimit", alertstate="firing"}'), 60, 1)
    assert not scraped.query('leasekeeper_vault_requests_total{code="429"} > 0')
