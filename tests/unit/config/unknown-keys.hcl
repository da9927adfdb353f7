# expect error 8: unknown key "vualt"; did you mean "vault"?
# expect error 9: unknown key "ca_crt" in vault; did you mean "ca_cert"?
# expect error 10: unknown key "flavour"; remove it, leasekeeperd.hcl(5) lists the keys
# expect error 11: unknown key "pth" in secret "x"; did you mean "path"?
# expect error 12: unknown key "usr" in allow; did you mean "user"?
# expect error 13: unknown key "formt" in file "/run/x"; did you mean "format"?
# expect error 11: secret "x" has no path
vualt {}
vault { ca_crt = "/etc/ca.pem" }
flavour = "vanilla"
secret "x" { pth = "kv/x"
  allow { usr = 1 }
  file "/run/x" { formt = "env" }
}
