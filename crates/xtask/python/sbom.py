"""Validates a bill of materials against CycloneDX's own schema, and looks for what it must say."""

import json
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text = open(sys.argv[1]).read()
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
assert wrong is None, wrong
bill = json.loads(text)
parts = bill["components"]
assert bill["metadata"]["component"]["name"] == "canvass"
assert any(part["name"] == "tokio" and part["scope"] == "required" for part in parts)
assert any(part["name"] == "syn" and part["scope"] == "excluded" for part in parts)
assert all(part.get("hashes") for part in parts if not part["name"].startswith("canvass"))
assert all(part["licenses"] for part in parts)
known = {part["bom-ref"] for part in parts} | {bill["metadata"]["component"]["bom-ref"]}
assert {one["ref"] for one in bill["dependencies"]} == known
print(f"sbom: {len(parts)} components, valid")
