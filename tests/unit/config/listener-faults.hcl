# expect error 13: unknown key "socket_mod" in listener "unix"; did you mean "socket_mode"?
# expect error 14: the path of the socket, "agent.sock", is relative; write it from / on
# expect error 15: "socket_mode" is no file mode; write it in octal and in quotes, like "0440"
# expect warning 16: socket_mode 0640 lets nobody of group 1600 connect
# expect error 17: "vault:8200" is no address for listener "tcp"; write it like 127.0.0.1:8201
# expect error 18: listener "tcp" has no address
# expect error 19: listener "udp" is unknown; use "unix" or "tcp"
# expect error 20: role "metrics" is unknown; use "default" or "metrics_only"
# expect error 21: listener "credential" is not supported yet; remove it
# expect error 22: the listener has no kind; write listener "unix" { ... }
# expect warning 23: socket_mode, socket_user and socket_group mean nothing to listener "tcp"
# expect error 24: two listeners on 127.0.0.1:8302; remove one
listener "unix" { address = "/run/a.sock" socket_mod = "0660" }
listener "unix" { address = "agent.sock" }
listener "unix" { address = "/run/b.sock" socket_mode = 660 }
listener "unix" { address = "/run/c.sock" socket_mode = "0640" socket_group = "1600" }
listener "tcp" { address = "vault:8200" role = "metrics_only" }
listener "tcp" { role = "metrics_only" }
listener "udp" { address = "127.0.0.1:1" }
listener "unix" { address = "/run/d.sock" role = "metrics" }
listener "credential" { address = "/run/e.sock" anything = 1 }
listener { address = "/run/f.sock" }
listener "tcp" { address = "127.0.0.1:8302" role = "metrics_only" socket_group = "1600" }
listener "tcp" { address = "127.0.0.1:8302" role = "metrics_only" }
