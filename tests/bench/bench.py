"""make bench: notesd beside what others would write, and leasekeeperd beside `bao agent`, on this machine, in one run.

bench.py [app] [agent]     both if none is named
BENCH_QUICK=1              one short round: to see that it works, not to believe the figures
BENCH_ROUNDS=5 BENCH_SECONDS=3 BENCH_ONLY=go,axum    what they say

Prints the tables and writes them to build/bench: app.md, app.json, app.svg, agent.md, agent.json. Timings are ratios within
one run on a machine that others may use as well; nothing here fails because of one.
"""

import dataclasses
import os
import platform
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "compose", "local"))

from servers import TOP, Failed  # noqa: E402  (its folder is known only now)
import agent_bench  # noqa: E402
import app_bench  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402

FOLDER = os.path.join(TOP, "build", "bench")


@dataclasses.dataclass
class Plan:
    """How much of all is done."""

    rounds: int = 5
    seconds: int = 3
    rotation_seconds: int = 15
    million_requests: int = 1_000_000
    million_rotations: int = 100
    quick: bool = False
    only: tuple = ()


def plan():
    quick = os.environ.get("BENCH_QUICK") == "1"
    made = Plan(rounds=1, seconds=1, rotation_seconds=4, million_requests=0, quick=True) if quick else Plan()
    for name in ("rounds", "seconds"):
        text = os.environ.get(f"BENCH_{name.upper()}")
        if text:
            setattr(made, name, max(1, int(text)))
    made.only = tuple(filter(None, os.environ.get("BENCH_ONLY", "").split(",")))
    return made


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), "unknown processor")
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release()}"


def app(a_plan):
    done = app_bench.bench(a_plan, FOLDER)
    made = report.AppReport(done)
    text = f"{machine()}. {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}.\n\n{made.text()}"
    report.write(FOLDER, "app.md", text)
    report.write(FOLDER, "app.svg", report.svg(made))
    report.write_json(FOLDER, "app.json", machine=machine(), versions=done.versions, skipped=done.skipped,
                      results=done.results.as_list())
    return text


def agent(a_plan):
    done = agent_bench.bench(a_plan, FOLDER)
    text = f"{machine()}. {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}.\n\n{done.text()}"
    report.write(FOLDER, "agent.md", text)
    report.write_json(FOLDER, "agent.json", machine=machine(), versions=done.versions, results=done.results.as_list())
    return text


def main():
    wanted = sys.argv[1:] or ["app", "agent"]
    if not set(wanted) <= {"app", "agent"}:
        print(__doc__, file=sys.stderr)
        return 2
    os.makedirs(FOLDER, exist_ok=True)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        for name in wanted:
            print(f"\n{(app if name == 'app' else agent)(plan())}")
    except (Failed, peers.Missing) as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"written to {os.path.relpath(FOLDER)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
