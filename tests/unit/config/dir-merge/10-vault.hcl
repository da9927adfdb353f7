vault { address = "https://10.0.0.1:8200" ca_cert = "/etc/one.pem" }
auto_auth { method "approle" { config { role_id_file_path = "/etc/role-id" } } }
listener "unix" { address = "/run/one.sock" }
secret "one" { path = "kv/one" allow { user = 1 } }
on_hup = "reload"
