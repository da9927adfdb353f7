/* tests/unit/support_fake_vault.h: tests/fakes/vault.py as a child process, and calls to it. */
#ifndef TESTS_UNIT_SUPPORT_FAKE_VAULT_H
#define TESTS_UNIT_SUPPORT_FAKE_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/http_client.h"
#include "common/json.h"

struct fake {
        pid_t pid;
        int stdin_fd;
        json_t *told; /* address, control, ca_cert, client_cert, client_key */
};

struct fake_answer {
        bool there;
        int error;
        long status;
        char text[300];
        char location[100];
        struct secret *body; /* new */
        uint64_t retry_after_usec, date_usec, took_usec;
        unsigned left; /* answers still missing, where several are waited for */
};

extern struct loop *fake_loop;  /* these two are there between fake_group_setup() and fake_group_teardown() */
extern struct fake fake_vault;

int fake_group_setup(void **state);
int fake_group_teardown(void **state);
int fake_before_each(void **state); /* empties the log of requests */

struct fake fake_start(const char *option); /* another one; NULL: no option */
void fake_stop(struct fake *f);

void fake_run_loop(void); /* until loop_stop(); the test fails where that takes 20 s */
void fake_run_loop_for(uint64_t usec);

struct http_client *fake_client(const struct fake *f, struct http_client_config config); /* new; what is not set is f's */
struct fake_answer fake_call(struct http_client *c, const struct http_client_request *request);
struct fake_answer fake_get(struct http_client *c, const char *path);
void fake_on_answer(const struct http_client_reply *reply, void *answer); /* stops the loop once none is left */

/* Orders to fake_vault. */
json_t *fake_control(const char *method, const char *path, const char *body); /* new */
void fake_script(const char *path, const char *replies);
json_t *fake_requests(const char *pattern);     /* new: a list */
size_t fake_connections(const char *pattern);   /* on how many connections those came */

#endif
