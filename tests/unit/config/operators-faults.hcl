# expect error 2: operators names nobody; add group = "..."
operators { }
