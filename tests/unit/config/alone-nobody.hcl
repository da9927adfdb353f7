# expect error 1: nobody gets anything; add allow or file blocks to the secrets
auto_auth { method "token_file" { config { token_file_path = "/run/t" } } }
listener "unix" { address = "/run/a.sock" }
secret "db" { path = "database/creds/notes" }
