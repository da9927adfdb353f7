# expect error 3: a method's namespace that is not Vault's own
vault { namespace = "org/a" }
auto_auth { method "token_file" { namespace = "org/b" config { token_file_path = "/run/t" } } }
