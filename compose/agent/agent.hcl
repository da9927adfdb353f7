# The agent of the compose stack. See leasekeeperd.hcl(5). After a change:
# docker compose -f compose/compose.yaml kill -s HUP agent
vault {
  address = "https://vault:8200"
  ca_cert = "/run/vault-ca/ca.pem"
}

auto_auth {
  method "approle" {
    config {
      role_id_file_path   = "/run/credentials/role-id"
      secret_id_file_path = "/run/credentials/secret-id"
      # The machine may start again with nobody at the keyboard: the file stays, for this container alone.
      remove_secret_id_file_after_reading = false
    }
  }
}

# The folder is a tmpfs that agent and app share; its mode lets the app's group pass to the socket, and no further.
listener "unix" {
  address      = "/run/leasekeeper/agent.sock"
  socket_mode  = "0660"
  socket_group = "notes"
}

# For Prometheus, on Vault's network; the app is not on it.
listener "tcp" {
  address = "0.0.0.0:8201"
  role    = "metrics_only"
}

secret "db" {
  path  = "database/creds/notes"
  grace = "30s"
  allow { user = "notes" }
}

secret "dbinfo" {
  path    = "kv/notes/dbinfo"
  refresh = "5m"
  allow { user = "notes" }
}

certificate "tls" {
  path        = "pki_int/sign/notes"
  common_name = "notes.localhost"
  alt_names   = ["localhost"]
  ip_sans     = ["127.0.0.1", "::1"]
  ttl         = "24h"
  allow { user = "notes" }
}

# Beside the tmpfs' socket: it lives while agent or app runs, so that a new agent's container goes on where the old one was.
state_dir = "/run/leasekeeper/state"
