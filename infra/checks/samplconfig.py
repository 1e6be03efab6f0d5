"""samplconfig.toml: SAM passes over what it does not know without a word, so every name in it is looked up here.

Then `sam deploy` is run for every environment against a stand-in for AWS on loopback that keeps what it is sent:
what the file says must be what CloudFormation is told.
"""

import importlib
import tomllib
from concurrent.futures import ThreadPoolExecutor

import stand_in
import template
from report import ROOT, finish

ENVIRONMENTS = {"default", "staging", "production", "local"}
COMMANDS = {"build": "build.command", "deploy": "deploy.command", "validate": "validate.validate"}


def options(command: str) -> set[str]:
    """The options that this version of SAM has, under the names that its configuration uses."""
    return {option.name for option in importlib.import_module(f"samcli.commands.{COMMANDS[command]}").cli.params}


def pairs(parameters: dict, name: str) -> dict[str, str]:
    return dict(item.split("=", 1) for item in parameters.get(name, []))


def option_faults(command: str, found: dict, declared: dict) -> list[str]:
    faults = [f"[{command}.parameters] has the unknown option {name}" for name in sorted(set(found) - options(command))]
    for name, value in pairs(found, "parameter_overrides").items():
        if name not in declared:
            faults.append(f"sets the parameter {name}, which the template does not have")
        elif value not in map(str, declared[name].get("AllowedValues", [value])):
            faults.append(f"sets {name} to {value}, which the template does not allow")
    return faults


def faults_of(config: dict, declared: dict) -> list[str]:
    """Names that SAM would pass over. `declared` are the template's parameters."""
    faults = [] if isinstance(config.get("version"), float) else ["version must be a number with a point, as in 0.1"]
    environments = {name: tables for name, tables in config.items() if name != "version"}
    faults += [f"has the unknown environment [{name}]" for name in sorted(set(environments) - ENVIRONMENTS)]
    faults += [f"lacks the environment [{name}]" for name in sorted(ENVIRONMENTS - set(environments))]
    for name, tables in environments.items():
        faults += [f"[{name}] lacks [{name}.{command}.parameters]" for command in ("build", "deploy") if command not in tables]
        for command, inner in tables.items():
            if command not in COMMANDS or not isinstance(inner, dict) or set(inner) != {"parameters"}:
                faults.append(f"[{name}.{command}] is no table that SAM reads; it reads [{name}.{' | '.join(COMMANDS)}.parameters]")
            else:
                faults += [f"[{name}] {fault}" for fault in option_faults(command, inner["parameters"], declared)]
        if tables.get("build", {}).get("parameters", {}).get("cached") is not False:
            faults.append(f"[{name}.build.parameters] must set cached = false: SAM's cache does not see shared/")
    return faults


def told_faults(name: str, wanted: dict, told: dict[str, list[str]]) -> list[str]:
    """What CreateChangeSet was told, against what the file says."""
    if not told:
        return [f"[{name}] SAM asked for no change set"]
    parameters = dict(zip(told.get("ParameterKey", []), told.get("ParameterValue", [])))
    tags = dict(zip(told.get("Key", []), told.get("Value", [])))
    faults = [] if told.get("StackName") == [wanted["stack_name"]] else [f"[{name}] stack_name did not arrive"]
    if told.get("Capabilities") != wanted["capabilities"]:
        faults.append(f"[{name}] capabilities arrived as {told.get('Capabilities')}")
    for kind, sent in (("parameter_overrides", parameters), ("tags", tags)):
        faults += [
            f"[{name}] {key}={value} arrived as {sent.get(key)}" for key, value in pairs(wanted, kind).items() if sent.get(key) != value
        ]
    return faults


def main() -> None:
    path = ROOT / "samplconfig.toml"
    config, declared = tomllib.loads(path.read_text()), template.load()["Parameters"]
    faults = faults_of(config, declared)
    names = sorted(ENVIRONMENTS & set(config))
    with ThreadPoolExecutor(2) as two:
        told = list(two.map(lambda name: stand_in.told_by_deploy(path, name), names))
    usual = {key: str(parameter.get("Default")) for key, parameter in declared.items()}
    for name, said in zip(names, told):
        wanted = config[name].get("deploy", {}).get("parameters", {})
        if all(usual.get(key) == value for key, value in pairs(wanted, "parameter_overrides").items()):
            faults.append(f"[{name}] sets nothing that the template does not say already, so nothing shows that the file is read")
        faults += told_faults(name, wanted, said)
    finish("samplconfig.toml", faults)


if __name__ == "__main__":
    main()
