"""In place of the process that sends runs: it does as the name of a run's folder says."""

import json
import os
import sys
import time

print("{}", flush=True)
for line in sys.stdin:
    match json.loads(line)["folder"]:
        case "hangs":
            time.sleep(600)
        case "dies":
            os._exit(1)
        case "fails":
            print(json.dumps({"error": "a reason"}), flush=True)
        case name:
            print(json.dumps({"said": "half way"}), flush=True)
            time.sleep(0.15)
            print(json.dumps({"run_id": name}), flush=True)
