# expect error 20: the path of file, "out/x", is relative; write it from / on
# expect error 21: the path of file, "/run//x", is written with an empty part
# expect error 22: the path of file, "/run/a/../x", is written with a . or .. part
# expect error 23: file "/run/x1": perms 0644 open it to every user; name a group and use 0440
# expect error 24: "perms" is no file mode; write it in octal and in quotes, like "0440"
# expect error 25: a directory is written for certificates alone; use a file
# expect error 26: file "/run/x3": format "pem" is for certificates
# expect error 27: "format" is yaml; it must be "json", "env" or "pem"
# expect error 29: file "/run/x5" is also file (
# expect error 30: file "/run/leasekeeper/agent.sock" is also the socket (
# expect error 31: file "/run/leasekeeper/state/x" lies in state_dir "/run/leasekeeper/state"
# expect error 33: file "/run/out/tls/inner" lies in directory "/run/out/tls"
# expect error 35: directory "/run/out/tls2": perms 0440 make a directory that cannot be entered
# expect error 36: file "/run/leasekeeper/token" is also token_file_path (
# expect error 37: the file has no path; write file "/run/..." { ... }
# expect error 38: unknown key "format" in directory "/run/out/tls3"
# expect error 39: file "/run/x6": format "env" has no room for the lines of a certificate


secret "f1" { path = "kv/x" file "out/x" {} }
secret "f2" { path = "kv/x" mint_burst = 13 file "/run//x" {} }
secret "f3" { path = "kv/x" file "/run/a/../x" {} }
secret "f4" { path = "kv/x" file "/run/x1" { perms = 0644 } }
secret "f5" { path = "kv/x" file "/run/x2" { perms = 440 } }
secret "f6" { path = "kv/x" directory "/run/d" {} }
secret "f7" { path = "kv/x" file "/run/x3" { format = "pem" } }
secret "f8" { path = "kv/x" file "/run/x4" { format = "yaml" } }
secret "f9" { path = "kv/x" file "/run/x5" {}
  file "/run/x5" {} }
secret "f10" { path = "kv/x" file "/run/leasekeeper/agent.sock" {} }
secret "f11" { path = "kv/x" file "/run/leasekeeper/state/x" {} }
certificate "c1" { path = "pki/issue/x" common_name = "x" directory "/run/out/tls" {}
  file "/run/out/tls/inner" {}
  file "/run/out/tls-beside" {}
  directory "/run/out/tls2" { perms = "0440" } }
secret "f12" { path = "kv/x" file "/run/leasekeeper/token" {} }
secret "f13" { path = "kv/x" file { format = "env" } allow { user = 1 } }
certificate "c2" { path = "pki/issue/x" common_name = "x" directory "/run/out/tls3" { format = "pem" } }
certificate "c3" { path = "pki/issue/x" common_name = "x" file "/run/x6" { format = "env" } }
