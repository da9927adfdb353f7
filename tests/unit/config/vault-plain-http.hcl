# expect warning 2: http://vault.example:8200 is not https: token and secrets cross the network in the clear; use https
vault { address = "http://vault.example:8200" }
