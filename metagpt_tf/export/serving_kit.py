"""What stands beside a SavedModel in production: TF Serving's settings, Compose, KServe, and a first call.

`export/serving/` of the repository holds these files for a model called "model"; a test keeps the two equal.
"""

import re

IMAGE = "tensorflow/serving:latest"
REST_PORT, GRPC_PORT = 8501, 8500
NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")  # of Kubernetes (RFC 1035), which is the narrowest


def serving_kit(name: str = "model") -> dict[str, str]:
    """Files of a directory to serve `models/<name>/<version>/` from, by their names.

    Args:
        name: that clients ask for: lower case letters, digits and hyphens.

    Raises:
        ValueError: a name that Kubernetes or a path would not take.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"A served model's name is of lower case letters, digits and hyphens and begins with a letter, at most 63 "
            f"of them; received {name!r}."
        )
    files = {
        "models.config": MODELS,
        "monitoring.config": MONITORING,
        "batching.config": BATCHING,
        "compose.yaml": COMPOSE,
        "kserve.yaml": KSERVE,
        "README.md": README,
    }
    values = {"@NAME@": name, "@IMAGE@": IMAGE, "@REST@": str(REST_PORT), "@GRPC@": str(GRPC_PORT)}
    return {file: _filled(text, values) for file, text in files.items()}


def _filled(text: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(key, value)
    return text.lstrip("\n")


MODELS = """
# Text form of TF Serving's ModelServerConfig: one model, its newest version. Raise num_versions to keep an older one
# answering (clients ask for it by number), or name versions and give them labels; then recreate the container.
model_config_list {
  config {
    name: "@NAME@"
    base_path: "/models/@NAME@"
    model_platform: "tensorflow"
    model_version_policy { latest { num_versions: 1 } }
  }
}
"""

MONITORING = """
# Text form of TF Serving's MonitoringConfig; Prometheus reads it at the REST port.
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

BATCHING = """
# Text form of TF Serving's BatchingParameters. Requests are joined along the first axis of every input, so this fits
# signatures without a state or a support set: serving_default, generate, sample, score, classify.
max_batch_size { value: 32 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 64 }
num_batch_threads { value: 2 }
allowed_batch_sizes: 1
allowed_batch_sizes: 2
allowed_batch_sizes: 4
allowed_batch_sizes: 8
allowed_batch_sizes: 16
allowed_batch_sizes: 32
"""

COMPOSE = """
# docker compose up                      every signature, ports @REST@ (REST) and @GRPC@ (gRPC)
# docker compose --profile batched up    besides, plain answers joined into batches, ports 8601 and 8600
# Pin the image to a release: TF_SERVING_IMAGE=tensorflow/serving:<release> docker compose up
x-server: &server
  image: ${TF_SERVING_IMAGE:-@IMAGE@}
  restart: unless-stopped
  read_only: true
  tmpfs: [/tmp]
  cap_drop: [ALL]
  cap_add: [DAC_OVERRIDE]  # to read what another user wrote for itself alone
  security_opt: ["no-new-privileges:true"]
  volumes:
    - ./models:/models:ro
    - ./models.config:/serving/models.config:ro
    - ./monitoring.config:/serving/monitoring.config:ro
    - ./batching.config:/serving/batching.config:ro
  mem_limit: ${SERVER_MEMORY:-2g}
  healthcheck:
    test: ["CMD", "bash", "-c", "exec 3<>/dev/tcp/localhost/@REST@"]
    interval: 10s
    timeout: 3s
    retries: 3
    start_period: 60s

services:
  @NAME@:
    <<: *server
    command:
      - --model_config_file=/serving/models.config
      - --monitoring_config_file=/serving/monitoring.config
      - --rest_api_timeout_in_ms=60000
    ports: ["127.0.0.1:@REST@:8501", "127.0.0.1:@GRPC@:8500"]

  @NAME@-batched:
    <<: *server
    profiles: [batched]
    command:
      - --model_config_file=/serving/models.config
      - --monitoring_config_file=/serving/monitoring.config
      - --rest_api_timeout_in_ms=60000
      - --enable_batching=true
      # Warm-up asks signatures with a state too, which cannot be joined, and would keep the version from loading.
      - --enable_model_warmup=false
      - --batching_parameters_file=/serving/batching.config
    ports: ["127.0.0.1:8601:8501", "127.0.0.1:8600:8500"]
"""

KSERVE = """
# kubectl apply -f kserve.yaml
# For KServe in its serverless mode: scaling by concurrency and canaries are Knative's.
# A canary: put the next version in a directory of its own, change storageUri to it, and take the line
# canaryTrafficPercent in. Until it has all of the traffic, adapt and what uses its state may meet different versions,
# each of which refuses the other's states: clients adapt again when that happens.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: @NAME@
spec:
  predictor:
    minReplicas: 1
    maxReplicas: 8
    scaleMetric: concurrency
    scaleTarget: 4
    # canaryTrafficPercent: 10
    model:
      modelFormat:
        name: tensorflow
      protocolVersion: v1
      runtimeVersion: latest  # of the image; KServe's own default is older than this SavedModel. Pin a release.
      storageUri: pvc://models/@NAME@
      resources:
        requests: {cpu: "1", memory: 1Gi}
        limits: {cpu: "2", memory: 2Gi}
"""

README = """
# Serving `@NAME@`

`models/@NAME@/<version>/` is a SavedModel that `metagpt_tf.export.export_saved_model` wrote. It answers, it learns
from a few examples (`adapt`), and it keeps nothing between requests: the client holds the state, so any replica can
answer.

| file | what it is for |
|---|---|
| `compose.yaml` | `docker compose up`: TF Serving's official image on this machine |
| `models.config` | which model and versions TF Serving loads |
| `batching.config` | how plain answers are joined, `docker compose --profile batched up` |
| `monitoring.config` | Prometheus metrics at `http://localhost:@REST@/monitoring/prometheus/metrics` |
| `kserve.yaml` | an InferenceService with autoscaling and a canary, for Kubernetes |

A new version is served when its directory appears: write it aside and rename it, as `export_saved_model` does. On a
laptop without Docker: `metagpt-tf serve --path models/@NAME@ --name @NAME@`.

Past one machine without KServe: the same image and flags in a Deployment of several replicas behind a Service, with
`/v1/models/@NAME@` as readiness probe. No request needs the replica of the one before it.
"""
