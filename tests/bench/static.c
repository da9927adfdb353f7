/* tests/bench/static.c: answers each request with the same bytes, by libevent's own evhttp: what any server on it can reach. */
#include <stdio.h>
#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

static char body[64 << 10];
static size_t body_len;

static void on_request(struct evhttp_request *req, void *arg)
{
        struct evbuffer *out = evhttp_request_get_output_buffer(req);

        (void)arg;
        evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "application/json");
        evbuffer_add_reference(out, body, body_len, NULL, NULL);
        evhttp_send_reply(req, 200, "OK", NULL);
}

int main(int argc, char **argv)
{
        struct event_base *base = event_base_new();
        struct evhttp *http = evhttp_new(base);
        FILE *f = argc == 3 ? fopen(argv[2], "rb") : NULL;

        if (!f) {
                fputs("usage: static PORT FILE\n", stderr);
                return 2;
        }
        body_len = fread(body, 1, sizeof(body), f);
        fclose(f);
        evhttp_set_gencb(http, on_request, NULL);
        if (evhttp_bind_socket(http, "127.0.0.1", (unsigned short)atoi(argv[1])) != 0) {
                perror("static");
                return 1;
        }
        return event_base_dispatch(base) < 0;
}
