# expect error 2: auth method "aprole" is not supported; did you mean approle
auto_auth { method "aprole" { config { role_id_file_path = "/etc/role" } } }
