# expect warning 15: "sink" in auto_auth is ignored: a token is never written anywhere
auto_auth {
  method "approle" {
    mount_path = "auth/team"
    namespace  = "org/team"
    config = {
      role_id_file_path   = "/etc/leasekeeper/role-id"
      secret_id_file_path = "/run/leasekeeper/secret-id"
    }
  }




  sink "file" { config = { path = "/tmp/token" } }
}
listener "unix" { address = "/run/leasekeeper/agent.sock" tls_disable = true }
secret "db" { path = "database/creds/notes" allow { user = 1000 } }
