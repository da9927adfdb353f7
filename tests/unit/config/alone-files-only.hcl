# expect warning 5: nobody gets "other"; add a listener "unix"
auto_auth { method "token_file" { config { token_file_path = "/run/t" } } }
secret "db" { path = "database/creds/notes" file "/run/x/db.json" {} }
secret "fine" { path = "kv/x" file "/run/x/kv.json" { } allow { group = 7 } }
secret "other" { path = "kv/y" allow { group = 7 } }
