import tempfile
import unittest
import zipfile
from pathlib import Path

from samcli.yamlhelper import yaml_parse

import package

TEMPLATE = """
Resources:
  Sweep:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: rust-cargolambda}
    Properties: {CodeUri: ../functions/sweep/, Role: !GetAtt SweepRole.Arn, FunctionName: !Sub "${Prefix}-sweep"}
  RunHelm:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: ../functions/sweep/
      Layers: [!Ref HelmLayer]
      VersionDescription: !Select [7, !Split [":", !Ref HelmLayer]]
      Environment: {Variables: {HELM: /opt/bin/helm}}
  HelmLayer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: helm/}
  Promotion:
    Type: AWS::Serverless::StateMachine
    Properties: {DefinitionUri: ../statemachines/promotion.asl.json, DefinitionSubstitutions: {Sweep: !Ref Sweep.Version}}
"""


class Packaging(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.project = Path(folder.name)
        for name in ("infra", "built"):
            (self.project / name).mkdir()
        (self.project / "infra/template.yaml").write_text(TEMPLATE)

    def run_it(self):
        package.main(self.project, self.project / "out", self.project / "built", Path("/kept/helm"))
        return yaml_parse((self.project / "out/template.yaml").read_text())["Resources"]

    def test_a_function_is_its_binary_as_bootstrap_and_the_rest_of_the_template_stays(self):
        (self.project / "built/sweep").write_bytes(b"\x7fELF")
        resources = self.run_it()
        sweep = resources["Sweep"]["Properties"]
        with zipfile.ZipFile(sweep["CodeUri"]) as archive:
            self.assertEqual(archive.read("bootstrap"), b"\x7fELF")
            self.assertEqual(archive.getinfo("bootstrap").external_attr >> 16 & 0o111, 0o111)
        self.assertEqual(sweep["Role"], {"Fn::GetAtt": ["SweepRole", "Arn"]})
        self.assertEqual(resources["Promotion"]["Properties"]["DefinitionUri"],
                         str((self.project / "statemachines/promotion.asl.json").resolve()))
        self.assertEqual(resources["Promotion"]["Properties"]["DefinitionSubstitutions"]["Sweep"], {"Ref": "Sweep.Version"})

    def test_the_same_binary_is_the_same_archive(self):
        (self.project / "built/sweep").write_bytes(b"\x7fELF")
        first = Path(self.run_it()["Sweep"]["Properties"]["CodeUri"]).read_bytes()
        self.assertEqual(Path(self.run_it()["Sweep"]["Properties"]["CodeUri"]).read_bytes(), first)

    def test_helm_comes_from_this_machine_and_not_from_a_layer(self):
        (self.project / "built/sweep").write_bytes(b"\x7fELF")
        resources = self.run_it()
        self.assertNotIn("HelmLayer", resources)
        run_helm = resources["RunHelm"]["Properties"]
        self.assertNotIn("Layers", run_helm)
        self.assertEqual(run_helm["Environment"]["Variables"]["HELM"], "/kept/helm")
        self.assertNotIn("HelmLayer", [reference.get("Ref") for reference in run_helm["VersionDescription"]["Fn::Select"][1]["Fn::Split"]
                                       if isinstance(reference, dict)])
        self.assertNotIn("Environment", resources["Sweep"]["Properties"])

    def test_what_has_not_been_built_is_named_with_the_command_that_builds_it(self):
        with self.assertRaisesRegex(package.Missing, "cargo build -p sweep"):
            self.run_it()
