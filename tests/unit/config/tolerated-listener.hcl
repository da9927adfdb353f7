# expect warning 8: "require_request_header" in listener "unix" is ignored: the kernel says who the peer is
# expect warning 11: "tls_cert_file" in listener "tcp" is ignored: listeners speak no TLS here
# expect warning 12: "tls_key_file" in listener "tcp" is ignored
# expect warning 13: listener "tcp" speaks plain HTTP whatever tls_disable says
# expect warning 17: "agent_api" in listener is ignored
listener "unix" {
  address = "/run/leasekeeper/vault.sock" tls_disable = "true" socket_mode = "0660"
  require_request_header = true
}
listener "tcp" { address = "127.0.0.1:8300" role = "metrics_only"
  tls_cert_file = "/path/to/cakey.pem"
  tls_key_file = "/path/to/cacert.pem"
  tls_disable = false
}
listener {
  type = "tcp" address = "[::1]:3000" tls_disable = true role = "metrics_only"
  agent_api { enable_quit = true }
}
