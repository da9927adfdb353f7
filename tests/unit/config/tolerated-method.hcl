# expect warning 10: "wrap_ttl" in method is ignored
# expect warning 11: "max_backoff" in method is ignored
# expect warning 12: "min_backoff" in method is ignored
# expect warning 13: "exit_on_err" in method is ignored
# expect warning 14: "lease_renewal_threshold" in method is ignored
# expect warning 17: "sink" in auto_auth is ignored
# expect warning 24: "enable_reauth_on_new_credentials" in auto_auth is ignored
auto_auth {
  method "token_file" {
    wrap_ttl    = 300
    max_backoff = "2m"
    min_backoff = "5s"
    exit_on_err = true
    lease_renewal_threshold = 0.9
    config { token_file_path = "/run/leasekeeper/token" }
  }
  sink {
    type     = "file"
    wrap_ttl = "5m"
    aad      = "foobar"
    dh_type  = "curve25519"
    config   = { path = "/tmp/file-foo" }
  }
  enable_reauth_on_new_credentials = true
  sink "file" { wrap_ttl = "5m" derive_key = true aad_env_var = "AAD" config { path = "/tmp/file-bar" } }
}
