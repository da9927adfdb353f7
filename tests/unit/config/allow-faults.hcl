# expect error 5: an empty allow block would let everybody in; name a user or a group
# expect error 6: "unit" in allow is not supported yet; remove it
# expect error 7: "allow" is true or false; it must be a block: allow { ... }
# expect error 8: 4294967295 is no number of a user; write one from 0 to 4294967294
secret "a" { path = "kv/a" allow { } }
secret "b" { path = "kv/b" allow { user = 1 unit = "notesd.service" } }
secret "c" { path = "kv/c" allow = true allow { user = 1 } }
secret "d" { path = "kv/d" allow { user = 4294967295 } }
