# expect warning 41: "tls_acme_cache_path" in listener "tcp" is ignored: listeners speak no TLS here
# expect warning 42: "tls_acme_ca_directory" in listener "tcp" is ignored: listeners speak no TLS here
# expect warning 43: "tls_acme_test_ca_directory" in listener "tcp" is ignored: listeners speak no TLS here
# expect warning 44: "tls_acme_ca_root" in listener "tcp" is ignored: listeners speak no TLS here
# expect warning 45: "tls_acme_eab_key_id" in listener "tcp" is ignored: listeners speak no TLS here
# expect warning 46: "tls_acme_eab_mac_key" in listener "tcp" is ignored: listeners speak no TLS here
# expect warning 47: "tls_acme_key_type" in listener "tcp" is ignored: listeners speak no TLS here
# expect warning 48: "tls_acme_email" in listener "tcp" is ignored: listeners speak no TLS here
# expect warning 49: "tls_acme_domains" in listener "tcp" is ignored: listeners speak no TLS here
# expect warning 50: "tls_acme_disable_http_challenge" in listener "tcp" is ignored: listeners speak no TLS here
# expect warning 51: "tls_acme_disable_alpn_challenge" in listener "tcp" is ignored: listeners speak no TLS here
# expect warning 52: "max_request_json_memory" in listener "tcp" is ignored: the limits are fixed
# expect warning 53: "max_request_json_strings" in listener "tcp" is ignored: the limits are fixed
# expect warning 54: "max_json_depth" in listener "tcp" is ignored: the limits are fixed
# expect warning 55: "max_json_string_value_length" in listener "tcp" is ignored: the limits are fixed
# expect warning 56: "max_json_object_entry_count" in listener "tcp" is ignored: the limits are fixed
# expect warning 57: "max_json_array_element_count" in listener "tcp" is ignored: the limits are fixed
# expect warning 58: "max_json_token" in listener "tcp" is ignored: the limits are fixed
# expect warning 59: "max_token_header_size" in listener "tcp" is ignored: the limits are fixed
# expect warning 60: "disable_request_limiter" in listener "tcp" is ignored: the limits are fixed
# expect warning 61: "inflight_requests_logging" in listener "tcp" is ignored: the agent has its own API
# expect warning 62: "custom_response_headers" in listener "tcp" is ignored: the agent has its own API
# expect warning 63: "cors_enabled" in listener "tcp" is ignored: the agent has its own API
# expect warning 64: "cors_allowed_origins" in listener "tcp" is ignored: the agent has its own API
# expect warning 65: "cors_allowed_headers" in listener "tcp" is ignored: the agent has its own API
# expect warning 66: "chroot_namespace" in listener "tcp" is ignored: the agent has its own API
# expect warning 67: "redact_addresses" in listener "tcp" is ignored: the agent has its own API
# expect warning 68: "redact_cluster_name" in listener "tcp" is ignored: the agent has its own API
# expect warning 69: "redact_version" in listener "tcp" is ignored: the agent has its own API
# expect warning 70: "disable_replication_status_endpoints" in listener "tcp" is ignored: the agent has its own API
# expect warning 71: "disable_unauthed_rekey_endpoints" in listener "tcp" is ignored: the agent has its own API
# expect warning 72: "proxy_protocol_behavior" in listener "tcp" is ignored: the kernel says who the peer is
# expect warning 73: "proxy_protocol_authorized_addrs" in listener "tcp" is ignored: the kernel says who the peer is
# expect warning 74: "x_forwarded_for_authorized_addrs" in listener "tcp" is ignored: the kernel says who the peer is
# expect warning 75: "x_forwarded_for_hop_skips" in listener "tcp" is ignored: the kernel says who the peer is
# expect warning 76: "x_forwarded_for_reject_not_present" in listener "tcp" is ignored: the kernel says who the peer is
# expect warning 77: "x_forwarded_for_reject_not_authorized" in listener "tcp" is ignored: the kernel says who the peer is
# expect warning 78: "x_forwarded_for_client_cert_header" in listener "tcp" is ignored: the kernel says who the peer is
# expect warning 79: "x_forwarded_for_client_cert_header_decoders" in listener "tcp" is ignored: the kernel says who the peer is
listener "tcp" { address = "127.0.0.1:8300" role = "metrics_only"
  tls_acme_cache_path = "x"
  tls_acme_ca_directory = "x"
  tls_acme_test_ca_directory = "x"
  tls_acme_ca_root = "x"
  tls_acme_eab_key_id = "x"
  tls_acme_eab_mac_key = "x"
  tls_acme_key_type = "x"
  tls_acme_email = "x"
  tls_acme_domains = "x"
  tls_acme_disable_http_challenge = true
  tls_acme_disable_alpn_challenge = true
  max_request_json_memory = 1
  max_request_json_strings = 1
  max_json_depth = 1
  max_json_string_value_length = 1
  max_json_object_entry_count = 1
  max_json_array_element_count = 1
  max_json_token = 1
  max_token_header_size = 1
  disable_request_limiter = true
  inflight_requests_logging { unauthenticated_in_flight_requests_access = true }
  custom_response_headers { "default" = { "X-Custom" = ["a"] } }
  cors_enabled = true
  cors_allowed_origins = ["*"]
  cors_allowed_headers = "x"
  chroot_namespace = "x"
  redact_addresses = true
  redact_cluster_name = true
  redact_version = true
  disable_replication_status_endpoints = true
  disable_unauthed_rekey_endpoints = true
  proxy_protocol_behavior = "x"
  proxy_protocol_authorized_addrs = "x"
  x_forwarded_for_authorized_addrs = "x"
  x_forwarded_for_hop_skips = 1
  x_forwarded_for_reject_not_present = true
  x_forwarded_for_reject_not_authorized = true
  x_forwarded_for_client_cert_header = "x"
  x_forwarded_for_client_cert_header_decoders = "x"
}
