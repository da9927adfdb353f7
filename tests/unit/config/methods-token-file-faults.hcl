# expect error 2: token_file has no token_file_path; add it to the method's config block
auto_auth { method "token_file" { } }
