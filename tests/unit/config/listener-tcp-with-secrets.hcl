# expect error 3: listener "tcp" would hand secrets to whoever connects; add role = "metrics_only"
# expect error 4: listener "tcp" would hand secrets to whoever connects
listener "tcp" { address = "127.0.0.1:8300" tls_disable = true }
listener "tcp" { address = "127.0.0.1:8301" role = "default" tls_disable = true }
