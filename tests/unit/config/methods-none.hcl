# expect error 2: auto_auth has no method; write method "approle" { ... } in it
auto_auth { }
