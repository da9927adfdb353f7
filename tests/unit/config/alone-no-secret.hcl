# expect error 1: there is no secret and no certificate; add secret "NAME"
auto_auth { method "token_file" { config { token_file_path = "/run/t" } } }
listener "unix" { address = "/run/a.sock" }
