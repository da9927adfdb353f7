/* tests/unit/support_handover.c: plays the service manager that hands sockets over: the variables of sd_listen_fds(3). */
#include "tests/unit/support_handover.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void hand_over(unsigned count)
{
        char text[16];

        (void)snprintf(text, sizeof(text), "%ld", (long)getpid());
        setenv("LISTEN_PID", text, 1);
        (void)snprintf(text, sizeof(text), "%u", count);
        setenv("LISTEN_FDS", text, 1);
}

void hand_over_nothing(void)
{
        unsetenv("LISTEN_PID");
        unsetenv("LISTEN_FDS");
}
