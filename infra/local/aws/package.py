"""The template of infra/ with the functions that cargo built for this machine.

`package.py <project> <folder> <binaries> <helm> [<build>]` writes <folder>/functions/<crate>.zip, each with the binary as
`bootstrap`, and <folder>/template.yaml, which names them. With a build's name, it lies in every archive beside the binary:
the same functions are another code to Lambda, and get another version.
Layers are left out: helm's is 60 MB to upload at each start, so its function is told where helm lies on this machine instead.
The archives are not compressed: that is where `sam deploy` would spend most of its time. Needs sam's environment.
"""
import sys
import zipfile
from pathlib import Path

from samcli.yamlhelper import yaml_dump, yaml_parse


class Missing(Exception):
    """Functions of the template that have not been built; the message says how to."""


def of_type(template, kind):
    return [resource for resource in template["Resources"].values() if resource["Type"] == kind]


def crate(function):
    """The crate of a function: the last folder of its CodeUri."""
    return Path(function["Properties"]["CodeUri"]).name


def entry(name):
    """Of no time: the same bytes for the same binary, or sam would upload it again."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o755 << 16
    return entry


def archive(binary, target, build=None):
    """The binary as Lambda's custom runtime wants it."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:
        file.writestr(entry("bootstrap"), binary.read_bytes())
        if build:
            file.writestr(entry("build"), build)


def replace(value, found, by):
    """The value with another in place of every part that equals `found`."""
    if value == found:
        return by
    if isinstance(value, dict):
        return type(value)((key, replace(item, found, by)) for key, item in value.items())
    return [replace(item, found, by) for item in value] if isinstance(value, list) else value


def without_layers(template, helm):
    """Functions without their layers, as if the layers had a version; HELM is this machine's."""
    resources = template["Resources"]
    layers = [name for name, resource in resources.items() if resource["Type"] == "AWS::Serverless::LayerVersion"]
    for function in of_type(template, "AWS::Serverless::Function"):
        function["Properties"].pop("Layers", None)
        variables = function["Properties"].get("Environment", {}).get("Variables", {})
        if "HELM" in variables:
            variables["HELM"] = str(helm)
    for name in layers:
        del resources[name]
        template["Resources"] = resources = replace(resources, {"Ref": name}, f"arn:aws:lambda:us-east-1:0:layer:{name}:1")
    return template


def rewrite(template, infra, functions):
    """Paths of the template, which are relative to infra/, as they are from anywhere."""
    for function in of_type(template, "AWS::Serverless::Function"):
        function["Properties"]["CodeUri"] = str(functions / f"{crate(function)}.zip")
        function.pop("Metadata", None)  # how `sam build` builds it
    for machine in of_type(template, "AWS::Serverless::StateMachine"):
        machine["Properties"]["DefinitionUri"] = str((infra / machine["Properties"]["DefinitionUri"]).resolve())
    return template


def check(crates, binaries):
    missing = [name for name in crates if not (binaries / name).is_file()]
    if missing:
        packages = " ".join(f"-p {name}" for name in missing)
        raise Missing(f"{', '.join(missing)} of infra/template.yaml not built in {binaries}: run `cargo build {packages}`")


def main(project, folder, binaries, helm, build=None):
    infra, functions = project / "infra", folder / "functions"
    template = yaml_parse((infra / "template.yaml").read_text())
    crates = sorted({crate(function) for function in of_type(template, "AWS::Serverless::Function")})
    check(crates, binaries)
    functions.mkdir(parents=True, exist_ok=True)
    for name in crates:
        archive(binaries / name, functions / f"{name}.zip", build)
    (folder / "template.yaml").write_text(yaml_dump(rewrite(without_layers(template, helm), infra, functions)))


if __name__ == "__main__":
    try:
        main(*map(Path, sys.argv[1:5]), *sys.argv[5:6])
    except Missing as missing:
        sys.exit(str(missing))
