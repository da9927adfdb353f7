# expect error 4: the text ends where "=" or "{" should stand; add it
vault {}
secret
