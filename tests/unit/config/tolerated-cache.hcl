# expect warning 4: "cache" is ignored: what the agent holds is served from its socket
# expect warning 13: "api_proxy" is ignored: the socket serves the configured secrets alone

cache {
  use_auto_auth_token = "force"
  enforce_consistency = "always"
  persist = {
    type = "kubernetes"
    path = "/vault/agent-cache/"
  }
}
cache { use_auto_auth_token = true persist "kubernetes" { keep_after_import = true } }
api_proxy { use_auto_auth_token = "force" when_inconsistent = "retry" }
