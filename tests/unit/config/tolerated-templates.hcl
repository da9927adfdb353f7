# expect warning 6: "template" is ignored: secrets are written by file and directory blocks
# expect warning 29: "template_config" is ignored: secrets are written by file and directory blocks
# expect warning 33: "env_template" is ignored
# expect warning 37: "exec" is ignored: programs are started by systemd or docker

template {
  source      = "/path/on/disk/to/template.ctmpl"
  destination = "/path/on/disk/where/template/will/render.txt"
}
template {
  contents             = "{{ with secret \"kv/x\" }}{{ .Data.password }}{{ end }}"
  destination          = "/run/render.txt"
  create_dest_dirs     = true
  error_on_missing_key = true
  left_delimiter       = "<<"
  right_delimiter      = ">>"
  perms                = 0655
  command_timeout      = "60s"
  exec { command = ["restart", "service"] timeout = "30s" }
  wait { min = "5s" max = "30s" }
  wait { min = "10s" max = "40s" }
}
template {
  contents = <<-EOT
    password=${not evaluated "here"}
    EOT
  destination = "/run/other.txt"
}
template_config {
  exit_on_retry_failure         = true
  static_secret_render_interval = 60
}
env_template "MY_PASSWORD" {
  contents             = "{{ with secret \"secret/data/x\" }}{{ .Data.data.password }}{{ end }}"
  error_on_missing_key = false
}
exec { command = ["/path/to/child", "arg"] restart_on_secret_changes = "always" restart_stop_signal = "SIGTERM" }
