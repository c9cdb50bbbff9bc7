"""Known holes in what is installed: `make audit`.

pip-audit asks PyPI, then OSV (https://pypi.org/project/pip-audit/). Where neither can be reached it reports that it
knows of no holes, which is true and means nothing: what was not looked up is said so here, loudly. Holes fail, not
knowing does not, because a mirror without advisories would otherwise stop all work.
"""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.prefix) / "audit" / "bin" / "pip-audit"
SERVICES = ("pypi", "osv")


@dataclass(frozen=True)
class Verdict:
    """What is known of so many packages: `holes`, one a line, and why others were not looked up."""

    audited: int
    holes: tuple[str, ...] = ()
    unknown: Mapping[str, str] | None = None

    @property
    def lines(self) -> list[str]:
        """What is said of it."""
        said = [f"VULNERABLE: {hole}" for hole in self.holes]
        unknown = self.unknown or {}
        if unknown:
            names, why = ", ".join(sorted(unknown)[:8]), next(iter(unknown.values()))
            more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
            said.append(f"NOT AUDITED: {len(unknown)} packages ({names}{more}): {why}")
        return [*said, f"audited: {self.audited} packages, {len(self.holes)} known holes"]


def read(report: Mapping[str, Any]) -> Verdict:
    """The verdict in what pip-audit writes as JSON."""
    holes, unknown, audited = [], {}, 0
    for package in report["dependencies"]:
        if reason := package.get("skip_reason"):
            unknown[package["name"]] = reason
            continue
        audited += 1
        for hole in package["vulns"]:
            mended = ", ".join(hole["fix_versions"]) or "no version yet"
            holes.append(f"{package['name']} {package['version']}: {hole['id']}, mended in {mended}")
    return Verdict(audited, tuple(holes), unknown)


def ask(service: str) -> Verdict:
    """What a service knows of everything installed beside this interpreter."""
    installed = sysconfig.get_path("purelib")
    command = [
        PROGRAM,
        "--path",
        installed,
        "-s",
        service,
        "-f",
        "json",
        "--progress-spinner",
        "off",
        "--skip-editable",
    ]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
        return read(json.loads(ended.stdout))
    except subprocess.TimeoutExpired:
        return Verdict(0, (), {"everything": f"{service} gave no answer"})
    except OSError as fault:
        return Verdict(0, (), {"everything": f"pip-audit cannot be run: {fault.strerror}"})
    except (ValueError, KeyError):
        why = ended.stderr.strip().splitlines() or ["it said nothing"]
        return Verdict(0, (), {"everything": f"{service} was not reached: {why[-1][:200]}"})


def main() -> int:
    """Print the verdict of the first service that knows anything; 1 when it knows of holes."""
    verdicts = []
    for service in SERVICES:
        verdicts.append(ask(service))
        if verdicts[-1].audited:
            break
    told = max(verdicts, key=lambda verdict: verdict.audited)
    print("\n".join(told.lines))
    return 1 if told.holes else 0


if __name__ == "__main__":
    sys.exit(main())
