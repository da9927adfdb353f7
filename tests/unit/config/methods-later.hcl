# expect error 3: auth method "kubernetes" is not supported yet; use approle or token_file
auto_auth {
  method "kubernetes" { mount_path = "auth/kubernetes" config { role = "foobar" } }
}
