# OpenBao as a container of the stack: TLS, raft on one node, unsealed by a key file, audited to the container's log.
api_addr     = "https://vault:8200"
cluster_addr = "https://127.0.0.1:8201"

storage "raft" {
  path    = "/var/lib/openbao/raft"
  node_id = "one"
}

# The key is made at the first start, in a volume of its own: who has the data alone has nothing.
seal "static" {
  current_key_id = "1"
  current_key    = "file:///var/lib/openbao-seal/key"
}

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "127.0.0.1:8201"
  tls_cert_file   = "/var/lib/openbao/tls/server.pem"
  tls_key_file    = "/var/lib/openbao/tls/server.key"
  telemetry {
    disallow_metrics = true
  }
}

# For Prometheus: the metrics alone, which name mounts and policies but hold no secret.
listener "tcp" {
  address         = "0.0.0.0:8210"
  cluster_address = "127.0.0.1:8211"
  tls_cert_file   = "/var/lib/openbao/tls/server.pem"
  tls_key_file    = "/var/lib/openbao/tls/server.key"
  telemetry {
    metrics_only                   = true
    unauthenticated_metrics_access = true
  }
}

telemetry {
  prometheus_retention_time = "1h"
  disable_hostname          = true
}

audit "file" "stdout" {
  options {
    file_path = "stdout"
  }
}
