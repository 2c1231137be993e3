"""What a tracking server keeps: MLflow's answers to all that ``repro track`` asks, in memory."""

import json
import re
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

Content = dict[str, Any]
_API = "/api/2.0/mlflow/"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


class Refused(Exception):
    """What a real server answers with an error code."""


@dataclass
class Kept:
    """Everything that was sent."""

    experiments: dict[str, Content] = field(default_factory=dict)
    runs: dict[str, Content] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and the body that MLflow's own server would answer with."""
        address = urlsplit(path)
        if address.path.startswith(_ARTIFACTS) and method == "PUT":
            self.artifacts[address.path.removeprefix(_ARTIFACTS)] = body
            return 200, b"{}"
        name = address.path.removeprefix(_API).replace("/", "_").replace("-", "_")
        asked = {key: values[0] for key, values in parse_qs(address.query).items()}
        try:
            asked |= json.loads(body or b"{}")
            return 200, json.dumps(getattr(self, f"_{name}")(asked)).encode()
        except Refused as refused:
            content = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": str(refused)}
            return 404, json.dumps(content).encode()

    def rows(self) -> dict[str, Content]:
        """What is kept of each run that was not deleted, by its digest, without ids made up here.

        Raises:
            Refused: If there is a digest twice.
        """
        rows = {}
        for identity, run in self.runs.items():
            if run["info"]["lifecycle_stage"] == "deleted":
                continue
            experiment = run["info"]["experiment_id"]
            own = f"{experiment}/{identity}/artifacts/"
            tags = {
                key: value.replace(identity, "RUN").replace(f"experiments/{experiment}", "")
                for key, value in run["tags"].items()
            }
            parent = self.runs.get(run["tags"].get("mlflow.parentRunId", ""))
            tags["mlflow.parentRunId"] = parent and parent["tags"].get("record")
            digest = tags.get("record", identity)
            if digest in rows:
                raise Refused(f"{digest} is there twice")
            rows[digest] = {
                "experiment": self.experiments[experiment]["name"],
                "status": run["info"]["status"],
                "times": (run["info"]["start_time"], run["info"]["end_time"]),
                "tags": tags,
                "params": run["params"],
                "metrics": Counter(run["metrics"]),
                "data": run["data"],
                "files": {
                    name.removeprefix(own): content
                    for name, content in self.artifacts.items()
                    if name.startswith(own)
                },
            }
        return rows

    def _experiments_get_by_name(self, asked: Content) -> Content:
        for one in self.experiments.values():
            if one["name"] == asked["experiment_name"]:
                return {"experiment": self._listed(one)}
        raise Refused("no such experiment")

    def _experiments_get(self, asked: Content) -> Content:
        return {"experiment": self._listed(self._of(self.experiments, asked["experiment_id"]))}

    def _experiments_create(self, asked: Content) -> Content:
        identity = str(len(self.experiments) + 1)
        tags = {one["key"]: one["value"] for one in asked.get("tags", ())}
        self.experiments[identity] = {
            "experiment_id": identity,
            "name": asked["name"],
            "artifact_location": f"mlflow-artifacts:/{identity}",
            "lifecycle_stage": "active",
            "tags": tags,
        }
        return {"experiment_id": identity}

    def _experiments_restore(self, asked: Content) -> Content:
        self._of(self.experiments, asked["experiment_id"])["lifecycle_stage"] = "active"
        return {}

    def _experiments_set_experiment_tag(self, asked: Content) -> Content:
        experiment = self._of(self.experiments, asked["experiment_id"])
        experiment["tags"][asked["key"]] = asked["value"]
        return {}

    def _experiments_search(self, asked: Content) -> Content:
        return {"experiments": []}

    def _runs_create(self, asked: Content) -> Content:
        identity = uuid.uuid4().hex
        experiment = self._of(self.experiments, asked["experiment_id"])
        if experiment["lifecycle_stage"] == "deleted":
            raise Refused("the experiment is deleted")
        self.runs[identity] = {
            "info": {
                "run_id": identity,
                "run_uuid": identity,
                "run_name": asked["run_name"],
                "experiment_id": asked["experiment_id"],
                "status": "RUNNING",
                "start_time": asked["start_time"],
                "end_time": 0,
                "lifecycle_stage": "active",
                "artifact_uri": f"mlflow-artifacts:/{asked['experiment_id']}/{identity}/artifacts",
            },
            "tags": {one["key"]: one["value"] for one in asked["tags"]},
            "params": {},
            "metrics": [],
            "data": [],
        }
        return self._runs_get({"run_id": identity})

    def _runs_get(self, asked: Content) -> Content:
        return {"run": self._shown(self._of(self.runs, asked["run_id"]))}

    def _runs_search(self, asked: Content) -> Content:
        (start,) = re.findall(r"LIKE '(.*)%'", asked["filter"])
        return {
            "runs": [
                self._shown(run)
                for run in self.runs.values()
                if run["tags"].get("record", "").startswith(start)
                and run["info"]["experiment_id"] in asked["experiment_ids"]
                and run["info"]["lifecycle_stage"] == "active"
            ]
        }

    def _runs_update(self, asked: Content) -> Content:
        run = self._of(self.runs, asked["run_id"])
        run["info"] |= {"status": asked["status"], "end_time": asked["end_time"]}
        return {"run_info": run["info"]}

    def _runs_delete(self, asked: Content) -> Content:
        self._of(self.runs, asked["run_id"])["info"]["lifecycle_stage"] = "deleted"
        return {}

    def _runs_log_batch(self, asked: Content) -> Content:
        run = self._of(self.runs, asked["run_id"])
        run["tags"] |= {one["key"]: one["value"] for one in asked.get("tags", ())}
        for one in asked.get("params", ()):
            if run["params"].setdefault(one["key"], one["value"]) != one["value"]:
                raise Refused(f"parameter {one['key']} is another already")
        for one in asked.get("metrics", ()):
            point = one["key"], one["step"], one["timestamp"], one["value"]
            if point not in run["metrics"]:  # as MLflow has it: the same again is no other
                run["metrics"].append(point)
        return {}

    def _runs_log_inputs(self, asked: Content) -> Content:
        run = self._of(self.runs, asked["run_id"])
        run["data"] += [one for one in asked["datasets"] if one not in run["data"]]
        return {}

    @staticmethod
    def _of(all_of_them: dict[str, Content], identity: str) -> Content:
        if identity not in all_of_them:
            raise Refused(f"{identity} is not here")
        return all_of_them[identity]

    @staticmethod
    def _listed(experiment: Content) -> Content:
        tags = [{"key": key, "value": value} for key, value in experiment["tags"].items()]
        return experiment | {"tags": tags}

    @staticmethod
    def _shown(run: Content) -> Content:
        data = {
            "tags": [{"key": key, "value": value} for key, value in run["tags"].items()],
            "params": [{"key": key, "value": value} for key, value in run["params"].items()],
        }
        return {"info": run["info"], "data": data, "inputs": {}}
