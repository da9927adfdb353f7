# expect warning 2: nobody gets "draft"; add an allow or a file block
secret "draft" { path = "kv/draft" }
