# expect warning 4: on_stop = "revoke" makes each restart an outage
# expect error 5: "on_hup" is restart; it must be "reload" or "rotate"
# expect error 6: the path of state_dir, "state", is relative; write it from / on
on_stop = "revoke"
on_hup = "restart"
state_dir = "state"
