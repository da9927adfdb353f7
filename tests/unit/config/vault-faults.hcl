# expect error 8: the address of Vault is no https://HOST:PORT; correct vault.address or VAULT_ADDR
# expect error 9: client_cert and client_key go together; add the missing one
# expect warning 10: tls_skip_verify lets anybody on the way pose as Vault
# expect error 11: "rate_limit" is no rate; write requests a second, 0 for no limit
# expect error 12: "namespace" is a number; it must be a string in quotes

vault {
  address = "https://user:word@vault:8200"
  client_cert = "/etc/cert.pem"
  tls_skip_verify = 1
  rate_limit = -1
  namespace = 5
}
