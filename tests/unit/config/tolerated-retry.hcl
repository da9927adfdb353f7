# expect warning 4: "retry" in vault is ignored: failed requests are always tried again
vault {
  address = "http://127.0.0.1:1111/"
  retry { num_retries = 5 }
  tls_skip_verify = "false"
}
