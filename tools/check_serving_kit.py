"""Check `export/serving/` against what Compose, KServe and TF Serving publish.

    python tools/check_serving_kit.py --compose-schema compose_spec.json --kserve-models kserve/models

`compose_spec.json` is in the wheel of docker-compose 1.29.2 and in the repository of the Compose specification; the
models are those of KServe's Python client, generated from its OpenAPI description. TF Serving's own messages come with
`tensorflow-serving-api`.
"""

import argparse
import ast
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

KIT = Path(__file__).parents[1] / "export" / "serving"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compose-schema", type=Path, required=True)
    parser.add_argument("--kserve-models", type=Path, required=True)
    options = parser.parse_args()
    compose = yaml.safe_load((KIT / "compose.yaml").read_text())
    jsonschema.validate(compose, json.loads(options.compose_schema.read_text()))
    print(f"compose.yaml: valid, services {', '.join(compose['services'])}")
    service = yaml.safe_load((KIT / "kserve.yaml").read_text())
    count = check_model(service, "V1beta1InferenceService", options.kserve_models)
    print(f"kserve.yaml: {count} fields, all known")
    config = text_format.Parse((KIT / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    print(f"models.config: {[one.name for one in config.model_config_list.config]}")


def check_model(value: dict[str, Any], name: str, folder: Path) -> int:
    """Fields of a value and of what is in it, each of them one of the model's; raises for any other."""
    fields = fields_of(name, folder)
    count = 0
    for key, inner in value.items():
        if key not in fields:
            raise SystemExit(f"{name} has no field {key!r}; it has {', '.join(sorted(fields))}.")
        count += 1
        if isinstance(inner, dict) and fields[key].startswith("V1beta1"):
            count += check_model(inner, fields[key], folder)
    return count


def fields_of(name: str, folder: Path) -> dict[str, str]:
    """JSON name of each field to its type, from the class's two tables, without importing it."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    tree = ast.parse((folder / f"{snake}.py").read_text())
    tables = {
        target.id: ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in ("openapi_types", "attribute_map")
    }
    return {tables["attribute_map"][field]: kind for field, kind in tables["openapi_types"].items()}


if __name__ == "__main__":
    main()
