# expect warning 13: "sink" in auto_auth is ignored: a token is never written anywhere
auto_auth {
  method {
    type       = "approle"
    mount_path = "/auth/team/"
    namespace  = "org/team"
    config {
      role_id_file_path   = "/etc/leasekeeper/role-id"
      secret_id_file_path = "/run/leasekeeper/secret-id"
      remove_secret_id_file_after_reading = "true"
    }
  }
  sink { type = "file" config { path = "/tmp/token" } }
}
listener { type = "unix" address = "/run/leasekeeper/agent.sock" tls_disable = "true" }
secret = { db = { path = "database/creds/notes" allow = { user = "1000" } } }
