# expect error 14: certificate "c1": path "pki/roles/x" ends neither in sign/ROLE nor in issue/ROLE
# expect error 15: certificate "c2": path "sign/x" ends neither in sign/ROLE nor in issue/ROLE
# expect error 16: certificate "c3" names nobody; add common_name
# expect error 17: "key_type" is dsa; it must be "ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096" or "ed25519"
# expect error 19: ip_sans: "localhost" is no IP address; names belong into alt_names
# expect error 20: alt_names: "a,b" is no single name; write each into quotes of its own
# expect error 21: uri_sans: "host" is no URI
# expect error 22: "alt_names" is a list; it must be a list of strings: ["a", "b"]
# expect error 23: certificate "c10": common_name is longer than 64 bytes
# expect error 24: certificate "c11": ttl is no whole number of seconds
# expect error 25: a second secret or certificate "db"
# expect error 26: certificate "c12" has no path; add path = "pki/sign/ROLE"
# c5 has no fault: a role with key_type "any" needs to be told
certificate "c1" { path = "pki/roles/x" common_name = "x" allow { user = 1 } }
certificate "c2" { path = "sign/x" common_name = "x" allow { user = 1 } }
certificate "c3" { path = "pki/sign/x" allow { user = 1 } }
certificate "c4" { path = "pki/sign/x" common_name = "x" key_type = "dsa" allow { user = 1 } }
certificate "c5" { path = "pki/issue/x" common_name = "x" key_type = "ec-p256" allow { user = 1 } }
certificate "c6" { path = "pki/sign/x" common_name = "x" ip_sans = ["::1", "localhost"] allow { user = 1 } }
certificate "c7" { path = "pki/sign/x" common_name = "x" alt_names = ["a,b"] allow { user = 1 } }
certificate "c8" { path = "pki/sign/x" common_name = "x" uri_sans = ["spiffe://a/b", "host"] allow { user = 1 } }
certificate "c9" { path = "pki/sign/x" common_name = "x" alt_names = ["a", 1] allow { user = 1 } }
certificate "c10" { path = "pki/sign/x" common_name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" allow { user = 1 } }
certificate "c11" { path = "pki/issuer/main/sign/x" common_name = "x" ttl = "100ms" allow { user = 1 } }
certificate "db" { path = "pki/sign/x" mint_burst = 8 common_name = "x" allow { user = 1 } }
certificate "c12" { common_name = "x" allow { user = 1 } }
