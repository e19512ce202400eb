"""template.yaml after the SAM transform: what the cloud really gets, for the check and for the smoke deployment."""

import logging
import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CODE_BUCKET = "persona-smoke-code"


def source():
    """template.yaml as written, its short tags spelled out."""
    from samtranslator.yaml_helper import yaml_parse

    return yaml_parse((PROJECT / "template.yaml").read_text(encoding="utf-8"))


def binaries(template):
    """Logical id of each function to the name of its binary."""
    return {
        name: resource["Metadata"]["BuildProperties"]["Binary"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def translate(template):
    """The template in plain CloudFormation; each function's code is `<binary>.zip` in CODE_BUCKET."""
    from samtranslator.translator.transform import transform

    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    template["Globals"]["Function"].pop("CodeUri", None)
    for name, binary in binaries(template).items():
        template["Resources"][name]["Properties"]["CodeUri"] = f"s3://{CODE_BUCKET}/{binary}.zip"
    return transform(template, {}, NoManagedPolicies())


def operations(translated):
    """Each (path, method in lower case, integration) of the API."""
    for path, methods in translated["Resources"]["Api"]["Properties"]["Body"]["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation["x-amazon-apigateway-integration"]


class NoManagedPolicies:
    """Names of managed policies would be looked up in the cloud; the template uses none by name."""

    def load(self):
        return {}
