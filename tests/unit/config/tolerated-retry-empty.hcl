# expect warning 3: "retry" in vault is ignored
vault {
  retry {}
}
