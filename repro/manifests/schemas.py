"""JSON Schemas of manifests, for editors; ``python -m repro.manifests.schemas FOLDER`` writes them."""

import json
import sys
from pathlib import Path

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from repro import files
from repro.manifests.models import models_of
from repro.manifests.profiles import DeclaredProfiles, load_profiles

SCHEMA = "schema.json"  # as the first line of each manifest says


def schemas(manifests: Path) -> dict[Path, str]:
    """The schema of each folder of manifests, as committed there: of the profiles, and of each paper.

    Raises:
        UsageError: If no profiles are declared.
        ManifestError: If they are declared wrongly.
        LookupError: If a paper has no stages.
    """
    profiles = load_profiles(manifests).names
    texts = {manifests / SCHEMA: _schema("Profiles", DeclaredProfiles)}
    for paper in sorted(path.parent.name for path in manifests.glob("*/paper.yaml")):
        models = models_of(paper, profiles)
        texts[manifests / paper / SCHEMA] = _schema(f"Manifests of {paper}", *models)
    return texts


def _schema(title: str, *models: type[BaseModel]) -> str:
    _, schema = models_json_schema([(model, "validation") for model in models], title=title)
    schema["oneOf"] = [{"$ref": f"#/$defs/{model.__name__}"} for model in models]
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for path, text in schemas(Path(sys.argv[1])).items():
        files.write_text(path, text)
