# Loaded before each fixture that is not "alone-...": it stands by itself, so that a fixture shows one thing.
vault {
  address = "https://127.0.0.1:8200"
}
auto_auth {
  method "token_file" {
    config {
      token_file_path = "/run/leasekeeper/token"
    }
  }
}
listener "unix" {
  address = "/run/leasekeeper/agent.sock"
}
secret "db" {
  path = "database/creds/notes"
  allow { user = 1000 }
}
