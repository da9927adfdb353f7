"""Each metric that dashboards, alerts and other people's rules are built on: its name, its type and its labels, to the letter."""

import contextlib
import re
import urllib.request

from servers import Failed, wait_until

PROCESS = {
    "process_cpu_seconds_total": ("counter", ""),
    "process_open_fds": ("gauge", ""),
    "process_max_fds": ("gauge", ""),
    "process_virtual_memory_bytes": ("gauge", ""),
    "process_resident_memory_bytes": ("gauge", ""),
    "process_start_time_seconds": ("gauge", ""),
}
AGENT = {
    "leasekeeper_secret_version": ("gauge", "secret"),
    "leasekeeper_secret_expiry_timestamp_seconds": ("gauge", "secret"),
    "leasekeeper_secret_next_action_timestamp_seconds": ("gauge", "secret"),
    "leasekeeper_secret_stale": ("gauge", "secret"),
    "leasekeeper_secret_rotations_total": ("counter", "secret reason"),
    "leasekeeper_secret_renewals_total": ("counter", "secret outcome"),
    "leasekeeper_mints_total": ("counter", "secret"),
    "leasekeeper_mint_budget_waits_total": ("counter", "secret"),
    "leasekeeper_revocations_total": ("counter", "outcome"),
    "leasekeeper_vault_requests_total": ("counter", "operation code"),
    "leasekeeper_vault_request_duration_seconds": ("histogram", ""),
    "leasekeeper_token_expiry_timestamp_seconds": ("gauge", ""),
    "leasekeeper_logins_total": ("counter", "method outcome"),
    "leasekeeper_consumers": ("gauge", ""),
    "leasekeeper_socket_requests_total": ("counter", "endpoint code"),
    "leasekeeper_build_info": ("gauge", "version"),
}
APP = {
    "app_requests_total": ("counter", "endpoint"),
    "db_request_latency_seconds": ("histogram", "operation table"),
    "notesd_http_requests_total": ("counter", "route method code"),
    "notesd_http_request_duration_seconds": ("histogram", "route"),
    "notesd_db_connections": ("gauge", "state"),
    "notesd_credential_version": ("gauge", "secret"),
    "notesd_credential_swaps_total": ("counter", "secret outcome"),
    "notesd_tls_certificate_expiry_timestamp_seconds": ("gauge", ""),
}
SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? [-+.\dA-Za-z]+$")


def page(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()


def described(text):
    """Return: {metric: (type, its labels as words)}; only what has a sample stands there."""
    types = dict(line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE "))
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name, labels = SAMPLE.match(line).groups()
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        name = base if types.get(base) == "histogram" else name
        words = " ".join(word for word in re.findall(r'(\w+)="', labels or "") if word != "le")
        found.setdefault(name, set()).add((types[name], words))
    return found


def missing(wanted, text):
    found = described(text)
    return {name: found.get(name) for name, what in wanted.items() if found.get(name) != {what}}


def test_each_metric_has_its_name_type_and_labels(stand):
    stand.start({"default_ttl": "5s", "max_ttl": "10s"})
    stand.app.add("counted")

    agent = {**AGENT, **PROCESS}
    with contextlib.suppress(Failed):  # what is missing is told by the assertion
        wait_until("a renewal and a revocation", lambda: not missing(agent, page(stand.agent.metrics_port)), 30, 0.5)
    assert missing(agent, page(stand.agent.metrics_port)) == {}
    assert missing({**APP, **PROCESS}, page(stand.app.port)) == {}
    # The agent's own path gives the same page as the scraper's.
    assert set(described(stand.agent.ask("GET", "/agent/v1/metrics").text)) == set(
        described(page(stand.agent.metrics_port)))
