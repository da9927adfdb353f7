# expect error 3: "method" in auto_auth stands twice; keep one of them
auto_auth { method "token_file" { config { token_file_path = "/run/t" } }
  method "approle" { config { role_id_file_path = "/etc/role" } }
}
