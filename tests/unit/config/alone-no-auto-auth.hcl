# expect error 1: there is no auto_auth block; add auto_auth
listener "unix" { address = "/run/a.sock" }
secret "db" { path = "database/creds/notes" allow { user = 1000 } }
