"""What an account has besides Sluice's own stack: `provision.py before` and `provision.py after <stack> <settings>`.

before: the repository of the examples, the bucket that `sam deploy` uploads to, and the clusters with a reader.
after:  access entries for the stack's roles, and roles for people; prints a JSON object that describes Sluice here.

settings (JSON): {"clusters": [names], "account", "region", "endpoint"}. Needs sam's environment; keys are the root's.
"""
import json
import sys
from urllib.parse import urlsplit

import boto3

REPOSITORY = "mc-api"
BUCKET = "sluice-artifacts"
PEOPLE = ("ana", "ben", "carl")
# Which Kubernetes group each role of the stack has (infra/cluster).
GROUPS = {
    "AdvanceRolloutRoleArn": "sluice:deployers",
    "RollBackRoleArn": "sluice:deployers",
    "SweepRoleArn": "sluice:deployers",
    "RunHelmRoleArn": "sluice:deployers",
    "RunCheckRoleArn": "sluice:deployers",
    "HelmRoleArn": "sluice:helm",
    "AwaitPodsRoleArn": "sluice:observers",
}
READER = "sluice-readonly"


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resources):
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def ensure_role(iam, account, name):
    """A role that the account's own users may assume."""
    trust = policy({"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"})
    try:
        return iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    except iam.exceptions.EntityAlreadyExistsException:
        return iam.get_role(RoleName=name)["Role"]["Arn"]


def before(settings):
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    boto3.client("ecr").create_repository(repositoryName=REPOSITORY)
    iam, eks = boto3.client("iam"), boto3.client("eks")
    role = ensure_role(iam, settings["account"], "eks-cluster")
    for cluster in settings["clusters"]:
        eks.create_cluster(name=cluster, roleArn=role, version="1.36", accessConfig={"authenticationMode": "API"},
                           resourcesVpcConfig={"subnetIds": ["subnet-local-a", "subnet-local-b"]})
        eks.create_access_entry(clusterName=cluster, kubernetesGroups=[READER],
                                principalArn=ensure_role(iam, settings["account"], READER))


def outputs(stack):
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def functions(stack):
    """Name without the stack's prefix -> (ARN, role ARN)."""
    found = {}
    for page in boto3.client("lambda").get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            found[function["FunctionName"].removeprefix(f"{stack}-")] = (function["FunctionArn"], function["Role"])
    return found


def access_entries(settings, found):
    eks = boto3.client("eks")
    for cluster in settings["clusters"]:
        for output, group in GROUPS.items():
            eks.create_access_entry(clusterName=cluster, principalArn=found[output], kubernetesGroups=[group])


def people(settings, found):
    """Roles of people: they may use the door and nothing else; the pusher may push and nothing else."""
    iam, roles = boto3.client("iam"), {}
    for name in PEOPLE:
        roles[name] = ensure_role(iam, settings["account"], f"sso-{name}")
        iam.attach_role_policy(RoleName=f"sso-{name}", PolicyArn=found["OperatorsPolicyArn"])
    roles["pusher"] = ensure_role(iam, settings["account"], "sso-pusher")
    repository = f"arn:aws:ecr:{settings['region']}:{settings['account']}:repository/{REPOSITORY}"
    push = ["ecr:BatchCheckLayerAvailability", "ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage",
            "ecr:UploadLayerPart", "ecr:BatchGetImage", "ecr:DescribeImages"]
    iam.put_role_policy(RoleName="sso-pusher", PolicyName="push", PolicyDocument=policy(
        allow(push, repository), allow(["ecr:GetAuthorizationToken"], "*")))
    return roles


def local_url(endpoint, function_url):
    """MiniStack answers Function URLs by path as well, which needs no name to be resolved."""
    return f"{endpoint}/_aws/lambda-url/{urlsplit(function_url).hostname.split('.')[0]}/"


def after(stack, settings):
    found, deployed = outputs(stack), functions(stack)
    access_entries(settings, found)
    return {
        "stack": stack,
        "operateUrl": local_url(settings["endpoint"], found["OperateUrl"]),
        "table": found["TableName"],
        "stateMachines": {"promotion": found["PromotionMachineArn"], "rollback": found["RollbackMachineArn"]},
        "functions": {name: arn for name, (arn, _) in deployed.items()},
        "functionRoles": {name: role for name, (_, role) in deployed.items()},
        "people": people(settings, found),
        "outputs": found,
    }


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["before", settings]:
            before(json.loads(settings))
        case ["after", stack, settings]:
            print(json.dumps(after(stack, json.loads(settings))))
        case _:
            sys.exit(__doc__)
