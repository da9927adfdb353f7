# expect error 3: "vault" stands twice; keep one of them
vault { address = "https://127.0.0.1:8200" }
vault { address = "https://127.0.0.2:8200" }
operators { group = 1 }
