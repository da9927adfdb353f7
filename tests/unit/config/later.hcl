# expect error 4: "hook" is not supported yet; remove it
# expect error 5: "credential" is not supported yet; remove it
# expect error 6: "hook" in secret "x" is not supported yet; remove it
hook "reload" { command = ["systemctl", "reload", "x"] }
credential "db-password" { unit = "notesd.service" secret = "db" field = "password" }
secret "x" { path = "kv/x" allow { user = 1 } hook { } }
