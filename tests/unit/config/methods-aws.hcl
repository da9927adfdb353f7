# expect error 3: auth method "aws" is not supported; use approle or token_file
auto_auth {
  method {
    type = "aws"
    config { role = "foobar" }
  }
}
