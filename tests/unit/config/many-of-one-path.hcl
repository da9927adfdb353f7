# expect warning 8: 4 secrets are made from "database/creds/many" and mint_burst is 3: where they are leases or certificates, the first 3 start at once and the rest up to a minute apart; raise mint_burst to 4
secret "a" { path = "database/creds/many" allow { user = 1 } }
secret "b" { path = "database/creds/many" allow { user = 1 } }
secret "x" { path = "database/creds/more" mint_burst = 4 allow { user = 1 } }
secret "y" { path = "database/creds/more" allow { user = 1 } }
secret "z" { path = "database/creds/more" allow { user = 1 } }
secret "c" { path = "database/creds/many" allow { user = 1 } }
secret "d" { path = "database/creds/many" allow { user = 1 } }
secret "v" { path = "database/creds/more" allow { user = 1 } }
