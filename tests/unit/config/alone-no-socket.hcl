# expect error 1: nobody gets anything; add a listener "unix", or file blocks
auto_auth { method "token_file" { config { token_file_path = "/run/t" } } }
listener "tcp" { address = "127.0.0.1:8201" role = "metrics_only" }
secret "db" { path = "database/creds/notes" allow { user = 1000 } }
