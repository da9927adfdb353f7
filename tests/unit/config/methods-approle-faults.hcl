# expect error 8: approle has no role_id_file_path; add it to the method's config block
# expect error 10: secret_id_response_wrapping_path without secret_id_file_path
# expect error 10: secret_id_response_wrapping_path begins with / or v1/; write it as after /v1/
# expect error 9: unknown key "role_id" in config of method "approle"
# expect error 6: mount_path "approle" does not begin with auth/; write auth/approle
auto_auth { method "approle" {
  mount_path = "approle"
  config {
    role_id = "abc"
    secret_id_response_wrapping_path = "/v1/auth/approle/role/notes/secret-id"
} } }
