/* tests/unit/support_handover.h: plays the service manager that hands sockets over: the variables of sd_listen_fds(3). */
#ifndef TESTS_SUPPORT_HANDOVER_H
#define TESTS_SUPPORT_HANDOVER_H

#define FIRST 3 /* sd_listen_fds(3): they begin there */

void hand_over(unsigned count); /* to this process */
void hand_over_nothing(void);

#endif
