# expect warning 10: "exit_after_auth" is ignored: use -exit-after-auth
# expect warning 11: "pid_file" is ignored
# expect warning 12: "log_level" is ignored: logs go to standard error; see -log-level
# expect warning 13: "log_format" is ignored
# expect warning 14: "log_file" is ignored
# expect warning 15: "disable_idle_connections" is ignored
# expect warning 16: "disable_keep_alives" is ignored
# expect warning 17: "telemetry" is ignored

exit_after_auth = true
pid_file = "./pidfile"
log_level = "debug"
log_format = "json"
log_file = "/var/log/agent.log"
disable_idle_connections = ["auto-auth", "caching", "templating", "proxying"]
disable_keep_alives = []
telemetry { statsd_address = "127.0.0.1:8125" }
