# expect error 20: secret ".hidden": a name is 1 to 64 of A-Z a-z 0-9 _ . -
# expect error 21: secret "-dash": a name is 1 to 64
# expect error 22: secret "a b": a name is 1 to 64
# expect error 23: the secret has no name; write secret "NAME" { ... }
# expect error 24: secret "n1": path "/kv/x" begins with /; write it as after /v1/
# expect error 25: secret "n2": path "v1/kv/x" begins with v1/; leave that out, it is added
# expect error 26: secret "n3": path "kv//x" has an empty part
# expect error 27: secret "n4": path "kv/../x" has a . or .. part
# expect error 28: secret "n5": path "kv/x?version=1" has a ? or #
# expect error 29: secret "n6" has no path; add path = "database/creds/ROLE"
# expect error 30: a second secret or certificate "db"
# expect error 31: "grace" is no duration: soon; write "90s", "5m", "1h30m" or seconds
# expect error 32: secret "n8": refresh is less than 1s; raise it
# expect error 33: secret "n9": mint_burst is not from 1 to 100
# expect warning 34: secret "n10": mint_burst = 1 leaves nothing for rotate
# expect error 35: "required" is maybe; it must be true or false
# expect error 36: "path" is a list; it must be a string in quotes
# expect error 36: secret "n12" has no path
# expect error 37: "path" in secret "n13" stands twice; keep one of them
secret ".hidden" { path = "kv/x" allow { user = 1 } }
secret "-dash" { path = "kv/x" allow { user = 1 } }
secret "a b" { path = "kv/x" allow { user = 1 } }
secret { path = "kv/x" allow { user = 1 } }
secret "n1" { path = "/kv/x" allow { user = 1 } }
secret "n2" { path = "v1/kv/x" allow { user = 1 } }
secret "n3" { path = "kv//x" allow { user = 1 } }
secret "n4" { path = "kv/../x" allow { user = 1 } }
secret "n5" { path = "kv/x?version=1" allow { user = 1 } }
secret "n6" { allow { user = 1 } }
secret "db" { path = "kv/x" allow { user = 1 } }
secret "n7" { path = "kv/x" allow { user = 1 } grace = "soon" }
secret "n8" { path = "kv/x" allow { user = 1 } refresh = 0 }
secret "n9" { path = "kv/x" allow { user = 1 } mint_burst = 1000 }
secret "n10" { path = "kv/x" allow { user = 1 } mint_burst = 1 }
secret "n11" { path = "kv/x" allow { user = 1 } required = "maybe" }
secret "n12" { path = ["kv/x"] allow { user = 1 } }
secret "n13" { path = "kv/x" path = "kv/y" allow { user = 1 } }
