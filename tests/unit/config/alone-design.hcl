# The configuration of the manual page, with numbers for users and groups.
vault {
  address    = "https://127.0.0.1:8200"
  ca_cert    = "/etc/leasekeeper/vault-ca.pem"
  rate_limit = 100
}
auto_auth {
  method "approle" {                      // a comment of another kind
    mount_path = "auth/approle"
    config {
      role_id_file_path   = "/etc/leasekeeper/role-id"
      secret_id_file_path = "/run/leasekeeper/secret-id"
      secret_id_response_wrapping_path = "auth/approle/role/notes/secret-id"
      remove_secret_id_file_after_reading = true
    }
  }
}
listener "unix" {
  address = "/run/leasekeeper/agent.sock"
  socket_mode = "0660"   socket_group = "1600"
}
listener "tcp" { address = "127.0.0.1:8201"  role = "metrics_only" }
secret "db" {
  path  = "database/creds/notes"
  grace = "30s"
  mint_burst = 3
  required = true
  allow { user = "1500" }
  file "/run/leasekeeper/out/db.env" { format = "env"  perms = "0440"  group = "1600" }
}
/* another
   comment */
secret "dbinfo" { path = "kv/notes/dbinfo"  refresh = "5m"  allow { user = 1500 } }
certificate "tls" {
  path = "pki_int/sign/notes"
  common_name = "notes.localhost"  alt_names = ["localhost"]  ip_sans = ["127.0.0.1"]  ttl = "24h"  key_type = "ec-p256"
  allow { user = 1500 }
  file "/run/leasekeeper/out/tls.pem" { format = "pem"  group = "1600" }
  directory "/run/leasekeeper/out/tls" { group = "1600" }
}
operators { group = 4 }
on_stop   = "keep"
on_hup    = "rotate"
state_dir = "/run/leasekeeper/state"
