"""The state machines: what asl-validator does not know, because it is this project's own rule.

Error names, answers and inputs are promised in docs/architecture.md; the machines are held against that page.
"""

import json
import re
from pathlib import Path

import template
from report import ROOT, finish

# AWS's own names: Step Functions (States), the Lambda service (Lambda) and the Lambda runtime (Runtime, Sandbox).
AWS_ERROR = re.compile(r"^(States|Lambda|Runtime|Sandbox)\.[A-Za-z]+$")
TOKEN = ".waitForTaskToken"
# States that another state's function serves: both sleep, on a row of their own.
SERVED_BY = {"AwaitAnswer": "AwaitTurn", "Bake": "AwaitTurn"}
# What only a promotion is answered: a rollback has no checks. Where RunCheck is, these words must be taken.
CHECKS = {"check", "answer", "bake"}


def section(page: str, heading: str) -> str:
    """The text under the heading that begins with `heading`, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}.*?$(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    if not found:
        raise SystemExit(f"docs/architecture.md has no section '{heading}'")
    return found.group(1)


def raised_names(page: str) -> set[str]:
    """The closed set of error names that functions raise."""
    return set(re.findall(r"`([A-Z][a-z]+)`", section(page, "Error names")))


def answers(page: str) -> dict[str, set[str]]:
    """For each function whose answer is looked at, the words that `next` may be."""
    rows = re.findall(r"^\| `([a-z-]+)` \| ((?:`[a-z]+`(?:, )?)+) \|$", section(page, "Inputs and outputs"), re.MULTILINE)
    return {name: set(re.findall(r"`([a-z]+)`", words)) for name, words in rows}


def successors(state: dict) -> set[str]:
    ways = [state, *state.get("Catch", []), *state.get("Choices", [])]
    return {way[key] for way in ways for key in ("Next", "Default") if key in way}


def unreachable(machine: dict) -> set[str]:
    seen, todo = set(), [machine["StartAt"]]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += successors(machine["States"].get(name, {}))
    return set(machine["States"]) - seen


def error_faults(state: dict, known: set[str]) -> list[str]:
    names = [name for rule in state.get("Retry", []) + state.get("Catch", []) for name in rule["ErrorEquals"]]
    return [f"waits for the error '{name}', which nothing raises" for name in names if name not in known and not AWS_ERROR.match(name)]


def task_faults(name: str, state: dict, timeouts: dict[str, int]) -> list[str]:
    faults, name = [], SERVED_BY.get(name, name)
    if state["Arguments"]["FunctionName"] != "${%s}" % name:
        faults.append("calls a function of another name")
    if name not in timeouts:
        faults.append("has no function of its name in infra/template.yaml")
    elif TOKEN not in state["Resource"] and not state.get("TimeoutSeconds", 0) > timeouts[name]:
        faults.append(f"needs a TimeoutSeconds above its function's {timeouts[name]}")
    if "TimeoutSeconds" not in state:
        faults.append("has no TimeoutSeconds")
    caught = [rule["ErrorEquals"] for rule in state.get("Catch", [])]
    if caught[:1] != [["Preempted"]] or caught[-1:] != [["States.ALL"]]:
        faults.append("must catch Preempted first and States.ALL last")
    if any("States.ALL" in rule["ErrorEquals"] or "MaxDelaySeconds" not in rule for rule in state.get("Retry", [{"ErrorEquals": ["States.ALL"]}])):
        faults.append("must retry named errors, each with a MaxDelaySeconds")
    return faults


def choice_faults(name: str, states: dict, words: dict[str, set[str]]) -> list[str]:
    """A Choice after a task that is read by words takes every word of that function and no other."""
    faults = [] if "Default" in states[name] else ["has no Default"]
    taken = set(re.findall(r"\$states\.input\.next = '([a-z]+)'", " ".join(rule["Condition"] for rule in states[name]["Choices"])))
    for task in (task for task, state in states.items() if state["Type"] == "Task" and state.get("Next") == name):
        promised = words.get(template.kebab(task), set()) - (set() if "RunCheck" in states else CHECKS)
        if taken != promised:
            faults.append(f"takes {sorted(taken)} where {task} answers {sorted(promised)}")
    return faults


def faults_of(machine: dict, page: str, timeouts: dict[str, int]) -> list[str]:
    known, words = raised_names(page), answers(page)
    faults = [f"{name} is never reached" for name in sorted(unreachable(machine))]
    if machine.get("QueryLanguage") != "JSONata" or not machine.get("Comment"):
        faults.append("needs QueryLanguage JSONata and a Comment")
    for name, state in machine["States"].items():
        found = [] if state.get("Comment", "").strip() else ["has no Comment"]
        found += error_faults(state, known)
        found += task_faults(name, state, timeouts) if state["Type"] == "Task" else []
        found += choice_faults(name, machine["States"], words) if state["Type"] == "Choice" else []
        faults += [f"{name} {fault}" for fault in found]
    return faults


def difference(one: dict, other: dict) -> list[str]:
    """States of the same name are the same state: a person who has read one machine has read them in both. AfterStep has fewer
    ways where there are no checks."""
    shared = set(one["States"]) & set(other["States"]) - {"Begin", "AfterStep"}
    return [f"{name} differs between the two machines" for name in sorted(shared) if one["States"][name] != other["States"][name]]


def main() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    timeouts = template.timeouts(template.load())
    machines = {path.name: json.loads(Path(path).read_text()) for path in sorted((ROOT / "statemachines").glob("*.asl.json"))}
    faults = [f"{name}: {fault}" for name, machine in machines.items() for fault in faults_of(machine, page, timeouts)]
    finish("state machines", faults + difference(machines["promotion.asl.json"], machines["rollback.asl.json"]))


if __name__ == "__main__":
    main()
